"""The stream: exact epochs, a pure function of (seed, step), the same in chunks and over hosts."""

import numpy as np
import pytest

from energax.data import Batches
from judges import reach


def stream(n: int = 10, batch_size: int = 4, seed: int = 0, **rest) -> Batches:
    x = np.arange(n, dtype=np.int64)
    return Batches({"x": x, "twice": np.stack([x, 2 * x], axis=1)}, batch_size, seed, **rest)


def visits_exactly(order: np.ndarray, n: int) -> bool:
    """Whether every whole epoch of a sequence of sample numbers holds each of the n samples once."""
    epochs = order[: len(order) // n * n].reshape(-1, n)
    return bool(np.all(np.sort(epochs, axis=1) == np.arange(n)))


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (10, 5), (10, 10), (7, 3), (1, 1), (13, 1)])
def test_epochs_are_exact(n, batch_size):
    batches = stream(n, batch_size)
    order = np.concatenate([batches.batch(step)["x"] for step in range(3 * n)])
    assert visits_exactly(order, n)


def test_judge_catches_a_stream_that_drops_the_last_batch():
    rng = np.random.default_rng(0)
    dropped = np.concatenate([rng.permutation(10)[:8] for _ in range(20)])
    assert not visits_exactly(dropped, 10)


def test_epochs_differ_and_seeds_differ():
    one = stream(50, 50)
    assert not np.array_equal(one.batch(0)["x"], one.batch(1)["x"])
    assert not np.array_equal(one.batch(0)["x"], stream(50, 50, seed=1).batch(0)["x"])


def test_pure_function_of_seed_and_step():
    asked = stream()
    for step in (17, 3, 900, 0, 17, 4):  # any order, any history
        np.testing.assert_array_equal(asked.batch(step)["x"], stream().batch(step)["x"])


def test_chunk_is_stacked_batches():
    batches = stream(13, 5)
    for start, num in ((0, 1), (2, 7), (11, 3)):
        chunk = batches.chunk(start, num)
        for name in ("x", "twice"):
            expected = np.stack([batches.batch(start + i)[name] for i in range(num)])
            np.testing.assert_array_equal(chunk[name], expected)


def test_rows_of_all_arrays_stay_together():
    batch = stream().batch(5)
    np.testing.assert_array_equal(batch["twice"], np.stack([batch["x"], 2 * batch["x"]], axis=1))


@pytest.mark.parametrize("hosts", [1, 2, 3, 6])
def test_host_slices_partition_the_single_host_batch(hosts):
    whole = stream(20, 6)
    parts = [stream(20, 6, host=host, hosts=hosts) for host in range(hosts)]
    for step in (0, 3, 8):
        together = np.concatenate([part.batch(step)["x"] for part in parts])
        np.testing.assert_array_equal(together, whole.batch(step)["x"])
    together = np.concatenate([part.chunk(2, 4)["x"] for part in parts], axis=1)
    np.testing.assert_array_equal(together, whole.chunk(2, 4)["x"])


def test_every_sample_is_equally_likely_at_every_place():
    """Counts of (place, sample) over 4,000 epochs of 6: chi-square with 25 degrees of freedom, within 4 sd."""
    batches = stream(6, 6)
    orders = batches.chunk(0, 4000)["x"]
    counts = np.stack([np.bincount(orders[:, place], minlength=6) for place in range(6)])
    statistic = np.sum((counts - 4000 / 6) ** 2 / (4000 / 6))
    assert abs(statistic - 25) < reach() * np.sqrt(50)


def test_epoch_and_steps_per_epoch():
    batches = stream(10, 4)
    assert batches.steps_per_epoch == 3
    assert [batches.epoch(step) for step in range(6)] == [0, 0, 0, 1, 1, 2]


def test_golden_stream():
    """The stream of a seed is part of what a checkpoint relies on; it may not change between versions."""
    assert stream(10, 10, seed=0).chunk(0, 2)["x"].tolist() == GOLDEN


GOLDEN = [[0, 2, 9, 1, 8, 5, 4, 3, 6, 7], [5, 3, 7, 8, 2, 4, 1, 0, 6, 9]]


X = {"x": np.arange(10)}
BAD = {
    "no arrays": lambda: Batches({}, 1, 0),
    "a list": lambda: Batches([np.arange(3)], 1, 0),
    "an array of lists": lambda: Batches({"x": [1, 2]}, 1, 0),
    "objects": lambda: Batches({"x": np.array([None, 1])}, 1, 0),
    "a scalar": lambda: Batches({"x": np.array(1.0)}, 1, 0),
    "two lengths": lambda: Batches({"x": np.arange(3), "y": np.arange(4)}, 1, 0),
    "empty": lambda: Batches({"x": np.zeros((0, 2))}, 1, 0),
    "batch of zero": lambda: Batches(X, 0, 0),
    "batch negative": lambda: Batches(X, -2, 0),
    "batch too large": lambda: Batches(X, 11, 0),
    "batch a float": lambda: Batches(X, 2.0, 0),
    "batch a boolean": lambda: Batches(X, True, 0),
    "seed negative": lambda: Batches(X, 2, -1),
    "seed a float": lambda: Batches(X, 2, 0.5),
    "seed huge": lambda: Batches(X, 2, 2**63),
    "host beyond": lambda: Batches(X, 2, 0, host=1),
    "hosts zero": lambda: Batches(X, 2, 0, hosts=0),
    "hosts do not divide": lambda: Batches(X, 3, 0, hosts=2),
    "step negative": lambda: Batches(X, 2, 0).batch(-1),
    "step a float": lambda: Batches(X, 2, 0).batch(1.0),
    "chunk of none": lambda: Batches(X, 2, 0).chunk(0, 0),
    "chunk before the start": lambda: Batches(X, 2, 0).chunk(-1, 2),
    "epoch negative": lambda: Batches(X, 2, 0).epoch(-1),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_refuses(call):
    with pytest.raises(ValueError, match=r"Batches\.\w+.* must .*; got "):
        call()
