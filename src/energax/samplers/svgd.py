"""Stein variational gradient descent: particles that fall to low energy and keep each other apart.

Source: Liu and Wang (2016), Stein variational gradient descent: a general purpose Bayesian inference algorithm,
    arXiv:1608.04471, eq. (8) and alg. 1; the median bandwidth of its sec. 5.
What differs: x may be any pytree, read as one vector; the median is over pairs of different particles, and pairs that
    coincide, or a lone particle, take a bandwidth of 1.
Moves particles until the kernelised Stein identity mean_j [k(x_j, y) (-grad E(x_j)) + grad_x_j k(x_j, y)] = 0 holds at
every particle y: an approximation of p(x) ~ exp(-E(x)) by so many points, deterministic, not draws of it. One particle
goes to a mode by gradient descent. Cost: a gradient a particle and n^2 (dim + 1) numbers a step; memory n^2.
Fails by spreading too little in many dimensions (the kernel sees no neighbours), and between modes that are far apart.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Scalar

from energax.core import AbstractEnergy, X, checks
from energax.numerics.tree import all_finite

from .chains import init_chains
from .ula import ULA


class Particles(NamedTuple):
    """What SVGD leaves.

    Attributes:
        x: The particles, on axis 0 of every leaf.
        norm: Root mean square of the direction phi at every step, in units of x / `step_size`: 0 at rest.
        bandwidth: Of the last step, in squared units of x.
        divergent: Whether a number was not finite.
    """

    x: X
    norm: Float[Array, " steps"]
    bandwidth: Scalar
    divergent: Bool[Array, ""]


def median_bandwidth(points: Float[Array, "particles dim"]) -> Scalar:
    """h = median |x_i - x_j|^2 / log n over i < j: a particle's neighbours then sum to about its own weight.

    Example:
        >>> round(float(median_bandwidth(jnp.array([[0.0], [1.0], [3.0]]))), 3)  # 4 / log 3
        3.641
    """
    num = points.shape[0]
    if num == 1:
        return jnp.ones((), points.dtype)
    pairs = _squared_distances(points, points)[jnp.triu_indices(num, 1)]
    found = jnp.median(pairs) / jnp.log(jnp.asarray(num, points.dtype))
    return jnp.where(found > 0.0, found, 1.0)


def stein_direction(
    points: Float[Array, "particles dim"],
    gradients: Float[Array, "particles dim"],
    at: Float[Array, "places dim"],
    bandwidth: Scalar | float,
) -> Float[Array, "places dim"]:
    """phi(y) = mean_j [-k(x_j, y) grad E(x_j) + grad_x_j k(x_j, y)], k(x, y) = exp(-|x - y|^2 / bandwidth).

    Args:
        points: x_j.
        gradients: grad E(x_j).
        at: Where phi is asked for.
        bandwidth: In squared units of x, > 0.

    Example:
        >>> phi = stein_direction(jnp.ones((1, 2)), jnp.full((1, 2), 0.5), jnp.ones((1, 2)), 1.0)
        >>> phi.tolist()
        [[-0.5, -0.5]]
    """
    h = jnp.asarray(bandwidth, points.dtype)
    weights = jnp.exp(-_squared_distances(at, points) / h)
    apart = at * jnp.sum(weights, axis=1)[:, None] - weights @ points  # sum_j k (y - x_j)
    return (2.0 / h * apart - weights @ gradients) / points.shape[0]


def svgd(
    energy: AbstractEnergy | Callable,
    xs: X,
    num_steps: int,
    *,
    step_size: float = 0.1,
    bandwidth: float | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Particles:
    """Moves particles along phi for `num_steps` steps; no randomness.

    Args:
        energy: An energy, or a plain function of one sample.
        xs: Starting points, particles on axis 0 of every leaf; all different, or they stay together.
        num_steps: Steps, >= 1.
        step_size: Learning rate of AdaGrad, in the units of x, > 0; not used beside an `optimizer`.
        bandwidth: In squared units of x, > 0; None is the median rule, renewed at every step.
        optimizer: An optax optimiser to take instead of AdaGrad; one that is made anew is compiled anew.

    Raises:
        ValueError: as `init_chains`; a number is out of its range.

    Example:
        >>> energy = lambda x: 0.5 * jnp.sum((x - 2.0) ** 2)
        >>> found = svgd(energy, jnp.linspace(-1.0, 1.0, 50)[:, None], 500, step_size=0.3)
        >>> round(float(found.x.mean()), 2), 0.8 < float(found.x.var()) < 1.05
        (2.0, True)
    """
    checks.count("svgd", "num_steps", num_steps)
    checks.positive("svgd", "step_size", step_size, ndim=0)
    if bandwidth is not None:
        checks.positive("svgd", "bandwidth", bandwidth, ndim=0)
    init_chains(ULA(1.0), energy, xs)  # its refusals
    dtype = jax.tree.leaves(xs)[0].dtype
    width = None if bandwidth is None else jnp.asarray(bandwidth, dtype)
    return _svgd(energy, xs, int(num_steps), jnp.asarray(step_size, dtype), width, optimizer)


@eqx.filter_jit
def _svgd(energy, xs, num_steps, step_size, bandwidth, optimizer):
    optimizer = optax.adagrad(step_size) if optimizer is None else optimizer
    points = jax.vmap(lambda x: ravel_pytree(x)[0])(xs)
    restore = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], xs))[1]

    def step(carry, _):
        points, state, finite, _ = carry
        gradients = jax.vmap(jax.grad(lambda x: energy(restore(x))))(points)
        width = median_bandwidth(points) if bandwidth is None else bandwidth
        phi = stein_direction(points, gradients, points, width)
        updates, state = optimizer.update(-phi, state, points)
        points = points + updates
        return (points, state, finite & all_finite((points, gradients)), width), jnp.sqrt(jnp.mean(phi**2))

    start = points, optimizer.init(points), jnp.array(True), jnp.ones((), points.dtype)
    (points, _, finite, width), norm = jax.lax.scan(step, start, length=num_steps)
    return Particles(jax.vmap(restore)(points), norm, width, ~finite)


def _squared_distances(a, b):
    """|a_i - b_j|^2 by one product, from a common centre so that float32 keeps its digits."""
    centre = jnp.mean(b, axis=0)[None]
    a, b = a - centre, b - centre
    squares = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None, :] - 2.0 * a @ b.T
    return jnp.maximum(squares, 0.0)
