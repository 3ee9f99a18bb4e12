"""Laws of the protocol: who trains, validates, is tested, is foreign, and which edges are there in training."""

import numpy as np
import pytest

from energax.data import csbm
from energax.errors import DataError
from energax.systems.gebm.listing import shifts
from energax.systems.gebm.split import split, stratified

GRAPH = csbm(300, 3, 8, within=6.0, between=2.0, seed=4)
NONE = np.zeros(300, bool)


def foreign_of(name: str) -> np.ndarray:
    return shifts()[name].foreign(GRAPH, np.random.default_rng(1))


FOREIGN = {"nobody": NONE, **{name: foreign_of(name) for name in ("homophily", "left_out_classes", "normal_far")}}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_every_node_has_one_part_and_foreign_ones_are_in_the_test_or_nowhere(foreign, seed):
    parts = split(GRAPH, foreign, seed)
    assert (parts.train * 1 + parts.validation + parts.test + (foreign & ~parts.test) == 1).all()
    assert not ((parts.train | parts.validation) & foreign).any()
    np.testing.assert_array_equal(parts.known, ~foreign)


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_twenty_of_every_known_class_train_and_a_fifth_of_every_class_is_tested(foreign):
    parts = split(GRAPH, foreign, 0)
    known = np.isin(np.arange(3), GRAPH.y[~foreign])
    assert np.bincount(GRAPH.y[parts.train], minlength=3).tolist() == [20 * each for each in known]
    assert np.bincount(GRAPH.y[parts.test]).tolist() == [20] * 3  # of 100


def test_a_small_class_keeps_one_node_to_validate():
    foreign = GRAPH.y == 1
    foreign[np.flatnonzero(foreign & ~split(GRAPH, NONE, 0).test)[:7]] = False
    parts = split(GRAPH, foreign, 0)
    assert (GRAPH.y[parts.train] == 1).sum() == 6
    assert (GRAPH.y[parts.validation] == 1).sum() == 1


def test_the_test_is_one_for_all_splits_and_the_training_is_not():
    first, again, other = (split(GRAPH, NONE, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.test, other.test)
    np.testing.assert_array_equal(first.train, again.train)
    assert (first.train != other.train).any()


def test_left_out_classes_are_absent_from_training_with_all_their_edges():
    foreign = foreign_of("left_out_classes")
    assert set(GRAPH.y[foreign]) == {2}
    parts = split(GRAPH, foreign, 0)
    known, old = GRAPH.part(parts.known), np.flatnonzero(parts.known)
    assert known.classes == 2
    kept = {tuple(pair) for pair in old[known.edge_index].T.tolist()}
    assert kept == {(a, b) for a, b in GRAPH.edge_index.T.tolist() if not (foreign[a] or foreign[b])}
    assert len(kept) < GRAPH.edge_index.shape[1]


def test_a_stratified_share_is_that_share_of_every_class():
    y = np.repeat([0, 1, 2], [10, 21, 50])
    assert np.bincount(y[stratified(y, 0.2, np.random.default_rng(0))]).tolist() == [2, 4, 10]


def test_what_cannot_be_split_is_refused():
    few = GRAPH.y == 1
    few[np.flatnonzero(few)[:2]] = False
    with pytest.raises(DataError, match=r"a known class must have at least 3 nodes; got [012] of class 1"):
        split(GRAPH, few, 0)
    with pytest.raises(DataError, match="at least 2 known classes must be left; got one"):
        split(GRAPH, GRAPH.y > 0, 0)
    with pytest.raises(ValueError, match="seed must be an integer >= 0; got -1"):
        split(GRAPH, NONE, -1)
