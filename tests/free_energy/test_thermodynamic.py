"""Thermodynamic integration: exact Gaussian answers, honest errors over chains, drift and planted bugs told."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import GeometricPath, Tempered
from energax.energies import standard_normal
from energax.free_energy import thermodynamic_integration
from energax.samplers import HMC, MALA, ULA
from free_energy.targets import TARGETS, quartic
from judges import REPEATS, judge_error_bars, reach

TI = importlib.import_module("energax.free_energy.thermodynamic")
CHAINS = 32


def gaussian_path(k):
    """From N(0, 1) to energy k x^2 / 2, whose log Z is log(2 pi / k) / 2: Delta F = log(k / 2 pi) / 2."""
    return GeometricPath(standard_normal(1), quartic(0.0, [0.5 * k], [0.0], 0.0))


def exact(k):
    return 0.5 * np.log(k / (2 * np.pi))


@pytest.mark.parametrize("sampler", [MALA(0.5), HMC(0.3, 4)], ids=["mala", "hmc"])
def test_gaussians_of_two_widths(sampler):
    found = thermodynamic_integration(jax.random.key(0), gaussian_path(4.0), sampler)
    assert abs(found.delta_f - exact(4.0)) < reach(freedom=63) * found.std_error
    assert 0 < found.std_error < 0.02
    assert abs(found.drift) < reach(freedom=63)
    # the slope at s is known: E[(k - 1) x^2 / 2] - log(2 pi) / 2 under the variance 1 / (1 + 3 s)
    slopes = 1.5 / (1 + 3 * found.nodes) - 0.5 * np.log(2 * np.pi)
    assert np.all(np.abs(found.slopes - slopes) < reach(12, freedom=63) * found.slope_errors)
    assert 0.4 < found.acceptance.min() <= found.acceptance.max() <= 1.0
    assert found.chain_values.mean() == pytest.approx(found.delta_f)
    # the integral of what was measured, to rounding: an error of the rule hides behind no error bar
    nodes, weights = np.polynomial.legendre.leggauss(len(found.nodes))
    np.testing.assert_allclose(found.nodes, 0.5 * (nodes + 1.0), atol=1e-7)
    assert found.delta_f == pytest.approx(0.5 * weights @ found.slopes, rel=1e-6)


def test_a_double_well():
    target = TARGETS["double well"]
    found = thermodynamic_integration(jax.random.key(1), target.path, MALA(0.3))
    assert abs(found.delta_f + target.log_z) < reach(freedom=63) * found.std_error


def z_values(num_draws=20, burn_in=20, step_size=0.6, groups=REPEATS):
    """z of 400 independent runs from one compile: all their chains at once, in groups."""
    nodes, weights = TI._gauss_legendre(6)
    first, second = jax.random.split(jax.random.key(2))
    halves, acceptance = TI._walk(
        first, second, gaussian_path(4.0), MALA(jnp.float32(step_size)), jnp.asarray(nodes, jnp.float32), None,
        REPEATS * CHAINS, num_draws, burn_in,
    )  # fmt: skip
    parts = np.split(np.asarray(halves, np.float64), groups, axis=2)
    runs = [TI._summarise(nodes, weights, group, np.asarray(acceptance), num_draws) for group in parts]
    return np.array([(run.delta_f - exact(4.0)) / run.std_error for run in runs]), np.array([r.drift for r in runs])


@pytest.fixture(scope="module")
def honest():
    return z_values()


def test_error_bars_are_honest(honest):
    z, drift = honest
    judge_error_bars(z, freedom=CHAINS - 1)
    judge_error_bars(drift, freedom=CHAINS - 1)


def test_the_drift_tells_of_chains_that_lag_behind(honest):
    z, drift = z_values(burn_in=1, step_size=0.02, groups=1)
    assert z[0] > reach()  # still wide where the path is narrow: slopes too steep
    assert abs(drift[0]) > reach()


BUGS = {
    "sign of the slope": ("slope", lambda slope: lambda path, s, xs: -slope(path, s, xs)),
    "moved at a wrong temperature": (
        "advance", lambda advance: lambda key, kernel, energy, chains, num: advance(
            key, kernel, Tempered(energy, 0.7), chains, num)),
    "slope of another s": ("slope", lambda slope: lambda path, s, xs: slope(path, s, 0.9 * xs)),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_the_judge_catches(name, monkeypatch):
    attribute, plant = BUGS[name]
    monkeypatch.setattr(TI, attribute, plant(getattr(TI, attribute)))
    monkeypatch.setattr(TI, "_walk", TI._walk.__wrapped__)  # nothing compiled before the bug is reused
    with pytest.raises(AssertionError, match="judge_error_bars"):
        judge_error_bars(z_values()[0], freedom=CHAINS - 1)


def test_bad_input_is_refused_before_anything_is_compiled():
    key, path = jax.random.key(0), gaussian_path(4.0)
    for given, words in (
        ({"num_nodes": 1}, r"num_nodes must be an integer >= 2; got 1\."),
        ({"num_draws": 1}, r"num_draws must be an integer >= 2; got 1\."),
        ({"burn_in": 0}, r"burn_in must be an integer >= 1; got 0\."),
        ({"num_chains": 1}, r"num_chains must be an integer >= 2; got 1\."),
        ({"pilot_chains": 3}, r"pilot_chains must be an integer >= 8; got 3\."),
    ):
        with pytest.raises(ValueError, match=f"thermodynamic_integration.{words}"):
            thermodynamic_integration(key, path, MALA(0.1), **given)
    with pytest.raises(ValueError, match="must leave every temperature's density exactly invariant"):
        thermodynamic_integration(key, path, ULA(0.1))


def test_a_slope_that_is_no_number_is_not_hidden():
    path = GeometricPath(standard_normal(1), quartic(np.nan, [1.0], [0.0], 0.0))
    found = thermodynamic_integration(jax.random.key(0), path, MALA(0.1), pilot_chains=0, num_nodes=2, num_draws=2)
    assert not np.isfinite(found.delta_f)
