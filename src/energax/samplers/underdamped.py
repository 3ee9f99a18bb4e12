"""Underdamped (kinetic) Langevin dynamics, as a splitting scheme spelt by its letters.

Source: Leimkuhler and Matthews (2013), Rational construction of stochastic numerical methods for molecular sampling,
    doi:10.1093/amrx/abs010, arXiv:1203.5428 (BAOAB and ABOBA, the notation by letters); Bussi and Parrinello (2007),
    Accurate sampling using Langevin dynamics, doi:10.1103/PhysRevE.75.056707 (OBABO).
What differs: the mass is the identity (whiten x for another) and the temperature 1 (temper the energy for another).
Leaves nothing exactly invariant: the bias is O(h^2). On a Gaussian of variance s^2, with r = h^2 / (4 s^2) and whatever
the friction, <x^2> / s^2 and <p^2> are 1 and 1 - r for BAOAB, 1 and 1 / (1 - r) for ABOBA, 1 / (1 - r) and 1 for OBABO,
1 - r and 1 for OABAO. Cost: one gradient a step; BAOAB and OBABO cache the one that the next step begins with.
Fails by blowing up for h > 2 s, s the narrowest scale; by mixing slowly where the friction is far from 2 / s.
"""

import math
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.tree import add_scaled, all_finite, normal_like, squared_norm

_SCHEMES = ("BAOAB", "ABOBA", "OBABO", "OABAO")


class UnderdampedState(NamedTuple):
    """Where the chain is and how it moves, with grad E(x) where the scheme begins with it, else None."""

    x: X
    momentum: X
    gradient: X | None


class UnderdampedInfo(NamedTuple):
    """Energy [nats], acceptance 1 (there is no test), whether a number was not finite, and |p|^2 / dim after the step.

    The energy is where the step took its last force: after the step for BAOAB and OBABO, halfway for ABOBA and OABAO.
    """

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    kinetic_temperature: Scalar


class Underdamped(AbstractSampler):
    """dx = p dt, dp = -grad E dt - friction p dt + sqrt(2 friction) dW, each part solved exactly, in turn.

    A drifts x by p, B kicks p by -grad E, O damps p and adds noise; a letter that stands twice takes half a step each
    time. Chains start at rest.

    Args:
        step_size: h, a time: in the units of x, since mass and temperature are 1, > 0.
        friction: Rate at which the momentum is forgotten, in inverse units of x, > 0.
        scheme: The order of the parts: "BAOAB", "ABOBA", "OBABO" or "OABAO".

    Raises:
        ValueError: `step_size` or `friction` is not a positive number, or `scheme` none of the four.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = Underdamped(0.5, 1.0, scheme="OBABO")
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> bool(info.divergent)
        False
    """

    exact: ClassVar[bool] = False
    step_size: float | Scalar
    friction: float | Scalar = 1.0
    scheme: str = eqx.field(default="BAOAB", static=True)

    def __check_init__(self):
        checks.positive("Underdamped", "step_size", self.step_size, ndim=0)
        checks.positive("Underdamped", "friction", self.friction, ndim=0)
        if self.scheme not in _SCHEMES:
            raise ValueError(f"Underdamped.scheme must be one of {', '.join(_SCHEMES)}; got {self.scheme!r}.")

    def init(self, energy: AbstractEnergy, x: X) -> UnderdampedState:
        return self.refresh(energy, UnderdampedState(x, jax.tree.map(jnp.zeros_like, x), None))

    def refresh(self, energy: AbstractEnergy, state: UnderdampedState) -> UnderdampedState:
        cached = self.scheme.rindex("B") > self.scheme.rindex("A")  # x does not move after the last force
        return state._replace(gradient=jax.grad(energy)(state.x) if cached else None)

    def step(
        self, key: Key, energy: AbstractEnergy, state: UnderdampedState
    ) -> tuple[UnderdampedState, UnderdampedInfo]:
        x, momentum, gradient = state
        noises = iter(normal_like(key, (x,) * self.scheme.count("O")))
        value = jnp.zeros(())  # every scheme has a B after an A, which sets it
        for letter in self.scheme:
            time = self.step_size / self.scheme.count(letter)
            if letter == "A":
                x, gradient = add_scaled(x, time, momentum), None
            elif letter == "O":
                momentum = _thermostat(momentum, self.friction * time, next(noises))
            else:
                if gradient is None:
                    value, gradient = jax.value_and_grad(energy)(x)
                momentum = add_scaled(momentum, -time, gradient)
        dim = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(x))
        finite = jnp.isfinite(value) & all_finite((x, momentum))
        info = UnderdampedInfo(value, jnp.ones_like(value), ~finite, squared_norm(momentum) / dim)
        return UnderdampedState(x, momentum, gradient), info


def _thermostat(momentum: X, damping: float | Scalar, noise: X) -> X:
    """The Ornstein-Uhlenbeck process after a time of `damping` / friction: e^-damping p + sqrt(1 - e^-2damping) xi."""
    kept = jax.tree.map(lambda p: jnp.asarray(jnp.exp(-damping), p.dtype) * p, momentum)
    return add_scaled(kept, jnp.sqrt(-jnp.expm1(-2 * damping)), noise)
