"""Certificates: the targets are what they say, right kernels pass, planted bugs and broken kernels of a user's fail."""

import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import samplers
from energax.core import AbstractSampler
from energax.errors import ConfigError
from energax.evaluation import analytic_targets, certify, certify_shipped, enumerable_targets, shipped
from energax.evaluation.analytic import numbers, statistics
from energax.evaluation.certificate import Certificate, error, score, sigmas
from energax.evaluation.joint_test import joint_expectations, judge_joint
from energax.evaluation.moments_test import judge_moments
from energax.numerics.tree import add_scaled, normal_like
from energax.samplers import BITS, CATEGORIES, MALA, SPINS, ULA, Gibbs, RandomWalk
from planted_kernels import PLANTED, planted

TARGETS = {target.name: target for target in analytic_targets()}
CHAINS = 19_200


@pytest.mark.parametrize("name", TARGETS)
def test_energy_and_law_of_a_target_agree(name):
    """E(x(z)) - log |dx / dz| + log p(z) is one constant: the draws are those of the energy, and so are the means."""
    target = TARGETS[name]
    (u, p), (v, q) = target.first.nodes(), target.second.nodes()
    u, v = np.meshgrid(u[np.log(p) > -25], v[np.log(q) > -25], indexing="ij")
    u, v = u.reshape(-1), v.reshape(-1)
    h = 1e-6

    def place(u, v):
        return np.stack(target.place(u, v))

    first, second = (place(u + h, v) - place(u - h, v)) / (2 * h), (place(u, v + h) - place(u, v - h)) / (2 * h)
    volume = np.log(np.abs(first[0] * second[1] - first[1] * second[0]))
    with jax.enable_x64(True):
        energies = np.asarray(jax.vmap(target.energy)(target.stacked(*place(u, v), jnp.float64)))
    constant = energies - volume + target.first.log_density(u) + target.second.log_density(v)
    assert np.ptp(constant) < 1e-4 * max(1.0, np.abs(energies).max())


def test_draws_have_the_expectations():
    for target in TARGETS.values():
        values, _ = jax.vmap(lambda x, e=target.energy: (statistics(e, x), numbers(x)))(target.draw(3, 40_000))
        for name, exact in target.expectations().items():
            assert abs(score(np.asarray(values[name], np.float64), exact)) < 4.5, (target.name, name)


def test_the_joint_law_of_the_conjugate_model_is_known():
    from energax.evaluation import joint_test

    rng = np.random.default_rng(0)
    x = joint_test._prior(rng, 200_000)
    rows = joint_test._functions(np.concatenate([x, joint_test._data(rng, x)], axis=1))
    assert rows.keys() == joint_expectations().keys()
    for name, exact in joint_expectations().items():
        assert abs(score(rows[name], exact)) < 4.0, name
    again = joint_test._functions(
        np.concatenate([joint_test._posterior(rng, data := joint_test._data(rng, x)), data], axis=1)
    )
    for name, exact in joint_expectations().items():
        assert abs(score(again[name], exact)) < 4.0, name


def test_a_right_kernel_passes_whole():
    found = certify_shipped("mala", seeds=(0, 1))
    assert found.verdict == "passed", found.sentence()
    assert len(found.rows) == 2 * 12 + 2
    assert all(row.passed for row in found.rows)
    assert 1.0 < abs(found.worst.value) < 4.0
    assert found.sentence() == f"mala: passed; {abs(found.worst.value):.1f} sigma at most."


def test_a_discrete_kernel_passes_to_rounding():
    entry = shipped.SHIPPED["site_metropolis"]
    found = certify(entry.make, on=enumerable_targets(CATEGORIES))
    assert found.verdict == "passed"
    assert {row.check for row in found.rows} >= {"invariance", "detailed balance", "irreducible", "caches", "keys"}
    assert max(row.value for row in found.rows if row.check in ("invariance", "detailed balance")) < 1e-14


def test_tempering_passes_on_all_its_states():
    assert certify_shipped("simulated_tempering").verdict == "passed"


def test_what_is_claimed_is_asked():
    """Gibbs in a fixed order is not in detailed balance; claimed, by the caller or by itself, it fails by it alone."""

    class Claims(Gibbs):
        reversible = True

    target = enumerable_targets(SPINS)[:1]
    assert certify(Gibbs(SPINS), on=target).verdict == "passed"
    assert {row.check for row in certify(Claims(SPINS), on=target).failed} == {"detailed balance"}
    assert certify(Claims(SPINS), on=target, reversible=False).verdict == "passed"
    found = certify(Gibbs(SPINS), on=target, reversible=True)
    assert {row.check for row in found.failed} == {"detailed balance"}
    assert found.sentence().startswith("Gibbs: failed; detailed balance on spin glass, beta 0.7: ")


def test_an_inexact_kernel_is_never_passed():
    found = certify(ULA(0.02), on=[TARGETS["tilted double wells, beta 2"]])
    assert found.verdict == "inexact"
    assert found.sentence().endswith("off its target (tilted double wells, beta 2), as it says.")
    claimed = certify(lambda target: Claims(0.02), on=[TARGETS["tilted double wells, beta 2"]])
    assert claimed.verdict == "failed"


class State(NamedTuple):
    x: Any


class Info(NamedTuple):
    energy: Any
    acceptance: Any
    divergent: Any


INFO = Info(jnp.zeros(()), jnp.ones(()), jnp.array(False))


class Claims(AbstractSampler):
    """The unadjusted step of ULA that calls itself exact."""

    step_size: float

    def init(self, energy, x):
        return State(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        drifted = add_scaled(state.x, -self.step_size, jax.grad(energy)(state.x))
        return State(add_scaled(drifted, jnp.sqrt(2.0 * self.step_size), normal_like(key, state.x))), INFO


class Still(Claims):
    """Leaves everything invariant."""

    def step(self, key, energy, state):
        return state, INFO


class Halfway(Claims):
    """Forgets what a step returns."""

    def step(self, key, energy, state):
        return state, None


def test_a_kernel_that_stands_still_fails():
    invariant, movement = judge_moments(Still(0.1), TARGETS["banana"], 0, CHAINS, 5)
    assert invariant.passed
    assert not movement.passed


SMALL = {  # planted bug -> the one target that is enough
    ("random_walk", "energies of the ratio exchanged"): "tilted quartic",
    ("mala", "proposal ratio dropped"): "Gumbel, beta 1/2",
    ("gibbs", "one random number for all sites"): "spin glass, beta 0.7",
    ("random_scan_gibbs", "stale energy"): "spin glass, beta 0.7",
    ("checkerboard_gibbs", "the gradient is not renewed between colours"): "Boltzmann machine, beta 1.3",
    ("dmala", "the way back by the old gradient"): "spin glass, beta 0.7",
    ("swendsen_wang", "bond probability of half the strength"): "spin glass, beta 0.7",
    ("wolff", "fields forgotten"): "Potts, 3 states, beta 0.8",
    ("block_gibbs", "one key for both layers"): "RBM 4 x 3, beta 1.2",
}


@pytest.mark.parametrize("name", SMALL, ids=": ".join)
def test_a_planted_bug_fails_the_certificate(name):
    bug = next(each for each in PLANTED if (each.kernel, each.name) == name)
    entry = shipped.SHIPPED[bug.kernel]
    target = next(each for each in (entry.on or analytic_targets)() if each.name == SMALL[name])
    with planted(bug):
        if bug.check == "moments":
            rows = judge_moments(entry.make(target), target, 0, CHAINS, 5)
        else:
            rows = certify(entry.make, on=[target]).rows
    assert bug.check in {row.check for row in rows if not row.passed}


def test_a_stale_gradient_fails_the_joint_test():
    bug = next(each for each in PLANTED if each.kernel == "mala" and each.name.startswith("stale"))
    with planted(bug):
        stale = shipped.SHIPPED["mala"].make(None)
    assert not judge_joint(stale, 0, CHAINS).passed


def test_wrong_noise_fails_an_inexact_kernel_by_its_own_law():
    bug = next(each for each in PLANTED if each.kernel == "ula")
    with planted(bug):
        broken = shipped.SHIPPED["ula"].make(None)
    found = certify(broken, on=[TARGETS["ill-scaled Gaussian"]], variance=shipped.SHIPPED["ula"].variance)
    assert {row.check for row in found.failed} == {"its own law"}


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: f"{bug.kernel}: {bug.name}")
def test_every_bug_can_be_planted(bug):
    sound = getattr(shipped, bug.takes)
    with planted(bug):
        assert getattr(shipped, bug.takes) is not sound
    assert getattr(shipped, bug.takes) is sound


def test_every_kernel_is_listed():
    """All samplers of the face, but the adapter, which is listed by what it makes."""
    made = [entry.make((entry.on or analytic_targets)()[0]) for entry in shipped.SHIPPED.values()]
    face = {each for each in vars(samplers).values() if inspect.isclass(each) and issubclass(each, AbstractSampler)}
    assert face == {type(kernel) for kernel in made}


def test_scores_and_verdicts():
    assert score(np.array([1.0, np.nan]), 0.0) == np.inf
    assert score(np.array([1.0, 3.0]), 2.0) == 0.0
    rows = (sigmas("moments", "a", {"x": 1.0, "y": -5.0}), error("invariance", "b", "d", 1e-12))
    found = Certificate("k", True, (0,), rows)
    assert found.failed == rows[:1]
    assert found.sentence() == "k: failed; moments on a: 5.0 sigma (y)."
    loose = sigmas("moments", "a", {"x": np.nan, "y": -5.0}, binding=False)
    assert (
        Certificate("k", False, (0,), (loose,)).sentence() == "k: inexact; not finite off its target (a), as it says."
    )


def test_refusals():
    for call, message in (
        (lambda: certify(3), "certify.kernel must be a sampler or a function that makes one; got 3"),
        (lambda: certify(MALA(0.1), seeds=()), "certify.seeds must be one or more; got none"),
        (lambda: certify(MALA(0.1), seeds=(-1,)), "certify.seeds must be an integer >= 0; got -1"),
        (lambda: certify(MALA(0.1), num_chains=10), "certify.num_chains must be an integer >= 1000; got 10"),
        (lambda: certify(Gibbs(SPINS), sites="spins"), "certify.sites must be SPINS, .*; got 'spins'"),
        (lambda: certify(MALA(0.1), seeds=3), "certify.seeds must be a row of integers >= 0, such as .*; got 3"),
        (lambda: certify(MALA(0.1), on=()), "certify.on must hold Analytic targets, at least one; got none"),
        (
            lambda: certify(Gibbs(SPINS), on=analytic_targets()[:1]),
            "certify.on must hold Enumerable targets, at least one; got Analytic",
        ),
        (lambda: certify(MALA(0.1), reversible=True), "must be left out for a continuous kernel"),
        (lambda: certify(Gibbs(SPINS), variance=lambda k, s: s), "must be left out for a discrete kernel"),
        (lambda: certify(RandomWalk(0.5), sites=SPINS), "judged by its moments"),
        (lambda: certify(Halfway(0.5)), "step must return .* energy, acceptance and divergent; got NoneType"),
        (lambda: certify(lambda target: 3), "certify.kernel must make a sampler; got int"),
        (lambda: certify_shipped("malla"), "the kernel must be one of .*; got 'malla'. Did you mean 'mala'"),
    ):
        with pytest.raises((ValueError, ConfigError), match=message):
            call()


def test_each_kind_of_site_has_targets():
    for sites in (SPINS, BITS, CATEGORIES):
        for target in enumerable_targets(sites):
            law = target.law()
            assert abs(law.sum() - 1.0) < 1e-12
            assert law.max() / law.min() > 10.0  # skewed
