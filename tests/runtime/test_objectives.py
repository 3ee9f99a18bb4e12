"""Every training rule that a recipe can name: listed once, built as what it says, and run from start to end."""

from importlib.resources import files

import jax.numpy as jnp
import numpy as np
import pytest

import energax.objectives
from energax.core import AbstractObjective, Chains, ConfigError
from energax.energies import ClassifierEnergy, standard_normal
from energax.runtime import assess, measure
from energax.runtime.build import build
from energax.runtime.build_objective import MAKERS, Means, build_phases, energy_in, labels
from energax.runtime.config import reproduce_command, resolve
from energax.runtime.folder import read_json
from energax.runtime.objectives import listed, rules
from energax.runtime.refusals import SHORT_NAMES
from energax.runtime.run import train
from energax.samplers import MALA, ULA, ULAPair

PARTS = {"CrossEntropy", "FormulaLikelihood", "LearnedSteinCritic", "Weighted"}
"""Of `jem`, of `exact_likelihood` of machines, of `learned_stein`; and sums of rules."""
TINY = [
    "energy.width=8", "energy.depth=1", "training.steps=20", "training.batch_size=32",
    "training.steps_per_call=10", "training.log_every=10", "training.checkpoint_every=20", "evaluation.samples=40",
    "evaluation.chains=20", "evaluation.burn_in=20", "evaluation.thin=1", "evaluation.ais_chains=16",
    "evaluation.ais_temperatures=[12]", "evaluation.reverse=false", "evaluation.ood=[]", "evaluation.baselines=[]",
    "evaluation.grid=40", "report=false",
]  # fmt: skip
REAL = [kind for kind, rule in rules().items() if "real" in rule.takes]
"""Those of bits are in `test_bits`."""
LABELLED = ["data.name=iris", "evaluation.grid=0", "objective.labelled=0.5"]
SIZES = {
    "num_chains": 16, "num_steps": 2, "num_samples": 8, "buffer_size": 32, "points": 20, "num_groups": 4,
    "refresh": 5, "refresh_moves": 2, "critic_steps": 2, "critic_width": 8, "ratio": 2, "num_levels": 2,
}  # fmt: skip


def tiny(kind: str, *more: str):
    sizes = [f"objective.{name}={size}" for name, size in SIZES.items() if name in rules()[kind].model_fields]
    data = LABELLED if kind == "jem" else ["data.options.n_train=400"]
    return resolve("moons", [*TINY, *data, f"objective={kind}", *sizes, *more])


def test_every_rule_is_listed_by_family_or_said_not_to_be():
    shipped = {
        name
        for name in dir(energax.objectives)
        if isinstance(value := getattr(energax.objectives, name), type) and issubclass(value, AbstractObjective)
    }
    told = {rule.method for rule in rules().values()}
    assert told <= shipped
    assert shipped - told == PARTS
    assert sorted(kind for kinds in listed().values() for kind in kinds) == sorted(rules())
    assert all(line.endswith((".", ":")) and len(line) < 120 for kinds in listed().values() for line in kinds.values())


def test_every_rule_is_built_as_what_it_says():
    assert set(MAKERS) == set(rules())
    rows = np.random.default_rng(0).standard_normal((50, 2))
    for kind in REAL:
        rule = rules()[kind]
        means = Means(tiny(kind, "sampler=ula"), ULA(0.01), standard_normal(2), rows, None)
        if kind == "jarzynski":
            assert isinstance(MAKERS[kind](means.config.objective, means).kernel, ULAPair)
        assert type(build_phases(means)[-1].objective).__name__ == rule.method, kind


def test_what_a_recipe_says_reaches_the_rule():
    rows = np.random.default_rng(0).standard_normal((50, 2))

    def made(kind, *more):
        config = tiny(kind, "sampler=mala", *more)
        return build_phases(Means(config, MALA(0.01), standard_normal(2), rows, None))[-1].objective

    rule = made("contrastive_divergence", "sampler.adapt_target=0.6", "objective.energy_penalty=0.25")
    assert (rule.adapt_target, rule.energy_penalty) == (0.6, 0.25)
    rule = made("contrastive_divergence", "sampler.adapt_target=null")
    assert (rule.adapt_target, rule.energy_penalty) == (None, 0.0)
    assert made("jarzynski", "objective.num_moving=4").num_moving == 4
    assert made("jarzynski", "objective.refresh=null", "objective.refresh_moves=0").refresh is None


def test_a_rule_starts_from_its_own_defaults_and_takes_the_step_adaptation_along_only_where_it_adapts():
    assert resolve("moons-pcd", ["objective.num_steps=3", "objective=short_run"]).objective.num_steps == 3
    assert resolve("moons-pcd", ["objective=short_run"]).objective.num_steps == 50
    assert resolve("moons-pcd", ["objective=persistent_cd", "seed=1"]).objective == resolve("moons-pcd").objective
    assert resolve("moons-pcd", ["objective=jarzynski"]).sampler == resolve("moons-pcd").sampler
    assert resolve("moons-pcd", ["objective=contrastive_divergence"]).sampler == resolve("moons-pcd").sampler
    assert resolve("moons-pcd", ["objective=nce"]).sampler.adapt_target is None
    with pytest.raises(ConfigError, match=r"adapt_target must be null unless objective.kind is one of .*; got 0.7"):
        resolve("moons-pcd", ["objective=nce", "sampler.adapt_target=0.7"])


def test_a_toy_and_a_rule_are_enough_words():
    config = resolve("moons", ["objective=nce"])
    assert (config.name, config.data, config.objective.kind) == ("moons", resolve("moons-pcd").data, "nce")
    assert reproduce_command(config) == "energax train moons objective.kind=nce"
    with pytest.raises(ConfigError, match=r"`energax recipes --objectives` lists; got 'ncee'. Did you mean 'nce'\?"):
        resolve("moons", ["objective=ncee"])


def test_the_short_names_of_papers_and_of_the_audit_lead_to_the_rule():
    assert set(SHORT_NAMES.values()) <= set(rules())
    assert not set(SHORT_NAMES) & set(rules())
    methods = {entry.name.removesuffix(".py") for entry in files("energax.audit.methods").iterdir()}
    for short in {name for name in methods if not name.startswith("_")} - {"kernel_density"} - set(rules()):
        with pytest.raises(ConfigError, match=f"got '{short}'. Did you mean '{SHORT_NAMES[short]}'"):
            resolve("moons", [f"objective={short}"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["objective=jem"], "objective.kind must not be jem for 'moons', which has no labels."),
        (["objective=replay_sgld", "objective.buffer_size=3"], r"buffer_size must be >= objective.num_chains \(256\)"),
        (
            ["objective=improved_cd", "objective.num_samples=600"],
            r"must be <= objective.num_chains \(256\)",
        ),
        (["objective=jarzynski", "objective.num_groups=7"], r"num_chains must be a multiple of objective.num_groups"),
        (["objective=jarzynski", "objective.num_moving=513"], r"num_moving must be <= objective.num_chains \(512\)"),
        (
            ["objective=jarzynski", "objective.refresh=null", "objective.refresh_moves=50"],
            "refresh_moves must be left out where objective.refresh is null; got 50",
        ),
        (["objective=annealed_denoising", "objective.start=0.01"], r"objective.start must be > objective.end \(0.05\)"),
        (
            ["objective=annealed_denoising", "objective.num_steps=300", "training.steps=200"],
            r"objective.num_steps must be <= training.steps \(200\), or the noise never reaches objective.end; got 300",
        ),
        (["objective=telescoping_nce", "objective.levels=[0.1, 0.5]"], "objective.levels must start at 0 and rise"),
        (["objective=telescoping_nce", "objective.levels=[0.0, 1.0]"], "objective.levels.* must be < 1; got 1"),
        (["objective=jem", "data.name=iris", "evaluation.grid=0", "objective.labelled=0"], "labelled must be > 0"),
        (["objective=nce", "objective.num_chains=3"], "known where objective.kind is"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(words, says):
    with pytest.raises(ConfigError, match=says):
        resolve("moons", words)


def test_what_only_the_data_tell_is_refused_before_training():
    with pytest.raises(ConfigError, match="exact_likelihood for data of 4 numbers: at most 2"):
        build(resolve("moons", ["data.name=iris", "evaluation.grid=0", "objective=exact_likelihood"]))
    with pytest.raises(ConfigError, match=r"labelled must leave one training row its label at least; got 0.001 of 120"):
        build(resolve("moons", ["data.name=iris", "evaluation.grid=0", "objective=jem", "objective.labelled=0.001"]))
    with pytest.raises(ConfigError, match=r"energy\.kind must be mlp for objective\.kind telescoping_nce"):
        resolve("digits-conv", ["objective=telescoping_nce"])


def test_labels_are_numbered_and_hidden_as_the_recipe_says():
    config = tiny("jem", "objective.labelled=0.25")
    train_set = build(config).train
    found = labels(config, train_set)
    assert abs(np.mean(found >= 0) - 0.25) < 0.01
    np.testing.assert_array_equal(train_set.classes[found[found >= 0]], train_set.y[found >= 0])


def test_before_the_first_step_log_z_is_that_of_the_base_and_of_a_classifier_less_log_classes():
    for kind, shift in (("nce", 0.0), ("telescoping_nce", 0.0), ("learned_stein", 0.0), ("jem", -np.log(3.0))):
        problem = build(tiny(kind))
        state = problem.initial_state()
        x = jnp.ones(problem.train.dim)
        gap = float(problem.energy(state)(x) - problem.base(x))
        assert gap == pytest.approx(shift, abs=1e-6)
        base = float(problem.base.log_z())
        assert assess.known_log_z(problem, state) == pytest.approx(base - gap, abs=1e-5), kind
    assert isinstance(energy_in(state.ema), ClassifierEnergy)


FAST = ("nce", "short_run", "learned_stein", "jem")
RUNS = [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in REAL]


@pytest.mark.parametrize("kind", RUNS)
def test_every_rule_runs_from_recipe_to_measurement(kind, tmp_path):
    folder = train(tiny(kind, f"out={tmp_path}"))
    assert read_json(folder / "run.json")["status"] == "done"
    found = read_json(folder / "evaluation.json")
    assert np.isfinite(found["likelihood"]["nll_test"])
    assert (kind == "jem") == ("labels" in found)
    if kind == "jem":
        assert 0.3 < found["labels"]["accuracy_test"] <= 1.0
        assert 0.0 < found["labels"]["cross_entropy_test"] < 2.0
    else:  # twenty small steps from the base: the annealed estimate is that of the grid
        off = found["log_z"]["forward"][-1]["estimate"] - found["density2d"]["log_z_grid"]
        assert abs(off) < 6 * found["log_z"]["forward"][-1]["se"] + 0.05


def test_walkers_that_stand_for_the_model_are_found_whatever_keeps_them():
    for kind, num in (("tempered_pcd", 16), ("jarzynski", 16), ("jem", 16), ("replay_sgld", 32), ("nce", 0)):
        problem = build(tiny(kind))
        walkers = measure.walkers(problem.initial_state())
        assert (0 if walkers is None else len(walkers)) == num, kind
        assert walkers is None or walkers.shape[1] == problem.train.dim


def test_auditors_are_drawn_by_their_weights():
    problem = build(tiny("jarzynski"))
    state = problem.initial_state()
    kept = state.objectives[0].walkers.states
    weights = jnp.full_like(kept.log_weights, -jnp.inf).at[19].set(0.0)
    planted = state.objectives[0]._replace(walkers=Chains(kept._replace(log_weights=weights)))
    state = state.__class__(state.model, state.ema, state.optimizers, (planted,), state.key, state.step)
    np.testing.assert_array_equal(measure.walkers(state), jnp.broadcast_to(kept.x[19], (16, 2)))
