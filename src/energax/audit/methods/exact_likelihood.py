"""Maximum likelihood with the exact log Z: the limit that others are held against; it is not held to the budget."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics
from energax.objectives import ExactLikelihood

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "exact maximum likelihood (the limit; no budget)"


class FormulaLikelihood(AbstractObjective):
    """mean E(data) + log Z by the energy's own formula."""

    log_z: Any

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried."""

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        log_z = self.log_z(model)
        return jnp.mean(jax.vmap(model)(batch["x"])) + log_z, (None, {"log_z": log_z})


def fits(problem: Problem) -> bool:
    """Where log Z can be had."""
    return problem.nodes is not None or problem.log_z is not None


def make(problem: Problem) -> Rule:
    """By the problem's nodes, else by its formula."""
    if problem.nodes is None:
        return Rule(FormulaLikelihood(problem.log_z), BATCH + 1, problem.limit_steps)
    nodes, log_weights = problem.nodes()
    return Rule(ExactLikelihood(nodes, log_weights), BATCH + len(nodes), problem.limit_steps)
