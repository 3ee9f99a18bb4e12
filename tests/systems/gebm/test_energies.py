"""Exact laws of the diffusion and of the three energies."""

import numpy as np
import pytest

from energax.systems.gebm import diffuse, evidential_prediction, graph_energies, walk
from systems.gebm.graphs import both_ways, case

RNG = np.random.default_rng(3)
EDGES = case().edges
E = 3.0 * RNG.normal(size=(60, 4))


def dense(kind: str = "row", loops: bool = True) -> np.ndarray:
    a = np.zeros((60, 60))
    a[EDGES[1], EDGES[0]] = 1.0
    if loops:
        np.fill_diagonal(a, 1.0)
    degree = np.maximum(a.sum(axis=1), 1.0)
    if kind == "symmetric":
        return a / np.sqrt(np.outer(degree, degree))
    return a / degree[:, None] if kind == "row" else (a / degree[:, None]).T


@pytest.mark.parametrize("kind", ["row", "symmetric", "column"])
@pytest.mark.parametrize("loops", [True, False])
def test_k_steps_are_the_kth_power(kind, loops):
    lazy = 0.3 * np.eye(60) + 0.7 * dense(kind, loops)
    found = diffuse(walk(EDGES, 60, alpha=0.3, kind=kind, loops=loops), E, 7)
    np.testing.assert_allclose(found, np.linalg.matrix_power(lazy, 7) @ E, rtol=1e-12, atol=1e-13)


def test_rows_sum_to_one_and_edges_that_stand_twice_count_once():
    step = walk(EDGES, 60)
    np.testing.assert_allclose(step.sum(axis=1), 1.0, rtol=1e-14)
    twice = walk(np.concatenate([EDGES, EDGES], axis=1), 60)
    assert abs(step - twice).max() == 0.0
    loops = np.concatenate([EDGES, np.tile(np.arange(60), (2, 1))], axis=1)
    assert abs(step - walk(loops, 60)).max() == 0.0


def test_a_directed_edge_is_heard_at_its_end():
    step = walk(np.array([[0], [1]]), 2, alpha=0.0).toarray()
    np.testing.assert_array_equal(step, [[1.0, 0.0], [0.5, 0.5]])


def test_local_is_above_group_and_group_within_the_range():
    found = graph_energies(E, walk(EDGES, 60))
    assert (found.local >= found.group - 1e-13).all()
    assert (found.local - found.group).max() > 0.5
    assert found.group.min() >= found.independent.min()
    assert found.group.max() <= found.independent.max()
    mixed = -np.log(diffuse(walk(EDGES, 60), np.exp(-found.independent), 10))
    assert (found.group >= mixed - 1e-13).all()


def test_local_equals_group_where_evidence_agrees_up_to_a_constant_a_node():
    agreed = E[:1] + 5.0 * RNG.normal(size=(60, 1))
    found = graph_energies(agreed, walk(EDGES, 60), temperature=0.7)
    np.testing.assert_allclose(found.local, found.group, rtol=0, atol=2e-14)


@pytest.mark.parametrize(("edges", "steps"), [(np.empty((2, 0), int), 10), (EDGES, 0)])
def test_without_edges_or_steps_all_three_are_equal(edges, steps):
    found = graph_energies(E, walk(edges, 60), steps=steps)
    np.testing.assert_allclose(found.local, found.independent, rtol=1e-14)
    np.testing.assert_allclose(found.group, found.independent, rtol=1e-14)
    np.testing.assert_allclose(found.total, 3.0 * found.independent, rtol=1e-14)


def test_a_constant_on_all_evidence_moves_every_energy_by_as_much():
    mine, theirs = (graph_energies(E + c, walk(EDGES, 60)) for c in (0.0, 2.5))
    for part in ("independent", "local", "group"):
        np.testing.assert_allclose(getattr(theirs, part), getattr(mine, part) - 2.5, rtol=0, atol=1e-13)


@pytest.mark.parametrize("aggregation", ["sum", "logsumexp"])
@pytest.mark.parametrize("part", ["independent", "local", "group"])
def test_each_part_stands_alone_and_together(part, aggregation):
    step = walk(EDGES, 60)
    alone = tuple(float(part == name) for name in ("independent", "local", "group"))
    found = graph_energies(E, step, weights=alone, aggregation=aggregation)
    np.testing.assert_allclose(found.total, getattr(found, part), rtol=1e-14)
    whole = graph_energies(E, step, weights=(2.0, 1.0, 0.5), aggregation=aggregation)
    parts = np.stack([2.0 * whole.independent, whole.local, 0.5 * whole.group])
    together = parts.sum(axis=0) if aggregation == "sum" else np.log(np.exp(parts).sum(axis=0))
    np.testing.assert_allclose(whole.total, together, rtol=1e-12)


def test_evidential_is_the_direct_formula():
    prediction = evidential_prediction(E, walk(EDGES, 60), 1.0)
    beta = np.exp(E)
    total = beta.sum(axis=1, keepdims=True)
    alpha = 1.0 + diffuse(walk(EDGES, 60), beta * np.minimum(1.0, np.e / total), 10)
    np.testing.assert_allclose(prediction.probabilities, alpha / alpha.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(prediction.uncertainty, -np.log((alpha - 1.0).sum(axis=1)), rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(prediction.classes, prediction.probabilities.argmax(axis=1))
    np.testing.assert_allclose(np.exp(prediction.log_evidence), alpha - 1.0, rtol=1e-12)


def test_evidence_far_below_what_an_exponential_holds_still_votes_and_is_still_uncertain():
    far = E - 1e7
    prediction = evidential_prediction(far, walk(EDGES, 60))
    near = evidential_prediction(E, walk(EDGES, 60))
    np.testing.assert_array_equal(prediction.classes, near.classes)
    np.testing.assert_allclose(prediction.uncertainty, near.uncertainty + 1e7, rtol=1e-14)
    np.testing.assert_allclose(prediction.probabilities, 0.25, rtol=1e-12)


def test_a_far_neighbour_is_not_heard_and_one_over_budget_is_cut():
    ring = both_ways(np.arange(3), (np.arange(3) + 1) % 3)
    e = np.array([[1.0, 0.0], [1.0, 0.0], [-5e8, -4e8]])
    prediction = evidential_prediction(e, walk(ring, 3), 2.0)
    assert prediction.classes.tolist() == [0, 0, 0]
    loud = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 80.0]])
    assert evidential_prediction(loud, walk(ring, 3)).classes.tolist() == [1, 1, 1]
    assert evidential_prediction(loud, walk(ring, 3), 1.0).classes.tolist() == [0, 0, 0]


def test_evidential_refuses_what_it_cannot_read():
    with pytest.raises(ValueError, match="must have an entry in every row"):
        evidential_prediction(E, walk(EDGES, 60, loops=False, alpha=0.0))
    with pytest.raises(ValueError, match="budget must be a number or inf"):
        evidential_prediction(E, walk(EDGES, 60), float("nan"))
    with pytest.raises(ValueError, match="must have one row a node, 60"):
        diffuse(walk(EDGES, 60), E[:5], 1)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.uint64])
def test_narrow_ends_of_edges_name_the_same_graph(dtype):
    """Nodes past what the type of the ends can count have loops too."""
    wide = walk(EDGES, 70_000)
    assert abs(walk(EDGES.astype(dtype), 70_000) - wide).max() == 0.0
