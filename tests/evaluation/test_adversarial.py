"""Distances to the decision boundary: never below the exact ones, near them where those are known; points that flip."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.evaluation import adversarial_distance

RNG = np.random.default_rng(0)
WEIGHT, BIAS = RNG.normal(size=(4, 6)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
ROWS = RNG.normal(size=(40, 6)).astype(np.float32)
LABELS = (ROWS @ WEIGHT.T + BIAS).argmax(axis=1)


def linear(x):
    return jnp.asarray(WEIGHT) @ x + jnp.asarray(BIAS)


def exact():
    """Of a linear classifier: the nearest of the planes between the right class and each other one."""
    logits = (ROWS @ WEIGHT.T + BIAS).astype(np.float64)
    gaps = logits[np.arange(40), LABELS][:, None] - logits
    planes = np.linalg.norm(WEIGHT[LABELS][:, None] - WEIGHT, axis=2)
    planes[np.arange(40), LABELS] = 1.0
    gaps[np.arange(40), LABELS] = np.inf
    return (gaps / planes).min(axis=1)


def test_a_linear_classifier_has_its_closed_form():
    found = adversarial_distance(linear, ROWS, LABELS)
    ratio = found.distance / exact()
    assert np.all(ratio > 1 - 1e-4)
    assert np.median(ratio) < 1.01
    assert np.mean(ratio < 1.1) > 0.8  # the walk may settle at another plane than the nearest
    logits = np.array(jax.vmap(linear)(jnp.asarray(found.found)))
    own = logits[np.arange(40), LABELS].copy()
    logits[np.arange(40), LABELS] = -np.inf
    assert np.all(own - logits.max(axis=1) < 1e-4)  # on the boundary or beyond it, to rounding
    np.testing.assert_allclose(np.linalg.norm(found.found - ROWS, axis=1), found.distance, rtol=1e-3)


def test_a_round_boundary_is_as_far_as_its_radius():
    rows = np.array([[0.5, 0.0], [0.0, 3.0], [-1.5, 1.5]], np.float32)
    found = adversarial_distance(lambda x: jnp.stack([jnp.sum(x**2), jnp.array(1.0)]), rows, np.array([1, 0, 0]))
    np.testing.assert_allclose(found.distance, [0.5, 2.0, np.sqrt(4.5) - 1], rtol=0.01)


def test_what_is_wrong_before_is_at_zero_and_what_cannot_change_is_infinitely_far():
    found = adversarial_distance(linear, ROWS, (LABELS + 1) % 4)
    np.testing.assert_array_equal(found.distance, 0.0)
    np.testing.assert_array_equal(found.found, ROWS)
    stubborn = adversarial_distance(lambda x: jnp.array([1.0, 0.0]) + 0.0 * x[:2], ROWS, np.zeros(40, int))
    assert np.all(np.isinf(stubborn.distance))


def test_a_walk_that_gets_lost_is_told_from_one_that_finds_nothing():
    """Beyond a radius of 3 the network says NaN; the same network cut there has no boundary within reach."""
    rows = np.array([[0.5, 0.0], [-0.2, 1.0]], np.float32)

    def away(beyond):
        return lambda x: jnp.stack([jnp.where(jnp.sum(x**2) < 9.0, 1.0 + x[0] ** 2, beyond), jnp.array(0.0)])

    assert np.all(np.isnan(adversarial_distance(away(jnp.nan), rows, np.zeros(2, int)).distance))
    assert np.all(np.isnan(adversarial_distance(away(jnp.inf), rows, np.zeros(2, int)).distance))
    assert np.all(np.isinf(adversarial_distance(away(10.0), rows, np.zeros(2, int)).distance))
    # logits that are finite with a slope that is not, as of a root at 0
    root = adversarial_distance(lambda x: jnp.stack([1.0 + jnp.sqrt(0.0 * x[0]), 0.0]), rows, np.zeros(2, int))
    assert np.all(np.isnan(root.distance))
    # what is found beside where it got lost (at its first step, 1 from x) is a bound still
    near = adversarial_distance(
        lambda x: jnp.stack([jnp.where(jnp.abs(x[0] - 1.5) > 0.02, 1.0 - x[0], jnp.nan), 0.0]),
        rows[:1],
        np.zeros(1, int),
    )
    np.testing.assert_allclose(near.distance, 0.5, rtol=0.01)


def test_a_box_is_kept():
    images = np.clip(ROWS, -1, 1)
    labels = (images @ WEIGHT.T + BIAS).argmax(axis=1)
    found = adversarial_distance(linear, images, labels, low=-1.0, high=1.0)
    assert np.abs(found.found).max() <= 1 + 1e-6
    free = adversarial_distance(linear, images, labels)
    assert found.distance[np.isfinite(found.distance)].mean() > free.distance.mean()


def test_a_temperature_hides_nothing():
    """Logits a thousand times as large: cross-entropy has no gradient any more, the margin has."""
    found = adversarial_distance(lambda x: 1000.0 * linear(x), ROWS, LABELS)
    np.testing.assert_allclose(found.distance, adversarial_distance(linear, ROWS, LABELS).distance, rtol=0.02)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: adversarial_distance(linear, ROWS, LABELS[:3]), r"labels must be one a row, shape \(40,\)"),
        (lambda: adversarial_distance(linear, ROWS * np.nan, LABELS), "xs must be finite"),
        (lambda: adversarial_distance(lambda x: x[0], ROWS, LABELS), r"a row of >= 2 logits; got shape \(\)"),
        (
            lambda: adversarial_distance(lambda x: linear(x) * jnp.nan, ROWS, LABELS),
            "must be finite at every row; got nan",
        ),
        (
            lambda: adversarial_distance(lambda x: jnp.where(x[0] == ROWS[3, 0], jnp.inf, linear(x)), ROWS, LABELS),
            "logits must be finite at every row; got inf in row 3",
        ),
        (lambda: adversarial_distance(linear, ROWS, LABELS, num_steps=0), "num_steps must be an integer >= 1"),
        (lambda: adversarial_distance(linear, ROWS, LABELS, first=0.0), "first must be > 0"),
        (lambda: adversarial_distance(linear, ROWS, LABELS, low=1.0, high=1.0), "low must be below high"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
