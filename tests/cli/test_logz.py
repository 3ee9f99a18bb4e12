"""`energax logz`: the table, the files, the exit code, and refusals in one sentence."""

import dataclasses
import importlib
import json

import pytest
from typer.testing import CliRunner

from energax.cli import logz
from energax.cli.main import app
from energax.runtime import backend, catalogue

SMALL = ("--chains", "64", "-t", "20", "-q")


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs a command in an empty folder, with the device left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "start", lambda device: None)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["logz", *words])


def test_a_table_and_the_figure(call, tmp_path):
    done = call("double-well", "-e", "ais,reverse-ais", "-e", "fep", *SMALL)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "two tilted double wells, barriers of 2 nats"
    assert [line.split("  ")[0] for line in lines[1:5]] == ["estimator", "ais", "reverse ais", "fep"]
    assert sum("reference" in line for line in lines[2:5]) == 1
    assert "exact (quadrature): log Z = 0.8956; of 3 estimates the worst is " in done.stdout
    assert "Bracket: log Z between " in done.stdout
    assert "3 estimates agree within 4 joint standard errors." in done.stdout
    folder = tmp_path / "runs" / "logz-double-well"
    record = json.loads((folder / "ledger.json").read_text())
    assert abs(record["accounts"][0]["sigma"]) < 5
    assert record["temperatures"] == 20
    assert record["preparation"]["pilot"]["gradients"] > 1000
    assert (folder / "ledger.png").read_bytes().startswith(b"\x89PNG")
    svg = (folder / "ledger.svg").read_text()
    assert "exact ΔF" in svg
    assert "minus the reverse work" in svg


def test_json_and_another_kernel(call):
    done = call("rbm", "-e", "ais", "--kernel", "gibbs", "--json", "--out", "here", *SMALL)
    found = json.loads(done.stdout)
    assert found["kernel"] == "gibbs"
    assert found["exact"] == pytest.approx(15.437397655636833, abs=1e-4)
    assert found["accounts"][0]["energies"] == 64 * 19 * (2 + 1 + 10)  # the work, the start, a sweep
    assert found["files"]["png"] == "here/ledger.png"
    assert found["worst_sigma"] == abs(found["accounts"][0]["sigma"]) < 5


def test_a_contradiction_fails(call, monkeypatch):
    title, make = catalogue.CATALOGUE["double-well"]

    def wrong(name, title):
        return dataclasses.replace(make(name, title), exact=3.0)

    monkeypatch.setitem(catalogue.CATALOGUE, "double-well", (title, wrong))
    done = call("double-well", "-e", "ais,fep", *SMALL)
    assert done.exit_code == 1
    assert "2 estimates agree" in done.stdout  # with each other, and not with what is called exact


def test_estimators_that_disagree_fail(call, monkeypatch):
    accounts = importlib.import_module("energax.free_energy.accounts")
    title, make = catalogue.CATALOGUE["double-well"]
    honest = accounts.run_forward

    def unnormalised(*given):  # the base's own log Z forgotten
        log_weights, x, acceptance = honest(*given)
        return log_weights - 1.84, x, acceptance

    monkeypatch.setattr(accounts, "run_forward", unnormalised)
    monkeypatch.setitem(
        catalogue.CATALOGUE, "double-well", (title, lambda *words: dataclasses.replace(make(*words), exact=None))
    )
    done = call("double-well", "-e", "ais,fep", *SMALL)
    assert done.exit_code == 1
    assert "The estimates DISAGREE" in done.stdout
    assert "- ais differs from fep by " in done.stdout
    assert "exact" not in done.stdout


def test_the_models_are_listed(call):
    shown = call("--list").stdout
    assert "mueller-brown" in shown
    assert {row["name"] for row in json.loads(call("--list", "--json").stdout)} == set(catalogue.CATALOGUE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "MODEL must be a name that --list shows, or a run; got none."),
        (["isin"], "Did you mean 'ising'?"),
        (["ising", "-e", "aiss"], "--estimators must be some of ais, reverse ais"),
        (["ising", "-e", "ais", "--kernel", "mala"], "--kernel must be one of gibbs for ising; got 'mala'."),
        (["ising", "-t", "2"], "Input should be greater than or equal to 3"),
    ],
)
def test_bad_words_are_refused(call, words, said):
    done = call(*words)
    assert done.exit_code == 2
    assert not done.stdout
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_an_escort_without_a_map_is_refused(call):
    done = call("double-well", "-e", "escorted", *SMALL)
    assert done.exit_code == 2
    assert "--estimators escorted must be asked of a model with a map" in done.stderr
    assert logz.parse_estimators(None) is None
