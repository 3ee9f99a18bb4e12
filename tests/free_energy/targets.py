"""Targets with an exact log Z and exact samples, and a cheap way to many independent runs: chains in groups."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.integrate import quad

from energax.core import AbstractEnergy, GeometricPath
from energax.energies import standard_normal
from energax.free_energy import AISResult
from energax.free_energy.ais import summarise

GROUPS, CHAINS, TEMPERATURES = 48, 64, 32


class Quartic(AbstractEnergy):
    """E = sum_i (a x_i^4 + b_i x_i^2 + c_i x_i) + d: wells and Gaussians of one structure, which share compiles."""

    a: Float[Array, ""]
    b: Float[Array, " dim"]
    c: Float[Array, " dim"]
    d: Float[Array, ""]

    def __call__(self, x, cond=None):
        return jnp.sum(self.a * x**4 + self.b * x**2 + self.c * x) + self.d


def quartic(a: float, b, c, d: float) -> Quartic:
    return Quartic(jnp.float32(a), jnp.asarray(b, jnp.float32), jnp.asarray(c, jnp.float32), jnp.float32(d))


class TwoModes(AbstractEnergy):
    """-log(0.3 N(-2, 0.5^2) + 1.2 N(1.5, 0.8^2)) per the first axis, a Gaussian of scale 0.7 on the second."""

    def __call__(self, x, cond=None):
        left = jnp.log(0.3 / 0.5) - 0.5 * ((x[0] + 2.0) / 0.5) ** 2
        right = jnp.log(1.2 / 0.8) - 0.5 * ((x[0] - 1.5) / 0.8) ** 2
        return -jnp.logaddexp(left, right) + 0.5 * (x[1] / 0.7) ** 2


@dataclass(frozen=True)
class Target:
    """An energy of two numbers, its log Z in nats, and a function (rng, n) -> exact samples [n, 2]."""

    energy: AbstractEnergy
    log_z: float
    draw: object

    @property
    def path(self) -> GeometricPath:
        return GeometricPath(standard_normal(2), self.energy)


def draw_gaussian(rng, n):
    return np.array([1.0, -0.5]) + np.array([0.5, 1.25]) * rng.standard_normal((n, 2))


def draw_modes(rng, n):
    right = rng.random(n) < 0.8
    first = np.where(right, 1.5 + 0.8 * rng.standard_normal(n), -2.0 + 0.5 * rng.standard_normal(n))
    return np.stack([first, 0.7 * rng.standard_normal(n)], axis=1)


def draw_well(rng, n):
    axis = np.linspace(-2.5, 2.5, 20001)
    mass = np.cumsum(np.exp(-4.0 * (axis**2 - 1.0) ** 2 - 0.5 * axis))
    return np.interp(rng.random((n, 2)), mass / mass[-1], axis)


def _well_log_z() -> float:
    return float(np.log(quad(lambda x: np.exp(-4.0 * (x * x - 1.0) ** 2 - 0.5 * x), -3, 3, epsabs=1e-12)[0]))


TARGETS = {
    # N(1, 0.5^2) x N(-0.5, 1.25^2), unnormalised by exp(2): E = 2 (x - 1)^2 + 0.32 (y + 0.5)^2 - 2.
    "gaussian": Target(
        quartic(0.0, [2.0, 0.32], [-4.0, 0.32], 2.0 + 0.08 - 2.0), float(np.log(2 * np.pi * 0.625) + 2.0), draw_gaussian
    ),
    # sqrt(2 pi) (0.3 + 1.2) from the first axis, sqrt(2 pi) 0.7 from the second.
    "mixture": Target(TwoModes(), float(np.log(2 * np.pi * 1.5 * 0.7)), draw_modes),
    # E = 4 (x^2 - 1)^2 + 0.5 x on each axis: skewed, so that a sign error cannot hide.
    "double well": Target(quartic(4.0, [-8.0, -8.0], [0.5, 0.5], 8.0), 2 * _well_log_z(), draw_well),
}


def in_groups(
    log_weights, num: int, direction: str, start: str, num_temperatures: int = TEMPERATURES
) -> list[AISResult]:
    """One run of many independent chains read as `num` independent runs."""
    parts = jnp.reshape(log_weights, (num, -1))
    still = jnp.zeros(parts.shape[1])
    betas, moves = jnp.linspace(0.0, 1.0, num_temperatures), jnp.ones(num_temperatures - 1)
    blank = {"x": still, "energy": still, "acceptance": moves, "betas": betas, "step_sizes": None, "reversible": True}
    return [
        summarise(jax.random.key(i), part, direction=direction, start=start, **blank) for i, part in enumerate(parts)
    ]


def gaussian_works(rng, k: float, num_forward: int, num_reverse: int):
    """Exact works between N(0, 1) and N(0, 1/k), energies x^2/2 and k x^2/2, and Delta F = log(k) / 2, nats."""
    at_0, at_1 = rng.normal(size=num_forward), rng.normal(size=num_reverse) / np.sqrt(k)
    return 0.5 * (k - 1) * at_0**2, -0.5 * (k - 1) * at_1**2, 0.5 * np.log(k)
