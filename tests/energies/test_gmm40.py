"""Forty modes and a ring: moments and entropies computed elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import gaussian_ring, gmm40, quadrature_exact
from judges import reach

MOMENTS = {
    "torch": ([-2.1405129432678223, 1.2400382995605468], [441.8165146074392, 171.21688363083797, 623.4339110309037]),
    "jax": ([4.575893259048462, 4.428065824508667], [466.72662465845434, -127.2972037982237, 552.4954926765452]),
    "jax partitionable": ([0.4065682888, 4.64366393089], [476.8029608002725, 2.9335387056479174, 521.667663018848]),
}


@pytest.mark.parametrize("means", MOMENTS)
def test_moments(means):
    mixture = gmm40(means)
    centres, variance = np.asarray(mixture.means, np.float64), float(mixture.inverse_scales[0, 0]) ** -2.0
    mean, upper = MOMENTS[means]
    np.testing.assert_allclose(centres.mean(0), mean, rtol=1e-6)
    covariance = np.cov(centres.T, bias=True) + variance * np.eye(2)
    np.testing.assert_allclose(covariance[np.triu_indices(2)], upper, rtol=1e-6)
    np.testing.assert_allclose(mixture.log_z(), 0.0, atol=1e-5)


def test_forty_modes_by_quadrature_and_by_samples(key):
    found = quadrature_exact(gmm40(), ((-50.0, 50.0),) * 2, 400)
    np.testing.assert_allclose(found.log_z, 0.0, atol=1e-5)
    np.testing.assert_allclose(found.energy, 6.859468829329955, rtol=2e-6)  # the entropy, since log Z = 0
    np.testing.assert_allclose(found.mean, MOMENTS["torch"][0], atol=1e-4)
    xs = np.asarray(jax.vmap(gmm40().sample)(jax.random.split(key, 20_000)), np.float64)
    assert np.all(np.abs(xs.mean(0) - found.mean) < reach() * xs.std(0) / np.sqrt(len(xs)))


def test_ring():
    ring = gaussian_ring()
    found = quadrature_exact(ring, ((-9.0, 9.0),) * 2, observe=lambda x: np.sum(x**2, 1))
    np.testing.assert_allclose([found.log_z, float(ring.log_z())], 2.5310242469692907, rtol=1e-6)
    np.testing.assert_allclose(found.observed, 16.5, rtol=1e-6)
    np.testing.assert_allclose(found.energy + found.log_z, 3.524725541086428, rtol=1e-6)
    x = jnp.array([3.0, 1.0])
    centres = 4.0 * jnp.stack([jnp.cos(jnp.arange(8.0) * jnp.pi / 4), jnp.sin(jnp.arange(8.0) * jnp.pi / 4)], 1)
    naive = -jax.nn.logsumexp(-2.0 * jnp.sum((x[None] - centres) ** 2, 1))
    np.testing.assert_allclose(ring(x), naive, rtol=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="scale must be > 0"):
        gaussian_ring(scale=0.0)
    with pytest.raises(ValueError, match="modes must be an integer >= 1"):
        gaussian_ring(0)
