"""Thermodynamic integration: log Z as an integral of the mean slope of the energy along a path.

Source: Kirkwood (1935), Statistical mechanics of fluid mixtures, doi:10.1063/1.1749657, eq. (8); Gelman and Meng
(1998), Simulating normalizing constants, doi:10.1214/ss/1028905934, section 3.
Estimates Delta F = integral_0^1 E_s[dE_s/ds] ds, at Gauss-Legendre nodes. Differs: each chain starts from an exact
sample of the base and walks through all nodes in turn, so that every chain makes an estimate of its own, independent of
the others, and the error bar needs no autocorrelation time.
Cost: per chain, `num_nodes` * (`burn_in` + `num_draws`) steps and `num_nodes` * `num_draws` slopes; memory is
O(chains), one compilation.
Fails, and the error bar sees neither: a chain that lags behind its node biases the slope (`drift` shows the worst of
it), and `num_nodes` nodes integrate exactly only slopes that are polynomials of degree 2 * `num_nodes` - 1, which
underestimates a sharp rise at an end (compare two numbers of nodes). A mode that no chain reaches is missing, as in
`ais`.
"""

import math
from typing import NamedTuple

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
from .pilot import at_step_size, tune_path


class ThermodynamicResult(NamedTuple):
    """What one thermodynamic integration found, on the host in float64.

    Attributes:
        delta_f: F_1 - F_0 = -log(Z_1 / Z_0), nats; the base being normalised, log Z_1 = -delta_f.
        std_error: Standard error of `delta_f` over independent chains, nats.
        drift: How much `delta_f` changed from the first to the second half of each node's draws, in standard errors of
            that change; beyond 3 or so the chains had not settled, and `burn_in` is too short.
        nodes: The s of each node, in (0, 1).
        slopes: Mean dE/ds at each node, nats.
        slope_errors: Standard error of each slope over chains, nats.
        acceptance: Mean acceptance at each node, in [0, 1].
        chain_values: The estimate of each chain, nats.
    """

    delta_f: float
    std_error: float
    drift: float
    nodes: np.ndarray
    slopes: np.ndarray
    slope_errors: np.ndarray
    acceptance: np.ndarray
    chain_values: np.ndarray


def thermodynamic_integration(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    *,
    num_chains: int = 64,
    num_nodes: int = 12,
    num_draws: int = 100,
    burn_in: int = 100,
    step_sizes: Array | np.ndarray | None = None,
    pilot_chains: int = 64,
    target_acceptance: float = 0.65,
) -> ThermodynamicResult:
    """Integrates the mean slope of the energy along the path with independent chains.

    Delta F = sum_k v_k mean[dE_s/ds(x)], x ~ exp(-E_s), s = s_k, with Gauss-Legendre nodes s_k and weights v_k on
    [0, 1].

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        sampler: A kernel that leaves each temperature's density exactly invariant (MALA, HMC; ULA is refused).
        num_chains: Independent chains, >= 2; the error bar is as good as their number.
        num_nodes: Gauss-Legendre nodes, >= 2.
        num_draws: Steps at each node whose slopes count, >= 2.
        burn_in: Steps at each node before those, >= 1.
        step_sizes: One step size for each node [num_nodes]; then there is no pilot.
        pilot_chains: Chains of the pilot run that chooses a step size for each node, >= 8; 0 for the sampler's own.
        target_acceptance: What the pilot aims at, in (0, 1).

    Returns:
        The estimate with its errors; NaN or infinite where a chain met a slope that is.

    Raises:
        ValueError: An argument is out of range, the sampler is unadjusted, or the energy does not return a scalar.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> target = Gaussian(jnp.ones(1), jnp.full(1, 0.5))
        >>> path = GeometricPath(standard_normal(1), target)
        >>> found = thermodynamic_integration(jax.random.key(0), path, MALA(0.5), num_draws=50)
        >>> abs(found.delta_f + float(target.log_z())) < 4 * found.std_error
        True
    """
    owner = "thermodynamic_integration"
    dtype = doors.run(owner, key, path, sampler, num_chains, 1)
    for name, value, least in (("num_nodes", num_nodes, 2), ("num_draws", num_draws, 2), ("burn_in", burn_in, 1)):
        checks.count(owner, name, value, least)
    pilot_key, start_key, walk_key = jax.random.split(key, 3)
    nodes, weights = _gauss_legendre(num_nodes)
    _, tuned = tune_path(
        pilot_key,
        path,
        sampler,
        betas=np.concatenate([[0.0], nodes, [1.0]]),
        step_sizes=None if step_sizes is None else np.append(doors.moves(owner, step_sizes, num_nodes), 1.0),
        num_chains=pilot_chains,
        target_acceptance=target_acceptance,
        owner=owner,
    )
    steps = None if tuned is None else jnp.asarray(tuned[:num_nodes], dtype)
    halves, acceptance = _walk(
        start_key, walk_key, path, traced(sampler, dtype), jnp.asarray(nodes, dtype), steps, num_chains, num_draws,
        burn_in,
    )  # fmt: skip
    return _summarise(nodes, weights, np.asarray(halves, np.float64), np.asarray(acceptance, np.float64), num_draws)


@eqx.filter_jit
def _walk(
    start_key: Key,
    walk_key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    nodes: Float[Array, " nodes"],
    step_sizes: Float[Array, " nodes"] | None,
    num_chains: int,
    num_draws: int,
    burn_in: int,
) -> tuple[Float[Array, "nodes two chains"], Float[Array, " nodes"]]:
    """-> (mean slope of each chain over the first and the second half of the draws, mean acceptance)."""
    xs = jax.vmap(path.base.sample)(chain_keys(start_key, num_chains))
    chains = init_chains(sampler, path.at(0.0), xs)
    early = num_draws // 2

    def at_node(chains, k):
        energy, kernel = path.at(nodes[k]), at_step_size(sampler, step_sizes, k)
        settle, first, second = jax.random.split(jax.random.fold_in(walk_key, k), 3)
        chains, _ = advance(settle, kernel, energy, chains, burn_in)

        def draw(carry, key):
            chains, total = carry
            chains, info = advance(key, kernel, energy, chains, 1)
            return (chains, total + slope(path, nodes[k], chains.states.x)), jnp.mean(info.acceptance)

        zero = jnp.zeros(num_chains, nodes.dtype)
        (chains, one), accepted = jax.lax.scan(draw, (chains, zero), jax.random.split(first, early))
        (chains, two), later = jax.lax.scan(draw, (chains, zero), jax.random.split(second, num_draws - early))
        means = jnp.stack([one / early, two / (num_draws - early)])
        return chains, (means, jnp.mean(jnp.concatenate([accepted, later])))

    _, (halves, acceptance) = jax.lax.scan(at_node, chains, jnp.arange(nodes.shape[0]))
    return halves, acceptance


def slope(path: AbstractPath, s: Float[Array, ""], xs: Array) -> Float[Array, " chains"]:
    """dE_s(x)/ds of every chain, nats: forward-mode, so any path will do."""
    return jax.vmap(lambda x: jax.jvp(lambda t: path.at(t)(x), (s,), (jnp.ones_like(s),))[1])(xs)


def _gauss_legendre(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]; the weights sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(num)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def _summarise(
    nodes: np.ndarray, weights: np.ndarray, halves: np.ndarray, acceptance: np.ndarray, num_draws: int
) -> ThermodynamicResult:
    """Chains are the unit: whatever is correlated lies within one of them."""
    early, root = num_draws // 2, math.sqrt(halves.shape[2])
    by_node = (early * halves[:, 0] + (num_draws - early) * halves[:, 1]) / num_draws
    values, change = weights @ by_node, weights @ (halves[:, 1] - halves[:, 0])
    moved, noise = float(np.mean(change)), float(np.std(change, ddof=1)) / root
    return ThermodynamicResult(
        delta_f=float(np.mean(values)),
        std_error=float(np.std(values, ddof=1)) / root,
        drift=moved / noise if noise != 0.0 else 0.0 if moved == 0.0 else math.inf,
        nodes=nodes,
        slopes=by_node.mean(axis=1),
        slope_errors=by_node.std(axis=1, ddof=1) / root,
        acceptance=acceptance,
        chain_values=values,
    )
