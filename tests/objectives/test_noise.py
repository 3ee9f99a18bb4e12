"""The noise-contrastive family and the self-normalised likelihood against their losses by quadrature, on the line.

Noise N(0.2, 1.3^2): its tails are heavier than the data's. Every gradient is the mean over 100 keys.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.stats import norm

from energax.core import AbstractEnergy, FunctionEnergy
from energax.energies import Gaussian, SelfNormalised
from energax.objectives import (
    ConditionalNoiseContrastive,
    NoiseContrastive,
    RankingNoiseContrastive,
    SelfNormalisedLikelihood,
    TelescopingNoiseContrastive,
)
from objectives.population import (
    GRID,
    MODEL,
    TRUTH,
    density,
    energies,
    expected,
    judge_gradient,
    log_z,
    quartic,
    rows,
    slope,
)

NUM = 2000


def noise():
    return Gaussian(jnp.asarray([0.2]), jnp.asarray([1.3]))


def off():
    """A model away from the truth, and its log Z half a nat off."""
    model = quartic(MODEL)
    return SelfNormalised(model, log_z(model) + 0.5)


def at_truth():
    model = quartic(TRUTH)
    return SelfNormalised(model, log_z(model))


def noise_density():
    return jnp.exp(jax.vmap(noise().log_prob)(jnp.asarray(GRID)[:, None]))


def nce_loss(ratio):
    def loss(model):
        def logit(x):
            return -model(x) - noise().log_prob(x) - jnp.log(1.0 * ratio)

        data = expected(lambda x: jax.nn.softplus(-logit(x)), density())
        return data + ratio * expected(lambda x: jax.nn.softplus(logit(x)), noise_density())

    return loss


@pytest.mark.parametrize("ratio", [1, 5])
def test_noise_contrastive(ratio):
    with jax.enable_x64(True):
        rule = NoiseContrastive(noise(), ratio)
        judge_gradient(rule, off(), slope(nce_loss(ratio), off()), rows(NUM), slack=1e-3)
        judge_gradient(rule, at_truth(), np.zeros(4), rows(NUM), slack=1e-3)
        if ratio == 5:
            with pytest.raises(AssertionError):  # planted: the ratio forgotten in the logit
                judge_gradient(Forgetful(noise(), ratio), at_truth(), np.zeros(4), rows(NUM), slack=1e-3)


class Forgetful(NoiseContrastive):
    """The logit without log ratio."""

    def __call__(self, key, model, state, batch):
        return super().__call__(key, SelfNormalised(model, -jnp.log(1.0 * self.ratio)), state, batch)


def test_self_normalised():
    with jax.enable_x64(True):
        loss = lambda model: expected(model, density()) + jnp.exp(log_z(model))  # noqa: E731
        rule = SelfNormalisedLikelihood(noise(), 2)
        judge_gradient(rule, off(), slope(loss, off()), rows(NUM), slack=1e-3)
        judge_gradient(rule, at_truth(), np.zeros(4), rows(NUM), slack=1e-3)
        with pytest.raises(AssertionError):  # planted: half the weight on the proposals
            judge_gradient(Halved(noise(), 2), at_truth(), np.zeros(4), rows(NUM), slack=1e-3)


class Halved(SelfNormalisedLikelihood):
    """Half the proposals are lost."""

    def __call__(self, key, model, state, batch):
        whole, aux = super().__call__(key, model, state, batch)
        data = jnp.mean(jax.vmap(model)(batch["x"]))
        return data + 0.5 * (whole - data), aux


def test_ranking():
    with jax.enable_x64(True):
        rule = RankingNoiseContrastive(noise(), 4)
        judge_gradient(rule, quartic(TRUTH), np.zeros(3), rows(NUM), slack=1e-3)
        with pytest.raises(AssertionError):  # away from the truth it is not zero
            judge_gradient(rule, quartic(MODEL), np.zeros(3), rows(NUM), slack=1e-3)
        # many negatives: maximum likelihood, to 1 / ratio
        exact = slope(lambda m: expected(m, density()) + log_z(m), quartic(MODEL))
        many = RankingNoiseContrastive(noise(), 400)
        judge_gradient(many, quartic(MODEL), exact, rows(200), keys=30, slack=0.02 * float(np.abs(exact).max()))


def test_conditional():
    with jax.enable_x64(True):
        sigma = 0.4
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)

        def loss(model):
            def at(x):
                rise = jax.vmap(lambda e: model(x + sigma * e[None]))(jnp.asarray(nodes)) - model(x)
                return 2.0 * jnp.sum(jnp.asarray(weights / weights.sum()) * jax.nn.softplus(-rise))

            return expected(at, density())

        rule = ConditionalNoiseContrastive(sigma, 2)
        judge_gradient(rule, quartic(MODEL), slope(loss, quartic(MODEL)), rows(NUM), slack=1e-3)
        judge_gradient(rule, quartic(TRUTH), np.zeros(3), rows(NUM), slack=1e-3)
        wrong = ConditionalNoiseContrastive(0.8 * sigma, 2)
        with pytest.raises(AssertionError):  # planted: noise of another size
            judge_gradient(wrong, quartic(MODEL), slope(loss, quartic(MODEL)), rows(NUM), slack=1e-3)


class Blend(AbstractEnergy):
    """-log p of sqrt(1 - a^2) x + a n, x ~ N(mean, scale^2), n ~ N(0.2, 1.3^2), log Z off by an error."""

    mean: Array
    log_scale: Array
    error: Array

    def __call__(self, x, cond=None):
        keep = jnp.sqrt(1.0 - cond**2)
        variance = keep**2 * jnp.exp(2.0 * self.log_scale) + cond**2 * 1.3**2
        away = jnp.sum(x) - keep * self.mean - cond * 0.2
        return 0.5 * away**2 / variance + 0.5 * jnp.log(2.0 * jnp.pi * variance) + self.error


def test_telescoping():
    with jax.enable_x64(True):
        levels = (0.0, 0.5, 0.8)
        truth, other = (Blend(*map(jnp.asarray, at)) for at in ((1.5, -1.2, 0.0), (1.2, -0.9, 0.3)))
        cells = (np.arange(NUM) + 0.5) / NUM
        data = (1.5 + np.exp(-1.2) * norm.ppf(cells))[:, None]
        grid = jnp.asarray(np.linspace(-8.0, 9.0, 801))

        def loss(model):
            def minus_log(m, level):
                near = jax.vmap(lambda x: m(x[None], jnp.asarray(level)))(grid)
                return near if level < 1 else -jax.vmap(noise().log_prob)(grid[:, None])

            total = 0.0
            for here, there in zip(levels, (*levels[1:], 1.0), strict=True):
                logit = minus_log(model, there) - minus_log(model, here)
                left, right = (jnp.exp(-minus_log(truth, level)) for level in (here, there))
                total = total + jnp.trapezoid(left * jax.nn.softplus(-logit) + right * jax.nn.softplus(logit), grid)
            return total / len(levels)

        rule = TelescopingNoiseContrastive(noise(), levels)
        judge_gradient(rule, other, slope(loss, other), data, slack=1e-3)
        judge_gradient(rule, truth, np.zeros(3), data, slack=1e-3)
        with pytest.raises(AssertionError):  # planted: levels that are not those of the model
            judge_gradient(Shifted(noise(), levels), truth, np.zeros(3), data, slack=1e-3)


class Shifted(TelescopingNoiseContrastive):
    """The model hears of less noise than there is."""

    def __call__(self, key, model, state, batch):
        return super().__call__(key, Deaf(model), state, batch)


class Deaf(AbstractEnergy):
    """An energy at nine tenths of the level it is asked at."""

    energy: AbstractEnergy

    def __call__(self, x, cond=None):
        return self.energy(x, 0.9 * cond)


def test_log_z_seen_from_the_noise():
    with jax.enable_x64(True):
        key, batch = jax.random.key(3), {"x": jnp.asarray(rows(NUM))}
        metrics = eqx.filter_jit(NoiseContrastive(noise(), 20))(key, quartic(MODEL), None, batch)[1][1]
        error = np.sqrt((1.0 / float(metrics["noise_ess"]) - 1.0) / (20 * NUM))
        assert abs(float(metrics["log_z"]) - float(log_z(quartic(MODEL)))) < 4.0 * error
        law = np.exp(-energies(quartic(MODEL)) - float(log_z(quartic(MODEL))))
        fraction = 1.0 / np.trapezoid(law**2 / noise_density(), GRID)
        assert abs(float(metrics["noise_ess"]) / fraction - 1.0) < 0.05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoiseContrastive(noise(), 0), "ratio must be"),
        (lambda: RankingNoiseContrastive(noise(), 0), "ratio must be"),
        (lambda: SelfNormalisedLikelihood(noise(), 0), "ratio must be"),
        (lambda: ConditionalNoiseContrastive(0.0), "sigma must be"),
        (lambda: TelescopingNoiseContrastive(noise(), (0.1, 0.5)), "levels must start at 0"),
        (lambda: TelescopingNoiseContrastive(noise(), (0.0, 0.5, 0.4)), "levels must rise and stay < 1"),
        (
            lambda: NoiseContrastive(noise()).init(jax.random.key(0), FunctionEnergy(jnp.sum), {"x": jnp.ones((4, 2))}),
            "NoiseContrastive.noise must draw samples like the data",
        ),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
