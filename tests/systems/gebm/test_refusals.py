"""What GEBM's pieces refuse, each in one sentence: arrays of no or another graph, options without range or effect."""

import numpy as np
import pytest

from energax.systems.gebm import (
    ClassGaussians,
    ScaleMatch,
    diffuse,
    evidential_prediction,
    graph_energies,
    log_normaliser,
    walk,
)
from systems.gebm.graphs import case

CASE = case()
STEP = walk(CASE.edges, 60)
SURE = CASE.fit()

BAD = {
    "logits of one axis": ({"logits": CASE.logits[:, 0]}, r"logits must have rank 2.*; got shape \(60,\)"),
    "embeddings of other nodes": ({"embeddings": CASE.embeddings[:5]}, r"embeddings must have shape \[60, columns\]"),
    "a NaN": ({"embeddings": np.full((60, 2), np.nan)}, "embeddings must be finite; got nan at index"),
    "words": ({"logits": np.full((60, 3), "a")}, "logits must hold real numbers"),
    "edges beyond the nodes": ({"edges": np.array([[0], [60]])}, r"edge_index must lie in \[0, 60\)"),
    "edges as pairs": ({"edges": CASE.edges.T}, r"edge_index must have shape \[2, edges\]"),
    "edges of real numbers": ({"edges": CASE.edges * 1.0}, "edge_index must hold integers"),
    "a class too many": ({"labels": CASE.labels + 1}, r"labels of training nodes must be in 0\.\.2; got 3"),
    "labels of real numbers": ({"labels": CASE.labels * 1.0}, "labels of training nodes must be integers"),
    "labels of other nodes": ({"labels": CASE.labels[:9]}, r"must be one a node, shape \(60,\); got shape \(9,\)"),
    "a class without nodes": ({"train": CASE.train & (CASE.labels > 0)}, "at least 2 training nodes; got 0 of class 0"),
    "nothing to train on": ({"train": np.zeros(60, bool)}, "must choose at least one node"),
    "a mask of numbers": ({"train": CASE.train.astype(np.uint8)}, "booleans or positions; got 0 and 1 of uint8"),
    "edges as a sparse matrix": ({"edges": STEP}, r"must have shape \[2, edges\]; got a csr_array"),
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
    "shrinkage of nothing": ({"shrinkage": None}, r"shrinkage must lie in \[0, 1\]; got None"),
    "alpha in words": ({"alpha": "half"}, r"alpha must lie in \[0, 1\]; got 'half'"),
    "weights in words": ({"weights": "all"}, "three numbers >= 0, not all 0; got 'all'"),
    "gamma": ({"gamma": -1.0}, "gamma must be >= 0"),
    "weights": ({"weights": (0.0, 0.0, 0.0)}, "three numbers >= 0, not all 0"),
    "aggregation": ({"aggregation": "mean"}, "must be one of sum, logsumexp"),
    "diffusion": ({"diffusion": "heat"}, "must be one of row, symmetric, column"),
    "alpha": ({"alpha": 2.0}, r"alpha must lie in \[0, 1\]"),
    "steps": ({"steps": -1}, "steps must be an integer >= 0"),
    "temperature": ({"temperature": 0.0}, "temperature must be > 0"),
    "alone of one array": ({"alone": CASE.logits}, r"alone must be \(logits, embeddings\); got ndarray"),
    "alone of other nodes": (
        {"alone": (CASE.logits[:9], CASE.embeddings[:9])},
        r"alone's logits must have shape \[60, columns\]; got shape \(9, 3\)",
    ),
    "alone of two graphs": (
        {"alone": (CASE.logits, CASE.embeddings[:9])},
        r"alone's embeddings must have shape \[60, columns\]",
    ),
    "alone of other classes": ({"alone": (CASE.logits[:, :2], CASE.embeddings)}, r"must have shape \[nodes, 3\]"),
    "identity, tied": ({"covariance": "identity", "tied": "total"}, "must stand alone.*got tied='total'"),
    "identity, shrunk": ({"covariance": "identity", "shrinkage": 0.1}, "must stand alone.*shrinkage=0.1"),
    "one variance, shrunk": (
        {"covariance": "isotropic", "tied": "within", "shrinkage": 0.5},
        "shrinkage must be 0 where one isotropic variance is tied.*got 0.5",
    ),
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


NAN = np.full((60, 3), np.nan)
PIECES = {
    "energies of a NaN": (lambda: graph_energies(NAN, STEP), "evidence must be finite; got nan"),
    "energies of one axis": (lambda: graph_energies(np.zeros(60), STEP), "evidence must have rank 2"),
    "energies of other nodes": (lambda: graph_energies(np.zeros((9, 3)), STEP), r"must have shape \[60, columns\]"),
    "energies by a dense step": (lambda: graph_energies(np.zeros((60, 3)), STEP.toarray()), "step must be the square"),
    "energies of words": (lambda: graph_energies(NAN.astype(str), STEP), "evidence must hold real numbers"),
    "predictions of a NaN": (lambda: evidential_prediction(NAN, STEP), "evidence must be finite; got nan"),
    "predictions of one axis": (lambda: evidential_prediction(np.zeros(60), STEP), "evidence must have rank 2"),
    "predictions of other nodes": (lambda: evidential_prediction(np.zeros((9, 3)), STEP), r"must have shape \[60"),
    "predictions by a dense step": (lambda: evidential_prediction(NAN, STEP.toarray()), "step must be the square"),
    "a NaN that walks": (lambda: diffuse(STEP, NAN, 1), "signal must be finite; got nan"),
    "a walk over no matrix": (lambda: diffuse(STEP[:9], NAN, 1), r"step must be the square.*\(9, 60\)"),
    "an unusual NaN": (lambda: SURE.unusual(np.array([np.nan])), "total must be finite; got nan"),
    "unusual energies of two axes": (lambda: SURE.unusual(np.zeros((2, 2))), "total must have rank 1"),
    "Gaussians of a NaN": (lambda: ClassGaussians.fit(NAN, CASE.labels, 3), "embeddings must be finite; got nan"),
    "Gaussians of other labels": (
        lambda: ClassGaussians.fit(CASE.embeddings, CASE.labels[:9], 3),
        r"labels must be one a node, shape \(60,\)",
    ),
    "Gaussians of a class without nodes": (
        lambda: ClassGaussians.fit(CASE.embeddings, CASE.labels, 4),
        "at least 2 training nodes; got 0 of class 3",
    ),
    "distances of a NaN": (lambda: SURE.gaussians.distances(NAN[:, :2]), "embeddings must be finite; got nan"),
    "distances of another width": (lambda: SURE.gaussians.distances(CASE.logits), r"must have shape \[nodes, 2\]"),
    "scales of a NaN": (lambda: ScaleMatch.fit(NAN, CASE.logits), "distances must be finite; got nan"),
    "scales of other nodes": (lambda: ScaleMatch.fit(CASE.logits, CASE.logits[:9]), r"must have shape \[60, 3\]"),
    "a normaliser of a NaN": (
        lambda: log_normaliser(SURE.gaussians, SURE.match, CASE.weight * np.nan, CASE.bias),
        "weight must be finite; got nan",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "sentence"), PIECES.values(), ids=PIECES)
def test_a_piece_refuses_what_it_cannot_read(call, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
