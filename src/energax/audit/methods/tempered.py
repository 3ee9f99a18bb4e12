"""Persistent contrastive divergence whose walkers are the cold ends of ladders of temperature."""

import jax.numpy as jnp

from energax.objectives import GeneratorStart, TemperedPCD
from energax.samplers import ParallelTempering

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "persistent contrastive divergence, ladders of 5 temperatures"
TRANSITIONS, BETAS = 2, (1.0, 0.6, 0.3, 0.12, 0.03)
LADDERS = 64


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """Data, all replicas on the walk, whose energies every round of swaps asks for once more, and the cold ends."""
    ladder = ParallelTempering(problem.kernel, jnp.array(BETAS))
    rule = TemperedPCD(ladder, TRANSITIONS, LADDERS, start=GeneratorStart(problem.base))
    return Rule(rule, BATCH + LADDERS * (len(BETAS) * (TRANSITIONS * (problem.step_cost + 1) + 1) + 1))
