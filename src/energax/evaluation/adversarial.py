"""The smallest change of x that changes the class: an upper bound on the distance to the decision boundary.

Source: Rony, Hafemann, Oliveira, Ben Ayed, Sabourin and Granger (2019), Decoupling direction and norm for efficient
    gradient-based L2 adversarial attacks and defenses, arXiv:1811.09600, algorithm 1.
What differs: the margin between the right class and the best other one in the place of the cross-entropy, whose
gradient vanishes where a network is sure; the best point found is drawn back by bisection towards x.
Cost: num_steps gradients a row, and 15 values. Fails by what it is: a bound from above. A model that hides its gradient
looks safer than it is; another attack may find a nearer point.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax.core import checks

_SHRINK = 0.05  # the paper's gamma
_BISECTIONS = 15


@dataclass(frozen=True)
class Adversarial:
    """What was found for each row.

    Attributes:
        distance: |found - x|, in the units of x, [n]; 0 where the class was wrong before, infinite where nothing was
            found, NaN where nothing was found and the walk met logits or a gradient that are not finite.
        found: The nearest point of another class, on its boundary to rounding, of the shape of the rows; x itself where
            nothing was found.
    """

    distance: np.ndarray
    found: np.ndarray


def adversarial_distance(
    logits: Callable[[Array], Float[Array, " classes"]],
    xs: Any,
    labels: Any,
    *,
    num_steps: int = 100,
    first: float = 1.0,
    low: float = -np.inf,
    high: float = np.inf,
) -> Adversarial:
    """The nearest point of another class that a decoupled walk of direction and norm finds for each row.

    Args:
        logits: Maps one sample to its logits, in JAX.
        xs: Samples on axis 0, finite.
        labels: Their classes, [n].
        num_steps: Gradient steps, >= 1; the paper takes 100 to 1,000.
        first: The norm that the walk begins with, in the units of x, > 0.
        low: Points below are moved up to it.
        high: Points above are moved down to it.

    Raises:
        ValueError: `xs` or `labels` are not as they must be, logits at a row are not finite, or a number is out of
            range.

    Example:
        >>> found = adversarial_distance(lambda x: jnp.array([0.0, 1.0]) * x[0], np.array([[-2.0, 5.0]]), np.array([0]))
        >>> found.distance.round(2).tolist()  # the boundary is the line x_0 = 0
        [2.0]
    """
    rows = np.asarray(checks.array("adversarial_distance", "xs", xs, ndim=None), np.float32)
    checks.count("adversarial_distance", "num_steps", num_steps)
    checks.positive("adversarial_distance", "first", first, ndim=0)
    shape = jax.eval_shape(logits, jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype)).shape
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(f"adversarial_distance.logits must map ONE sample to a row of >= 2 logits; got shape {shape}.")
    own = checks.labels("adversarial_distance", "labels", labels, len(rows), classes=shape[0])
    if not low < high:
        raise ValueError(f"adversarial_distance.low must be below high; got {low} and {high}.")
    box = jnp.array([low, high], jnp.float32)
    first_norm = jnp.array(first, jnp.float32)
    said = np.asarray(_said(logits, jnp.asarray(rows)))
    bad = np.argwhere(~np.isfinite(said))
    if len(bad):
        at = tuple(map(int, bad[0]))
        raise ValueError(f"adversarial_distance.logits must be finite at every row; got {said[at]} in row {at[0]}.")
    found, distance = _walked(logits, jnp.asarray(rows), jnp.asarray(own, jnp.int32), num_steps, first_norm, box)
    return Adversarial(np.asarray(distance, np.float64), np.asarray(found))


@eqx.filter_jit
def _said(logits: Callable, xs: Array) -> Array:
    return jax.vmap(logits)(xs)


@eqx.filter_jit
def _walked(logits: Callable, xs: Array, labels: Array, num_steps: int, first: Array, box: Array) -> tuple:
    def margin(x: Array, y: Array) -> Array:
        """Of the right class over the best other; at most 0 where the class is another."""
        row = logits(x)
        return row[y] - jnp.max(jnp.where(jnp.arange(row.shape[0]) == y, -jnp.inf, row))

    def one(x: Array, y: Array) -> tuple[Array, Array]:
        def step(carry: tuple, rate: Array) -> tuple[tuple, None]:
            delta, norm, here, best, least, lost = carry
            value, slope = jax.value_and_grad(margin)(here, y)
            lost = lost | ~(jnp.isfinite(value) & jnp.all(jnp.isfinite(slope)))
            is_other = (value < 0) & jnp.isfinite(value)
            nearer = is_other & (_norm(here - x) < least)
            best, least = jnp.where(nearer, here, best), jnp.where(nearer, _norm(here - x), least)
            delta = delta - rate * slope / jnp.maximum(_norm(slope), _tiny(x))
            norm = norm * jnp.where(is_other, 1 - _SHRINK, 1 + _SHRINK).astype(x.dtype)
            here = jnp.clip(x + norm * delta / jnp.maximum(_norm(delta), _tiny(x)), box[0], box[1])
            return (delta, norm, here, best, least, lost), None

        turns = jnp.arange(num_steps, dtype=x.dtype) / max(num_steps - 1, 1)
        rates = 0.01 + 0.495 * (1 + jnp.cos(jnp.pi * turns))
        far = jnp.array(jnp.inf, x.dtype)
        start = (jnp.zeros_like(x), first, x, x, far, jnp.array(False))
        (*_, best, least, lost), _ = jax.lax.scan(step, start, rates)
        found, distance = _drawn_back(margin, x, y, best, least)
        return found, jnp.where(lost & jnp.isinf(distance), jnp.nan, distance).astype(x.dtype)

    return jax.vmap(one)(xs, labels)


def _drawn_back(margin: Callable, x: Array, y: Array, best: Array, least: Array) -> tuple[Array, Array]:
    """The first point of another class on the way from x to the best one, and its distance."""

    def halve(ends: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        inside, outside = ends
        middle = 0.5 * (inside + outside)
        is_other = margin(x + middle * (best - x), y) < 0
        return (jnp.where(is_other, inside, middle), jnp.where(is_other, middle, outside)), None

    (_, share), _ = jax.lax.scan(halve, (jnp.zeros_like(least), jnp.ones_like(least)), None, length=_BISECTIONS)
    wrong = margin(x, y) < 0
    found = jnp.where(wrong, x, x + share * (best - x))
    return found, jnp.where(wrong, 0.0, jnp.where(jnp.isfinite(least), share * least, least))


def _norm(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(x**2))


def _tiny(x: Array) -> Array:
    return jnp.array(1e-30, x.dtype)
