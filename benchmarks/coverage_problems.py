"""Targets whose log Z and averages are known, for benchmarks/coverage.py: paths, kernels, exact samples, levels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax.core import (
    AbstractDensity,
    AbstractEnergy,
    AbstractPath,
    AbstractSampler,
    FunctionEnergy,
    GeometricPath,
)
from energax.energies import (
    BernoulliRBM,
    BoltzmannMachine,
    DoubleWell,
    Gaussian,
    IndependentBits,
    Ising,
    MuellerBrown,
    RBMPath,
    mueller_brown_exact,
    quadrature_exact,
    rbm_exact,
    standard_normal,
)
from energax.samplers import BITS, MALA, SPINS, BlockGibbs, CheckerboardGibbs, checkerboard


@dataclass(frozen=True, eq=False)
class Problem:
    """A path from a base to a target whose log Z is known, and exact samples of the target."""

    path: AbstractPath
    kernel: AbstractSampler
    log_z: float
    draw: Callable
    """(NumPy's generator, number) -> samples of the target, float32."""
    drift: Callable | None = None
    """b(x, s) of a map that carries systems along, for escorted runs."""
    levels: Callable | None = None
    """-> (energy, sites, starts [many, sites], the energies that occur), for Wang and Landau's walk."""


class Shifted(AbstractEnergy):
    """E(x) + constant: a log Z that no normalised formula gives by accident."""

    inner: AbstractEnergy
    constant: float

    def __call__(self, x, cond=None):
        return self.inner(x) + self.constant


@cache
def gaussian() -> Problem:
    """Widths 0.2 and 1.2 in the plane, off centre."""
    mean, scale = np.array([1.0, -0.5]), np.array([0.2, 1.2])
    target = Shifted(Gaussian(jnp.asarray(mean, jnp.float32), jnp.asarray(scale, jnp.float32)), -1.5)

    def drift(x, s):
        # nine tenths of the way along the straight path of precisions: a map that is good and not perfect
        precision = (1.0 - s) + s / jnp.asarray(scale, jnp.float32) ** 2
        centre = s * jnp.asarray(mean / scale**2, jnp.float32) / precision
        slope = (jnp.asarray(mean / scale**2, jnp.float32) - centre * (1.0 / scale**2 - 1.0)) / precision
        widen = -0.5 * jnp.asarray(1.0 / scale**2 - 1.0, jnp.float32) / precision
        return 0.9 * (slope + widen * (x - centre))

    def draw(rng, num):
        return mean + scale * rng.standard_normal((num, 2))

    exact = float(np.log(2.0 * np.pi * scale.prod())) + 1.5
    return Problem(GeometricPath(standard_normal(2), target), MALA(0.05), exact, draw, drift)


@cache
def double_well() -> Problem:
    """Two wells of unequal mass on the line, a barrier of 4 nats; from a base whose tails stay within the walls."""
    target = DoubleWell(4.0, tilt=0.5)
    grid = np.linspace(-3.0, 3.0, 60_001)
    mass = np.cumsum(np.exp(-4.0 * (grid**2 - 1.0) ** 2 - 0.5 * grid))
    exact = quadrature_exact(target, ((-3.0, 3.0),), 2000).log_z

    def drift(x, s):
        return 0.8 * jnp.tanh(3.0 * x) * (1.0 - s) - 0.3 * x

    return Problem(
        GeometricPath(Gaussian(jnp.zeros(1), 0.7), target),
        MALA(0.1),
        exact,
        lambda rng, num: np.interp(rng.random((num, 1)), mass / mass[-1], grid),
        drift,
    )


BETA = 0.05


@cache
def mueller() -> Problem:
    """Mueller and Brown's surface at beta 0.05: three basins of 80, 13 and 7 %, 5 nats apart."""
    surface = MuellerBrown()
    target = FunctionEnergy(lambda x: BETA * surface(x))
    x, y = np.linspace(-2.2, 1.6, 951), np.linspace(-1.2, 2.6, 951)
    mesh = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    values = np.asarray(jax.jit(jax.vmap(target))(jnp.asarray(mesh, jnp.float32)), np.float64)
    mass = np.cumsum(np.exp(values.min() - values))
    cell = np.array([x[1] - x[0], y[1] - y[0]])

    def draw(rng, num):
        chosen = np.searchsorted(mass, rng.random(num) * mass[-1]).clip(max=len(mesh) - 1)
        return mesh[chosen] + (rng.random((num, 2)) - 0.5) * cell

    base = Gaussian(jnp.array([-0.3, 0.8]), jnp.array([0.7, 0.7]))
    # towards the line of the three basins, y = 0.9 - x
    return Problem(
        GeometricPath(base, target),
        MALA(0.02),
        mueller_brown_exact(BETA).log_z,
        draw,
        lambda x, s: -0.4 * (x[0] + x[1] - 0.9) * jnp.ones(2),
    )


@cache
def machine() -> BernoulliRBM:
    """Eight visible and five hidden units, couplings of about 1, multiples of a half, so that its joint has levels."""
    rng = np.random.default_rng(5)
    parts = rng.normal(size=(8, 5)), 0.5 * rng.normal(size=8), 0.5 * rng.normal(size=5)
    return BernoulliRBM(*(jnp.asarray(np.round(2.0 * part) / 2.0, jnp.float32) for part in parts))


@cache
def rbm() -> Problem:
    """The machine by block Gibbs, from fair coins."""
    states = (np.arange(256)[:, None] >> np.arange(8)) & 1
    free = np.asarray(jax.vmap(machine())(jnp.asarray(states, jnp.float32)), np.float64)
    mass = np.cumsum(np.exp(free.min() - free))

    def draw(rng, num):
        return states[np.searchsorted(mass, rng.random(num) * mass[-1]).clip(max=len(states) - 1)]

    path = RBMPath(IndependentBits(jnp.zeros(8)), machine())
    weights = machine().weights
    biases = [machine().visible_bias, machine().hidden_bias]

    def levels():
        joint = BoltzmannMachine.layered([weights], biases)
        every = ((np.arange(1 << 13)[:, None] >> np.arange(13)) & 1).astype(np.float32)
        return joint, BITS, every[::37], _levels(joint, every)

    return Problem(path, BlockGibbs(), rbm_exact(machine()).log_z, draw, levels=levels)


def _levels(energy, every: np.ndarray) -> np.ndarray:
    return np.unique(np.round(np.asarray(jax.jit(jax.vmap(energy))(jnp.asarray(every)), np.float64), 3))


class Coins(AbstractDensity):
    """Independent fair spins."""

    num: int = eqx.field(static=True)

    def sample(self, key):
        return jnp.where(jax.random.bernoulli(key, 0.5, (self.num,)), 1.0, -1.0)

    def log_prob(self, x):
        return jnp.float32(-self.num * np.log(2.0)) + 0.0 * jnp.sum(x)


SPIN_STATES = 1.0 - 2.0 * ((np.arange(1 << 16)[:, None] >> np.arange(16)) & 1)


@cache
def ising() -> Problem:
    """A torus of 4 x 4 spins of coupling 0.4 in a field of 0.2, from fair coins, by checkerboard Gibbs."""
    target = Ising.lattice((4, 4), 0.4, 0.2)
    energies = np.asarray(jax.jit(jax.vmap(target))(jnp.asarray(SPIN_STATES, jnp.float32)), np.float64)
    mass = np.cumsum(np.exp(energies.min() - energies))

    def draw(rng, num):
        return SPIN_STATES[np.searchsorted(mass, rng.random(num) * mass[-1]).clip(max=len(mass) - 1)]

    exact = float(np.logaddexp.reduce(-energies))

    def levels():
        every = SPIN_STATES.astype(np.float32)
        return target, SPINS, every[::997], _levels(target, every)

    kernel = CheckerboardGibbs(SPINS, checkerboard((4, 4)))
    return Problem(GeometricPath(Coins(16), target), kernel, exact, draw, levels=levels)


PROBLEMS = {
    "Gaussian": gaussian,
    "double well": double_well,
    "2-D quadrature": mueller,
    "RBM": rbm,
    "Ising 4 x 4": ising,
}
