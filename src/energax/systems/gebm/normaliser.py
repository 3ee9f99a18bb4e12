"""The normaliser of the regularised energy over embeddings, in closed form: it is a Gaussian mixture.

With an affine head, logits W h + b, and T = 1 the evidence is e_c(h) = b_c + w_c.h - gamma m'_c(h), and exp(-E_ind) is
an unnormalised mixture whose component c has mean mu_c + S_c w_c / (2 gamma k_c) and covariance S_c / (2 gamma k_c):

    log Z = log sum_c exp[ b_c - gamma (l_lo,c - k_c m_lo,c) + w_c.mu_c + w_c.S_c w_c / (4 gamma k_c)
                           + (dim / 2) log(pi / (gamma k_c)) + (1/2) log det S_c ].

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, claims that the regularised energy is
integrable; the formula is ours, a Gaussian integral a class.
What differs: this is the statement for embeddings. Over the data it needs besides that |h(x)| grows along almost every
ray; where all hidden units are dead on a set of rays of positive measure the energy stays bounded there, and the
integral diverges for any gamma.
Exact for every gamma > 0; for gamma = 0 there is no normaliser. Cost: O(classes dim^2).
"""

import numpy as np
from scipy.special import logsumexp

from energax import checks

from .regulariser import ClassGaussians
from .scale import ScaleMatch


def log_normaliser(
    gaussians: ClassGaussians, match: ScaleMatch, weight: np.ndarray, bias: np.ndarray, gamma: float = 1.0
) -> float:
    """log of the integral of exp(-E_ind(h)) over all embeddings h, nats.

    Args:
        gaussians: Of the classes.
        match: The scales of distances and logits.
        weight: W of the head, [classes, dim].
        bias: b of the head, [classes].
        gamma: Weight of the regulariser, > 0.

    Raises:
        ValueError: `gamma` is not > 0, or the head is not finite or has another shape than the means.

    Example:
        >>> one = np.ones(1)
        >>> unit = ClassGaussians(np.zeros((1, 1)), 0.5 * np.ones((1, 1)))  # e = -h^2 / 0.5 / 2: a standard normal
        >>> match = ScaleMatch(0 * one, 4 * one, 0 * one, one)  # slope 1/4, so e = -h^2 / 2
        >>> found = log_normaliser(unit, match, np.zeros((1, 1)), np.zeros(1))
        >>> bool(abs(found - 0.5 * np.log(2 * np.pi)) < 1e-12)
        True
    """
    checks.positive("log_normaliser", "gamma", gamma, ndim=0)
    w = checks.array("log_normaliser", "weight", weight, ndim=2)
    b = checks.array("log_normaliser", "bias", bias, ndim=1)
    if w.shape != gaussians.means.shape or b.shape != w.shape[:1]:
        raise ValueError(
            f"log_normaliser: weight must have shape {gaussians.means.shape} and bias one entry a class; "
            f"got {w.shape} and {b.shape}."
        )
    scale = gamma * match.slope
    s = gaussians.covariances
    full = s if s.ndim == 3 else np.stack([np.diag(row) for row in s])
    terms = b - gamma * (match.logit_low - match.slope * match.distance_low)
    terms = terms + np.sum(w * gaussians.means, axis=1)
    terms = terms + np.einsum("cd,cde,ce->c", w, full, w) / (4.0 * scale)
    terms = terms + 0.5 * w.shape[1] * np.log(np.pi / scale) + 0.5 * np.linalg.slogdet(full)[1]
    return float(logsumexp(terms))
