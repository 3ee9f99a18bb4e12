"""Chain diagnostics: AR(1) against its formula, chains that disagree, chains that stand still."""

import json

import numpy as np
import pytest

from energax.evaluation import autocorrelation, summary
from judges import reach


def ar1(phi, chains=8, draws=4000, seed=0):
    rng = np.random.default_rng(seed)
    x = np.empty((chains, draws))
    x[:, 0] = rng.standard_normal(chains)
    noise = np.sqrt(1 - phi**2) * rng.standard_normal((chains, draws))
    for t in range(1, draws):
        x[:, t] = phi * x[:, t - 1] + noise[:, t]
    return x


@pytest.mark.parametrize("phi", [-0.3, 0.0, 0.5, 0.9])
def test_autocorrelation_time_of_ar1_is_the_formula(phi):
    found = summary(ar1(phi))
    tau = (1 + phi) / (1 - phi)
    # Sokal: relative sd of tau about sqrt(2 (2 M + 1) / n), window M ~ 5 tau: 0.08 at phi = 0.9, n = 32000.
    assert found["autocorrelation_time"] == pytest.approx(tau, rel=0.2)
    assert found["rhat_max"] < 1.02
    row = found["table"][0]
    assert row["mcse"] == pytest.approx(row["sd"] * np.sqrt(tau / 32000), rel=0.15)
    assert abs(row["mean"]) < reach() * row["mcse"]


def test_autocorrelation_curve_is_phi_to_the_lag():
    curve = autocorrelation(ar1(0.8), max_lag=10)
    assert curve.shape == (11,)
    np.testing.assert_allclose(curve, 0.8 ** np.arange(11), atol=0.06)


def test_chains_in_different_places_are_seen():
    x = ar1(0.3, chains=4, draws=500)
    x[0] += 2.0
    assert summary(x)["rhat_max"] > 1.2
    wide = ar1(0.3, chains=4, draws=500)
    wide[0] *= 5.0  # the same mean: only the folded half of the rank-normalised R-hat sees it
    assert summary(wide)["rhat_max"] > 1.05
    drifting = ar1(0.3, chains=4, draws=500) + np.linspace(0, 3, 500)
    assert summary(drifting)["rhat_max"] > 1.2  # the same for all chains: only the split sees it


def test_names_shapes_and_the_extremes():
    x = np.stack([ar1(0.0, draws=400), ar1(0.9, draws=400, seed=1)], axis=2).reshape(8, 400, 2, 1)
    found = summary(x, names=["fast", "slow"], acceptance=np.array([0.5, 0.7]))
    slow = found["table"][1]
    assert slow["name"] == "slow"
    assert found["ess_bulk_min"] == slow["ess_bulk"] < found["table"][0]["ess_bulk"]
    assert found["ess_tail_min"] == slow["ess_tail"]
    assert found["autocorrelation_time"] == slow["autocorrelation_time"]
    assert found["acceptance"] == pytest.approx(0.6)
    assert (found["num_chains"], found["num_draws"]) == (8, 400)
    json.dumps(found, allow_nan=False)


def test_still_chains_are_flagged_and_never_scored():
    x = np.stack([ar1(0.2, draws=100), np.full((8, 100), 3.0), ar1(0.2, draws=100, seed=2)], axis=2)
    x[5, :, 2] = 0.25
    found = summary(x, names=["moves", "constant", "one stuck"])
    assert found["constant"] == ["constant"]
    assert found["stuck"] == {"one stuck": [5]}
    assert found["table"][1]["rhat"] is None
    assert found["table"][2]["ess_bulk"] is None
    assert found["rhat_max"] == found["table"][0]["rhat"]
    nothing = summary(np.ones((3, 10)))
    assert nothing["rhat_max"] is None
    assert nothing["constant"] == ["x[0]"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: summary(np.ones((1, 100))), "at least 2"),
        (lambda: summary(np.ones((4, 3))), ">= 4 draws"),
        (lambda: summary(np.ones(4)), ">= 4 draws"),
        (lambda: summary(np.where(np.eye(5) > 0, np.nan, 1.0)), "must be finite"),
        (lambda: summary(np.ones((4, 8)), names=["a", "b"]), "must name 1"),
        (lambda: autocorrelation(np.ones((4, 8))), "constant chain 0"),
        (lambda: autocorrelation(np.ones((4, 8, 2))), "one quantity"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
