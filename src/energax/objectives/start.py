"""Where new walkers are born: the base density, the data, or any generator.

Source: starts from noise and from a restarted buffer: Du and Mordatch (2019), arXiv:1903.08689, sec. 3.2; from
    noisy data: Nijkamp et al. (2019), arXiv:1903.12370, sec. 3. What differs: the start is a part of its own, given
    to the objective.
"""

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from energax.core import AbstractGenerator, Key, X, checks
from energax.numerics.random import chain_keys
from energax.numerics.tree import add_scaled, normal_like


class AbstractStart(eqx.Module):
    """Draws starting points; `xs` shows the data (and their shape), samples on axis 0."""

    @abc.abstractmethod
    def __call__(self, key: Key, xs: PyTree, num: int) -> X:
        """`num` starting points on axis 0, each in the shape of one row of `xs`."""


class NormalStart(AbstractStart):
    """N(0, scale^2) in every coordinate: in whitened coordinates with a standard normal base, the base itself.

    Args:
        scale: Standard deviation in the units of x, > 0.
    """

    scale: float = 1.0

    def __check_init__(self):
        checks.positive("NormalStart", "scale", self.scale)

    def __call__(self, key: Key, xs: PyTree, num: int) -> X:
        noise = normal_like(key, _rows(xs, num))
        return jax.tree.map(lambda leaf: self.scale * leaf, noise)


class DataStart(AbstractStart):
    """Rows of the batch, drawn with replacement, plus noise.

    Args:
        noise: Standard deviation of the added Gaussian noise in the units of x, >= 0.
    """

    noise: float = 0.0

    def __check_init__(self):
        checks.non_negative("DataStart", "noise", self.noise)

    def __call__(self, key: Key, xs: PyTree, num: int) -> X:
        pick, jitter = jax.random.split(key)
        rows = jax.random.randint(pick, (num,), 0, jax.tree.leaves(xs)[0].shape[0])
        chosen = jax.tree.map(lambda leaf: leaf[rows], xs)
        return chosen if self.noise == 0 else add_scaled(chosen, self.noise, normal_like(jitter, chosen))


class GeneratorStart(AbstractStart):
    """Exact samples of a generator: the model's own base density, a fitted mixture.

    Args:
        generator: Anything with `sample(key)` that draws one sample in the shape of x.
    """

    generator: AbstractGenerator

    def __call__(self, key: Key, xs: PyTree, num: int) -> X:
        return jax.vmap(self.generator.sample)(chain_keys(key, num))


def check_start(owner: str, start: AbstractStart, xs: PyTree, num: int, field: str = "start") -> None:
    """Raises ValueError unless the owner's `field` draws samples in the shape and dtype of the rows of `xs`."""
    made = jax.eval_shape(lambda key: start(key, xs, num), jax.random.key(0))
    got, want = _described(made), _described(_rows(xs, num))
    if got != want:
        raise ValueError(f"{owner}.{field} must draw samples like the data, {want}; got {got}.")


def _rows(xs: PyTree, num: int) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((num, *leaf.shape[1:]), leaf.dtype), xs)


def _described(tree: Any) -> str:
    return str([f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(tree)])
