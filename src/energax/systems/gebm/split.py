"""Who is foreign, who trains, who is tested: the paper's protocol, inductive.

Foreign nodes and their edges are absent from training, validation and fit, and present when scores are judged. Test
nodes are a fifth of each class, the same for every split; of the rest, 20 known nodes a class train, and all others
that are known validate.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, the protocol of its reference code.
"""

from typing import NamedTuple

import numpy as np

from energax import checks
from energax.data import Graph
from energax.errors import DataError

TEST_SHARE, A_CLASS = 0.2, 20


class Split(NamedTuple):
    """Masks over all nodes, booleans [nodes].

    Attributes:
        known: In distribution.
        train: Labelled; 20 a class, all known.
        validation: Known, neither training nor test.
        test: A fifth of each class, known and foreign.
    """

    known: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(graph: Graph, foreign: np.ndarray, seed: int) -> Split:
    """The parts of a graph.

    Args:
        graph: The graph.
        foreign: Booleans [nodes].
        seed: Of the training nodes, >= 0; the test nodes are the same for all.

    Raises:
        DataError: A known class has fewer than 3 nodes outside the test, or only one is left.

    Example:
        >>> from energax.data import csbm
        >>> made = split(csbm(), np.zeros(1500, bool), 0)
        >>> int(made.train.sum()), int(made.validation.sum()), int(made.test.sum())
        (120, 1080, 300)
    """
    checks.count("split", "seed", seed, least=0)
    test = stratified(graph.y, TEST_SHARE, np.random.default_rng(0))
    rng = np.random.default_rng([seed, 1])
    train = np.zeros(len(graph), bool)
    free = ~foreign & ~test
    for c in np.unique(graph.y[~foreign]):
        members = np.flatnonzero(free & (graph.y == c))
        if len(members) < 3:
            raise DataError(f"{graph.name}: a known class must have at least 3 nodes; got {len(members)} of class {c}.")
        train[rng.permutation(members)[: min(A_CLASS, len(members) - 1)]] = True
    if len(np.unique(graph.y[train])) < 2:
        raise DataError(f"{graph.name}: at least 2 known classes must be left; got one.")
    return Split(~foreign, train, free & ~train, test)


def stratified(y: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A mask over a random share of every class, booleans [nodes]."""
    chosen = np.zeros(len(y), bool)
    for c in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == c))
        chosen[members[: round(share * len(members))]] = True
    return chosen


def random_half(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask over a random half of every class, booleans [nodes]."""
    return stratified(y, 0.5, rng)


def lowest_half(scores: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask over the half of every class with the lowest scores, ties at random, booleans [nodes]."""
    chosen = np.zeros(len(y), bool)
    shuffled = rng.permutation(len(y))
    order = shuffled[np.argsort(scores[shuffled], kind="stable")]
    for c in np.unique(y):
        members = order[y[order] == c]
        chosen[members[: len(members) // 2]] = True
    return chosen


def normalised(x: np.ndarray) -> np.ndarray:
    """Rows of norm one; rows of zeros stay."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return (x / np.where(norms > 0, norms, 1.0)).astype(np.float32)
