"""BAR: the root of Bennett's equation by brute force, exact Gaussian answers, honest errors, wrong signs told."""

import jax
import numpy as np
import pytest

from energax.core import GeometricPath
from energax.energies import Gaussian, standard_normal
from energax.free_energy import ais, bar, reverse_ais
from energax.samplers import MALA
from free_energy.targets import gaussian_works
from judges import REPEATS, judge_error_bars, reach


def brute_root(forward, reverse):
    """Bennett's eq. (12) as it is printed, on a grid, then by halving: no logarithm, no library."""
    ratio = np.log(len(forward) / len(reverse))

    def imbalance(d):
        return np.sum(1 / (1 + np.exp(ratio + forward - d))) - np.sum(1 / (1 + np.exp(-ratio + reverse + d)))

    grid = np.linspace(-20.0, 20.0, 401)
    at = int(np.argmax([imbalance(d) > 0 for d in grid]))
    low, high = grid[at - 1], grid[at]
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if imbalance(middle) > 0 else (middle, high)
    return low


@pytest.mark.parametrize(("k", "n_f", "n_r"), [(4.0, 300, 300), (0.3, 100, 900), (50.0, 1000, 20), (2.0, 2, 7)])
def test_it_is_the_root_of_bennetts_equation(k, n_f, n_r):
    forward, reverse, _ = gaussian_works(np.random.default_rng(0), k, n_f, n_r)
    assert bar(forward, reverse).delta_f == pytest.approx(brute_root(forward, reverse), abs=1e-9)


@pytest.mark.parametrize("k", [0.25, 1.0, 3.0, 25.0])
def test_gaussians_of_two_widths(k):
    forward, reverse, exact = gaussian_works(np.random.default_rng(1), k, 2000, 500)
    found = bar(forward, reverse)
    assert abs(found.delta_f - exact) <= reach() * found.std_error + 1e-12
    assert (found.num_forward, found.num_reverse) == (2000, 500)
    assert found.overlap == pytest.approx(overlap(k, 0.8), abs=0.05)
    turned = bar(reverse, forward)  # the states swapped
    assert turned.delta_f == pytest.approx(-found.delta_f, abs=1e-9)
    assert turned.std_error == pytest.approx(found.std_error, rel=1e-6)


def overlap(k, share):
    """Integral of p_0 p_1 / (share p_0 + (1 - share) p_1) by quadrature."""
    x = np.linspace(-12.0, 12.0, 40001)
    p, q = np.exp(-0.5 * x**2), np.sqrt(k) * np.exp(-0.5 * k * x**2)
    return np.sum(p * q / (share * p + (1 - share) * q + 1e-300)) * (x[1] - x[0]) / np.sqrt(2 * np.pi)


def z_values(k, n_f, n_r, change=lambda forward, reverse: (forward, reverse)):
    rng = np.random.default_rng(2)
    z = []
    for _ in range(REPEATS):
        forward, reverse, exact = gaussian_works(rng, k, n_f, n_r)
        found = bar(*change(forward, reverse))
        z.append((found.delta_f - exact) / found.std_error)
    return np.array(z)


@pytest.mark.parametrize(("k", "n_f", "n_r"), [(4.0, 200, 200), (4.0, 400, 100), (0.1, 150, 300)])
def test_error_bars_are_honest(k, n_f, n_r):
    judge_error_bars(z_values(k, n_f, n_r))


def test_the_judges_catch_planted_bugs():
    one_flipped = z_values(4.0, 200, 200, lambda forward, reverse: (forward, -reverse))
    with pytest.raises(AssertionError, match="judge_error_bars"):
        judge_error_bars(one_flipped)
    unlike = z_values(4.0, 400, 100, lambda forward, reverse: (forward, np.repeat(reverse, 4)))  # "n_R = n_F"
    with pytest.raises(AssertionError, match="scatter"):
        judge_error_bars(unlike)
    with pytest.raises(ValueError, match=r"bar: the mean forward and reverse work must sum to >= 0; got -"):
        z_values(4.0, 200, 200, lambda forward, reverse: (-forward, -reverse))


def test_far_states_and_huge_energies_neither_overflow_nor_underflow():
    rng = np.random.default_rng(3)
    forward, reverse = 5000.0 + rng.normal(size=50), 3000.0 + rng.normal(size=50)
    found = bar(forward, reverse)
    assert found.delta_f == pytest.approx(1000.0, abs=3.0)  # as far as either side can see
    assert found.overlap < 1e-6
    assert found.std_error > 10.0
    near = bar(1e6 + rng.normal(0, 1, 4000) + 0.5, -1e6 + rng.normal(0, 1, 4000) + 0.5)
    assert abs(near.delta_f - 1e6) < reach() * near.std_error


def test_points_outside_the_other_support_are_works_of_infinity():
    # from uniform on (0, 1) to uniform on (0, 1/4): log Z falls by log 4
    inside = np.random.default_rng(4).uniform(size=4000) < 0.25
    found = bar(np.where(inside, 0.0, np.inf), np.zeros(1000))
    assert abs(found.delta_f - np.log(4)) < reach() * found.std_error


def test_equal_states_have_no_error():
    found = bar(np.full(10, 2.5), np.full(30, -2.5))
    assert found.delta_f == pytest.approx(2.5, abs=1e-12)
    assert found.overlap == pytest.approx(1.0, abs=1e-12)
    assert found.std_error < 1e-7


@pytest.fixture(scope="module")
def runs():
    target = Gaussian(jax.numpy.zeros(1), jax.numpy.full(1, 0.5))
    path = GeometricPath(standard_normal(1), target)
    xs = jax.vmap(target.sample)(jax.random.split(jax.random.key(1), 200))
    settings = {"betas": np.linspace(0.0, 1.0, 6), "step_sizes": np.full(5, 0.2)}
    forward = ais(jax.random.key(0), path, MALA(0.2), num_chains=200, **settings)
    return forward, reverse_ais(jax.random.key(0), path, MALA(0.2), xs, start="exact", **settings)


def test_annealed_runs_are_works(runs):
    found = bar(*runs)
    assert abs(found.delta_f + 0.5 * np.log(2 * np.pi / 4)) < reach() * found.std_error  # the base is normalised
    assert found.std_error < 0.1
    with pytest.raises(ValueError, match=r"bar.forward must be a forward run; got a reverse run\."):
        bar(runs[1], runs[0])


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (np.zeros((2, 2)), "must be a vector of >= 2 works; got shape \\(2, 2\\)"),
        (np.zeros(1), "must be a vector of >= 2 works"),
        (np.array(["a", "b"]), "must be a vector of >= 2 works"),
        (np.array([0.0, np.nan]), "must be finite or \\+inf; got nan at index 1"),
        (np.array([-np.inf, 0.0]), "must be finite or \\+inf; got -inf at index 0"),
        (np.array([np.inf, np.inf]), "must hold a finite work"),
    ],
)
def test_bad_works_are_refused(forward, words):
    good = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match=f"bar.forward {words}"):
        bar(forward, good)
    with pytest.raises(ValueError, match=f"bar.reverse {words}"):
        bar(good, forward)
