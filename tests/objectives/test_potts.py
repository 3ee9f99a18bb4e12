"""Rules on a Potts ring whose every state can be written down: exact gradients and conditionals, what is learned."""

import itertools

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax.core import AbstractSampler
from energax.energies import IndependentCategories, Potts, enumerate_exact, lattice_edges
from energax.objectives import (
    ContrastiveDivergence,
    GeneratorStart,
    Jarzynski,
    PersistentCD,
    Pseudolikelihood,
)
from energax.samplers import CATEGORIES, Gibbs, GibbsWithGradients
from energax.training import Phase, Trainer, run_steps

SITES, KINDS = 4, 3
CODES = np.array(list(itertools.product(range(KINDS), repeat=SITES)))
STATES = np.eye(KINDS, dtype=np.float32)[CODES]
PAIRS = lattice_edges((SITES,))
KEY = jax.random.key(0)


def ring(seed: int, scale: float = 1.0) -> Potts:
    """A ring with couplings and fields of its own on every edge, site and state."""
    rng = np.random.default_rng(seed)
    strengths, fields = scale * rng.normal(size=len(PAIRS)), 0.7 * scale * rng.normal(size=(SITES, KINDS))
    return Potts(PAIRS, jnp.asarray(strengths, jnp.float32), jnp.asarray(fields, jnp.float32))


def law(model: Potts) -> np.ndarray:
    """The probabilities of `STATES`."""
    energies = np.asarray(jax.vmap(model)(jnp.asarray(STATES)), np.float64)
    weights = np.exp(energies.min() - energies)
    return weights / weights.sum()


def statistics() -> np.ndarray:
    """-dE of every state in strengths, then fields [states, parameters]."""
    agree = np.stack([np.all(STATES[:, a] == STATES[:, b], axis=1) for a, b in PAIRS], axis=1)
    return np.concatenate([agree, STATES.reshape(len(STATES), -1)], axis=1).astype(np.float64)


def draws(model: Potts, num: int, seed: int) -> np.ndarray:
    """Independent exact draws."""
    return STATES[np.random.default_rng(seed).choice(len(STATES), num, p=law(model))]


def flat(gradient: Potts) -> np.ndarray:
    """A gradient in strengths, then fields."""
    return np.concatenate([np.asarray(gradient.strengths), np.asarray(gradient.fields).ravel()])


def walked_gradient(rule, model: Potts, data: np.ndarray, walkers: np.ndarray) -> np.ndarray:
    """The gradient of a rule whose persistent walkers stand where they are put."""
    batch = {"x": jnp.asarray(data)}
    state = rule.init(KEY, model, batch)
    put = eqx.tree_at(lambda s: s.buffer.samples.states, state, jnp.asarray(walkers))
    return flat(eqx.filter_jit(eqx.filter_grad(lambda m: rule(KEY, m, put, batch)[0]))(model))


def judge(found: np.ndarray, model: Potts, data: np.ndarray, walkers: int) -> None:
    """The exact gradient of the batch, to 4.5 standard errors of independent walkers (false-fail 1e-4 of 16)."""
    stats, p = statistics(), law(model)
    mean = p @ stats
    place = data.argmax(-1) @ KINDS ** np.arange(SITES)[::-1]
    error = np.sqrt(np.maximum(p @ stats**2 - mean**2, 1e-12) / walkers)
    assert np.all(np.abs(found - (mean - stats[place].mean(axis=0))) < 4.5 * error)


WALKERS = 20_000


def start() -> GeneratorStart:
    return GeneratorStart(IndependentCategories(jnp.zeros((SITES, KINDS))))


@pytest.mark.parametrize("kernel", [Gibbs(CATEGORIES), GibbsWithGradients(CATEGORIES)], ids=["gibbs", "gwg"])
def test_persistent_walkers_in_law_give_the_exact_gradient(kernel):
    model, data = ring(0), draws(ring(1), 500, 2)
    rule = PersistentCD(kernel, 2, WALKERS, start=start())
    judge(walked_gradient(rule, model, data, draws(model, WALKERS, 3)), model, data, WALKERS)


class Blind(AbstractSampler):
    """Planted: Gibbs sweeps of which those are undone that put a site into its last state or out of it."""

    inner: Gibbs

    def init(self, energy, x):
        return self.inner.init(energy, x)

    def refresh(self, energy, state):
        return self.inner.refresh(energy, state)

    def step(self, key, energy, state):
        new, info = self.inner.step(key, energy, state)
        touched = (state.x[..., -1] > 0) | (new.x[..., -1] > 0)
        return self.init(energy, jnp.where(touched[..., None], state.x, new.x)), info


def test_a_kernel_that_forgets_a_state_is_caught():
    model, data = ring(0), draws(ring(1), 500, 2)
    hot = draws(ring(0, 0.5), WALKERS, 3)  # walkers that have yet to cool
    right = walked_gradient(PersistentCD(Gibbs(CATEGORIES), 30, WALKERS, start=start()), model, data, hot)
    judge(right, model, data, WALKERS)
    wrong = walked_gradient(PersistentCD(Blind(Gibbs(CATEGORIES)), 30, WALKERS, start=start()), model, data, hot)
    with pytest.raises(AssertionError):
        judge(wrong, model, data, WALKERS)


def test_exact_law_of_data_leaves_no_gradient_and_another_one_does():
    """Contrastive divergence at the truth: data in law stay in law."""
    model, data = ring(0), draws(ring(0), WALKERS, 5)
    rule = ContrastiveDivergence(Gibbs(CATEGORIES), 3)
    batch = {"x": jnp.asarray(data)}
    slope = eqx.filter_jit(eqx.filter_grad(lambda m: rule(KEY, m, None, batch)[0]))
    stats, p = statistics(), law(model)
    error = np.sqrt(2 * np.maximum(p @ stats**2 - (p @ stats) ** 2, 1e-12) / WALKERS)
    assert np.all(np.abs(flat(slope(model))) < 4.5 * error)
    assert np.any(np.abs(flat(slope(ring(1)))) > 20 * error)


def test_pseudolikelihood_is_the_sum_of_exact_conditionals_and_has_the_truth_as_optimum():
    with jax.enable_x64(True):
        truth = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64) if eqx.is_inexact_array(a) else a, ring(0))
        other = eqx.tree_at(lambda m: m.strengths, truth, truth.strengths + 0.3)
        states, p = jnp.asarray(STATES, jnp.float64), jnp.asarray(law(ring(0)))

        def naive(model):
            energies = jax.vmap(model)(states).reshape((KINDS,) * SITES)
            logs = [-energies - jax.nn.logsumexp(-energies, axis=site, keepdims=True) for site in range(SITES)]
            return -jnp.sum(p * sum(logs).ravel())

        for linear in (True, False):
            rule = Pseudolikelihood(CATEGORIES, linear)

            def loss(model, rule=rule):
                one = jax.vmap(lambda x: rule(KEY, model, None, {"x": x[None]})[0])
                return jnp.sum(p * one(states))

            for model in (truth, other):
                np.testing.assert_allclose(float(loss(model)), float(naive(model)), rtol=1e-12)
                slopes = [flat(eqx.filter_grad(f)(model)) for f in (loss, naive)]
                np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-12)
            at_truth = np.abs(flat(eqx.filter_grad(loss)(truth))).max()
            assert at_truth < 1e-6  # the law is in single precision
            assert np.abs(flat(eqx.filter_grad(loss)(other))).max() > 1e-2


RULES = {
    "pcd": lambda: PersistentCD(Gibbs(CATEGORIES), 2, 512, start=start()),
    "pseudolikelihood": lambda: Pseudolikelihood(CATEGORIES, linear=True),
    "jarzynski": lambda: Jarzynski(
        Gibbs(CATEGORIES), IndependentCategories(jnp.zeros((SITES, KINDS))), 512, refresh=100, refresh_moves=10
    ),
}


@pytest.mark.parametrize("name", [pytest.param(k, marks=[pytest.mark.slow] * (k == "jarzynski")) for k in RULES])
def test_a_ring_is_learned_from_its_draws(name):
    truth, begin = ring(1), Potts(PAIRS, jnp.zeros(len(PAIRS)), jnp.zeros((SITES, KINDS)))
    rate = optax.cosine_decay_schedule(0.05, 1000, 0.02)
    trainer = Trainer((Phase(RULES[name](), optax.adam(rate)),))
    data = draws(truth, 20_000, 7)
    state = trainer.init(KEY, begin, {"x": jnp.asarray(data[:256])})
    rows = np.random.default_rng(8).integers(len(data), size=(1000, 256))
    state, metrics = run_steps(trainer, state, {"x": jnp.asarray(data)[rows]})
    p, q = law(truth), law(state.model)
    # 15 free parameters of 20,000 draws cost 15 / 40,000 nats; the rest is the noise of the last steps
    assert float(np.sum(p * np.log(p / q))) < 0.01
    assert float(np.sum(p * np.log(p / law(begin)))) > 0.3
    if name == "jarzynski":  # the log Z that its held-out walkers tell is the enumerated one
        exact = enumerate_exact(state.model, SITES, KINDS).log_z
        assert abs(float(metrics["log_z"][-1]) - exact) < 5 * float(metrics["log_z_error"][-1]) + 0.01
