"""Observables of lattice models: error bars that cover, by 400 repeats, and values by enumeration."""

import numpy as np
import pytest
from scipy.stats import norm as normal, t as student

import energax.evaluation.jackknife as jackknife
from energax.energies import (
    ising_ring_correlation,
    ising_torus,
    ising_torus_magnetisation,
    lattice_edges,
    potts_torus,
    potts_torus_occupation,
)
from energax.energies.enumeration import one_hot_blocks, state_blocks
from energax.evaluation import (
    correlation_function,
    magnetisation,
    observe,
    overlap_observables,
    potts_observables,
    spin_observables,
)
from judges import reach

REPEATS, CHAINS, DRAWS = 400, 4, 600
BETA = 0.3
SPINS = np.concatenate(list(state_blocks(16)))
EDGES = lattice_edges((4, 4))
MEAN_SPIN = SPINS.mean(1)
ENERGY = -BETA * np.sum(SPINS[:, EDGES[:, 0]] * SPINS[:, EDGES[:, 1]], axis=1)
LAW, TORUS = ising_torus_magnetisation(4, 4, BETA), ising_torus(4, 4, BETA)
TRUTH = {
    "magnetisation": 0.0,
    "abs_magnetisation": LAW.absolute,
    "squared_magnetisation": LAW.squared,
    "susceptibility": 16 * LAW.squared,
    "abs_susceptibility": 16 * (LAW.squared - LAW.absolute**2),
    "binder": LAW.binder,
    "energy": TORUS.energy,
    "specific_heat": TORUS.specific_heat,
}


def exact_codes(rng, shape):
    """Numbers of states of the 4 x 4 torus, drawn exactly."""
    ladder = np.cumsum(np.exp(-ENERGY))
    return np.searchsorted(ladder, rng.random(shape) * ladder[-1])


def lazy(keep=0.75):
    """Chains that stay with probability `keep` and else draw anew: autocorrelation keep^t of everything."""
    rng = np.random.default_rng(0)
    shape = (REPEATS, CHAINS, DRAWS)
    fresh, moves = exact_codes(rng, shape), rng.random(shape) >= keep
    moves[:, :, 0] = True
    last = np.maximum.accumulate(np.where(moves, np.arange(DRAWS), 0), axis=2)
    return np.take_along_axis(fresh, last, axis=2)


def heat_bath():
    """Heat-bath sweeps from exact draws: the memory of real dynamics, of several times at once."""
    rng = np.random.default_rng(1)
    neighbours = [[b for a, b in np.concatenate([EDGES, EDGES[:, ::-1]]) if a == site] for site in range(16)]
    x = SPINS[exact_codes(rng, REPEATS * CHAINS)].astype(np.float32)
    codes = np.empty((REPEATS * CHAINS, DRAWS), np.int64)
    for draw in range(DRAWS):
        for site in range(16):
            field = BETA * x[:, neighbours[site]].sum(axis=1)
            x[:, site] = np.where(rng.random(len(x)) * (1 + np.exp(-2 * field)) < 1, 1, -1)
        codes[:, draw] = (x > 0) @ (1 << np.arange(16))
    return codes.reshape(REPEATS, CHAINS, DRAWS)


RUNS = {"lazy": lazy, "heat bath": heat_bath}


def judge_coverage(records, truth):
    """The 95 % interval holds the truth in 90 to 99 % of the repeats, and errors are as large as they are said to be.

    Of 400 sound intervals fewer than 360 hold it with probability 2e-5, more than 396 with 2e-5; an error bar off by a
    quarter is seen.
    """
    for name, exact in truth.items():
        inside = np.mean([low < exact < high for low, high in (r[name].interval() for r in records)])
        scores = [student.cdf((r[name].value - exact) / r[name].std_error, r[name].blocks - 1) for r in records]
        spread = np.std(normal.ppf(scores))
        assert 0.90 <= inside <= 0.99, f"{name}: {inside}"
        assert 0.84 < spread < 1.25, f"{name}: {spread}"


@pytest.mark.parametrize("run", RUNS)
def test_error_bars_cover(run):
    codes = RUNS[run]()
    records = [spin_observables(MEAN_SPIN[c], ENERGY[c], 16) for c in codes]
    judge_coverage(records, TRUTH)
    assert all(r["energy"].reliable for r in records)


@pytest.mark.parametrize(
    "bug", ["autocorrelation ignored", "errors of half the draws", "blocks too short", "no covariance"]
)
def test_the_judge_of_coverage_catches(bug, monkeypatch):
    codes = lazy()
    truth = {"specific_heat": TRUTH["specific_heat"], "energy": TRUTH["energy"]}
    if bug == "autocorrelation ignored":
        monkeypatch.setattr(jackknife, "autocorrelation_time", lambda series: 1.0)
        monkeypatch.setattr(jackknife, "BLOCK_TIMES", 1)
        monkeypatch.setattr(jackknife, "LEAST_BLOCKS", CHAINS * DRAWS)
    if bug == "blocks too short":
        monkeypatch.setattr(jackknife, "BLOCK_TIMES", 0.3)
        monkeypatch.setattr(jackknife, "LEAST_BLOCKS", 10 * CHAINS * DRAWS)

    def measure(c):
        found = spin_observables(MEAN_SPIN[c], ENERGY[c], 16)
        if bug == "errors of half the draws":
            found = {name: o._replace(std_error=o.std_error * 2**0.5) for name, o in found.items()}
        if bug == "no covariance":  # <E^2> and <E>^2 taken as independent
            e = ENERGY[c]
            apart = observe(e**2).std_error ** 2 + (2 * e.mean() * observe(e).std_error) ** 2
            found["specific_heat"] = found["specific_heat"]._replace(std_error=apart**0.5 / 16)
        return found

    with pytest.raises(AssertionError):
        judge_coverage([measure(c) for c in codes[:150]], truth)


def ar1(rng, phi, shape):
    x = np.empty(shape)
    x[..., 0] = rng.standard_normal(shape[:-1])
    for t in range(1, shape[-1]):
        x[..., t] = phi * x[..., t - 1] + np.sqrt(1 - phi**2) * rng.standard_normal(shape[:-1])
    return x


@pytest.mark.parametrize(("phi", "chains", "draws"), [(0.9, 1, 4000), (0.0, 4, 200), (-0.5, 2, 500), (0.9, 60, 20)])
def test_error_bars_of_autoregressive_chains_cover(phi, chains, draws):
    x = ar1(np.random.default_rng(3), phi, (REPEATS, chains, draws))
    functions = {"mean": None, "variance": lambda a: a[..., 1] - a[..., 0] ** 2}
    records = [{"mean": observe(c), "variance": observe(np.stack([c, c**2], 2), functions["variance"])} for c in x]
    judge_coverage(records, {"mean": 0.0, "variance": 1.0})


def swapped(chains, draws):
    """Parallel tempering of two wells at -1 and 1, never crossed but at the hottest of 12 levels, where the well is
    drawn anew; within a well of 8 dimensions each level's draw is exact. Kept: the coldest well, with noise of sd 2."""
    rng = np.random.default_rng(14)
    size, betas = REPEATS * chains, 1.5 ** -np.arange(12.0)
    well = rng.choice([-1.0, 1.0], size=(size, 12))
    kept = np.empty((size, draws))
    for draw in range(draws):
        well[:, -1] = rng.choice([-1.0, 1.0], size=size)
        energy = rng.standard_gamma(4.0, size=well.shape) / betas
        cold = np.arange(draw % 2, 11, 2)
        gain = (betas[cold] - betas[cold + 1]) * (energy[:, cold] - energy[:, cold + 1])
        swap = rng.random(gain.shape) < np.exp(np.minimum(gain, 0.0))
        a, b = well[:, cold], well[:, cold + 1]
        well[:, cold], well[:, cold + 1] = np.where(swap, b, a), np.where(swap, a, b)
        kept[:, draw] = well[:, 0]
    return (kept + 2.0 * rng.normal(size=kept.shape)).reshape(REPEATS, chains, draws)


@pytest.mark.parametrize(("chains", "draws"), [(8, 600), (32, 300), (2, 3000)])
def test_error_bars_cover_on_draws_that_swaps_bring_back(chains, draws, monkeypatch):
    x = swapped(chains, draws)
    records = [{"mean": observe(c)} for c in x]
    judge_coverage(records, {"mean": 0.0})
    told = np.mean([r["mean"].autocorrelation_time for r in records])  # of the truth, known to 7 %
    assert 0.65 < told / (chains * draws * x.mean(axis=(1, 2)).var() / x.var()) < 1.35
    monkeypatch.setattr(jackknife, "LEAST_BLOCKS", chains * draws)  # the lags of draws alone
    with pytest.raises(AssertionError, match=r"mean: 0\.[78]"):
        judge_coverage([{"mean": observe(c)} for c in x], {"mean": 0.0})


def test_the_autocorrelation_time_is_the_one_of_the_quantity():
    x = ar1(np.random.default_rng(4), 0.9, (8, 20_000))
    mean, square = observe(x), observe(np.stack([x, x**2], 2), lambda a: a[..., 1] - a[..., 0] ** 2)
    np.testing.assert_allclose(mean.autocorrelation_time, 1.9 / 0.1, rtol=0.1)
    np.testing.assert_allclose(square.autocorrelation_time, 1.81 / 0.19, rtol=0.1)
    np.testing.assert_allclose(mean.std_error, np.sqrt(19.0 / x.size), rtol=0.12)


def test_independent_draws_give_the_textbook_jackknife():
    x = np.random.default_rng(5).normal(size=(40, 4))
    found = observe(x)  # chains shorter than a block: each is one block
    means = x.mean(axis=1)
    np.testing.assert_allclose(found.std_error, means.std(ddof=1) / np.sqrt(40), rtol=1e-10)
    assert found.blocks == 40


def test_what_never_moves_has_no_error_bar():
    still = observe(np.ones((4, 50)))
    assert (still.value, still.std_error, still.reliable) == (1.0, np.inf, False)
    assert still.interval() == (-np.inf, np.inf)
    x = np.random.default_rng(6).normal(size=(4, 50))
    x[2] = 0.25
    assert not observe(x).reliable
    assert observe(x).blocks == 4
    apart = ar1(np.random.default_rng(7), 0.0, (4, 200)) + 10 * np.arange(4)[:, None]  # four modes, never crossed
    low, high = observe(apart).interval()
    assert low < 5.0 < 25.0 < high
    nothing = spin_observables(np.zeros((2, 8)), None, 4)["binder"]  # 0 / 0
    assert np.isnan(nothing.value)
    assert not nothing.reliable
    slow = observe(ar1(np.random.default_rng(8), 0.99, (1, 300)))
    assert not slow.reliable


def test_values_are_those_of_the_definition():
    rng = np.random.default_rng(9)
    x = rng.choice([-1.0, 1.0], size=(3, 40, 12))
    energy = rng.normal(size=(3, 40)) + 1e6
    m = x.mean(axis=2)
    np.testing.assert_array_equal(magnetisation(x.reshape(3, 40, 3, 4)), m)
    found = spin_observables(m, energy, 12)
    np.testing.assert_allclose(found["susceptibility"].value, 12 * m.var(), rtol=1e-12)
    np.testing.assert_allclose(found["abs_susceptibility"].value, 12 * np.abs(m).var(), rtol=1e-12)
    np.testing.assert_allclose(found["specific_heat"].value, energy.var() / 12, rtol=1e-8)
    np.testing.assert_allclose(found["energy"].value, energy.mean() / 12, rtol=1e-12)
    np.testing.assert_allclose(found["binder"].value, 1 - np.mean(m**4) / (3 * np.mean(m**2) ** 2), rtol=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_correlations_are_the_sum_over_pairs(periodic, axis):
    x = np.random.default_rng(10).choice([-1.0, 1.0], size=(2, 5, 4, 6))
    found = correlation_function(x.reshape(2, 5, 24), (4, 6), axis=axis, periodic=periodic)
    for index, r in enumerate(found.distances):
        values = []
        for a in (0, 1) if axis is None else (axis,):
            side = (4, 6)[a]
            pairs = [(i, (i + r) % side) for i in range(side if periodic else side - r)]
            values.append(np.mean([np.take(x, i, 2 + a) * np.take(x, j, 2 + a) for i, j in pairs]))
        np.testing.assert_allclose(found.values[index], np.mean(values), atol=1e-12)
    assert found.distances.tolist() == list(range(1, {0: 3, 1: 4, None: 3}[axis] if periodic else {1: 6}.get(axis, 4)))


def test_correlations_of_a_ring_are_exact_within_their_error_bars():
    coupling, sites = 0.6, 12
    spins = np.concatenate(list(state_blocks(sites)))
    ladder = np.cumsum(np.exp(coupling * np.sum(spins * np.roll(spins, 1, axis=1), axis=1) + 0.1 * spins.sum(1)))
    codes = np.searchsorted(ladder, np.random.default_rng(11).random((4, 3000)) * ladder[-1])
    whole = correlation_function(spins[codes], (sites,))
    joined = correlation_function(spins[codes], (sites,), connected=True)
    for index, r in enumerate(whole.distances):
        exact = ising_ring_correlation(sites, coupling, int(r), 0.1)
        assert abs(whole.values[index] - exact) < reach() * whole.std_errors[index]
        mean = np.diff(ladder, prepend=0.0) @ spins.mean(1) / ladder[-1]
        assert abs(joined.values[index] - exact + mean**2) < reach() * joined.std_errors[index]


def test_potts_observables_are_exact_within_their_error_bars():
    coupling = 0.75
    x = np.concatenate(list(one_hot_blocks(9, 3)))
    pairs = lattice_edges((3, 3))
    energy = -coupling * np.sum(x[:, pairs[:, 0]] * x[:, pairs[:, 1]], axis=(1, 2))
    p = np.exp(-energy) / np.exp(-energy).sum()
    shares = x.mean(axis=1)
    m = (3 * shares.max(axis=1) - 1) / 2
    codes = np.searchsorted(np.cumsum(p), np.random.default_rng(12).random((4, 4000)) * p.sum()).clip(0, len(p) - 1)
    found = potts_observables(shares[codes], energy[codes], 9)
    law = potts_torus_occupation(3, 3, 3, coupling)
    torus = potts_torus(3, 3, 3, coupling)
    exact = {
        "order_parameter": p @ m,
        "squared_order_parameter": p @ m**2,
        "order_susceptibility": 9 * (p @ m**2 - (p @ m) ** 2),
        "order_binder": 1 - p @ m**4 / (3 * (p @ m**2) ** 2),
        "alignment": (9 * law @ (np.arange(10) / 9) ** 2 - 1) / 2,
        "energy": torus.energy,
        "specific_heat": torus.specific_heat,
    }
    assert exact.keys() == found.keys()
    for name, value in exact.items():
        assert abs(found[name].value - value) < reach() * found[name].std_error, name
        assert found[name].std_error < 0.1 * abs(value)


def test_overlaps_of_two_replicas():
    rng = np.random.default_rng(13)
    a, b = (SPINS[exact_codes(rng, (4, 4000))] for _ in range(2))
    found = overlap_observables(a, b)
    # <q^2> is the mean square of the two-point function: by symmetry of the torus, one row of it
    p = np.exp(-ENERGY) / np.exp(-ENERGY).sum()
    row = (p * SPINS[:, 0]) @ SPINS
    exact = {"overlap": 0.0, "squared_overlap": np.mean(row**2), "glass_susceptibility": np.sum(row**2)}
    for name, value in exact.items():
        assert abs(found[name].value - value) < reach() * found[name].std_error, name
    q = np.mean(a * b, axis=2)
    np.testing.assert_allclose(found["overlap_binder"].value, 1 - np.mean(q**4) / (3 * np.mean(q**2) ** 2))
    assert found["abs_overlap"].value == np.mean(np.abs(q))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: observe(np.ones(5)), r"must be \[chains, draws, ...\] with >= 4 draws"),
        (lambda: observe(np.ones((2, 3))), ">= 4 draws"),
        (lambda: observe(np.ones((2, 8, 2))), "function must be given for 2 quantities"),
        (lambda: observe(np.full((2, 8), np.nan)), "must be finite"),
        (lambda: spin_observables(np.ones((2, 8)), np.ones((2, 9)), 4), r"energy must have shape \(2, 8\)"),
        (lambda: spin_observables(np.ones((2, 8)), None, 0), "sites must be an integer >= 1"),
        (lambda: potts_observables(np.ones((2, 8, 3)), None, 4), "sum to 1"),
        (lambda: overlap_observables(np.ones((2, 8, 3)), np.ones((2, 8, 4))), "must be alike"),
        (lambda: correlation_function(np.ones((2, 8, 9)), (3, 4)), r"must hold \(9,\) sites"),
        (lambda: correlation_function(np.ones((2, 8, 1)), ()), r"along sides >= 2; got \(\)"),
        (lambda: correlation_function(np.ones((2, 8, 9)), (3, 3), axis=2), "axis must be None or 0 to 1; got 2"),
        (lambda: magnetisation(np.ones((2, 8))), "must have >= 3 axes"),
        (lambda: observe(np.eye(5)).interval(1.5), "level must lie in"),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
