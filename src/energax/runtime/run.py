"""A whole run: build, train under watch, measure. What `energax train` and `energax resume` call.

Every step of it leaves the folder readable: the config and a checkpoint of step 0 come first, the record's status says
how it ended, and nothing that was acknowledged as saved is lost by a kill.
"""

import time
from pathlib import Path
from typing import Any

import jax

from energax.core import DivergenceError
from energax.training import TrainState

from . import checkpoint
from .alarms import Watchdog
from .along import between_calls
from .assess import assess
from .build import Problem, build
from .config import read
from .display import Display, QuietDisplay
from .folder import CHECKPOINTS, CONFIG, RECORD, new_folder, now, read_json, take_back_alarms, update_record
from .hooks import Between, Record, Save, Watch, explainer
from .limits import Settings
from .loop import fit
from .placement import Placement
from .schema import Config
from .signals import GracefulStop
from .tracking import Tracker


class Stopped(Exception):
    """A signal ended the run after its chunk; the state is saved.

    Attributes:
        folder: The run folder.
        exit_code: 130 for an interrupt, 143 for a termination.
    """

    def __init__(self, folder: Path, exit_code: int):
        super().__init__(f"Stopped and saved; go on with: energax resume {folder}")
        self.folder, self.exit_code = folder, exit_code


def train(config: Config, *, display: Display | None = None, argv: list[str] | None = None) -> Path:
    """Trains a recipe from step 0, measures the result, and returns the run folder.

    Args:
        config: The resolved recipe.
        display: Where progress goes; None is silent.
        argv: The words after `energax train`, for the record.

    Raises:
        DataError, ConfigError: The recipe cannot be built; no folder has been made.
        DivergenceError: Training left the sensible and roll-backs did not help; the last good state is saved.
        Stopped: A signal came; the state is saved.
    """
    problem = build(config)
    folder = new_folder(Path(config.out), config, argv=argv)
    state = problem.initial_state()
    meta = {"rollbacks": 0}
    checkpoint.save(folder / CHECKPOINTS, state, 0, keep=config.training.keep, meta=meta, config=digest(config))
    return _finish(folder, problem, state, {}, display or QuietDisplay())


def resume(folder: Path, *, display: Display | None = None) -> Path:
    """Goes on from a run's newest sound checkpoint, bit for bit as if it had never stopped; then measures.

    Raises:
        CheckpointError: There is no sound checkpoint, or it is of another model.
    """
    config = read(folder / CONFIG)
    problem, display = build(config), display or QuietDisplay()
    found = checkpoint.latest(folder / CHECKPOINTS, problem.initial_state(), config=digest(config))
    for note in found.notes:
        display.say(note)
    update_record(folder, status="running", finished=None)
    take_back_alarms(folder, int(found.state.step))
    display.say(f"Resuming {folder} at step {int(found.state.step)} of {config.training.steps}.")
    return _finish(folder, problem, found.state, found.meta, display)


def load_trained(folder: Path) -> tuple[Problem, TrainState]:
    """A run's problem and its newest state.

    Raises:
        CheckpointError: There is no sound checkpoint.
    """
    problem = build(read(folder / CONFIG))
    template = problem.initial_state()
    return problem, checkpoint.latest(folder / CHECKPOINTS, template, config=digest(problem.config)).state


def evaluate(folder: Path, *, display: Display | None = None) -> dict[str, Any]:
    """Measures a run's newest state again; writes and returns evaluation.json."""
    return assess(folder, *load_trained(folder), display or QuietDisplay())


def digest(config: Config) -> str:
    """A digest of all that decides the numbers of training: a checkpoint of another setting is refused.

    What is measured, shown or kept afterwards may be changed in a run's config.yaml.
    """
    decides = config.model_dump(mode="json", include={"seed", "data", "energy", "objective", "sampler", "optimizer"})
    training = config.training.model_dump(mode="json", include={"steps", "batch_size", "ema"})
    return checkpoint.digest_of({**decides, "training": training})


def _finish(folder: Path, problem: Problem, state: TrainState, meta: dict[str, Any], display: Display) -> Path:
    began = time.perf_counter() - float((read_json(folder / RECORD) or {}).get("seconds") or 0.0)
    try:
        try:
            state = _train(folder, problem, state, meta, display)
        finally:
            update_record(folder, seconds=round(time.perf_counter() - began, 2))
        update_record(folder, status="trained")
        assess(folder, problem, state, display)
        update_record(folder, status="done")
    except KeyboardInterrupt:  # while measuring: the training is whole, `energax resume` does the rest
        if (read_json(folder / RECORD) or {}).get("status") != "trained":
            update_record(folder, status="stopped")
        raise Stopped(folder, 130) from None
    except DivergenceError:
        update_record(folder, status="diverged")
        raise
    except Stopped:  # while training
        update_record(folder, status="stopped")
        raise
    except BaseException:
        update_record(folder, status="failed")
        raise
    finally:
        update_record(folder, finished=now(), seconds_all=round(time.perf_counter() - began, 2))
        display.close()
    return folder


def _train(folder: Path, problem: Problem, state: TrainState, meta: dict[str, Any], display: Display) -> TrainState:
    training = problem.config.training
    if int(state.step) >= training.steps:
        return state
    tracker = Tracker(folder, tensorboard=problem.config.tracking.tensorboard, resume_from=int(state.step))
    between = Between(between_calls(problem))
    recorder = Record(tracker, folder, display, training.log_every, extra=between.last)
    known = meta.get("watchdog")
    watchdog = Watchdog(Settings.for_run(training.steps)) if known is None else Watchdog.from_dict(known)
    watch = Watch(
        watchdog, folder, explainer(problem.trainer), state, training.on_divergence, training.max_rollbacks, display,
        recorder.rewind, between.last, rollbacks=int(meta.get("rollbacks", 0)),
    )  # fmt: skip
    save = Save(
        folder, training.checkpoint_every, training.keep, digest(problem.config),
        lambda: {"rollbacks": watch.rollbacks, "watchdog": watch.watchdog.to_dict()},
    )  # fmt: skip
    display.start(training.steps, f"{problem.config.name}: {problem.config.description}", int(state.step))
    placement = Placement.auto(shard_above=training.shard_above) if len(jax.devices()) > 1 else None
    with GracefulStop() as stop:
        try:
            state = fit(
                problem.trainer, state, problem.stream, training.steps, steps_per_call=training.steps_per_call,
                hooks=(between, watch, recorder, save), placement=placement, should_stop=lambda: stop.requested,
            )  # fmt: skip
            if save.saved != int(state.step):
                save.now(state)
        finally:
            tracker.close()
    update_record(folder, steps_done=int(state.step), rollbacks=watch.rollbacks)
    if stop.requested and int(state.step) < training.steps:
        raise Stopped(folder, stop.exit_code)
    return state
