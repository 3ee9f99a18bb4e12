"""The variables of one program of a walk; what needs no decision waits, to be compiled together.

Source: the environment of "Autodidax: JAX core from scratch" (The JAX authors, 2021), part 1, `eval_jaxpr`.
What differs: equations without symbols are kept back until one of their results is asked for, and then run as one
compiled function over all branches. Words made of a key are followed as such, so that no number is made of them unseen.
Cost: one compilation a group of equations. Fails, in words, for a key that depends on the state.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal

from .branches import Rows
from .double import evaluate_equation, promoted


@dataclass(frozen=True, eq=False)
class Same:
    """A value that all branches share; `key` marks a random key or words made of one."""

    array: Any
    key: bool


class Frame:
    """One program's variables; equations without symbols wait in it, to be compiled together when one is asked for."""

    def __init__(self, walk: Any, jaxpr: Jaxpr, values: Sequence[Any], wanted: Sequence[bool]):
        self.walk, self.jaxpr = walk, jaxpr
        self.env = dict(zip((*jaxpr.constvars, *jaxpr.invars), values, strict=True))
        self.waiting: dict[Any, tuple[bool, bool]] = {}  # variable -> (shared by all branches, made of a key)
        self.postponed: list[int] = []
        self.needed = {v for v, keep in zip(jaxpr.outvars, wanted, strict=True) if keep and not isinstance(v, Literal)}
        self.asked = set(self.needed)
        self.live: set[int] = set()
        self.uses: dict[Any, list[int]] = {}
        for index in reversed(range(len(jaxpr.eqns))):
            if any(variable in self.needed for variable in jaxpr.eqns[index].outvars):
                self.live.add(index)
                for atom in jaxpr.eqns[index].invars:
                    if not isinstance(atom, Literal):
                        self.needed.add(atom)
                        self.uses.setdefault(atom, []).append(index)

    def flags(self, atom: Any) -> tuple[bool, bool] | None:
        """(shared, made of a key) of a settled value; None for a symbol."""
        if isinstance(atom, Literal):
            return True, False
        if atom in self.waiting:
            return self.waiting[atom]
        value = self.env[atom]
        if isinstance(value, Same):
            return True, value.key
        return (False, False) if isinstance(value, Rows) else None

    def postpone(self, index: int) -> None:
        equation = self.jaxpr.eqns[index]
        known = [self.flags(atom) for atom in equation.invars]
        same, key = all(flag[0] for flag in known if flag), any(flag[1] for flag in known if flag)
        if key and not same:
            raise dependent_key()
        for variable in equation.outvars:
            kind: Any = variable.aval
            if key and not is_key(kind) and not jnp.issubdtype(kind.dtype, jnp.integer):
                raise ValueError(
                    "transition_matrix: a kernel must draw by uniform, uniforms, categorical or jax.random's "
                    f"functions; got numbers made of a key's own bits by `{equation.primitive.name}`."
                )
            self.waiting[variable] = same, key or is_key(variable.aval)
        self.postponed.append(index)

    def read_all(self, atoms: Sequence[Any]) -> list[Any]:
        """The values of variables, as the branches are now."""
        if any(not isinstance(atom, Literal) and atom in self.waiting for atom in atoms):
            self._compute()
        out = []
        for atom in atoms:
            value = Same(promoted(atom.val), False) if isinstance(atom, Literal) else self.env[atom]
            out.append(value if isinstance(value, Same) else self.walk.branches.now(value))
        return out

    def _compute(self) -> None:
        indices, self.postponed = self.postponed, []
        equations, inside = [self.jaxpr.eqns[index] for index in indices], set(indices)
        made = list(self.waiting)
        outs = [v for v in made if v in self.asked or any(use not in inside for use in self.uses.get(v, ()))]
        atoms = itertools.chain.from_iterable(equation.invars for equation in equations)
        ins = list(dict.fromkeys(a for a in atoms if not isinstance(a, Literal) and a not in self.waiting))

        def program(*args):
            env = dict(zip(ins, args, strict=True))
            for equation in equations:
                given = [promoted(a.val) if isinstance(a, Literal) else env[a] for a in equation.invars]
                env.update(zip(equation.outvars, evaluate_equation(equation, given), strict=True))
            return [env[variable] for variable in outs]

        flags = [self.waiting[variable] for variable in outs]
        self.waiting = {}
        name = (id(self.jaxpr), tuple(indices), tuple(flags))
        values = self.walk.compiled(name, program, [self.env[v] for v in ins], flags, self.jaxpr)
        self.env.update(zip(outs, values, strict=True))


def is_key(value: Any) -> bool:
    """Whether an array, or what stands for one, holds typed keys."""
    return jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)


def dependent_key() -> ValueError:
    """The refusal of a key that differs from branch to branch."""
    return ValueError(
        "transition_matrix: the key of a draw must come from the step's key; got one that the state picks."
    )
