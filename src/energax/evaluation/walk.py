"""Walks the program of one step, for all states at once, and parts a branch at every random decision.

Source: Cusumano-Towner et al. (2019), Gen, doi:10.1145/3314221.3314642, for programs run with their random choices
    intercepted; here the program is a jaxpr and the choices are found by `branches`.
What differs: equations without random numbers are compiled together and vmapped over the branches; scans, loops and
switches that draw are unrolled. Keys are concrete, so that a key that is used twice is seen. Draws are known by name:
`uniform`, `uniforms`, `standard_normal` of `numerics.random`, and `_uniform`, `_randint`, `_shuffle` of `jax.random`,
on which its bernoulli, gumbel, categorical, choice and normal are built.
Fails, in words, where a random number's very value reaches the state, and where raw random bits are read.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr

from .branches import Branches, ContinuousNoise, Ramp, Rows, Steps, mapped, moved
from .double import called, evaluate_equation, inner_programs, promoted
from .frame import Frame, Same, dependent_key, is_key
from .rules import apply_rule

_CAPACITIES = (256, 4096, 65536)
_KEY_ARITHMETIC = ("random_split", "random_wrap", "random_unwrap", "random_fold_in", "random_clone")
_DRAWS = ("uniform", "uniforms", "standard_normal", "_uniform", "_randint", "_shuffle")
_MOST_SHUFFLED, _MOST_TURNS = 7, 10_000
_NEGLIGIBLE = 1e-14  # what a loop without end, such as rejection, may leave of all branches' probability


class Walk:
    """One step's program on its way.

    Attributes:
        branches: The branches so far.
        reused: One sentence for every key that was used twice.
    """

    def __init__(self, branches: Branches):
        self.branches = branches
        self.reused: list[str] = []
        self._drawn: dict[tuple, np.ndarray] = {}
        self._used: set[tuple] = set()
        self._compiled: dict[tuple, Any] = {}

    def run(self, jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any], wanted: Sequence[bool]) -> list[Any]:
        """The outputs of a program; those not wanted may be None."""
        values = [*(Same(promoted(each), is_key(each)) for each in consts), *args]
        frame = Frame(self, jaxpr, values, wanted)
        for index, equation in enumerate(jaxpr.eqns):
            if index not in frame.live:
                continue
            if not self._special(equation, frame):
                frame.postpone(index)
                continue
            inputs = frame.read_all(equation.invars)
            keep = [variable in frame.needed for variable in equation.outvars]
            frame.env.update(zip(equation.outvars, self._handle(equation, inputs, keep), strict=True))
        outs = frame.read_all([atom for atom, keep in zip(jaxpr.outvars, wanted, strict=True) if keep])
        found = iter(outs)
        return [next(found) if keep else None for keep in wanted]

    def settled(self, value: Any) -> Any:
        """The value without symbols: decided, the branches parted where it takes several."""
        if isinstance(value, Ramp):
            raise ContinuousNoise("the state")
        return self.branches.decide(value) if isinstance(value, Steps) else value

    def rows(self, value: Any) -> np.ndarray:
        """A settled value as [branches or 1, ...]."""
        return np.asarray(value.array)[None] if isinstance(value, Same) else self.branches.now(value).array

    def shared(self, array: np.ndarray) -> Same:
        """A constant."""
        return Same(array, False)

    def shuffled(self, ids: np.ndarray, things: np.ndarray) -> Steps:
        """All orders of `things` [branches or 1, n], equally likely by one uniform `ids` [1]."""
        num = things.shape[1]
        orders = np.array(list(itertools.permutations(range(num))))
        cuts = np.broadcast_to(np.arange(1, len(orders)) / len(orders), (1, num, len(orders) - 1))
        return Steps(np.broadcast_to(ids[:, None], (1, num)), cuts, things[:, orders.T], self.branches.epoch)

    def apply(self, equation: Any, inputs: Sequence[Any]) -> list[Any]:
        """One equation on settled values, compiled and vmapped over the branches."""

        def program(*args):
            return evaluate_equation(equation, args)

        same = all(isinstance(value, Same) for value in inputs)
        key = any(isinstance(value, Same) and value.key for value in inputs)
        flags = [(same, key or is_key(variable.aval)) for variable in equation.outvars]
        return self.compiled((id(equation),), program, inputs, flags, equation)

    def compiled(self, name: tuple, program: Any, inputs: Sequence[Any], flags: Sequence[Any], keep: Any) -> list[Any]:
        """`program` of settled values; its outputs are the branches' own or, by `flags`, shared by all."""
        shared = tuple(isinstance(value, Same) for value in inputs)
        slot = (*name, shared)
        if slot not in self._compiled:
            axes = tuple(None if each else 0 for each in shared)
            over = program if all(shared) else jax.vmap(program, axes, [None if same else 0 for same, _ in flags])
            self._compiled[slot] = jax.jit(over), keep  # kept, so that no other object takes its id
        function = self._compiled[slot][0]
        if all(shared):
            outs = function(*(value.array for value in inputs))
            return [Same(out, key) for out, (_, key) in zip(outs, flags, strict=True)]
        arrays = [value.array if each else self.rows(value) for value, each in zip(inputs, shared, strict=True)]
        num = self.branches.num
        capacity = next((size for size in _CAPACITIES if size >= num), _CAPACITIES[-1])
        pieces = []
        for start in range(0, num, capacity):
            stop = min(start + capacity, num)
            given = [a if each else _padded(a[start:stop], capacity) for a, each in zip(arrays, shared, strict=True)]
            outs = function(*given)
            pieces.append(
                [o if same else np.asarray(o)[: stop - start] for o, (same, _) in zip(outs, flags, strict=True)]
            )
        return [
            Same(column[0], key) if same else Rows(np.concatenate(column), self.branches.epoch)
            for column, (same, key) in zip(zip(*pieces, strict=True), flags, strict=True)
        ]

    def _special(self, equation: Any, frame: Frame) -> bool:
        """Whether an equation meets symbols or draws numbers, so that it cannot be compiled with its neighbours."""
        known = [frame.flags(atom) for atom in equation.invars]
        if None in known or _draws(equation):
            return True
        return any(flag is not None and flag[1] for flag in known) and any(True for _ in inner_programs(equation))

    def _handle(self, equation: Any, inputs: list[Any], wanted: list[bool]) -> list[Any]:
        name = equation.primitive.name
        if name.startswith("random_"):
            raise ValueError(
                "transition_matrix: a kernel must draw by uniform, uniforms, categorical or jax.random's functions, "
                f"from the key of its step; got the primitive `{name}`."
            )
        symbols = [value for value in inputs if isinstance(value, (Ramp, Steps))]
        if name in ("scan", "while", "cond"):
            if not _draws(equation) and all(isinstance(value, Steps) for value in symbols) and not _keyed(inputs):
                return self.apply(equation, [self.settled(value) for value in inputs])
            return {"scan": self._scan, "while": self._while, "cond": self._cond}[name](equation, inputs, wanted)
        inner = called(equation)
        if inner is not None:
            label = equation.params.get("name")
            if label in _DRAWS and isinstance(inputs[0], Same) and inputs[0].key:
                return [self._draw(label, equation, inputs)]
            if label == "searchsorted" and isinstance(inputs[1], Ramp) and not isinstance(inputs[0], (Ramp, Steps)):
                return [apply_rule(self, "searchsorted", equation, inputs)]
            return self.run(inner.jaxpr, inner.consts, inputs, wanted)
        outs = apply_rule(self, name, equation, inputs)
        if outs is None and len({type(value) for value in symbols}) == 2:
            settled = [self.settled(value) if isinstance(value, Steps) else value for value in inputs]
            inputs = [v if isinstance(v, Same) else self.branches.now(v) for v in settled]
            outs = apply_rule(self, name, equation, inputs)
        if outs is None:
            if any(isinstance(value, Ramp) for value in inputs):
                raise ContinuousNoise(name)
            return self.apply(equation, [self.settled(value) for value in inputs])
        return outs if isinstance(outs, list) else [outs]

    def _draw(self, label: str, equation: Any, inputs: list[Any]) -> Any:
        shape, dtype = equation.outvars[0].aval.shape, equation.outvars[0].aval.dtype
        keys = inputs[0].array
        if label == "_shuffle" and (len(shape) != 1 or shape[0] > _MOST_SHUFFLED):
            raise ValueError(f"transition_matrix: a shuffle must be of at most {_MOST_SHUFFLED} things; got {shape}.")
        ids = self._ids(keys, label, () if label == "_shuffle" else shape)
        ramp = Ramp(ids, (), self.branches.epoch)
        if label == "standard_normal":
            return _normal(ramp)
        if label == "_uniform":
            low, high = (self.rows(self.settled(value)).astype(np.float64) for value in inputs[1:3])
            ends = _lifted(low, shape), _lifted(high, shape)
            low, high = np.minimum(*ends), np.maximum(*ends)  # passed by name they come sorted by name
            if np.all(high - low == 1.0) and np.all(np.abs(low) < 1e-30):  # gumbel's least number is not 0 but tiny
                return ramp
            return mapped(mapped(ramp, "mul", high - low), "add", low)
        if label == "_randint":
            low, high = (_lifted(self.rows(self.settled(value)), shape) for value in inputs[1:3])
            span = np.maximum(high - low, 1)[..., None]
            turn = np.arange(int(span.max()))
            cuts = np.minimum(turn[1:] / span, 1.0)
            return Steps(ids, cuts, (low[..., None] + np.minimum(turn, span - 1)).astype(dtype), self.branches.epoch)
        if label == "_shuffle":
            return self.shuffled(ids, self.rows(self.settled(inputs[1])))
        return ramp

    def _ids(self, keys: Any, label: str, shape: tuple[int, ...]) -> np.ndarray:
        """The uniforms of a draw; a second draw from one key is reported, and has the same ones if it is alike."""
        typed = jax.dtypes.issubdtype(keys.dtype, jax.dtypes.prng_key)
        data = np.asarray(jax.random.key_data(keys) if typed else keys)
        blocks = "decide" if label == "uniform" else "noise"
        every = [(row.tobytes(), blocks) for row in data.reshape(-1, data.shape[-1])]
        if len(set(every)) < len(every) or self._used & set(every):
            self.reused.append(f"the key of a draw of shape {shape} was used before")
        self._used |= set(every)
        slot = (data.tobytes(), blocks, label == "standard_normal", shape)
        if slot not in self._drawn:
            self._drawn[slot] = self.branches.fresh(shape)
        return self._drawn[slot]

    def _scan(self, equation: Any, inputs: list[Any], wanted: list[bool]) -> list[Any]:
        params = equation.params
        num_consts, num_carry, length = params["num_consts"], params["num_carry"], params["length"]
        body = params["jaxpr"]
        consts, carry, xs = inputs[:num_consts], inputs[num_consts:][:num_carry], inputs[num_consts + num_carry :]
        keep = [True] * num_carry + wanted[num_carry:]
        columns: list[list[Any]] = [[] for _ in wanted[num_carry:]]
        for turn in reversed(range(length)) if params["reverse"] else range(length):
            now = [self._entry(x, turn) for x in xs]
            outs = self.run(body.jaxpr, body.consts, [*consts, *carry, *now], keep)
            carry = outs[:num_carry]
            for column, out in zip(columns, outs[num_carry:], strict=True):
                column.append(self.settled(out))
        ys = [
            self._stacked(column[::-1] if params["reverse"] else column) if wanted_y else None
            for column, wanted_y in zip(columns, wanted[num_carry:], strict=True)
        ]
        return [*carry, *ys]

    def _while(self, equation: Any, inputs: list[Any], wanted: list[bool]) -> list[Any]:
        params, branches = equation.params, self.branches
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        ask, body = params["cond_jaxpr"], params["body_jaxpr"]
        carry: list[Any] = list(inputs[second:])
        # branches that have ended keep their values in `final`; the others share what they share, keys above all
        outside, together = Rows(branches.active, branches.epoch), True
        final: list[Any] | None = None
        for _ in range(_MOST_TURNS):
            answer = self.run(ask.jaxpr, ask.consts, [*inputs[:first], *carry], [True])[0]
            answer = self.rows(self.settled(answer))
            going = branches.active & np.broadcast_to(answer, (branches.num,))
            if branches.weight[going].sum() < _NEGLIGIBLE:
                break
            if together and not np.array_equal(going, branches.active):
                together, final = False, [None if _keyed([each]) else self.settled(each) for each in carry]
            branches.active = going
            carry = self.run(body.jaxpr, body.consts, [*inputs[first:second], *carry], [True] * len(carry))
            if final is not None:
                carry = [self.settled(each) for each in carry]
                running = Rows(branches.active, branches.epoch)
                final = [
                    None if old is None else self._selected(running, [old, new])
                    for old, new in zip(final, carry, strict=True)
                ]
        else:
            raise ValueError(f"transition_matrix: a loop that draws must end within {_MOST_TURNS} turns; got more.")
        branches.active = branches.now(outside).array
        return carry if final is None else [c if f is None else f for c, f in zip(carry, final, strict=True)]

    def _cond(self, equation: Any, inputs: list[Any], wanted: list[bool]) -> list[Any]:
        programs = equation.params["branches"]
        index = self.settled(inputs[0])
        if isinstance(index, Same):
            program = programs[int(np.clip(int(index.array), 0, len(programs) - 1))]
            return self.run(program.jaxpr, program.consts, inputs[1:], wanted)
        branches, used, after = self.branches, set(self._used), set()
        outside = Rows(branches.active, branches.epoch)
        cases = []
        for number, program in enumerate(programs):
            self._used = set(used)  # only one of the programs draws from a key
            branches.active = branches.now(outside).array & (np.clip(self.rows(index), 0, len(programs) - 1) == number)
            outs = self.run(program.jaxpr, program.consts, inputs[1:], wanted)
            cases.append([None if out is None else self.settled(out) for out in outs])
            after |= self._used
        self._used, branches.active = after, branches.now(outside).array
        if any(_keyed(case) for case in cases):
            raise dependent_key()
        index = Rows(np.clip(self.rows(index), 0, len(programs) - 1), branches.epoch)
        return [
            self._selected(index, list(each)) if keep else None
            for keep, each in zip(wanted, zip(*cases, strict=True), strict=True)
        ]

    def _selected(self, index: Rows, cases: list[Any]) -> Rows:
        """Of every branch the case that its index names."""
        which = self.rows(index).astype(int)
        arrays = [self.rows(case) for case in cases]
        out = np.broadcast_to(arrays[0], (self.branches.num, *arrays[0].shape[1:]))
        for number, array in enumerate(arrays[1:], 1):
            out = np.where((which == number).reshape(-1, *(1,) * (out.ndim - 1)), array, out)
        return Rows(out, self.branches.epoch)

    def _entry(self, value: Any, turn: int) -> Any:
        if isinstance(value, Same):
            return Same(value.array[turn], value.key)
        if isinstance(value, Rows):
            return Rows(value.array[:, turn], value.epoch)
        shape = value.ids.shape[1:]
        return moved(value, np.arange(int(np.prod(shape))).reshape(shape)[turn][None])

    def _stacked(self, column: list[Any]) -> Any:
        if all(isinstance(each, Same) for each in column):
            return Same(jnp.stack([each.array for each in column]), any(each.key for each in column))
        arrays = [np.broadcast_to(a, (self.branches.num, *a.shape[1:])) for a in map(self.rows, column)]
        return Rows(np.stack(arrays, axis=1), self.branches.epoch)


def _normal(ramp: Ramp) -> Ramp:
    """N(0, 1) as a map of its uniform: sqrt(2) erf_inv(2 u - 1)."""
    full = np.ones(ramp.ids.shape)
    ramp = mapped(mapped(mapped(ramp, "mul", 2.0 * full), "add", -full), "erf_inv")
    return mapped(ramp, "mul", np.sqrt(2.0) * full)


def _lifted(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[branches or 1, ...] with the rest broadcast to `shape`."""
    rest = array.shape[1:]
    return np.broadcast_to(
        array.reshape(array.shape[0], *(1,) * (len(shape) - len(rest)), *rest), (array.shape[0], *shape)
    )


def _padded(array: np.ndarray, num: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[:1], num - len(array), axis=0)]) if len(array) < num else array


def _draws(equation: Any) -> bool:
    name = equation.primitive.name
    if name.startswith("random_") and name not in _KEY_ARITHMETIC:
        return True
    return any(_draws(inner) for program in inner_programs(equation) for inner in program.eqns)


def _keyed(values: Sequence[Any]) -> bool:
    return any(isinstance(value, Same) and value.key for value in values)
