"""The algebra of energies, paths between them, and densities read as energies."""

import jax
import jax.numpy as jnp
import pytest

from energax.core import (
    AbstractDensity,
    AbstractEnergy,
    FunctionEnergy,
    GeometricPath,
    freeze,
    score,
)


class Tilted(AbstractEnergy):
    """slope . x + cond . x"""

    slope: jax.Array

    def __call__(self, x, cond=None):
        return jnp.dot(self.slope, x) + (0.0 if cond is None else jnp.dot(cond, x))


class Normal(AbstractDensity):
    """N(0, 1) in every coordinate."""

    dim: int

    def sample(self, key):
        return jax.random.normal(key, (self.dim,))

    def log_prob(self, x):
        return -0.5 * jnp.sum(x**2) - 0.5 * self.dim * jnp.log(2 * jnp.pi)


X = jnp.array([0.5, -2.0])
A = Tilted(jnp.array([1.0, 3.0]))
B = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))


def test_sum_is_the_product_of_experts():
    assert jnp.allclose((A + B)(X), A(X) + B(X))
    assert jnp.allclose((A + B + A)(X), 2 * A(X) + B(X))


def test_beta_multiplies_and_a_negative_one_is_refused():
    assert jnp.allclose((0.25 * A)(X), 0.25 * A(X))
    assert (0.0 * A)(X) == 0.0
    assert jnp.allclose((2.0 * (A + B))(X), 2 * A(X) + 2 * B(X))
    with pytest.raises(ValueError, match=r"Tempered\.beta must be >= 0; got -1\.0"):
        -1.0 * A


def test_a_condition_is_closed_over_and_vmaps_with_its_rows():
    cond = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    values = jax.vmap(lambda c: A.given(c)(X))(cond)
    assert jnp.allclose(values, jnp.array([A(X), A(X) + X.sum()]))


def test_an_energy_without_a_use_for_conditions_refuses_them_but_stands_in_sums():
    cond = jnp.ones(2)
    for none in (B, B + B, 0.5 * B, A.given(cond)):
        assert not none.conditional
        with pytest.raises(ValueError, match=r"given: cond must be None, .* no condition; got one of shape \(2,\)"):
            none.given(cond)
        assert none.given(None)(X) == none(X)
    closed = (0.5 * (A + B)).given(cond)
    assert jnp.allclose(closed(X), 0.5 * (A(X) + X.sum() + B(X)))


def test_only_energies_add():
    with pytest.raises(TypeError):
        A + 1.0


def test_score_is_minus_the_gradient():
    assert jnp.allclose(score(A, X), -A.slope)


def test_freeze_keeps_values_and_stops_gradients():
    def loss(energy):
        return freeze(energy)(X) + energy(X)

    assert jnp.allclose(loss(A), 2 * A(X))
    assert jnp.allclose(jax.grad(lambda e: loss(e))(A).slope, X)  # once, not twice


def test_path_joins_a_density_to_an_energy():
    path = GeometricPath(Normal(2), A)
    normal = Normal(2)
    assert jnp.allclose(path.at(0.0)(X), -normal.log_prob(X))
    assert jnp.allclose(path.at(1.0)(X), A(X))
    assert jnp.allclose(path.at(0.25)(X), -0.75 * normal.log_prob(X) + 0.25 * A(X))


def test_a_density_is_an_energy_with_log_z_zero():
    grid = jnp.linspace(-8.0, 8.0, 2001)
    values = jax.vmap(Normal(1).energy())(grid[:, None])
    assert jnp.abs(jnp.log(jnp.sum(jnp.exp(-values)) * (grid[1] - grid[0]))) < 1e-4


def test_the_start_of_a_path_is_finite_where_the_target_is_not():
    wall = FunctionEnergy(lambda x: jnp.where(x[0] > 0.0, 0.0, jnp.inf))
    path = GeometricPath(Normal(2), wall)
    outside = jnp.array([-1.0, 0.0])
    assert path.at(0.0)(outside) == Normal(2).energy()(outside)
    assert not jnp.isfinite(path.at(0.5)(outside))
