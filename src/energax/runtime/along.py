"""How a machine's held-out likelihood rises while it is trained: exactly, by AIS, and by the auditors.

What is measured is the machine in training, not its average, since the auditors' weights are of that one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax.free_energy import ais
from energax.numerics.logspace import log_mean_exp_error
from energax.objectives import Jarzynski, JarzynskiState
from energax.samplers import BlockGibbs

from .bits import exact_log_z
from .build import Problem
from .loop import Look

CHAINS, TEMPERATURES = 128, 200
"""Of the annealed run at every look."""


def between_calls(problem: Problem) -> Callable[[Look], dict[str, float]]:
    """What is measured every `evaluate_every` steps of a run: the held-out gap, and a machine's likelihood."""
    gap = problem.held_out_gap()
    if not problem.config.is_of_bits:
        return gap
    along = likelihood_along(problem)
    return lambda look: gap(look) | along(look)


def likelihood_along(problem: Problem, most: int = 500) -> Callable[[Look], dict[str, float]]:
    """A function of a chunk's look: the mean held-out log-likelihood in nats, every `evaluate_every`.

    It tells `held_out_exact` where the smaller layer can be summed over, `held_out_ais` with `held_out_ais_error`, and
    of Jarzynski training `held_out_audit` with `held_out_audit_error`; errors are those of log Z. It costs a pass over
    `most` rows, an annealed run of block Gibbs, and the sum.
    """
    every = problem.config.training.evaluate_every
    mean_energy = jax.jit(lambda model, z: jnp.mean(jax.vmap(model)(z)))
    rows = jnp.asarray(problem.to_model(problem.test.x[:most], 2))
    key = jax.random.fold_in(jax.random.key(problem.config.seed), 5)

    def look_at(look: Look) -> dict[str, float]:
        if not every or look.step % every:
            return {}
        machine: Any = look.state.model
        energy, exact = float(mean_energy(machine, rows)), exact_log_z(machine)
        found = {} if exact is None else {"held_out_exact": -energy - exact}
        annealed = ais(
            jax.random.fold_in(key, look.step), problem.path(machine), BlockGibbs(), num_chains=CHAINS,
            num_temperatures=TEMPERATURES, schedule="linear", pilot_chains=0,
        )  # fmt: skip
        found |= {"held_out_ais": -energy - float(annealed.log_z), "held_out_ais_error": float(annealed.std_error)}
        rule, carried = problem.trainer.phases[0].objective, look.state.objectives[0]
        if isinstance(rule, Jarzynski) and isinstance(carried, JarzynskiState):
            log_z, error = auditors_log_z(rule, carried, machine)
            found |= {"held_out_audit": -energy - log_z, "held_out_audit_error": error}
        return found

    return look_at


def auditors_log_z(rule: Jarzynski, carried: JarzynskiState, model: Any) -> tuple[float, float]:
    """log Z of the model by the walkers that never drive, and its standard error over their groups."""
    half, walkers = rule.num_chains, carried.walkers.states
    # what they carry is of the model that they last moved under: the last update of it is added
    works = walkers.log_weights[half:] + walkers.energies[half:] - jax.vmap(model)(walkers.x[half:])
    groups = works.reshape(rule.num_groups, -1)
    means = jax.nn.logsumexp(groups, axis=1) - np.log(groups.shape[1])
    log_z, error = log_mean_exp_error(means)
    return float(log_z), float(error)
