"""The replay buffer: same slots, true restarts, ages, and nothing that is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.samplers import ReplayBuffer, finite_rows
from judges import judge_slots


def labelled(size=16):
    return ReplayBuffer.create(jnp.stack([jnp.arange(float(size)), jnp.zeros(size)], 1))


@pytest.mark.parametrize("num", [5, 16])
def test_walkers_go_back_to_their_slots(num):
    judge_slots(
        jax.jit(lambda b, key: b.draw(key, num)),
        jax.jit(lambda b, s, x, a: b.write(s, x, a)[0]),
        labelled(),
        num_turns=30,
    )


def test_no_slot_is_drawn_twice_and_all_are_drawn():
    buffer, seen = labelled(), set()
    draw = jax.jit(lambda key: buffer.draw(key, 5)[0])
    for seed in range(30):
        slots = np.asarray(draw(jax.random.key(seed)))
        assert len(set(slots.tolist())) == 5
        seen |= set(slots.tolist())
    assert seen == set(range(16))


def test_ages_count_turns_since_the_restart():
    buffer = labelled()
    slots, xs, ages = buffer.draw(jax.random.key(0), 16)
    buffer, _ = buffer.write(slots, xs, ages, num_turns=3)
    np.testing.assert_array_equal(buffer.ages.states, 3)
    slots, xs, ages = buffer.draw(jax.random.key(0), 16)
    again = ReplayBuffer.restart(jax.random.key(1), xs, ages, jnp.full_like(xs, -1.0), 0.5)
    np.testing.assert_array_equal(again.ages == 0, again.fresh)
    np.testing.assert_array_equal(again.xs[again.fresh], -1.0)
    np.testing.assert_array_equal(again.xs[~again.fresh], xs[~again.fresh])
    assert 0 < int(again.fresh.sum()) < 16


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (1.0, 16)])
def test_restart_rates(rate, expected):
    slots, xs, ages = labelled().draw(jax.random.key(0), 16)
    assert slots.shape == (16,)
    assert int(ReplayBuffer.restart(jax.random.key(1), xs, ages, xs, rate).fresh.sum()) == expected


def test_rows_that_are_not_finite_never_enter():
    """A peer's buffer keeps them and they spread: 5 became 59 in 60 steps."""
    buffer = labelled()
    slots, xs, ages = buffer.draw(jax.random.key(0), 5)
    kept = buffer.samples.states[slots]
    buffer, evicted = buffer.write(slots, xs.at[1, 1].set(jnp.nan).at[3, 0].set(jnp.inf) + 1.0, ages)
    assert int(evicted) == 2
    assert bool(jnp.all(finite_rows(buffer.samples.states)))
    np.testing.assert_array_equal(buffer.samples.states[slots[1]], kept[1])
    np.testing.assert_array_equal(buffer.samples.states[slots[0]], kept[0] + 1.0)
    np.testing.assert_array_equal(buffer.ages.states[slots], [1, 0, 1, 0, 1])


def test_samples_may_be_trees():
    buffer = ReplayBuffer.create({"a": jnp.zeros((4, 2)), "b": jnp.zeros((4, 2, 2))})
    slots, xs, ages = buffer.draw(jax.random.key(0), 2)
    buffer, evicted = buffer.write(slots, jax.tree.map(lambda leaf: leaf + 1.0, xs), ages)
    assert float(buffer.samples.states["b"].sum()) == 8.0
    assert int(evicted) == 0


def test_refusals():
    buffer = labelled()
    for call, message in (
        (lambda: ReplayBuffer.create(jnp.full((3, 2), jnp.nan)), "xs must be finite"),
        (lambda: ReplayBuffer.create({"a": jnp.zeros((3, 1)), "b": jnp.zeros((4, 1))}), "as many rows; got 3 and 4"),
        (lambda: buffer.draw(jax.random.key(0), 17), "must be <= the buffer's size 16; got 17"),
        (lambda: buffer.draw(jax.random.key(0), 0), "must be an integer >= 1; got 0"),
        (
            lambda: ReplayBuffer.restart(
                jax.random.key(0), jnp.zeros((2, 1)), jnp.zeros(2, int), jnp.ones((2, 1)), 1.5
            ),
            "rate must lie",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
