"""What a recipe's pieces do: gradients gathered over steps, rates by the number of updates, a network in bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax.errors import ConfigError
from energax.networks import Bfloat16
from energax.runtime.build import build
from energax.runtime.config import resolve
from energax.runtime.pieces import build_optimizer, build_rate
from energax.training import run_steps

GRADIENTS = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def as_users():
    """optax's schedules mix types as jax does by default."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def after(words, gradients):
    """Parameters from zero after one update a gradient."""
    rule, x = build_optimizer(resolve("moons-pcd", words)), jnp.zeros(3)
    state = rule.init(x)
    for gradient in gradients:
        change, state = rule.update(jnp.asarray(gradient), state, x)
        x = optax.apply_updates(x, change)
    return np.asarray(x)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_gathered_gradients_are_one_large_batch(kind):
    words = [f"optimizer.kind={kind}", "optimizer.learning_rate=0.1", "training.steps=8"]
    gathered = after([*words, "optimizer.accumulate=4"], GRADIENTS)
    means = GRADIENTS.reshape(2, 4, 3).mean(1)
    np.testing.assert_allclose(gathered, after([*words[:2], "training.steps=2"], means), rtol=1e-5, atol=1e-7)
    assert np.abs(gathered - after(words, GRADIENTS)).max() > 1e-3
    assert not after([*words, "optimizer.accumulate=4"], GRADIENTS[:3]).any()


def test_a_rate_rises_and_falls_by_updates():
    words = ["optimizer.learning_rate=0.1", "optimizer.final_fraction=0.5", "training.steps=100", "optimizer.warmup=20"]
    plain, gathered = (build_rate(resolve("moons-pcd", [*words, f"optimizer.accumulate={n}"])) for n in (1, 5))
    for step in (0, 10, 20, 60, 100):
        assert float(gathered(step // 5)) == pytest.approx(float(plain(step)), abs=1e-6)


def test_nothing_gathered_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer\.accumulate must be .*; got 0"):
        resolve("moons-pcd", ["optimizer.accumulate=0"])


@pytest.mark.parametrize("recipe", ["moons-dsm", "moons-pcd"])
def test_a_recipe_in_bfloat16_trains_float32_weights(recipe):
    words = ["energy.precision=bfloat16", "training.steps=4", "training.batch_size=16"]
    problem = build(resolve(recipe, words))
    state = problem.initial_state()
    net = state.model.net
    assert isinstance(net, Bfloat16)
    batches = {name: np.stack([rows, rows]) for name, rows in problem.stream.batch(0).items()}
    after, metrics = run_steps(problem.trainer, state, batches)
    assert not np.asarray(metrics["rejected"]).any()
    new = after.model.net.net
    assert float(jnp.abs(new.head.weight - net.net.head.weight).max()) > 0.0
    assert {leaf.dtype for leaf in jax.tree.leaves(new.layers)} == {jnp.dtype(jnp.float32)}
