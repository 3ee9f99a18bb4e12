"""A trained run put to use: draws from it, and what its log Z is asked of."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from energax.core import Key, checks
from energax.energies import BernoulliRBM
from energax.free_energy import resample
from energax.samplers import BlockGibbs, sample as run_chains

from . import measure
from .assess import known_log_z, write_arrays
from .bits import kernels
from .build import Problem
from .display import Display, QuietDisplay
from .models import Draw, Model, continuous
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
    problem, energy = _with(problem, chains=num, samples=num), problem.energy(state)
    anneal, pick, run = jax.random.split(jax.random.fold_in(jax.random.key(problem.config.seed), 1000 + seed), 3)
    sampler = measure.tuned_sampler(problem, state)
    starts = measure.walkers(state)
    display = display or QuietDisplay()
    if starts is None:
        display.say("No walkers were kept: annealing from the base first ...")
        shorter = _with(problem, ais_temperatures=problem.config.evaluation.ais_temperatures[-1:])
        starts = resample(pick, measure.log_z_forward(anneal, shorter, energy, sampler)[-1], num)
    display.say(f"Running {num} chains ...")
    tune, walk = jax.random.split(run)
    sampler, chains = measure.warm_chains(tune, problem, energy, sampler, starts)
    steps = measure.DIAGNOSED_DRAWS * problem.config.evaluation.thin  # as far as the chains that were diagnosed
    draws = run_chains(walk, sampler, energy, chains, 1, thin=steps)[1]  # one draw each: many samples fit in memory
    found = {
        "x": problem.to_data(np.asarray(draws.x[:, -1])),
        "energy": np.asarray(draws.energy[:, -1]),
        "acceptance": np.asarray(draws.acceptance[:, -1]),
    }
    write_arrays(folder / SAMPLES, found)
    return found


def trained(folder: Path, *, display: Display | None = None) -> Model:
    """The averaged model of a run, ready for its ledger: from the recipe's base, by its kernel, as long as its AIS.

    Target samples are the persistent walkers where the run kept some, walked on; else the ledger makes its own. In two
    dimensions quadrature stands for the exact value.

    Args:
        folder: The run folder.
        display: Where progress is said.

    Raises:
        CheckpointError: The run has no sound checkpoint.
    """
    display = display or QuietDisplay()
    problem, state = load_trained(folder)
    sampler, evaluation, starts = (
        measure.tuned_sampler(problem, state),
        problem.config.evaluation,
        measure.walkers(state),
    )
    energy = problem.energy(state)
    exact, how = known_log_z(problem, state), "closed form of the base"
    if isinstance(energy, BernoulliRBM):
        usual, how = kernels(energy), "sum over the smaller layer"
    else:
        assert not isinstance(sampler, BlockGibbs)
        usual = continuous(float(sampler.step_size))
        usual = {(first := type(sampler).__name__.lower()): sampler} | {k: v for k, v in usual.items() if k != first}
    if exact is None:
        exact, how = (
            measure.measure_plane(problem, energy)[0].get("density2d", {}).get("log_z_grid"),
            "quadrature",
        )

    def draws(walkers: jax.Array) -> Draw:
        def draw(key: Key, num: int) -> jax.Array:
            display.say("Walking the run's walkers on ...")
            return measure.warm_chains(key, _with(problem, chains=num), energy, sampler, walkers)[1].states.x

        return draw

    return Model(
        name=folder.name,
        title=f"{problem.config.name}, step {int(state.step):,}",
        path=problem.path(energy),
        kernels=usual,
        exact=exact,
        how=how if exact is not None else "",
        draw=None if starts is None else draws(starts),
        start="chains",
        chains=evaluation.ais_chains,
        temperatures=max(3, *evaluation.ais_temperatures),
    )


def _with(problem: Problem, **changes: Any) -> Problem:
    """The problem with other evaluation settings."""
    evaluation = problem.config.evaluation.model_copy(update=changes)
    return dataclasses.replace(problem, config=problem.config.model_copy(update={"evaluation": evaluation}))
