"""Ring, torus and plane against enumeration in double precision and against published or 60-digit values."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import (
    ISING_CRITICAL_COUPLING,
    Ising,
    enumerate_log_z,
    ising_density_of_states,
    ising_plane,
    ising_ring,
    ising_ring_correlation,
    ising_torus,
    ising_torus_magnetisation,
    lattice_edges,
)
from energax.energies.enumeration import state_blocks

K_C = ISING_CRITICAL_COUPLING


def enumerated(shape, coupling, field=0.0):
    """log Z, energy per spin in nats, magnetisation, <s_0 s_2>, specific heat: the sum over all states."""
    spins = np.concatenate(list(state_blocks(math.prod(shape))))
    pairs = lattice_edges(shape)
    bonds = np.sum(spins[:, pairs[:, 0]] * spins[:, pairs[:, 1]], axis=1)
    energies = -coupling * bonds - field * spins.sum(1)
    log_z = np.logaddexp.reduce(-energies)
    weights = np.exp(-energies - log_z)
    mean = weights @ energies
    heat = weights @ (energies - mean) ** 2 / spins.shape[1]
    return log_z, mean / spins.shape[1], weights @ spins.mean(1), weights @ (spins[:, 0] * spins[:, 2]), heat


def judge_torus(torus):
    for rows, cols in ((3, 3), (4, 3), (3, 4), (2, 5), (4, 4)):
        for coupling in (0.05, 0.3, K_C, 0.6, 1.5):
            log_z, energy, _, _, heat = enumerated((rows, cols), coupling)
            found = torus(rows, cols, coupling)
            np.testing.assert_allclose(
                found, (log_z, energy, heat), rtol=2e-11, err_msg=f"{rows} x {cols} at {coupling}"
            )


def test_torus_is_enumeration():
    judge_torus(ising_torus)


@pytest.mark.parametrize("bug", ["g_0 loses its sign", "one product dropped", "energy in J", "heat of another size"])
def test_the_judge_of_the_torus_catches(bug):
    def broken(rows, cols, coupling):
        log_z, energy, heat = ising_torus(rows, cols, coupling)
        if bug == "energy in J":
            return log_z, energy / coupling, heat
        if bug == "heat of another size":
            return log_z, energy, 0.9 * heat
        # Kaufman's formula as printed, without logs
        l = np.arange(2 * cols)
        cosh = np.cosh(2 * coupling) / np.tanh(2 * coupling) - np.cos(np.pi * l / cols)
        g = np.arccosh(np.maximum(cosh, 1.0))
        if bug == "one product dropped":
            g[0] = 2 * coupling + np.log(np.tanh(coupling))
        y = 0.5 * rows * g
        products = [np.prod(2 * f(y[p::2])) for f in (np.cosh, np.sinh) for p in (1, 0)]
        kept = products[:3] if bug == "one product dropped" else products
        return 0.5 * rows * cols * np.log(2 * np.sinh(2 * coupling)) + np.log(0.5 * sum(kept)), energy, heat

    with pytest.raises(AssertionError):
        judge_torus(broken)


@pytest.mark.parametrize(
    ("side", "coupling", "log_z", "energy", "heat"),
    [
        (4, 0.3, 12.785523325713681, -0.8440540736238566, 0.4409926535765569),
        (6, 0.5, 37.62212945890451, -1.7473288179184694, 0.6859235924915265),
        (8, 0.3, 50.609330498184775, -0.7124673726720689, 0.3113783503844815),
        (8, K_C, 60.14178078906915, -1.4915891074397063, 1.1455592398944088),
        (16, K_C, 238.64225663513287, -1.4530648528134766, 1.4987049594000266),
        (32, K_C, 952.6480795485427, -1.433658466146248, 1.84676759003956),
        (64, 0.3, 3238.1299546163727, -0.704499070832445, 0.28629020287204576),
        (64, K_C, 3808.672283419809, -1.4239383898330105, 2.192211393140573),
        (64, 0.5, 4202.340507978943, -1.7455645753125222, 0.7248714486051634),
    ],
)
def test_torus_reference(side, coupling, log_z, energy, heat):
    # Kaufman's formula in 60 digits, energies in units of J
    found = ising_torus(side, side, coupling)
    np.testing.assert_allclose((found.log_z, found.energy / coupling), (log_z, energy), rtol=1e-12)
    np.testing.assert_allclose(found.specific_heat, heat, rtol=1e-11)


@pytest.mark.parametrize(
    ("side", "coupling", "absolute", "squared", "binder"),
    [
        (4, 0.3, 0.5203580029714582, 0.3576467969411287, 0.41202829117092),
        (4, K_C, 0.8438604448134199, 0.7613589085686725, 0.6171993184124588),
        (6, K_C, 0.8049765584443704, 0.6933165911351873, 0.6143562391252753),
        (8, 0.3, 0.27398081432794386, 0.11157271688525033, 0.1827128752211129),
        (8, K_C, 0.777331092786857, 0.6469115749942392, 0.6130453849434141),
        (8, 0.5, 0.9114522661434615, 0.8416711846215532, 0.6546186492502659),
    ],
)
def test_magnetisation_reference(side, coupling, absolute, squared, binder):
    # a transfer matrix with a Fourier field, computed elsewhere
    found = ising_torus_magnetisation(side, side, coupling)
    np.testing.assert_allclose((found.absolute, found.squared, found.binder), (absolute, squared, binder), rtol=1e-9)


@pytest.mark.parametrize(("coupling", "field"), [(0.4, 0.3), (-0.5, 0.1), (1.1, -0.2)])
def test_magnetisation_is_enumeration(coupling, field):
    spins = np.concatenate(list(state_blocks(12)))
    pairs = lattice_edges((4, 3))
    logs = coupling * np.sum(spins[:, pairs[:, 0]] * spins[:, pairs[:, 1]], axis=1) + field * spins.sum(1)
    weights = np.exp(logs - np.logaddexp.reduce(logs))
    found = ising_torus_magnetisation(4, 3, coupling, field)
    law = [weights[np.isclose(spins.mean(1), m)].sum() for m in found.values]
    np.testing.assert_allclose(found.probabilities, law, rtol=1e-11)
    np.testing.assert_allclose(found.mean, weights @ spins.mean(1), rtol=1e-11)
    np.testing.assert_allclose(found.mean, enumerated((4, 3), coupling, field)[2], rtol=1e-11)


@pytest.mark.parametrize(
    ("coupling", "log_z", "energy", "magnetisation"),
    [
        (0.3, 0.7905590709512627, -0.7044990708324452, 0.0),
        (0.4, 0.8793638207749483, -1.1060792037457934, 0.0),
        (K_C, 0.9296953983416103, -math.sqrt(2), 0.0),
        (0.5, 1.0257928126949176, -1.7455645753125535, 0.911319377877496),
        (0.6, 1.2101323882884127, -1.909086177684075, 0.9736086674403005),
    ],
)
def test_plane_reference(coupling, log_z, energy, magnetisation):
    found = ising_plane(coupling)
    expected = (log_z, energy, magnetisation)
    np.testing.assert_allclose((found.log_z, found.energy / coupling, found.magnetisation), expected, rtol=1e-12)


@pytest.mark.parametrize("coupling", [0.1, 0.35, 0.44, 0.4412, 0.45, 1.0])
def test_plane_energy_is_the_slope_of_its_log_z(coupling):
    step = 1e-6
    slope = (ising_plane(coupling + step).log_z - ising_plane(coupling - step).log_z) / (2 * step)
    np.testing.assert_allclose(ising_plane(coupling).energy, -coupling * slope, rtol=1e-6)


@pytest.mark.parametrize("sites", [3, 6, 7])
@pytest.mark.parametrize("coupling", [-0.7, 0.0, 0.4, 1.3])
@pytest.mark.parametrize("field", [0.0, 0.3, -1.1])
def test_ring_is_enumeration(sites, coupling, field):
    found = (*ising_ring(sites, coupling, field), ising_ring_correlation(sites, coupling, 2, field))
    np.testing.assert_allclose(found, enumerated((sites,), coupling, field)[:4], rtol=1e-11, atol=1e-14)


def test_ring_reference():
    # a transfer matrix computed elsewhere; L = 100, beta = 0.7, h = 0.1, energy in units of J
    found = ising_ring(100, 0.7, 0.07)
    values = (found.log_z, found.energy / 0.7, found.magnetisation, ising_ring_correlation(100, 0.7, 3, 0.07))
    expected = (93.01639399988848, -0.6504472644899825, 0.2732815118843536, 0.26734535961850864)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert ising_ring(10**6, 200.0, 50.0).magnetisation == pytest.approx(1.0)


def test_density_of_states_of_the_four_by_four_torus():
    half = {32: 2, 24: 32, 20: 64, 16: 424, 12: 1728, 8: 6688, 4: 13568}
    counts = ising_density_of_states()
    assert counts == half | {-energy: count for energy, count in half.items()} | {0: 20524}
    log_z = np.logaddexp.reduce([math.log(count) - K_C * energy for energy, count in counts.items()])
    np.testing.assert_allclose(ising_torus(4, 4, K_C).log_z, log_z, rtol=1e-13)


def test_the_energy_of_the_package_has_these_answers():
    coupling, field = 0.375, 0.25  # exact in float32
    np.testing.assert_allclose(enumerate_log_z(Ising.lattice((3, 4), coupling)), ising_torus(3, 4, coupling).log_z)
    ring = Ising.lattice((9,), coupling, field)
    np.testing.assert_allclose(enumerate_log_z(ring), ising_ring(9, coupling, field).log_z, rtol=1e-13)
    np.testing.assert_allclose(ring(jnp.ones(9)), -9 * (coupling + field), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ising_torus(1, 4, 0.4), "rows must be an integer >= 2; got 1"),
        (lambda: ising_torus(4, 4, -0.4), "coupling must be > 0; got -0.4"),
        (lambda: ising_torus_magnetisation(9, 9, 0.4), r"cols must leave a row at most 256 states; got 2\^9"),
        (lambda: ising_torus_magnetisation(4, 4, 0.4, math.inf), "field must be finite"),
        (lambda: ising_plane(0.0), "coupling must be > 0"),
        (lambda: ising_ring(1, 0.4), "sites must be an integer >= 2"),
        (lambda: ising_ring(3, -30.0), "must not be so negative on an odd ring"),
        (lambda: ising_ring(5, 0.4, math.nan), "field must be finite"),
        (lambda: ising_ring_correlation(5, 0.4, 6), "distance must be <= sites = 5; got 6"),
        (lambda: ising_density_of_states(5, 5), "must number 1 to 20; got 25"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
