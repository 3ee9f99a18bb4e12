"""Predictions that noise cannot poison: every node hands its neighbours as much evidence as it has density.

    beta_j  = exp(e_j / T), cut to the budget: beta_j <- beta_j min(1, exp(budget) / sum_c beta_jc)
    alpha_i = 1 + sum_j (D beta)_ij,   p_i = alpha_i / sum_c alpha_ic        (a Dirichlet a node)

A node far from the data has beta near 0; it listens and is not heard, whereas averaging features or logits lets one
huge vector decide. The budget keeps a node of the clearest class from drowning the others out.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, the evidential reading of the energy;
Stadler, Charpentier, Geisler, Zügner and Günnemann (2021), Graph posterior network, arXiv:2110.14012, eqs. (3) to (5).
What differs: the reference code has no such predictor; the form is ours, that of a posterior network whose density is
the regularised energy. The budget is ours too.
Cost: that of the diffusion, and one exponential an edge and step: sums are taken relative to the largest neighbour, so
that evidence of exp(-1e9) still votes among its like.
Fails where classes differ in scale and no budget is set: the sharpest class wins everywhere.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from energax import checks

from .arrays import log_sum_exp, matrix, one_step


class EvidentialPrediction(NamedTuple):
    """What the evidence of the neighbourhood says of every node.

    Attributes:
        probabilities: Mean of the Dirichlet, [nodes, classes].
        classes: The likeliest class, int64 [nodes].
        uncertainty: Minus the log of the total evidence, [nodes]; high is uncertain.
        log_evidence: Log of the diffused beta, [nodes, classes]; -inf where there is none.
    """

    probabilities: np.ndarray
    classes: np.ndarray
    uncertainty: np.ndarray
    log_evidence: np.ndarray


def evidential_prediction(
    evidence: Any, step: sparse.csr_array, budget: float = np.inf, *, steps: int = 10
) -> EvidentialPrediction:
    """The Dirichlet of every node.

    Args:
        evidence: e_ic, finite, [nodes, classes]; at a temperature T, e_ic / T.
        step: One step of the diffusion, as `walk` makes it, with loops.
        budget: The most log evidence that a node may hand on, nats; inf for none.
        steps: Number of steps, >= 0.

    Raises:
        ValueError: The evidence is not finite or not of the nodes of `step`, `steps` is out of range, `budget` is no
            number or -inf, or a row of `step` is empty.

    Example:
        >>> from energax.systems.gebm import walk
        >>> e = np.array([[2.0, 0.0], [-900.0, -800.0]])  # the second node is far from everything
        >>> evidential_prediction(e, walk(np.array([[0, 1], [1, 0]]), 2), 2.0).classes
        array([0, 0])
    """
    checks.count("evidential_prediction", "steps", steps, least=0)
    if isinstance(budget, bool) or not isinstance(budget, (int, float, np.number)) or not budget > -np.inf:
        raise ValueError(f"evidential_prediction.budget must be a number or inf; got {budget!r}.")
    step = one_step("evidential_prediction", step)
    if np.diff(step.indptr).min() == 0:
        raise ValueError("evidential_prediction.step must have an entry in every row; got an empty one (loops=False?).")
    beta = np.asarray(matrix("evidential_prediction", "evidence", evidence, rows=step.shape[0]), np.float64)
    beta = beta - np.maximum(log_sum_exp(beta) - budget, 0.0)[:, None]
    for _ in range(steps):
        beta = _log_step(step, beta)
    log_alpha = np.logaddexp(0.0, beta)
    probabilities = np.exp(log_alpha - log_sum_exp(log_alpha)[:, None])
    return EvidentialPrediction(probabilities, beta.argmax(axis=1), -log_sum_exp(beta), beta)


def _log_step(step: sparse.csr_array, log_beta: np.ndarray) -> np.ndarray:
    """log(M exp(log_beta)) without underflow: each row relative to the largest of its neighbours."""
    top = log_beta.max(axis=1)
    largest = np.maximum.reduceat(top[step.indices], step.indptr[:-1])
    weights = step.data * np.exp(top[step.indices] - np.repeat(largest, np.diff(step.indptr)))
    relative = sparse.csr_array((weights, step.indices, step.indptr), shape=step.shape)
    with np.errstate(divide="ignore"):
        return largest[:, None] + np.log(relative @ np.exp(log_beta - top[:, None]))
