"""torch-geometric's networks by the protocol, and what is said where the extra is missing."""

import importlib.util
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from energax.cli.main import app
from energax.data import csbm
from energax.errors import DivergenceError
from energax.systems.gebm import pyg
from energax.systems.gebm.listing import backbones
from energax.systems.gebm.split import normalised, split

GRAPH = csbm(300, 3, 8, within=6.0, between=2.0, seed=4)
GRAPH = GRAPH.with_features(normalised(GRAPH.x))
PARTS = split(GRAPH, np.zeros(300, bool), 0)
MASKS = PARTS.train, PARTS.validation
NEEDS = pytest.mark.skipif(
    importlib.util.find_spec("torch_geometric") is None,
    reason="torch-geometric is not installed: pip install 'energax[graphs]'",
)


@NEEDS
@pytest.mark.parametrize("name", ["pyg_gcn", "pyg_gat", "pyg_sage"])
def test_members_learn_differ_and_are_switched_off(name):
    trained = backbones()[name].train(GRAPH, *MASKS, 2, 0)
    first, second = (trained.outputs(GRAPH, member).logits for member in range(2))
    for logits in (first, second):
        assert (logits.argmax(axis=1) == GRAPH.y)[PARTS.test].mean() > 0.8
    assert np.abs(first - second).max() > 1e-2
    alone = trained.alone(GRAPH).logits
    assert np.abs(alone - first).max() > 1e-2
    rng = np.random.default_rng(0)
    assert np.abs(trained.dropout(GRAPH, rng) - trained.dropout(GRAPH, rng)).max() > 1e-2
    np.testing.assert_array_equal(trained.outputs(GRAPH).logits, first)  # evaluation again after dropout


@NEEDS
def test_a_training_that_breaks_is_refused():
    wild = GRAPH.with_features(np.full_like(GRAPH.x, 3e38))
    with pytest.raises(DivergenceError, match="train_models: the validation loss must stay finite; that of member 0"):
        backbones()["pyg_gcn"].train(wild, *MASKS, 1, 0)


def test_without_the_extra_it_says_how_it_is_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    words = r"needs torch and torch-geometric: pip install 'energax\[graphs\]'"
    with pytest.raises(ImportError, match=words):
        pyg.outputs(None, None, None)
    with pytest.raises(ImportError, match=words):
        backbones()["pyg_gcn"].train(GRAPH, *MASKS, 1, 0)
    monkeypatch.setattr("energax.data.load_graph", lambda name, folder=None: GRAPH)
    asked = ["gebm", "csbm", "--backbone", "pyg_sage", "--only", "homophily", "--splits", "1", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    assert "pip install 'energax[graphs]'" in done.output
    assert "Traceback" not in done.output
