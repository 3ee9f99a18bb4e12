"""Block Gibbs: all hidden units given the visible ones, then all visible units given the hidden ones.

Source: Smolensky (1986), Information processing in dynamical systems: foundations of harmony theory, in Parallel
    distributed processing, volume 1, chapter 6; Hinton (2002), Training products of experts by minimizing contrastive
    divergence, doi:10.1162/089976602760128018, sec. 2.
What differs: any bipartite energy, whatever its layers hold (bits, one-hot, real numbers). The chain is that of the
    visible units: hidden ones are drawn anew in every step and not kept.
    `beta * rbm` tempers the free energy and is not bipartite: a step of `rbm.at_beta(beta)`, whose joint energy is
    tempered, is proposed for it and passes a Metropolis test (Hastings (1970), doi:10.1093/biomet/57.1.97, with a
    reversible kernel of another density as proposal), so that any temperature is exact.
Leaves p(v) ~ exp(-E(v)) exactly invariant, E(v) the free energy of the visible units (detailed balance: the hidden draw
is the same on the way back). Cost: two matrix-vector products a step, the energy at its start among them; for
`beta * rbm` four, and as much more by rejection as the two laws differ (`acceptance`): more with many hidden units.
Fails by staying in one mode where the weights are strong; temper the joint energy (`energy.at_beta(beta)`).
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import (
    AbstractBipartiteEnergy,
    AbstractEnergy,
    AbstractSampler,
    Cond,
    Conditioned,
    Key,
    Tempered,
    X,
)
from energax.numerics import random, tree


class BlockGibbsState(NamedTuple):
    """The visible units; nothing is cached."""

    x: X


class BlockGibbsInfo(NamedTuple):
    """Energy before the step [nats]; acceptance, 1 where there is no test; whether the energy was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class BlockGibbs(AbstractSampler):
    """One step is h ~ p(h | v), v ~ p(v | h).

    Takes bipartite energies (`rbm`, `rbm.at_beta(beta)`, `rbm.given(cond)`), exactly and without a test; `beta * a` of
    these and `(beta * a).given(cond)`, with one.

    Raises:
        ValueError: The energy is no such: a sum, or one closed over a condition that `given` of its class does not work
            into the parameters.

    Example:
        >>> from energax.energies import BernoulliRBM
        >>> from energax.samplers import advance, init_chains
        >>> rbm = BernoulliRBM(jnp.zeros((3, 2)), jnp.array([50.0, -50.0, 50.0]), jnp.zeros(2))
        >>> chains = init_chains(BlockGibbs(), rbm, jnp.zeros((2, 3)))
        >>> chains, info = advance(jax.random.key(0), BlockGibbs(), rbm.at_beta(0.5), chains, 1)
        >>> chains.states.x[0].tolist()
        [1.0, 0.0, 1.0]
    """

    reversible: ClassVar[bool] = True

    def init(self, energy: AbstractEnergy, x: X) -> BlockGibbsState:
        _machine_of(energy)
        return BlockGibbsState(x)

    def refresh(self, energy: AbstractEnergy, state: BlockGibbsState) -> BlockGibbsState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: BlockGibbsState) -> tuple[BlockGibbsState, BlockGibbsInfo]:
        machine = _machine_of(energy)
        up, down, *decide = jax.random.split(key, 2 if machine is energy else 3)
        value = energy(state.x)  # asks p(h | v) for what the next line asks: it is computed once
        x = machine.sample_visible(down, machine.sample_hidden(up, state.x))
        finite = jnp.isfinite(value)
        if machine is energy:
            return BlockGibbsState(tree.where(finite, x, state.x)), BlockGibbsInfo(
                value, finite.astype(value.dtype), ~finite
            )
        # a step reversible for exp(-F_beta), proposed for exp(-beta F)
        log_ratio = (value - machine(state.x)) - (energy(x) - machine(x))
        finite = jnp.isfinite(log_ratio)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        x = tree.where(random.uniform(decide[0], acceptance.dtype) < acceptance, x, state.x)
        return BlockGibbsState(x), BlockGibbsInfo(value, acceptance, ~finite)


def _machine_of(energy: AbstractEnergy, cond: Cond = None) -> AbstractBipartiteEnergy:
    """The bipartite model itself, or of `beta * a` and `a.given(cond)` the one whose joint energy is so tempered."""
    if isinstance(energy, Conditioned):
        return _machine_of(energy.base, energy.cond)
    if isinstance(energy, Tempered):
        return _machine_of(energy.base, cond).at_beta(energy.beta)
    closed = energy if cond is None or not isinstance(energy, AbstractBipartiteEnergy) else energy.given(cond)
    if not isinstance(closed, AbstractBipartiteEnergy):
        raise ValueError(
            "BlockGibbs: energy must be an AbstractBipartiteEnergy, closed over a condition by its own `given` if at "
            f"all, or beta * such a one; got {type(energy).__name__}."
        )
    return closed
