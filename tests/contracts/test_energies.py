"""The laws of an energy, run over every member."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts.energies import ENERGIES, EXACT, trained
from energax.core import FunctionEnergy

each = pytest.mark.parametrize("name", ENERGIES)
exact = pytest.mark.parametrize("name", EXACT)


def batch(x, num=5):
    return x[None] + 0.3 * jax.random.normal(jax.random.key(1), (num, *x.shape))


@each
def test_vmap_is_the_loop(name):
    energy, xs = ENERGIES[name].make(), batch(ENERGIES[name].x)
    at_once = jax.jit(jax.vmap(energy))(xs)
    np.testing.assert_allclose(at_once, [energy(x) for x in xs], rtol=2e-5, atol=2e-5)


@each
def test_value_is_a_finite_scalar_of_the_sample_dtype(name):
    energy, x = ENERGIES[name].make(), ENERGIES[name].x
    value = energy(x)
    assert value.shape == ()
    assert value.dtype == x.dtype == jnp.float32
    assert bool(jnp.isfinite(value))
    assert energy(x, None) == value


@each
def test_gradient_is_the_finite_difference(name):
    energy, x = ENERGIES[name].make(), ENERGIES[name].x
    with jax.enable_x64(True):
        double = jax.tree.map(
            lambda a: a.astype(jnp.float64) if hasattr(a, "dtype") and a.dtype == jnp.float32 else a, energy
        )
        x = jnp.asarray(np.asarray(x), jnp.float64)
        way = jnp.asarray(np.random.default_rng(0).standard_normal(x.shape))
        step = 1e-5

        @jax.jit
        def slopes(x):
            numeric = (double(x + step * way) - double(x - step * way)) / (2 * step)
            return numeric, jnp.sum(jax.grad(double)(x) * way), jax.jvp(double, (x,), (way,))[1]

        numeric, reverse, forward = slopes(x)
        np.testing.assert_allclose(reverse, numeric, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(forward, reverse, rtol=1e-12)


@each
def test_algebra(name):
    energy, x = ENERGIES[name].make(), ENERGIES[name].x
    other = FunctionEnergy(lambda x: 0.1 * jnp.sum(x))
    np.testing.assert_allclose((energy + other)(x), energy(x) + other(x), rtol=1e-6)
    np.testing.assert_allclose((0.25 * energy)(x), 0.25 * energy(x), rtol=1e-6)
    np.testing.assert_array_equal(energy.given(None)(x), energy(x))
    if not energy.conditional:  # ignored in a sum with one that is, refused where it would do nothing
        np.testing.assert_array_equal(energy(x, x), energy(x))
        with pytest.raises(ValueError, match="given: cond must be None"):
            energy.given(x)


@each
def test_flattens_and_comes_back(name):
    energy, x = ENERGIES[name].make(), ENERGIES[name].x
    leaves, structure = jax.tree.flatten(energy)
    again = jax.tree.unflatten(structure, leaves)
    assert jax.tree.structure(again) == structure
    assert again(x) == energy(x)


@each
def test_compiles_once_for_other_parameters_and_points(name):
    energy, xs = ENERGIES[name].make(), batch(ENERGIES[name].x, 2)
    traces = []

    @jax.jit
    def value(arrays, x):
        traces.append(1)
        return jax.tree.unflatten(structure, arrays)(x)

    # parameters that are Python numbers are constants of the program; arrays are its inputs
    leaves, structure = jax.tree.flatten(
        jax.tree.map(jnp.asarray, energy)
        if name != "function"
        else FunctionEnergy(jax.tree_util.Partial(lambda x: jnp.sum(jnp.cosh(x))))
    )
    value(leaves, xs[0])
    value(jax.tree.leaves(trained(jax.tree.unflatten(structure, leaves), 1.1)), xs[1])
    assert len(traces) == 1


@exact
def test_log_z_is_the_quadrature(name):
    case = ENERGIES[name]
    axes = [np.linspace(*axis) for axis in case.box]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    values = np.asarray(jax.jit(jax.vmap(case.make()))(jnp.asarray(grid, jnp.float32)), np.float64)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    low = values.min()
    np.testing.assert_allclose(case.make().log_z(), np.log(np.sum(np.exp(low - values)) * cell) - low, atol=2e-5)


@exact
def test_log_prob_is_minus_energy_minus_log_z(name):
    energy, x = ENERGIES[name].make(), ENERGIES[name].x
    np.testing.assert_allclose(energy.log_prob(x), -energy(x) - energy.log_z(), rtol=1e-5)
    np.testing.assert_allclose(energy.energy()(x), -energy.log_prob(x), rtol=1e-6)


def judge_samples(energy, xs, limit=4.5):
    """Exact samples of exp(-E) obey E[dE/dx_i] = 0 and E[x_i dE/dx_j] = 1 if i = j else 0; in standard errors."""
    slopes = np.asarray(jax.jit(jax.vmap(jax.grad(energy)))(xs), np.float64)
    dim = xs.shape[1]
    products = np.asarray(xs, np.float64)[:, :, None] * slopes[:, None, :] - np.eye(dim)
    found = np.concatenate([slopes, products.reshape(len(xs), -1)], axis=1)
    scores = found.mean(0) / (found.std(0, ddof=1) / np.sqrt(len(xs)))
    assert np.all(np.abs(scores) < limit), scores


def draw(energy, num=20_000):
    return jax.jit(jax.vmap(energy.sample))(jax.random.split(jax.random.key(5), num))


@exact
def test_samples_are_of_the_energy(name):
    energy = ENERGIES[name].make()
    judge_samples(energy, draw(energy))


@pytest.mark.parametrize("bug", ["scale", "shift", "sign"])
def test_the_judge_of_samples_catches(bug):
    energy = ENERGIES["banana"].make()
    xs = draw(energy)
    planted = {"scale": 1.05 * xs, "shift": xs + 0.05, "sign": xs * jnp.array([[1.0, -1.0]])}[bug]
    with pytest.raises(AssertionError):
        judge_samples(energy, planted)
