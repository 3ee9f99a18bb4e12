"""Independence Metropolis: proposals from a fixed density, wherever the chain is.

Source: Hastings (1970), Monte Carlo sampling methods using Markov chains, doi:10.1093/biomet/57.1.97, sec. 2.5;
    with a learned proposal, Gabrie, Rotskoff and Vanden-Eijnden (2022), Adaptive Monte Carlo augmented with normalizing
    flows, arXiv:2105.12603, eq. (4).
What differs: the proposal is any density that can be drawn and evaluated; a proposal whose energy or density is not
    finite is rejected, and the chain flagged `divergent`. Training it is the caller's: refit it to the chains between
    calls of `advance` (the refresh renews what is cached), and throw away what was drawn before it is frozen.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance). Cost: one energy, one draw and one density a step.
Acceptance is 1 where the proposal is the target. Fails by standing still where the proposal's tails are lighter than
the target's, and by missing what the proposal does not cover: alternate it with a local kernel (`Cycle`).
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractDensity, AbstractEnergy, AbstractSampler, Key, X
from energax.numerics.random import uniform
from energax.numerics.tree import where


class IndependenceState(NamedTuple):
    """Where the chain is, with E(x) and log q(x): `refresh` renews both when the energy or the proposal has changed."""

    x: X
    energy: Scalar
    log_proposal: Scalar


class IndependenceInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, and whether the proposal was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class Independence(AbstractSampler):
    """Proposes y ~ q and accepts with min(1, p(y) q(x) / (p(x) q(y))).

    Args:
        proposal: q, a density of the structure of x.

    Raises:
        ValueError: `proposal` is not a density, or x has not the structure of its samples.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.energies import Gaussian
        >>> energy, sampler = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), Independence(Gaussian(jnp.zeros(3), 1.0))
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> round(float(info.acceptance), 4)
        1.0
    """

    reversible: ClassVar[bool] = True
    proposal: AbstractDensity

    def __check_init__(self):
        if not isinstance(self.proposal, AbstractDensity):
            raise ValueError(f"Independence.proposal must be an AbstractDensity; got {type(self.proposal).__name__}.")

    def init(self, energy: AbstractEnergy, x: X) -> IndependenceState:
        return IndependenceState(x, energy(x), self.proposal.log_prob(x))

    def refresh(self, energy: AbstractEnergy, state: IndependenceState) -> IndependenceState:
        return self.init(energy, state.x)

    def step(
        self, key: Key, energy: AbstractEnergy, state: IndependenceState
    ) -> tuple[IndependenceState, IndependenceInfo]:
        propose, decide = jax.random.split(key)
        y = self.proposal.sample(propose)
        if jax.tree.map(jnp.shape, y) != jax.tree.map(jnp.shape, state.x):
            raise ValueError(
                "Independence.proposal must draw samples of the structure of x, "
                f"{jax.tree.map(jnp.shape, state.x)}; got {jax.tree.map(jnp.shape, y)}."
            )
        new = self.init(energy, jax.tree.map(lambda new, old: new.astype(old.dtype), y, state.x))
        log_ratio = state.energy - new.energy + (state.log_proposal - new.log_proposal).astype(state.energy.dtype)
        finite = jnp.isfinite(new.energy) & jnp.isfinite(new.log_proposal) & ~jnp.isnan(log_ratio)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        state = where(uniform(decide).astype(acceptance.dtype) < acceptance, new, state)
        return state, IndependenceInfo(state.energy, acceptance, ~finite)
