"""Refusals at the door: one sentence that says what must be and what was got, raised before any compilation.

Every check looks only at concrete values; a traced value passes through, since it was checked where it entered. Nothing
here imports jax, so that every floor can ask.
"""

import math
import sys
from typing import Any

import numpy as np


def _concrete(value: Any) -> bool:
    return not ("jax" in sys.modules and isinstance(value, sys.modules["jax"].core.Tracer))


def positive(owner: str, name: str, value: Any, *, ndim: int | None = None) -> None:
    """Raises ValueError unless `value` is a finite number > 0 (an array: every entry, and of rank `ndim` if asked)."""
    _number(owner, name, value, "must be > 0", lambda v: v > 0, ndim)


def non_negative(owner: str, name: str, value: Any, *, ndim: int | None = None) -> None:
    """Raises ValueError unless `value` is a finite number >= 0 (an array: every entry, and of rank `ndim` if asked)."""
    _number(owner, name, value, "must be >= 0", lambda v: v >= 0, ndim)


def finite(owner: str, name: str, value: Any, *, ndim: int | None = None) -> None:
    """Raises ValueError unless every entry of `value` is finite (and it is of rank `ndim` if asked)."""
    _number(owner, name, value, "must be finite", lambda v: v == v, ndim)


def fraction(owner: str, name: str, value: Any) -> None:
    """Raises ValueError unless `value` is one number strictly between 0 and 1."""
    _number(owner, name, value, "must lie in (0, 1)", lambda v: (v > 0) & (v < 1), 0)


def share(owner: str, name: str, value: Any) -> None:
    """Raises ValueError unless `value` is one number from 0 to 1, both included."""
    _number(owner, name, value, "must lie in [0, 1]", lambda v: (v >= 0) & (v <= 1), 0)


def _number(owner: str, name: str, value: Any, must: str, holds, ndim: int | None) -> None:
    if not _concrete(value) or (not hasattr(value, "__float__") and not hasattr(value, "dtype")):
        if _concrete(value):
            raise ValueError(f"{owner}.{name} {must}; got {value!r} of type {type(value).__name__}.")
        return
    if isinstance(value, bool):
        raise ValueError(f"{owner}.{name} {must}; got the boolean {value}.")
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.number):
        raise ValueError(f"{owner}.{name} {must}; got {value!r}.")
    if ndim is not None and array.ndim != ndim:
        wanted = "one number" if ndim == 0 else f"of rank {ndim}"
        raise ValueError(f"{owner}.{name} must be {wanted}; got shape {array.shape}.")
    if array.size == 0 or not np.all(np.isfinite(array)) or not np.all(holds(array)):
        raise ValueError(f"{owner}.{name} {must}; got {_short(array)}.")


def count(owner: str, name: str, value: Any, least: int = 1) -> int:
    """The integer `value`, or ValueError unless it is an integer >= `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{owner}.{name} must be an integer >= {least}; got {value!r}.")
    return int(value)


def samples(owner: str, name: str, x: Any, *, least: int = 1, ndim: int | None = None) -> None:
    """Raises ValueError unless `x` is a real numeric array of >= `least` finite rows (and of rank `ndim`).

    Args:
        owner: The function or class that asks.
        name: The argument's name.
        x: What was given.
        least: The fewest rows on axis 0.
        ndim: The rank that is required, rows included; None takes any rank >= 1.
    """
    if not _concrete(x):
        return
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise ValueError(f"{owner}: {name} must be an array with samples on axis 0; got {type(x).__name__}.")
    if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer) or x.dtype.name == "bfloat16"):
        raise ValueError(f"{owner}: {name} must hold real numbers; got dtype {x.dtype}.")
    if len(x.shape) < 1 or (ndim is not None and len(x.shape) != ndim):
        wanted = "rank >= 1" if ndim is None else f"rank {ndim}"
        raise ValueError(f"{owner}: {name} must have {wanted}, samples on axis 0; got shape {tuple(x.shape)}.")
    if x.shape[0] < least or math.prod(x.shape) == 0:
        raise ValueError(f"{owner}: {name} must hold at least {least} sample(s); got shape {tuple(x.shape)}.")
    bad = np.argwhere(~np.isfinite(np.asarray(x)))
    if len(bad):
        raise ValueError(
            f"{owner}: {name} must be finite; got {np.asarray(x)[tuple(bad[0])]} at index {tuple(map(int, bad[0]))}."
        )


def array(owner: str, name: str, value: Any, *, least: int = 1, ndim: int | None = None) -> np.ndarray:
    """`value`, an array of NumPy, JAX or PyTorch, as float64 on the host.

    A PyTorch tensor is known by what it can do: torch is never imported. Its gradient is left behind.

    Args:
        owner: The function or class that asks.
        name: The argument's name.
        value: What was given; dense.
        least: The fewest rows on axis 0.
        ndim: The rank that is required; None takes any rank >= 1.

    Raises:
        ValueError: As `samples`.

    Example:
        >>> array("score", "logits", np.array([[1, 2]], np.int8))
        array([[1., 2.]])
    """
    value = on_host(owner, name, value)
    samples(owner, name, value, least=least, ndim=ndim)
    return np.asarray(value, np.float64)


def labels(owner: str, name: str, value: Any, num: int, *, classes: int | None = None) -> np.ndarray:
    """`value`, class numbers from 0 in an array of NumPy, JAX or PyTorch, as int64 on the host.

    Args:
        owner: The function or class that asks.
        name: The argument's name.
        value: What was given, [num].
        num: How many there must be.
        classes: All must be below it; None sets no limit.

    Raises:
        ValueError: There are more or fewer, they are no integers, or one is out of range.

    Example:
        >>> labels("score", "labels", np.array([1, 0], np.uint8), 2, classes=2)
        array([1, 0])
    """
    given = np.asarray(on_host(owner, name, value))
    if given.shape != (num,):
        raise ValueError(f"{owner}: {name} must be one a row, shape ({num},); got shape {given.shape}.")
    if given.dtype.kind not in "iu":
        raise ValueError(f"{owner}: {name} must be integers, numbers of classes from 0; got dtype {given.dtype}.")
    wrong = given[(given < 0) | (given >= (np.inf if classes is None else classes))]
    if len(wrong):
        among = ">= 0" if classes is None else f"in 0..{classes - 1}"
        raise ValueError(f"{owner}: {name} must be {among}; got {wrong[0]}.")
    return given.astype(np.int64)


def on_host(owner: str, name: str, value: Any) -> Any:
    """A PyTorch tensor as a NumPy array of its kind (bfloat16 as float32); anything else as it is."""
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    if str(value.layout) != "torch.strided":
        raise ValueError(f"{owner}: {name} must be dense; got a tensor of layout {value.layout}.")
    value = value.detach().cpu()
    return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()


def _short(array: np.ndarray) -> str:
    return (
        repr(array.item())
        if array.size == 1
        else f"an array of shape {array.shape} with minimum {array.min() if array.size else 'none'}"
    )
