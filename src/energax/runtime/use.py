"""A trained run put to use: draws from it, and its log Z with as much work as one likes."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from energax.core import checks
from energax.free_energy import resample
from energax.samplers import sample as run_chains

from . import measure
from .assess import plain, write_arrays
from .build import Problem
from .display import Display, QuietDisplay
from .run import load_trained

SAMPLES = "samples.npz"


def sample(folder: Path, num: int, *, seed: int = 0, display: Display | None = None) -> dict[str, np.ndarray]:
    """Draws `num` samples, one a chain, and writes them to samples.npz in the run folder.

    Chains start at the persistent walkers where the run kept some, else at the weighted ends of an annealed run.

    Args:
        folder: The run folder.
        num: How many, >= 2.
        seed: Other seeds give other draws.
        display: Where progress is said.

    Returns:
        `x` [num, ...] in the units of the data, `energy` [num] in nats, `acceptance` [num].

    Raises:
        ValueError: `num` is no integer >= 2.
        CheckpointError: The run has no sound checkpoint.
    """
    checks.count("sample", "num", num, least=2)
    checks.count("sample", "seed", seed, least=0)
    problem, state = load_trained(folder)
    problem = _with(problem, chains=num, samples=num)
    anneal, pick, run = jax.random.split(jax.random.fold_in(jax.random.key(problem.config.seed), 1000 + seed), 3)
    sampler = measure.tuned_sampler(problem, state)
    starts = measure.walkers(state)
    display = display or QuietDisplay()
    if starts is None:
        display.say("No walkers were kept: annealing from the base first ...")
        shorter = _with(problem, ais_temperatures=problem.config.evaluation.ais_temperatures[-1:])
        starts = resample(pick, measure.log_z_forward(anneal, shorter, state.ema, sampler)[-1], num)
    display.say(f"Running {num} chains ...")
    tune, walk = jax.random.split(run)
    sampler, chains = measure.warm_chains(tune, problem, state.ema, sampler, starts)
    steps = measure.DIAGNOSED_DRAWS * problem.config.evaluation.thin  # as far as the chains that were diagnosed
    draws = run_chains(walk, sampler, state.ema, chains, 1, thin=steps)[1]  # one draw each: many samples fit in memory
    found = {
        "x": problem.to_data(np.asarray(draws.x[:, -1])),
        "energy": np.asarray(draws.energy[:, -1]),
        "acceptance": np.asarray(draws.acceptance[:, -1]),
    }
    write_arrays(folder / SAMPLES, found)
    return found


def log_z(
    folder: Path,
    *,
    temperatures: tuple[int, ...] | None = None,
    chains: int | None = None,
    seed: int = 0,
    display: Display | None = None,
) -> dict[str, Any]:
    """log Z of a trained run from below and above, as the table of evaluation.json's `log_z`.

    Args:
        folder: The run folder.
        temperatures: Schedule lengths, each >= 2; None takes the recipe's.
        chains: Annealed chains, >= 2; None takes the recipe's.
        seed: Other seeds give independent estimates.
        display: Where progress is said.

    Raises:
        ValueError: A number is out of range.
        CheckpointError: The run has no sound checkpoint.
    """
    checks.count("log_z", "seed", seed, least=0)
    for number in temperatures or ():
        checks.count("log_z", "temperatures", number, least=2)
    if chains is not None:
        checks.count("log_z", "chains", chains, least=2)
    problem, state = load_trained(folder)
    wanted: dict[str, Any] = {"reverse": True}
    wanted |= {} if temperatures is None else {"ais_temperatures": tuple(sorted(set(temperatures)))}
    wanted |= {} if chains is None else {"ais_chains": chains, "chains": chains}
    problem = _with(problem, **wanted)
    below, pick, run, above = jax.random.split(jax.random.fold_in(jax.random.key(problem.config.seed), 2000 + seed), 4)
    sampler, display = measure.tuned_sampler(problem, state), display or QuietDisplay()
    display.say("Measuring log Z from below ...")
    forward = measure.log_z_forward(below, problem, state.ema, sampler)
    starts = measure.walkers(state)
    if starts is None:
        starts = resample(pick, forward[-1], problem.config.evaluation.chains)
    display.say("Drawing samples to come back from ...")
    sampler, draws = measure.draw_chains(run, problem, state.ema, sampler, starts)
    display.say("Measuring log Z from above ...")
    return plain(measure.measure_log_z(measure.log_z_both(above, problem, state.ema, sampler, forward, draws), None))[
        "log_z"
    ]


def _with(problem: Problem, **changes: Any) -> Problem:
    """The problem with other evaluation settings."""
    evaluation = problem.config.evaluation.model_copy(update=changes)
    return dataclasses.replace(problem, config=problem.config.model_copy(update={"evaluation": evaluation}))
