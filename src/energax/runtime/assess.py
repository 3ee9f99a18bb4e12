"""After training: everything that the report tells, measured once and written to evaluation.json and arrays.npz."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax.evaluation import energy_values
from energax.free_energy import resample
from energax.training import TrainState

from . import measure
from .alarms import Watchdog
from .bits import exact_log_z
from .build import Problem
from .disk import write_atomically
from .display import Display
from .folder import ALARMS, ARRAYS, EVALUATION, append_line, take_back_alarms, write_json
from .limits import Settings
from .measure_machine import measure_machine

_RHAT = 1.1  # above it the chains did not mix; between 1.01 and this the report's verdict warns


def assess(folder: Path, problem: Problem, state: TrainState, display: Display) -> dict[str, Any]:
    """Measures the averaged model of `state` and writes evaluation.json and arrays.npz into the run folder.

    Returns:
        What evaluation.json holds; the parts are those of `measure`.
    """
    energy = problem.energy(state)
    sampler = measure.tuned_sampler(problem, state)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(problem.config.seed), 2), 4)
    exact = known_log_z(problem, state)

    display.say("Measuring log Z from below ...")
    forward = measure.log_z_forward(keys[0], problem, energy, sampler)
    display.say("Drawing samples ...")
    starts = measure.walkers(state)
    if starts is None:  # no chains were kept: begin at the weighted ends of the longest annealed run
        starts = resample(keys[1], forward[-1], problem.config.evaluation.chains)
    sampler, draws = measure.draw_chains(keys[2], problem, energy, sampler, starts)
    display.say("Measuring log Z from above ...")
    found = measure.log_z_both(keys[3], problem, energy, sampler, forward, draws)

    display.say("Scoring held-out, foreign and sampled data ...")
    energies = {
        "test": energy_values(energy, problem.to_model(problem.test.x, 2)),
        "train": energy_values(energy, problem.to_model(problem.train.x, 3)),
    }
    fitted = measure.baselines(problem)
    numbers = {"dataset": described(problem), "step": int(state.step)}
    arrays = {f"energy_{side}": values.astype(np.float32) for side, values in energies.items()}
    arrays["energy_samples"] = np.asarray(draws.energy[:, -1], np.float32)
    numbers |= measure.measure_log_z(found, exact)
    numbers |= measure.measure_likelihood(problem, energies, found, fitted, exact)
    for part in (
        measure.measure_chains(problem, draws),
        measure.measure_samples(problem, draws),
        measure.measure_ood(problem, energy, energies["test"], fitted),
        measure.measure_plane(problem, energy),
        measure.measure_labels(problem, energy),
        measure_machine(problem, energy),
    ):
        numbers |= part[0]
        arrays |= part[1]
    write_arrays(folder / ARRAYS, arrays)
    write_json(folder / EVALUATION, plain(numbers))
    raise_alarms(folder, int(state.step), numbers, display)
    return numbers


def raise_alarms(folder: Path, step: int, numbers: dict[str, Any], display: Display) -> None:
    """Shows the watchdog what only a measurement can tell: two routes to log Z, weights, chains, class masses."""
    runs = [*numbers["log_z"]["forward"], *numbers["log_z"]["reverse"]]
    seen = {
        "log_z_spread": numbers["log_z"].get("spread"),
        "ess_fraction": min(float(run["ess"]) / run["num_chains"] for run in runs),
        "rhat": numbers["chains"]["rhat_max"],
        "mode_tv": numbers["sample_quality"].get("class_tv", {}).get("value"),
    }
    known = {name: np.array([value], np.float64) for name, value in seen.items() if value is not None}
    take_back_alarms(folder, step)  # measuring again must not say everything twice
    for alarm in Watchdog(Settings(rhat=_RHAT)).look(np.array([step]), known):
        append_line(folder / ALARMS, dataclasses.asdict(alarm))
        display.alarm(alarm)


def known_log_z(problem: Problem, state: TrainState) -> float | None:
    """log Z where it is exact: of a small machine; before the first step, when a model is its base and a number."""
    if problem.config.is_of_bits:
        machine: Any = problem.energy(state)
        return exact_log_z(machine)
    if int(state.step) > 0 or getattr(problem.config.energy, "base", "none") == "none":
        return None
    base: Any = problem.base
    origin = jnp.zeros(problem.train.dim)
    return float(base.log_z()) - float(problem.energy(state)(origin) - base(origin))


def described(problem: Problem) -> dict[str, Any]:
    """What the model was trained and scored on."""
    return {
        "name": problem.config.data.name,
        "n_train": len(problem.train),
        "n_test": len(problem.test),
        "shape": list(problem.train.shape),
        "image_shape": None if problem.train.image_shape is None else list(problem.train.image_shape),
        "dequantisation": problem.config.data.noise,
        "source": problem.train.source,
        "licence": problem.train.licence,
        "whiten": problem.config.data.whiten,
        "values": "bits" if problem.config.is_of_bits else "real",
    }


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an .npz whole or not at all."""
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    write_atomically(path, [packed.getbuffer()])


def plain(value: Any) -> Any:
    """The value with NumPy scalars as Python's, and numbers that are not finite as text, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else str(float(value))
    if isinstance(value, np.integer):
        return int(value)
    return value
