"""The watchdog: looks at a run's metrics and says in plain words when training has gone bad, and what to change.

Most failures of energy-based training never make a NaN: curves stay finite, often flat, while walkers stick, run
away, or sample another temperature. So the rules (`rules`) look at ratios, at acceptance and at the walkers. The
watchdog is pure: it reads numbers in host memory and touches neither disk, clock nor device. What it says depends on
the steps alone, not on how they were cut into chunks, and its memory can be saved with a checkpoint so that a
resumed run is judged as if uninterrupted.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from .limits import Finding, Memory, Settings as Settings
from .rules import RULES

_LEVELS = {"warn": 1, "stop": 2}


@dataclasses.dataclass(frozen=True)
class Alarm:
    """One thing that has gone bad, said once.

    Attributes:
        step: The step (0-based) at which it was certain.
        name: Which rule spoke.
        phase: Whose turn it was.
        message: What was seen, with the numbers.
        advice: What it means and what to change.
        severity: "warn" (a person should look) or "stop" (going on would ruin the run: roll back or end it).
    """

    step: int
    name: str
    phase: str
    message: str
    advice: str
    severity: str


class Watchdog:
    """Judges metrics step by step; each alarm is raised once an episode, and once more if it turns from warn to stop.

    An episode ends when its rule has been silent for `settings.patience` steps; the next one is a new alarm. Metrics
    are read by name; a rule whose metric is not reported stays silent. A name `phase/metric` belongs to that phase.

    Args:
        settings: Thresholds; `Settings.for_run(num_steps)` fits the patience to a short run.

    Example:
        >>> dog = Watchdog()
        >>> steps = np.arange(100)
        >>> alarms = dog.look(steps, {"acceptance": np.full(100, 0.001)})
        >>> [(alarm.step, alarm.name, alarm.severity) for alarm in alarms]
        [(49, 'acceptance-low', 'warn')]
        >>> dog.look(np.arange(100, 150), {"acceptance": np.full(50, 0.001)})
        []
    """

    def __init__(self, settings: Settings | None = None):
        self.settings = Settings() if settings is None else settings
        self._memory: dict[str, dict[str, Memory]] = {}
        self._episodes: dict[str, dict[str, list[int]]] = {}

    def look(self, steps: Any, metrics: Mapping[str, Any]) -> list[Alarm]:
        """The alarms of a chunk, in the order of their steps.

        Args:
            steps: Step numbers, shape [n].
            metrics: Name -> values of shape [n]; NaN in what is measured only now and then means "not measured here".

        Raises:
            ValueError: The shapes differ.
        """
        numbers = np.asarray(steps)
        columns: dict[str, dict[str, list[float]]] = {}
        for name, values in metrics.items():
            column = np.asarray(values, dtype=np.float64)
            if column.shape != numbers.shape or numbers.ndim != 1:
                must = f"one value for each of the steps of shape {numbers.shape}"
                raise ValueError(f"Watchdog.look: metrics[{name!r}] must hold {must}; got shape {column.shape}.")
            phase, _, short = name.rpartition("/")
            columns.setdefault(phase or "train", {})[short] = column.tolist()
        _share_rejections(columns)
        return [
            alarm
            for index, step in enumerate(numbers.tolist())
            for phase, table in columns.items()
            for alarm in self._look_once(int(step), phase, {name: column[index] for name, column in table.items()})
        ]

    def reset(self) -> None:
        """Forgets everything: for a run that was put back to an earlier state."""
        self._memory.clear()
        self._episodes.clear()

    def to_dict(self) -> dict[str, Any]:
        """The memory as plain JSON, for a checkpoint's meta; `from_dict` goes on from it."""
        settings = dataclasses.asdict(self.settings)
        memory = {
            phase: {rule: each.to_dict() for rule, each in rules.items()} for phase, rules in self._memory.items()
        }
        episodes = {phase: {rule: list(pair) for rule, pair in each.items()} for phase, each in self._episodes.items()}
        return {"settings": settings, "memory": memory, "episodes": episodes}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Watchdog":
        """The watchdog that `to_dict` described."""
        dog = cls(Settings(**saved["settings"]))
        dog._memory = {
            phase: {rule: Memory.from_dict(each) for rule, each in rules.items()}
            for phase, rules in saved["memory"].items()
        }
        dog._episodes = {phase: {k: list(v) for k, v in each.items()} for phase, each in saved["episodes"].items()}
        return dog

    def _look_once(self, step: int, phase: str, row: dict[str, float]) -> list[Alarm]:
        memory = self._memory.setdefault(phase, {})
        episodes = self._episodes.setdefault(phase, {})
        alarms = []
        for name, rule in RULES.items():
            if not any(metric in row for metric in rule.reads):
                continue
            finding = rule.judge(row, memory.setdefault(name, Memory()), self.settings)
            if self._is_news(episodes.setdefault(name, [0, 0]), finding) and finding is not None:
                alarms.append(Alarm(step, name, phase, finding.message, rule.advice, finding.severity))
        return alarms

    def _is_news(self, episode: list[int], finding: Finding | None) -> bool:
        """Updates (level already said, silent steps) and says whether this finding goes beyond it."""
        if finding is None:
            episode[1] += 1
            if episode[1] >= self.settings.patience:
                episode[0] = 0
            return False
        episode[1] = 0
        level = _LEVELS[finding.severity]
        news = level > episode[0]
        episode[0] = max(level, episode[0])
        return news


def _share_rejections(columns: dict[str, dict[str, list[float]]]) -> None:
    """A step is refused for all phases at once: every phase's rules must know it, one phase reports it."""
    rejected = columns.get("train", {}).get("rejected")
    if rejected is None:
        return
    for phase, table in columns.items():
        if phase != "train":
            table["refused_elsewhere"] = rejected
