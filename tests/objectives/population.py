"""Populations for objectives: a family of densities on the line, with the data's law among them, and exact gradients.

Expectations over the data are means over quantile midpoints of its law in double precision: their error falls as
1 / num^2 where there is no tail, and the tests that use them say what is left.
"""

from collections.abc import Callable
from functools import cache

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from energax.core import AbstractEnergy

GRID = np.linspace(-4.5, 4.5, 60_001)
TRUTH = (0.5, 0.7, 0.35)
"""Two unequal wells: skewed, light tails."""
MODEL = (0.8, 0.3, -0.2)
"""Where gradients are taken: away from the truth in every parameter."""


class Quartic(AbstractEnergy):
    """E(x) = a x^4 / 2 - b x^2 - c x, for x [1]."""

    a: Array
    b: Array
    c: Array

    def __call__(self, x, cond=None):
        return jnp.sum(0.5 * self.a * x**4 - self.b * x**2 - self.c * x)


def quartic(values: tuple[float, float, float], dtype=jnp.float64) -> Quartic:
    """The member of the family at these parameters."""
    return Quartic(*(jnp.asarray(value, dtype) for value in values))


def energies(model: AbstractEnergy) -> np.ndarray:
    """E on `GRID`."""
    return np.asarray(jax.vmap(model)(jnp.asarray(GRID)[:, None]))


@cache
def density(values: tuple[float, float, float] = TRUTH) -> np.ndarray:
    """The normalised density on `GRID`."""
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        raw = np.exp(-energies(quartic(values)))
    return raw / np.trapezoid(raw, GRID)


@cache
def rows(num: int, values: tuple[float, float, float] = TRUTH) -> np.ndarray:
    """`num` quantile midpoints of the data's law, [num, 1]."""
    step = np.diff(GRID)
    law = density(values)
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (law[1:] + law[:-1]) * step)])
    return np.interp((np.arange(num) + 0.5) / num * cumulative[-1], cumulative, GRID)[:, None]


def log_z(model: AbstractEnergy) -> Array:
    """log of the integral of exp(-E) over `GRID`, differentiable."""
    grid = jnp.asarray(GRID)
    width = jnp.full(grid.shape, grid[1] - grid[0]).at[jnp.array([0, -1])].multiply(0.5)
    return jax.nn.logsumexp(-jax.vmap(model)(grid[:, None]), b=width)


def expected(function: Callable[[Array], Array], law: np.ndarray) -> Array:
    """The integral of a function of x [1] under a density on `GRID`, differentiable."""
    values = jax.vmap(function)(jnp.asarray(GRID)[:, None])
    return jnp.trapezoid(values * jnp.asarray(law), jnp.asarray(GRID))


def slope(loss: Callable[[AbstractEnergy], Array], model: AbstractEnergy) -> np.ndarray:
    """The gradient of a loss in every parameter, as one vector."""
    return np.asarray(jax.flatten_util.ravel_pytree(eqx.filter_jit(eqx.filter_grad(loss))(model))[0])


def of(rule, xs, seed: int = 0, state=None) -> Callable[[AbstractEnergy], Array]:
    """The loss of an objective on rows of data as a function of the model."""
    return lambda model: rule(jax.random.key(seed), model, state, {"x": jnp.asarray(xs)})[0]


def exact_likelihood(model: AbstractEnergy) -> Array:
    """E_data E + log Z: what every likelihood rule estimates the gradient of."""
    return expected(model, density()) + log_z(model)


def fisher(model: AbstractEnergy, truth: AbstractEnergy | None = None) -> Array:
    """1/2 E_data (E' - E_data')^2."""
    truth = quartic(TRUTH) if truth is None else truth
    return expected(lambda x: 0.5 * jnp.sum((jax.grad(model)(x) - jax.grad(truth)(x)) ** 2), density())


def judge_gradient(rule, model: AbstractEnergy, wanted: np.ndarray, xs, keys: int = 100, slack: float = 0.0) -> None:
    """The mean gradient over random keys is `wanted` within 4 standard errors (+ slack) in every parameter.

    False-fail 6e-5 a parameter; the smallest error that it sees is 4 standard errors, of which the message tells.
    """

    @jax.jit
    def all_of(keys):
        def one(key):
            gradient = eqx.filter_grad(lambda m: rule(key, m, None, {"x": jnp.asarray(xs)})[0])(model)
            return jax.flatten_util.ravel_pytree(gradient)[0]

        return jax.lax.map(one, keys)

    found = np.asarray(all_of(jax.random.split(jax.random.key(11), keys)))
    error = found.std(axis=0, ddof=1) / np.sqrt(keys)
    z = np.abs(found.mean(axis=0) - wanted) / (error + 1e-12)
    assert np.all(np.abs(found.mean(axis=0) - wanted) < 4.0 * error + slack), (found.mean(axis=0), wanted, error, z)
