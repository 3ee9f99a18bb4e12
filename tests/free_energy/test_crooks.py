"""Work statistics: exact Gaussian answers by every reading, honest errors, wrong signs told."""

import numpy as np
import pytest

from energax.free_energy import bar, crooks
from free_energy.targets import gaussian_works
from judges import REPEATS, judge_error_bars, reach


def driven(rng, delta_f, dissipated, num):
    """Gaussian works that obey Crooks' theorem: variance twice the dissipation, in both directions."""
    noise = np.sqrt(2 * dissipated) * rng.normal(size=(2, num))
    return delta_f + dissipated + noise[0], -delta_f + dissipated + noise[1]


def test_gaussian_works_are_read_alike_by_all():
    found = crooks(*driven(np.random.default_rng(0), 3.0, 1.0, 20000))
    for value in (found.bar.delta_f, found.jarzynski_forward, found.jarzynski_reverse, found.crossing):
        assert value == pytest.approx(3.0, abs=0.1)
    assert abs(found.gaussian_forward - 3.0) < reach() * found.gaussian_errors[0]
    assert abs(found.gaussian_reverse - 3.0) < reach() * found.gaussian_errors[1]
    assert found.dissipation_forward == pytest.approx(1.0, abs=0.06)
    assert found.dissipation_reverse == pytest.approx(1.0, abs=0.06)


def test_works_between_gaussians_of_two_widths():
    forward, reverse, exact = gaussian_works(np.random.default_rng(1), 1.5, 20000, 10000)
    found = crooks(forward, reverse)
    assert found.bar == bar(forward, reverse)
    assert found.jarzynski_forward == pytest.approx(exact, abs=0.02)
    assert found.jarzynski_reverse == pytest.approx(exact, abs=0.02)
    assert found.mean_forward == pytest.approx(0.25, abs=0.02)  # E (k - 1) x^2 / 2
    assert found.mean_reverse == pytest.approx(-0.25 / 1.5, abs=0.02)
    # not Gaussian: mean - var / 2 is (k - 1)/2 - (k - 1)^2/4, and not Delta F
    assert abs(found.gaussian_forward - (0.25 - 0.0625)) < reach() * found.gaussian_errors[0]


def z_values(sign=1.0):
    rng, z = np.random.default_rng(2), []
    for _ in range(REPEATS):
        forward, reverse = driven(rng, 3.0, 1.0, 200)
        found = crooks(sign * forward, sign * reverse)
        z.append((found.gaussian_forward - 3.0) / found.gaussian_errors[0])
    return np.array(z)


def test_error_bars_are_honest():
    judge_error_bars(z_values())


def test_flipped_works_are_refused():
    with pytest.raises(ValueError, match=r"crooks: the mean forward and reverse work must sum to >= 0; got -"):
        z_values(-1.0)


def test_infinite_works_and_equal_states():
    found = crooks(np.array([0.0, 0.5, np.inf]), np.array([0.0, 0.5]))
    assert np.isfinite(found.bar.delta_f)
    assert found.mean_forward == np.inf
    assert np.isnan(found.gaussian_forward)
    assert np.isnan(found.crossing)
    still = crooks(np.full(5, 2.0), np.full(5, -2.0))
    assert still.gaussian_forward == 2.0
    assert np.isnan(still.crossing)


def test_bad_works_are_refused():
    with pytest.raises(ValueError, match=r"crooks.reverse must be finite or \+inf; got nan at index 1\."):
        crooks(np.array([0.0, 1.0]), np.array([0.0, np.nan]))
