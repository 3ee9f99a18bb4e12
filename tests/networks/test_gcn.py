"""The graph network is its textbook form, alone it is a dense net, and it sees a graph and not an order of nodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.data import csbm
from energax.networks import GCN, normalised_adjacency
from judges import refuses

GRAPH = csbm(40, 3, 5, seed=2)
NET = GCN(5, 8, 3, key=jax.random.key(1))
A = normalised_adjacency(GRAPH.edge_index, 40)


def dense() -> np.ndarray:
    a = np.eye(40)
    a[GRAPH.edge_index[0], GRAPH.edge_index[1]] = 1.0
    root = 1.0 / np.sqrt(a.sum(axis=1))
    return root[:, None] * a * root


def test_it_is_the_textbook_form():
    logits, hidden = NET(jnp.asarray(GRAPH.x), A)
    first, second = np.asarray(NET.weight_in), np.asarray(NET.weight_out)
    wanted = np.maximum(dense() @ GRAPH.x @ first, 0.0)
    np.testing.assert_allclose(hidden, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits, dense() @ wanted @ second, rtol=1e-4, atol=1e-5)


def test_without_message_passing_every_node_is_by_itself():
    x = jnp.asarray(GRAPH.x)
    logits, _ = NET(x, None)
    moved, _ = NET(x.at[3].add(1.0), None)
    changed = np.flatnonzero(np.abs(np.asarray(moved - logits)).max(axis=1))
    assert changed.tolist() == [3]
    loops = normalised_adjacency(np.empty((2, 0), int), 40)
    np.testing.assert_allclose(NET(x, loops)[0], logits, rtol=1e-6)


def test_nodes_in_another_order_have_their_logits_in_that_order():
    order = np.random.default_rng(0).permutation(40)
    place = np.argsort(order)
    turned = NET(jnp.asarray(GRAPH.x[order]), normalised_adjacency(place[GRAPH.edge_index], 40))[0]
    np.testing.assert_allclose(turned, NET(jnp.asarray(GRAPH.x), A)[0][order], rtol=1e-4, atol=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"must lie in \[0, 2\)"):
        normalised_adjacency(np.array([[0], [2]]), 2)
    with pytest.raises(ValueError, match="must be integers"):
        normalised_adjacency(np.array([[0.0], [1.0]]), 2)
    with refuses("width must be an integer >= 1"):
        GCN(3, 0, 2, key=jax.random.key(0))
