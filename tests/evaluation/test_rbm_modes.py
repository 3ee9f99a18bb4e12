"""Singular modes, minima and exact averages of machines against sums over every state of both layers."""

import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import BernoulliRBM, bars_and_stripes, bars_and_stripes_rbm, rbm_exact
from energax.evaluation import exact_occupancy, free_energy_minima, rbm_averages, rbm_modes, singular_modes


def machine(visible, hidden, scale=1.0, seed=0):
    r = np.random.default_rng(seed)
    parts = (scale * r.normal(size=(visible, hidden)), r.normal(size=visible), r.normal(size=hidden))
    return BernoulliRBM(*(jnp.asarray(part, jnp.float32) for part in parts), 0.5)


def every(units):
    return np.array([[code >> i & 1 for i in range(units)] for code in range(2**units)], float)


@pytest.mark.parametrize(("visible", "hidden"), [(3, 5), (5, 3)])
@pytest.mark.parametrize("beta", [0.0, 0.7, 1.4])
def test_averages_are_those_of_the_joint_law(visible, hidden, beta):
    model = machine(visible, hidden)
    modes = singular_modes(model)
    b, c, weights = (np.asarray(a, float) for a in (model.visible_bias, model.hidden_bias, model.weights))
    v, h = every(visible), every(hidden)
    energy = 0.5 - (v @ b)[:, None] - (h @ c)[None, :] - v @ weights @ h.T
    p = np.exp(-beta * energy)
    log_z = np.log(p.sum())
    p /= p.sum()
    found = rbm_averages(model, modes, beta)
    np.testing.assert_allclose(found.log_z, log_z, rtol=1e-12)
    np.testing.assert_allclose(found.energy, np.sum(p * energy), rtol=1e-12)
    variance = np.sum(p * energy**2) - np.sum(p * energy) ** 2
    np.testing.assert_allclose(found.heat_capacity, beta**2 * variance, rtol=1e-10)
    np.testing.assert_allclose(found.power, p.sum(axis=1) @ modes.power(2.0 * v - 1.0), rtol=1e-12)


def test_blocks_of_states_are_added_up(monkeypatch):
    model = bars_and_stripes_rbm(8.0)
    modes = singular_modes(model)
    whole = rbm_averages(model, modes, 1.2)
    blocks = [block for start in range(0, 512, 100) for block in [every(9)[start : start + 100]]]
    monkeypatch.setattr(rbm_modes, "_states", lambda units: iter(blocks))
    parts = rbm_averages(model, modes, 1.2)
    np.testing.assert_allclose(np.hstack(parts), np.hstack(whole), rtol=1e-12)
    np.testing.assert_allclose(rbm_exact(model.at_beta(1.2)).energy / 1.2, whole.energy, rtol=1e-6)


def test_powers_do_not_hang_on_the_basis_and_sum_to_one():
    model = bars_and_stripes_rbm(8.0)
    modes = singular_modes(model)
    assert modes.dims.tolist() == [1, 4]
    np.testing.assert_allclose(np.abs(modes.vectors[:, 0]), 1 / 3, rtol=1e-5)  # all pixels alike
    np.testing.assert_allclose(modes.power(2.0 * np.asarray(bars_and_stripes()) - 1.0).sum(axis=1), 1.0, rtol=1e-5)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    turned = modes._replace(vectors=np.hstack([modes.vectors[:, :1], modes.vectors[:, 1:] @ turn]))
    a, b = (rbm_averages(model, each, 0.8).power for each in (modes, turned))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(rbm_averages(model, modes, 0.0).power, [1 / 9, 4 / 9], rtol=1e-5)
    full = singular_modes(machine(4, 4), most=4)
    np.testing.assert_allclose(full.power(2.0 * every(4) - 1.0).sum(axis=1), 1.0, rtol=1e-6)
    assert singular_modes(machine(4, 4), most=2).vectors.shape == (4, 2)


def test_minima_are_where_no_flip_helps():
    model = bars_and_stripes_rbm(8.0)
    found = free_energy_minima(model)
    patterns = {tuple(row) for row in np.asarray(bars_and_stripes()).tolist()}
    assert {tuple(row) for row in found.v.tolist()} == patterns
    np.testing.assert_allclose(found.ends.sum(axis=1), 1.0)
    near = np.array([1.0, 1, 1, 0, 0, 0, 0, 0, 1])  # one pixel off one bar, and further from all else
    ends = found.ends[int(near @ 2 ** np.arange(9))]
    assert found.v[ends.argmax()].tolist() == [1.0, 1, 1, 0, 0, 0, 0, 0, 0]
    occupancy = exact_occupancy(model, found, 1.3)
    np.testing.assert_allclose(occupancy[:2], occupancy[0], rtol=1e-9)  # by symmetry
    np.testing.assert_allclose(occupancy[2:], occupancy[2], rtol=1e-9)


def test_minima_of_any_machine_by_walking_down():
    weights = machine(6, 4, scale=3.0, seed=3).weights
    model = BernoulliRBM(weights, -0.45 * weights.sum(axis=1), -0.5 * weights.sum(axis=0))  # many minima, none alike
    found = free_energy_minima(model, most=2)
    free = np.array([float(model(jnp.asarray(v, jnp.float32))) for v in every(6)])
    reached = []
    for code in range(64):
        while True:
            lower = min((code ^ (1 << i) for i in range(6)), key=lambda other: free[other])
            if free[lower] >= free[code]:
                break
            code = lower
        reached.append(code)
    lowest = sorted(set(reached), key=lambda code: free[code])
    assert len(lowest) > 2  # so that one column is of all others
    np.testing.assert_array_equal(found.ends.argmax(axis=1), [min(lowest.index(code), 2) for code in reached])
    np.testing.assert_allclose(found.free_energy, free[lowest[:2]], rtol=1e-5)


def test_what_is_no_machine_is_refused_by_name():
    modes, minima = singular_modes(machine(3, 2)), free_energy_minima(machine(3, 2))
    for name, call in {
        "singular_modes": lambda model: singular_modes(model),
        "free_energy_minima": lambda model: free_energy_minima(model),
        "is_enumerable": rbm_modes.is_enumerable,
        "rbm_averages": lambda model: rbm_averages(model, modes, 1.0),
        "exact_occupancy": lambda model: exact_occupancy(model, minima, 1.0),
    }.items():
        with pytest.raises(ValueError, match=f"{name}.model must be a BernoulliRBM; got function"):
            call(lambda x: x)


def test_refusals():
    flat = BernoulliRBM(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    wide = BernoulliRBM(jnp.ones((30, 30)), jnp.zeros(30), jnp.zeros(30))
    for call in (
        lambda: singular_modes(flat),
        lambda: singular_modes(wide, most=0),
        lambda: free_energy_minima(wide),
        lambda: free_energy_minima(machine(3, 2), most=0),
        lambda: rbm_averages(wide, singular_modes(wide), 1.0),
        lambda: rbm_averages(machine(3, 2), singular_modes(machine(3, 2)), -1.0),
    ):
        with pytest.raises(ValueError, match="must"):
            call()
