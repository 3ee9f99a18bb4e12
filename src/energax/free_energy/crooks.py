"""Work statistics of a forward and a reverse set of driven runs: dissipation, and four readings of Delta F.

Source: Jarzynski (1997), doi:10.1103/PhysRevLett.78.2690, eq. (2), with its second cumulant; Crooks (1999),
doi:10.1103/PhysRevE.60.2721, eq. (2): P_F(W) / P_R(-W) = exp(W - Delta F), so the two densities cross at Delta F.
Estimates Delta F by the exponential average of each direction, by the mean less half the variance of each (exact for
Gaussian works only), by the crossing of two fitted Gaussians, and by `bar`, whose figure the dissipation is reckoned
from. Differs: the crossing is that of Gaussian fits and not of histograms, which would depend on their bins.
Cost: a few passes over the works, float64, on the host.
Fails: the Gaussian figures are biased by whatever is not Gaussian in the works, and the exponential averages are as in
perturbation.py. Runs of a kernel that is not in detailed balance are refused; works given as numbers are not known to
be such. Where the readings disagree, believe `bar` as far as its overlap goes.
"""

import math
from dataclasses import dataclass

import numpy as np

from .bar import BAR, WorkLike, acceptance_ratio, both_ways, second_law
from .perturbation import exponential_average


@dataclass(frozen=True)
class WorkStatistics:
    """What works of both directions say, nats; infinite or NaN where a work is +inf.

    Attributes:
        bar: Bennett's estimate from both directions.
        mean_forward: Mean work of going from 0 to 1, >= Delta F in expectation.
        mean_reverse: Mean work of going from 1 to 0, >= -Delta F in expectation.
        dissipation_forward: `mean_forward` - `bar.delta_f`.
        dissipation_reverse: `mean_reverse` + `bar.delta_f`.
        jarzynski_forward: -log mean exp(-W_F), an estimate of Delta F that is biased high.
        jarzynski_reverse: log mean exp(-W_R), an estimate of Delta F that is biased low.
        gaussian_forward: mean W_F - var W_F / 2, an estimate of Delta F.
        gaussian_reverse: -(mean W_R - var W_R / 2), an estimate of Delta F.
        gaussian_errors: Standard errors of the two, forward first, by the delta method.
        crossing: Where the Gaussians fitted to W_F and to -W_R are equal, between their means; NaN if nowhere there.
    """

    bar: BAR
    mean_forward: float
    mean_reverse: float
    dissipation_forward: float
    dissipation_reverse: float
    jarzynski_forward: float
    jarzynski_reverse: float
    gaussian_forward: float
    gaussian_reverse: float
    gaussian_errors: tuple[float, float]
    crossing: float


def crooks(forward: WorkLike, reverse: WorkLike) -> WorkStatistics:
    """Gathers the work statistics of a forward and a reverse run.

    Args:
        forward: Works of going from 0 to 1, nats [n_F >= 2], or a forward `AISResult` (work = -log weight).
        reverse: Works of going from 1 to 0, nats [n_R >= 2], or a reverse `AISResult`.

    Raises:
        ValueError: As `bar`.

    Example:
        >>> rng = np.random.default_rng(0)  # Gaussian works of variance 2 and Delta F = 3 dissipate 1 nat
        >>> ahead, back = 4.0 + np.sqrt(2) * rng.normal(size=4000), -2.0 + np.sqrt(2) * rng.normal(size=4000)
        >>> found = crooks(ahead, back)
        >>> abs(found.crossing - 3.0) < 0.2, abs(found.dissipation_forward - 1.0) < 0.2
        (True, True)
    """
    ahead, back = both_ways("crooks", forward, reverse)
    second_law("crooks", ahead, back)
    joined = acceptance_ratio(ahead, back)
    mean_f, mean_r = float(np.mean(ahead)), float(np.mean(back))
    (gaussian_f, error_f), (gaussian_r, error_r) = _second_cumulant(ahead), _second_cumulant(back)
    return WorkStatistics(
        bar=joined,
        mean_forward=mean_f,
        mean_reverse=mean_r,
        dissipation_forward=mean_f - joined.delta_f,
        dissipation_reverse=mean_r + joined.delta_f,
        jarzynski_forward=exponential_average(ahead),
        jarzynski_reverse=-exponential_average(back),
        gaussian_forward=gaussian_f,
        gaussian_reverse=-gaussian_r,
        gaussian_errors=(error_f, error_r),
        crossing=_crossing(ahead, -back),
    )


def _second_cumulant(works: np.ndarray) -> tuple[float, float]:
    """Mean less half the variance, and its standard error from the influence of each work."""
    if not np.all(np.isfinite(works)):
        return math.nan, math.nan
    off, variance = works - np.mean(works), float(np.var(works, ddof=1))
    influence = off - 0.5 * (off**2 - variance)
    return float(np.mean(works)) - 0.5 * variance, float(np.std(influence, ddof=1)) / math.sqrt(len(works))


def _crossing(ahead: np.ndarray, back: np.ndarray) -> float:
    """Where N(mean, var) of `ahead` and of `back` are equal, between the two means; NaN if nowhere there."""
    if not (np.all(np.isfinite(ahead)) and np.all(np.isfinite(back))):
        return math.nan
    (m, v), (n, u) = ((float(np.mean(a)), float(np.var(a, ddof=1))) for a in (ahead, back))
    if v <= 0 or u <= 0:
        return math.nan
    # log of the ratio of the two densities is a quadratic in W
    roots = np.roots([1 / u - 1 / v, 2 * (m / v - n / u), n * n / u - m * m / v + math.log(u / v)])
    inside = [r.real for r in roots if abs(r.imag) == 0 and min(m, n) <= r.real <= max(m, n)]
    return float(inside[0]) if len(inside) == 1 else math.nan
