"""Toys: densities that add up to one, samples that follow them, in random order, in unit scale."""

import numpy as np
import pytest

from energax.data import TOYS, Toy, toy
from energax.data.toy2d import Curve
from judges import reach

GRID = 400
CELLS = 20


def midpoints(density: Toy) -> tuple[np.ndarray, float]:
    """Midpoints `[GRID * GRID, 2]` of a grid over the box and the area of a cell."""
    low, high = density.box
    axis = low + (np.arange(GRID) + 0.5) * (high - low) / GRID
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2), ((high - low) / GRID) ** 2


@pytest.fixture(scope="module", params=TOYS)
def case(request) -> tuple[Toy, np.ndarray, np.ndarray]:
    """A toy, its probability in every fine cell `[GRID, GRID]`, and 20,000 samples."""
    density = toy(request.param)
    points, area = midpoints(density)
    mass = np.exp(density.log_prob(points)).reshape(GRID, GRID) * area
    return density, mass, density.sample(np.random.default_rng(7), 20_000)


def chi_square_excess(density: Toy, mass: np.ndarray, x: np.ndarray) -> float:
    """By how many standard deviations Pearson's statistic over coarse cells exceeds its mean; about N(0, 1)."""
    low, high = density.box
    fine = GRID // CELLS
    expected = mass.reshape(CELLS, fine, CELLS, fine).sum(axis=(1, 3)).ravel() * len(x)
    counts = np.histogram2d(x[:, 0], x[:, 1], bins=CELLS, range=[(low, high)] * 2)[0].ravel()
    big = expected >= 5
    # Sparse cells and all that lies outside the box are pooled into one.
    observed = np.append(counts[big], len(x) - counts[big].sum())
    expected = np.append(expected[big], max(len(x) - expected[big].sum(), 1.0))
    statistic = np.sum((observed - expected) ** 2 / expected)
    return float((statistic - big.sum()) / np.sqrt(2.0 * big.sum()))


def order_excess(x: np.ndarray) -> float:
    """Largest of the lag-1 and the halves statistics in standard errors, over coordinates and their squares."""
    features = np.concatenate([x, x**2], axis=1).astype(np.float64)
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    half = len(z) // 2
    lag = np.mean(z[1:] * z[:-1], axis=0) * np.sqrt(len(z))
    halves = (z[:half].mean(axis=0) - z[half:].mean(axis=0)) * np.sqrt(len(z) / 4)
    return float(np.abs([lag, halves]).max())


def test_density_integrates_to_one(case):
    _, mass, _ = case
    assert abs(mass.sum() - 1.0) < 1e-3


def test_samples_follow_density(case):
    density, mass, x = case
    assert x.dtype == np.float32
    assert x.shape == (20_000, 2)
    assert abs(chi_square_excess(density, mass, x)) < reach()


def test_judge_catches_samples_five_percent_too_wide(case):
    density, mass, x = case
    assert chi_square_excess(density, mass, 1.05 * x) > 8.0


def test_entropy_of_samples_is_that_of_the_grid(case):
    density, mass, x = case
    area = midpoints(density)[1]
    held = mass[mass > 0]
    log_p = density.log_prob(x)
    assert np.all(np.isfinite(log_p))
    standard_error = log_p.std() / np.sqrt(len(x))
    assert abs(log_p.mean() - np.sum(held * np.log(held / area))) < reach() * standard_error + 1e-4


def test_unit_scale(case):
    _, _, x = case
    square = np.sum(x.astype(np.float64) ** 2, axis=1) / 2.0
    assert abs(square.mean() - 1.0) < reach() * square.std() / np.sqrt(len(x))
    assert np.all(np.abs(x.mean(axis=0)) < reach() * x.std(axis=0) / np.sqrt(len(x)))


def test_samples_come_in_random_order(case):
    _, _, x = case
    assert order_excess(x) < reach()


def test_judge_catches_sorted_moons():
    x = toy("moons").sample(np.random.default_rng(0), 2000)
    assert order_excess(x[np.argsort(x[:, 1])]) > 20.0


def test_box_holds_nearly_all(case):
    density, _, x = case
    low, high = density.box
    assert np.mean((x < low).any(axis=1) | (x > high).any(axis=1)) < 1e-3


def test_same_stream_same_samples(case):
    density, _, x = case
    np.testing.assert_array_equal(x, density.sample(np.random.default_rng(7), 20_000))


@pytest.mark.parametrize("name", ["moons", "swissroll", "spirals"])
def test_quadrature_agrees_with_four_times_the_nodes(name, monkeypatch):
    density = toy(name)
    points = midpoints(density)[0][::53]
    plain = Curve.__init__

    def finer(self, *args, num_nodes, **rest):
        return plain(self, *args, num_nodes=4 * num_nodes, **rest)

    monkeypatch.setattr(Curve, "__init__", finer)
    reference = toy(name)
    assert np.abs(density.log_prob(points) - reference.log_prob(points)).max() < 1e-4
    assert abs(density.scale - reference.scale) < 1e-9


def test_modes_carry_equal_mass():
    """Each of the 25 Gaussians and of the 8 squares holds its share of samples, within 5 standard errors."""
    for name, k in (("gaussians25", 25), ("checkerboard", 8)):
        density = toy(name)
        assert density.modes.shape == (k, 2)
        x = density.sample(np.random.default_rng(3), 20_000)
        owner = np.argmin(np.sum((x[:, None] - density.modes) ** 2, axis=2), axis=1)
        share = np.bincount(owner, minlength=k) / len(x)
        assert np.abs(share - 1 / k).max() < reach() * np.sqrt(1 / k / len(x))


def test_pinwheel_modes_are_where_the_density_peaks():
    density = toy("pinwheel")
    top = density.log_prob(density.modes)
    for step in 0.02 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]):
        assert np.all(density.log_prob(density.modes + step) < top)


def test_checkerboard_is_minus_infinity_on_light_squares():
    density = toy("checkerboard")
    assert np.all(np.isneginf(density.log_prob(-density.modes[:, ::-1] * np.array([1.0, -1.0]))))
    assert np.isneginf(density.log_prob(np.array([[5.0, 5.0]])))[0]


BAD_CALLS = {
    "no such toy": lambda: toy("moon"),
    "count zero": lambda: toy("moons").sample(np.random.default_rng(0), 0),
    "count float": lambda: toy("moons").sample(np.random.default_rng(0), 2.0),
    "seed for a generator": lambda: toy("moons").sample(0, 2),
    "one point": lambda: toy("moons").log_prob(np.zeros(2)),
    "three axes": lambda: toy("moons").log_prob(np.zeros((2, 3))),
    "nan": lambda: toy("rings").log_prob(np.array([[0.0, np.nan]])),
    "text": lambda: toy("rings").log_prob(np.array([["a", "b"]])),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_refuses(call):
    with pytest.raises(ValueError, match=r"got|Did you mean 'moons'"):
        call()
