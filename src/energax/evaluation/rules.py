"""What each primitive does to a uniform number that has not been decided yet.

Source: the inverse transform (Devroye (1986), Non-uniform random variate generation, chapter II.2) read backwards: a
    comparison of g(u) with a level is a comparison of u with g's inverse there.
What differs: it is applied primitive by primitive to a jaxpr; what has no rule here is decided first.
Cost: arithmetic on small NumPy arrays. Fails by saying nothing (None) where no rule
holds: the caller decides or refuses.
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from . import branches as br
from .branches import Ramp, Steps

_MOVES = (
    "broadcast_in_dim",
    "copy",
    "dynamic_slice",
    "expand_dims",
    "gather",
    "reshape",
    "rev",
    "slice",
    "squeeze",
    "transpose",
)
_MONOTONE = ("neg", "log", "log1p", "exp", "expm1", "erf_inv", "sqrt")
_COMPARE = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "lt_to": "gt", "le_to": "ge"}
_REDUCE: dict[str, Callable] = {
    "reduce_sum": np.sum,
    "reduce_prod": np.prod,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_or": np.any,
    "reduce_and": np.all,
}
_ELEMENTWISE: dict[str, Callable] = {
    "abs": np.abs,
    "add": np.add,
    "and": np.bitwise_and,
    "eq": np.equal,
    "exp": np.exp,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "log": np.log,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "rem": np.fmod,
    "sign": np.sign,
    "sub": np.subtract,
    "xor": np.bitwise_xor,
}


def apply_rule(walk: Any, name: str, equation: Any, inputs: list[Any]) -> Any:
    """The output of an equation with symbols among its inputs, or None where it has no rule.

    Args:
        walk: The `Walk` that asks.
        name: The primitive, or `searchsorted`, which is known by the name of its jit.
        equation: The equation.
        inputs: Its inputs, as the branches are now.
    """
    symbols = [value for value in inputs if isinstance(value, (Ramp, Steps))]
    if name in _MOVES:
        return _move(walk, equation, inputs) if symbols == [inputs[0]] else None
    if name == "argmax" and isinstance(inputs[0], Ramp):
        return _argmax(walk, equation, inputs[0])
    if name == "sort":
        return _sort(walk, equation, inputs)
    if len(equation.outvars) != 1:
        return None
    if len(symbols) == 1 and isinstance(symbols[0], Ramp):
        return _of_ramp(walk, name, equation, inputs)
    if len(symbols) == 2 and name == "ne" and _alike(*symbols):  # x != x, a test for what is no number
        return br.constant(inputs[0], False)
    if all(isinstance(value, Steps) for value in symbols):
        if name in _REDUCE or name in ("argmax", "argmin"):
            return _reduce(name, equation, inputs[0])
        return _of_steps(walk, name, equation, inputs)
    if name == "select_n":
        return _pick(walk, inputs)
    return None


def _of_ramp(walk: Any, name: str, equation: Any, inputs: list[Any]) -> Any:
    shape = equation.outvars[0].aval.shape
    place = next(i for i, value in enumerate(inputs) if isinstance(value, Ramp))
    ramp = _spread(inputs[place], shape) if name != "searchsorted" else inputs[place]
    if name in _MONOTONE:
        return br.mapped(ramp, name)
    if name in ("reduce_precision", "copy"):
        return ramp
    if name == "is_finite":
        return br.constant(ramp, True)
    if name == "floor":
        return br.whole(ramp, np.float64, towards_zero=False)
    if name == "convert_element_type":
        dtype = equation.outvars[0].aval.dtype
        return ramp if jnp.issubdtype(dtype, jnp.floating) else _to_integer(ramp, dtype)
    if name == "select_n":
        return _pick(walk, inputs)
    if name == "searchsorted":
        return _searchsorted(ramp, walk.rows(inputs[0]), equation.outvars[0].aval.dtype)
    others = [_lifted(walk.rows(value), shape) for i, value in enumerate(inputs) if i != place]
    if name == "clamp" and place == 1:
        return br.mapped(br.mapped(ramp, "max", others[0]), "min", others[1])
    if len(others) != 1:
        return None
    other = others[0]
    if name in _COMPARE:
        order = name if place == 0 else _COMPARE[name]
        return br.compare(ramp, order[:2], other)
    if name in ("eq", "ne"):
        return br.constant(ramp, name == "ne")
    if name in ("add", "max", "min", "mul"):
        return br.mapped(ramp, name, other.astype(np.float64))
    if name == "sub":
        return br.mapped(ramp, "add", -other) if place == 0 else br.mapped(br.mapped(ramp, "neg"), "add", other)
    if name == "div" and place == 0:
        return br.mapped(ramp, "mul", 1.0 / other)
    return None


def _to_integer(ramp: Ramp, dtype: Any) -> Steps:
    if jnp.issubdtype(dtype, jnp.bool_):
        return br.constant(ramp, True)
    return br.whole(ramp, dtype, towards_zero=True)


def _of_steps(walk: Any, name: str, equation: Any, inputs: list[Any]) -> Steps | None:
    """Elementwise functions of pieces and of settled values, if all pieces are of the same uniforms."""
    out = equation.outvars[0].aval
    if name not in _ELEMENTWISE and name not in ("convert_element_type", "select_n", "clamp", "integer_pow"):
        return None
    lifted = [_spread(each, out.shape) if isinstance(each, Steps) else each for each in inputs]
    parts = [each for each in lifted if isinstance(each, Steps)]
    if any(not _same_ids(parts[0].ids, part.ids) for part in parts[1:]):
        return None
    cuts, values = br.common(parts) if len(parts) > 1 else (parts[0].cuts, [parts[0].values])
    found = iter(values)
    arrays = [
        next(found) if isinstance(each, Steps) else _lifted(walk.rows(each), out.shape)[..., None] for each in lifted
    ]
    dtype = np.float64 if jnp.issubdtype(out.dtype, jnp.floating) else out.dtype
    with np.errstate(all="ignore"):
        if name == "convert_element_type":
            result = arrays[0]
        elif name == "integer_pow":
            result = arrays[0] ** equation.params["y"]
        elif name == "select_n":
            which, *cases = arrays
            result = np.broadcast_arrays(cases[0], which)[0]
            for number, case in enumerate(cases[1:], 1):
                result = np.where(which.astype(int) == number, case, result)
        elif name == "clamp":
            result = np.minimum(np.maximum(arrays[1], arrays[0]), arrays[2])
        else:
            result = _ELEMENTWISE[name](*arrays)
    return Steps(parts[0].ids, cuts, result.astype(dtype), parts[0].epoch)


def _reduce(name: str, equation: Any, steps: Steps) -> Steps | None:
    """A reduction over axes along which one uniform is compared with a ladder."""
    axes = tuple(axis + 1 for axis in equation.params["axes"])
    first = steps.ids
    for axis in axes:
        first = np.take(first, [0], axis=axis)
    if not np.array_equal(np.broadcast_to(first, steps.ids.shape), steps.ids):
        return None
    kept = [axis for axis in range(steps.ids.ndim) if axis not in axes]
    ladder = math.prod(steps.ids.shape[axis] for axis in axes)
    if ladder * steps.cuts.shape[-1] > 4096:
        return None

    def flat(array):
        lead = np.broadcast_shapes(array.shape[:-1], steps.ids.shape)
        array = np.broadcast_to(array, (*lead, array.shape[-1]))
        array = np.moveaxis(array, axes, range(-len(axes) - 1, -1))
        return array.reshape(*array.shape[: len(kept)], ladder, array.shape[-1])

    cuts, values, ids = flat(steps.cuts), flat(steps.values), np.squeeze(first, axes)
    parts = [Steps(ids, cuts[..., i, :], values[..., i, :], steps.epoch) for i in range(ladder)]
    joined, each = br.common(parts)
    stack = np.stack(each, axis=-1)
    if name in ("argmax", "argmin"):
        result = (np.argmax if name == "argmax" else np.argmin)(stack, axis=-1)
    else:
        result = _REDUCE[name](stack, axis=-1)
    out = equation.outvars[0].aval.dtype
    return Steps(ids, joined, result.astype(np.float64 if jnp.issubdtype(out, jnp.floating) else out), steps.epoch)


def _move(walk: Any, equation: Any, inputs: list[Any]) -> Any:
    """Where each output element came from, found by moving the numbers 0, 1, ... in its place."""
    value = inputs[0]
    shape = value.ids.shape[1:]
    numbers = walk.shared(np.arange(math.prod(shape)).reshape(shape))
    positions = walk.rows(walk.apply(equation, [numbers, *inputs[1:]])[0])
    if np.any(positions < 0) or np.any(positions >= math.prod(shape)):
        return None
    return br.moved(value, positions.astype(int))


def _argmax(walk: Any, equation: Any, ramp: Ramp) -> Steps | None:
    """The winner among Gumbel numbers as one decision by a uniform of its own; the numbers are used up."""
    axis = equation.params["axes"][0] + 1
    chances = br.race(ramp, axis)
    if chances is None or not walk.branches.spend(ramp.ids):
        return None
    chances = np.moveaxis(chances, axis, -1)
    cuts = np.minimum(np.cumsum(chances, axis=-1)[..., :-1], 1.0)
    ids = walk.branches.fresh(cuts.shape[1:-1])
    values = np.broadcast_to(np.arange(chances.shape[-1]), chances.shape).astype(equation.outvars[0].aval.dtype)
    return Steps(ids, cuts, values, walk.branches.epoch)


def _sort(walk: Any, equation: Any, inputs: list[Any]) -> list[Any] | None:
    """Things sorted by uniforms alike are a shuffle; the uniforms are used up and the sorted ones not for use."""
    keys = inputs[0]
    if not isinstance(keys, Ramp) or keys.ids.ndim != 2 or any(isinstance(v, (Ramp, Steps)) for v in inputs[1:]):
        return None
    num = keys.ids.shape[1]
    alike = all(o is None or np.all(o == o[:, :1]) for _, o in keys.maps)
    if equation.params["num_keys"] != 1 or num > 7 or not alike or not walk.branches.spend(keys.ids):
        return None
    ids = walk.branches.fresh(())
    return [keys, *(walk.shuffled(ids, walk.rows(value)) for value in inputs[1:])]


def _searchsorted(ramp: Ramp, ladder: np.ndarray, dtype: Any) -> Steps | None:
    """The place of g(u) in a rising ladder [branches or 1, K]."""
    if ladder.ndim != 2:
        return None
    extra = (1,) * (ramp.ids.ndim - 1)
    rungs = [br.compare(ramp, "ge", ladder[:, i].reshape(-1, *extra)) for i in range(ladder.shape[1])]
    cuts, values = br.common(rungs)
    return Steps(ramp.ids, cuts, np.sum(np.stack(values, axis=-1), axis=-1).astype(dtype), ramp.epoch)


def _pick(walk: Any, inputs: list[Any]) -> Any:
    """A choice between a number and another that is the same for every branch and element."""
    which = inputs[0]
    if isinstance(which, Ramp):
        return None
    if isinstance(which, Steps):
        if np.any(which.values != which.values.flat[0]):
            return None
        return inputs[1 + int(which.values.flat[0])]
    chosen = walk.rows(which).astype(int)
    return inputs[1 + int(chosen.flat[0])] if np.all(chosen == chosen.flat[0]) else None


def _alike(a: Any, b: Any) -> bool:
    if not isinstance(a, Ramp) or not isinstance(b, Ramp) or len(a.maps) != len(b.maps) or np.any(a.ids != b.ids):
        return False
    pairs = zip(a.maps, b.maps, strict=True)
    return all(m == n and (u is None or v is None or np.array_equal(u, v)) for (m, u), (n, v) in pairs)


def _same_ids(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(a == b))


def _spread(value: Any, shape: tuple[int, ...]) -> Any:
    """A symbol broadcast to a shape, as lax does it: scalars, and axes of length 1."""
    own = value.ids.shape[1:]
    if own == tuple(shape):
        return value
    numbers = np.arange(math.prod(own)).reshape(own if own else (1,) * len(shape))
    return br.moved(value, np.broadcast_to(numbers, shape)[None])


def _lifted(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Settled rows [branches or 1, ...] broadcast alike."""
    lead = array.reshape(array.shape[0], *(1,) * len(shape)) if array.ndim == 1 else array
    return np.broadcast_to(lead, (array.shape[0], *shape))
