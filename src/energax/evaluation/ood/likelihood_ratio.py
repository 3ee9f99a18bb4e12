"""The energy of a model less that of a background: what is left when common structure is taken away.

Source: Ren, Liu, Fertig, Snoek, Poplin, Depristo, Dillon and Lakshminarayanan (2019), Likelihood ratios for
    out-of-distribution detection, arXiv:1906.02845, sec. 3 (the ratio of likelihoods).
What differs: the background is any density or energy of the same x (theirs is the same model, trained on inputs with
random mutations); normalisers are constants and need not be known.
Cost: one subtraction a row. Fails where the background knows what sets the data apart, and where x lies outside both:
then the difference is of two guesses.
"""

from typing import Any

import numpy as np

from energax.core import checks


def likelihood_ratio(energies: Any, background: Any) -> np.ndarray:
    """E(x) - E_background(x), or log p_background - log p up to a constant, [n]; high is unusual.

    Args:
        energies: E(x) of the model, or -log p, in nats, [n], of NumPy, JAX or PyTorch.
        background: The same of the background on the same rows, [n].

    Raises:
        ValueError: A number is not finite, or lengths differ.

    Example:
        >>> likelihood_ratio(np.array([1.0, 5.0]), np.array([0.5, 1.0])).tolist()
        [0.5, 4.0]
    """
    ours = checks.array("likelihood_ratio", "energies", energies, ndim=1)
    theirs = checks.array("likelihood_ratio", "background", background, ndim=1)
    if theirs.shape != ours.shape:
        raise ValueError(
            f"likelihood_ratio: background must be as long as energies, {len(ours)}; got {len(theirs)} numbers."
        )
    return ours - theirs
