"""Denoising score matching learns the smoothed density exactly, whatever the batch size; and sums of objectives."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from energax.core import AbstractEnergy
from energax.objectives import (
    AnnealedDenoising,
    ContrastiveDivergence,
    DenoisingScoreMatching,
    MultiscaleDenoising,
    Weighted,
)
from energax.samplers import ULA
from energax.training import Phase, Trainer, run_steps
from judges import reach
from objectives.population import GRID, MODEL, TRUTH, judge_gradient, quartic, rows, slope

KEY = jax.random.key(0)
SPREAD, DIM = 0.8, 2


class Quadratic(AbstractEnergy):
    """E(x) = a |x|^2 / 2, or one precision for each noise level when told it."""

    a: Array
    levels: tuple = ()

    def __call__(self, x, cond=None):
        a = self.a if cond is None else self.a[jnp.argmin(jnp.abs(jnp.asarray(self.levels) - cond))]
        return 0.5 * a * jnp.sum(x**2)


def data(num, key=KEY):
    return {"x": SPREAD * jax.random.normal(key, (num, DIM))}


def learned(loss_of, a0=0.0):
    """The minimiser of a loss that is quadratic in one precision: the root of its straight gradient."""
    slope = jax.jit(jax.grad(loss_of))
    low, high = slope(jnp.asarray(a0)), slope(jnp.asarray(a0 + 1.0))
    return float(a0 - low / (high - low))


def judge_precision(found, wanted, num):
    """Within 5 standard errors of a regression of unit noise on `num` draws with the input's variance 1 / wanted."""
    assert abs(found / wanted - 1.0) < reach() / np.sqrt(num * DIM), (found, wanted)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_optimum_is_the_smoothed_density(sigma):
    num = 100_000
    rule, batch = DenoisingScoreMatching(sigma), data(num)
    found = learned(lambda a: rule(jax.random.key(1), Quadratic(a), None, batch)[0])
    # noise of the estimate: the regression of e / sigma on x + sigma e has residual variance 1/sigma^2 - wanted
    wanted = 1.0 / (SPREAD**2 + sigma**2)
    residual = np.sqrt((1.0 / sigma**2 - wanted) * (SPREAD**2 + sigma**2))
    assert abs(found / wanted - 1.0) < reach() * residual / (wanted * (SPREAD**2 + sigma**2)) / np.sqrt(num * DIM)
    if sigma == 0.5:
        unsmoothed = 1.0 / SPREAD**2
        with pytest.raises(AssertionError):  # the judge tells the smoothed from the raw density
            judge_precision(found, unsmoothed, num)
        forgotten = learned(  # planted: sigma forgotten in front of the gradient
            lambda a: jnp.mean((jax.vmap(jax.grad(Quadratic(a)))(noisy(batch, sigma)) - noise()) ** 2)
        )
        with pytest.raises(AssertionError):
            judge_precision(forgotten, wanted, num)


def test_gradient_is_that_of_the_fisher_divergence_to_the_smoothed_density():
    """On two unequal wells: sigma^2 / 2 E (E' + grad log p_sigma)^2 over p_sigma, the data's law in noise."""
    sigma = 0.4
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)

    def smoothed(y):  # p_sigma up to a constant that cancels
        raw = jax.vmap(lambda e: jnp.exp(-quartic(TRUTH)(y - sigma * e[None])))(jnp.asarray(nodes))
        return raw @ jnp.asarray(weights / weights.sum())

    with jax.enable_x64(True):
        xs, model = jnp.asarray(GRID[::20])[:, None], quartic(MODEL)
        law = jax.jit(jax.vmap(smoothed))(xs)
        law = law / jnp.sum(law)
        scores = jax.jit(jax.vmap(jax.grad(lambda y: jnp.log(smoothed(y)))))(xs)
        plain = jax.vmap(lambda x: -jax.grad(quartic(TRUTH))(x))(xs)

        def divergence(scores):
            return lambda m: 0.5 * sigma**2 * jnp.sum(law[:, None] * (jax.vmap(jax.grad(m))(xs) + scores) ** 2)

        rule = DenoisingScoreMatching(sigma)
        judge_gradient(rule, model, slope(divergence(scores), model), rows(4000), slack=1e-3)
        with pytest.raises(AssertionError):  # planted: the score of the data without noise
            judge_gradient(rule, model, slope(divergence(plain), model), rows(4000), slack=1e-3)


def noise(num=100_000):
    return jax.random.normal(jax.random.key(1), (num, DIM))


def noisy(batch, sigma):
    return batch["x"] + sigma * noise()


def judge_batch_size(rule_of):
    """The optimum, and the loss itself, are the same from one batch of 4096 as from the mean over 64 of 64."""
    x, draws = np.asarray(data(4096)["x"]), np.asarray(jax.random.normal(jax.random.key(2), (4096, DIM)))
    big = rule_of(x, draws)
    small = np.mean([rule_of(x[i::64], draws[i::64]) for i in range(64)])
    np.testing.assert_allclose(big, small, rtol=1e-4)


def test_nothing_depends_on_the_batch_size():
    from energax.objectives.denoising import miss

    model = Quadratic(jnp.array(1.3))
    losses = jax.jit(jax.vmap(lambda x, e: miss(model, x, e, 0.5)[0]))
    judge_batch_size(lambda x, e: float(jnp.mean(losses(x, e))))
    with pytest.raises(AssertionError):  # planted: a peer divides the score by the batch size
        judge_batch_size(lambda x, e: float(jnp.mean(losses(x, e)) / x.shape[0]))
    rule = DenoisingScoreMatching(0.5)
    loss = jax.jit(lambda key, x: rule(key, model, None, {"x": x})[0])
    sizes = {}
    for num in (64, 4096):  # the objective itself: one expectation, whatever the batch
        keys = jax.random.split(KEY, 4096 // num)
        xs = np.asarray(data(4096, jax.random.key(9))["x"]).reshape(-1, num, DIM)
        sizes[num] = np.mean([float(loss(key, x)) for key, x in zip(keys, xs, strict=True)])
    assert abs(sizes[64] / sizes[4096] - 1.0) < 0.1


def test_training_reaches_the_precision():
    trainer = Trainer((Phase(DenoisingScoreMatching(0.6), optax.adam(optax.cosine_decay_schedule(0.1, 300))),))
    chunk = {"x": SPREAD * jax.random.normal(KEY, (300, 512, DIM))}
    state = trainer.init(KEY, Quadratic(jnp.array(0.2)), {"x": chunk["x"][0]})
    state, metrics = run_steps(trainer, state, chunk)
    assert float(state.ema.a) == pytest.approx(1.0 / (SPREAD**2 + 0.36), rel=0.03)
    assert np.all(np.asarray(metrics["rejected"]) == 0.0)


def test_each_level_of_a_conditional_energy_is_smoothed_by_its_own_noise():
    sigmas, num = (0.2, 0.5, 1.5), 60_000
    rule, batch = MultiscaleDenoising(sigmas, conditional=True), data(num)

    @jax.jit
    def slope(a):
        return jax.grad(lambda a: rule(KEY, Quadratic(a, sigmas), None, batch)[0])(a)

    low, high = slope(jnp.zeros(3)), slope(jnp.ones(3))
    found = -np.asarray(low) / np.asarray(high - low)
    wanted = 1.0 / (SPREAD**2 + np.square(sigmas))
    error = np.sqrt((1.0 / np.square(sigmas) - wanted) / wanted) / np.sqrt(num / 3 * DIM)
    assert np.all(np.abs(found / wanted - 1.0) < reach() * error), (found, wanted)


def test_one_energy_for_all_levels_is_the_stated_compromise():
    sigmas = (0.2, 0.5, 1.5)
    rule, batch = MultiscaleDenoising(sigmas), data(60_000)
    found = learned(lambda a: rule(KEY, Quadratic(a), None, batch)[0])
    levels = np.asarray(sigmas)
    wanted = levels.sum() / (levels[0] * (SPREAD**2 + levels**2).sum())
    assert found == pytest.approx(wanted, rel=0.02)
    one = learned(lambda a: MultiscaleDenoising((0.5,))(KEY, Quadratic(a), None, batch)[0])
    assert one == pytest.approx(1.0 / (SPREAD**2 + 0.25), rel=0.02)  # a single level: exact


def test_levels_are_dealt_evenly():
    counts = np.bincount(
        np.searchsorted((0.1, 0.2, 0.4), np.asarray(MultiscaleDenoising((0.1, 0.2, 0.4)).levels(KEY, 32)) - 1e-6)
    )
    assert set(counts) <= {10, 11}


def test_weighted_is_the_sum_and_names_its_parts():
    model, batch = Quadratic(jnp.array(1.0)), data(16)
    terms = (DenoisingScoreMatching(0.3), DenoisingScoreMatching(0.9), ContrastiveDivergence(ULA(0.1), 1))
    rule = Weighted(terms, (2.0, 0.5, 1.0), ("fine", "coarse", "cd"))
    state = rule.init(KEY, model, batch)
    loss, (_, metrics) = rule(KEY, model, state, batch)
    parts = [
        t(jax.random.fold_in(KEY, i), model, s, batch)[0] for i, (t, s) in enumerate(zip(terms, state, strict=True))
    ]
    np.testing.assert_allclose(loss, 2.0 * parts[0] + 0.5 * parts[1] + parts[2], rtol=1e-6)
    assert {"fine/score_norm", "coarse/score_norm", "gap", "cd/loss"} <= set(metrics)
    assert "score_norm" not in metrics


BAD = {
    "sigma": (lambda: DenoisingScoreMatching(0.0), "sigma"),
    "start": (lambda: AnnealedDenoising(float("inf"), 0.1, 3), "AnnealedDenoising.start must be > 0; got inf"),
    "sigmas_empty": (lambda: MultiscaleDenoising(()), "sigmas"),
    "sigmas_falling": (lambda: MultiscaleDenoising((1.0, 0.5)), "rise"),
    "weights": (lambda: Weighted((DenoisingScoreMatching(1.0),), (1.0, 2.0)), "weights"),
    "negative": (lambda: Weighted((DenoisingScoreMatching(1.0),), (-1.0,)), "weights"),
    "names": (lambda: Weighted((DenoisingScoreMatching(1.0),) * 2, (1.0, 1.0), ("a", "a")), "names"),
    "not_scalar": (lambda: DenoisingScoreMatching(1.0).init(KEY, lambda x: x, {"x": jnp.ones((4, 2))}), "scalar"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name):
    make, word = BAD[name]
    with pytest.raises(ValueError, match=word):
        make()
