"""Any kernel under a mass: it walks in coordinates y with x = S y, in which the target is round.

Source: Neal (2011), MCMC using Hamiltonian dynamics, arXiv:1206.1901, sec. 4.1 (a linear map of x is a mass);
    Roberts and Rosenthal (2001), Optimal scaling for various Metropolis-Hastings algorithms, doi:10.1214/ss/1015346320
    (what ill-matched scales cost).
What differs: written once around any kernel, and so for walks, Barker's and Langevin proposals as for HMC, whose mass
    it makes (S S')^-1.
Leaves p(x) ~ exp(-E(x)) as invariant as its kernel does: y has the density of E(S y), whose volume factor is constant.
Cost: that of the kernel and one product with S, and one with S', a gradient. Fails where no one S fits: a funnel.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from energax.core import AbstractEnergy, AbstractSampler, FunctionEnergy, Key, X, checks


class WhitenedState(NamedTuple):
    """Where the chain is, x = S y, and the kernel's own state at y: `refresh` reads x, and so may S have changed."""

    x: X
    inner: Any

    @property
    def energy(self) -> Array:
        """E(x), where the kernel caches it."""
        return self.inner.energy


class Whitened(AbstractSampler):
    """`kernel` on E(S y). Its `step_size` is in the units of y: about those of a target of unit scale.

    Args:
        kernel: What walks; its Info is handed on.
        scale: S: a number, the standard deviations [d] > 0 of x, or a Cholesky factor [d, d] of their covariance
            (lower, its diagonal > 0), over x as `ravel_pytree` lays it out. `window_warm_up` finds it.

    Raises:
        ValueError: `kernel` is no sampler, `scale` is not positive or not lower triangular; at the first step, where it
            does not fit x.

    Example:
        >>> from energax.samplers import HMC
        >>> scale = jnp.array([1.0, 100.0])
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum((x / scale) ** 2))
        >>> sampler = Whitened(HMC(0.2, 8), scale)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(2)))
        >>> abs(float(info.energy_error)) < 0.1
        True
    """

    kernel: AbstractSampler
    scale: float | Array | np.ndarray

    def __check_init__(self):
        if not isinstance(self.kernel, AbstractSampler):
            raise ValueError(f"Whitened.kernel must be a sampler; got {type(self.kernel).__name__}.")
        if np.ndim(self.scale) < 2:
            return checks.positive("Whitened", "scale", self.scale)
        shape = np.shape(self.scale)
        if len(shape) > 2 or shape[0] != shape[1]:
            raise ValueError(f"Whitened.scale must be a number, [d] or [d, d]; got shape {shape}.")
        checks.finite("Whitened", "scale", self.scale)
        if not isinstance(self.scale, jax.core.Tracer):
            factor = np.asarray(self.scale)
            if np.any(np.triu(factor, 1)) or not np.all(np.diag(factor) > 0):
                raise ValueError("Whitened.scale must be lower triangular with a diagonal > 0; got another matrix.")

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether the kernel leaves its target exactly invariant."""
        return self.kernel.exact

    @property
    def reversible(self) -> bool:  # type: ignore[override]
        """Whether the kernel is in detailed balance with its target."""
        return self.kernel.reversible

    @property
    def step_size(self) -> Any:
        """The kernel's step size; an AttributeError where it has none."""
        return self.kernel.step_size  # type: ignore[attr-defined]

    def init(self, energy: AbstractEnergy, x: X) -> WhitenedState:
        flat, restore = ravel_pytree(x)
        return self._state(self.kernel.init(self._round(energy, restore), self._whiten(flat)), restore)

    def refresh(self, energy: AbstractEnergy, state: WhitenedState) -> WhitenedState:
        flat, restore = ravel_pytree(state.x)
        inner = state.inner._replace(x=self._whiten(flat))
        return self._state(self.kernel.refresh(self._round(energy, restore), inner), restore)

    def step(self, key: Key, energy: AbstractEnergy, state: WhitenedState) -> tuple[WhitenedState, Any]:
        _, restore = ravel_pytree(state.x)
        inner, info = self.kernel.step(key, self._round(energy, restore), state.inner)
        return self._state(inner, restore), info

    def _state(self, inner: Any, restore: Any) -> WhitenedState:
        return WhitenedState(restore(self._colour(inner.x)), inner)

    def _round(self, energy: AbstractEnergy, restore: Any) -> AbstractEnergy:
        """E(S y)."""
        return FunctionEnergy(lambda y: energy(restore(self._colour(y))))

    def _colour(self, y: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """S y."""
        scale = self._fitted(y)
        return scale @ y if scale.ndim == 2 else scale * y

    def _whiten(self, flat: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """S^-1 x."""
        scale = self._fitted(flat)
        return jax.scipy.linalg.solve_triangular(scale, flat, lower=True) if scale.ndim == 2 else flat / scale

    def _fitted(self, flat: Float[Array, " dim"]) -> Array:
        scale = jnp.asarray(self.scale, flat.dtype)
        if scale.shape not in ((), flat.shape, flat.shape * 2):
            raise ValueError(f"Whitened.scale must fit x, which holds {flat.size} numbers; got shape {scale.shape}.")
        return scale
