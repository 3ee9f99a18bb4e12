"""Out-of-distribution sets: each is what its name says."""

import dataclasses

import numpy as np
import pytest

from energax.data import load, ood_sets
from energax.errors import DataError
from judges import reach

TRAIN, TEST = load("digits").split(0.2, seed=0)
SETS = ood_sets(TRAIN, TEST, seed=0)


def test_shapes_and_types():
    assert set(SETS) == {"upside-down", "blends", "gaussian-fit", "uniform", "shuffled-pixels", "inverted"}
    for x in SETS.values():
        assert x.shape == TEST.x.shape
        assert x.dtype == np.float32
        assert x.flags.c_contiguous


def test_flat_images_give_the_same_sets():
    flat = ood_sets(TRAIN.flattened(), TEST.flattened(), seed=0)
    for name, x in SETS.items():
        np.testing.assert_array_equal(flat[name], x.reshape(len(x), -1))


def test_deterministic_and_seeded():
    again, other = ood_sets(TRAIN, TEST, seed=0), ood_sets(TRAIN, TEST, seed=1)
    for name, x in SETS.items():
        np.testing.assert_array_equal(again[name], x)
        assert np.array_equal(other[name], x) == (name in ("upside-down", "inverted"))


def test_upside_down_twice_is_the_original():
    np.testing.assert_array_equal(SETS["upside-down"][:, ::-1], TEST.x)


def test_inverted_swaps_black_and_white():
    np.testing.assert_allclose(SETS["inverted"] + TEST.x, 0.0, atol=1e-6)


def test_shuffled_pixels_keep_each_images_levels():
    shuffled = SETS["shuffled-pixels"].reshape(len(TEST), -1)
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), np.sort(TEST.flat(), axis=1))
    orders = np.argsort(shuffled, axis=1)
    assert len(np.unique(orders, axis=0)) > 0.9 * len(TEST)


def test_blends_are_means_of_two_classes():
    partner = (2.0 * SETS["blends"] - TEST.x).reshape(len(TEST), -1)
    distance = np.abs(partner[:, None] - TEST.flat()[None]).max(axis=2)
    assert np.all(distance.min(axis=1) < 1e-5)
    assert np.all(TEST.y[distance.argmin(axis=1)] != TEST.y)


def test_gaussian_fit_has_the_moments_of_the_training_set():
    """20,000 draws: means within 4.5 standard errors, covariances within 5 (largest of 64 and of 2,080 entries)."""
    many = dataclasses.replace(TEST, x=np.repeat(TEST.x, 56, axis=0), y=np.repeat(TEST.y, 56))
    x = ood_sets(TRAIN, many, seed=2)["gaussian-fit"].reshape(len(many), -1).astype(np.float64)
    rows = TRAIN.flat().astype(np.float64)
    covariance = np.cov(rows.T, bias=True)
    variance = np.diag(covariance)
    mean_error = np.sqrt(variance / len(x)) + 1e-7
    assert np.all(np.abs(x.mean(axis=0) - rows.mean(axis=0)) < reach() * mean_error)
    error = np.sqrt((covariance**2 + np.outer(variance, variance)) / len(x)) + 1e-7
    assert np.all(np.abs(np.cov(x.T, bias=True) - covariance) < reach() * error)


def test_uniform_fills_the_range():
    x = SETS["uniform"]
    assert -1.0 <= x.min() < -0.99 < 0.99 < x.max() <= 1.0
    assert abs(x.mean()) < reach() * np.sqrt(1 / 3 / x.size)


def test_tables_have_shuffled_columns():
    train, test = load("wine").split(0.3, seed=0)
    sets = ood_sets(train, test, seed=0)
    assert set(sets) == {"blends", "gaussian-fit", "uniform", "shuffled-columns"}
    np.testing.assert_array_equal(np.sort(sets["shuffled-columns"], axis=0), np.sort(test.x, axis=0))
    assert not np.array_equal(sets["shuffled-columns"], test.x)


def test_blends_without_labels_never_pair_a_sample_with_itself():
    train, test = load("moons", n_train=100).split(0.3, seed=0)
    partner = 2.0 * ood_sets(train, test, seed=0)["blends"] - test.x
    assert np.all(np.abs(partner - test.x).max(axis=1) > 1e-6)


def test_blends_of_one_class_pair_it_with_itself():
    threes = TEST.only_class(3)
    partner = 2.0 * ood_sets(TRAIN, threes, seed=0)["blends"] - threes.x
    assert np.all(np.abs(partner - threes.x).reshape(len(threes), -1).max(axis=1) > 1e-6)


BAD = {
    "seed": lambda: ood_sets(TRAIN, TEST, -1),
    "layouts differ": lambda: ood_sets(TRAIN.flattened(), TEST, 0),
    "one sample": lambda: ood_sets(TRAIN, TEST.subset(np.array([0])), 0),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_refuses(call):
    with pytest.raises((DataError, ValueError), match="got"):
        call()
