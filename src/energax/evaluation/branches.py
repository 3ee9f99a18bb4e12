"""Branches of one random step: uniform numbers as symbols, decided by interval where they meet a threshold.

Source: the method of conditioning on choices for discrete probabilistic programs, as in Holtzen, Van den Broeck and
    Millstein (2020), Scaling exact inference for discrete probabilistic programs, arXiv:2005.09089, section 2.
What differs: the choices are not written down by a user but found. A uniform number is a symbol u on [0, 1); monotone
maps of it are kept (`Ramp`), a comparison makes it piecewise constant (`Steps`), and only where such a value is needed
does a branch part into one branch a piece, each with the piece's length as its probability. All thresholds that one u
meets part [0, 1) jointly, so that a number that is used twice is followed exactly.
Cost: one row of every array a branch. Fails, in words, for numbers whose very value reaches the state.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

MOST_BRANCHES = 1_000_000
_MOST_PIECES = 4096


class ContinuousNoise(ValueError):
    """The step uses the value of a random number and not only decisions: it has no transition matrix to write down."""

    def __init__(self, what: str):
        super().__init__(
            f"transition_matrix: every random number must end in a decision; got one whose value reaches `{what}`. "
            "Such a kernel has continuous noise and is judged by its moments instead."
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """One value a branch, [branches, ...], as it was when `epoch` splits had been made."""

    array: np.ndarray
    epoch: int


@dataclass(frozen=True, eq=False)
class Ramp:
    """g(u) element by element: `ids` name the uniforms, `maps` are g as (name, operand) in the order applied.

    Every array has a leading axis of branches, of length 1 where all branches agree.
    """

    ids: np.ndarray
    maps: tuple[tuple[str, np.ndarray | None], ...]
    epoch: int


@dataclass(frozen=True, eq=False)
class Steps:
    """A piecewise constant function of one uniform each element: `values` [..., K + 1] between `cuts` [..., K]."""

    ids: np.ndarray
    cuts: np.ndarray
    values: np.ndarray
    epoch: int


class Branches:
    """The branches so far: where each began, its probability, and what it knows of every uniform drawn."""

    def __init__(self, starts: int, most: int = MOST_BRANCHES):
        self.origin = np.arange(starts)
        self.weight = np.ones(starts)
        self.low = np.zeros((starts, 0))
        self.high = np.zeros((starts, 0))
        self.active = np.ones(starts, bool)  # those outside a taken branch of the program decide nothing
        self.parents: list[np.ndarray] = []
        self._spent: set[int] = set()
        self._most = most

    @property
    def num(self) -> int:
        return len(self.origin)

    @property
    def epoch(self) -> int:
        return len(self.parents)

    def fresh(self, shape: tuple[int, ...]) -> np.ndarray:
        """Names of new uniforms, [1, *shape]."""
        size, known = math.prod(shape), self.low.shape[1]
        self.low = np.concatenate([self.low, np.zeros((self.num, size))], axis=1)
        self.high = np.concatenate([self.high, np.ones((self.num, size))], axis=1)
        return known + np.arange(size).reshape(1, *shape)

    def spend(self, ids: np.ndarray) -> bool:
        """Uses up uniforms whose order alone decided something; False where one was used before."""
        flat = np.unique(ids)
        if ids.shape[0] != 1 or len(flat) < ids.size or self._spent & set(flat.tolist()):
            return False
        if np.any(self.low[:, flat] > 0.0) or np.any(self.high[:, flat] < 1.0):
            return False
        self._spent |= set(flat.tolist())
        return True

    def now(self, value: Any) -> Any:
        """The value with its rows as the branches are now."""
        if isinstance(value, Rows):
            array = value.array
            for parent in self.parents[value.epoch :]:
                array = array[parent]
            return Rows(array, self.epoch)

        def aligned(array):
            for parent in () if array is None or array.shape[0] == 1 else self.parents[value.epoch :]:
                array = array[parent]
            return array

        if isinstance(value, Ramp):
            maps = tuple((name, aligned(operand)) for name, operand in value.maps)
            return Ramp(aligned(value.ids), maps, self.epoch)
        return Steps(aligned(value.ids), aligned(value.cuts), aligned(value.values), self.epoch)

    def decide(self, steps: Steps) -> Rows:
        """The values of a piecewise constant array, every branch parted where one of its uniforms decides."""
        shape = steps.ids.shape[1:]
        if self._spent and self._spent & set(np.unique(steps.ids).tolist()):
            raise ContinuousNoise("a second use, after its order among others has decided")
        chosen = [self._decide_one(steps, element) for element in range(math.prod(shape))]
        if not chosen:
            return Rows(np.zeros((self.num, *shape), steps.values.dtype), self.epoch)
        array = np.stack([self.now(each).array for each in chosen], axis=1)
        return Rows(array.reshape(self.num, *shape), self.epoch)

    def _decide_one(self, steps: Steps, element: int) -> Rows:
        steps, rows = self.now(steps), np.arange(self.num)
        pieces = steps.values.shape[-1]

        def own(array, width):
            flat = array.reshape(array.shape[0], math.prod(steps.ids.shape[1:]), width)
            return np.broadcast_to(flat[:, element], (self.num, width))

        ids, cuts, values = own(steps.ids, 1)[:, 0], own(steps.cuts, pieces - 1), own(steps.values, pieces)
        low, high = self.low[rows, ids], self.high[rows, ids]
        edges = np.concatenate([low[:, None], np.clip(cuts, low[:, None], high[:, None]), high[:, None]], axis=1)
        open_piece = np.diff(edges, axis=1) > 0.0
        # a piece begins a branch unless it only continues the value of the last open piece
        begins, last, seen = np.zeros((self.num, pieces), bool), values[:, 0].copy(), np.zeros(self.num, bool)
        for turn in range(pieces):
            is_open = open_piece[:, turn]
            begins[:, turn] = is_open & (~seen | ((values[:, turn] != last) & self.active))
            last = np.where(begins[:, turn], values[:, turn], last)
            seen |= is_open
        parent, piece = np.nonzero(begins)
        if len(parent) == self.num:
            return Rows(values[rows, piece], self.epoch)
        if len(parent) > self._most:
            raise ValueError(
                f"transition_matrix: the states times the choices must number at most {self._most}; got more. "
                "Take fewer sites, or fewer updates a step."
            )
        following = np.append(parent[1:] == parent[:-1], False)
        left = edges[parent, piece]
        right = np.where(following, np.append(left[1:], 0.0), high[parent])
        left = np.where(np.insert(parent[1:] == parent[:-1], 0, False), left, low[parent])
        weight = self.weight[parent] * (right - left) / (high - low)[parent]
        taken = values[parent, piece]
        self._split(parent)
        self.weight = weight
        self.low[np.arange(self.num), ids[parent]] = left
        self.high[np.arange(self.num), ids[parent]] = right
        return Rows(taken, self.epoch)

    def _split(self, parent: np.ndarray) -> None:
        self.parents.append(parent)
        self.origin, self.active = self.origin[parent], self.active[parent]
        self.low, self.high = self.low[parent], self.high[parent]


def mapped(ramp: Ramp, name: str, operand: np.ndarray | None = None) -> Ramp:
    """One more monotone map: neg, log, log1p, exp, expm1, erf_inv, sqrt; add, mul, max, min with an operand."""
    return replace(ramp, maps=(*ramp.maps, (name, operand)))


def moved(value: Any, positions: np.ndarray) -> Any:
    """The elements at flat `positions` [branches or 1, *shape]: what any reshaping, slicing or indexing does."""

    def pick(array, trailing):
        if array is None:
            return None
        tail = array.shape[array.ndim - trailing :]
        flat = array.reshape(array.shape[0], math.prod(value.ids.shape[1:]), *tail)
        rows = np.arange(max(flat.shape[0], positions.shape[0]))
        first = rows if flat.shape[0] > 1 else np.zeros_like(rows)
        where = positions if positions.shape[0] == len(rows) else np.repeat(positions, len(rows), axis=0)
        return flat[first.reshape(-1, *(1,) * (positions.ndim - 1)), where]

    if isinstance(value, Ramp):
        maps = tuple((name, pick(operand, 0)) for name, operand in value.maps)
        return Ramp(pick(value.ids, 0), maps, value.epoch)
    return Steps(pick(value.ids, 0), pick(value.cuts, 1), pick(value.values, 1), value.epoch)


def compare(ramp: Ramp, name: str, level: np.ndarray) -> Steps:
    """g(u) < level (or le, gt, ge) as a function of u; the ends have no length."""
    cut, above = _inverse(ramp, level, name in ("gt", "ge"))
    known = ~np.isnan(cut)  # no number is below what is no number
    values = np.stack([known & ~above, known & above], axis=-1)
    return Steps(ramp.ids, np.where(known, np.clip(cut, 0.0, 1.0), 0.0)[..., None], values, ramp.epoch)


def constant(ramp: Ramp, value: Any) -> Steps:
    """The same for every u."""
    shape = ramp.ids.shape
    return Steps(ramp.ids, np.zeros((*shape, 0)), np.full((*shape, 1), value), ramp.epoch)


def whole(ramp: Ramp, dtype: Any, *, towards_zero: bool) -> Steps:
    """The integer part of g(u): floor, or truncation as a conversion to integers does it."""
    ends = np.stack([_forward(ramp, 0.0), _forward(ramp, 1.0)])
    if not np.all(np.isfinite(ends)):
        raise ContinuousNoise("floor")
    low, high = int(np.floor(ends.min())), int(np.ceil(ends.max()))
    if high - low > _MOST_PIECES:
        raise ContinuousNoise("floor")
    integers = np.arange(low, high)
    cuts, below = [], np.zeros(())
    for integer in integers[1:]:
        cut, below = _inverse(ramp, np.full(ramp.ids.shape, float(integer)), False)
        cuts.append(np.clip(cut, 0.0, 1.0))
    if np.any(below) and not np.all(below):
        raise ContinuousNoise("floor")
    if np.any(below):
        cuts, integers = cuts[::-1], integers[::-1]
    if towards_zero:
        integers = np.where(integers < 0, integers + 1, integers)
    values = np.broadcast_to(integers.astype(dtype), (*ramp.ids.shape, len(integers)))
    shape = np.broadcast_shapes(ramp.ids.shape, *(cut.shape for cut in cuts))
    cuts = [np.broadcast_to(cut, shape) for cut in cuts]
    return Steps(ramp.ids, np.stack(cuts, axis=-1) if cuts else np.zeros((*shape, 0)), values, ramp.epoch)


def common(parts: list[Steps]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Cuts of all of them together, and the values of each between those."""
    lead = np.broadcast_shapes(*(array.shape[:-1] for part in parts for array in (part.cuts, part.values)))
    cuts = np.concatenate([np.broadcast_to(part.cuts, (*lead, part.cuts.shape[-1])) for part in parts], axis=-1)
    cuts = np.sort(cuts, axis=-1)
    left = np.concatenate([np.full((*lead, 1), -1.0), cuts], axis=-1)
    found = []
    for part in parts:
        index = np.sum(part.cuts[..., None, :] <= left[..., :, None], axis=-1)
        values = np.broadcast_to(part.values, (*lead, part.values.shape[-1]))
        found.append(np.take_along_axis(values, index, axis=-1))
    return cuts, found


def race(ramp: Ramp, axis: int) -> np.ndarray | None:
    """Probabilities of each place along `axis` to hold the largest of a * Gumbel + c: softmax(c / a); None if it is
    no such race.

    Source: Gumbel (1954), Statistical theory of extreme values (the maximum of Gumbel variables with shifts).
    """
    names = [name for name, _ in ramp.maps]
    if names[:4] != ["log", "neg", "log", "neg"] or set(names[4:]) - {"add", "mul"}:
        return None
    scale, shift = np.ones(ramp.ids.shape), np.zeros(ramp.ids.shape)
    for name, operand in ramp.maps[4:]:
        assert operand is not None
        scale, shift = (scale * operand, shift * operand) if name == "mul" else (scale, shift + operand)
    if np.any(scale <= 0.0) or np.any(np.diff(scale, axis=axis)):
        return None
    with np.errstate(invalid="ignore"):
        return special.softmax(shift / scale, axis=axis)


def _inverse(ramp: Ramp, level: np.ndarray, above: Any) -> tuple[np.ndarray, np.ndarray]:
    """g(u) < level (where not `above`, else >) as u < or > a cut."""
    cut = np.asarray(level, np.float64)
    above = np.broadcast_to(np.asarray(above), cut.shape)
    with np.errstate(all="ignore"):
        for name, operand in reversed(ramp.maps):
            if name in _UNMAP:
                cut = _UNMAP[name](cut)
            if operand is not None:
                cut = _UNMAP_WITH[name](cut, operand)
            if name == "neg":
                above = ~above
            elif name == "mul":
                above = above ^ (operand < 0.0)
    return np.broadcast_arrays(cut, above)  # type: ignore[return-value]


def _forward(ramp: Ramp, u: float) -> np.ndarray:
    value = np.full(ramp.ids.shape, u)
    with np.errstate(all="ignore"):
        for name, operand in ramp.maps:
            value = _MAP[name](value) if operand is None else _MAP_WITH[name](value, operand)
    return value


def _below(cut, operand):
    return np.where(operand == 0.0, np.where(cut > 0.0, np.inf, -np.inf), cut / np.where(operand == 0.0, 1.0, operand))


_MAP: dict[str, Callable] = {
    "neg": np.negative,
    "log": np.log,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "erf_inv": special.erfinv,
    "sqrt": np.sqrt,
}
_UNMAP: dict[str, Callable] = {
    "neg": np.negative,
    "log": np.exp,
    "log1p": np.expm1,
    "exp": lambda cut: np.where(cut > 0.0, np.log(cut), np.where(np.isnan(cut), np.nan, -np.inf)),
    "expm1": lambda cut: np.where(cut > -1.0, np.log1p(cut), np.where(np.isnan(cut), np.nan, -np.inf)),
    "erf_inv": special.erf,
    "sqrt": lambda cut: np.where(cut > 0.0, cut * cut, np.where(np.isnan(cut), np.nan, -np.inf)),
}
_MAP_WITH: dict[str, Callable] = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
_UNMAP_WITH: dict[str, Callable] = {
    "add": np.subtract,
    "mul": _below,
    "max": lambda cut, operand: np.where(cut <= operand, -np.inf, cut),
    "min": lambda cut, operand: np.where(cut > operand, np.inf, cut),
}
