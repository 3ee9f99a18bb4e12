"""Laws of bits fitted to the training samples: what any energy of bits must beat, each with an exact log-likelihood.

Source: the mixture of Bernoulli products by EM, McLachlan and Peel (2000), Finite mixture models,
doi:10.1002/0471721182, section 5.4; its starts are the responsibilities of k-means.
What differs: a pseudo-count in every M step, so that no chance is 0 or 1.
Exact: log p of any row. Cost: rows times bits times components, a round of EM. Fails as EM does, at a local optimum.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.cluster import KMeans

from energax.core import checks

from .rows import as_rows


@dataclass(frozen=True)
class BitMixture:
    """sum_k weights_k prod_i chances_ki^x_i (1 - chances_ki)^(1 - x_i) over flattened bits; with one k, a product."""

    weights: np.ndarray
    chances: np.ndarray

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """log p of each row of bits, nats, [n]."""
        return logsumexp(self.log_terms(as_rows("BitMixture", "x", x, least=1)), axis=1)

    def log_terms(self, rows: np.ndarray) -> np.ndarray:
        """log of weight times chance, of every row and component [n, k]."""
        ones, zeros = np.log(self.chances), np.log1p(-self.chances)
        return np.log(self.weights) + rows @ ones.T + (1.0 - rows) @ zeros.T


def fit_bits(train: np.ndarray) -> BitMixture:
    """Independent bits at the base rates of the training samples, with one pseudo-count of each value.

    Args:
        train: Bits in {0, 1}, [n, ...].

    Raises:
        ValueError: A value is neither 0 nor 1.

    Example:
        >>> fit_bits(np.array([[1.0, 0.0], [1.0, 1.0]])).chances.tolist()
        [[0.75, 0.5]]
    """
    rows = _bits("fit_bits", train)
    return BitMixture(np.ones(1), ((rows.sum(axis=0) + 1.0) / (len(rows) + 2.0))[None])


def fit_bit_mixture(train: np.ndarray, num_components: int = 10, *, seed: int = 0, num_rounds: int = 100) -> BitMixture:
    """A mixture of products of bits by EM, one pseudo-count of each value in every component.

    Args:
        train: Bits in {0, 1}, [n, ...].
        num_components: >= 1 and at most n.
        seed: Of the start.
        num_rounds: Rounds of EM, >= 1.

    Raises:
        ValueError: A value is neither 0 nor 1, or a count is out of range.

    Example:
        >>> train = np.repeat(np.array([[0.0, 0.0], [1.0, 1.0]]), 50, axis=0)
        >>> fit_bit_mixture(train, 2).log_prob(np.array([[1.0, 1.0]])).round(2).tolist()  # near log 1/2
        [-0.73]
    """
    rows = _bits("fit_bit_mixture", train)
    checks.count("fit_bit_mixture", "num_components", num_components)
    checks.count("fit_bit_mixture", "num_rounds", num_rounds)
    if num_components > len(rows):
        raise ValueError(
            f"fit_bit_mixture.num_components must be at most {len(rows)}, the samples; got {num_components}."
        )
    first = KMeans(num_components, n_init=1, random_state=seed).fit(rows).labels_
    shares = np.eye(num_components)[first]
    for _ in range(num_rounds):
        counts = shares.sum(axis=0)
        mixture = BitMixture(
            (counts + 1.0) / (len(rows) + num_components), (shares.T @ rows + 1.0) / (counts[:, None] + 2.0)
        )
        logs = mixture.log_terms(rows)
        shares = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    return mixture


def fit_bit_baselines(train: np.ndarray, *, seed: int = 0, names: Sequence[str] | None = None) -> dict[str, BitMixture]:
    """Both under the names that reports use, bits and bmm10; or those of `names`, in its order.

    Raises:
        ValueError: A name is not one of the two, or a value is neither 0 nor 1.

    Example:
        >>> list(fit_bit_baselines(np.eye(12)))
        ['bits', 'bmm10']
    """
    fits = {"bits": lambda: fit_bits(train), "bmm10": lambda: fit_bit_mixture(train, 10, seed=seed)}
    for name in names or ():
        if name not in fits:
            raise ValueError(f"fit_bit_baselines.names must be of {', '.join(fits)}; got {name!r}.")
    return {name: fits[name]() for name in (fits if names is None else names)}


def _bits(owner: str, train: np.ndarray) -> np.ndarray:
    rows = as_rows(owner, "train", train)
    if not np.all((rows == 0) | (rows == 1)):
        raise ValueError(f"{owner}.train must hold bits, 0 or 1; got {rows[(rows != 0) & (rows != 1)][0]:g}.")
    return rows
