"""Typicality: how far a sample's energy lies from the model's usual one, on either side.

Source: Nalisnick, Matsukawa, Teh and Lakshminarayanan (2019), Detecting out-of-distribution inputs to deep generative
    models using typicality, arXiv:1906.02994, sec. 4, algorithm 1.
What differs: energies in the place of -log p (log Z is in both terms and leaves); the bootstrapped threshold is left to
the figures of `detect`, which need none.
Cost: O(n). Fails on single samples whose energy happens to be usual; batches of several samples are told far better.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from energax.core import checks


@dataclass(frozen=True)
class Typicality:
    """The usual energy.

    Attributes:
        usual: Mean energy of the training data, in nats: the model's entropy less log Z where the model is right.
    """

    usual: float

    def score(self, energies: Any) -> np.ndarray:
        """|mean energy of a batch - usual| in nats, >= 0, [n]; high is unusual.

        Args:
            energies: Of single samples, [n], or of n batches, [n, batch]; of NumPy, JAX or PyTorch.

        Raises:
            ValueError: A number is not finite, or the rank is neither 1 nor 2.
        """
        values = checks.array("Typicality.score", "energies", energies)
        if values.ndim > 2:
            raise ValueError(f"Typicality.score: energies must be [n] or [n, batch]; got shape {values.shape}.")
        return np.abs(values.reshape(len(values), -1).mean(axis=1) - self.usual)


def fit_typicality(energies: Any) -> Typicality:
    """The usual energy, from that of training data.

    Args:
        energies: E(x) of training samples, in nats, [n], of NumPy, JAX or PyTorch.

    Raises:
        ValueError: A number is not finite, or there is none.

    Example:
        >>> fit_typicality(np.array([1.0, 3.0])).score(np.array([2.0, 0.0, 5.0])).tolist()
        [0.0, 2.0, 3.0]
    """
    return Typicality(float(checks.array("fit_typicality", "energies", energies, ndim=1).mean()))
