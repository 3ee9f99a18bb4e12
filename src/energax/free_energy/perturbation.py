"""Free energy perturbation: the difference of two states from works measured in one direction.

Source: Zwanzig (1954), High-temperature equation of state by a perturbation method, doi:10.1063/1.1740409, eq. (17);
for driven works: Jarzynski (1997), doi:10.1103/PhysRevLett.78.2690; error: Efron (1979), doi:10.1214/aos/1176344552;
interval: DiCiccio and Efron (1996), Bootstrap confidence intervals, doi:10.1214/ss/1032280214, section 4.
Estimates Z_1 / Z_0 = E_0[exp(-W)] without bias; of Delta F = -log of it the forward direction is biased HIGH and the
reverse direction LOW (Jensen), each by about half its squared standard error. Differs: nothing is expanded in powers
of the work (crooks.py has the second cumulant); a Pareto law is fitted to the tail, which tells of infinite variance.
Cost: `num_resamples` draws of all works, float64, on the host.
Fails: where the other state lies in places that this one hardly visits, a few works carry the mean, or none of the ones
that matter was seen: the estimate is then wrong and its error too small. `reliable` says so by `ess` and the tail, but
clears nothing (from N(0, 1) to N(0, 100^2) with 2,000 works: `ess` 233, 3.6 nats too high, error bar 0.06). Measure the
other direction as well, compare, and join both by `bar`.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from energax.core import Key, checks
from energax.numerics.logspace import HEAVY_TAIL, tail_index

from .ais import FEW
from .bar import WorkLike, as_work

_DIRECTIONS = ("forward", "reverse")
_AT_ONCE = 2**20  # numbers held by one batch of resamples


@dataclass(frozen=True)
class Perturbation:
    """A free energy difference from works of one direction.

    Attributes:
        delta_f: F_1 - F_0 = -log(Z_1 / Z_0) in either direction, nats.
        std_error: Bootstrap standard error of `delta_f` over works, nats; infinite if a resample held no finite work.
        interval: 95 % interval of `delta_f` by the studentised bootstrap, nats: longer towards large weights; infinite
            where a resample's weights may be all 0, or all one.
        ess: Effective number of works, (sum w)^2 / sum w^2 with w = exp(-W), in [1, num_works].
        tail_index: k of the largest weights' Pareto law: infinite variance beyond 0.5; NaN of fewer than 25 works.
        num_works: Works measured.
        direction: "forward" (works of going from 0 to 1) or "reverse".
    """

    delta_f: float
    std_error: float
    interval: tuple[float, float]
    ess: float
    tail_index: float
    num_works: int
    direction: str

    @property
    def reliable(self) -> bool:
        """Whether the error bar may be believed: ten effective works or more, and a tail index of at most 0.7."""
        return self.ess >= FEW and not self.tail_index > HEAVY_TAIL


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
    whole, own = exponential_average(works), relative_error(works)
    repeats, errors = bootstrap(rng, works, num_resamples)
    finite = bool(np.all(np.isfinite(repeats)))
    ends = whole - own * studentised(repeats - whole, errors) if own > 0.0 else np.full(2, whole)
    return Perturbation(
        delta_f=sign * whole,
        std_error=float(np.std(repeats, ddof=1)) if finite else math.inf,
        interval=(float(min(sign * ends)), float(max(sign * ends))),
        ess=float(np.exp(2 * logsumexp(-works) - logsumexp(-2 * works))),
        tail_index=float(tail_index(jnp.asarray(np.min(works) - works, jnp.float32))),
        num_works=len(works),
        direction=direction,
    )


def exponential_average(works: np.ndarray) -> float:
    """-log mean exp(-W), nats, without overflow."""
    return float(math.log(len(works)) - logsumexp(-works))


def relative_error(works: np.ndarray) -> float:
    """The standard error of mean exp(-W) over itself."""
    weights = np.exp(np.min(works) - works)
    return float(np.std(weights / weights.mean(), ddof=1)) / math.sqrt(len(works))


def bootstrap(rng: np.random.Generator, works: np.ndarray, num_resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """`exponential_average` of `num_resamples` resamples of the works, and the relative error of each.

    The average is +inf, and the error NaN, where all weights of a resample are 0.
    """
    least, num = float(np.min(works)), len(works)
    weights = np.exp(least - works)  # the largest is 1
    batch = max(1, _AT_ONCE // num)
    means, squares = [], []
    for at in range(0, num_resamples, batch):
        chosen = weights[rng.integers(num, size=(min(batch, num_resamples - at), num))]
        means.append(chosen.mean(axis=1))
        squares.append(np.mean((chosen - means[-1][:, None]) ** 2, axis=1))
    mean, variance = np.concatenate(means), np.concatenate(squares)
    with np.errstate(divide="ignore", invalid="ignore"):
        return least - np.log(mean), np.sqrt(variance / (num - 1)) / mean


def studentised(off: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The 97.5 % and 2.5 % points of deviation over error; infinite deviations or no error count as infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(off == 0.0, 0.0, off / errors)
    ratios = np.where(np.isinf(off), off, ratios)
    return np.quantile(ratios, [0.975, 0.025], method="inverted_cdf")
