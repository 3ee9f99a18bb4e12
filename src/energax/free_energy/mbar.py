"""MBAR: the free energies of many states at once from samples of any of them, and expectations in all of them.

Source: Shirts and Chodera (2008), Statistically optimal analysis of samples from multiple equilibrium states,
doi:10.1063/1.2978177, eqs (8), (11), (13); the same estimator: Kong, McCullagh, Meng, Nicolae and Tan (2003), A theory
of statistical models for Monte Carlo integration, doi:10.1111/1467-9868.00404.
Estimates F_k - F_0 for every state, consistently and with the least asymptotic variance of all estimators that see
these energies only; with two states it is BAR. What differs: damped Newton steps on the convex negative log-likelihood,
of which a handful suffice; the covariance deflates the gauge direction exactly, so that no cut-off of small singular
values is chosen; samples that come in dependent groups (the draws of one chain) get a covariance over groups.
Cost: K N exponentials a Newton step and one singular value decomposition of an N by K matrix, float64, on the host.
Fails: where two sets of states do not overlap (`overlap` nearly blocks) the likelihood is flat between them: the error
bar is then huge and the estimate means nothing; correlated draws without `groups` make the error too small; a mode that
no sample met is missing, and nothing here shows it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array
from scipy.special import logsumexp

from energax.core import checks

_MOST_STEPS = 500
_CLOSE = 1e-13  # relative size of the last Newton step
_LEVEL = 1e-8  # gradient there, as a share of all samples


@dataclass(frozen=True, eq=False)
class MBAR:
    """Free energies of K states from N samples.

    Attributes:
        delta_f: F_k - F_0 = -log(Z_k / Z_0), nats [K]; the first is 0.
        covariance: Of `delta_f`, nats^2 [K, K]; its first row and column are 0.
        overlap: How much of state i's mass the samples of state j share, rows sum to 1 [K, K]: blocks that hardly
            touch mean that their free energies are not connected by the data.
        log_weights: log W of each sample in each state, the weights of a state summing to 1 [K, N].
        counts: Samples drawn from each state, integers [K].
        groups: The group of each sample, integers [N], if the error bars are over groups; else None.
        num_steps: Newton steps that were made.
    """

    delta_f: np.ndarray
    covariance: np.ndarray
    overlap: np.ndarray
    log_weights: np.ndarray
    counts: np.ndarray
    groups: np.ndarray | None
    num_steps: int

    @property
    def std_errors(self) -> np.ndarray:
        """Standard error of each `delta_f`, nats [K]."""
        return np.sqrt(np.diag(self.covariance))

    def difference(self, start: int, end: int) -> tuple[float, float]:
        """F_end - F_start and its standard error, nats.

        Raises:
            ValueError: A state is no number of one.
        """
        start, end = self._state(start), self._state(end)
        c = self.covariance
        variance = c[start, start] + c[end, end] - 2 * c[start, end]
        return float(self.delta_f[end] - self.delta_f[start]), math.sqrt(max(float(variance), 0.0))

    def expectation(self, values: Array | np.ndarray, state: int) -> tuple[float, float]:
        """The mean of a function in one state, and its standard error.

        Args:
            values: A(x_n) at every sample [N].
            state: Number of the state, 0 to K - 1; none of the samples need be its own.

        Raises:
            ValueError: `values` is no vector of N finite numbers, or `state` is no number of a state.
        """
        state = self._state(state)
        values = np.asarray(values)
        checks.samples("MBAR", "values", values, ndim=1)
        if len(values) != self.log_weights.shape[1]:
            raise ValueError(f"MBAR.values must hold {self.log_weights.shape[1]} numbers; got {len(values)}.")
        weights, values = np.exp(self.log_weights), values.astype(np.float64)
        mean = float(weights[state] @ values)
        pull = weights[state] * (values - mean)
        return mean, math.sqrt(max(float(_covariance(weights, self.counts, pull[:, None], self.groups)[0, 0]), 0.0))

    def _state(self, number: int) -> int:
        if checks.count("MBAR", "state", number, 0) >= len(self.counts):
            raise ValueError(f"MBAR.state must be 0 to {len(self.counts) - 1}; got {number}.")
        return int(number)


def mbar(
    energies: Array | np.ndarray,
    counts: Array | np.ndarray | Sequence[int],
    *,
    groups: Array | np.ndarray | None = None,
) -> MBAR:
    """Solves f_i = -log sum_n e^{-E_i(x_n)} / sum_k N_k e^{f_k - E_k(x_n)} for all states at once, f_0 = 0.

    Args:
        energies: E_k(x_n) of every sample in every state, nats [K >= 2, N]; samples in the order of the states they
            were drawn from. +inf is a point outside a state's support.
        counts: How many of the samples each state gave, integers >= 0 that sum to N [K]; a state may have none.
        groups: Which samples belong together, any integers [N] (the chain each was drawn by); error bars are then over
            groups, of which there must be >= 2. None takes all samples for independent.

    Raises:
        ValueError: Shapes do not fit, an energy is NaN or -inf, a sample lies outside its own state's support, a state
            has no finite energy at all, or fewer than two groups are given.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> widths = np.array([1.0, 0.7, 0.5])
        >>> x = np.concatenate([width * rng.normal(size=500) for width in widths])
        >>> found = mbar(0.5 * (x / widths[:, None]) ** 2, [500, 500, 500])
        >>> abs(float(found.delta_f[2]) - np.log(2)) < 4 * found.std_errors[2]
        np.True_
    """
    energies, counts = _checked(energies, counts)
    label = None if groups is None else _groups(groups, energies.shape[1])
    free, num_steps = _solve(energies, counts)
    log_weights = free[:, None] - energies - _log_mixture(energies, counts, free)
    weights = np.exp(log_weights)
    from_first = (weights[0] - weights).T
    return MBAR(
        delta_f=free - free[0],
        covariance=_covariance(weights, counts, from_first, label),
        overlap=(weights @ weights.T) * counts,
        log_weights=log_weights,
        counts=counts,
        groups=label,
        num_steps=num_steps,
    )


def _checked(energies: Array | np.ndarray, counts: Array | np.ndarray | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    energies, counts = np.asarray(energies), np.asarray(counts)
    if energies.ndim != 2 or energies.shape[0] < 2 or not np.issubdtype(energies.dtype, np.floating):
        raise ValueError(
            f"mbar.energies must be a floating matrix of >= 2 states by samples; got shape {energies.shape}, "
            f"dtype {energies.dtype}."
        )
    energies = energies.astype(np.float64)
    if counts.shape != (len(energies),) or not np.issubdtype(counts.dtype, np.integer) or np.any(counts < 0):
        raise ValueError(f"mbar.counts must be {len(energies)} integers >= 0, one for each state; got {counts}.")
    if counts.sum() != energies.shape[1] or counts.sum() < 2:
        raise ValueError(f"mbar.counts must sum to the {energies.shape[1]} >= 2 samples; got a sum of {counts.sum()}.")
    bad = np.argwhere(np.isnan(energies) | (energies == -np.inf))
    if len(bad):
        at = tuple(int(i) for i in bad[0])
        raise ValueError(f"mbar.energies must be finite or +inf; got {energies[at]} at {at}.")
    own = energies[np.repeat(np.arange(len(counts)), counts), np.arange(energies.shape[1])]
    if not np.all(np.isfinite(own)):
        raise ValueError(
            f"mbar.energies must be finite at every sample's own state; got +inf at sample {np.argmax(own == np.inf)}: "
            "are the samples in the order of the states?"
        )
    if not np.all(np.isfinite(energies).any(axis=1)):
        empty = int(np.argmin(np.isfinite(energies).any(axis=1)))
        raise ValueError(f"mbar.energies must hold a finite energy of every state; got none of state {empty}.")
    return energies, counts.astype(np.int64)


def _groups(groups: Array | np.ndarray, num: int) -> np.ndarray:
    label = np.asarray(groups)
    if label.shape != (num,) or not np.issubdtype(label.dtype, np.integer):
        raise ValueError(
            f"mbar.groups must be integers of shape ({num},), one for each sample; got {label.dtype} {label.shape}."
        )
    names, numbered = np.unique(label, return_inverse=True)
    if len(names) < 2:
        raise ValueError("mbar.groups must name at least 2 groups; got 1.")
    return numbered


def _log_mixture(energies: np.ndarray, counts: np.ndarray, free: np.ndarray) -> np.ndarray:
    """log sum_k N_k e^{f_k - E_k(x_n)} of every sample [N]."""
    drawn = counts > 0
    return logsumexp((np.log(counts[drawn]) + free[drawn])[:, None] - energies[drawn], axis=0)


def _solve(energies: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, int]:
    """-> (free energies up to a constant [K], Newton steps): those of drawn states minimise a convex function."""
    drawn = np.flatnonzero(counts)
    sub, num = energies[drawn], counts[drawn].astype(np.float64)
    # a state's free energy is near its own samples' middle energy: this takes out offsets of any size
    ends = np.cumsum(counts[drawn])
    own = [sub[k, end - n : end] for k, (end, n) in enumerate(zip(ends, counts[drawn], strict=True))]
    free = np.array([np.median(each) for each in own])

    def loss(f: np.ndarray) -> tuple[float, np.ndarray]:
        mixture = _log_mixture(sub, counts[drawn], f)
        return float(np.sum(mixture - num @ f / num.sum())), mixture

    value, mixture = loss(free)
    for num_steps in range(1, _MOST_STEPS + 1):
        share = np.exp((np.log(num) + free)[:, None] - sub - mixture)  # of each state in each sample
        gradient = share.sum(axis=1) - num
        move = np.zeros_like(free)
        if len(drawn) > 1:
            hessian = np.diag(share.sum(axis=1)) - share @ share.T
            # the first state stands still: that is the gauge
            move[1:] = -np.linalg.lstsq(hessian[1:, 1:], gradient[1:], rcond=None)[0]
        size, slope = 1.0, float(gradient @ move)
        tiny = 1e-14 * float(np.sum(np.abs(mixture)) + np.abs(free) @ num)  # rounding, however the terms cancel
        while (trial := loss(free + size * move))[0] > value + 1e-4 * size * slope + tiny and size > 1e-10:
            size *= 0.5
        small = np.max(np.abs(move)) <= _CLOSE * max(1.0, float(np.max(np.abs(free))))
        # where states do not overlap yet the loss is a slope without curvature, along which Newton's step is 0
        ended = small and np.max(np.abs(gradient)) <= _LEVEL * num.sum()
        if not ended and (small or size <= 1e-10):  # the fixed point of eq. (11) never climbs
            move, size = -np.log(np.maximum(share.sum(axis=1), np.finfo(float).tiny) / num), 1.0
            trial = loss(free + move)
        free, (value, mixture) = free + size * move, trial
        if ended:
            whole = np.zeros(len(energies))
            whole[drawn] = free
            return -logsumexp(-energies - _log_mixture(energies, counts, whole), axis=1), num_steps
    raise ValueError(
        f"mbar.energies must connect the states; got ones for which {_MOST_STEPS} Newton steps find no minimum."
    )


def _covariance(weights: np.ndarray, counts: np.ndarray, pulls: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Covariance of functionals whose derivative in the samples' masses at fixed free energies is `pulls` [N, m].

    With W the weights [N, K], the free energies' own response makes the influence of the samples (1 - W N W')^+ pulls;
    eq. (8) is pulls' (1 - W N W')^+ pulls. Every column of `pulls` sums to 0.
    """
    left, size, right = np.linalg.svd(weights.T, full_matrices=False)
    inner = size[:, None] * right
    core = np.eye(len(size)) - (inner * counts) @ inner.T
    # W N 1 = 1 makes (1, .., 1) the null vector whatever the data; pulls are orthogonal to it, so lifting it is free
    lifted = left.sum(axis=0)
    value, vector = np.linalg.eigh(core + np.outer(lifted, lifted) / len(left))
    along = left.T @ pulls
    answer = vector @ ((vector.T @ along) / np.maximum(value, np.finfo(float).eps)[:, None])
    influence = pulls + left @ (answer - along)
    if groups is None:
        covariance = pulls.T @ influence
    else:
        state = np.repeat(np.arange(len(counts)), counts)
        for k in np.flatnonzero(counts):
            influence[state == k] -= influence[state == k].mean(axis=0)
        num = int(groups.max()) + 1
        totals = np.zeros((num, pulls.shape[1]))
        np.add.at(totals, groups, influence)
        covariance = totals.T @ totals * (num / (num - 1))
    return 0.5 * (covariance + covariance.T)
