"""A graph posterior network: class densities of a flow, spread over the graph, are the evidence of a Dirichlet a node.

    z = encoder(x),   beta_c = scale * p(z | c) p(c),   alpha = 1 + PPR beta,   uncertainty = -sum_c alpha_c

PPR is personalised PageRank.

Source: Stadler, Charpentier, Geisler, Zügner and Günnemann (2021), Graph posterior network, arXiv:2110.14012, eqs. (3)
to (7); Charpentier, Zügner and Günnemann (2020), arXiv:2006.09239, for the loss; Rezende and Mohamed (2015),
arXiv:1505.05770, eq. (14), for radial flows.
What differs: no warm-up of the flow, and the rate and early stopping of `training`.
Cost: a step runs over all nodes, since the evidence of each travels 10 steps.
Fails where the encoder maps what it never saw onto what it knows: its features were learnt for labels.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln
from jaxtyping import Array, Float, Int, Scalar

from energax.core import Key
from energax.data import Graph
from energax.networks import Adjacency, normalised_adjacency

from .training import DROPOUT, WIDTH, diverged, padded, stopped_early

LATENT, FLOWS, STEPS, TELEPORT, BOUND, ENTROPY = 16, 10, 10, 0.1, 30.0, 1e-4


class PosteriorNetwork(eqx.Module):
    """An encoder of two layers, and radial flows for every class.

    Args:
        dim: Number of features.
        classes: Number of classes.
        key: Draws the initial weights.
    """

    weight_in: Float[Array, "dim width"]
    bias_in: Float[Array, " width"]
    weight_out: Float[Array, "width latent"]
    bias_out: Float[Array, " latent"]
    centres: Float[Array, "classes flows latent"]
    widths: Float[Array, "classes flows"]
    strengths: Float[Array, "classes flows"]

    def __init__(self, dim: int, classes: int, *, key: Key):
        first, second, third = jax.random.split(key, 3)
        glorot = jax.nn.initializers.glorot_uniform()
        self.weight_in, self.bias_in = glorot(first, (dim, WIDTH)), jnp.zeros(WIDTH)
        self.weight_out, self.bias_out = glorot(second, (WIDTH, LATENT)), jnp.zeros(LATENT)
        side = 1.0 / np.sqrt(LATENT)
        self.centres = jax.random.uniform(third, (classes, FLOWS, LATENT), minval=-side, maxval=side)
        self.widths, self.strengths = jnp.zeros((classes, FLOWS)), jnp.zeros((classes, FLOWS))

    def latent(self, x: Float[Array, "nodes dim"], key: Key | None) -> Float[Array, "nodes latent"]:
        """z of every node; with dropout where there is a key."""
        hidden = jax.nn.relu(x @ self.weight_in + self.bias_in[None])
        if key is not None:
            hidden = jnp.where(jax.random.bernoulli(key, 1.0 - DROPOUT, hidden.shape), hidden / (1.0 - DROPOUT), 0.0)
        return hidden @ self.weight_out + self.bias_out[None]

    def log_densities(self, z: Float[Array, " latent"]) -> Float[Array, " classes"]:
        """log p(z | c) of one node."""
        return jax.vmap(_log_density, (0, 0, 0, None))(self.centres, self.widths, self.strengths, z)

    def concentrations(
        self, x: Float[Array, "nodes dim"], a: Adjacency, log_prior: Float[Array, " classes"], key: Key | None = None
    ) -> Float[Array, "nodes classes"]:
        """alpha of every node."""
        logs = jax.vmap(self.log_densities)(self.latent(x, key)) + log_prior[None]
        scaled = logs + 0.5 * LATENT * float(np.log(4.0 * np.pi))
        beta = jnp.exp(jnp.clip(scaled, -BOUND, BOUND))
        spread = beta
        for _ in range(STEPS):
            spread = (1.0 - TELEPORT) * a(spread) + TELEPORT * beta
        return 1.0 + spread


def _log_density(
    centres: Float[Array, "flows latent"], widths: Float[Array, " flows"], strengths: Float[Array, " flows"],
    z: Float[Array, " latent"],
) -> Scalar:  # fmt: skip
    """log of a standard normal pulled back through radial flows z <- z + b h (z - z0), h = 1 / (a + |z - z0|)."""

    def flow(carry, leaves):
        z, log_det = carry
        centre, width, strength = leaves
        a = jax.nn.softplus(width)
        b = jax.nn.softplus(strength) - a  # b > -a keeps it invertible
        away = z - centre
        r = jnp.sqrt(jnp.sum(away**2) + 1e-12)
        h = 1.0 / (a + r)
        log_det = log_det + (len(z) - 1) * jnp.log1p(b * h) + jnp.log1p(b * h - b * h**2 * r)
        return (z + b * h * away, log_det), None

    (z, log_det), _ = jax.lax.scan(flow, (z, jnp.zeros((), z.dtype)), (centres, widths, strengths))
    return -0.5 * jnp.sum(z**2) - 0.5 * len(z) * float(np.log(2.0 * np.pi)) + log_det


class _Data(eqx.Module):
    """A training graph on the device, padded as those of `training`; weights of the nodes in both losses."""

    x: Float[Array, "nodes dim"]
    a: Adjacency
    log_prior: Float[Array, " classes"]
    y: Int[Array, " nodes"]
    train: Float[Array, " nodes"]
    validation: Float[Array, " nodes"]


def train_posterior_network(
    graph: Graph, train: np.ndarray, validation: np.ndarray, seed: int
) -> tuple[PosteriorNetwork, np.ndarray]:
    """(the network, log of the class shares among the labelled nodes).

    Args:
        graph: Without the foreign nodes.
        train: Booleans [nodes].
        validation: Booleans [nodes].
        seed: Of weights and dropout.

    Raises:
        DivergenceError: A validation loss is not finite.
    """
    counts = np.bincount(graph.y[train], minlength=graph.classes)
    log_prior = np.log(counts / counts.sum()).astype(np.float32)
    more = padded(len(graph)) - len(graph)
    a = normalised_adjacency(graph.edge_index, len(graph))
    lack = padded(len(a.weights)) - len(a.weights)
    senders, receivers, weights = (jnp.pad(part, (0, lack)) for part in (a.senders, a.receivers, a.weights))
    wide = Adjacency(senders, receivers, weights, len(graph) + more)
    shares = (np.pad(mask / mask.sum(), (0, more)).astype(np.float32) for mask in (train, validation))
    x, y = np.pad(graph.x, ((0, more), (0, 0))), np.pad(graph.y, (0, more))
    data = _Data(jnp.asarray(x), wide, jnp.asarray(log_prior), jnp.asarray(y), *map(jnp.asarray, shares))
    net, broken = _train(jax.random.key(seed), data)
    if int(broken):
        raise diverged("train_posterior_network", 0, int(broken))
    return net, log_prior


def total_evidence(net: PosteriorNetwork, log_prior: np.ndarray, graph: Graph) -> np.ndarray:
    """sum_c alpha_c of every node, [nodes]."""
    a = normalised_adjacency(graph.edge_index, len(graph))
    return np.asarray(_concentrations(net, jnp.asarray(graph.x), a, jnp.asarray(log_prior)).sum(axis=1))


@eqx.filter_jit
def _concentrations(net: PosteriorNetwork, x: Array, a: Adjacency, log_prior: Array) -> Array:
    return net.concentrations(x, a, log_prior)


@eqx.filter_jit
def _train(key: Key, data: _Data) -> tuple[PosteriorNetwork, Int[Array, ""]]:
    start, noise = jax.random.split(key)
    net = PosteriorNetwork(data.x.shape[1], len(data.log_prior), key=start)

    def at(net: PosteriorNetwork, weights: Array, key: Key | None) -> Scalar:
        alpha = net.concentrations(data.x, data.a, data.log_prior, key)
        return jnp.sum(weights * uncertain_cross_entropy(alpha, data.y))

    return stopped_early(
        net, noise, lambda net, key: at(net, data.train, key), lambda net: at(net, data.validation, None)
    )


def uncertain_cross_entropy(alpha: Float[Array, "nodes classes"], y: Int[Array, " nodes"]) -> Float[Array, " nodes"]:
    """E_Dir(alpha)[-log p_y] - 1e-4 H[Dir(alpha)] of every node, nats."""
    total = jnp.sum(alpha, axis=1)
    cross = digamma(total) - digamma(jnp.take_along_axis(alpha, y[:, None], axis=1)[:, 0])
    classes = alpha.shape[1]
    log_beta = jnp.sum(gammaln(alpha), axis=1) - gammaln(total)
    spread = (total - classes) * digamma(total) - jnp.sum((alpha - 1.0) * digamma(alpha), axis=1)
    return cross - ENTROPY * (log_beta + spread)
