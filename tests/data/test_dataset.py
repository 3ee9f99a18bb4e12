"""Data sets: what they hold, how they are split, what is refused."""

import numpy as np
import pytest

from energax.data import Dataset, load
from energax.errors import DataError
from judges import reach


def make(x=None, y=None, **rest) -> Dataset:
    x = np.arange(40.0).reshape(20, 2) if x is None else x
    return Dataset("made", x, y, 0.0, 40.0, "here", "CC0", **rest)


def labelled() -> Dataset:
    return make(y=np.repeat([0, 1, 7], [10, 7, 3]))


def identity(data: Dataset) -> set[float]:
    return set(data.x[:, 0].tolist())


@pytest.mark.parametrize("holdout", [0.05, 0.2, 0.5, 0.93])
@pytest.mark.parametrize("data", [make(), labelled()], ids=["plain", "labelled"])
def test_split_is_disjoint_and_whole(data, holdout):
    train, test = data.split(holdout, seed=3)
    assert identity(train).isdisjoint(identity(test))
    assert identity(train) | identity(test) == identity(data)
    assert len(test) == int(np.ceil(holdout * 20 - 1e-9))


def test_split_is_deterministic_and_follows_the_seed():
    data = load("digits")
    first, again, other = (data.split(0.2, seed=s)[1].x for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_split_is_stratified():
    data = load("digits")
    train, test = data.split(0.2, seed=0)
    assert (len(train), len(test)) == (1437, 360)
    counts = np.bincount(data.y)
    assert np.all(np.abs(np.bincount(test.y) - counts * 360 / 1797) < 1.0)
    np.testing.assert_array_equal(np.bincount(train.y) + np.bincount(test.y), counts)


def test_split_is_random_within_a_class():
    """Which of 10 equal samples is held out is uniform over 2,000 seeds: each count within 5 standard deviations."""
    held = np.concatenate([make(np.eye(10) * 9).split(0.1, seed=s)[1].x.argmax(axis=1) for s in range(2000)])
    assert np.abs(np.bincount(held, minlength=10) - 200).max() < reach() * np.sqrt(200 * 0.9)


def test_classes_can_be_left_out():
    data = labelled()
    assert data.classes.tolist() == [0, 1, 7]
    assert data.without_class(1).classes.tolist() == [0, 7]
    assert data.only_class(1).classes.tolist() == [1]
    assert len(data.without_class(1)) + len(data.only_class(1)) == len(data)


def test_images_and_flat_rows():
    data = make(np.zeros((4, 3, 2, 1)))
    assert data.is_image
    assert data.dim == 6
    flat = data.flattened()
    assert flat.x.shape == (4, 6)
    assert flat.image_shape == (3, 2, 1)
    assert not flat.is_image
    assert set(labelled().arrays()) == {"x", "y"}
    assert set(make().arrays()) == {"x"}


def test_arrays_are_read_only_and_the_callers_are_not():
    x = np.zeros((3, 2), np.float32)
    data = make(x)
    with pytest.raises(ValueError, match="read-only"):
        data.x[0] = 1.0
    x[0] = 1.0


BAD = {
    "a list": lambda: make([[1.0], [2.0]]),
    "rank one": lambda: make(np.zeros(3)),
    "empty": lambda: make(np.zeros((0, 2))),
    "no columns": lambda: make(np.zeros((3, 0))),
    "nan": lambda: make(np.array([[np.nan], [1.0]])),
    "infinite": lambda: make(np.array([[np.inf], [1.0]])),
    "objects": lambda: make(np.array([[None], [1]])),
    "texts": lambda: make(np.array([["a"], ["b"]])),
    "complex": lambda: make(np.zeros((2, 2), complex)),
    "labels short": lambda: make(y=np.zeros(3, int)),
    "labels float": lambda: make(y=np.zeros(20)),
    "range reversed": lambda: Dataset("r", np.zeros((2, 2)), None, 1.0, 0.0, "", ""),
    "range nan": lambda: Dataset("r", np.zeros((2, 2)), None, float("nan"), 0.0, "", ""),
    "image shape": lambda: make(image_shape=(3, 3, 1)),
    "holdout zero": lambda: make().split(0.0, 0),
    "holdout one": lambda: make().split(1.0, 0),
    "holdout nan": lambda: make().split(float("nan"), 0),
    "holdout text": lambda: make().split("0.2", 0),
    "holdout everything": lambda: make(np.zeros((1, 2))).split(0.5, 0),
    "seed negative": lambda: make().split(0.5, -1),
    "seed float": lambda: make().split(0.5, 1.0),
    "class without labels": lambda: make().without_class(0),
    "class unknown": lambda: labelled().without_class(3),
    "subset empty": lambda: make().subset(np.array([], int)),
    "subset beyond": lambda: make().subset(np.array([20])),
    "subset negative": lambda: make().subset(np.array([-1])),
    "subset mask": lambda: make().subset(np.ones(20, bool)),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_refuses(call):
    with pytest.raises((DataError, ValueError), match="got"):
        call()
