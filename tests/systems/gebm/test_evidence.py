"""Exact laws of GEBM: its normaliser, its reductions, its symmetries, and where it goes along a ray."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from energax.systems.gebm import GraphEvidence, diffuse, log_normaliser, walk
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
    np.testing.assert_allclose(
        diffuse(walk(CASE.edges, nodes, loops=False), -np.log(np.exp(e).sum(axis=1)), 2), energy, rtol=1e-13, atol=1e-14
    )


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


BAD = {
    "logits of one axis": ({"logits": CASE.logits[:, 0]}, r"logits must have shape \[nodes, columns\]; got"),
    "embeddings of other nodes": ({"embeddings": CASE.embeddings[:5]}, r"embeddings must have shape \[60, columns\]"),
    "a NaN": ({"embeddings": np.full((60, 2), np.nan)}, "non-finite entry in row"),
    "words": ({"logits": np.full((60, 3), "a")}, "logits must hold real numbers"),
    "edges beyond the nodes": ({"edges": np.array([[0], [60]])}, r"edge_index must lie in \[0, 60\)"),
    "edges as pairs": ({"edges": CASE.edges.T}, r"edge_index must have shape \[2, edges\]"),
    "edges of real numbers": ({"edges": CASE.edges * 1.0}, "edge_index must hold integers"),
    "a class too many": ({"labels": CASE.labels + 1}, r"labels of training nodes must lie in \[0, 3\)"),
    "labels of real numbers": ({"labels": CASE.labels * 1.0}, "labels must be integers"),
    "a class without nodes": ({"train": CASE.train & (CASE.labels > 0)}, "at least 2 training nodes; got 0 of class 0"),
    "nothing to train on": ({"train": np.zeros(60, bool)}, "must choose at least one node"),
    "a mask of other nodes": ({"train": CASE.train[:9]}, "must have one boolean a node, 60; got 9"),
    "embeddings that stand still": ({"embeddings": np.ones((60, 2))}, "distances must vary over the nodes"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        CASE._replace(**changes).fit()


OPTIONS = {
    "covariance": ({"covariance": "round"}, "must be one of diagonal, full, isotropic, identity; got 'round'"),
    "tied": ({"tied": True}, "must be one of no, total, within"),
    "shrinkage": ({"shrinkage": 1.5}, r"must lie in \[0, 1\]; got 1.5"),
    "gamma": ({"gamma": -1.0}, "gamma must be >= 0"),
    "weights": ({"weights": (0.0, 0.0, 0.0)}, "three numbers >= 0, not all 0"),
    "aggregation": ({"aggregation": "mean"}, "must be one of sum, logsumexp"),
    "diffusion": ({"diffusion": "heat"}, "must be one of row, symmetric, column"),
    "alpha": ({"alpha": 2.0}, r"alpha must lie in \[0, 1\]"),
    "steps": ({"steps": -1}, "steps must be an integer >= 0"),
    "temperature": ({"temperature": 0.0}, "temperature must be > 0"),
}


@pytest.mark.parametrize(("options", "sentence"), OPTIONS.values(), ids=OPTIONS)
def test_an_option_out_of_range_is_refused_in_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        CASE.fit(**options)


def test_a_graph_of_another_width_is_refused():
    sure = CASE.fit()
    with pytest.raises(ValueError, match=r"embeddings must have shape \[60, 2\]"):
        sure.score(CASE.logits, CASE.embeddings[:, :1], CASE.edges)
    with pytest.raises(ValueError, match=r"logits must have shape \[nodes, 3\]"):
        sure.score(CASE.logits[:, :2], CASE.embeddings, CASE.edges)
