"""Exact laws of GEBM: its normaliser, its reductions, its symmetries, and where it goes along a ray."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from energax.systems.gebm import GraphEvidence, diffuse, graph_energies, log_normaliser, walk
from systems.gebm.graphs import Case, case

CASE = case()
COVARIANCES = [
    {"covariance": "diagonal"}, {"covariance": "full"}, {"covariance": "isotropic"}, {"covariance": "identity"},
    {"tied": "total"}, {"tied": "within", "covariance": "full"}, {"shrinkage": 0.5},
]  # fmt: skip


def log_mass(sure: GraphEvidence, made: Case, radius: float) -> float:
    """log of the integral of exp(-E_ind) over a square; on a fine grid, which is exact where the integrand decays."""
    axis = np.linspace(-radius, radius, 601)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    h = np.stack([x.ravel(), y.ravel()], axis=1) + made.embeddings.mean(axis=0)
    return float(logsumexp(sure.evidence(h @ made.weight.T + made.bias, h)) + 2.0 * np.log(axis[1] - axis[0]))


@pytest.mark.parametrize("options", COVARIANCES[:3], ids=str)
def test_the_normaliser_is_that_of_a_gaussian_mixture(options):
    sure = CASE.fit(**options, gamma=0.7)
    exact = log_normaliser(sure.gaussians, sure.match, CASE.weight, CASE.bias, 0.7)
    assert log_mass(sure, CASE, 40.0) == pytest.approx(exact, abs=1e-10)


def test_without_the_regulariser_the_mass_grows_without_bound():
    wild, tame = CASE.fit(gamma=0.0), CASE.fit()
    masses = [log_mass(wild, CASE, radius) for radius in (5.0, 10.0, 20.0)]
    assert masses[1] > masses[0] + 5
    assert masses[2] > masses[1] + 5
    assert log_mass(tame, CASE, 40.0) == pytest.approx(
        log_normaliser(tame.gaussians, tame.match, CASE.weight, CASE.bias), abs=1e-10
    )


@pytest.mark.parametrize("options", COVARIANCES, ids=str)
def test_along_a_ray_it_grows_as_a_square_and_without_gamma_it_falls_as_a_line(options):
    far = np.array([1e3, 2e3, 4e3])
    h = far[:, None] * np.array([0.6, -0.8])
    logits = h @ CASE.weight.T + CASE.bias
    none = np.empty((2, 0), int)
    high = CASE.fit(**options).score(logits, h, none).independent
    low = CASE.fit(gamma=0.0, **options).score(logits, h, none).independent
    # second differences of a square, none of a line
    np.testing.assert_allclose(high[1:] / high[:-1], 4.0, rtol=0.03)
    assert high[0] > 0
    np.testing.assert_allclose(low[1:] / low[:-1], 2.0, rtol=0.03)
    assert low[0] < 0


def test_on_rays_where_every_unit_is_dead_it_stays_bounded():
    weight, bias = np.array([[1.0, 0.5], [0.2, 1.0]]), np.array([0.1, -0.3])
    x = np.array([-1.0, -1.0]) * np.array([1.0, 1e3, 1e6])[:, None]
    h = np.maximum(x @ weight.T + bias, 0.0)
    assert np.ptp(CASE.fit().score(h @ CASE.weight.T + CASE.bias, h, np.empty((2, 0), int)).independent[1:]) == 0.0


def test_without_gamma_the_independent_part_is_the_logit_energy():
    found = CASE.score(gamma=0.0, weights=(1.0, 0.0, 0.0))
    np.testing.assert_array_equal(found.total, found.independent)
    np.testing.assert_allclose(found.independent, -np.log(np.exp(CASE.logits).sum(axis=1)), rtol=0, atol=1e-14)


def test_without_gamma_and_loops_two_steps_of_the_group_part_are_gnnsafe():
    # Wu et al. (2023), eq. (9): E <- alpha E + (1 - alpha) D^{-1} A E, twice
    nodes = len(CASE.logits)
    a = np.zeros((nodes, nodes))
    a[CASE.edges[1], CASE.edges[0]] = 1.0
    p = a / np.maximum(a.sum(axis=1, keepdims=True), 1.0)
    energy = -np.log(np.exp(CASE.logits).sum(axis=1))
    for _ in range(2):
        energy = 0.5 * energy + 0.5 * p @ energy
    e = CASE.fit(gamma=0.0).evidence(CASE.logits, CASE.embeddings)
    found = graph_energies(e, walk(CASE.edges, nodes, loops=False), steps=2, weights=(0.0, 0.0, 1.0))
    np.testing.assert_allclose(found.total, energy, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("options", COVARIANCES, ids=str)
def test_nodes_in_another_order_score_the_same(options):
    order = np.random.default_rng(1).permutation(len(CASE.labels))
    place = np.argsort(order)
    turned = Case(
        CASE.logits[order], CASE.embeddings[order], place[CASE.edges], CASE.labels[order], CASE.train[order], *CASE[5:]
    )
    for mine, theirs in zip(CASE.score(**options), turned.score(**options), strict=True):
        np.testing.assert_allclose(theirs, mine[order], rtol=1e-11, atol=1e-12)


def test_a_constant_on_the_logits_of_a_class_changes_nothing_and_moves_the_logit_energy():
    shift = np.array([3.0, -1.0, 40.0])
    moved = CASE._replace(logits=CASE.logits + shift)
    for mine, theirs in zip(CASE.score(), moved.score(), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-10)
    assert np.abs(moved.score(gamma=0.0).total - CASE.score(gamma=0.0).total).max() > 10


def test_rescaled_coordinates_change_nothing_for_diagonal_covariances_and_any_map_for_full_ones():
    scale, mix = np.array([3.0, 0.2]), np.array([[2.0, -1.0], [0.5, 1.0]])
    for options, moved in (
        ({}, CASE._replace(embeddings=CASE.embeddings * scale + 1.0)),
        ({"covariance": "full"}, CASE._replace(embeddings=CASE.embeddings @ mix - 2.0)),
    ):
        for mine, theirs in zip(CASE.score(**options), moved.score(**options), strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=1e-10, atol=1e-10)
    turned = CASE._replace(embeddings=CASE.embeddings @ mix).score().total
    assert np.abs(turned - CASE.score().total).max() > 1e-3


def test_covariances_times_a_constant_change_nothing():
    # so that shrinkage, which mixes in the mean variance, is no scale of its own
    sure = CASE.fit()
    larger = type(sure.gaussians)(sure.gaussians.means, 7.0 * sure.gaussians.covariances)
    match = type(sure.match).fit(larger.distances(CASE.embeddings), CASE.logits)
    twin = GraphEvidence(larger, match, sure.budget, sure.reference, sure.options)
    mine, theirs = (each.score(CASE.logits, CASE.embeddings, CASE.edges).total for each in (sure, twin))
    np.testing.assert_allclose(theirs, mine, rtol=1e-11, atol=1e-12)


def test_distances_are_the_textbook_form():
    sure, trained = CASE.fit(covariance="full"), CASE.train
    found = sure.gaussians.distances(CASE.embeddings)
    for c in range(3):
        rows = CASE.embeddings[trained & (CASE.labels == c)]
        away = CASE.embeddings - rows.mean(axis=0)
        s = np.cov(rows.T, bias=True)
        np.testing.assert_allclose(found[:, c], np.einsum("nd,de,ne->n", away, np.linalg.inv(s), away), rtol=1e-10)


def test_scales_are_matched_at_the_central_95_percent():
    sure = CASE.fit()
    distances = sure.gaussians.distances(CASE.embeddings)
    low, high = int(0.025 * 60), int(0.975 * 60) - 1
    for c in range(3):
        ends = np.sort(distances[:, c])[[low, high]]
        logits = np.sort(CASE.logits[:, c])[[low, high]]
        mapped = sure.match(np.tile(ends[:, None], 3))[:, c]
        np.testing.assert_allclose(mapped, logits, rtol=1e-12)


def test_numpy_jax_and_float32_say_the_same():
    as_jax = CASE._replace(
        logits=jnp.asarray(CASE.logits), embeddings=jnp.asarray(CASE.embeddings), edges=jnp.asarray(CASE.edges)
    )
    assert as_jax.logits.dtype == jnp.float32 or jax.config.jax_enable_x64
    np.testing.assert_allclose(as_jax.score().total, CASE.score().total, rtol=1e-4, atol=1e-4)


def test_what_is_usual_is_counted_on_the_graph_of_the_fit():
    sure = CASE.fit()
    found = sure.score(CASE.logits, CASE.embeddings, CASE.edges)
    share = sure.unusual(found.total)
    assert share.min() == 0.0
    assert share.max() == pytest.approx(59 / 60)
    assert np.array_equal(np.argsort(share, kind="stable"), np.argsort(found.total, kind="stable"))
    assert sure.budget == np.median(-found.independent)
    alone = CASE.fit(alone=(CASE.logits, CASE.embeddings + 1.0))
    assert alone.budget != sure.budget


def test_a_scale_on_all_logits_and_the_temperature_is_one_of_the_energies_alone():
    # e = T e', so e / T, the budget and the predictions are those of T = 1, and energies are T times theirs
    hot = CASE._replace(logits=3.0 * CASE.logits)
    mine, theirs = CASE.fit(), hot.fit(temperature=3.0)
    assert theirs.budget == pytest.approx(mine.budget, rel=1e-12)
    for a, b in zip(hot.score(temperature=3.0), CASE.score(), strict=True):
        np.testing.assert_allclose(a, 3.0 * b, rtol=1e-11, atol=1e-12)
    for a, b in zip(
        theirs.predict(hot.logits, hot.embeddings, hot.edges),
        mine.predict(CASE.logits, CASE.embeddings, CASE.edges),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_predictions_are_the_direct_formula_and_half_of_the_nodes_are_cut(temperature):
    sure = CASE.fit(temperature=temperature, steps=3)
    beta = np.exp(sure.evidence(CASE.logits, CASE.embeddings) / temperature)
    total = beta.sum(axis=1)
    assert (total > np.exp(sure.budget)).sum() == 30
    assert sure.budget == pytest.approx(np.median(np.log(total)), rel=1e-12)
    for given, most in ((None, np.exp(sure.budget)), (-1.0, np.exp(-1.0)), (np.inf, np.inf)):
        cut = beta * np.minimum(1.0, most / total)[:, None]
        alpha = 1.0 + diffuse(walk(CASE.edges, 60), cut, 3)
        found = sure.predict(CASE.logits, CASE.embeddings, CASE.edges, budget=given)
        np.testing.assert_allclose(found.probabilities, alpha / alpha.sum(axis=1, keepdims=True), rtol=1e-9)
        np.testing.assert_allclose(found.uncertainty, -np.log((alpha - 1.0).sum(axis=1)), rtol=1e-9, atol=1e-12)
        assert found.classes.tolist() == (alpha - 1.0).argmax(axis=1).tolist()
    with pytest.raises(ValueError, match="budget must be a number or inf; got 'much'"):
        sure.predict(CASE.logits, CASE.embeddings, CASE.edges, budget="much")


def test_predictions_walk_as_the_fit_was_told():
    other = CASE.fit(alpha=0.0, diffusion="symmetric", steps=2)
    beta = np.exp(other.evidence(CASE.logits, CASE.embeddings))
    cut = beta * np.minimum(1.0, np.exp(other.budget) / beta.sum(axis=1))[:, None]
    alpha = 1.0 + diffuse(walk(CASE.edges, 60, alpha=0.0, kind="symmetric"), cut, 2)
    found = other.predict(CASE.logits, CASE.embeddings, CASE.edges).probabilities
    np.testing.assert_allclose(found, alpha / alpha.sum(axis=1, keepdims=True), rtol=1e-9)
