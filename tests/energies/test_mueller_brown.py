"""The Mueller-Brown surface: critical points, reference values of another program, another cut of the plane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import MuellerBrown, mueller_brown_exact, quadrature_exact

REFERENCE = {
    0.02: (2.684728496367129, -51.230802748662796, [0.579656518311241, 0.1984670183158316, 0.22187646337292727]),
    0.05: (5.366133242308795, -113.41362696804195, [0.8050464474402058, 0.1281882396231657, 0.06676531293662862]),
    0.1: (11.729590558342263, -134.93404405009855, [0.974377490592466, 0.022390200106050438, 0.0032323093014834177]),
}
MEANS = {0.02: [-0.49813966, 0.8948091], 0.05: [-0.42489368, 1.16508617], 0.1: [-0.54366443, 1.39451223]}


def test_critical_points():
    with jax.enable_x64(True):
        points = jnp.concatenate([jnp.asarray(MuellerBrown.minima), jnp.asarray(MuellerBrown.saddles)])
        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(MuellerBrown())))(points)
        bends = np.linalg.eigvalsh(jax.jit(jax.vmap(jax.jacfwd(jax.grad(MuellerBrown()))))(points))
    np.testing.assert_allclose(slopes, 0.0, atol=1e-8)
    heights = [-146.699517209954, -108.16672411685235, -80.76781812965903, -40.6648435086574, -72.24894011232522]
    np.testing.assert_allclose(values, heights, rtol=1e-12)
    assert ((bends < 0).sum(1) == [0, 0, 0, 1, 1]).all()


@pytest.mark.parametrize("beta", REFERENCE)
def test_reference(beta):
    log_z, energy, basins = REFERENCE[beta]
    exact = mueller_brown_exact(beta)
    np.testing.assert_allclose(exact.log_z, log_z, atol=1e-8)
    np.testing.assert_allclose(exact.energy, energy, rtol=1e-8)
    np.testing.assert_allclose(exact.basins, basins, atol=1e-8)
    np.testing.assert_allclose(exact.mean, MEANS[beta], atol=1e-7)


def test_the_plane_in_its_own_coordinates():
    found = quadrature_exact(0.05 * MuellerBrown(), ((-6.0, 4.0), (-4.0, 6.0)), 600)
    np.testing.assert_allclose(found.log_z, mueller_brown_exact(0.05).log_z, atol=1e-8)
    np.testing.assert_allclose(found.mean, MEANS[0.05], atol=1e-7)
    assert found.change < 1e-6


def test_refusals():
    with pytest.raises(ValueError, match=r"beta must lie in \[0.01, 1\]; got 2.0"):
        mueller_brown_exact(2.0)
    with pytest.raises(ValueError, match="beta must be > 0"):
        mueller_brown_exact(-1.0)
    with pytest.raises(ValueError, match="x must be ONE sample"):
        MuellerBrown()(jnp.zeros(3))
