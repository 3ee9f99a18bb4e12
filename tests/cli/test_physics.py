"""`energax physics`: the table, the files, the exit code, and refusals in one sentence."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from energax.cli.main import app
from energax.cli.physics import parse_betas
from energax.evaluation import ising_transition
from energax.runtime import backend

SMALL = ("--chains", "8", "--sweeps", "400", "--burn-in", "100")


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs a command in an empty folder, with the device left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backend, "start", lambda device: None)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(words))


def test_ising_prints_a_table_and_writes_the_figure(call, tmp_path):
    done = call("physics", "ising", "--size", "4", "--beta", "0.3:0.5:2", *SMALL)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "energy" in lines[1]
    assert lines[2].split()[0] == "0.3000"
    assert "Of 8 estimates with an exact value" in done.stdout
    folder = tmp_path / "runs" / "physics-ising-4"
    record = json.loads((folder / "sweep.json").read_text())
    assert abs(record["rows"][0]["observables"]["energy"]["sigma"]) < 5
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / "sweep.svg").read_bytes()


def test_json(call):
    done = call("physics", "ising", "--size", "4", "--beta", "0.3", "--json", "--out", "here", *SMALL)
    found = json.loads(done.stdout)
    assert found["rows"][0]["beta"] == 0.3
    assert found["files"]["png"] == "here/sweep.png"


def test_potts_prints_what_is_exact_and_writes_the_figure(call, tmp_path):
    done = call("physics", "potts", "--size", "4", "--beta", "0.9:1.1:2", "--chains", "8", "--sweeps", "200")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "order parameter" in lines[1]
    assert lines[1].split().count("exact") == 3
    assert "Of 6 estimates with an exact value" in done.stdout
    assert "beta = 1.005053" in done.stdout
    assert "infinite lattice is -1.577350 J." in done.stdout
    folder = tmp_path / "runs" / "physics-potts-3-4"
    record = json.loads((folder / "sweep.json").read_text())
    assert record["move"] == "cluster"
    assert record["rows"][1]["observables"]["alignment"]["exact_of"] == "this lattice"
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_lattice_beyond_the_transfer_matrix_says_so(call):
    done = call(
        "physics", "potts", "--states", "6", "--size", "4", "--beta", "1.2", "--move", "local", "--chains", "2",
        "--sweeps", "20", "--burn-in", "0", "--thin", "1", "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert "the mean of the two phases that coexist." in found["notes"][0]
    assert "6^4 rows, at most 1,024" in found["notes"][1]
    assert found["worst_sigma"] == 0.0


def test_a_contradiction_fails(call, monkeypatch):
    sound = ising_transition.multispin
    monkeypatch.setattr(ising_transition, "multispin", lambda key, shape, k, **rest: sound(key, shape, 1.2 * k, **rest))
    assert call("physics", "ising", "--size", "4", "--beta", "0.4", *SMALL).exit_code == 1


def test_a_move_that_is_none_is_refused(call):
    done = call("physics", "ising", "--move", "swap")
    assert done.exit_code == 2
    assert "swap" in done.output


def test_sweeps_that_are_refused_do_not_end_as_a_contradiction_does(call):
    done = call("physics", "ising", "--sweeps", "7")
    assert done.exit_code == 2
    assert "got 7" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("text", ["", "a", "0.3:0.4", "0.3:0.4:x", "0.3:0.4:0", "-1", "nan", "inf", "0.3,,0.4"])
def test_bad_temperatures_are_refused(call, text):
    done = call("physics", "ising", "--beta", text)
    assert done.exit_code == 2
    assert "--beta must be numbers > 0" in done.output


def test_temperatures_are_read():
    assert parse_betas("0.3") == [0.3]
    assert parse_betas("0.3,0.5") == [0.3, 0.5]
    assert parse_betas("0.30:0.60:13")[-1] == pytest.approx(0.6)
    assert len(parse_betas("0.30:0.60:13")) == 13


RBM = ("--chains", "8", "--sweeps", "200", "--burn-in", "50", "--thin", "1", "--levels", "6")


def test_rbm_prints_modes_ladder_and_minima(call, tmp_path):
    done = call("physics", "rbm", "--beta", "0.5,1.0", *RBM)
    assert done.exit_code == 0, done.output
    assert "Singular values of the weights: 43.818 (x1), 39.192 (x4) nats." in done.stdout
    assert "6 levels" in done.stdout
    assert "Of 36 estimates with an exact value" in done.stdout
    assert "111111111" in done.stdout
    folder = tmp_path / "runs" / "physics-rbm-bars-and-stripes"
    record = json.loads((folder / "sweep.json").read_text())
    assert len(record["minima"]) == 14
    assert record["rows"][1]["observables"]["mode_2"]["exact_of"] == "this machine"
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_rbm_out_of_a_file(call, tmp_path):
    r = np.random.default_rng(0)
    np.savez(
        tmp_path / "mine.npz",
        weights=r.normal(size=(30, 28)),
        visible_bias=np.zeros(30),
        hidden_bias=np.zeros(28),
    )
    done = call("physics", "rbm", "mine.npz", "--beta", "0.5", *RBM)
    assert done.exit_code == 0, done.output
    assert "mine: 30 visible and 28 hidden units" in done.stdout
    assert "Neither layer is small enough for the exact sums." in done.stdout
    assert "Too many visible units" in done.stdout


def test_what_is_no_machine_is_refused_in_a_sentence(call, tmp_path):
    np.savez(tmp_path / "bad.npz", weights=np.ones((3, 2)), visible_bias=np.ones(3), hidden_bias=np.ones(3))
    for word, code, says in (
        ("mine", 2, "MODEL must be bars-and-stripes or the path of an .npz file; got 'mine'."),
        ("none.npz", 1, "none.npz: No such file or directory."),
        ("bad.npz", 1, "hidden_bias must be of shape (2,)"),
    ):
        done = call("physics", "rbm", word)
        assert done.exit_code == code
        assert says in done.output
        assert "Traceback" not in done.output
