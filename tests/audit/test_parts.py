"""Problems and methods of the audit: costs counted in the traced program, exact answers against formulas."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.audit import methods, problems
from energax.audit.method import BATCH
from energax.audit.methods import improved_cd, jarzynski, kernel_density
from energax.audit.problems import digits_grey, two_modes_50d
from energax.core import FunctionEnergy
from energax.energies import SelfNormalised, quadrature_exact, rbm_exact, rbm_log_z
from energax.evaluation import energy_values

MARKED = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2) + 0.0 * jax.lax.lgamma(1.0 + jnp.sum(x**2)))
"""An energy whose every evaluation leaves one lgamma in the program."""
COUNTED = (
    "cd",
    "conditional_nce",
    "energy_discrepancy",
    "fast_weights",
    "finite_difference",
    "nce",
    "pcd",
    "ranking_nce",
    "replay",
    "self_normalised",
    "short_run",
    "telescoping_nce",
    "tempered",
)
TWICE = {"cd": 1, "fast_weights": 1, "pcd": 1, "short_run": 1}
NEIGHBOURS = ("concrete_score", "minimum_probability_flow", "pseudolikelihood", "ratio_matching")


def marks(jaxpr, times: int = 1) -> int:
    """lgammas that a program computes, element by element, loops unrolled."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "lgamma":
            total += times * math.prod(equation.outvars[0].aval.shape)
        inner = times * equation.params.get("length", 1) if equation.primitive.name == "scan" else times
        for value in equation.params.values():
            for each in value if isinstance(value, tuple | list) else (value,):
                if hasattr(each, "eqns") or hasattr(each, "jaxpr"):
                    total += marks(getattr(each, "jaxpr", each), inner)
    return total


def evaluations(name: str, problem) -> tuple[int, int]:
    """(what the program of a step's loss evaluates, what the method says)."""
    rule = methods()[name].make(problem)
    key, batch = jax.random.key(0), {"x": jnp.asarray(problem.train[:BATCH])}
    model = rule.wrap(MARKED)
    state = eqx.filter_eval_shape(rule.objective.init, key, model, batch)
    arrays, static = eqx.partition(state, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    program = jax.make_jaxpr(lambda arrays: rule.objective(key, model, eqx.combine(arrays, static), batch)[0])(arrays)
    return marks(program.jaxpr), rule.evaluations


@pytest.mark.parametrize("name", COUNTED)
def test_a_step_costs_what_its_method_says(name):
    problem = dataclasses.replace(problems()["moons"].make(0), noise=lambda: problems()["moons"].make(0).base)
    done, said = evaluations(name, problem)
    # a kernel's `init` and `refresh` at one point are one expression, which the compiler computes once
    assert done == said + TWICE.get(name, 0) * BATCH


def test_a_step_of_jarzynski_costs_what_it_says_with_its_refresh_spread():
    problem = problems()["moons"].make(0)
    done, said = evaluations("jarzynski", problem)
    refresh = problem.walkers * (jarzynski.APART + 2)  # one step in REFRESH has it, the program always
    assert done == said - refresh // jarzynski.REFRESH + refresh + 3 * BATCH  # `init` and `refresh` of three walks


def test_a_step_of_improved_cd_costs_what_its_method_says():
    done, said = evaluations("improved_cd", problems()["moons"].make(0))
    assert done == said - improved_cd.SAMPLES  # a gradient in x that is differentiated counts two and is traced once


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_step_on_neighbours_costs_what_its_method_says(name):
    done, said = evaluations(name, problems()["bars_and_stripes"].make(0))
    assert done == said == BATCH * 10


def test_a_wrong_cost_would_be_seen(monkeypatch):
    monkeypatch.setattr(methods()["nce"], "RATIO", 3)
    problem = dataclasses.replace(problems()["moons"].make(0), noise=lambda: problems()["moons"].make(0).base)
    assert evaluations("nce", problem) == (BATCH * 4, BATCH * 4)
    monkeypatch.setattr(methods()["nce"], "BATCH", 100)
    done, said = evaluations("nce", problem)
    assert done != said


@pytest.mark.parametrize("name", ["bars_and_stripes", "ising_inverse", "moons", "two_modes_50d"])
def test_a_problem_begins_at_a_known_log_z(name):
    problem = problems()[name].make(0)
    start = problem.model(jax.random.key(0))
    low, high = problem.look(start, 0).log_z
    known = {
        "bars_and_stripes": (9 + 6) * math.log(2.0),
        "ising_inverse": 16 * math.log(2.0),
        "moons": math.log(2.0 * math.pi * 1.5**2),
        "two_modes_50d": 25 * math.log(2.0 * math.pi) + math.log(2.0),
    }
    assert low == high == pytest.approx(known[name], abs=0.3 if name == "bars_and_stripes" else 1e-3)
    if problem.log_z is not None:
        assert float(problem.log_z(start)) == pytest.approx(low, abs=1e-3)
    drawn = np.asarray(problem.base.sample(jax.random.key(1)))
    assert drawn.shape == problem.train.shape[1:] == problem.heldout.shape[1:] == problem.foreign.shape[1:]


def test_grey_digits_are_weighed_by_annealing(monkeypatch):
    for name, few in {"CHAINS": 50, "TEMPERATURES": 20, "BURN_IN": 5, "DRAWS": 100}.items():
        monkeypatch.setattr(digits_grey, name, few)
    problem = digits_grey.make(0)
    seen = problem.look(problem.model(jax.random.key(0)), 0)
    gaussian = 32.0 * math.log(2.0 * math.pi)
    assert seen.log_z == pytest.approx((gaussian, gaussian), abs=0.01)
    assert seen.draws.shape == (100, 64)
    assert abs(problem.train.var() - 1.0) < 0.01
    narrow = problem.look(FunctionEnergy(lambda x: 0.52 * jnp.sum(x**2)), 0)
    assert narrow.log_z[0] - 0.2 < gaussian - 32.0 * math.log(1.04) < narrow.log_z[1] + 0.2


def test_a_log_z_of_its_own_shifts_the_exact_one():
    energy = two_modes_50d.begin()
    plain, shifted = (two_modes_50d.look(each, 0) for each in (energy, SelfNormalised(energy, jnp.asarray(2.0))))
    assert shifted.log_z[0] == pytest.approx(plain.log_z[0] - 2.0)
    machine = problems()["digits_binary"].make(0).model(jax.random.key(0))
    assert float(rbm_log_z(machine)) == pytest.approx(rbm_exact(machine).log_z, abs=1e-3)


def test_fifty_dimensions_are_told_in_closed_form():
    truth = two_modes_50d.MIXTURE
    x = truth.sample(np.random.default_rng(0), 4)
    h = 1e-4 * np.eye(50)[0]
    slope = (truth.log_prob(x.astype(np.float64) + h) - truth.log_prob(x.astype(np.float64) - h)) / 2e-4
    assert two_modes_50d.score(x)[:, 0] == pytest.approx(slope, abs=1e-4)
    e = jnp.zeros(50).at[0].set(1.0)
    right = two_modes_50d.TwoModes(-10.0 * e, 6.0 * e, jnp.log(4.0))
    seen = two_modes_50d.look(right, 0)
    assert seen.kl == pytest.approx(0.0, abs=1e-4)
    assert seen.masses[1] == pytest.approx([0.2, 0.8], abs=1e-6)
    assert np.mean(seen.draws[:, 0] < 0) == pytest.approx(0.2, abs=4 * 0.4 / math.sqrt(len(seen.draws)))
    swapped = two_modes_50d.look(two_modes_50d.TwoModes(6.0 * e, -10.0 * e, -jnp.log(4.0)), 0)
    assert swapped.masses[1] == pytest.approx([0.2, 0.8], abs=1e-6)


def test_the_kernel_density_is_normalised_up_to_its_constant():
    centres = jnp.array([[0.0, 0.0], [1.0, 0.5], [-0.5, 0.2]])
    energy = kernel_density.KernelEnergy(centres, 0.3)
    log_z = quadrature_exact(energy, ((-4.0, 4.0),) * 2, 200).log_z
    assert log_z == pytest.approx(math.log(3 * 2 * math.pi * 0.09), abs=1e-5)
    assert energy_values(energy, np.zeros((1, 2), np.float32))[0] == pytest.approx(
        -math.log(1 + math.exp(-1.25 / 0.18) + math.exp(-0.29 / 0.18)), abs=1e-5
    )


def test_replay_keeps_more_walkers_than_move_and_fits_where_langevin_does():
    problem = problems()["moons"].make(0)
    rule = methods()["replay"].make(problem).objective
    assert (rule.num_chains, rule.buffer_size, rule.restart) == (problem.walkers, 8 * problem.walkers, 0.01)
    assert rule.sampler.step_size == 0.002  # the command line's
    assert not methods()["replay"].fits(problems()["bars_and_stripes"].make(0))


def test_every_rung_of_telescoping_is_an_energy_of_its_own():
    """Told apart by their log Z; the nearest level answers, and the data's where none is named."""
    problem = problems()["two_modes_50d"].make(0)
    rule = methods()["telescoping_nce"].make(problem)
    model = rule.wrap(problem.model(jax.random.key(0)))
    model = eqx.tree_at(lambda m: m.stacked.log_z, model, jnp.arange(4.0))
    x = jnp.ones(50)
    plain = float(problem.model(jax.random.key(0))(x))
    told = [float(model(x, jnp.asarray(level)) - plain) for level in (0.0, 0.3, 0.6, 0.9)]
    assert told == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=1e-5)
    assert float(model(x)) == pytest.approx(plain, abs=1e-5)
    seen = problem.look(rule.energy(model), 0)  # in closed form: it is the problem's energy, with a log Z
    assert seen.log_z[0] == pytest.approx(25 * math.log(2.0 * math.pi) + math.log(2.0), abs=1e-3)
    assert rule.claim(model, {}) == 0.0
