"""Laws of the training: what it reads, when it stops, which state it returns, and that it says where it broke."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.data import csbm
from energax.errors import DivergenceError
from energax.networks import normalised_adjacency
from energax.systems.gebm import training
from energax.systems.gebm.posterior_network import train_posterior_network
from energax.systems.gebm.split import normalised, split

GRAPH = csbm(300, 3, 8, within=6.0, between=2.0, seed=4)
GRAPH = GRAPH.with_features(normalised(GRAPH.x))
PARTS = split(GRAPH, np.zeros(300, bool), 0)
MASKS = PARTS.train, PARTS.validation


def test_a_step_reads_only_what_its_loss_depends_on():
    net = training.GCN(8, 64, 3, key=jax.random.key(0))
    a = normalised_adjacency(GRAPH.edge_index, 300)
    logits, _ = net(jnp.asarray(GRAPH.x), a)
    logs = jax.nn.log_softmax(logits)
    whole = -np.mean(np.asarray(logs)[np.flatnonzero(PARTS.train), GRAPH.y[PARTS.train]])
    part = training._part(GRAPH, a, np.asarray(a(jnp.asarray(GRAPH.x))), PARTS.train)
    assert part.inputs.shape[0] < 320
    assert float(training.loss(net, part, None)) == pytest.approx(whole, rel=1e-5)


def weights(graph, seed=0):
    return [np.asarray(each) for each in jax.tree.leaves(training.train_gcns(graph, *MASKS, members=2, seed=seed))]


def test_labels_outside_of_training_and_validation_are_not_read_and_those_inside_are():
    mine = weights(GRAPH)
    for mask, same in ((PARTS.test, True), (PARTS.train, False)):
        other = dataclasses.replace(GRAPH, y=np.where(mask, (GRAPH.y + 1) % 3, GRAPH.y))
        assert all(np.array_equal(a, b) for a, b in zip(mine, weights(other), strict=True)) == same
    assert not np.array_equal(mine[0], weights(GRAPH, seed=1)[0])
    assert not np.array_equal(mine[0][0], mine[0][1])


@eqx.filter_jit
def run(validation):
    """The end of a weight that Adam takes up by 0.01 a step, from 0."""
    return training.stopped_early(
        jnp.zeros(()), jax.random.key(0), lambda w, key: -w, lambda w: jnp.asarray(validation(w), jnp.float32)
    )


def test_the_best_state_is_returned_and_not_the_last():
    best, broken = run(lambda w: (w - 0.5) ** 2)  # the last is near 1: patience of 50 steps
    assert float(best) == pytest.approx(0.5, abs=0.01)
    assert int(broken) == 0


def test_a_gain_below_the_least_is_none():
    best, _ = run(lambda w: -1e-4 * w / 0.05)  # 1e-4 a look: the first counts, and the eleventh after it
    assert float(best) == pytest.approx(0.05, abs=1e-3)


def test_training_ends_at_the_most_steps():
    best, _ = run(lambda w: -w)
    assert float(best) == pytest.approx(training.MOST * training.RATE, rel=0.01)


def test_a_loss_that_is_not_finite_is_told_with_its_step():
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        _, broken = run(lambda w, bad=bad: jnp.where(w > 0.22, bad, -w))
        assert int(broken) == 25


def test_a_training_that_breaks_is_refused_and_hands_out_no_network():
    wild = GRAPH.with_features(np.full_like(GRAPH.x, 3e38))  # finite, and sums of it are not
    with pytest.raises(
        DivergenceError, match=r"train_gcns: the validation loss must stay finite; that of member 0"
    ) as e:
        training.train_gcns(wild, *MASKS, members=2)
    assert e.value.step == training.EVERY
    assert "\n" not in str(e.value)
    with pytest.raises(DivergenceError, match="train_posterior_network: the validation loss must stay finite"):
        train_posterior_network(wild, *MASKS, 0)


def test_masks_and_counts_are_refused():
    for bad in (np.zeros(300, bool), PARTS.train[:9]):
        with pytest.raises(ValueError, match="must choose nodes of the graph"):
            training.train_gcns(GRAPH, bad, PARTS.validation)
    with pytest.raises(ValueError, match="members must be an integer >= 1"):
        training.train_gcns(GRAPH, *MASKS, members=0)
