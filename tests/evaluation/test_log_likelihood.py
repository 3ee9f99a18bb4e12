"""Held-out likelihood: arithmetic against closed forms, the Jacobian of coordinates, the bracket's ends."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from energax.core import FunctionEnergy
from energax.evaluation import energy_values, held_out
from energax.free_energy import Bracket


def a_bracket(**changes) -> Bracket:
    fields = {
        "low": 1.0,
        "high": 2.0,
        "forward": 1.2,
        "reverse": 1.8,
        "forward_error": 0.1,
        "reverse_error": 0.1,
        "spread": 0.6,
        "tolerance": 1.0,
        "crossed": False,
        "agree": True,
        "strict": True,
        "verdict": (),
    }
    return Bracket(**(fields | changes))


def test_whitened_gaussian_gives_the_likelihood_in_the_units_of_x():
    rng = np.random.default_rng(0)
    mean, factor = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0, 0], [0.3, 0.5, 0], [-1.0, 0.2, 3.0]])
    x = mean + rng.standard_normal((50, 3)) @ factor.T
    z = np.linalg.solve(factor, (x - mean).T).T
    log_det = np.log(np.diag(factor)).sum()
    scored = held_out(0.5 * np.sum(z**2, axis=1), 1.5 * math.log(2 * math.pi), dim=3, log_det=log_det)
    exact = -multivariate_normal(mean, factor @ factor.T).logpdf(x)
    assert scored.nll == pytest.approx(exact.mean(), rel=1e-12)
    assert scored.nll_se == pytest.approx(exact.std(ddof=1) / math.sqrt(50), rel=1e-12)
    wrong = held_out(0.5 * np.sum(z**2, axis=1), 1.5 * math.log(2 * math.pi), dim=3, log_det=-log_det)
    assert abs(wrong.nll - exact.mean()) > 2.0  # planted: the Jacobian with the wrong sign


def test_bits_per_dim():
    # Uniform on [0, 256)^4 in steps of 1: log density -4 log 256, that is 8 bits a dimension at bin width 1.
    levels = held_out(np.zeros(5), 4 * math.log(256.0), dim=4)
    assert levels.bits_per_dim == pytest.approx(8.0)
    # The same data scaled to [-1, 1): bins are 2/256 wide and the figure may not change.
    scaled = held_out(np.zeros(5), 4 * math.log(2.0), dim=4, bin_width=2 / 256)
    assert scaled.bits_per_dim == pytest.approx(8.0)
    assert levels.nll == pytest.approx(levels.bits_per_dim * 4 * math.log(2.0))


def test_errors_add_in_quadrature_and_bracket_carries_over():
    energies = np.array([1.0, 3.0, 2.0, 6.0])
    scored = held_out(energies, a_bracket(), dim=2, log_det=0.5)
    assert scored.nll == pytest.approx(3.0 + 0.5 + 1.2)
    assert scored.nll_bracket == pytest.approx((4.5, 5.5))
    assert scored.nll_se == pytest.approx(math.hypot(energies.std(ddof=1) / 2, 0.1))
    plain = held_out(energies, 1.2, log_z_error=0.1, dim=2, log_det=0.5)
    assert plain.nll_se == pytest.approx(scored.nll_se)
    assert held_out(energies, 1.2, dim=2).nll_bracket == pytest.approx((4.2, 4.2))
    assert scored.as_dict()["num"] == 4


@pytest.mark.parametrize("num", [1, 7, 8, 9, 17])
def test_energy_values_in_batches_equal_one_by_one(num):
    xs = np.random.default_rng(num).normal(size=(num, 2, 3)).astype(np.float32)
    energy = FunctionEnergy(lambda x: jnp.sum(jnp.sin(x)))
    values = energy_values(energy, xs, batch_size=8)
    np.testing.assert_allclose(values, np.sin(xs).sum(axis=(1, 2)), atol=2e-6)
    assert values.dtype == np.float64


def test_energy_values_compiles_one_shape():
    traces = []

    def energy(x):
        traces.append(1)
        return jnp.sum(x)

    counted = FunctionEnergy(energy)
    energy_values(counted, np.ones((25, 2), np.float32), batch_size=10)
    first = len(traces)
    energy_values(counted, np.ones((38, 2), np.float32), batch_size=10)
    assert len(traces) == first + 1  # the shape check of the door only


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"energies": np.array([1.0, np.nan]), "log_z": 0.0, "dim": 1}, "must be finite"),
        ({"energies": np.array([1.0]), "log_z": 0.0, "dim": 1}, "at least 2"),
        ({"energies": np.ones(3), "log_z": np.inf, "dim": 1}, "log_z must be finite"),
        ({"energies": np.ones(3), "log_z": 0.0, "dim": 0}, "dim must be"),
        ({"energies": np.ones(3), "log_z": 0.0, "dim": 1, "bin_width": 0.0}, "bin_width must be > 0"),
        ({"energies": np.ones(3), "log_z": 0.0, "dim": 1, "log_z_error": -1.0}, "log_z_error must be >= 0"),
        ({"energies": np.ones(3), "log_z": a_bracket(), "dim": 1, "log_z_error": 0.1}, "must be 0 with a bracket"),
    ],
)
def test_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        held_out(**arguments)


def test_energy_values_refuses_vectors():
    with pytest.raises(ValueError, match="scalar"):
        energy_values(lambda x: x, np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match="finite"):
        energy_values(FunctionEnergy(jnp.sum), jax.numpy.full((3, 2), jnp.nan))
