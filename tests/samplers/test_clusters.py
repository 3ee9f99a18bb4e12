"""Cluster labels against SciPy's connected components, on random graphs and on the paths that are slowest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from energax.samplers import cluster_labels


def expected(pairs, bonds, sites):
    a, b = pairs[bonds].T
    _, names = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(sites, sites)), directed=False)
    return np.array([np.flatnonzero(names == name)[0] for name in names])


@pytest.mark.parametrize("odds", [0.0, 0.1, 0.3, 1.0])
def test_random_graphs(odds):
    rng = np.random.default_rng(int(100 * odds))
    pairs = rng.integers(0, 200, (300, 2)).astype(np.int32)
    bonds = rng.random((20, 300)) < odds
    found = jax.vmap(lambda b: cluster_labels(jnp.asarray(pairs), b, 200))(jnp.asarray(bonds))
    for labels, each in zip(found, bonds, strict=True):
        np.testing.assert_array_equal(labels, expected(pairs, each, 200))


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled", "zigzag"])
def test_long_paths_in_any_numbering(order):
    sites = 300
    number = {
        "forward": np.arange(sites),
        "backward": np.arange(sites)[::-1],
        "shuffled": np.random.default_rng(0).permutation(sites),
        "zigzag": np.stack([np.arange(150), 299 - np.arange(150)], 1).ravel(),
    }[order]
    pairs = np.stack([number[:-1], number[1:]], 1).astype(np.int32)
    bonds = np.ones(sites - 1, bool)
    bonds[200] = False
    labels = cluster_labels(jnp.asarray(pairs), jnp.asarray(bonds), sites)
    np.testing.assert_array_equal(labels, expected(pairs, bonds, sites))


def test_no_edges_at_all():
    labels = cluster_labels(jnp.zeros((0, 2), jnp.int32), jnp.zeros(0, bool), 4)
    np.testing.assert_array_equal(labels, np.arange(4))
