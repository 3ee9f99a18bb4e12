"""The audit: exact answers are exact, what diverges is a row, a study goes on, one file adds a method."""

import dataclasses
import json
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import energax.audit.cell as cell_module
from energax.audit import Cell, Diverged, Row, audit, cells, methods, problems, rows_of, run, study, summarise
from energax.audit.measures import measure
from energax.audit.method import BATCH
from energax.audit.methods import exact_likelihood
from energax.audit.plane import Plane
from energax.audit.problems import bars_and_stripes
from energax.audit.states import States
from energax.cli.main import app
from energax.core import FunctionEnergy
from energax.energies import GaussianMixture
from energax.errors import ConfigError, DataError
from energax.report.audit import markdown, write_audit
from energax.runtime import backend

BUDGET = 40 * (BATCH + 512)
CELLS = [Cell("bars_and_stripes", "exact_likelihood", seed, BUDGET) for seed in (0, 1)]
PLANTED = '''
"""A method that leaves the finite at once."""

import jax.numpy as jnp

from energax.audit import Rule
from energax.core import AbstractObjective

TITLE = "planted"


class Nowhere(AbstractObjective):
    def init(self, key, model, batch):
        return None

    def __call__(self, key, model, state, batch):
        return jnp.nan * model(batch["x"][0]), (None, {})


def fits(problem):
    return problem.is_discrete


def make(problem):
    return Rule(Nowhere(), 1)
'''


@pytest.fixture
def _planted(tmp_path, monkeypatch):
    """One file more in the folder of methods."""
    (tmp_path / "planted.py").write_text(PLANTED)
    package = sys.modules["energax.audit.methods"]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small study that is done."""
    where = tmp_path_factory.mktemp("audit")
    audit(where, CELLS)
    return where


def mixture() -> tuple[GaussianMixture, Plane]:
    """Two modes in the plane as an energy, and as a truth."""
    energy = GaussianMixture(jnp.log(jnp.array([0.2, 0.8])), jnp.array([[-1.0, 0.0], [1.0, 0.0]]), 0.25)

    def log_prob(x):
        return np.asarray(jax.vmap(energy.log_prob)(jnp.asarray(x, jnp.float32)), np.float64)

    return energy, Plane(log_prob, (-2.0, 2.0), np.array([[-1.0, 0.0], [1.0, 0.0]]))


def test_the_truth_itself_is_told_as_such_and_a_wrong_mass_is_seen():
    energy, plane = mixture()
    seen = plane.look(energy + FunctionEnergy(lambda x: 3.0 + 0.0 * jnp.sum(x)), 0)
    assert seen.log_z[0] == pytest.approx(-3.0, abs=1e-4)
    assert seen.kl == pytest.approx(0.0, abs=1e-4)
    assert seen.masses[1] == pytest.approx([0.2, 0.8], abs=1e-3)
    assert np.mean(seen.draws[:, 0] > 0) == pytest.approx(0.8, abs=4 * 0.4 / math.sqrt(len(seen.draws)))
    wrong = GaussianMixture(jnp.log(jnp.array([0.5, 0.5])), energy.means, 0.25)
    seen = plane.look(wrong, 0)
    assert seen.kl == pytest.approx(0.2 * math.log(0.4) + 0.8 * math.log(1.6), abs=2e-3)
    assert seen.masses[1] == pytest.approx([0.5, 0.5], abs=1e-3)
    with pytest.raises(Diverged, match="must not be NaN"):
        plane.look(FunctionEnergy(lambda x: jnp.nan * jnp.sum(x)), 0)


def test_states_are_told_exactly():
    states = np.array([[0.0], [1.0]], np.float32)
    truth = States(states, np.array([0.25, 0.75]), np.array([0, 1]))
    seen = truth.look(FunctionEnergy(lambda x: jnp.log(3.0) * x[0]), 0)
    assert seen.log_z[0] == pytest.approx(math.log(4 / 3), abs=1e-6)
    assert seen.masses[1] == pytest.approx([0.75, 0.25], abs=1e-6)
    assert seen.kl == pytest.approx(0.5 * math.log(3.0), abs=1e-6)


def test_figures_of_the_base_are_those_of_a_gaussian():
    problem = problems()["moons"].make(0)
    plane = problem.look.__self__
    assert problem.dim == 2
    assert not problem.is_discrete
    slope = plane.score(np.array([[0.3, 0.2]]))
    ahead, behind = (plane.log_prob(np.array([[0.3 + h, 0.2]])) for h in (1e-3, -1e-3))
    assert slope[0, 0] == pytest.approx(float(ahead[0] - behind[0]) / 2e-3, rel=1e-2)
    # the base at step 0: its Fisher divergence from samples whose score is known is an average of squares
    found = measure(problem, problem.model(jax.random.key(0)), 0)
    direct = np.mean(np.sum((plane.score(problem.heldout[:1000]) + problem.heldout[:1000] / 1.5**2) ** 2, axis=1))
    assert found["fisher"] == pytest.approx(direct, rel=1e-4)
    energies = 0.5 * np.sum(problem.heldout**2, axis=1) / 1.5**2
    assert found["nll"] == pytest.approx(energies.mean() + math.log(2 * math.pi * 1.5**2), abs=5e-3)
    gap = found["nll"] + plane.log_prob(problem.heldout).mean()
    assert found["kl"] == pytest.approx(gap, abs=0.05)


def test_a_study_resumes_and_one_cell_alone_is_the_same(folder, monkeypatch):
    monkeypatch.setattr(study, "run", lambda cell: pytest.fail(f"{cell.name} was run again"))
    rows = audit(folder, CELLS)
    assert all(row.steps >= 1 for row in rows)
    assert [row.seed for row in rows_of(folder)] == [0, 1]
    again = run(CELLS[1])
    pairs = [(dict(row.figures), row.diverged) for row in (rows[1], again)]
    for figures, _ in pairs:
        figures.pop("seconds")
    assert pairs[0] == pairs[1]
    assert rows[0].figures["kl"] < math.log(512 / 14)  # something was learned
    with pytest.raises(pytest.fail.Exception, match="run again"):  # another budget is another cell
        audit(folder, [Cell("bars_and_stripes", "exact_likelihood", 0, 1)])


def test_a_row_of_another_budget_is_no_row_of_the_problem_s_own(folder, monkeypatch, tmp_path):
    """Without a budget a cell means its problem's: a quick row is made again, one at that budget is kept."""
    usual = problems()["bars_and_stripes"].make(0).budget
    made = []

    def told(cell):
        made.append(cell)
        return Row(cell.problem, cell.method, cell.seed, usual, 1)

    monkeypatch.setattr(study, "run", told)
    cell = Cell("bars_and_stripes", "exact_likelihood", 0)
    quick = rows_of(folder)[0]
    assert quick.budget == BUDGET != usual
    (tmp_path / "bars_and_stripes--exact_likelihood--0.json").write_text(json.dumps(quick.as_dict()))
    assert audit(tmp_path, [cell])[0].budget == usual
    assert audit(tmp_path, [cell])[0].budget == usual
    assert audit(tmp_path, [dataclasses.replace(cell, budget=usual)])[0].budget == usual
    assert made == [cell]


def test_a_file_that_is_no_row_is_refused(tmp_path):
    (tmp_path / "a--b--0.json").write_text(json.dumps({"problem": "a"}))
    with pytest.raises(DataError, match="must hold one row"):
        rows_of(tmp_path)


@pytest.mark.usefixtures("_planted")
def test_a_method_is_added_with_one_file_and_may_diverge():
    assert "planted" in methods()
    assert cells("*/planted/0") == [(name, "planted", 0) for name in problems() if problems()[name].make(0).is_discrete]
    row = run(Cell("bars_and_stripes", "planted", 0, 3))
    assert row.diverged
    assert "finite" in row.why
    summary = summarise([row, Row("bars_and_stripes", "planted", 1, 3, 3, figures={"kl": 1.0})])[0]
    assert (summary.diverged, summary.means["kl"], summary.errors["kl"]) == (1, 1.0, None)
    assert "1 of 2" in "\n".join(markdown([summary]))


@pytest.mark.usefixtures("_planted")
def test_a_method_that_is_mistaken_stops_and_is_no_row(monkeypatch):
    def mistaken(problem):
        raise ValueError("Planted: a shape does not fit.")

    monkeypatch.setattr(methods()["planted"], "make", mistaken)
    with pytest.raises(ValueError, match="a shape does not fit"):
        run(Cell("bars_and_stripes", "planted", 0, 3))
    monkeypatch.undo()
    monkeypatch.setattr(cell_module, "measure", mistaken_measure)
    with pytest.raises(ValueError, match="a column is missing"):
        run(Cell("bars_and_stripes", "exact_likelihood", 0, BATCH + 512))


def mistaken_measure(*_):
    """Planted in the place of what measures a trained energy."""
    raise ValueError("Planted: a column is missing.")


def test_energies_and_draws_that_are_not_finite_are_divergence():
    problem = problems()["moons"].make(0)
    far = FunctionEnergy(lambda x: jnp.where(jnp.sum(x**2) > 150.0, jnp.inf, 0.5 * jnp.sum(x**2)))
    with pytest.raises(Diverged, match="finite energies"):  # walls at a place where a held-out point stands
        measure(dataclasses.replace(problem, heldout=np.full((20, 2), 9.0, np.float32)), far, 0)


def test_costs_are_counted_row_by_row():
    """Of the yardstick, whose loss is one evaluation a datum and one a state."""
    rule = exact_likelihood.make(bars_and_stripes.make(0))
    assert rule.evaluations == BATCH + 512


def test_the_table_has_means_and_standard_errors(folder, tmp_path):
    rows = [Row("p", "m", s, 9, 1, figures={"kl": v, "nll": 1.0}) for s, v in enumerate((0.1, 0.2, 0.6))]
    summary = summarise([*rows, Row("p", "better", 0, 9, 1, figures={"kl": 0.01})])
    assert [each.method for each in summary] == ["better", "m"]
    assert summary[1].means["kl"] == pytest.approx(0.3)
    assert summary[1].errors["kl"] == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1) / math.sqrt(3))
    paths = write_audit(tmp_path, summarise(rows_of(folder)), {"date": "today"})
    assert json.loads(paths["json"].read_text())["rows"][0]["seeds"] == 2
    assert "exact_likelihood" in paths["md"].read_text()
    assert paths["svg"].read_text().startswith("<?xml")
    assert "mathdefault" not in paths["svg"].read_text()  # numbers of a logarithmic axis in plain words


def test_the_command_lists_runs_one_cell_and_refuses(folder, monkeypatch):
    monkeypatch.setattr(backend, "start", lambda device: None)
    call = lambda *words: CliRunner().invoke(app, ["audit", *words])  # noqa: E731
    listed = call("--list").output
    assert all(name in listed for name in (*methods(), *problems()))
    done = call("--only", "bars_and_stripes/exact_likelihood/0", "--budget", str(BUDGET), "--out", str(folder))
    assert done.exit_code == 0, done.output
    assert "kept: " in done.output
    wrong = call("--only", "moons/pcdd")
    assert wrong.exit_code == 2
    assert "Did you mean 'pcd'?" in wrong.output
    assert call("--only", "moons/pcd/x").exit_code == 2


def test_a_method_that_does_not_fit_is_told_which_do():
    with pytest.raises(
        ConfigError, match=r"one of cd, concrete_score, .*pseudolikelihood.*; got 'bars_and_stripes/dsm'"
    ):
        cells("bars_and_stripes/dsm")


@pytest.mark.parametrize("only", ["a/b/c/d", "moon", "bars_and_stripes/dsm"])
def test_what_is_not_known_or_does_not_fit_is_refused(only):
    with pytest.raises(ConfigError, match="--only"):
        cells(only)
