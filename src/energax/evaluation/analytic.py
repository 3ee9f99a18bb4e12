"""Twelve densities of two numbers with exact draws and exact expectations: what a continuous kernel is certified on.

Source: the change of variables x = g(z), z of two independent coordinates, for Neal's funnel (2003, Slice sampling,
    doi:10.1214/aos/1056562461, section 8) and the banana of Haario, Saksman and Tamminen (1999),
    doi:10.1007/s001800050022; the one-dimensional laws are textbook ones.
What differs: all are of about unit scale, so that one step size serves them; most are skewed and tempered, since
symmetric tests hide sign errors and lost factors; the energies are branches of one switch, so that all flat ones share
one compiled step. Exact: draws by inversion of a fine table, expectations by Gauss-Legendre quadrature over z, both in
double precision. Cost: a second for each target's table, once. Fails as a proof of mixing: two numbers are few.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Scalar

from energax.core import AbstractEnergy, Cond, FunctionEnergy

_PANELS, _NODES, _TABLE = 40, 10, 40_001


class Line(NamedTuple):
    """A density on an interval, up to its normaliser; `split` is where the target's first number is 0."""

    log_density: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    split: float = 0.0

    def draw(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """`num` exact draws by inversion of the distribution function."""
        grid = np.linspace(self.low, self.high, _TABLE)[1:-1]
        density = np.exp(self.log_density(grid))
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(grid))])
        return np.interp(rng.random(num) * cumulative[-1], cumulative, grid)

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Quadrature points and their probabilities, with a panel's end at `split`."""
        base, weights = np.polynomial.legendre.leggauss(_NODES)
        edges = [np.linspace(self.low, self.split, _PANELS + 1), np.linspace(self.split, self.high, _PANELS + 1)]
        left = np.concatenate([each[:-1] for each in edges])[:, None]
        width = np.concatenate([np.diff(each) for each in edges])[:, None]
        points = (left + 0.5 * width * (base + 1.0)).reshape(-1)
        mass = (0.5 * width * weights).reshape(-1) * np.exp(self.log_density(points))
        return points, mass / mass.sum()


class Analytic(NamedTuple):
    """One target.

    Attributes:
        name: What it is.
        energy: E(x) of one sample, in nats.
        first: The law of z_0.
        second: The law of z_1, independent of it.
        place: (z_0, z_1) -> the two numbers of x; the first depends on z_0 alone.
        tree: Whether x is a pytree and not one array of two.
        bounded: Whether E is no number outside an interval.
    """

    name: str
    energy: AbstractEnergy
    first: Line
    second: Line
    place: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    tree: bool = False
    bounded: bool = False

    def draw(self, seed: int, num: int) -> Any:
        """`num` exact independent draws, stacked."""
        rng = np.random.default_rng(seed)
        return self.stacked(*self.place(self.first.draw(rng, num), self.second.draw(rng, num)), jnp.float32)

    def stacked(self, u: np.ndarray, v: np.ndarray, dtype: Any) -> Any:
        """Samples whose two numbers are u and v."""
        if self.tree:
            return {"a": jnp.asarray(u, dtype), "b": jnp.asarray(v, dtype)[:, None]}
        return jnp.asarray(np.stack([u, v], axis=1), dtype)

    def one(self) -> Any:
        """One sample, for its structure."""
        return jax.tree.map(lambda leaf: leaf[0], self.stacked(np.zeros(1), np.zeros(1), jnp.float32))

    def expectations(self) -> dict[str, float]:
        """The exact mean of every statistic."""
        return _expectations(self.name)


STATISTICS: dict[str, Callable[[Array, Array], Array]] = {
    "x": lambda u, v: u,
    "y": lambda u, v: v,
    "x^2": lambda u, v: u * u,
    "x y": lambda u, v: u * v,
    "x^3 / (1 + x^2)": lambda u, v: u**3 / (1.0 + u * u),
    "cos x": lambda u, v: jnp.cos(u),
    "sin 2y": lambda u, v: jnp.sin(2.0 * v),
    "x > 0": lambda u, v: (u > 0.0).astype(u.dtype),
}
"""Functions of the two numbers; the energy is one more."""


def statistics(energy: AbstractEnergy, x: Any) -> dict[str, Scalar]:
    """Every statistic of one sample, the energy among them."""
    u, v = numbers(x)
    return {name: function(u, v) for name, function in STATISTICS.items()} | {"E": energy(x)}


def numbers(x: Any) -> tuple[Array, Array]:
    """The two numbers of one sample."""
    return (x["a"], x["b"][0]) if isinstance(x, dict) else (x[0], x[1])


class Chosen(AbstractEnergy):
    """One of the flat targets by its number: a step that is compiled for one of them is compiled for all."""

    index: Int[Array, ""]

    def __call__(self, x: Array, cond: Cond = None) -> Scalar:
        return jax.lax.switch(self.index, list(_FLAT.values()), x)


def analytic_targets() -> tuple[Analytic, ...]:
    """All twelve.

    Example:
        >>> len(analytic_targets())
        12
        >>> round(analytic_targets()[0].expectations()["x y"], 6)  # 0.9 - 0.5
        0.4
    """
    return tuple(_targets().values())


@cache
def _targets() -> dict[str, Analytic]:
    normal, product = Line(lambda z: -0.5 * z * z, -9.0, 9.0), lambda u, v: (u, v)
    well = Line(lambda z: -2.0 * ((z * z - 1.0) ** 2 + 0.5 * z), -3.0, 3.0)
    gumbel = Line(lambda z: -0.5 * (z + np.exp(-z)), -4.5, 60.0)
    log_gamma = Line(lambda z: 2.0 * z - np.exp(z), -20.0, 4.0)
    student = Line(lambda z: -4.5 * np.log1p(z * z / 8.0), -120.0, 120.0, -0.5)
    quartic = Line(lambda z: -(z**4) - 0.6 * z, -3.0, 3.0)
    mixture = Line(
        lambda z: np.logaddexp(
            np.log(0.3 / 0.5) - 0.5 * ((z + 1.5) / 0.5) ** 2, np.log(0.7 / 0.8) - 0.5 * ((z - 1.0) / 0.8) ** 2
        ),
        -8.0,
        9.0,
    )
    bounded = Line(lambda z: -(1.0 - z) * np.log1p(-z) - (1.0 + z) * np.log1p(z) - z, -1.0, 1.0)
    laws: dict[str, tuple[Line, Line, Callable]] = {
        "correlated Gaussian": (
            normal._replace(split=-0.5),
            normal,
            lambda u, v: (0.5 + u, -1.0 + 0.9 * u + np.sqrt(0.19) * v),
        ),
        "ill-scaled Gaussian": (normal._replace(split=-0.5), normal, lambda u, v: (0.2 + 0.4 * u, -1.0 + 2.5 * v)),
        "tilted double wells, beta 2": (well, well, product),
        "Gumbel, beta 1/2": (gumbel, gumbel, product),
        "log-gamma": (log_gamma, log_gamma, product),
        "Student t": (student, student, lambda u, v: (0.5 + u, 0.5 + v)),
        "tilted quartic": (quartic, quartic, product),
        "two unequal modes": (mixture, normal, lambda u, v: (u, 0.5 * u + v)),
        "banana": (normal, normal, lambda u, v: (u, 0.5 * (u * u - 1.0) + 0.7 * v)),
        "funnel": (normal, normal, lambda u, v: (u, np.exp(0.5 * u) * v)),
        "bounded": (bounded, bounded, product),
    }
    found = {
        name: Analytic(name, Chosen(jnp.asarray(list(_FLAT).index(name))), *law, bounded=name == "bounded")
        for name, law in laws.items()
    }
    name = "pytree, Gumbel and Gaussian"
    found[name] = Analytic(name, FunctionEnergy(_pytree), gumbel, normal, lambda u, v: (u, 0.5 * u + v), tree=True)
    return found


@cache
def _expectations(name: str) -> dict[str, float]:
    target = _targets()[name]
    (u, p), (v, q) = target.first.nodes(), target.second.nodes()
    x, y = target.place(np.repeat(u, len(v)), np.tile(v, len(u)))
    weights = (p[:, None] * q[None]).reshape(-1)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        function = _pytree if target.tree else _FLAT[name]
        energy = FunctionEnergy(function)
        values = jax.jit(jax.vmap(lambda x: statistics(energy, x)))(target.stacked(x, y, jnp.float64))
    return {key: float(np.sum(weights * np.asarray(value))) for key, value in values.items()}


def _correlated(x):
    u, v = x[0] - 0.5, x[1] + 1.0
    return 0.5 * (u * u + (v - 0.9 * u) ** 2 / 0.19)


def _mixture(x):
    one = jnp.log(0.3 / 0.5) - 0.5 * ((x[0] + 1.5) / 0.5) ** 2
    two = jnp.log(0.7 / 0.8) - 0.5 * ((x[0] - 1.0) / 0.8) ** 2
    return -jnp.logaddexp(one, two) + 0.5 * (x[1] - 0.5 * x[0]) ** 2


def _pytree(x):
    return 0.5 * (x["a"] + jnp.exp(-x["a"])) + 0.5 * jnp.sum((x["b"] - 0.5 * x["a"]) ** 2)


_FLAT: dict[str, Callable[[Array], Scalar]] = {
    "correlated Gaussian": _correlated,
    "ill-scaled Gaussian": lambda x: 0.5 * (((x[0] - 0.2) / 0.4) ** 2 + ((x[1] + 1.0) / 2.5) ** 2),
    "tilted double wells, beta 2": lambda x: 2.0 * jnp.sum((x * x - 1.0) ** 2 + 0.5 * x),
    "Gumbel, beta 1/2": lambda x: 0.5 * jnp.sum(x + jnp.exp(-x)),
    "log-gamma": lambda x: jnp.sum(jnp.exp(x) - 2.0 * x),
    "Student t": lambda x: 4.5 * jnp.sum(jnp.log1p((x - 0.5) ** 2 / 8.0)),
    "tilted quartic": lambda x: jnp.sum(x**4 + 0.6 * x),
    "two unequal modes": _mixture,
    "banana": lambda x: 0.5 * (x[0] ** 2 + ((x[1] - 0.5 * (x[0] ** 2 - 1.0)) / 0.7) ** 2),
    "funnel": lambda x: 0.5 * (x[0] ** 2 + x[0] + x[1] ** 2 * jnp.exp(-x[0])),
    # no number outside (-1, 1), as a logarithm leaves it there; log1p(x) beside log1p(-x) is miscompiled on
    # CPUs, where `energax.compiler` comes too late (-17 for 2.5 at x = (0.99989, -0.91), and finite numbers outside)
    "bounded": lambda x: jnp.sum((1.0 - x) * jnp.log(1.0 - x) + (1.0 + x) * jnp.log(1.0 + x) + x),
}
