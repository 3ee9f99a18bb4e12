"""Annealed importance sampling run backwards, from samples of the target to the base: an upper bound on log Z.

Source: Grosse, Ghahramani and Adams (2015), Sandwiching the marginal likelihood using bidirectional Monte Carlo,
arXiv:1511.02543, section 3; Burda, Grosse and Salakhutdinov (2015), Accurate and conservative estimates of MRF
log-likelihood, arXiv:1412.8566.
Estimates 1 / Z without bias, E[w] = Z_base / Z_target, so -log mean w is at or above log Z in expectation, IF the
starts are exact samples of the target. Neither paper's case is the usual one here: chains after long burn-in are nearly
such samples, and data are not samples of the model at all. Started from data, the figure bounds nothing (it has been
seen below the forward one): it is then a check of agreement, which `start` records and `bracket` says in words.
Cost and memory: as the forward run.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax.core import AbstractPath, AbstractSampler, Key, X
from energax.samplers import advance, init_chains
from energax.samplers.chains import traced

from . import doors
from .ais import AISResult, add_work, summarise, target_energies, work
from .pilot import at_step_size, tuned

_STARTS = ("exact", "chains", "data")


def reverse_ais(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    xs: X,
    *,
    start: str,
    num_temperatures: int | None = None,
    betas: Array | np.ndarray | None = None,
    schedule: str = "tuned",
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
    pilot_chains: int = 64,
    target_acceptance: float = 0.65,
) -> AISResult:
    """Walks the forward run's path backwards from `xs`, one chain for each.

    log w = sum_k [E_{s_{k+1}}(x_k) - E_{s_k}(x_k)],  x_k ~ T_{s_{k+1}}(x_{k+1}, .),  x_K = xs,  log Zhat = -log mean w.

    Args:
        key: One typed key.
        path: The forward run's path.
        sampler: The forward run's sampler (a reversible kernel makes this its exact reversal; any invariant one keeps
            E[w] right).
        xs: Samples of the target, chains on axis 0, >= 2 of them, in the coordinates of the path.
        start: What `xs` are: "exact" samples of the target, the ends of long "chains", or "data".
        num_temperatures: As in `ais`.
        betas: As in `ais`; give the forward run's.
        schedule: As in `ais`.
        step_sizes: As in `ais`; give the forward run's.
        steps_per_temperature: As in `ais`.
        pilot_chains: As in `ais`.
        target_acceptance: As in `ais`.

    Raises:
        ValueError: An argument is out of range, or `xs` are not finite samples shaped like the base's.

    Example:
        >>> import jax
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> target = Gaussian(jax.numpy.ones(1), jax.numpy.full(1, 0.5))
        >>> xs = jax.vmap(target.sample)(jax.random.split(jax.random.key(1), 128))
        >>> path = GeometricPath(standard_normal(1), target)
        >>> above = reverse_ais(jax.random.key(0), path, MALA(0.5), xs, start="exact", num_temperatures=50)
        >>> abs(float(above.log_z - target.log_z())) < 4 * float(above.std_error)
        True
    """
    if start not in _STARTS:
        raise ValueError(f"reverse_ais.start must be one of {', '.join(_STARTS)}; got {start!r}.")
    doors.starts("reverse_ais", path, xs)
    num_chains = int(jax.tree.leaves(xs)[0].shape[0])
    dtype = doors.run("reverse_ais", key, path, sampler, num_chains, steps_per_temperature)
    pilot_key, walk_key, boot_key = jax.random.split(key, 3)
    betas, step_sizes = tuned(
        dtype, pilot_key, path, sampler, num_temperatures=num_temperatures, betas=betas, schedule=schedule,
        step_sizes=step_sizes, steps_per_temperature=steps_per_temperature, num_chains=pilot_chains,
        target_acceptance=target_acceptance, owner="reverse_ais",
    )  # fmt: skip
    xs = jax.tree.map(jnp.asarray, xs)
    kernel = traced(sampler, dtype)
    log_weights, x, acceptance = _reverse(walk_key, path, kernel, xs, betas, step_sizes, steps_per_temperature)
    energy = target_energies(path, betas, xs)
    return summarise(
        boot_key,
        log_weights,
        x=x,
        energy=energy,
        acceptance=acceptance,
        betas=betas,
        step_sizes=step_sizes,
        direction="reverse",
        start=start,
        reversible=sampler.reversible,
    )


def reverse_weights(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    xs: X,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    steps_per_temperature: int,
) -> tuple[Float[Array, " chains"], X, Float[Array, " moves"]]:
    """The bare reverse run from target samples `xs` (chains on axis 0); pure, the mirror of `annealed_weights`.

    Returns:
        Log weights (nats, mean weight 1 / Z), final positions near the base, mean acceptance of each move.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), Gaussian(jnp.ones(1), jnp.full(1, 0.5)))
        >>> xs = 1.0 + 0.5 * jax.random.normal(jax.random.key(1), (64, 1))
        >>> betas = jnp.linspace(0.0, 1.0, 11)
        >>> log_weights, x, acceptance = reverse_weights(jax.random.key(0), path, MALA(0.3), xs, betas, None, 1)
        >>> log_weights.shape, x.shape, acceptance.shape
        ((64,), (64, 1), (10,))
    """
    chains = init_chains(sampler, path.at(betas[-1]), xs)
    log_weights = jnp.zeros(jax.tree.leaves(xs)[0].shape[0], betas.dtype)

    def move(carry, k):
        chains, log_weights = carry
        # Mirror image: first the move at the temperature where the chain stands, then the weight of leaving it.
        kernel = at_step_size(sampler, step_sizes, k)
        chains, info = advance(jax.random.fold_in(key, k), kernel, path.at(betas[k + 1]), chains, steps_per_temperature)
        log_weights = add_work(log_weights, work(path, betas[k + 1], betas[k], chains.states.x))
        return (chains, log_weights), jnp.mean(info.acceptance)

    order = jnp.arange(betas.shape[0] - 2, -1, -1)
    (chains, log_weights), acceptance = jax.lax.scan(move, (chains, log_weights), order)
    return log_weights, chains.states.x, acceptance


_reverse = eqx.filter_jit(reverse_weights)
