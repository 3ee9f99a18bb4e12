"""What a run costs, in energies and gradients of its path, counted in the program and not believed.

Source: counting as in backend-free cost models of automatic differentiation, Griewank and Walther (2008), Evaluating
derivatives, doi:10.1137/1.9780898717761, chapter 4; the marks in the traced program are ours (2026).
Exact for programs whose loops have a fixed length: every energy of the path is marked when the run is traced, and a
mark inside a loop counts as often as the loop turns. A value and gradient together count as one gradient. Cost: one
trace of the run, no numbers.
Fails: it counts the program as it is written, before the compiler merges equal energies (both ends of a geometric path
at one x share the target's): an upper bound; a `while` loop without a fixed length is counted once, and `bounded` says
so. The base density's own energy is not counted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Scalar

from energax.core import AbstractBipartiteEnergy, AbstractDensity, AbstractEnergy, AbstractPath, Cond, Key, X

from . import doors


class Cost(NamedTuple):
    """Evaluations in a run; `bounded` is false where a loop of unknown length was counted once."""

    energies: int
    gradients: int
    bounded: bool = True

    def plus(self, other: "Cost") -> "Cost":
        """Both together."""
        energies, gradients = self.energies + other.energies, self.gradients + other.gradients
        return Cost(energies, gradients, self.bounded and other.bounded)


def count_evaluations(run: Callable[[AbstractPath], Any], path: AbstractPath) -> Cost:
    """The evaluations of `path`'s energies in `run(path)`; nothing is computed.

    Args:
        run: A traceable function of the path.
        path: The path; its energies are replaced by marked ones of the same values.

    Raises:
        ValueError: `run` is no function, or `path` no path.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax.core import GeometricPath
        >>> from energax.energies import standard_normal
        >>> path = GeometricPath(standard_normal(2), standard_normal(2))
        >>> count_evaluations(lambda p: jax.vmap(jax.grad(p.at(0.5)))(jnp.ones((7, 2))), path)
        Cost(energies=0, gradients=7, bounded=True)
    """
    if not callable(run):
        raise ValueError(f"count_evaluations.run must be a function of the path; got {type(run).__name__}.")
    doors.on_path("count_evaluations", path)
    program = jax.make_jaxpr(lambda: run(_MarkedPath(path.base, path)))()
    energies, gradients, bounded = _walk(program.jaxpr)
    return Cost(energies, gradients, bounded)


def _energax_value(value: Scalar) -> Scalar:
    return value


def _energax_gradient(value: Scalar) -> Scalar:
    return value


# named programs: what the trace is searched for
_VALUE, _GRADIENT = jax.jit(_energax_value), jax.jit(_energax_gradient)


@jax.custom_jvp
def _mark(value: Array) -> Array:
    return _VALUE(value)


@_mark.defjvp
def _mark_derivative(primals, tangents):
    return _GRADIENT(primals[0]), tangents[0]


class _Marked(AbstractEnergy):
    base: AbstractEnergy

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        return _mark(self.base(x, cond))


class _MarkedBipartite(AbstractBipartiteEnergy):
    """Block Gibbs asks for both layers; its step takes one energy, that of its start."""

    base: AbstractBipartiteEnergy

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        return _mark(self.base(x, cond))

    def joint(self, v: Array, h: Array) -> Scalar:
        return _mark(self.base.joint(v, h))

    def hidden_given(self, v: Array) -> Array:
        return self.base.hidden_given(v)

    def visible_given(self, h: Array) -> Array:
        return self.base.visible_given(h)

    def sample_hidden(self, key: Key, v: Array) -> Array:
        return self.base.sample_hidden(key, v)

    def sample_visible(self, key: Key, h: Array) -> Array:
        return self.base.sample_visible(key, h)

    def free_energy(self, v: Array) -> Scalar:
        return _mark(self.base.free_energy(v))

    def at_beta(self, beta: float | Scalar) -> "_MarkedBipartite":
        return _MarkedBipartite(self.base.at_beta(beta))


class _MarkedPath(AbstractPath):
    base: AbstractDensity
    path: AbstractPath

    def at(self, s: float | Scalar) -> AbstractEnergy:
        energy = self.path.at(s)
        if isinstance(s, float | int) and s == 0:  # the base's own
            return energy
        return _MarkedBipartite(energy) if isinstance(energy, AbstractBipartiteEnergy) else _Marked(energy)


def _walk(program: Any) -> tuple[int, int, bool]:
    """Marks in a program and the programs inside it -> (values, gradients, whether all loops have a fixed length)."""
    values, gradients, bounded = 0, 0, True
    for line in program.eqns:
        name = line.params.get("name")
        if name in (_energax_value.__name__, _energax_gradient.__name__):
            times = int(np.prod(line.invars[0].aval.shape, dtype=np.int64))  # a mark that is vmapped counts its rows
            is_value = name == _energax_value.__name__
            values, gradients = values + times * is_value, gradients + times * (not is_value)
            continue
        turns = line.params["length"] if line.primitive.name == "scan" else 1
        for inner in _inside(line.params):
            v, g, b = _walk(inner)
            values, gradients, bounded = values + turns * v, gradients + turns * g, bounded and b
            bounded = bounded and not (line.primitive.name == "while" and v + g > 0)
    return values, gradients, bounded


def _inside(params: dict[str, Any]) -> list[Any]:
    """The programs that a line of a program holds."""
    found = []
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(item, "eqns"):
                found.append(item)
            elif hasattr(item, "jaxpr"):
                found.append(item.jaxpr)
    return found
