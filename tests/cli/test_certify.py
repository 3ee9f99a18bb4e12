"""`energax certify`: shipped kernels and a user's own, the exit code, and refusals in one sentence."""

import json

import pytest
from typer.testing import CliRunner

from energax.cli.certify import as_kernel, load, parse_seeds
from energax.cli.main import app
from energax.errors import ConfigError
from energax.evaluation import shipped
from energax.runtime import backend
from energax.samplers import SPINS, Gibbs, RandomScanGibbs

OWN = '''
"""Single spin flips; `Sound` by Metropolis, `Unsound` with the energies of the ratio exchanged."""

import jax
import jax.numpy as jnp
from neighbour import State
from energax.core import AbstractSampler
from energax.samplers import SPINS


class Sound(AbstractSampler):
    sign: float = 1.0
    sites = SPINS

    def init(self, energy, x):
        return State(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        where, decide = jax.random.split(key)
        y = state.x.at[jax.random.randint(where, (), 0, state.x.size)].multiply(-1.0)
        accept = jax.random.uniform(decide) < jnp.exp(self.sign * (energy(state.x) - energy(y)))
        return State(jnp.where(accept, y, state.x)), None


class Unsound(Sound):
    sign: float = -1.0


class Needy:
    def __init__(self, step_size):
        self.step_size = step_size


def made():
    return Sound()


def for_a_target(target):
    return Sound()


number = 3
'''


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs a command in a folder with kernels of a user's own, with the device left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "start", lambda device: None)
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("import nothing_of_the_kind\n")
    (tmp_path / "neighbour.py").write_text(
        "from typing import Any, NamedTuple\n\n\nclass State(NamedTuple):\n    x: Any\n"
    )
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(words))


def test_a_shipped_kernel_is_told_check_by_check(call):
    done = call("certify", "block_gibbs")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("block_gibbs: passed; an error of ")
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "rows",
        "invariance",
        "detailed balance",
        "irreducible",
        "caches",
        "keys",
    ]
    assert all(line.endswith("ok") for line in lines[1:])


def test_a_kernel_of_ones_own_passes_and_an_unsound_one_fails(call):
    done = call("certify", "mine.py:Sound", "--reversible")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Sound: passed; an error of ")
    done = call("certify", "mine.py:Unsound", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)[0]
    assert found["verdict"] == "failed"
    assert found["kernel"] == "Unsound"
    assert {row["check"] for row in found["rows"] if not row["passed"]} == {"invariance"}


def test_all_that_ship(call, monkeypatch):
    sound = shipped.SHIPPED["block_gibbs"]
    monkeypatch.setattr(shipped, "SHIPPED", {"one": sound, "two": sound})
    monkeypatch.setattr("energax.evaluation.SHIPPED", shipped.SHIPPED)
    done = call("certify", "--all")
    assert done.exit_code == 0, done.output
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["one", "two", "2 kernels, 0 failed."]


def test_what_names_a_kernel(call, tmp_path):
    kernel = as_kernel("mine.py:made", load("mine.py:made"))
    assert type(kernel).__name__ == "Sound"
    assert callable(as_kernel("mine.py:for_a_target", load(f"{tmp_path}/mine.py:for_a_target")))
    assert load("energax.samplers:SPINS.low") == -1.0
    assert as_kernel("x", Gibbs(SPINS)) == Gibbs(SPINS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name one kernel"),
        (("mala", "--all"), "name one kernel"),
        (("malla",), "Did you mean 'mala'"),
        (("mala", "--sites", "spins"), "--sites and --reversible are for a kernel of your own"),
        (("mine.py:Sound", "--sites", "numbers"), "--sites must be one of spins, bits, categories; got 'numbers'"),
        (("mala", "--seeds", "x"), "--seeds must be how many"),
        (("mala", "--seeds", "0"), "--seeds must be how many"),
        (("nowhere.py:K",), "nowhere.py cannot be imported: FileNotFoundError: there is no such file"),
        (("broken.py:K",), "broken.py cannot be imported: ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        (("no_such_package.module:K",), "no_such_package.module cannot be imported: ModuleNotFoundError"),
        (("mine.py:Nothing",), "mine.py must have a Nothing; it has no Nothing"),
        (("mine.py:",), "a kernel of your own must be path/to/file.py:Kernel"),
        (("mine.py:Needy",), "mine.py:Needy must be made without arguments"),
        (("mine.py:number",), "must be or make an AbstractSampler; got int"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, words, message):
    done = call("certify", *words)
    assert done.exit_code == 2, done.output
    assert message in done.output.replace("\n", " ")
    assert "Traceback" not in done.output


def test_a_kernel_that_cannot_be_judged_is_refused(call):
    done = call("certify", "energax.samplers:SwendsenWang")
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_seeds_are_read():
    assert parse_seeds("3") == (0, 1, 2)
    assert parse_seeds("7,3") == (7, 3)
    with pytest.raises(ConfigError, match="got '1001'"):
        parse_seeds("1001")


def test_a_class_with_fields_is_refused_and_an_instance_taken():
    with pytest.raises(ConfigError, match="must be made without arguments"):
        as_kernel("place", RandomScanGibbs)
    assert as_kernel("place", RandomScanGibbs(SPINS, 2)).updates == 2
