"""The estimator of scikit-learn's manner: its checks, exact answers, and a planted bug."""

import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import energax.sklearn
from energax.core import ConfigError
from energax.data import toy
from energax.runtime.config import known_keys
from energax.sklearn import EBM

QUICK = {
    "evaluation.ais_chains": 64,
    "evaluation.ais_temperatures": [100],
    "evaluation.burn_in": 20,
    "evaluation.thin": 2,
}
MOONS = toy("moons")


def quick(objective: str = "nce", **more) -> EBM:
    return EBM(objective, **{"steps": 4, "width": 8, "depth": 1, "random_state": 0, "settings": QUICK, **more})


@pytest.fixture(scope="module")
def fitted():
    X = MOONS.sample(np.random.default_rng(0), 2000)
    return quick(steps=500, width=64, depth=3).fit(X)


def test_moons_are_learned_and_log_p_is_normalised(fitted):
    X = MOONS.sample(np.random.default_rng(1), 4000)
    scores = fitted.score_samples(X)
    assert scores.shape == (4000,)
    error = MOONS.log_prob(X) - scores
    kl = float(np.mean(error))
    # a Gaussian fitted to these points is 0.5 nats away
    assert -3 * np.std(error) / np.sqrt(4000) < kl < 0.06
    assert fitted.score(X) == pytest.approx(float(np.mean(scores)))
    low, high = MOONS.box
    side = np.linspace(2 * low, 2 * high, 400)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    assert float(np.sum(np.exp(fitted.score_samples(grid))) * (side[1] - side[0]) ** 2) == pytest.approx(1.0, abs=1e-3)


def test_samples_are_the_models(fitted):
    X = fitted.sample(2000, random_state=0)
    assert X.shape == (2000, 2)
    np.testing.assert_array_equal(X, fitted.sample(2000, random_state=0))
    assert not np.array_equal(X, fitted.sample(2000, random_state=1))
    true = MOONS.sample(np.random.default_rng(2), 4000)
    np.testing.assert_allclose(X.mean(axis=0), true.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(X.std(axis=0), true.std(axis=0), rtol=0.1)
    # the mean of log p over draws is minus the entropy, which the grid tells
    low, high = MOONS.box
    side = np.linspace(2 * low, 2 * high, 400)
    logs = fitted.score_samples(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    exact = float(np.sum(np.exp(logs) * logs) * (side[1] - side[0]) ** 2)
    told = fitted.score_samples(X)
    assert abs(float(np.mean(told)) - exact) < 5 * float(np.std(told)) / np.sqrt(2000)


@pytest.mark.parametrize("num", [0, -1, 2.5])
def test_no_draws_are_refused(fitted, num):
    with pytest.raises(ValueError, match=r"EBM\.sample\.n_samples must be an integer >= 1; got"):
        fitted.sample(num)


def test_a_forgotten_jacobian_is_caught(fitted, monkeypatch):
    """Planted bug: log p of the whitened coordinates, passed off as that of the rows."""
    monkeypatch.setattr(type(fitted.coordinates_), "log_det", property(lambda self: 0.0))
    low, high = MOONS.box
    side = np.linspace(2 * low, 2 * high, 400)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    mass = float(np.sum(np.exp(fitted.score_samples(grid))) * (side[1] - side[0]) ** 2)
    assert abs(mass - 1.0) > 0.1


def test_quadrature_and_annealing_agree(monkeypatch):
    X = MOONS.sample(np.random.default_rng(0), 500)
    exact = quick(steps=60).fit(X)
    monkeypatch.setattr(energax.sklearn, "_POINTS", {})
    annealed = quick(steps=60).fit(X)
    np.testing.assert_array_equal(annealed.energy_.net.layers[0].weight, exact.energy_.net.layers[0].weight)
    assert 0 < annealed.log_z_error_ < 0.2
    assert abs(annealed.log_z_ - exact.log_z_) < 4 * annealed.log_z_error_
    assert exact.log_z_error_ < 1e-3


def test_it_is_of_scikit_learns_kind(fitted):
    assert fitted.n_features_in_ == 2
    again = pickle.loads(pickle.dumps(fitted))
    X = MOONS.sample(np.random.default_rng(3), 7)
    np.testing.assert_array_equal(again.score_samples(X), fitted.score_samples(X))
    np.testing.assert_allclose(fitted.score_samples(X[:1]), fitted.score_samples(X)[:1], rtol=1e-12)
    assert EBM().set_params(steps=7).get_params()["steps"] == 7
    with pytest.raises(NotFittedError):
        EBM().sample()
    with pytest.raises(ValueError, match="2 features"):
        fitted.score_samples(np.zeros((3, 3)))


def test_settings_of_a_recipe_are_taken_and_wrong_ones_refused():
    X = np.zeros((3, 1))
    with pytest.raises(ConfigError, match=r"objective.kind must be one that .*; got 'ncee'. Did you mean 'nce'"):
        quick("ncee").fit(X)
    with pytest.raises(ConfigError, match="num_chains is no key"):
        quick("nce", settings={"objective.num_chains": 3}).fit(X)
    bits = {"energy.kind": "rbm", "data.threshold": 0.0, "data.whiten": "none", "sampler.kind": "block_gibbs"}
    with pytest.raises(ConfigError, match=r"energy.kind to a network, of real numbers; got 'rbm'"):
        quick("nce", settings={**bits, "evaluation.baselines": ["bits"]}).fit(X)
    with pytest.raises(ConfigError, match=r"must not hold data\.holdout: an estimator does not read it"):
        quick("nce", settings={"data.holdout": 0.5}).fit(X)
    with pytest.raises(ConfigError, match=r"must not hold training\.steps, which is the parameter steps"):
        quick("nce", settings={"training.steps": 7}).fit(X)
    with pytest.raises(ConfigError, match="settings must map keys of a recipe to values; got list"):
        quick("nce", settings=["objective.ratio"]).fit(X)
    with pytest.raises(ConfigError, match="no labels"):
        quick("jem").fit(np.arange(6.0)[:, None])


def test_every_key_of_a_recipe_is_a_parameter_or_read_or_refused():
    known, said = set(known_keys()), {*energax.sklearn._OWN, *energax.sklearn._UNREAD}
    assert all(any(key == word or key.startswith(f"{word}.") for key in known) for word in said)
    read = {key for key in known if key.split(".")[0] in ("training", "evaluation", "data")}
    read = {key for key in read if not any(key == word or key.startswith(f"{word}.") for word in said)}
    annealing = ("chains", "burn_in", "thin", "ais_chains", "ais_temperatures")
    coordinates = ("data.whiten", "data.noise", "data.threshold")
    training = ("training.ema", "training.steps_per_call")
    assert read == {*coordinates, *training, *(f"evaluation.{key}" for key in annealing)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Skipping check check_array_api_input")  # scipy's array API is off here
def test_it_passes_the_checks_of_scikit_learn():
    check_estimator(quick(steps=2, settings={**QUICK, "evaluation.ais_chains": 8, "evaluation.ais_temperatures": [4]}))


@pytest.mark.slow
def test_it_can_be_cross_validated():
    X = MOONS.sample(np.random.default_rng(0), 600)
    assert np.all(np.isfinite(cross_val_score(quick("persistent_cd", steps=50), X, cv=3)))
