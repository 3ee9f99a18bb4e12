"""Arrays out of a pickle file without unpickling: the file's instructions are read, never carried out.

A pickle is a small program, and running it runs what the file names. Here the instructions are only listed (by
`pickletools`) and the few that spell "a numpy array of these bytes" are interpreted by hand; anything else, any name
other than numpy's own three, any object dtype, is refused. Nothing is imported or called on behalf of the file.
"""

import math
import pickletools
import warnings
from typing import Any, BinaryIO

import numpy as np

from energax.errors import DataError

_GLOBALS = {
    "numpy.core.multiarray _reconstruct": "_reconstruct",
    "numpy._core.multiarray _reconstruct": "_reconstruct",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}
_DTYPES = ("u1", "i1", "i2", "i4", "i8", "f4", "f8")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBERS = ("BININT", "BININT1", "BININT2")
_TEXTS = ("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINUNICODE", "SHORT_BINUNICODE")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SILENT = ("PROTO", "FRAME")
_MOST_INSTRUCTIONS = 10_000
_MARK = object()


class _Global:
    def __init__(self, name: str) -> None:
        self.name = name


class _DType:
    def __init__(self, code: str) -> None:
        self.code = code


class _Array:
    value: np.ndarray | None = None


def read_arrays(file: BinaryIO, most_bytes: int) -> Any:
    """The arrays of a pickle file, in the nested tuples in which they lie.

    Args:
        file: An open binary file; read to the end of the pickle.
        most_bytes: The most bytes that may be read from it.

    Returns:
        An array, or nested tuples of arrays.

    Raises:
        DataError: The file is cut off, too long, or holds anything but plain numeric arrays in tuples.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged text may hold odd escapes; such a name is refused anyway
            for count, (op, arg, _) in enumerate(pickletools.genops(_Bounded(file, most_bytes))):  # type: ignore[arg-type]
                if count >= _MOST_INSTRUCTIONS:
                    raise DataError(
                        f"A pickle of arrays must have at most {_MOST_INSTRUCTIONS} instructions; got more."
                    )
                if op.name == "STOP":
                    break
                _interpret(op.name, arg, stack, memo)
    except DataError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeError, EOFError, OSError) as problem:
        raise DataError(f"A pickle of arrays must be whole and well formed; got {str(problem)[:200]!r}.") from None
    if len(stack) != 1:
        raise DataError(f"A pickle of arrays must hold one value; got {len(stack)}.")
    return _finished(stack[0])


def _interpret(op: str, arg: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    if op in _SILENT:
        return
    if op in _CONSTANTS:
        stack.append(_CONSTANTS[op])
    elif op in _NUMBERS or op in _TEXTS:
        stack.append(arg)
    elif op == "MARK":
        stack.append(_MARK)
    elif op in _TUPLES:
        stack[-_TUPLES[op] :] = [tuple(_last(stack, _TUPLES[op]))]
    elif op == "TUPLE":
        start = len(stack) - 1 - stack[::-1].index(_MARK)
        stack[start:] = [tuple(stack[start + 1 :])]
    elif op == "BINPUT":
        memo[arg] = stack[-1]
    elif op == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif op == "BINGET":
        stack.append(memo[arg])
    elif op == "GLOBAL":
        if arg not in _GLOBALS:
            raise DataError(f"A pickle of arrays must name nothing but numpy's array and dtype; got {str(arg)[:80]!r}.")
        stack.append(_Global(_GLOBALS[arg]))
    elif op == "REDUCE":
        called, given = _last(stack, 2)
        stack[-2:] = [_called(called, given)]
    elif op == "BUILD":
        built, state = _last(stack, 2)
        stack[-2:] = [_built(built, state)]
    else:
        raise DataError(f"A pickle of arrays must hold plain arrays in tuples; got the instruction {op}.")


def _last(stack: list[Any], num: int) -> list[Any]:
    if len(stack) < num:
        raise DataError("A pickle of arrays must be well formed; got an instruction without its operands.")
    return stack[-num:]


def _called(called: Any, given: Any) -> Any:
    if isinstance(called, _Global) and isinstance(given, tuple):
        if called.name == "_reconstruct":
            return _Array()
        if called.name == "dtype" and given and given[0] in _DTYPES:
            return _DType(given[0])
        if called.name == "dtype":
            raise DataError(f"A pickle of arrays must hold dtypes of {', '.join(_DTYPES)}; got {str(given)[:80]}.")
    raise DataError("A pickle of arrays must call nothing but numpy's array and dtype; got another call.")


def _built(built: Any, state: Any) -> Any:
    if isinstance(built, _DType) and isinstance(state, tuple) and len(state) >= 2:
        if state[1] not in ("<", "|") or any(part is not None for part in state[2:5]):
            raise DataError(f"A pickle of arrays must hold plain little-endian dtypes; got {str(state)[:80]}.")
        return built
    if isinstance(built, _Array) and isinstance(state, tuple) and len(state) == 5:
        _, shape, dtype, fortran, data = state
        raw = data.encode("latin-1") if isinstance(data, str) else data
        plain = isinstance(shape, tuple) and all(type(s) is int and s >= 0 for s in shape) and fortran is False
        if not plain or not isinstance(dtype, _DType) or not isinstance(raw, bytes):
            raise DataError("A pickle of arrays must hold numeric arrays in C order; got another layout.")
        kind = np.dtype(dtype.code).newbyteorder("<")
        if math.prod(shape) * kind.itemsize != len(raw):
            raise DataError(f"A pickled array of shape {shape} must hold its bytes; got {len(raw)}.")
        built.value = np.frombuffer(raw, kind).reshape(shape)
        return built
    raise DataError("A pickle of arrays must build nothing but arrays and dtypes; got another object.")


def _finished(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_finished(part) for part in value)
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    raise DataError(f"A pickle of arrays must hold arrays in tuples; got {type(value).__name__.strip('_')}.")


class _Bounded:
    """A file that ends in a refusal after so many bytes, however much its compression would unfold to."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._file, self._left = file, most_bytes

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._left:
            raise DataError(f"A pickle of arrays must be within its limit; {self._left} bytes were left, got {size}.")
        data = self._file.read(size)
        self._left -= len(data)
        return data

    def readline(self, size: int | None = -1) -> bytes:
        line = self._file.readline(min(1024, self._left))
        self._left -= len(line)
        return line
