# %% [markdown]
# # Your own energy and your own sampler
#
# An energy is an Equinox module with `__call__(x, cond=None) -> scalar`; a sampler is one with `init`, `step`,
# `refresh`. Nothing is registered anywhere: what fits the contract works with every runner, estimator and training
# rule.

# %%
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Scalar

from energax import AbstractEnergy, AbstractSampler
from energax.core import GeometricPath, checks
from energax.energies import standard_normal
from energax.free_energy import ais
from energax.samplers import advance, init_chains, sample

# %% [markdown]
# ## The energy: a ring
#
# Polar symmetry makes log Z a one-dimensional integral: the integral of 2 pi r exp(-(r - radius)^2 / (2 width^2)).


# %%
class Ring(AbstractEnergy):
    """E(x) = (|x| - radius)^2 / (2 width^2) in the plane.

    Args:
        radius: In the units of x, > 0.
        width: In the units of x, > 0.
    """

    radius: float | Scalar
    width: float | Scalar

    def __check_init__(self):
        checks.positive("Ring", "radius", self.radius)
        checks.positive("Ring", "width", self.width)

    def __call__(self, x: Float[Array, "2"], cond=None) -> Scalar:
        return 0.5 * ((jnp.sqrt(jnp.sum(x**2)) - self.radius) / self.width) ** 2


ring = Ring(2.0, 0.3)
r = np.linspace(0.0, 8.0, 40_001)
density = 2.0 * np.pi * r * np.exp(-0.5 * ((r - 2.0) / 0.3) ** 2)
exact_log_z = float(np.log(np.trapezoid(density, r)))
exact_radius = float(np.trapezoid(r * density, r) / np.trapezoid(density, r))

# %% [markdown]
# ## The sampler: elliptical slice sampling
#
# Murray, Adams and MacKay (2010), arXiv:1001.0175, figure 2. For E(x) = |x|^2 / 2 + L(x) it draws an ellipse
# through x and shrinks an angle until L is under a random height: no step size, no rejection. Any energy has that
# form with L = E - |x|^2 / 2.


# %%
class EllipseState(NamedTuple):
    """Position and its energy."""

    x: Float[Array, " dim"]
    energy: Scalar


class EllipseInfo(NamedTuple):
    """Energy after the step, acceptance (always 1: a slice never rejects), whether a bad number was met."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class EllipticalSlice(AbstractSampler):
    """Leaves p(x) ~ exp(-E(x)) exactly invariant; without a gradient and without a knob."""

    def init(self, energy, x):
        return EllipseState(x, energy(x))

    def refresh(self, energy, state):
        return self.init(energy, state.x)

    def step(self, key, energy, state):
        ellipse, height, turn, shrink = jax.random.split(key, 4)
        other = jax.random.normal(ellipse, state.x.shape, state.x.dtype)

        def excess(x):
            return energy(x) - 0.5 * jnp.sum(x**2)

        level = excess(state.x) + jax.random.exponential(height, (), state.x.dtype)
        angle = 2.0 * jnp.pi * jax.random.uniform(turn, (), state.x.dtype)

        def place(angle):
            return jnp.cos(angle) * state.x + jnp.sin(angle) * other

        def outside(carry):
            angle, _, _, tries = carry
            return ~(excess(place(angle)) <= level) & (tries < 100)

        def narrower(carry):
            angle, low, high, tries = carry
            low, high = jnp.where(angle < 0, angle, low), jnp.where(angle < 0, high, angle)
            fresh = jax.random.uniform(jax.random.fold_in(shrink, tries), (), angle.dtype)
            return low + fresh * (high - low), low, high, tries + 1

        angle, _, _, tries = jax.lax.while_loop(outside, narrower, (angle, angle - 2.0 * jnp.pi, angle, 0))
        given_up = tries == 100  # the bracket is one point by then: stay, and say so
        x = jnp.where(given_up, state.x, place(angle))
        state = self.init(energy, x)
        return state, EllipseInfo(state.energy, jnp.ones((), x.dtype), given_up | ~jnp.isfinite(state.energy))


# %% [markdown]
# ## It works everywhere at once
#
# The runner, a changed energy, and annealed importance sampling, none of which has heard of either class.

# %%
start, run, up = jax.random.split(jax.random.key(0), 3)
slice_sampler = EllipticalSlice()
chains = init_chains(slice_sampler, ring, jax.random.normal(start, (400, 2)))
chains, draws = sample(run, slice_sampler, ring, chains, 200, burn_in=50)
radii = jnp.linalg.norm(draws.x, axis=-1)
per_chain = np.asarray(radii.mean(axis=1), np.float64)
error = per_chain.std(ddof=1) / np.sqrt(len(per_chain))
z_radius = (per_chain.mean() - exact_radius) / error
print(f"mean radius {per_chain.mean():.4f} +- {error:.4f}   exact {exact_radius:.4f}   {z_radius:+.1f} errors")

wider, _ = advance(run, slice_sampler, Ring(4.0, 0.3), chains, 200)  # refresh() follows an energy that has changed
moved = float(jnp.mean(jnp.linalg.norm(wider.states.x, axis=-1)))
print(f"after the ring has grown to radius 4: mean radius {moved:.3f}")

found = ais(up, GeometricPath(standard_normal(2), ring), slice_sampler, num_chains=400, num_temperatures=100)
z_log_z = (float(found.log_z) - exact_log_z) / float(found.std_error)
print(
    f"log Z {float(found.log_z):.4f} +- {float(found.std_error):.4f}   exact {exact_log_z:.4f}   {z_log_z:+.1f} errors"
)

# %% [markdown]
# ## Take away
#
# Two classes and no registration. Chains are independent here, so the error of a mean comes from the spread over
# chains, and both numbers lie within it. To offer a sampler to everybody, CONTRIBUTING.md has the same in one page,
# with the laws it must pass.

# %%
assert not bool(jnp.any(draws.divergent))
assert abs(z_radius) < 4
assert abs(moved - 4.0) < 0.1
assert abs(z_log_z) < 4
