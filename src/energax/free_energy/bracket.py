"""log Z between a forward and a reverse run, and a verdict whether the two agree.

Source: Grosse, Ghahramani and Adams (2015), arXiv:1511.02543, section 3.
In expectation forward <= log Z <= reverse; the bracket adds each side's sampling error. It is strict only if the
reverse run started from exact samples of the target. Fails: if both runs miss the same mode they agree and are both
wrong; look at samples, too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from energax.core import checks
from energax.numerics.logspace import HEAVY_TAIL

from .ais import AISResult

_FEW = 0.05  # share of effective chains below which a standard error is not to be trusted
_CROSSED = "its starts are not samples of the model."
_STARTS = {
    "chains": "The reverse run started from chains, not from exact samples: it is an upper bound only so far as they "
    "have converged.",
    "data": "The reverse run started from data, not from samples of the model: it is a check, no upper bound.",
}


@dataclass(frozen=True)
class Bracket:
    """log Z of the target, from two sides.

    Attributes:
        low: Forward estimate minus `width` standard errors, nats.
        high: Reverse estimate plus `width` standard errors, nats. Where the sides cross, the smallest interval that
            holds both.
        forward: The forward estimate (longest schedule), nats.
        reverse: The reverse estimate (longest schedule), nats.
        forward_error: Standard error of `forward`, nats.
        reverse_error: Standard error of `reverse`, nats.
        spread: Largest minus smallest of all estimates, nats.
        tolerance: The spread that still counts as agreement, nats.
        crossed: The reverse end lies below the forward one: some run is wrong, or its error is.
        agree: All estimates are finite and within `tolerance` of each other.
        strict: The reverse run started from exact samples, so the bracket is one in the sense of the theorem.
        verdict: What to make of it, in sentences; empty when there is nothing to say against it.
    """

    low: float
    high: float
    forward: float
    reverse: float
    forward_error: float
    reverse_error: float
    spread: float
    tolerance: float
    crossed: bool
    agree: bool
    strict: bool
    verdict: tuple[str, ...]

    @property
    def midpoint(self) -> float:
        """Half-way between the two estimates, nats."""
        return 0.5 * (self.forward + self.reverse)

    def contains(self, log_z: float) -> bool:
        """Whether a known log Z lies inside."""
        return self.low <= log_z <= self.high


def bracket(
    forward: AISResult | Sequence[AISResult],
    reverse: AISResult | Sequence[AISResult],
    *,
    tolerance: float = 1.0,
    width: float = 1.96,
) -> Bracket:
    """Joins runs of both directions; of several in one direction the one with most temperatures makes the bound.

    Args:
        forward: One or more forward runs (two schedule lengths are good custom).
        reverse: One or more reverse runs.
        tolerance: The largest difference between any two estimates that counts as agreement, nats, > 0.
        width: Standard errors added on each side, >= 0; 1.96 leaves 2.5 % outside on each side if the errors are
            honest.

    Raises:
        ValueError: A run is of the other direction, or a number is out of range.

    Example:
        >>> import jax
        >>> from energax.core import GeometricPath
        >>> from energax.energies import DoubleWell, standard_normal
        >>> from energax.free_energy import ais, reverse_ais
        >>> from energax.samplers import MALA
        >>> wells, keys = DoubleWell(2.0, tilt=0.5), jax.random.split(jax.random.key(0), 3)
        >>> path = GeometricPath(standard_normal(1), wells)
        >>> up = ais(keys[0], path, MALA(0.1), num_chains=200, num_temperatures=50)
        >>> plan = {"betas": up.betas, "step_sizes": up.step_sizes}
        >>> xs = jax.vmap(wells.sample)(jax.random.split(keys[1], 200))
        >>> found = bracket(up, reverse_ais(keys[2], path, MALA(0.1), xs, start="exact", **plan), width=3.0)
        >>> found.contains(float(wells.log_z())), found.strict, found.verdict
        (True, True, ())
    """
    checks.positive("bracket", "tolerance", tolerance, ndim=0)
    checks.non_negative("bracket", "width", width, ndim=0)
    ups = _runs("forward", forward)
    downs = _runs("reverse", reverse)
    below, above = _longest(ups), _longest(downs)
    estimates = [float(run.log_z) for run in (*ups, *downs)]
    finite = all(math.isfinite(value) for value in estimates)
    spread = max(estimates) - min(estimates) if finite else math.inf
    low = float(below.log_z) - width * float(below.std_error)
    high = float(above.log_z) + width * float(above.std_error)
    crossed = low > high
    if crossed:
        low, high = (
            float(above.log_z) - width * float(above.std_error),
            float(below.log_z) + width * float(below.std_error),
        )
    strict = above.start == "exact"
    return Bracket(
        low=low,
        high=high,
        forward=float(below.log_z),
        reverse=float(above.log_z),
        forward_error=float(below.std_error),
        reverse_error=float(above.std_error),
        spread=spread,
        tolerance=float(tolerance),
        crossed=crossed,
        agree=finite and spread <= tolerance,
        strict=strict,
        verdict=tuple(_verdict([*ups, *downs], finite, spread, tolerance, crossed, above.start)),
    )


def _verdict(
    runs: list[AISResult], finite: bool, spread: float, tolerance: float, crossed: bool, start: str
) -> list[str]:
    said = []
    if not finite:
        bad = sum(int(run.non_finite) for run in runs)
        said.append(f"log Z is not finite ({bad} weights are NaN or +inf): the energy or a kernel gave a bad number.")
    elif spread > tolerance:
        said.append(
            f"The runs differ by {spread:.2f} nats, more than {tolerance:g}: lengthen the schedule or mistrust the "
            "reverse starts."
        )
    if crossed:
        said.append("The reverse figure lies below the forward one by more than their errors: " + _CROSSED)
    for run in runs:
        said.extend(_weak(run))
    if start in _STARTS:
        said.append(_STARTS[start])
    return said


def _weak(run: AISResult) -> list[str]:
    said = []
    chains, name = run.log_weights.shape[0], f"The {run.direction} run of {run.betas.shape[0]} temperatures has "
    if not float(run.ess) >= max(_FEW * chains, 2.0):
        said.append(name + f"{float(run.ess):.1f} effective chains of {chains}: its standard error is too small.")
    elif float(run.tail_index) > HEAVY_TAIL:
        said.append(
            name + f"weights of heavy tail (index {float(run.tail_index):.2f} > {HEAVY_TAIL}): its standard error is "
            "too small."
        )
    if int(run.dead):
        said.append(name + f"{int(run.dead)} of {chains} weights at exactly 0.")
    return said


def _runs(direction: str, runs: AISResult | Sequence[AISResult]) -> list[AISResult]:
    listed = [runs] if isinstance(runs, AISResult) else list(runs)
    if not listed:
        raise ValueError(f"bracket.{direction} must hold at least one run; got none.")
    for run in listed:
        if not isinstance(run, AISResult) or run.direction != direction:
            got = run.direction if isinstance(run, AISResult) else type(run).__name__
            raise ValueError(f"bracket.{direction} must hold {direction} runs; got {got}.")
    return listed


def _longest(runs: list[AISResult]) -> AISResult:
    return max(runs, key=lambda run: run.betas.shape[0])
