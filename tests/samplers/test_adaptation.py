"""Dual averaging against the paper's recursion written out, and the acceptance that it reaches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.samplers import HMC, MALA, AdaptiveStep, DualAveraging, advance, init_chains, warm_up, with_step_size

SCALE = jnp.linspace(0.5, 2.0, 10)


def energy(x):
    """Not Gaussian on purpose: there HMC's acceptance goes up and down with the step, as trajectories resonate."""
    return 0.5 * jnp.sum((x / SCALE) ** 4)


def test_the_recursion_is_the_papers():
    signal = np.random.default_rng(0).random(30)
    rule = DualAveraging(0.65)
    state = rule.init(0.2)
    mu, error, average = np.log(10 * 0.2), 0.0, 0.0
    for m, alpha in enumerate(signal, start=1):
        state = rule.update(state, float(alpha))
        error = (1 - 1 / (m + 10)) * error + (0.65 - alpha) / (m + 10)
        log_step = mu - np.sqrt(m) / 0.05 * error
        average = m**-0.75 * log_step + (1 - m**-0.75) * average
    assert float(rule.step_size(state)) == pytest.approx(np.exp(log_step), rel=1e-3)
    assert float(rule.final(state)) == pytest.approx(np.exp(average), rel=1e-3)
    assert float(rule.final(rule.init(0.2))) == pytest.approx(0.2)


@pytest.mark.parametrize(("sampler", "target"), [(MALA(1e-3), 0.574), (HMC(5.0, 5), 0.65)], ids=["mala", "hmc"])
def test_warm_up_reaches_its_target_and_freezes(sampler, target):
    chains = init_chains(sampler, energy, jax.random.normal(jax.random.key(1), (128, 10)) * SCALE[None, :])
    frozen, chains = warm_up(jax.random.key(0), sampler, energy, chains, 400, target)
    assert type(frozen) is type(sampler)
    _, info = advance(jax.random.key(2), frozen, energy, chains, 200)
    assert abs(float(jnp.mean(info.acceptance)) - target) < 0.06
    # frozen: the step is a number of the kernel, no state of the chain
    assert float(frozen.step_size) == float(with_step_size(frozen, frozen.step_size).step_size)


def test_adaptive_step_moves_towards_its_target_within_bounds():
    rule = AdaptiveStep(0.75, rate=0.5, lowest=1e-3, highest=10.0)
    up, down = rule.init(1.0), rule.init(1.0)
    assert float(rule.update(up, 0.75)) == pytest.approx(float(up))
    for _ in range(100):
        up, down = rule.update(up, 1.0), rule.update(down, 0.0)
    assert float(rule.step_size(up)) == pytest.approx(10.0)
    assert float(rule.step_size(down)) == pytest.approx(1e-3)


def test_refusals():
    chains = init_chains(MALA(0.1), energy, jnp.zeros((2, 10)))
    for call, message in (
        (lambda: DualAveraging(1.0), "DualAveraging.target must lie in \\(0, 1\\); got 1.0"),
        (lambda: DualAveraging(0.5, gamma=0.0), "DualAveraging.gamma must be > 0"),
        (lambda: AdaptiveStep(0.75, rate=-1.0), "AdaptiveStep.rate must be > 0"),
        (lambda: AdaptiveStep(lowest=1.0, highest=0.5), "AdaptiveStep.highest must be > lowest"),
        (lambda: with_step_size(MALA(0.1), 0.0), "MALA.step_size must be > 0"),
        (lambda: warm_up(jax.random.key(0), MALA(0.1), energy, chains, 0, 0.5), "warm_up.num_steps must be an integer"),
        (lambda: warm_up(jax.random.key(0), MALA(0.1), energy, chains, 5, 1.5), "target must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
