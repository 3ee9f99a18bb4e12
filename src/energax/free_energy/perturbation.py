"""Free energy perturbation: the difference of two states from works measured in one direction.

Source: Zwanzig (1954), High-temperature equation of state by a perturbation method, doi:10.1063/1.1740409, eq. (17);
for driven works: Jarzynski (1997), doi:10.1103/PhysRevLett.78.2690; error: Efron (1979), doi:10.1214/aos/1176344552.
Estimates Z_1 / Z_0 = E_0[exp(-W)] without bias; of Delta F = -log of it the forward direction is biased HIGH and the
reverse direction LOW (Jensen), each by about half its squared standard error. Differs: nothing is expanded in powers
of the work (crooks.py has the second cumulant).
Cost: `num_resamples` draws of all works, float64, on the host.
Fails: where the other state lies in places that this one hardly visits, a few works carry the mean, or none of the ones
that matter was seen: the estimate is then wrong and its bootstrap error too small. A small `ess` says so, a large one
clears nothing (from N(0, 1) to N(0, 100^2) with 2,000 works: `ess` 233, 3.6 nats too high, error bar 0.06). Measure the
other direction as well, compare, and join both by `bar`.
"""

import math
from dataclasses import dataclass

import jax
import numpy as np
from scipy.special import logsumexp

from energax.core import Key, checks

from .bar import WorkLike, as_work

_DIRECTIONS = ("forward", "reverse")
_AT_ONCE = 2**20  # numbers held by one batch of resamples


@dataclass(frozen=True)
class Perturbation:
    """A free energy difference from works of one direction.

    Attributes:
        delta_f: F_1 - F_0 = -log(Z_1 / Z_0) in either direction, nats.
        std_error: Bootstrap standard error of `delta_f` over works, nats; infinite if a resample held no finite work.
        interval: 95 % percentile interval of `delta_f` over the resamples, nats.
        ess: Effective number of works, (sum w)^2 / sum w^2 with w = exp(-W), in [1, num_works].
        num_works: Works measured.
        direction: "forward" (works of going from 0 to 1) or "reverse".
    """

    delta_f: float
    std_error: float
    interval: tuple[float, float]
    ess: float
    num_works: int
    direction: str


def perturbation(key: Key, work: WorkLike, *, direction: str = "forward", num_resamples: int = 500) -> Perturbation:
    """Zwanzig's formula, or Jarzynski's if the works are of driven runs.

    Delta F = -log mean_F exp(-W_F) = +log mean_R exp(-W_R)

    Args:
        key: One typed key, for the bootstrap alone.
        work: Works, nats [n >= 2]. Forward: U_1(x) - U_0(x) at samples x of state 0; reverse: U_0(x) - U_1(x) at
            samples x of state 1; or an `AISResult` of that direction. +inf is a work whose weight is 0.
        direction: "forward" or "reverse".
        num_resamples: Of the bootstrap, >= 50.

    Raises:
        ValueError: Works are no vector of >= 2 numbers, hold NaN or -inf or no finite number; a run has the wrong
            direction; another argument is out of range.

    Example:
        >>> at_0 = np.random.default_rng(0).normal(size=2000)
        >>> found = perturbation(jax.random.key(0), 1.5 * at_0**2)  # from x^2/2 to 4 x^2/2
        >>> bool(abs(found.delta_f - 0.5 * np.log(4)) < 4 * found.std_error)
        True
    """
    checks.typed_key("perturbation", key)
    checks.count("perturbation", "num_resamples", num_resamples, 50)
    if direction not in _DIRECTIONS:
        raise ValueError(f"perturbation.direction must be one of {', '.join(_DIRECTIONS)}; got {direction!r}.")
    works = as_work("perturbation", "work", work, direction)
    sign = 1.0 if direction == "forward" else -1.0
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    repeats = sign * bootstrap(rng, works, num_resamples)
    finite = bool(np.all(np.isfinite(repeats)))
    low, high = np.quantile(repeats, [0.025, 0.975], method="inverted_cdf")  # which takes infinities as they are
    return Perturbation(
        delta_f=sign * exponential_average(works),
        std_error=float(np.std(repeats, ddof=1)) if finite else math.inf,
        interval=(float(low), float(high)),
        ess=float(np.exp(2 * logsumexp(-works) - logsumexp(-2 * works))),
        num_works=len(works),
        direction=direction,
    )


def exponential_average(works: np.ndarray) -> float:
    """-log mean exp(-W), nats, without overflow."""
    return float(math.log(len(works)) - logsumexp(-works))


def bootstrap(rng: np.random.Generator, works: np.ndarray, num_resamples: int) -> np.ndarray:
    """`exponential_average` of `num_resamples` resamples of the works [num_resamples]; +inf if all their weights are
    0."""
    least, num = float(np.min(works)), len(works)
    weights = np.exp(least - works)  # the largest is 1
    batch = max(1, _AT_ONCE // num)
    sums = [
        weights[rng.integers(num, size=(min(batch, num_resamples - at), num))].mean(axis=1)
        for at in range(0, num_resamples, batch)
    ]
    with np.errstate(divide="ignore"):
        return least - np.log(np.concatenate(sums))
