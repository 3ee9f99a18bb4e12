"""Recipes of bits: what they refuse, what every rule builds, how exact and estimated likelihoods meet, whole runs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import ConfigError
from energax.data import bars_and_stripes, load
from energax.energies import BernoulliRBM, IndependentBits, rbm_exact, rbm_log_z
from energax.evaluation import fit_bit_baselines, fit_bit_mixture
from energax.objectives import FormulaLikelihood, Jarzynski
from energax.report import write_report
from energax.runtime.along import auditors_log_z, likelihood_along
from energax.runtime.build import build
from energax.runtime.build_objective import MAKERS
from energax.runtime.config import reproduce_command, resolve
from energax.runtime.folder import read_json
from energax.runtime.loop import Look
from energax.runtime.models import weigh
from energax.runtime.objectives import rules
from energax.runtime.run import train
from energax.runtime.tracking import read_metrics
from energax.runtime.use import sample, trained
from energax.samplers import BlockGibbs, GibbsWithGradients, tempered_joint
from energax.training import run_steps

BITS = [kind for kind, rule in rules().items() if "bits" in rule.takes]
SIZES = {
    "num_chains": 16,
    "num_steps": 2,
    "num_groups": 4,
    "refresh": 5,
    "refresh_moves": 2,
    "ratio": 2,
    "num_levels": 2,
}
TINY = [
    "data.options.n_train=400", "training.steps=20", "training.batch_size=32", "training.steps_per_call=10",
    "training.log_every=10", "training.checkpoint_every=20", "training.evaluate_every=10", "evaluation.samples=40",
    "evaluation.chains=20", "evaluation.burn_in=20", "evaluation.thin=1", "evaluation.ais_chains=16",
    "evaluation.ais_temperatures=[12]", "evaluation.reverse=false",
]  # fmt: skip


def tiny(kind, *more):
    sizes = [f"objective.{name}={size}" for name, size in SIZES.items() if name in rules()[kind].model_fields]
    return resolve("bars-and-stripes", [*TINY, f"objective={kind}", *sizes, *more])


@pytest.mark.parametrize(
    ("recipe", "words", "says"),
    [
        ("rbm-digits", ["objective=score_matching"], "must be a rule for bits, .*; got 'score_matching'"),
        ("moons-pcd", ["objective=pseudolikelihood"], "must be a rule for real numbers, .*; got 'pseudolikelihood'"),
        ("rbm-digits", ["sampler=mala"], "must be one of block_gibbs, gibbs_with_gradients .*; got 'mala'"),
        ("moons-pcd", ["sampler=block_gibbs"], "sampler.kind must be one of ula, mala, hmc .*; got 'block_gibbs'"),
        ("rbm-digits", ["data.noise=0.2"], "data.noise must be 0 and data.whiten none .*; got noise 0.2"),
        ("rbm-digits", ["data.whiten=full"], "data.whiten none .*; got noise 0 and whiten full"),
        ("rbm-digits", ["data.threshold=null"], "data.threshold must be a number, .*; got null"),
        ("digits", ["energy=rbm"], "data.threshold must be a number, above which a value is 1, .*; got null"),
        ("digits", ["data.threshold=0"], "data.threshold must be null for energy.kind mlp; got 0.0"),
        ("rbm-digits", ["evaluation.baselines=[kde]"], "evaluation.baselines must be of bits, bmm10 .*; got 'kde'"),
        ("digits", ["evaluation.baselines=[bits]"], "must be of gaussian, gmm10, kde .*; got 'bits'"),
        ("rbm-digits", ["objective=exact_likelihood", "objective.points=50"], "points must be null .*; got 50"),
        ("rbm-digits", ["sampler.step_size=0.1"], "sampler.step_size is no key"),
        ("rbm-digits", ["energy.hidden=0"], "energy.hidden must be >= 1; got 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(recipe, words, says):
    with pytest.raises(ConfigError, match=says):
        resolve(recipe, words)


def test_a_layer_too_large_to_sum_over_is_refused_before_training():
    with pytest.raises(ConfigError, match="smaller layer has 17 units: at most 16"):
        build(resolve("rbm-digits", ["objective=exact_likelihood", "energy.hidden=17"]))


def test_a_recipe_that_names_no_sampler_and_no_baselines_gets_those_of_bits():
    config = resolve("rbm-digits", ["objective=nce", "seed=2"])
    assert (config.sampler.kind, config.evaluation.baselines) == ("block_gibbs", ("bits", "bmm10"))
    assert reproduce_command(config) == "energax train rbm-digits seed=2 objective.kind=nce"


def test_data_become_bits_and_stay_so():
    problem = build(resolve("rbm-digits"))
    grey = load("digits", layout="flat")
    assert set(np.unique(problem.train.x)) == {0.0, 1.0}
    assert problem.train.x.mean() == pytest.approx(np.mean(grey.x > 0.0), abs=0.01)
    rows = problem.test.x[:5]
    np.testing.assert_array_equal(problem.to_data(problem.to_model(rows, 0)), rows)
    assert set(np.unique(problem.to_model(0.5 * (rows + rows[::-1]), 0))) <= {0.0, 1.0}  # a blend is rounded
    np.testing.assert_array_equal(np.unique(load("bars-and-stripes").flat(), axis=0), bars_and_stripes())


def test_at_step_0_a_machine_is_the_base_rates_up_to_small_weights_and_normalised():
    problem = build(resolve("rbm-digits", ["energy.weight_scale=1e-6"]))
    energy = problem.energy(problem.initial_state())
    assert rbm_exact(energy).log_z == pytest.approx(0.0, abs=1e-3)
    x = jnp.asarray(problem.to_model(problem.test.x[:1], 0))[0]
    assert float(energy(x)) == pytest.approx(-float(problem.base.log_prob(x)), abs=1e-3)


def test_every_rule_of_bits_is_built_as_what_it_says():
    assert len(BITS) == 15
    for kind in BITS:
        problem = build(tiny(kind))
        made = problem.trainer.phases[0].objective
        name = "FormulaLikelihood" if kind == "exact_likelihood" else rules()[kind].method
        assert type(made).__name__ == name, kind
        assert kind in MAKERS
    assert build(tiny("tempered_pcd")).trainer.phases[0].objective.sampler.family is tempered_joint
    assert isinstance(build(tiny("persistent_cd")).trainer.phases[0].objective.sampler, BlockGibbs)
    other = build(tiny("persistent_cd", "sampler=gibbs_with_gradients"))
    assert isinstance(other.trainer.phases[0].objective.sampler, GibbsWithGradients)


def test_only_rules_that_learn_log_z_move_the_constant():
    for kind, moves in (("pseudolikelihood", False), ("nce", True)):
        problem = build(tiny(kind, "training.batch_size=8"))
        state = problem.initial_state()
        after, _ = run_steps(problem.trainer, state, problem.stream.chunk(0, 2))
        assert bool(after.model.offset != state.model.offset) is moves, kind
        assert not bool(jnp.all(after.model.weights == state.model.weights)), kind


def test_the_gradient_of_the_formula_is_that_of_moments():
    keys = jax.random.split(jax.random.key(0), 4)
    rbm = BernoulliRBM(*(jax.random.normal(k, shape) for k, shape in zip(keys, ((6, 4), (6,), (4,)), strict=False)))
    batch = {"x": jax.random.bernoulli(keys[3], 0.4, (8, 6)).astype(jnp.float32)}
    found = jax.grad(lambda rbm: FormulaLikelihood(rbm_log_z)(keys[0], rbm, None, batch)[0], allow_int=True)
    slope = found(BernoulliRBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, jnp.zeros(())))
    exact, hidden = rbm_exact(rbm), jax.nn.sigmoid(jax.vmap(rbm.hidden_given)(batch["x"]))
    data = jnp.mean(batch["x"][:, :, None] * hidden[:, None, :], axis=0)
    np.testing.assert_allclose(slope.weights, exact.products - data, atol=2e-6)
    np.testing.assert_allclose(slope.visible_bias, exact.visible - jnp.mean(batch["x"], axis=0), atol=2e-6)
    np.testing.assert_allclose(slope.hidden_bias, exact.hidden - jnp.mean(hidden, axis=0), atol=2e-6)
    assert float(rbm_log_z(rbm.transposed())) == pytest.approx(exact.log_z, abs=1e-5)


def test_a_mixture_of_bits_is_normalised_and_beats_independent_ones_where_there_are_clusters():
    rows = bars_and_stripes()
    states = ((np.arange(512)[:, None] >> np.arange(9)) & 1).astype(np.float64)
    found = fit_bit_baselines(np.repeat(rows, 20, axis=0), seed=0)
    for law in found.values():
        assert np.exp(law.log_prob(states)).sum() == pytest.approx(1.0, abs=1e-9)
    assert found["bmm10"].log_prob(rows).mean() > found["bits"].log_prob(rows).mean() + 1.0
    more = [fit_bit_mixture(np.repeat(rows, 200, axis=0), 3, num_rounds=n).log_prob(rows).mean() for n in (1, 5, 50)]
    assert more == sorted(more)  # EM never falls, up to its pseudo-counts
    with pytest.raises(ValueError, match=r"must hold bits, 0 or 1; got 0\.5"):
        fit_bit_mixture(np.full((4, 2), 0.5), 2)


def test_along_training_three_routes_tell_one_likelihood():
    problem = build(tiny("jarzynski", "objective.num_chains=256", "training.steps=40"))
    state, _ = run_steps(problem.trainer, problem.initial_state(), problem.stream.chunk(0, 40))
    told = likelihood_along(problem)(Look(40, state, np.arange(40), {}, 1.0))
    for route in ("ais", "audit"):
        off = told[f"held_out_{route}"] - told["held_out_exact"]
        assert abs(off) < 4 * told[f"held_out_{route}_error"] + 1e-3, route
    assert likelihood_along(problem)(Look(41, state, np.arange(1), {}, 1.0)) == {}
    rule, carried = problem.trainer.phases[0].objective, state.objectives[0]
    assert isinstance(rule, Jarzynski)
    # planted: drivers in place of auditors would be another number
    half = rule.num_chains
    swapped = jax.tree.map(lambda leaf: jnp.concatenate([leaf[half:], leaf[:half]]), carried.walkers)
    assert auditors_log_z(rule, carried._replace(walkers=swapped), state.model) != auditors_log_z(
        rule, carried, state.model
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One small finished run of Jarzynski training, and its page."""
    out = tmp_path_factory.mktemp("runs")
    folder = train(tiny("jarzynski", f"out={out}", "evaluation.reverse=true"), argv=["bars-and-stripes"])
    write_report(folder)
    return folder


def test_a_run_from_recipe_to_page(done):
    assert read_json(done / "run.json")["status"] == "done"
    found = read_json(done / "evaluation.json")
    assert found["dataset"]["values"] == "bits"
    run = found["log_z"]["forward"][-1]
    assert abs(run["estimate"] - found["log_z"]["exact"]) < 6 * run["se"] + 0.02
    # 80 held-out draws of the fourteen patterns: what is learned beats fair coins, and cannot beat log 14 by much
    assert np.log(14) - 0.2 < found["likelihood"]["nll_test"] < 9 * np.log(2) + 0.3
    assert set(found["likelihood"]["baselines"]) == {"bits", "bmm10"}
    assert found["states"]["kl_true_model"] > 0
    assert sum(found["states"]["mode_masses_model"]) == pytest.approx(found["states"]["true_mass"])
    metrics = read_metrics(done)
    assert {"held_out_exact", "held_out_ais", "held_out_audit", "held_out_gap"} <= set(metrics)
    with np.load(done / "arrays.npz") as arrays:
        assert arrays["filters"].shape == (6, 3, 3, 1)
        assert set(np.unique(arrays["samples"])) <= {0.0, 1.0}
    page = (done / "report.html").read_text()
    assert all(words in page for words in ("Weights of the hidden units", "figure-held-out-likelihood", "The machine"))
    assert "Gibbs steps are exact" in page
    assert "restricted Boltzmann machine" in page
    assert "could not be made" not in page


def test_a_trained_machine_is_sampled_and_weighed(done):
    drawn = sample(done, 20)
    assert drawn["x"].shape == (20, 3, 3, 1)
    assert set(np.unique(drawn["x"])) <= {0.0, 1.0}
    model = trained(done)
    assert list(model.kernels) == ["block-gibbs", "gibbs"]
    assert model.how == "sum over the smaller layer"
    found = weigh(model, estimators=("ais",), chains=64, temperatures=20)
    row = found.accounts[0]
    assert abs(row.log_z - model.exact) < 6 * row.std_error + 0.02


FAST = ("tempered_pcd", "exact_likelihood", "discrete_energy_discrepancy")
RUNS = [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in BITS if kind != "jarzynski"]


@pytest.mark.parametrize("kind", RUNS)
def test_every_rule_runs_from_recipe_to_measurement(kind, tmp_path):
    folder = train(tiny(kind, f"out={tmp_path}", "evaluation.ood=[]", "report=false"))
    found = read_json(folder / "evaluation.json")
    run = found["log_z"]["forward"][-1]
    assert abs(run["estimate"] - found["log_z"]["exact"]) < 6 * run["se"] + 0.02
    assert json.loads((folder / "run.json").read_text())["status"] == "done"


def test_a_larger_machine_is_measured_without_an_exact_log_z():
    problem = build(resolve("rbm-digits", ["energy.hidden=20"]))
    state = problem.initial_state()
    from energax.runtime.assess import known_log_z

    assert known_log_z(problem, state) is None
    assert isinstance(problem.base, IndependentBits)
