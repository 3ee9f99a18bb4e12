"""JEM beside the same network trained as a plain classifier, on real digits: the tables of docs/jem.md.

    python benchmarks/jem.py                             every cell that is not there yet, then the page
    python benchmarks/jem.py --only digits-jem--jem      the cells whose name begins so, then the page
    python benchmarks/jem.py --only none                 no cell; the page from what there is

A cell is <recipe>--<method>--<part>--<seed>, one file in `--out`; those of earlier runs lie in benchmarks/jem.json. Parts: `all` is the
recipe as it ships, `left-out` the same without a class, `long` three times its length, `valid-RATE-DECAY` another learning rate and
weight decay, judged on a fifth of seed 0's training rows (of `digits-jem` alone). The plain classifier sees the same rows, noise and optimiser, and the
cross-entropy alone. Figures of one core: XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1".
"""

import argparse
import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jem_table import tables
from results import replaced

from energax import data
from energax.core import AbstractClassifierEnergy
from energax.evaluation import (
    adversarial_distance,
    detect,
    energy_values,
    fit_baselines,
    fit_classifier_features,
)
from energax.evaluation.calibration import debiased_ece, ece, log_loss
from energax.evaluation.ood import energy_score, max_softmax
from energax.objectives import CrossEntropy
from energax.runtime import measure
from energax.runtime.alarms import Watchdog
from energax.runtime.along import between_calls
from energax.runtime.assess import plain as as_json
from energax.runtime.build import Problem, assemble, load_data
from energax.runtime.config import resolve
from energax.runtime.limits import Settings
from energax.runtime.loop import Look, fit
from energax.runtime.schema import Config
from energax.samplers import init_chains, sample
from energax.training import Phase, Trainer, TrainState

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "jem.json", HERE.parent / "docs" / "jem.md"
METHODS, SEEDS = ("jem", "plain"), (0, 1, 2)
RECIPES = ("digits-jem", "mnist-jem")
LEFT_OUT = (1, 4, 8)
"""The class that seed 0, 1, 2 does without."""
RATES, DECAYS = (1e-3, 3e-3), (0.01, 0.1, 0.5, 2.0)
"""Among which learning rate and weight decay were chosen."""
CLASS_STEPS = 500
"""Sampler steps from the base to a sample of one class."""


class Cell(NamedTuple):
    """One training and what is measured of it."""

    recipe: str
    method: str
    part: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.recipe}--{self.method}--{self.part}--{self.seed}"


def cells() -> list[Cell]:
    """All of them; the choice of settings first, then what the tables need most."""
    chosen = [f"valid-{rate:g}-{decay:g}" for rate in RATES for decay in DECAYS]
    parts = [("all", SEEDS), ("left-out", SEEDS), ("long", SEEDS)]
    found = [Cell("digits-jem", method, part, 0) for part in chosen for method in METHODS]
    found += [
        Cell(recipe, m, part, seed) for recipe in RECIPES for part, seeds in parts for m in METHODS for seed in seeds
    ]
    return [cell for cell in found if cell.part != "long" or cell.method == "jem"]


# ---- one cell --------------------------------------------------------------------------------------------------------


def configured(cell: Cell, words: Sequence[str] = ()) -> Config:
    """The recipe of a cell, with more `key=value` words on top."""
    words = [f"seed={cell.seed}", *words]
    config, more = resolve(cell.recipe, words), []
    if cell.part == "left-out":
        gone = LEFT_OUT[cell.seed % len(LEFT_OUT)]
        more = [f"data.options.classes={[c for c in range(10) if c != gone]}"]
    elif cell.part == "long":
        more = [f"training.steps={3 * config.training.steps}"]
    elif cell.part.startswith("valid-"):
        rate, decay = cell.part.removeprefix("valid-").rsplit("-", 1)
        more = [f"optimizer.learning_rate={float(rate)!r}", f"optimizer.weight_decay={float(decay)!r}"]
    return resolve(cell.recipe, [*words, *more])


def problem_of(cell: Cell, words: Sequence[str] = ()) -> Problem:
    """Data, model and trainer of a cell; of a `valid` one the held-out rows are a fifth of the training rows."""
    config = configured(cell, words)
    train, test, left_out = load_data(config)
    if cell.part.startswith("valid-"):
        train, test = train.split(0.2, config.seed)
    problem = assemble(config, train, test, left_out)
    if cell.method == "jem":
        return problem
    (phase,) = problem.trainer.phases
    alone = Phase(CrossEntropy(), phase.optimizer, trains=phase.trains)
    trainer = Trainer((alone,), ema_decay=problem.trainer.ema_decay, prepare=problem.trainer.prepare)
    return dataclasses.replace(problem, trainer=trainer)


def trained(problem: Problem, watch_gap: bool) -> tuple[TrainState, dict[str, Any]]:
    """The state after the last step, and what the watchdog said on the way; nothing is rolled back."""
    training = problem.config.training
    dog, alarms, spent = Watchdog(Settings.for_run(training.steps)), [], [(0, 0.0)]
    between: Callable[[Look], dict[str, float]] = between_calls(problem) if watch_gap else lambda look: {}
    refused = 0.0

    def hook(look: Look) -> None:
        nonlocal refused
        spent.append((look.step, time.process_time()))
        refused += float(np.sum(look.metrics["rejected"]))
        seldom = {k: np.append(np.full(len(look.steps) - 1, np.nan), v) for k, v in between(look).items()}
        alarms.extend(dataclasses.asdict(alarm) for alarm in dog.look(look.steps, {**look.metrics, **seldom}))

    start, each = problem.initial_state(), training.steps_per_call
    state = fit(problem.trainer, start, problem.stream, training.steps, steps_per_call=each, hooks=(hook,))
    (first, began), (last, ended) = spent[1], spent[-1]  # the first chunk compiles
    rate = 1e3 * (ended - began) / (last - first) if last > first else math.nan
    found = {"steps": int(state.step), "refused": refused, "alarms": alarms, "cpu_ms_a_step": rate}
    leaves = [leaf for leaf in jax.tree.leaves(state.model) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return state, {**found, "finite": all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)}


def logits_of(energy: AbstractClassifierEnergy, z: np.ndarray) -> np.ndarray:
    """Of every row in the model's coordinates, float64."""
    return np.asarray(jax.jit(jax.vmap(energy.logits))(jnp.asarray(z, jnp.float32)), np.float64)


def own_classes(problem: Problem) -> np.ndarray:
    """The class numbers of the held-out rows."""
    assert problem.test.y is not None
    return np.searchsorted(problem.train.classes, problem.test.y)


def clean(problem: Problem) -> np.ndarray:
    """Held-out rows without noise, in the units of x."""
    return problem.test.x.reshape(len(problem.test), -1).astype(np.float64)


def sureness(problem: Problem, energy: Any) -> dict[str, float]:
    """Accuracy, log loss and calibration on held-out rows with their noise; accuracy without."""
    own, logits = own_classes(problem), logits_of(energy, problem.to_model(problem.test.x, 2))
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    debiased = debiased_ece(p, own)
    bare = logits_of(energy, problem.coordinates.forward(clean(problem)))
    return {
        "accuracy": float(np.mean(logits.argmax(axis=1) == own)),
        "accuracy_clean": float(np.mean(bare.argmax(axis=1) == own)),
        "log_loss": log_loss(p, own).total,
        "ece": ece(p, own),
        "debiased": debiased.squared,
        "debiased_sigma": debiased.sigma,
    }


def foreign_sets(problem: Problem) -> dict[str, np.ndarray]:
    """What is not the data, in the units and the shape of x."""
    sets, seed = data.ood_sets(problem.train, problem.test, problem.config.seed), problem.config.seed
    side = math.isqrt(problem.train.dim)
    sets["photographs"] = data.load("patches", layout="flat", size=side, n_train=len(problem.test), seed=seed).x
    if problem.left_out is not None:
        sets["left-out"] = problem.left_out
    return sets


def detected(problem: Problem, energy: Any, with_densities: bool) -> dict[str, dict[str, float]]:
    """Foreign set -> score -> AUROC; with densities of the training rows beside the network's scores where asked."""
    fitted = {}
    if with_densities:
        names = ("gaussian", "kde")
        fitted = fit_baselines(
            problem.train.flat(), noise=problem.config.data.noise, seed=problem.config.seed, names=names
        )

    def scores(x: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        z = problem.to_model(x, seed)
        logits = logits_of(energy, z)
        said = {"energy": energy_values(energy, z), "logit": energy_score(logits), "softmax": max_softmax(logits)}
        rows = measure.noisy(problem, x, seed)
        return said | {name: -density.log_prob(rows) for name, density in fitted.items()}

    known = scores(problem.test.x, 2)
    foreign = {name: scores(x, 10 + i) for i, (name, x) in enumerate(foreign_sets(problem).items())}
    return {
        label: {name: detect(known[name], values, num_bootstrap=10).auroc for name, values in found.items()}
        for label, found in foreign.items()
    }


def sampled(problem: Problem, state: TrainState) -> dict[str, Any]:
    """Chains of the energy against held-out data, as a report has them, and samples of each class by another's eye."""
    energy: Any = problem.energy(state)
    one, two, three = jax.random.split(jax.random.fold_in(jax.random.key(problem.config.seed), 6), 3)
    chains = problem.config.evaluation.chains
    born = jax.vmap(problem.base.sample)(jax.random.split(one, chains))
    kept = measure.walkers(state)
    sampler, draws = measure.draw_chains(
        two, problem, energy, measure.tuned_sampler(problem, state), born if kept is None else kept
    )
    found = measure.measure_samples(problem, draws)[0]["sample_quality"]
    found["rhat"] = float(measure.measure_chains(problem, draws)[0]["chains"]["rhat_max"])

    num = len(problem.train.classes)
    each = max(2, problem.config.evaluation.samples // num)
    starts = init_chains(sampler, energy, born[jnp.arange(each) % chains])
    judge = fit_classifier_features(
        measure.noisy(problem, problem.train.x, 3), np.searchsorted(problem.train.classes, problem.train.y)
    )
    right = []
    for y in range(num):
        asked = energy.given(jnp.asarray(y, jnp.int32))
        last = sample(jax.random.fold_in(three, y), sampler, asked, starts, 1, burn_in=CLASS_STEPS)[1].x[:, -1]
        right.append(judge.classes(problem.coordinates.inverse(np.asarray(last, np.float64))) == y)
    found["asked_class"] = float(np.mean(right))
    found["asked_class_floor"] = judge.accuracy(measure.noisy(problem, problem.test.x, 2), own_classes(problem))
    return found


def attacked(problem: Problem, energy: Any) -> dict[str, float]:
    """L2 distance to the nearest image of another class that the attack finds, over clean held-out images that were right."""
    origin = problem.coordinates.forward(np.zeros(problem.train.dim))
    matrix = problem.coordinates.forward(np.eye(problem.train.dim)) - origin
    shift, turn = jnp.asarray(origin, jnp.float32), jnp.asarray(matrix, jnp.float32)

    def logits(x: jax.Array) -> jax.Array:
        return energy.logits(shift + x @ turn)

    found = adversarial_distance(
        logits, clean(problem), own_classes(problem), low=problem.train.low, high=problem.train.high
    ).distance
    right = found[found > 0]  # also NaN and infinity are no distance: their share is told
    good = right[np.isfinite(right)]
    return {
        "mean": float(np.mean(good)) if len(good) else math.nan,
        "median": float(np.median(good)) if len(good) else math.nan,
        "found": len(good) / max(1, int(np.sum(found != 0))),
    }


def run(cell: Cell, words: Sequence[str] = ()) -> dict[str, Any]:
    """Trains one cell and measures what its part is for."""
    problem = problem_of(cell, words)
    state, row = trained(problem, watch_gap=cell.method == "jem")
    energy = problem.energy(state)
    row = {**cell._asdict(), **row, "labels": sureness(problem, energy)}
    if not cell.part.startswith("valid-"):
        row["ood"] = detected(problem, energy, with_densities=cell.method == "plain")
        row["adversarial"] = attacked(problem, energy)
        if cell.part != "left-out":
            row["samples"] = sampled(problem, state)
    return as_json(row)


# ---- all of them, and the page ---------------------------------------------------------------------------------------


def restore(folder: Path) -> None:
    """Puts the rows of earlier runs where cells are looked for."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in json.loads(ROWS.read_text()) if ROWS.is_file() else []:
        path = folder / f"{Cell(*(row[name] for name in Cell._fields)).name}.json"
        if not path.exists():
            path.write_text(json.dumps(row))


def written(folder: Path) -> list[dict[str, Any]]:
    """The rows in a folder, in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*--*--*--*.json"))]


def page(rows: Sequence[dict[str, Any]], text: str) -> str:
    """The page with every recipe's tables in their places."""
    for recipe in sorted({row["recipe"] for row in rows}):
        text = replaced(text, recipe, tables([row for row in rows if row["recipe"] == recipe]))
    return text


def main() -> None:
    """Runs the cells that were asked for and are not there; writes rows and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""], help="beginnings of names; none for no cell")
    parser.add_argument("--out", type=Path, default=Path("runs/jem"))
    asked = parser.parse_args()
    restore(asked.out)
    for cell in cells():
        path = asked.out / f"{cell.name}.json"
        if not path.exists() and cell.name.startswith(tuple(asked.only)):
            began = time.perf_counter()
            row = run(cell)
            path.write_text(json.dumps(row))
            print(f"{cell.name}: {time.perf_counter() - began:.0f} s, {row['labels']}", flush=True)
    rows = written(asked.out)
    ROWS.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    PAGE.write_text(page(rows, PAGE.read_text()))


if __name__ == "__main__":
    main()
