"""Whole runs at toy size: what a folder holds, going on after a stop, rolling back, giving up."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax.core import CheckpointError, ConfigError, DivergenceError, FunctionEnergy
from energax.data import Batches
from energax.objectives import DenoisingScoreMatching
from energax.runtime import assess, checkpoint
from energax.runtime.alarms import Alarm, Watchdog
from energax.runtime.build import build
from energax.runtime.config import read, resolve
from energax.runtime.display import QuietDisplay
from energax.runtime.folder import find_run, list_runs, read_json
from energax.runtime.hooks import Watch, explainer, slow_down
from energax.runtime.loop import Look, fit, grid_length
from energax.runtime.models import weigh
from energax.runtime.placement import Placement
from energax.runtime.run import Stopped, digest, evaluate, resume, train
from energax.runtime.tracking import read_metrics
from energax.runtime.use import sample, trained
from energax.training import Phase, Trainer

SMALL = [
    "data.options.n_train=600", "energy.width=8", "energy.depth=1", "objective.num_chains=16", "objective.num_steps=2",
    "training.steps=40", "training.batch_size=32", "training.steps_per_call=10", "training.log_every=10",
    "training.checkpoint_every=20", "evaluation.samples=40", "evaluation.chains=20", "evaluation.burn_in=20",
    "evaluation.thin=1", "evaluation.ais_chains=16", "evaluation.ais_temperatures=[8, 16]", "evaluation.grid=40",
]  # fmt: skip


def small(out: Path, *more: str):
    return resolve("moons-pcd", [*SMALL, f"out={out}", *more])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One small finished run."""
    return train(small(tmp_path_factory.mktemp("runs")), argv=["moons-pcd"])


def test_a_run_leaves_all_that_it_promises(done):
    record = read_json(done / "run.json")
    assert record["status"] == "done"
    assert (record["steps_done"], record["steps_asked"]) == (40, 40)
    assert {"config.yaml", "run.json", "metrics.jsonl", "evaluation.json", "arrays.npz", "checkpoints"} <= {
        path.name for path in done.iterdir()
    }
    metrics = read_metrics(done)
    assert metrics["step"].tolist() == [10, 20, 30, 40]
    assert {"gap", "acceptance", "step_size", "temperature", "age_mean", "grad_norm"} <= set(metrics)
    found = read_json(done / "evaluation.json")
    assert {"log_z", "likelihood", "sample_quality", "ood", "chains", "density2d"} <= set(found)
    off = found["log_z"]["forward"][-1]["estimate"] - found["density2d"]["log_z_grid"]
    assert abs(off) < 6 * found["log_z"]["forward"][-1]["se"] + 0.05  # the truth is a quadrature on a coarse grid
    assert not list(done.rglob("*.tmp"))


def test_config_reads_back_and_measuring_again_gives_the_same(done):
    assert read(done / "config.yaml").training.steps == 40
    before = read_json(done / "evaluation.json")
    evaluate(done)
    assert read_json(done / "evaluation.json") == before


def test_a_finished_run_can_be_sampled_and_normalised(done):
    found = sample(done, 12, seed=1)
    assert found["x"].shape == (12, 2)
    assert np.all(np.isfinite(found["energy"]))
    with np.load(done / "samples.npz", allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["x"], found["x"])
    model = trained(done)
    assert (model.start, model.how, next(iter(model.kernels))) == ("chains", "quadrature", "mala")
    found = weigh(model, estimators=("ais", "reverse ais"), chains=8, temperatures=8)
    assert found.exact == read_json(done / "evaluation.json")["density2d"]["log_z_grid"]
    assert found.start == "chains"
    assert [each.samples for each in found.accounts] == [8, 8]
    with pytest.raises(ValueError, match=r"sample.num must be an integer >= 2; got 0"):
        sample(done, 0)


def test_runs_are_found_by_name_prefix_and_latest(done):
    root = done.parent
    assert find_run(root, "latest") == find_run(root, done.name) == find_run(root, "moons") == done
    assert [run["recipe"] for run in list_runs(root)] == ["moons-pcd"]
    with pytest.raises(ConfigError, match="Did you mean"):
        find_run(root, done.name.replace("moons", "moon"))


def test_resumed_run_is_the_uninterrupted_one_bit_for_bit(done, tmp_path):
    config = small(tmp_path)
    problem = build(config)
    placement = Placement.auto()  # as `train` does where there are several devices
    state = fit(problem.trainer, problem.initial_state(), problem.stream, 20, steps_per_call=10, placement=placement)
    folder = tmp_path / "half"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text((done / "config.yaml").read_text())
    (folder / "run.json").write_text(json.dumps({"recipe": "moons-pcd"}))
    checkpoint.save(folder / "checkpoints", state, 20, meta={"rollbacks": 0}, config=digest(config))
    alarms = [json.dumps({"step": step, "name": "gap", "severity": "warn"}) + "\n" for step in (19, 20, 25)]
    (folder / "alarms.jsonl").write_text("".join(alarms) + '{"step": 3')
    resume(folder)
    assert (folder / "alarms.jsonl").read_text() == alarms[0]  # the others come again where they come again
    template = problem.initial_state()
    ours, theirs = (checkpoint.latest(run / "checkpoints", template).state for run in (folder, done))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_chunks_lie_on_one_grid_whatever_the_start():
    assert [grid_length(start, 100, 30) for start in (0, 10, 30, 90)] == [30, 20, 30, 10]


def test_foreign_sets_that_the_data_do_not_have_are_refused_before_training(tmp_path):
    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(50, 3)))
    words = [f"data.name={tmp_path}/table.npy", "data.options.layout=null"]
    with pytest.raises(ConfigError, match=r"must be of blends, .* got 'upside-down'"):
        build(resolve("digits", words))
    every = "data.options.classes=[0,1,2,3,4,5,6,7,8,9]"  # leaves none out
    with pytest.raises(ConfigError, match="got 'left-out'"):
        build(resolve("digits", [every, "evaluation.ood=[left-out]"]))


class Always(Watchdog):
    """A watchdog that calls every chunk broken."""

    def look(self, steps, metrics):
        """One fatal alarm."""
        return [Alarm(int(steps[-1]), "test", "train", "It is broken.", "Mend it.", "stop")]


def watch(problem, folder, state, **changes):
    settings = {"on_divergence": "rollback", "max_rollbacks": 2} | changes
    return Watch(Always(), folder, explainer(problem.trainer), state, display=QuietDisplay(), rewind=lambda step: None,
                 **settings)  # fmt: skip


def test_a_broken_run_rolls_back_slower_with_other_noise_and_then_gives_up(tmp_path):
    problem = build(small(tmp_path))
    state = problem.initial_state()
    checkpoint.save(tmp_path / "checkpoints", state, 0)
    watcher = watch(problem, tmp_path, state)
    look = Look(10, state, np.arange(10), {"rejected": np.zeros(10)}, 1.0)
    first, second = watcher(look), watcher(look)
    factors = [
        [
            float(leaf)
            for leaf in jax.tree.leaves(s.optimizers)
            if getattr(leaf, "shape", None) == () and 0 < float(leaf) < 1
        ]
        for s in (first, second)
    ]
    assert factors == [[0.5], [0.25]]
    assert not np.array_equal(*(jax.random.key_data(s.key) for s in (first, second)))
    with pytest.raises(DivergenceError, match=r"after 2 roll-back\(s\): It is broken\. Mend it\."):
        watcher(look)
    assert len((tmp_path / "alarms.jsonl").read_text().splitlines()) == 3


def test_a_second_roll_back_does_not_brake_twice_for_the_first(tmp_path):
    problem = build(small(tmp_path))
    state = problem.initial_state()
    slowed = slow_down(state, 1, 1)
    checkpoint.save(tmp_path / "checkpoints", slowed, 0, meta={"rollbacks": 1})
    watcher = watch(problem, tmp_path, state, rollbacks=1)
    again = watcher(Look(10, state, np.arange(10), {"rejected": np.zeros(10)}, 1.0))
    halved = [float(leaf) for leaf in jax.tree.leaves(again.optimizers) if np.shape(leaf) == () and 0 < float(leaf) < 1]
    assert halved == [0.25]


def test_a_chunk_that_was_taken_back_is_shown_to_no_later_hook():
    trainer = Trainer((Phase(DenoisingScoreMatching(0.5), optax.sgd(1e-2)),))
    model = FunctionEnergy(jax.tree_util.Partial(lambda a, x: 0.5 * a * jnp.sum(x**2), jnp.array(1.0)))
    stream = Batches({"x": np.ones((8, 2), np.float32)}, 4, 0)
    first = trainer.init(jax.random.key(0), model, stream.batch(0))
    looks, written = [], []

    def take_back_once(look):
        looks.append(look.step)
        return first if len(looks) == 2 else None

    fit(trainer, first, stream, 6, steps_per_call=2, hooks=(take_back_once, lambda look: written.append(look.step)))
    assert looks == [2, 4, 2, 4, 6]
    assert written == [2, 2, 4, 6]


def test_a_refused_step_is_named_in_the_error(tmp_path):
    problem = build(small(tmp_path))
    state = problem.initial_state()
    watcher = watch(problem, tmp_path, state, on_divergence="stop")
    look = Look(2, state, np.arange(2), {"rejected": np.array([0.0, 1.0]), "first_bad": np.array([0, 3])}, 1.0)
    with pytest.raises(DivergenceError, match="At step 1 the first number that was not finite stood in"):
        watcher(look)


def test_a_checkpoint_of_other_settings_is_refused(done, tmp_path):
    folder = tmp_path / "edited"
    shutil.copytree(done, folder)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("learning_rate: 0.003", "learning_rate: 0.004"))
    with pytest.raises(CheckpointError, match="another run"):
        resume(folder)
    (folder / "config.yaml").write_text(text.replace("thin: 1", "thin: 2"))  # only what is measured: welcome
    assert evaluate(folder)["step"] == 40


def test_measuring_raises_the_alarms_that_only_it_can(done, tmp_path):
    found = read_json(done / "evaluation.json")
    found["chains"]["rhat_max"], found["log_z"]["spread"] = 1.5, 3.0
    for _ in range(2):  # twice measured is not twice said
        assess.raise_alarms(tmp_path, 40, found, QuietDisplay())
    names = [json.loads(line)["name"] for line in (tmp_path / "alarms.jsonl").read_text().splitlines()]
    assert {"rhat", "log-z"} <= set(names)
    assert len(names) == len(set(names))


def test_an_interrupt_while_measuring_keeps_the_training(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("energax.runtime.run.assess", interrupted)
    with pytest.raises(Stopped) as stopped:
        train(small(tmp_path))
    assert read_json(stopped.value.folder / "run.json")["status"] == "trained"
    monkeypatch.undo()
    assert read_json(resume(stopped.value.folder) / "run.json")["status"] == "done"
