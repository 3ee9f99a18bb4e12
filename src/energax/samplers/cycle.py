"""A cycle of kernels: one step of each in turn, as local moves between global ones.

Source: Tierney (1994), Markov chains for exploring posterior distributions, doi:10.1214/aos/1176325750, sec. 2.4;
    a local kernel and a learned independence proposal in turn (flow-assisted sampling): Gabrie, Rotskoff and
    Vanden-Eijnden (2022), arXiv:2105.12603, alg. 1.
What differs: kernels keep their own states (a momentum is not lost); each is refreshed where the one before left
    off.
Leaves p(x) ~ exp(-E(x)) exactly invariant where every kernel does (`exact`); a cycle is not reversible, whatever its
    kernels are. Cost: that of its kernels and one refresh each, a step.
Fails where all of its kernels fail at the same thing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X


class CycleState(NamedTuple):
    """Where the chain is, and the state of every kernel as it was left."""

    x: X
    parts: tuple[Any, ...]


class CycleInfo(NamedTuple):
    """The last kernel's energy [nats], mean acceptance, whether any kernel diverged, and the Info of every kernel."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    parts: tuple[Any, ...]


class Cycle(AbstractSampler):
    """One step of every kernel in turn; name a kernel several times for several steps of it.

    Args:
        kernels: Two kernels or more: `(MALA(0.1),) * 5 + (Independence(proposal),)`.

    Raises:
        ValueError: there are fewer than two, or one is no sampler.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import HMC, MALA
        >>> energy, sampler = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), Cycle((MALA(0.2), HMC(0.3, 5)))
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> len(info.parts), sampler.exact
        (2, True)
    """

    kernels: tuple[AbstractSampler, ...]

    def __check_init__(self):
        kernels = self.kernels if isinstance(self.kernels, (tuple, list)) else ()
        if len(kernels) < 2 or not all(isinstance(kernel, AbstractSampler) for kernel in kernels):
            raise ValueError(f"Cycle.kernels must be two samplers or more; got {self.kernels!r}.")

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether every kernel leaves its target exactly invariant."""
        return all(kernel.exact for kernel in self.kernels)

    def init(self, energy: AbstractEnergy, x: X) -> CycleState:
        return CycleState(x, tuple(kernel.init(energy, x) for kernel in self.kernels))

    def refresh(self, energy: AbstractEnergy, state: CycleState) -> CycleState:
        parts = zip(self.kernels, state.parts, strict=True)
        return state._replace(parts=tuple(k.refresh(energy, part._replace(x=state.x)) for k, part in parts))

    def step(self, key: Key, energy: AbstractEnergy, state: CycleState) -> tuple[CycleState, CycleInfo]:
        keys, x, parts, infos = jax.random.split(key, len(self.kernels)), state.x, [], []
        for turn, (kernel, part) in enumerate(zip(self.kernels, state.parts, strict=True)):
            part, info = kernel.step(keys[turn], energy, kernel.refresh(energy, part._replace(x=x)))
            x = part.x
            parts.append(part)
            infos.append(info)
        acceptance = jnp.mean(jnp.stack([info.acceptance for info in infos]))
        divergent = jnp.any(jnp.stack([info.divergent for info in infos]))
        return CycleState(x, tuple(parts)), CycleInfo(infos[-1].energy, acceptance, divergent, tuple(infos))
