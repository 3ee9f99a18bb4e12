"""The command line: verbs are wired, mistakes end in one sentence and their exit code, help is quick."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from energax.cli.main import app
from energax.errors import CheckpointError, DataError, DivergenceError
from energax.runtime import backend, run, use
from energax.runtime.config import recipe_names, resolve
from energax.runtime.folder import new_folder, update_record
from energax.runtime.objectives import rules


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs a command in an empty folder, with the device left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "start", lambda device: None)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(words))


@pytest.fixture
def folder(tmp_path):
    made = new_folder(tmp_path / "runs", resolve("moons-pcd"))
    update_record(made, status="done", steps_done=3000)
    return made


# ---- looking around --------------------------------------------------------------------------------------------------


def test_version_and_help(call):
    assert call("--version").stdout == "energax 0.1.0\n"
    shown = call("--help").stdout
    for verb in (
        "train",
        "sample",
        "evaluate",
        "logz",
        "report",
        "resume",
        "physics",
        "certify",
        "runs",
        "recipes",
        "data",
        "doctor",
    ):
        assert verb in shown
        assert call(verb, "--help").exit_code == 0


def test_recipes_lists_shows_and_prints_the_schema(call):
    listed = call("recipes").stdout
    assert all(name in listed for name in recipe_names())
    assert {row["name"] for row in json.loads(call("recipes", "--json").stdout)} == set(recipe_names())
    assert "properties" in json.loads(call("recipes", "--schema").stdout)
    assert call("recipes", "show", "digits").stdout.startswith("# ")
    assert "steps: 17" in call("recipes", "show", "digits", "training.steps=17").stdout
    assert json.loads(call("recipes", "show", "digits", "seed=5", "--json").stdout)["seed"] == 5
    assert "keep:" in call("recipes", "show", "digits", "--resolved").stdout
    told = call("recipes", "--objectives").stdout
    assert all(f"  {kind} " in told for kind in rules())
    assert set(json.loads(call("recipes", "--objectives", "--json").stdout)["with labels"]) == {"jem"}


def test_data_lists_and_shows(call):
    assert "energax data get mnist" in call("data").stdout
    assert any(
        row["name"] == "digits" and row["available"] for row in json.loads(call("data", "list", "--json").stdout)
    )
    facts = json.loads(call("data", "show", "digits", "--json").stdout)
    assert facts["shape"] == [8, 8, 1]
    assert facts["samples"] == 1797
    assert sum(facts["classes"].values()) == 1797


def test_runs_shows_a_table_and_json(call, folder):
    shown = call("runs").stdout
    assert folder.name in shown
    assert "3000/3000" in shown
    assert json.loads(call("runs", "--json").stdout)[0]["status"] == "done"


def test_no_runs_is_no_error(call):
    shown = call("runs")
    assert shown.exit_code == 0
    assert "energax train digits" in shown.stdout
    assert json.loads(call("runs", "--json").stdout) == []


def test_doctor_ends_with_1_where_something_is_broken(call, monkeypatch):
    from energax.runtime import doctor

    sound = doctor.examine()
    monkeypatch.setattr(doctor, "examine", lambda: sound)
    assert call("doctor").exit_code == 0
    assert json.loads(call("doctor", "--json").stdout)["problems"] == []
    monkeypatch.setattr(doctor, "examine", lambda: {**sound, "problems": ["optax must be installed; got none."]})
    shown = call("doctor")
    assert shown.exit_code == 1
    assert "optax must be installed" in shown.stderr


# ---- training --------------------------------------------------------------------------------------------------------


def test_train_hands_the_resolved_recipe_on_and_reports(call, monkeypatch, tmp_path):
    seen = {}

    def train(config, *, display, argv):
        seen.update(config=config, argv=argv)
        display.start(10, "t")
        return new_folder(tmp_path / "runs", config)

    monkeypatch.setattr(run, "train", train)
    shown = call("train", "moons-pcd", "training.steps=20", "--out", "a: b #c")
    assert shown.exit_code == 0, shown.output
    assert seen["config"] == resolve("moons-pcd", ["training.steps=20", 'out="a: b #c"'])
    assert "report.html" in shown.stdout
    as_json = call("train", "moons-pcd", "--json")
    assert json.loads(as_json.stdout)["status"] == "done"
    without = json.loads(call("train", "moons-pcd", "report=false", "--json", "--quiet").stdout)
    assert without["report"] is None


@pytest.mark.parametrize("verb", ["train", "resume"])
def test_a_signal_ends_with_its_own_code(call, monkeypatch, folder, verb):
    def stopped(*args, **kwargs):
        raise run.Stopped(folder, 143)

    monkeypatch.setattr(run, verb, stopped)
    shown = call(verb, "moons-pcd" if verb == "train" else "latest")
    assert shown.exit_code == 143
    assert "energax resume" in shown.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DivergenceError("Training diverged at step 7 (phase train): acceptance 0.", step=7, phase="train"), 3),
        (DataError("wine must be here; got nothing."), 1),
        (CheckpointError("there is no sound checkpoint."), 1),
        (PermissionError(13, "Permission denied", "/x/runs"), 1),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(call, monkeypatch, error, code):
    def train(*args, **kwargs):
        raise error

    monkeypatch.setattr(run, "train", train)
    shown = call("train", "moons-pcd")
    assert shown.exit_code == code
    assert "Traceback" not in shown.output
    assert len(shown.stderr.strip().splitlines()) == 1
    assert call("train", "moons-pcd", "--debug").exception is error


def test_a_bug_is_not_dressed_up_as_a_mistake(call, monkeypatch):
    def train(*args, **kwargs):
        return np.zeros(3).reshape(2, 2)  # a ValueError of numpy's own

    monkeypatch.setattr(run, "train", train)
    assert isinstance(call("train", "moons-pcd").exception, ValueError)


# ---- a trained run ---------------------------------------------------------------------------------------------------


def test_sample_copies_what_was_drawn(call, monkeypatch, folder, tmp_path):
    def sample(where, num, *, seed, display):
        found = {"x": np.full((num, 2), seed, np.float32), "energy": np.zeros(num, np.float32)}
        np.savez(where / use.SAMPLES, **found)
        return found

    monkeypatch.setattr(use, "sample", sample)
    shown = call("sample", "moons", "-n", "5", "--seed", "3", "--out", "deep/s.npz", "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["arrays"] == {"x": [5, 2], "energy": [5]}
    assert np.load(tmp_path / "deep" / "s.npz")["x"][0, 0] == 3
    assert "samples.npz" in call("sample", "latest").stdout


def test_evaluate_says_what_it_found(call, monkeypatch, folder):
    row = {"label": "forward, 10 temperatures", "estimate": 1.25, "se": 0.1, "ess": 9.0}
    table = {"forward": [row], "reverse": [row], "bracket": [1.0, 1.5], "agree": False, "exact": 1.3}
    found = {
        "log_z": table,
        "likelihood": {"nll_test": 2.0, "nll_test_se": 0.1, "units": "nats per sample", "baselines": {"kde": 2.5}},
        "ood": {"uniform": {"energy": {"auroc": 0.9}}},
        "chains": {"rhat_max": float("nan"), "ess_bulk_min": 12.0},
        "density2d": {"kl_true_model": 0.02},
    }
    monkeypatch.setattr(run, "evaluate", lambda where, *, display: found)
    text = call("evaluate", folder.name[:12]).stdout
    for word in (
        "1.250 +- 0.100 nats",
        "DISAGREE",
        "exact: 1.300",
        "held-out NLL 2.000",
        "beside kde: 2.500",
        "AUROC",
        "R-hat nan",
        "0.020 nats",
    ):
        assert word in text
    assert json.loads(call("evaluate", "latest", "--json").stdout)["chains"]["rhat_max"] == "nan"


def test_report_prints_the_path(call, folder):
    shown = call("report", "latest")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.strip() == str(folder / "report.html")


# ---- mistakes --------------------------------------------------------------------------------------------------------

_RUN_VERBS = ("sample", "evaluate", "logz", "report", "resume")
MISTAKES = [
    (["trian", "digits"], 2),
    (["train"], 2),
    (["train", "digitz"], 2),
    (["train", "none.yaml"], 2),
    (["train", "digits", "training.step=3"], 2),
    (["train", "digits", "training.steps"], 2),
    (["train", "digits", "training.steps=-3"], 2),
    (["train", "digits", "--device", "abacus"], 2),
    (["train", "digits", "--nonsense"], 2),
    (["recipes", "show", "digitz"], 2),
    (["recipes", "show", "digits", "seed=-1"], 2),
    (["recipes", "shw"], 2),
    (["data", "get", "cifar"], 1),
    (["data", "show", "digitz"], 1),
    (["data", "show", "./none.npy"], 1),
    *(([verb, "nobody"], 2) for verb in _RUN_VERBS),
    *(([verb, "latest"], 2) for verb in _RUN_VERBS),
    (["sample", "latest", "-n", "0"], 2),
    (["sample", "latest", "-n", "many"], 2),
    (["logz", "latest", "-t", "1"], 2),
    (["logz", "latest", "--chains", "1"], 2),
]


@pytest.mark.parametrize(
    ("words", "code"), MISTAKES, ids=lambda item: " ".join(item) if isinstance(item, list) else None
)
def test_a_mistake_ends_in_a_sentence_and_its_code(words, code, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == code
    assert isinstance(shown.exception, SystemExit)
    assert "Traceback" not in shown.output
    assert shown.stderr.strip()
    assert not shown.stdout.strip() or words[0] == "recipes"


def test_two_runs_that_fit_are_named(call, tmp_path):
    for _ in range(2):
        new_folder(tmp_path / "runs", resolve("moons-pcd"))
    shown = call("report", "moons")
    assert shown.exit_code == 2
    assert "fits 2" in shown.stderr


# ---- quick, and as a module ------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy_and_is_quick():
    heavy = ("jax", "numpy", "pydantic", "yaml", "matplotlib", "sklearn", "equinox")
    code = (
        "import sys; import energax.cli.main as m; from typer.testing import CliRunner; r = CliRunner();"
        "assert r.invoke(m.app, ['--help']).exit_code == 0;"
        f"sys.exit(', '.join(n for n in {heavy!r} if n in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    took = []
    for _ in range(3):
        began = time.perf_counter()
        shown = subprocess.run([sys.executable, "-m", "energax", "--help"], capture_output=True, timeout=60, check=True)
        took.append(time.perf_counter() - began)
        assert b"train" in shown.stdout
    assert min(took) < 1.5  # 0.6 s is promised on a quiet machine; this one may be busy


def test_listing_recipes_and_completing_them_needs_no_jax():
    code = (
        "import sys; from energax.cli.words import complete_override, complete_recipe;"
        "assert 'digits' in complete_recipe('dig'); assert 'training.steps=' in complete_override('training.st');"
        "sys.exit('jax' if 'jax' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mistake_in_a_real_process_prints_one_line_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "energax", "train", "moons-pdc"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "recipe must be one that `energax recipes` lists or a YAML file; got 'moons-pdc'. Did you mean 'moons-pcd'?"
    ]
