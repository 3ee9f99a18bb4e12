"""Three energies of every node from its evidence for the classes, and their sum: high is uncertain.

    independent  E_ind(i) = -T log sum_c exp(e_ic / T)
    local        E_loc(i) = -T log sum_c exp((D e)_ic / T)     diffuse, then marginalise: conflicting neighbours cancel
    group        E_grp(i) = (D E_ind)_i                        marginalise, then diffuse: smooths over a cluster

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, the energies at three structural scales, as
the reference code computes them: "sum" by default; "logsumexp", a soft maximum, is its other aggregation.
Exact: E_loc >= E_grp at every node, with equality where the neighbourhood's evidence agrees up to a constant a node,
since log-sum-exp is convex and D averages; the gap measures conflict. Without edges all three are equal.
Cost: the diffusion of `classes + 1` columns.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from energax import checks

from .arrays import log_sum_exp, matrix, one_step
from .diffusion import diffuse

AGGREGATIONS = ("sum", "logsumexp")


class GraphEnergies(NamedTuple):
    """Energies of all nodes, each float64 [nodes]; high is uncertain.

    Attributes:
        total: The weighted three together: GEBM.
        independent: Of the node alone.
        local: Of the diffused evidence.
        group: The diffused energy.
    """

    total: np.ndarray
    independent: np.ndarray
    local: np.ndarray
    group: np.ndarray


def graph_energies(
    evidence: Any,
    step: sparse.csr_array,
    *,
    steps: int = 10,
    temperature: float = 1.0,
    weights: Sequence[float] = (1.0, 1.0, 1.0),
    aggregation: str = "sum",
) -> GraphEnergies:
    """The three energies and what they come to.

    Args:
        evidence: e_ic, minus the energy of node i and class c, finite, [nodes, classes].
        step: One step of the diffusion, as `walk` makes it.
        steps: Their number, >= 0.
        temperature: T > 0.
        weights: Of independent, local and group, each >= 0; one with weight 0 is left out.
        aggregation: "sum" of weight times energy, or "logsumexp" of it.

    Raises:
        ValueError: The evidence is not finite or not of the nodes of `step`, a weight is negative or all are 0, or an
            option is not known or out of range.

    Example:
        >>> from energax.systems.gebm import walk
        >>> e = np.log(np.array([[1.0, 3.0], [3.0, 1.0]]))  # certain of opposite classes
        >>> found = graph_energies(e, walk(np.array([[0, 1], [1, 0]]), 2))
        >>> bool(found.local[0] > found.group[0])
        True
    """
    checks.positive("graph_energies", "temperature", temperature, ndim=0)
    w = np.asarray(weights)
    if w.shape != (3,) or w.dtype.kind not in "fiu" or not np.isfinite(w).all() or w.min() < 0 or w.max() == 0:
        raise ValueError(f"graph_energies.weights must be three numbers >= 0, not all 0; got {weights!r}.")
    if aggregation not in AGGREGATIONS:
        raise ValueError(f"graph_energies.aggregation must be one of {', '.join(AGGREGATIONS)}; got {aggregation!r}.")
    step = one_step("graph_energies", step)
    evidence = np.asarray(matrix("graph_energies", "evidence", evidence, rows=step.shape[0]), np.float64)
    independent = -temperature * log_sum_exp(evidence / temperature)
    spread = diffuse(step, np.column_stack([evidence, independent]), steps)  # one pass over the edges for both
    local = -temperature * log_sum_exp(spread[:, :-1] / temperature)
    group = spread[:, -1]
    kept = [weight * part for weight, part in zip(w, (independent, local, group), strict=True) if weight > 0]
    total = np.sum(kept, axis=0) if aggregation == "sum" else log_sum_exp(np.stack(kept, axis=1))
    return GraphEnergies(total, independent, local, group)
