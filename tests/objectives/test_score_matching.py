"""The score matching family against the Fisher divergence by quadrature, Gaussian estimates, and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from energax.core import AbstractEnergy
from energax.objectives import FiniteDifferenceScoreMatching, ScoreMatching, SlicedScoreMatching
from objectives.population import MODEL, TRUTH, fisher, of, quartic, rows, slope

NUM = 20_000
"""Quantile midpoints: their mean is good to 4e-4 of the gradients below (the tails of x^6)."""


class Bell(AbstractEnergy):
    """x' A x / 2 - b . x with a full matrix A, over a pytree of two parts."""

    a: Array
    b: Array

    def __call__(self, x, cond=None):
        flat = jnp.concatenate([x["u"], x["v"]])
        symmetric = 0.5 * (self.a + self.a.T)
        return 0.5 * flat @ symmetric @ flat - self.b @ flat


def bell_rows(seed, num):
    rng = np.random.default_rng(seed)
    flat = rng.normal(size=(num, 3)) @ np.array([[1.0, 0.3, 0.0], [0.0, 0.7, -0.4], [0.0, 0.0, 1.2]]) + 0.5
    return flat, {"u": jnp.asarray(flat[:, :1]), "v": jnp.asarray(flat[:, 1:])}


def test_gradient_is_that_of_half_the_fisher_divergence():
    with jax.enable_x64(True):
        model = quartic(MODEL)
        wanted = slope(fisher, model)
        found = slope(of(ScoreMatching(), rows(NUM)), model)
        np.testing.assert_allclose(found, wanted, rtol=1e-3)
        np.testing.assert_allclose(slope(of(ScoreMatching(), rows(NUM)), quartic(TRUTH)), 0.0, atol=1e-2)
        # planted: the trace halved, and its sign turned
        for weight in (0.5, -1.0):
            wrong = slope(lambda m, w=weight: of(ScoreMatching(), rows(NUM))(m) + (1 - w) * mean_curvature(m), model)
            with pytest.raises(AssertionError):
                np.testing.assert_allclose(wrong, wanted, rtol=1e-2)


def mean_curvature(model):
    """The mean laplacian of E at the data."""
    return jnp.mean(jax.vmap(lambda x: jnp.trace(jax.hessian(model)(x)))(jnp.asarray(rows(NUM))))


def test_minimiser_of_a_gaussian_is_its_maximum_likelihood():
    with jax.enable_x64(True):
        flat, xs = bell_rows(0, 200)
        precision = np.linalg.inv(np.cov(flat.T, bias=True))
        best = Bell(jnp.asarray(precision), jnp.asarray(precision @ flat.mean(0)))
        gradient = jax.grad(lambda m: ScoreMatching()(jax.random.key(0), m, None, {"x": xs})[0])(best)
        np.testing.assert_allclose(gradient.a, 0.0, atol=1e-12)
        np.testing.assert_allclose(gradient.b, 0.0, atol=1e-12)
        off = jax.grad(lambda m: ScoreMatching()(jax.random.key(0), m, None, {"x": xs})[0])(Bell(best.a * 1.1, best.b))
        assert float(jnp.max(jnp.abs(off.a))) > 0.01


@pytest.mark.parametrize("directions", ["signs", "normal"])
@pytest.mark.parametrize("reduced", [True, False])
def test_slices_are_unbiased(directions, reduced):
    """Means over 4,000 slices within 4 standard errors (false-fail 6e-5); sees a factor 1.1 of the curvature."""
    _, xs = bell_rows(1, 1)
    xs = jax.tree.map(lambda a: jnp.broadcast_to(a[0].astype(jnp.float32), (4000, *a.shape[1:])), xs)
    model = Bell(jnp.asarray(np.diag([1.0, 2.0, 0.5]) + 0.3, jnp.float32), jnp.asarray([0.1, -0.2, 0.3], jnp.float32))
    one = jax.tree.map(lambda a: a[:1], xs)
    wanted = float(ScoreMatching()(jax.random.key(0), model, None, {"x": one})[0])
    rule = SlicedScoreMatching(1, directions, reduced)
    keys = jax.random.split(jax.random.key(2), 20)
    losses = np.array([float(rule(key, model, None, {"x": xs})[0]) for key in keys])
    error = losses.std(ddof=1) / np.sqrt(len(losses))
    assert abs(losses.mean() - wanted) < 4.0 * error + 1e-6, (losses.mean(), wanted, error)
    if directions == "signs" and reduced:
        with pytest.raises(AssertionError):  # planted: curvature off by a tenth
            assert abs(losses.mean() - 0.1 * 3.5 - wanted) < 4.0 * error + 1e-6


def test_signs_in_one_dimension_are_exact():
    with jax.enable_x64(True):
        model, xs = quartic(MODEL), rows(100)
        wanted = slope(of(ScoreMatching(), xs), model)
        for reduced in (True, False):
            np.testing.assert_allclose(
                slope(of(SlicedScoreMatching(3, reduced=reduced), xs), model), wanted, rtol=1e-12
            )


def test_finite_differences_converge_as_the_square_of_the_step():
    with jax.enable_x64(True):
        model, xs = quartic(MODEL), rows(100)
        wanted = slope(of(ScoreMatching(), xs), model)
        errors = [
            np.abs(slope(of(FiniteDifferenceScoreMatching(step), xs), model) - wanted).max() for step in (0.1, 0.01)
        ]
        assert errors[1] < 1e-2, errors
        assert 90 < errors[0] / errors[1] < 110, errors


def test_chunks_change_nothing():
    with jax.enable_x64(True):
        xs = rows(100)
        for make in (ScoreMatching, SlicedScoreMatching, FiniteDifferenceScoreMatching):
            whole, parts = (slope(of(make(chunk_size=size), xs), quartic(MODEL)) for size in (None, 32))
            np.testing.assert_allclose(parts, whole, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlicedScoreMatching(0), "num_slices must be"),
        (lambda: SlicedScoreMatching(directions="unit"), "directions must be 'signs' or 'normal'; got 'unit'"),
        (lambda: FiniteDifferenceScoreMatching(0.0), "step must be"),
        (lambda: ScoreMatching(0), "chunk_size must be"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
