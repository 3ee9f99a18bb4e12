"""Langevin walkers from a replay buffer: persistent, more of them than move in a step, some born anew each time."""

from energax.objectives import GeneratorStart, PersistentCD
from energax.samplers import MALA, ULA

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "unadjusted Langevin from a replay buffer, 8 times the walkers, 1 % born anew, 20 transitions"
STEP, TRANSITIONS, TURNS, RESTART, PENALTY = 0.002, 20, 8, 0.01, 1e-3
"""As on the command line: walkers that lag behind the model, without a test, want small steps and steady energies."""


def fits(problem: Problem) -> bool:
    """Where the problem's kernel is Langevin's, whose step is taken."""
    return isinstance(problem.kernel, MALA)


def make(problem: Problem) -> Rule:
    """Data, the walk of those whose turn it is, and where it ends."""
    rule = PersistentCD(
        ULA(STEP),
        TRANSITIONS,
        problem.walkers,
        buffer_size=TURNS * problem.walkers,
        restart=RESTART,
        start=GeneratorStart(problem.base),
        energy_penalty=max(PENALTY, problem.energy_penalty),
    )
    return Rule(rule, BATCH + problem.walkers * (TRANSITIONS + 1))
