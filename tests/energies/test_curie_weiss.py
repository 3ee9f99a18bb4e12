"""Curie-Weiss against enumeration, a Gaussian integral, and values computed elsewhere."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import CurieWeiss, curie_weiss_exact, curie_weiss_limit, enumerate_exact

REFERENCE = [  # sites, beta, h (J = 1), log Z, <|m|>, <m^2>, <m>: computed elsewhere
    (100, 0.5, 0.0, 69.65885523985904, 0.11192440451490247, 0.01961744716504035, 0.0),
    (100, 1.0, 0.0, 70.78627676368917, 0.2867964094689432, 0.1144810461957011, 0.0),
    (100, 1.5, 0.0, 81.79068762891809, 0.8482099714843675, 0.7245204947294318, 0.0),
    (100, 1.5, 0.05, 87.58426256237698, 0.8796567545577669, 0.7772961155766487, 0.8796517802622751),
    (20, 1.2, 0.0, 15.596733451743782, 0.5676571033910565, 0.3966264197139486, 0.0),
]


def judge_exact(exact):
    for sites, beta, h, *expected in REFERENCE:
        found = exact(sites, beta, beta * h)
        values = (found.log_z, found.abs_magnetisation, found.squared_magnetisation, found.magnetisation)
        np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-12)


def test_reference_values():
    judge_exact(curie_weiss_exact)


@pytest.mark.parametrize("bug", ["own spin", "beta lost in the field", "twice the pairs"])
def test_the_judge_catches(bug):
    def broken(sites, coupling, field):
        if bug == "beta lost in the field":
            return curie_weiss_exact(sites, coupling, field / coupling)
        if bug == "twice the pairs":
            return curie_weiss_exact(sites, 2 * coupling, field)
        found = curie_weiss_exact(sites, coupling, field)  # the constant pull of a spin on itself left out
        return found._replace(log_z=found.log_z - 0.5 * coupling)

    with pytest.raises(AssertionError):
        judge_exact(broken)


@pytest.mark.parametrize(("coupling", "field"), [(1.2, 0.0), (0.7, -0.3), (-0.8, 0.4)])
def test_is_enumeration(coupling, field):
    sites = 9
    by_states = enumerate_exact(
        CurieWeiss(sites, coupling, field),
        sites,
        observe=lambda x: np.stack([abs(x.mean(1)), x.mean(1) ** 2, x.mean(1) ** 4], axis=1),
    )
    found = curie_weiss_exact(sites, coupling, field)
    size, squared, fourth = by_states.observed
    expected = (
        by_states.log_z,
        by_states.energy / sites,
        by_states.energy_variance / sites,
        by_states.mean.mean(),
        size,
        squared,
        1 - fourth / (3 * squared**2),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


def test_is_the_gaussian_integral():
    # Hubbard and Stratonovich: exp(K M^2 / 2N) is the mean of exp(y M) over y ~ N(0, K / N)
    for sites, coupling, field in ((12, 1.3, 0.1), (60, 0.9, -0.2)):
        y, step = np.linspace(-6, 6, 40_001, retstep=True)
        logs = -0.5 * sites * y**2 / coupling + sites * np.log(2 * np.cosh(y + field))
        by_integral = np.logaddexp.reduce(logs) + math.log(step) + 0.5 * math.log(sites / (2 * math.pi * coupling))
        np.testing.assert_allclose(curie_weiss_exact(sites, coupling, field).log_z, by_integral, rtol=1e-12)


def test_the_limit_is_the_mean_field_solution():
    for coupling, field, m in (
        (1.5, 0.0, 0.8585596366401105),
        (1.5, 0.075, 0.8863143671763317),
        (1.2, 0.0, 0.6585696604057537),
    ):
        found = curie_weiss_limit(coupling, field)
        np.testing.assert_allclose(found.magnetisation, m, rtol=1e-12)
        # log Z per spin is the largest value over m, and many spins approach it
        trial = np.linspace(-1, 1, 20_001)
        free = -0.5 * coupling * trial**2 + np.log(2 * np.cosh(coupling * trial + field))
        np.testing.assert_allclose(found.log_z, free.max(), atol=1e-8)
        assert abs(curie_weiss_exact(20_000, coupling, field).log_z / 20_000 - found.log_z) < 1e-4
        assert abs(curie_weiss_exact(20_000, coupling, field).energy - found.energy) < 2e-4  # of order 1 / N
    assert curie_weiss_limit(1.0) == (math.log(2), 0.0, 0.0)
    assert curie_weiss_limit(1.5, -0.1).magnetisation == -curie_weiss_limit(1.5, 0.1).magnetisation
    np.testing.assert_allclose(curie_weiss_limit(1 + 1e-9).magnetisation, math.sqrt(3e-9), rtol=1e-3)


def test_local_field_is_the_cost_of_a_flip_and_minus_the_gradient():
    energy, x = CurieWeiss(5, 1.3, 0.2), jnp.array([1.0, -1.0, 1.0, 1.0, -1.0])
    field = energy.local_field(x)
    cost = jnp.stack([energy(x.at[i].multiply(-1.0)) - energy(x) for i in range(5)])
    np.testing.assert_allclose(2 * field * x, cost, rtol=1e-5)
    np.testing.assert_allclose(field, -jax.grad(energy)(x), rtol=1e-6)
    logits = energy.conditional_logits(x, jnp.array(1))
    np.testing.assert_allclose(logits, [-field[1], field[1]])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CurieWeiss(0, 1.0), "sites must be an integer >= 1; got 0"),
        (lambda: CurieWeiss(3, math.inf), "coupling must be finite"),
        (lambda: CurieWeiss(3, 1.0, math.nan), "field must be finite"),
        (lambda: CurieWeiss(3, 1.0)(jnp.ones(4)), r"x must be ONE sample of shape \(3,\)"),
        (lambda: curie_weiss_exact(0, 1.0), "sites must be an integer >= 1"),
        (lambda: curie_weiss_limit(math.nan), "coupling must be finite"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
