"""Block Gibbs: all hidden units given the visible ones, then all visible units given the hidden ones.

Source: Smolensky (1986), Information processing in dynamical systems: foundations of harmony theory, in Parallel
    distributed processing, volume 1, chapter 6; Hinton (2002), Training products of experts by minimizing contrastive
    divergence, doi:10.1162/089976602760128018, sec. 2.
What differs: any bipartite energy, whatever its layers hold (bits, one-hot, real numbers). The chain is that of the
    visible units: hidden ones are drawn anew in every step and not kept.
Leaves p(v) ~ exp(-E(v)) exactly invariant, E(v) the free energy of the visible units (detailed balance: the hidden draw
is the same on the way back). Cost: two matrix-vector products a step, the energy at its start among them. Fails by
staying in one mode where the weights are strong; temper the joint energy (`energy.at_beta(beta)`).
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractBipartiteEnergy, AbstractEnergy, AbstractSampler, Key, X


class BlockGibbsState(NamedTuple):
    """The visible units; nothing is cached."""

    x: X


class BlockGibbsInfo(NamedTuple):
    """Free energy before the step [nats]; acceptance is 1, there is no test; whether the energy was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class BlockGibbs(AbstractSampler):
    """One step is h ~ p(h | v), v ~ p(v | h).

    Raises:
        ValueError: The energy is not bipartite. `beta * rbm` is none: it tempers the free energy, and its layers are no
            more independent given each other; `rbm.at_beta(beta)` tempers the joint energy and is.

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
        _bipartite(energy)
        return BlockGibbsState(x)

    def refresh(self, energy: AbstractEnergy, state: BlockGibbsState) -> BlockGibbsState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: BlockGibbsState) -> tuple[BlockGibbsState, BlockGibbsInfo]:
        energy = _bipartite(energy)
        up, down = jax.random.split(key)
        value = energy(state.x)  # asks p(h | v) for what the next line asks: it is computed once
        x = energy.sample_visible(down, energy.sample_hidden(up, state.x))
        finite = jnp.isfinite(value)
        x = jax.tree.map(lambda new, old: jnp.where(finite, new, old), x, state.x)
        return BlockGibbsState(x), BlockGibbsInfo(value, finite.astype(value.dtype), ~finite)


def _bipartite(energy: AbstractEnergy) -> AbstractBipartiteEnergy:
    if not isinstance(energy, AbstractBipartiteEnergy):
        raise ValueError(
            f"BlockGibbs: energy must be an AbstractBipartiteEnergy; got {type(energy).__name__}. "
            "An inverse temperature enters as rbm.at_beta(beta), and not as beta * rbm, which is not bipartite."
        )
    return energy
