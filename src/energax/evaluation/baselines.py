"""The densities that an energy must beat: full Gaussian, Gaussian mixture and kernel density, fitted on the same data.

Source: Bishop (2006), Pattern recognition and machine learning, sections 2.3, 9.2 and 2.5.1; fitted by scikit-learn.
Each is normalised, so its held-out likelihood is exact: a figure for an energy without these beside it says little, and
on some sets they win. All are densities of the *noisy* data, as the energy is, and the noise enters in closed form as
noise^2 on every covariance, not as one random draw, which would cost the mixture 17 nats on 8x8 digits.
Cost: a mixture of k full covariances takes O(k n dim^2) a pass; the kernel density O(n m dim) to score m points. Fails:
a mixture with many components overfits a small set (30 on 1,437 digits lose 15 nats to 10).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.mixture import GaussianMixture

from energax.core import checks

from .rows import as_rows

_BANDWIDTHS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class GaussianBaseline:
    """N(mean, factor factor^T) over flattened samples, in the units of x."""

    mean: np.ndarray
    factor: np.ndarray

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """log p of each row, nats, [n]."""
        rows = as_rows("GaussianBaseline", "x", x, least=1)
        white = solve_triangular(self.factor, (rows - self.mean).T, lower=True)
        log_det = np.log(np.diag(self.factor)).sum()
        return -0.5 * np.sum(white**2, axis=0) - log_det - 0.5 * len(self.mean) * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class MixtureBaseline:
    """A Gaussian mixture with full covariances over flattened samples."""

    mixture: GaussianMixture

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """log p of each row, nats, [n]."""
        return self.mixture.score_samples(as_rows("MixtureBaseline", "x", x, least=1))


@dataclass(frozen=True)
class KernelBaseline:
    """A Gaussian kernel density: the mean over `centres` of N(centre, bandwidth^2 I)."""

    centres: np.ndarray
    bandwidth: float

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """log p of each row, nats, [n]; 1,000 rows at a time, so memory is O(1000 centres)."""
        rows = as_rows("KernelBaseline", "x", x, least=1)
        blocks = [_kernel_log_prob(rows[i : i + 1000], self.centres, self.bandwidth) for i in range(0, len(rows), 1000)]
        return np.concatenate(blocks)


Baseline = GaussianBaseline | MixtureBaseline | KernelBaseline
_SINGULAR = 1e-12


def fit_gaussian(train: np.ndarray, *, noise: float = 0.0) -> GaussianBaseline:
    """Mean and full covariance of the training samples, with the noise added in closed form.

    Args:
        train: [n, ...], finite.
        noise: Standard deviation of the dequantisation noise, units of x, >= 0.

    Raises:
        ValueError: The covariance is singular: more columns than samples, or a constant one, without noise.

    Example:
        >>> train = np.random.default_rng(0).normal(size=(200, 2))
        >>> fit_gaussian(train).factor.round(2).tolist()  # of the covariance, by Cholesky
        [[0.98, 0.0], [0.05, 1.01]]
    """
    rows = _clean("fit_gaussian", train, noise, 0)
    covariance = np.atleast_2d(np.cov(rows.T)) + noise**2 * np.eye(rows.shape[1])
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    # what is left of a column's variance given those before it: rounding may leave a little of nothing
    if np.any(np.diag(factor) ** 2 <= _SINGULAR * np.diag(covariance)):
        raise ValueError(
            f"fit_gaussian.noise must be > 0 for these samples, whose covariance is singular; got {noise:g}."
        )
    return GaussianBaseline(rows.mean(axis=0), factor)


def fit_mixture(
    train: np.ndarray, num_components: int = 10, *, noise: float = 0.0, seed: int = 0, num_starts: int = 1
) -> MixtureBaseline:
    """A Gaussian mixture by EM on the training samples, noise^2 added to each covariance in every M step.

    Args:
        train: [n, ...], finite.
        num_components: >= 1 and at most n.
        noise: Standard deviation of the dequantisation noise, units of x, >= 0.
        seed: Of the starts.
        num_starts: EM runs, the best kept, >= 1.

    Raises:
        ValueError: A count is out of range.

    Example:
        >>> train = np.random.default_rng(0).normal(size=(200, 2))
        >>> fit_mixture(train, 2).mixture.means_.shape
        (2, 2)
    """
    rows = _clean("fit_mixture", train, noise, seed)
    checks.count("fit_mixture", "num_components", num_components)
    checks.count("fit_mixture", "num_starts", num_starts)
    if num_components > len(rows):
        raise ValueError(f"fit_mixture.num_components must be at most {len(rows)}, the samples; got {num_components}.")
    added = max(noise**2, 1e-6 * float(np.mean(np.var(rows, axis=0))))
    mixture = GaussianMixture(num_components, random_state=seed, n_init=num_starts, reg_covar=added, max_iter=300)
    return MixtureBaseline(mixture.fit(rows))


def fit_kernel(
    train: np.ndarray,
    *,
    noise: float = 0.0,
    seed: int = 0,
    bandwidths: tuple[float, ...] = _BANDWIDTHS,
    num_folds: int = 5,
) -> KernelBaseline:
    """A Gaussian kernel density on the training samples; the bandwidth wins a cross-validation on noisy left-out ones.

    The kernel is N(0, noise^2 + b^2), so b is the smoothing beyond the noise.

    Args:
        train: [n, ...], finite.
        noise: Standard deviation of the dequantisation noise, units of x, >= 0.
        seed: Of noise and folds.
        bandwidths: Candidates for b in units of the root mean square spread of a column, >= 0 (> 0 without noise).
        num_folds: >= 2.

    Raises:
        ValueError: A number is out of range, or every sample is the same.

    Example:
        >>> train = np.random.default_rng(0).normal(size=(200, 2))
        >>> round(fit_kernel(train, bandwidths=(0.2, 0.5, 1.0)).bandwidth, 2)
        0.5
    """
    rows = _clean("fit_kernel", train, noise, seed)
    checks.count("fit_kernel", "num_folds", num_folds, 2)
    checks.non_negative("fit_kernel", "bandwidths", np.asarray(bandwidths))
    spread = math.sqrt(float(np.mean(np.var(rows, axis=0))))
    checks.positive("fit_kernel", "spread of train", spread)
    candidates = np.sqrt(noise**2 + (np.array(bandwidths) * spread) ** 2)
    candidates = candidates[candidates > 0]
    checks.count("fit_kernel", "number of positive bandwidths", len(candidates))
    rng = np.random.default_rng([seed, 1])
    fold = rng.permutation(len(rows)) % num_folds
    noisy = rows + noise * rng.standard_normal(rows.shape)
    scores = np.zeros(len(candidates))
    for held in range(num_folds):
        squares = euclidean_distances(noisy[fold == held], rows[fold != held], squared=True)
        scores += [_kernel_from_squares(squares, h, rows.shape[1]).sum() for h in candidates]
    return KernelBaseline(rows, float(candidates[np.argmax(scores)]))


def fit_baselines(
    train: np.ndarray,
    *,
    noise: float = 0.0,
    seed: int = 0,
    num_components: int = 10,
    names: Sequence[str] | None = None,
) -> dict[str, Baseline]:
    """The three under the names that reports use: gaussian, gmm<k>, kde; or those of `names`, in its order.

    Raises:
        ValueError: A name is not one of the three.

    Example:
        >>> train = np.random.default_rng(0).normal(size=(200, 2))
        >>> list(fit_baselines(train, num_components=2))
        ['gaussian', 'gmm2', 'kde']
    """
    fits: dict[str, Callable[[], Baseline]] = {
        "gaussian": lambda: fit_gaussian(train, noise=noise),
        f"gmm{num_components}": lambda: fit_mixture(train, num_components, noise=noise, seed=seed),
        "kde": lambda: fit_kernel(train, noise=noise, seed=seed),
    }
    for name in names or ():
        if name not in fits:
            raise ValueError(f"fit_baselines.names must be of {', '.join(fits)}; got {name!r}.")
    return {name: fits[name]() for name in (fits if names is None else names)}


def held_out_nll(baseline: Baseline, x: np.ndarray) -> dict[str, float]:
    """{"nll_test", "nll_test_se"}: exact mean of -log p over held-out samples and its standard error, nats.

    Example:
        >>> train = np.random.default_rng(0).normal(size=(200, 2))
        >>> found = held_out_nll(fit_gaussian(train[:100]), train[100:])
        >>> 2.5 < found["nll_test"] < 3.2, sorted(found)
        (True, ['nll_test', 'nll_test_se'])
    """
    losses = -baseline.log_prob(x)
    return {"nll_test": float(losses.mean()), "nll_test_se": float(losses.std(ddof=1) / math.sqrt(len(losses)))}


def _kernel_log_prob(rows: np.ndarray, centres: np.ndarray, bandwidth: float) -> np.ndarray:
    return _kernel_from_squares(euclidean_distances(rows, centres, squared=True), bandwidth, centres.shape[1])


def _kernel_from_squares(squares: np.ndarray, bandwidth: float, dim: int) -> np.ndarray:
    norm = math.log(squares.shape[1]) + 0.5 * dim * math.log(2.0 * math.pi * bandwidth**2)
    return logsumexp(squares * (-0.5 / bandwidth**2), axis=1) - norm


def _clean(owner: str, train: np.ndarray, noise: float, seed: int) -> np.ndarray:
    checks.non_negative(owner, "noise", noise)
    checks.count(owner, "seed", seed, 0)
    return as_rows(owner, "train", train)
