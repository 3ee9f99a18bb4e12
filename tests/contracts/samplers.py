"""The samplers that the laws of `test_samplers.py` are run over: adding one adds one line."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from energax.core import AbstractEnergy, AbstractSampler
from energax.samplers import (
    HMC,
    MALA,
    ULA,
    Barker,
    GeneralisedHMC,
    LeimkuhlerMatthews,
    ParallelTempering,
    PreconditionedULA,
    RandomWalk,
    SimulatedTempering,
    TamedULA,
    Underdamped,
    Whitened,
    multinomial_hmc,
    nuts,
)


class Member(NamedTuple):
    """How a sampler is made, at a step that suits a target of unit scale, and what its docstring promises."""

    make: Callable[[], AbstractSampler]
    exact: bool  # leaves its target exactly invariant
    gradients: int  # a step; without any, one energy
    slow: bool = False  # its compilations take minutes


MEMBERS = {
    "ula": Member(lambda: ULA(0.1), exact=False, gradients=1),
    "tamed ula": Member(lambda: TamedULA(0.1), exact=False, gradients=1),
    "leimkuhler-matthews": Member(lambda: LeimkuhlerMatthews(0.1), exact=False, gradients=1),
    "preconditioned ula": Member(lambda: PreconditionedULA(0.1, 0.8), exact=False, gradients=1),
    "mala": Member(lambda: MALA(0.1), exact=True, gradients=1),
    "hmc": Member(lambda: HMC(0.25, 4), exact=True, gradients=4),
    "jittered hmc": Member(lambda: HMC(0.25, 4, jitter=0.3), exact=True, gradients=4),
    "generalised hmc": Member(lambda: GeneralisedHMC(0.4, 2, 0.8), exact=True, gradients=2),
    "underdamped": Member(lambda: Underdamped(0.5), exact=False, gradients=1),
    "barker": Member(lambda: Barker(0.5), exact=True, gradients=1),
    "random walk": Member(lambda: RandomWalk(0.7), exact=True, gradients=0),
    # exact over all replicas only, judged in its own test: a start at one x is no exact draw of the hot levels
    "parallel_tempering": Member(lambda: ParallelTempering(MALA(0.1), jnp.array([1.0, 0.5])), exact=False, gradients=2),
    # exact over x and level together
    "simulated_tempering": Member(
        lambda: SimulatedTempering(MALA(0.1), jnp.array([1.0, 0.5])), exact=False, gradients=2
    ),
    "whitened hmc": Member(lambda: Whitened(HMC(0.5, 4), 0.5), exact=True, gradients=4),
    "multinomial hmc": Member(lambda: multinomial_hmc(0.25, 4), exact=True, gradients=4),
    "nuts": Member(lambda: nuts(0.25, max_depth=4), exact=True, gradients=1, slow=True),  # in the body of its loop
}
"""Every sampler of continuous x."""

SAMPLERS = {name: member.make for name, member in MEMBERS.items()}
ALIKE = (
    "tamed ula",
    "leimkuhler-matthews",
    "preconditioned ula",
    "jittered hmc",
    "generalised hmc",
    "barker",
    "random walk",
)
ALIKE += ("simulated_tempering", "whitened hmc", "nuts")
"""Another member has their layout of state and source of noise: the laws of loops, shards and records run over these
with the slow tests only."""
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * member.slow) for name, member in MEMBERS.items()]
EXACT = tuple(name for name, member in MEMBERS.items() if member.exact)
GRADIENTS = {name: member.gradients for name, member in MEMBERS.items()}


class Counting(AbstractEnergy):
    """An energy whose value costs one sine a trace and whose gradient one cosine, to be counted in a jaxpr."""

    scale: jax.Array

    def __call__(self, x, cond=None):
        return jnp.sum(jnp.sin(self.scale * x) + 0.5 * x**2)


class Centred(AbstractEnergy):
    """A Gaussian around `cond`; a pytree of two blocks or one flat array, the same numbers; `lift` is added."""

    scale: jax.Array
    lift: jax.Array = eqx.field(default_factory=lambda: jnp.zeros(()))

    def __call__(self, x, cond=None):
        centre = 0.0 if cond is None else cond
        flat = x if hasattr(x, "shape") else jnp.concatenate([x["a"].ravel(), x["b"].ravel()])
        return 0.5 * jnp.sum((self.scale * (flat - centre)) ** 2) + 0.1 * jnp.sum(jnp.cos(3.0 * flat)) + self.lift


class Case(NamedTuple):
    """What most laws share, so that they share a compiled step too."""

    sampler: Any
    energy: Centred
    xs: jax.Array


def case(name: str) -> Case:
    """Eight chains in three dimensions."""
    xs = jax.random.normal(jax.random.key(7), (8, 3))
    return Case(SAMPLERS[name](), Centred(jnp.array([1.0, 0.5, 2.0])), xs)


def count(jaxpr: Jaxpr | ClosedJaxpr, primitive: str) -> int:
    """How often a primitive is executed by a jaxpr, inner jaxprs included, a scan's body times its length."""
    total = 0
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += equation.primitive.name == primitive
        for value in jax.tree.leaves(dict(equation.params), is_leaf=lambda v: isinstance(v, (Jaxpr, ClosedJaxpr))):
            if isinstance(value, (Jaxpr, ClosedJaxpr)):
                total += times * count(value, primitive)
    return total
