"""Equilibrium draws at points of a path, and MBAR over them.

Source: Shirts and Chodera (2008), doi:10.1063/1.2978177, with states along a path as in Kirkwood (1935),
doi:10.1063/1.1749657. Differs: each chain starts from an exact sample of the base and walks through all nodes, led from
one to the next by small steps in half its burn-in, so that the draws of one chain are one group and the error bar, over
groups, needs no autocorrelation time.
Estimates log Z of the target; the base is the first node, the target the last. Cost: per chain,
`num_nodes` * (`burn_in` + `num_draws` * `thin`) steps; energies of all draws at all nodes.
Fails: as `thermodynamic_integration`, by chains that lag behind their node or miss a mode; it has no error of
quadrature, but nodes too far apart do not overlap (`MBAR.overlap`).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax.core import AbstractPath, AbstractSampler, Key, checks
from energax.numerics.random import chain_keys
from energax.samplers import advance, init_chains
from energax.samplers.chains import traced

from . import doors
from .ais import level
from .mbar import MBAR, mbar
from .pilot import at_step_size

_CAREFUL = 0.1  # of the step size, on the way to a node


def mbar_along(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    *,
    nodes: Array | np.ndarray,
    step_sizes: Array | np.ndarray | None = None,
    num_chains: int = 64,
    num_draws: int = 20,
    thin: int = 4,
    burn_in: int = 50,
) -> MBAR:
    """Draws at every node of the path by chains that walk through them, and solves MBAR; log Z = -`delta_f[-1]`.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        sampler: A kernel that leaves each node's density exactly invariant.
        nodes: Points of the path, strictly increasing from 0 to 1.
        step_sizes: One step size for each node after the first; None for the sampler's own.
        num_chains: Independent chains, >= 2; the error bar is as good as their number.
        num_draws: Draws of a chain at each node, >= 1.
        thin: Steps between them, >= 1.
        burn_in: Steps before them, >= 1, half of them on the way from the last node.

    Raises:
        ValueError: An argument is out of range, the sampler is unadjusted, or the energy does not return a scalar.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), Gaussian(jnp.ones(1), 0.5))
        >>> found = mbar_along(jax.random.key(0), path, MALA(0.2), nodes=np.linspace(0.0, 1.0, 5))
        >>> bool(abs(found.delta_f[-1] + float(path.target.log_z())) < 4 * found.std_errors[-1])
        True
    """
    dtype = doors.run("mbar_along", key, path, sampler, num_chains, 1)
    for name, value in (("num_draws", num_draws), ("thin", thin), ("burn_in", burn_in)):
        checks.count("mbar_along", name, value)
    kept = doors.schedule("mbar_along", nodes)
    steps = None if step_sizes is None else jnp.asarray(doors.moves("mbar_along", step_sizes, len(kept) - 1), dtype)
    energies = _energies(
        key, path, traced(sampler, dtype), jnp.asarray(kept, dtype), steps, num_chains, num_draws, thin, burn_in
    )
    counts = np.full(len(kept), num_chains * num_draws)
    chain = np.tile(np.repeat(np.arange(num_chains), num_draws), len(kept))
    return mbar(np.asarray(energies, np.float64), counts, groups=chain)


def node_energies(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    nodes: Float[Array, " nodes"],
    step_sizes: Float[Array, " moves"] | None,
    num_chains: int,
    num_draws: int,
    thin: int,
    burn_in: int,
) -> Float[Array, "nodes draws"]:
    """Energies at every node of all draws, in the order node, chain, draw; pure.

    The first node's draws are exact and independent samples of the base.
    """
    start, walk, first = jax.random.split(key, 3)
    xs = jax.vmap(path.base.sample)(chain_keys(start, num_chains))
    exact = jax.vmap(path.base.sample)(chain_keys(first, num_chains * num_draws))
    chains = init_chains(sampler, path.at(0.0), xs)
    # in the tail of a steeper density every long step is refused, and a chain that is dropped there stands for ever
    ramp = burn_in // 2
    shares = (jnp.arange(1, ramp + 1) / max(ramp, 1)).astype(nodes.dtype)

    def at_node(chains, k):
        energy, kernel = path.at(nodes[k + 1]), at_step_size(sampler, step_sizes, k)
        careful = kernel if step_sizes is None else at_step_size(sampler, _CAREFUL * step_sizes, k)
        lead, settle, go = jax.random.split(jax.random.fold_in(walk, k), 3)

        def between(chains, j):
            s = nodes[k] + (nodes[k + 1] - nodes[k]) * shares[j]
            return advance(jax.random.fold_in(lead, j), careful, path.at(s), chains, 1)[0], None

        chains, _ = jax.lax.scan(between, chains, jnp.arange(ramp))
        chains, _ = advance(settle, kernel, energy, chains, burn_in - ramp)

        def draw(chains, key):
            chains, _ = advance(key, kernel, energy, chains, thin)
            return chains, chains.states.x

        chains, xs = jax.lax.scan(draw, chains, jax.random.split(go, num_draws))
        return chains, jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), xs)

    _, xs = jax.lax.scan(at_node, chains, jnp.arange(nodes.shape[0] - 1))
    rest = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[3:]), xs)
    every = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), exact, rest)
    return jax.lax.map(lambda s: jax.vmap(lambda x: level(path, s, x))(every), nodes)


_energies = eqx.filter_jit(node_energies)
