"""Functions of averages over correlated draws, with an error bar: the jackknife over blocks longer than their memory.

Source: Miller (1974), The jackknife: a review, doi:10.1093/biomet/61.1.1; Flyvbjerg and Petersen (1989), Error
estimates on averages of correlated data, doi:10.1063/1.457480 (blocks); Wolff (2004), Monte Carlo errors with less
errors, arXiv:hep-lat/0306017, eq. (13) (the linearised quantity whose memory counts).
What differs: the block length is not searched for. Draws are first gathered into bins, `BLOCK_TIMES` times as many as
some `LEAST_BLOCKS` blocks need; a block is `BLOCK_TIMES` integrated autocorrelation times of the bins, as `arviz_stats`
measures them over all chains, of the quantity linearised at its estimate; what blocks so long still miss is added.
Blocks never cross chains; where chains are shorter than a block, or are 30 and more, each is one. So the error bar is
itself known to some 15 to 30 %, which the interval's Student t allows for; it hangs on no sum over lags of draws, and
slow memory that noise hides at every lag counts, as swaps of a tempering make it: a replica comes back from a long
absence with what it held (blocks of ten autocorrelation times of the draws make variances there 2 to 2.5 times small).
Estimates the mean's own value: a nonlinear function has a bias of order autocorrelation time / draws, smaller than the
error bar by a square root. Cost: some FFTs, and a function value a block.
Fails: where no chain has seen a mode; a single chain that has not crossed between modes, or one shorter than some ten
autocorrelation times, is told by `reliable`. With fewer than some eight chains, hidden memory that is longer than a
thirtieth of all draws is seen in part only (of four chains, intervals of 95 % hold 90 %).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from scipy.stats import t as student

from energax.core import checks

BLOCK_TIMES = 10
"""Autocorrelation times in a block."""
LEAST_BLOCKS = 30
"""Blocks are as long as leaves about so many over all chains, or longer; so many chains are a block each."""


class Observable(NamedTuple):
    """An estimate and how far it can be trusted."""

    value: float
    """The function of the means, in its own units."""
    std_error: float
    """Its standard error; infinite where the quantity never moved in any chain, since that says nothing."""
    autocorrelation_time: float
    """Draws per independent draw of the linearised quantity, 1 + 2 sum rho, from the lags of draws, or of bins of them
    where these tell of 1.5 times as much; infinite where nothing moved."""
    blocks: int
    """Blocks, over all chains."""
    reliable: bool
    """Whether blocks are whole chains, or at least five autocorrelation times long; and every chain moved, or there are
    `LEAST_BLOCKS`."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The two-sided confidence interval, by Student's t of blocks - 1 degrees of freedom.

        Args:
            level: In (0, 1).
        """
        checks.fraction("Observable.interval", "level", level)
        if not math.isfinite(self.std_error):
            return -math.inf, math.inf
        reach = float(student.ppf(0.5 + 0.5 * level, self.blocks - 1)) * self.std_error
        return self.value - reach, self.value + reach


def observe(
    series: np.ndarray, function: Callable[[np.ndarray], np.ndarray] | None = None, *, name: str = "observe"
) -> Observable:
    """A function of the means of some quantities over all chains and draws.

    Args:
        series: [chains, draws] or [chains, draws, quantities], finite, >= 4 draws a chain.
        function: Maps means [..., quantities] to values [...]; None asks for the mean of one quantity.
        name: What messages call it.

    Raises:
        ValueError: The series has another rank, too few draws, or an entry that is not finite.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(4, 1000))
        >>> variance = observe(np.stack([x, x**2], axis=2), lambda a: a[..., 1] - a[..., 0] ** 2)
        >>> low, high = variance.interval()
        >>> low < 1.0 < high, variance.reliable
        (True, True)
    """
    checks.samples(name, "series", series)
    array = np.asarray(series, np.float64)
    if array.ndim not in (2, 3) or array.shape[1] < 4:
        raise ValueError(f"{name}: series must be [chains, draws, ...] with >= 4 draws; got shape {array.shape}.")
    array = array.reshape(*array.shape[:2], -1)
    if function is None:
        if array.shape[2] != 1:
            raise ValueError(f"{name}: function must be given for {array.shape[2]} quantities; got None.")
        function = _only
    chains, draws, _ = array.shape
    means = array.mean(axis=(0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):  # a ratio of nothing is seen, and told as not finite
        value = float(function(means))
    influence = _linearised(array, function, means) if math.isfinite(value) else np.zeros((chains, draws))
    time = autocorrelation_time(influence)
    if not math.isfinite(time):
        return Observable(value, math.inf, time, chains, False)
    moved = bool(np.all(np.any(influence != influence[:, :1], axis=1)))
    # bins are means of many draws, whose noise no longer hides a memory that is slow and weak
    bins = min(draws, BLOCK_TIMES * math.ceil(LEAST_BLOCKS / chains))
    sums, sizes = _blocks(influence[:, :, None], bins)
    binned = (sums[:, 0] / sizes).reshape(chains, bins)
    memory = max(1.0, autocorrelation_time(binned)) if moved else float(bins)  # in bins
    slow = memory * draws / bins * float(np.var(binned) / np.var(influence))
    time = slow if slow > 1.5 * time else time
    each = max(1, round(bins / (BLOCK_TIMES * memory)))
    if chains == 1 and each < 2:
        each = 2
    sums, sizes = _blocks(array, each)
    left_out = function((sums.sum(axis=0) - sums) / (sizes.sum() - sizes)[:, None])
    blocks = len(sizes)
    variance = (blocks - 1) / blocks * float(np.sum((left_out - left_out.mean()) ** 2))
    # a block's end remembers the next one's beginning: where memory fades as an exponential, by half of it
    missed = 0.0 if each == 1 else min(0.5, 0.5 * (memory - 1.0 / memory) * each / bins)
    reliable = (moved or chains >= LEAST_BLOCKS) and (each == 1 or bins >= each * 0.5 * BLOCK_TIMES * memory)
    return Observable(value, math.sqrt(variance / (1.0 - missed)), time, blocks, reliable)


def autocorrelation_time(series: np.ndarray) -> float:
    """1 + 2 sum of the autocorrelations of one quantity [chains, draws], in draws, chains that disagree counting in.

    Infinite where nothing moved; all draws of a chain where some chain did not move.
    """
    moved = np.any(series != series[:, :1], axis=1)
    if np.all(series == series[0, 0]):
        return math.inf
    if not np.all(moved):
        return float(series.shape[1])
    return series.size / float(array_stats.ess(series, method="mean", chain_axis=0, draw_axis=1))


def _linearised(array: np.ndarray, function: Callable, means: np.ndarray) -> np.ndarray:
    """sum_a df/da (a - mean a) at the means, [chains, draws]: what the error of the function is made of."""
    steps = 1e-3 * array.std(axis=(0, 1)) + 1e-300
    shifts = np.diag(steps)  # one quantity at a time
    slopes = (function(means + shifts) - function(means - shifts)) / (2.0 * steps)
    return (array - means) @ slopes


def _blocks(array: np.ndarray, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums [blocks, quantities] and sizes [blocks] of `each` blocks a chain, whose sizes differ by one at most."""
    chains, draws, quantities = array.shape
    starts = np.arange(each) * draws // each
    sums = np.add.reduceat(array, starts, axis=1).reshape(chains * each, quantities)
    return sums, np.tile(np.diff(np.append(starts, draws)), chains).astype(np.float64)


def _only(means: np.ndarray) -> np.ndarray:
    return means[..., 0]
