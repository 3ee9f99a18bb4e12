"""The ledger: eleven estimators agree on a known log Z, a wrong one is told, weak ones not judged, costs counted."""

import importlib
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import GeometricPath
from energax.energies import BernoulliRBM, DoubleWell, Gaussian, IndependentBits, RBMPath, rbm_exact, standard_normal
from energax.free_energy import euler, ledger, mbar_along
from energax.free_energy.cost import Cost
from energax.samplers import MALA, ULA, BlockGibbs
from judges import reach

LEDGER = importlib.import_module("energax.free_energy.ledger")
WELL = DoubleWell(2.0, 1, tilt=0.5)
PATH = GeometricPath(standard_normal(1), WELL)
EXACT = float(WELL.log_z())


@pytest.fixture(scope="module")
def whole():
    targets = jax.vmap(WELL.sample)(jax.random.split(jax.random.key(9), 300))
    return ledger(
        jax.random.key(0), PATH, MALA(0.1), budget=20_000, num_chains=200, targets=targets, exact=EXACT,
        escort=euler(lambda x, s: -0.2 * x),
    )  # fmt: skip


def test_eleven_estimators_agree_on_the_truth(whole):
    assert [each.name for each in whole.accounts] == list(LEDGER.ESTIMATORS)
    assert len(whole.accounts) == 11
    for each in whole.accounts:
        assert abs(each.log_z - EXACT) < reach() * each.std_error, each
        assert each.low < each.log_z < each.high
        assert not each.weak, each
    assert whole.agree
    assert whole.verdict == ()
    assert whole.exact == EXACT
    assert whole.start == "exact"
    best = min(whole.accounts, key=lambda each: each.std_error)
    assert whole.reference == best.name
    assert whole[best.name].z == 0.0
    for name in ("ais", "reverse ais", "jarzynski", "crooks", "escorted", "bar", "fep"):
        assert whole[name].dissipation > -0.02
    assert whole["fep"].dissipation > whole["ais"].dissipation  # the sudden change loses most
    assert whole.forward_work.shape == (200,)
    assert whole.reverse_work.shape == (300,)
    told = whole.as_dict()
    assert told["accounts"][0]["name"] == "ais"
    assert told["preparation"]["pilot"]["gradients"] > 10_000


def test_costs_are_those_of_the_programs(whole):
    # 200 chains, 100 moves: the work at both ends, a refresh and a MALA step each
    assert (whole["ais"].energies, whole["ais"].gradients) == (2 * 200 * 100, 2 * 200 * 100)
    # from 300 targets; their energies and gradients come once more at the start
    assert (whole["reverse ais"].energies, whole["reverse ais"].gradients) == (60_000, 300 + 60_000)
    assert (whole["fep"].energies, whole["fep"].gradients) == (2 * 20_000, 0)
    assert whole["bar"].energies == 2 * 2 * 300
    assert whole["crooks"].energies == whole["ais"].energies + whole["reverse ais"].energies
    assert whole["smc"].gradients == whole["population"].gradients == 2 * 192 * 100  # 16 populations of 12
    assert whole["escorted"].energies == 2 * 200 * 100  # the map costs no energies, but its chains start afresh
    assert whole["ti"].gradients > 20_000  # slopes besides
    assert all(each.bounded for each in whole.accounts)


def test_a_wrong_estimate_is_told(whole):
    accounts = [replace(each, log_z=-each.log_z - 1.0) if each.name == "ti" else each for each in whole.accounts]
    held, reference = LEDGER._held(tuple(accounts), 4.0)
    said = LEDGER._verdict(held, reference, 4.0, "exact")
    assert len(said) == 1
    assert said[0].startswith(f"ti differs from {reference} by ")
    # chains that are still on their way make no reference
    make = importlib.import_module("energax.free_energy.accounts").account
    moving = [
        make("ti", EXACT, 0.1, (0.0, 1.0), Cost(1, 1), 10, drift=d).weak for d in (0.0, -3.9, 4.1, -np.inf, np.nan)
    ]
    assert [bool(weak) for weak in moving] == [False, False, True, True, True]
    # a weak one is not judged, whatever it says
    weak = tuple(replace(each, weak="3.0 effective samples") if each.name == "ti" else each for each in accounts)
    held, reference = LEDGER._held(weak, 4.0)
    assert LEDGER._verdict(held, reference, 4.0, "") == ["ti is not judged: 3.0 effective samples."]
    assert reference != "ti"


def test_a_planted_bug_breaks_the_agreement(monkeypatch):
    module = importlib.import_module("energax.free_energy.accounts")
    honest = module.run_forward

    def unnormalised(*given):  # the base's own log Z forgotten
        log_weights, x, acceptance = honest(*given)
        return log_weights - 0.92, x, acceptance

    monkeypatch.setattr(module, "run_forward", unnormalised)
    found = ledger(
        jax.random.key(1), PATH, MALA(0.1), budget=20_000, num_chains=200, estimators=("ais", "smc", "fep")
    )  # fmt: skip
    assert not found.agree
    assert any("ais differs from" in line or "differs from ais" in line for line in found.verdict)


def test_weights_without_a_variance_are_not_judged():
    wide = GeometricPath(standard_normal(4), Gaussian(jnp.ones(4), 2.0))  # E[w^2] is infinite from a width of 2^0.5 on
    found = ledger(jax.random.key(1), wide, MALA(0.1), budget=20_000, num_chains=200, estimators="fep")
    assert "heavy tail" in found["fep"].weak
    assert found["fep"].ess > 20.0  # which would have passed it


def test_a_refusal_of_one_estimator_leaves_the_others(monkeypatch):
    def refuses(*given, **counts):
        raise ValueError("mbar.energies must connect the states; got none.")

    monkeypatch.setattr(importlib.import_module("energax.free_energy.accounts"), "mbar_along", refuses)
    found = ledger(jax.random.key(1), PATH, MALA(0.1), budget=20_000, num_chains=200, estimators=("mbar", "fep"))
    assert found["mbar"].weak == "mbar.energies must connect the states; got none"
    assert found["mbar"].gradients > 10_000
    assert found.agree
    assert found.reference == "fep"


def test_targets_that_break_the_second_law_leave_the_others():
    wrong = jnp.full((200, 1), 3.0) + 0.1 * jax.random.normal(jax.random.key(4), (200, 1))
    found = ledger(
        jax.random.key(1), PATH, MALA(0.1), budget=20_000, num_chains=200, estimators=("bar", "fep"), targets=wrong
    )  # fmt: skip
    assert found["bar"].weak.startswith("bar: the mean forward and reverse work must sum to >= 0; got")
    assert not np.isfinite(found["bar"].log_z)
    assert found.agree
    assert found.reference == "fep"


def test_a_map_that_folds_is_not_judged():
    found = ledger(
        jax.random.key(1), PATH, MALA(0.1), budget=1_000, num_chains=100, estimators="escorted",
        escort=lambda x, here, there: x * jnp.where(here < 0.5, 1.0, -1.0),
    )  # fmt: skip
    assert found["escorted"].weak == "its map is not one-to-one"
    assert not found.agree


def test_a_machine_by_block_gibbs():
    rbm = BernoulliRBM(0.5 * jax.random.normal(jax.random.key(0), (8, 5)), jnp.ones(8) * 0.3, jnp.zeros(5))
    path = RBMPath(IndependentBits(jnp.zeros(8)), rbm)
    found = ledger(
        jax.random.key(2), path, BlockGibbs(), budget=10_000, num_chains=128, estimators=("ais", "crooks", "mbar")
    )  # fmt: skip
    exact = rbm_exact(rbm).log_z
    for each in found.accounts:
        assert abs(each.log_z - exact) < reach() * each.std_error
    assert found.agree
    assert found.start == "chains"
    assert found.verdict == (
        "The target samples came from chains: reverse estimates are as right as those have converged.",
    )
    assert found["ais"].gradients == 0
    assert [what for what, _ in found.preparation] == ["pilot", "target samples"]


def test_mbar_along_a_path():
    found = mbar_along(
        jax.random.key(3), PATH, MALA(0.1), nodes=np.linspace(0, 1, 5), num_chains=50, num_draws=10, burn_in=40
    )  # fmt: skip
    assert abs(found.delta_f[-1] + EXACT) < reach() * found.std_errors[-1]
    assert found.log_weights.shape == (5, 5 * 500)
    assert len(np.unique(found.groups)) == 50


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kernel": ULA(0.1)}, "ledger.sampler must leave every temperature's density exactly invariant"),
        ({"estimators": ("ais", "magic")}, "ledger.estimators must be some of ais, reverse ais, .*; got 'magic'"),
        ({"estimators": ("ais", "ais")}, "ledger.estimators must name at least one estimator, each once; got ais, ais"),
        ({"estimators": ("escorted",)}, "ledger.escort must be a map y = phi"),
        ({"estimators": ()}, "ledger.estimators must name at least one estimator"),
        ({"budget": 100}, "ledger.budget must be an integer >= 512; got 100"),
        ({"threshold": 0.0}, "ledger.threshold must be > 0"),
        ({"exact": float("nan")}, "ledger.exact must be finite; got nan"),
        ({"start": "data"}, "ledger.start must be one of exact, chains; got 'data'"),
        ({"targets": jnp.zeros((5, 3))}, "ledger.xs must hold samples shaped like the base's"),
        ({"pilot_chains": 2}, "ledger.pilot_chains must be an integer >= 8; got 2"),
    ],
)
def test_bad_arguments_are_refused(changes, words):
    given = {"kernel": MALA(0.1)} | changes
    with pytest.raises(ValueError, match=words):
        ledger(jax.random.key(0), PATH, given.pop("kernel"), **given)
