"""A warm-up for the kernels of blackjax: a diagonal mass by Stan's windows, then one step size by dual averaging.

Source: Stan Development Team (2024), Stan Reference Manual, MCMC sampling, Automatic parameter tuning (the windows, as
    `blackjax.window_adaptation` keeps them); Hoffman and Gelman (2014), jmlr.org/papers/v15/hoffman14a.html.
What differs: every chain runs windows of its own; the mean of their inverse masses and one step size serve all chains.
Leaves nothing invariant while it runs: mass and step are frozen at its end, and what was drawn before is to be thrown
away. Cost: that of its steps. Fails where chains that have not left their starts are averaged with those that have.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from energax.core import AbstractEnergy, Chains, Cond, Key, checks
from energax.numerics.random import chain_keys

from .adaptation import warm_up
from .blackjax import Blackjax, relaxed
from .chains import admit, num_chains, traced


def window_warm_up(
    key: Key,
    sampler: Blackjax,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_steps: int,
    target: float = 0.8,
    cond: Cond = None,
) -> tuple[Blackjax, Chains]:
    """Finds a diagonal mass and a step size -> (the kernel with both frozen, chains).

    Three quarters of the steps are Stan's windows (blackjax's `window_adaptation`) in every chain of its own; the mean
    of the chains' inverse masses is then kept, and the last quarter is `warm_up` of the one step size under it. What
    was drawn before is to be thrown away.

    Args:
        key: One typed key; it is used up.
        sampler: A kernel with a step size, its first guess, and a mass: `nuts`, `multinomial_hmc`, `adjusted_mclmc`.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` or an earlier call.
        num_steps: Steps in all, >= 40; some hundreds.
        target: Acceptance to reach, in (0, 1).
        cond: What the energy is conditioned on, one row a chain.

    Raises:
        ValueError: as `warm_up`, or the kernel has no mass.

    Example:
        >>> from energax.samplers import init_chains, nuts
        >>> scale = jnp.array([0.1, 10.0])
        >>> energy = lambda x: 0.5 * jnp.sum((x / scale) ** 2)
        >>> chains = init_chains(nuts(0.1), energy, jnp.zeros((4, 2)))
        >>> kernel, chains = window_warm_up(jax.random.key(0), nuts(0.1), energy, chains, 400)
        >>> mass = kernel.parameters["inverse_mass_matrix"]
        >>> 1000 < float(mass[1] / mass[0]) < 100_000
        True
    """
    checks.count("window_warm_up", "num_steps", num_steps, least=40)
    checks.fraction("window_warm_up", "target", target)
    if not {"step_size", "inverse_mass_matrix"} <= set(getattr(sampler, "parameters", ())):
        raise ValueError(
            f"window_warm_up.sampler must be a kernel of blackjax with a mass; got {type(sampler).__name__}."
        )
    energy = admit("window_warm_up", key, energy, chains, cond)
    windows, rest = jax.random.split(key)
    last = num_steps // 4
    sampler, chains = _windows(traced(sampler), windows, energy, chains, num_steps - last, target, cond)
    return warm_up(rest, sampler, energy, chains, last, target, cond)


@eqx.filter_jit
def _windows(sampler, key, energy, chains, num_steps, target, cond):
    import blackjax

    init, kernel = sampler.build(**dict(sampler.options))
    others = {name: p for name, p in sampler.parameters.items() if name not in ("step_size", "inverse_mass_matrix")}

    def named(key, state, log_density, step_size, inverse_mass, **others):
        return kernel(key, state, log_density, step_size=step_size, inverse_mass_matrix=inverse_mass, **others)

    def one(key, x, cond):
        closed = energy if cond is None else energy.given(cond)
        adaptation = blackjax.window_adaptation(
            _Algorithm(init, lambda: named),
            lambda x: -closed(x),
            initial_step_size=sampler.step_size,
            target_acceptance_rate=target,
            adaptation_info_fn=lambda *_: None,
            **others,
        )
        found = adaptation.run(key, x, num_steps)[0]
        return found.state.position, found.parameters["step_size"], found.parameters["inverse_mass_matrix"]

    xs = chains.states.x
    with relaxed():
        moved, steps, masses = jax.vmap(one)(chain_keys(key, num_chains(chains)), xs, cond)
    tuned = {"step_size": jnp.exp(jnp.mean(jnp.log(steps))), "inverse_mass_matrix": jnp.mean(masses, axis=0)}
    frozen = Blackjax(sampler.build, sampler.parameters | tuned, sampler.options, sampler.adjusted)
    moved = jax.tree.map(lambda new, old: new.astype(old.dtype), moved, xs)
    return frozen, Chains(jax.vmap(lambda x, c: frozen.init(energy if c is None else energy.given(c), x))(moved, cond))


class _Algorithm(NamedTuple):
    """What blackjax's adaptations take for an algorithm."""

    init: Callable
    build_kernel: Callable
