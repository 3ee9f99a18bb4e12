"""Maximum likelihood with the exact log Z: the yardstick that every other rule is held against.

Source: the identity grad(-log p) = E_data grad E - E_model grad E, Ackley, Hinton and Sejnowski (1985), A learning
    algorithm for Boltzmann machines, doi:10.1207/s15516709cog0901_7, eq. (8). What differs: the model's expectation is
    taken exactly, by differentiating the log of a sum over all states or over nodes of a quadrature.
Exact gradient of the negative log-likelihood of the batch, to the error of the quadrature. Cost: an energy a
node, differentiated once: for samples of one or two numbers, or discrete ones of few states.
Fails nowhere it can be afforded; the model's mass outside the nodes is not seen.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, checks

from .negatives import check_energy


class ExactLikelihood(AbstractObjective):
    """mean E(data) + log sum over nodes of weight exp(-E(node)): the negative log-likelihood in nats.

    Carries no state. Metrics: `log_z` of the model, `energy_data`, and `gap`, mean E(data) - E_model E.

    Args:
        nodes: All states, or the nodes of a quadrature, on axis 0; each is one sample. `box_nodes` makes a grid.
        log_weights: log of each node's weight [nodes]; None is 0: a sum over states.

    Raises:
        ValueError: There is no node, or the weights are not as many as the nodes.

    Example:
        >>> from energax.energies import standard_normal
        >>> rule = ExactLikelihood(*box_nodes(((-8.0, 8.0),), 200))
        >>> loss, (_, metrics) = rule(jax.random.key(0), standard_normal(1), None, {"x": jnp.zeros((8, 1))})
        >>> round(float(metrics["log_z"]), 4), round(float(metrics["gap"]), 4)
        (0.9189, -0.5)
    """

    nodes: PyTree
    log_weights: Float[Array, " nodes"] | None = None

    def __check_init__(self):
        sizes = {leaf.shape[0] if jnp.ndim(leaf) else 0 for leaf in jax.tree.leaves(self.nodes)}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(f"ExactLikelihood.nodes must hold samples on axis 0, at least one; got sizes {sizes}.")
        if self.log_weights is not None and self.log_weights.shape != tuple(sizes):
            raise ValueError(
                f"ExactLikelihood.log_weights must be one a node, {sizes}; got shape {self.log_weights.shape}."
            )

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("ExactLikelihood", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        nodes = jax.lax.stop_gradient(self.nodes)
        energies = jax.vmap(model)(nodes)
        logs = -energies if self.log_weights is None else jax.lax.stop_gradient(self.log_weights) - energies
        log_z = jax.nn.logsumexp(logs)
        energy_data = jnp.mean(jax.vmap(model)(batch["x"]))
        energy_model = jnp.sum(jnp.exp(logs - log_z) * energies)
        metrics = {"log_z": log_z, "energy_data": energy_data, "gap": energy_data - energy_model}
        return energy_data + log_z, (None, metrics)


def box_nodes(
    box: tuple[tuple[float, float], ...], points: int
) -> tuple[Float[Array, "nodes axes"], Float[Array, " nodes"]]:
    """Midpoints of a grid of `points` cells an axis over a box, and the log of a cell's volume for each.

    Args:
        box: (low, high) of each axis, in the units of x.
        points: Cells an axis, >= 1.

    Raises:
        ValueError: An axis does not rise, or `points` is no integer >= 1.
    """
    checks.count("box_nodes", "points", points)
    if any(not low < high for low, high in box):
        raise ValueError(f"box_nodes.box must be (low, high) with low < high for each axis; got {box}.")
    axes = [low + (high - low) * (np.arange(points) + 0.5) / points for low, high in box]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(box))
    volume = np.prod([(high - low) / points for low, high in box])
    return jnp.asarray(nodes, jnp.float32), jnp.full(len(nodes), np.log(volume), jnp.float32)
