"""Stein discrepancies against the Fisher divergence and double integrals by quadrature; noise that shrinks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from energax.core import FunctionEnergy
from energax.energies import standard_normal
from energax.objectives import (
    AnnealedDenoising,
    DenoisingScoreMatching,
    KernelStein,
    LearnedStein,
    LearnedSteinCritic,
    SteinPair,
)
from objectives.population import MODEL, TRUTH, fisher, of, quartic, rows, slope

KEY = jax.random.key(0)
NODES = np.linspace(-4.0, 4.0, 90)


def law():
    """The data's law on `NODES`: the trapezoid rule, whose error is far below 1e-8 here."""
    return jax.nn.softmax(-jax.vmap(quartic(TRUTH))(jnp.asarray(NODES[:, None])))


def two_rows(rule, model):
    """The population's loss: batches of two rows, over all pairs of nodes."""
    xs = jnp.asarray(NODES[:, None])

    def pair(x, y):
        return rule(KEY, model, None, {"x": jnp.stack([x, y])})[0]

    return law() @ jax.vmap(lambda x: jax.vmap(lambda y: pair(x, y))(xs))(xs) @ law()


def naive(model, width=0.7):
    """E E' of the Stein kernel, every derivative by automatic differentiation of the kernel."""

    def k(x, y):
        return (1.0 + (x - y) ** 2 / width**2) ** -0.5

    def one(x, y):
        s, t = (-jax.grad(lambda z: model(z[None]))(at) for at in (x, y))
        across = jax.grad(jax.grad(k, 0), 1)(x, y)
        return s * t * k(x, y) + s * jax.grad(k, 1)(x, y) + t * jax.grad(k, 0)(x, y) + across

    xs = jnp.asarray(NODES)
    return law() @ jax.vmap(lambda x: jax.vmap(lambda y: one(x, y))(xs))(xs) @ law()


def test_kernel_stein_is_the_double_integral_and_zero_at_the_truth():
    with jax.enable_x64(True):
        model, rule = quartic(MODEL), KernelStein(0.7)
        np.testing.assert_allclose(two_rows(rule, model), naive(model), rtol=1e-10)
        wanted = slope(naive, model)
        np.testing.assert_allclose(slope(lambda m: two_rows(rule, m), model), wanted, rtol=1e-9)
        assert abs(float(two_rows(rule, quartic(TRUTH)))) < 1e-8
        assert float(two_rows(rule, model)) > 0.05
        with pytest.raises(AssertionError):  # planted: another width
            np.testing.assert_allclose(slope(lambda m: two_rows(KernelStein(0.8), m), model), wanted, rtol=1e-2)


def test_kernel_stein_counts_every_pair_of_different_rows_once_each_way():
    xs = jax.random.normal(KEY, (5, 3))
    energy, rule = FunctionEnergy(lambda x: jnp.sum(x**4)), KernelStein(1.3)
    loss = jax.jit(lambda rows: rule(KEY, energy, None, {"x": rows})[0])
    pairs = jnp.array([(i, j) for i in range(5) for j in range(5) if i < j])
    np.testing.assert_allclose(loss(xs), jnp.mean(jax.jit(jax.vmap(loss))(xs[pairs])), rtol=1e-4)


class Best(eqx.Module):
    """The best critic against the data's score, times `share`: (s_model - s_data) / (2 penalty)."""

    model: FunctionEnergy
    share: Array
    penalty: float = eqx.field(static=True)

    def __call__(self, x):
        s_model, s_data = (-jax.grad(energy)(x) for energy in (self.model, quartic(TRUTH)))
        return self.share * (s_model - s_data) / (2.0 * self.penalty)


@pytest.mark.parametrize("penalty", [0.5, 2.0])
def test_learned_stein_with_the_best_critic_is_the_fisher_divergence(penalty):
    """Signs slice a line exactly; the quantile midpoints of x^6 leave 1e-3 (as in `test_score_matching`)."""
    with jax.enable_x64(True):
        model, xs = quartic(MODEL), rows(20_000)
        pair = SteinPair(model, Best(model, jnp.ones(()), penalty))
        wanted = 2.0 * float(fisher(model)) / (4.0 * penalty)
        critic = LearnedSteinCritic(penalty)

        def objective(share):
            best = SteinPair(model, Best(model, share, penalty))
            return critic(KEY, best, None, {"x": jnp.asarray(xs)})[0]

        value, change = jax.jit(jax.value_and_grad(objective))(jnp.ones(()))
        np.testing.assert_allclose(-value, wanted, rtol=2e-3)
        assert abs(float(change)) < 2e-3 * wanted  # no better multiple
        assert abs(float(jax.jit(jax.grad(objective))(jnp.asarray(0.9)))) > 0.1 * wanted
        # the energy's gradient, critic held, is that of the maximum over critics (envelope)
        held = SteinPair(model, eqx.tree_at(lambda b: b.share, pair.critic, jnp.ones(())))

        def energy_loss(m):
            return LearnedStein()(KEY, SteinPair(m, held.critic), None, {"x": jnp.asarray(xs)})[0]

        exact = slope(lambda m: 2.0 * fisher(m) / (4.0 * penalty), model)
        np.testing.assert_allclose(slope(energy_loss, model), exact, rtol=5e-3)
        with pytest.raises(AssertionError):  # planted: the critic of another penalty
            np.testing.assert_allclose(slope(energy_loss, model) * 2.0, exact, rtol=0.1)


def test_annealed_noise_ends_at_the_last_level():
    """In the n-th step it is `DenoisingScoreMatching` at that step's level, gradient and all."""
    xs = rows(64).astype(np.float32)
    model = quartic(MODEL, jnp.float32)
    rule = AnnealedDenoising(1.0, 0.1, 4)
    for step, sigma in ((0, 1.0), (2, 10**-0.5), (4, 0.1), (9, 0.1)):
        found = slope(of(rule, xs, state=jnp.array(step, jnp.int32)), model)
        wanted = slope(of(DenoisingScoreMatching(sigma), xs), model)
        np.testing.assert_allclose(found, wanted, rtol=1e-4)
    with pytest.raises(AssertionError):  # planted: the way taken in the wrong direction
        np.testing.assert_allclose(slope(of(rule, xs, state=jnp.array(0, jnp.int32)), model), wanted, rtol=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KernelStein(0.0), "width must be"),
        (lambda: KernelStein().init(KEY, standard_normal(2), {"x": jnp.ones((1, 2))}), "at least two rows; got 1"),
        (lambda: LearnedSteinCritic(0.0), "penalty must be"),
        (lambda: LearnedStein().init(KEY, standard_normal(2), {"x": jnp.ones((4, 2))}), "must be a SteinPair; got"),
        (
            lambda: LearnedStein().init(KEY, SteinPair(standard_normal(2), jnp.sum), {"x": jnp.ones((4, 2))}),
            "critic must answer in the shape of x",
        ),
        (lambda: AnnealedDenoising(0.1, 0.2, 5), "start must be > end, 0.2; got 0.1"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
