"""Runs a jaxpr in double precision, whatever narrower types it names: what a kernel computes, without its rounding.

Source: the evaluation loop of "Autodidax: JAX core from scratch" (The JAX authors, 2021), part 1, `eval_jaxpr`.
What differs: every float16, bfloat16 and float32 in literals and parameters is read as float64; calls are inlined.
Cost: that of the program. Fails for a program that takes its floats apart bit by bit.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

_CALL_PARAMS = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def promoted(value: Any) -> Any:
    """An array with its narrow floats widened; everything else as it is."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return promoted(np.asarray(value)) if isinstance(value, (float, int, bool, complex)) else value
    return value.astype(jnp.float64) if _narrow(dtype) else value


def evaluate(jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """The outputs of a jaxpr."""
    env = dict(zip((*jaxpr.constvars, *jaxpr.invars), map(promoted, (*consts, *args)), strict=True))

    def read(atom):
        return promoted(atom.val) if isinstance(atom, Literal) else env[atom]

    for equation in jaxpr.eqns:
        outs = evaluate_equation(equation, [read(atom) for atom in equation.invars])
        env.update(zip(equation.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def evaluate_equation(equation: Any, args: Sequence[Any]) -> list[Any]:
    """The outputs of one equation of a jaxpr."""
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _scan(params, args)
    if name == "while":
        return _while(params, args)
    if name == "cond":
        branches = [lambda *xs, b=branch: evaluate(b.jaxpr, b.consts, xs) for branch in params["branches"]]
        return list(jax.lax.switch(args[0].astype(jnp.int32), branches, *args[1:]))
    inner = called(equation)
    if inner is not None:
        return evaluate(inner.jaxpr, inner.consts, args)
    if name == "reduce_precision":
        return [args[0]]
    params = {key: _wide(value) for key, value in params.items()}
    outs = equation.primitive.bind(*args, **params)
    return list(outs) if equation.primitive.multiple_results else [outs]


def called(equation: Any) -> ClosedJaxpr | None:
    """The program that an equation calls once and as it is (jit, remat, custom derivatives); None for any other."""
    if equation.primitive.name in ("scan", "while", "cond") or not equation.primitive.multiple_results:
        return None
    for key in _CALL_PARAMS:
        inner = equation.params.get(key)
        if isinstance(inner, ClosedJaxpr):
            return inner
        if isinstance(inner, Jaxpr):
            return ClosedJaxpr(inner, ())
    return None


def inner_programs(equation: Any) -> Iterator[Jaxpr]:
    """Every jaxpr among the parameters of an equation."""
    for value in equation.params.values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(each, (Jaxpr, ClosedJaxpr)):
                yield each.jaxpr if isinstance(each, ClosedJaxpr) else each


def _scan(params, args):
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    consts, carry, xs = args[:num_consts], args[num_consts : num_consts + num_carry], args[num_consts + num_carry :]
    body = params["jaxpr"]

    def step(carry, x):
        outs = evaluate(body.jaxpr, body.consts, (*consts, *carry, *x))
        return outs[:num_carry], outs[num_carry:]

    carry, ys = jax.lax.scan(step, list(carry), list(xs), length=params["length"], reverse=params["reverse"])
    return [*carry, *ys]


def _while(params, args):
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    ask, body = params["cond_jaxpr"], params["body_jaxpr"]
    return jax.lax.while_loop(
        lambda carry: evaluate(ask.jaxpr, ask.consts, (*args[:first], *carry))[0],
        lambda carry: evaluate(body.jaxpr, body.consts, (*args[first:second], *carry)),
        list(args[second:]),
    )


def _wide(value: Any) -> Any:
    is_dtype = isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))
    return np.dtype(np.float64) if is_dtype and _narrow(value) else value


def _narrow(dtype: Any) -> bool:
    if jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
        return False
    return jnp.issubdtype(dtype, jnp.floating) and np.dtype(dtype) != np.float64
