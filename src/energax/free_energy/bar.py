"""Bennett's acceptance ratio: the free energy difference of two states from works measured in both directions.

Source: Bennett (1976), Efficient estimation of free energy differences from Monte Carlo data,
doi:10.1016/0021-9991(76)90078-4, eqs (10)-(12); for works: Shirts, Bair, Hooker and Pande (2003),
doi:10.1103/PhysRevLett.91.140601; error: Shirts and Pande (2005), doi:10.1063/1.1873592.
Estimates Delta F = F_1 - F_0 = -log(Z_1 / Z_0), consistently and with the least asymptotic variance of all estimators
that see these works only. Differs: the root is sought of the logarithm of the ratio of the two sums, which is monotone
and does not underflow where the states hardly overlap.
Cost: some tens of passes over the works, float64, on the host.
Fails: with little overlap (`overlap` below 0.03 or so) estimate and error both hang on a few works and the error is too
small; the error takes works for independent, so draws of one chain must be thinned first; a mode met by neither side is
missing and nothing here shows it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array
from scipy.optimize import brentq
from scipy.special import expit

from .ais import AISResult
from .jarzynski import Works

WorkLike = AISResult | Works | Array | np.ndarray | Sequence[float]
_SECOND_LAW = 6.0  # standard errors by which the two mean works may sum to less than 0


@dataclass(frozen=True)
class BAR:
    """A free energy difference by Bennett's acceptance ratio.

    Attributes:
        delta_f: F_1 - F_0 = -log(Z_1 / Z_0), nats; with a normalised state 0, log Z_1 = -delta_f.
        std_error: Asymptotic standard error of `delta_f` for independent works, nats.
        overlap: Integral of p_0 p_1 / p_mix, where p_mix is the mixture of both states in the numbers measured, in
            (0, 1]: 1 where the states are the same. Of the distributions of work where the works were driven.
        num_forward: Works measured from state 0.
        num_reverse: Works measured from state 1.
    """

    delta_f: float
    std_error: float
    overlap: float
    num_forward: int
    num_reverse: int


def bar(forward: WorkLike, reverse: WorkLike) -> BAR:
    """Solves Bennett's implicit equation for Delta F.

    sum_F f(M + W_F - Delta F) = sum_R f(-M + W_R + Delta F),  f(z) = 1 / (1 + e^z),  M = log(n_F / n_R)

    Args:
        forward: Works W_F of going from 0 to 1, nats [n_F >= 2]: U_1(x) - U_0(x) at samples x of state 0, or the works
            of driven runs, or a forward `AISResult` or `Works`. +inf is a work (x lies outside the support of state 1).
        reverse: Works W_R of going from 1 to 0, nats [n_R >= 2]: U_0(x) - U_1(x) at samples x of state 1 (mind the
            sign), or a reverse `AISResult` or `Works`. n_R need not be n_F.

    Raises:
        ValueError: Works are no vector of >= 2 numbers, hold NaN or -inf or no finite number; a run has the wrong
            direction, or its kernel is not in detailed balance; the mean works sum to clearly less than 0, which breaks
            the second law: a sign is wrong.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> at_0, at_1 = rng.normal(size=500), 0.5 * rng.normal(size=300)
        >>> found = bar(1.5 * at_0**2, -1.5 * at_1**2)  # from x^2/2 to 4 x^2/2
        >>> bool(abs(found.delta_f - 0.5 * np.log(4)) < 4 * found.std_error)
        True
    """
    works = both_ways("bar", forward, reverse)
    second_law("bar", *works)
    return acceptance_ratio(*works)


def acceptance_ratio(forward: np.ndarray, reverse: np.ndarray) -> BAR:
    """`bar` of works that have passed the door: float64, no NaN, no -inf, some finite on each side."""
    n_f, n_r = len(forward), len(reverse)
    ratio = math.log(n_f / n_r)

    def imbalance(delta_f: float) -> float:
        # log f(z) = -log(1 + e^z); rises in delta_f from -inf to inf, at a slope of at most 2
        ahead = _log_sum(-np.logaddexp(0.0, ratio + forward - delta_f))
        return ahead - _log_sum(-np.logaddexp(0.0, -ratio + reverse + delta_f))

    delta_f = _root(imbalance, *_guesses(forward, reverse))
    # log p(state 1 | x) / p(state 0 | x) of every measured x
    logits = np.concatenate([delta_f - ratio - forward, delta_f - ratio + reverse])
    shared = float(np.sum(expit(logits) * expit(-logits)))
    overlap = min(shared * (1.0 / n_f + 1.0 / n_r), 1.0)  # above 1 by rounding only
    # 1 / shared - 1 / n_f - 1 / n_r, written so that it is never below 0
    variance = (1.0 / n_f + 1.0 / n_r) * (1.0 - overlap) / overlap if overlap > 0 else math.inf
    return BAR(delta_f, math.sqrt(variance), overlap, n_f, n_r)


def _log_sum(terms: np.ndarray) -> float:
    """log sum exp of a vector that holds a finite number and no +inf; SciPy's takes 50 times as long for hundreds."""
    top = float(np.max(terms))
    return top + math.log(float(np.sum(np.exp(terms - top))))


def both_ways(owner: str, forward: object, reverse: object) -> tuple[np.ndarray, np.ndarray]:
    """Works of two directions that Crooks' relation joins, as `as_work` gives each.

    Raises:
        ValueError: As `bar` says.
    """
    works = as_work(owner, "forward", forward, "forward"), as_work(owner, "reverse", reverse, "reverse")
    for name, given in (("forward", forward), ("reverse", reverse)):
        if isinstance(given, AISResult | Works) and not given.reversible:
            raise ValueError(
                f"{owner}.{name} must be a run of a kernel in detailed balance, or Crooks' relation does not join the "
                "two directions; got one whose kernel does not claim it (`reversible`); `perturbation` takes one side."
            )
    return works


def as_work(owner: str, name: str, given: object, direction: str) -> np.ndarray:
    """Works [n], nats, float64: of an annealed run (work = -log weight) or as they are given.

    Raises:
        ValueError: As `bar` says.
    """
    if isinstance(given, AISResult | Works):
        if given.direction != direction:
            raise ValueError(f"{owner}.{name} must be a {direction} run; got a {given.direction} run.")
        given = -np.asarray(given.log_weights, np.float64) if isinstance(given, AISResult) else given.work
    array = np.asarray(given)
    if array.ndim != 1 or array.size < 2 or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(
            f"{owner}.{name} must be a vector of >= 2 works; got shape {array.shape}, dtype {array.dtype}."
        )
    array = array.astype(np.float64)
    bad = np.isnan(array) | (array == -np.inf)
    if np.any(bad):
        where = int(np.argmax(bad))
        raise ValueError(f"{owner}.{name} must be finite or +inf; got {array[where]} at index {where}.")
    if not np.any(np.isfinite(array)):
        raise ValueError(f"{owner}.{name} must hold a finite work; got +inf only: the two states do not overlap.")
    return array


def second_law(owner: str, forward: np.ndarray, reverse: np.ndarray) -> None:
    """Raises ValueError if the mean works sum to clearly less than 0: E W_F + E W_R is a sum of two divergences."""
    total = float(np.mean(forward) + np.mean(reverse))
    if not math.isfinite(total):
        return
    error = math.sqrt(np.var(forward, ddof=1) / len(forward) + np.var(reverse, ddof=1) / len(reverse))
    rounding = 1e-5 * float(np.mean(np.abs(forward)) + np.mean(np.abs(reverse)))  # of works made in float32
    if total < -_SECOND_LAW * error - rounding:
        raise ValueError(
            f"{owner}: the mean forward and reverse work must sum to >= 0; got {total:.4g} +- {error:.2g}. "
            "The work of a direction is the energy after the change minus the energy before it."
        )


def _guesses(forward: np.ndarray, reverse: np.ndarray) -> tuple[float, float]:
    """The two one-sided estimates, in order: the root lies between them or near by."""
    ends = math.log(len(forward)) - _log_sum(-forward), _log_sum(-reverse) - math.log(len(reverse))
    return min(ends), max(ends)


def _root(rising, low: float, high: float) -> float:
    """The root of a rising function by Brent's method, after the bracket has been widened until it holds one."""
    step = 1.0 + high - low
    low, high = low - 1e-3 * step, high + 1e-3 * step
    while rising(low) > 0:
        low, step = low - step, 2.0 * step
    while rising(high) < 0:
        high, step = high + step, 2.0 * step
    return float(brentq(rising, low, high, xtol=1e-12, rtol=1e-14))
