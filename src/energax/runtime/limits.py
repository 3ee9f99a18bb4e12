"""What the watchdog holds fixed and what it remembers: thresholds, streaks, and running scales.

Running scales are quantiles over the whole run so far, on a logarithmic grid, so that neither one spike nor a slow
drift moves them.
"""

import dataclasses
import math
from typing import Any, NamedTuple

from energax.core import checks

_PER_DECADE = 16
_REFRESH = 16  # a quantile is computed anew once in so many additions


@dataclasses.dataclass(frozen=True)
class Settings:
    """Thresholds of the watchdog. The defaults raised nothing on runs that went well and met the known failures.

    Attributes:
        patience: Steps that a sustained condition must last. Must be >= 1.
        warm_up: Steps before running scales are trusted. Must be >= 1.
        gradient_ratio: Gradient norm over its running median.
        acceptance_low: Mean acceptance under which walkers count as stuck, in (0, 1).
        acceptance_high: Mean acceptance above which walkers hardly move, in (0, 1).
        gap_ratio: Size of the energy gap (or the loss, where there is no gap) over its running 90 % quantile.
        gap_floor: Nats under which no gap is called large.
        walker_radius: Largest coordinate of a walker over the largest of the data.
        step_collapse: Step size over the largest so far, in (0, 1).
        divergent: Fraction of chains that met a non-finite energy, in (0, 1).
        rejected_in_a_row: Refused training steps in a row that stop the run.
        temperature: The temperature that the recipe declares, or None: then any other than 1 is only warned of.
        held_out_gap: Nats by which held-out data may lie higher than training data.
        clone_correlation: Correlation of walkers' energies between two refreshes of the driving half.
        self_influence: Nats by which the log Z of the walkers that drive may differ from that of the held-out ones.
        mode_tv: Total variation between the mode (or class) frequencies of walkers and data.
        log_z_spread: Nats by which two routes to log Z may differ.
        ess_fraction: Effective over actual sample size, in (0, 1).
        ess_walkers: The same of walkers that carry weights, in (0, 1): above what one group of eight leaves.
        ess_noise: The same of noise as draws of the model, in (0, 1).
        rhat: Split R-hat over chains.
    """

    patience: int = 50
    warm_up: int = 20
    gradient_ratio: float = 100.0
    acceptance_low: float = 0.05
    acceptance_high: float = 0.999
    gap_ratio: float = 20.0
    gap_floor: float = 10.0
    walker_radius: float = 5.0
    step_collapse: float = 1e-3
    divergent: float = 0.05
    rejected_in_a_row: int = 10
    temperature: float | None = None
    held_out_gap: float = 6.0
    clone_correlation: float = 0.5
    self_influence: float = 2.0
    mode_tv: float = 0.3
    log_z_spread: float = 1.0
    ess_fraction: float = 0.05
    ess_walkers: float = 0.15
    ess_noise: float = 0.05
    rhat: float = 1.01

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("patience", "warm_up", "rejected_in_a_row"):
                checks.count("Settings", field.name, value)
            elif field.name in (
                "acceptance_low",
                "acceptance_high",
                "step_collapse",
                "divergent",
            ) or field.name.startswith("ess_"):
                checks.fraction("Settings", field.name, value)
            elif value is not None:
                checks.positive("Settings", field.name, value)

    @classmethod
    def for_run(cls, num_steps: int, **changes: Any) -> "Settings":
        """Settings whose patience lets a sustained failure be called within a tenth of a run of `num_steps` steps.

        Example:
            >>> Settings.for_run(400).patience, Settings.for_run(5000).patience
            (10, 50)
        """
        checks.count("Settings.for_run", "num_steps", num_steps)
        return cls(**{"patience": max(5, min(50, num_steps // 40)), **changes})


class Finding(NamedTuple):
    """What a rule concluded at one step: "warn" or "stop", and what was seen."""

    severity: str
    message: str


@dataclasses.dataclass
class Memory:
    """What one rule remembers: a streak, the last value, the largest, and how sizes were distributed so far.

    Attributes:
        streak: Steps in a row that the condition held (a step may count for less than one).
        last: The value before this one.
        largest: The largest value so far.
        counts: Bin of log size -> how many.
        total: How many in all.
        level: The quantile as last computed.
    """

    streak: float = 0.0
    last: float | None = None
    largest: float = 0.0
    counts: dict[int, int] = dataclasses.field(default_factory=dict)
    total: int = 0
    level: float = 0.0

    def count(self, holds: bool, weight: float = 1.0) -> float:
        """The streak after this step."""
        self.streak = self.streak + weight if holds else 0.0
        return self.streak

    def scale(self, size: float, quantile: float) -> float:
        """The quantile of the sizes before this one, to about 7 %; then counts this one in. 0 in the beginning."""
        level = self.level
        if size > 0:
            place = math.floor(_PER_DECADE * math.log10(size))
            self.counts[place] = self.counts.get(place, 0) + 1
            self.total += 1
            if self.total <= _REFRESH or self.total % _REFRESH == 0:
                self.level = self._quantile(quantile)
        return level

    def _quantile(self, quantile: float) -> float:
        wanted = quantile * self.total
        for place in sorted(self.counts):
            wanted -= self.counts[place]
            if wanted <= 0:
                return 10 ** ((place + 0.5) / _PER_DECADE)
        return 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**dataclasses.asdict(self), "counts": {str(place): count for place, count in self.counts.items()}}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "Memory":
        """What `to_dict` described."""
        return cls(**{**saved, "counts": {int(place): count for place, count in saved["counts"].items()}})
