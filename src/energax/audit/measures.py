"""What is told of a trained energy: against exact answers where there are any, and always against the same samples."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy
from energax.evaluation import auroc, energy_values, sliced_wasserstein

from .problem import Diverged, Problem

MEASURES = {
    "nll": "held-out NLL (nats)",
    "nll_width": "its bracket's width (nats)",
    "kl": "KL to the truth (nats)",
    "mass": "mass of the first mode",
    "mass_error": "worst mode mass, off by",
    "distance": "samples: sliced Wasserstein / its floor",
    "fisher": "Fisher divergence",
    "auroc": "AUROC against look-alikes",
    "log_z_error": "own log Z off by (nats)",
    "seconds": "CPU seconds",
    "evaluations": "evaluations",
}
"""What each figure is called in the table."""
POINTS = 1000
"""Rows for distances and scores."""


def measure(problem: Problem, energy: AbstractEnergy, seed: int) -> dict[str, float | None]:
    """Every figure of an energy by name; None where the problem cannot tell it.

    Args:
        problem: The problem that it was trained on.
        energy: Of one sample.
        seed: Of the draws.

    Raises:
        Diverged: The energy is not finite where the problem looks.
    """
    seen = problem.look(energy, seed)
    energies, outside = (energy_values(energy, rows) for rows in (problem.heldout, problem.foreign))
    low, high = seen.log_z
    for name, values in (("log Z", low + high), ("energies", energies), ("energies", outside), ("draws", seen.draws)):
        if not np.all(np.isfinite(values)):
            raise Diverged(f"A trained model must have finite {name}; got one that is not.")
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    found["nll"] = float(np.mean(energies)) + 0.5 * (low + high)
    found["nll_width"] = high - low if high > low else None
    found["kl"] = seen.kl
    if seen.masses is not None:
        true, model = seen.masses
        found["mass"] = float(model[0])
        found["mass_error"] = float(np.max(np.abs(true - model)))
    distance = sliced_wasserstein(seen.draws, problem.train, problem.heldout, seed=seed, num_projections=64)
    found["distance"] = distance.value / distance.floor if distance.floor > 0 else None
    found["auroc"] = auroc(energies, outside)
    if problem.score is not None:
        found["fisher"] = fisher(problem, energy)
    return found


def fisher(problem: Problem, energy: AbstractEnergy) -> float:
    """E |grad log p + grad E|^2 over held-out samples: in 1 / (units of x)^2."""
    assert problem.score is not None
    x = problem.heldout[:POINTS]
    model = -np.asarray(_slopes(energy, jnp.asarray(x)), np.float64)
    return float(np.mean(np.sum((problem.score(x) - model) ** 2, axis=1)))


def finite(found: dict[str, float | None]) -> bool:
    """Whether no figure is NaN or infinite."""
    return all(value is None or math.isfinite(value) for value in found.values())


@eqx.filter_jit
def _slopes(energy: AbstractEnergy, xs: jax.Array) -> jax.Array:
    return jax.vmap(jax.grad(lambda x: energy(x)))(xs)
