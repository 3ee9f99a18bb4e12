"""Free energy perturbation: exact Gaussian answers in both directions, honest bootstrap errors, wrong signs told."""

import jax
import numpy as np
import pytest

from energax.free_energy import perturbation
from free_energy.targets import gaussian_works
from judges import REPEATS, judge_error_bars, reach

KEY = jax.random.key(0)


@pytest.mark.parametrize("k", [0.7, 1.0, 1.6])
def test_gaussians_of_two_widths_both_ways(k):
    forward, reverse, exact = gaussian_works(np.random.default_rng(0), k, 4000, 3000)
    ahead, back = perturbation(KEY, forward), perturbation(KEY, reverse, direction="reverse")
    for found, num in ((ahead, 4000), (back, 3000)):
        assert abs(found.delta_f - exact) <= reach() * found.std_error + 1e-12
        assert found.interval[0] <= found.delta_f <= found.interval[1]
        assert found.num_works == num
    # effective works of N(0,1) seen from N(0,1/k): n (E w)^2 / E w^2 = n sqrt(2k - 1) / k
    assert ahead.ess == pytest.approx(4000 * np.sqrt(2 * k - 1) / k, rel=0.15)
    assert perturbation(KEY, forward) == ahead  # a key is a run


def z_values(direction, sign=1.0):
    rng, z = np.random.default_rng(1), []
    for _ in range(REPEATS):
        forward, reverse, exact = gaussian_works(rng, 1.6, 400, 400)
        found = perturbation(KEY, sign * (forward if direction == "forward" else reverse), direction=direction)
        z.append((found.delta_f - exact) / found.std_error)
    return np.array(z)


def test_error_bars_are_honest():
    # forward only: from the narrow to the wide the weights have a heavy tail, and no bootstrap sees what was not drawn
    judge_error_bars(z_values("forward"), bias=0.1)  # Jensen's, in error bars


def test_the_judge_catches_a_flipped_work():
    assert abs(z_values("forward", -1.0).mean()) > 5
    forward, _, exact = gaussian_works(np.random.default_rng(1), 1.6, 400, 400)
    wrong_way = perturbation(KEY, forward, direction="reverse")
    assert abs(wrong_way.delta_f - exact) > 5 * wrong_way.std_error


def test_a_hopeless_direction_shows_only_beside_the_other_one():
    # N(0, 1) -> N(0, 100^2) from the narrow side: what matters was never drawn, and effective works do not tell
    forward, reverse, exact = gaussian_works(np.random.default_rng(2), 1e-4, 2000, 20000)
    ahead, back = perturbation(KEY, forward), perturbation(KEY, reverse, direction="reverse")
    assert ahead.ess > 100
    assert ahead.delta_f - exact > 20 * ahead.std_error  # biased high, as the docstring says
    assert abs(back.delta_f - exact) < reach() * back.std_error


def test_weights_of_zero_and_huge_energies():
    inside = np.random.default_rng(3).uniform(size=4000) < 0.25
    found = perturbation(KEY, np.where(inside, 1e5, np.inf))
    assert abs(found.delta_f - 1e5 - np.log(4)) < reach() * found.std_error
    assert found.ess == pytest.approx(inside.sum())
    lonely = perturbation(KEY, np.array([0.0, np.inf, np.inf]))
    assert lonely.std_error == np.inf
    assert lonely.interval[1] == np.inf
    assert perturbation(KEY, np.array([0.0, np.inf, np.inf]), direction="reverse").interval[0] == -np.inf


def test_bad_input_is_refused():
    works = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match=r"perturbation.work must be finite or \+inf; got nan at index 0\."):
        perturbation(KEY, np.array([np.nan, 1.0]))
    with pytest.raises(ValueError, match=r"perturbation.direction must be one of forward, reverse; got 'up'\."):
        perturbation(KEY, works, direction="up")
    with pytest.raises(ValueError, match=r"perturbation.num_resamples must be an integer >= 50; got 3\."):
        perturbation(KEY, works, num_resamples=3)
    with pytest.raises(ValueError, match="must be a vector of >= 2 works"):
        perturbation(KEY, works[:1])
