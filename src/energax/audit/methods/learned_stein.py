"""Learned Stein discrepancy: a critic finds where the scores of model and data differ, the energy removes it."""

from typing import Any

import jax
import optax

from energax.core import AbstractEnergy
from energax.networks import MLP
from energax.objectives import LearnedStein, LearnedSteinCritic, SteinPair
from energax.training import Phase

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "learned Stein discrepancy, 5 turns of the critic a step"
TURNS, WIDTH, DEPTH, PENALTY = 5, 64, 2, 10.0


def fits(problem: Problem) -> bool:
    """Flat samples of real numbers."""
    return not problem.is_discrete and problem.train.ndim == 2


def make(problem: Problem) -> Rule:
    """One gradient in x a datum for each turn of the critic, and one for the energy, which is differentiated."""

    def wrap(energy: AbstractEnergy) -> Any:
        return SteinPair(energy, MLP(problem.dim, WIDTH, DEPTH, out_size=problem.dim, key=jax.random.key(1)))

    def players(optimizer: optax.GradientTransformation) -> tuple[Phase, ...]:
        critic = LearnedSteinCritic(PENALTY)
        turns = [Phase(critic, optimizer, trains=lambda pair: pair.critic, name=f"critic_{i}") for i in range(TURNS)]
        return *turns, Phase(LearnedStein(), optimizer, trains=lambda pair: pair.energy, name="energy")

    return Rule(LearnedStein(), (TURNS + 2) * BATCH, wrap=wrap, players=players, energy=lambda pair: pair.energy)
