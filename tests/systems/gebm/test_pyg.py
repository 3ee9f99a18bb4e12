"""torch-geometric models, with message passing and without: every kind of layer against its own formula."""

import subprocess
import sys

import numpy as np
import pytest

from energax.systems.gebm import GraphEvidence
from systems.gebm.graphs import case

WHY = "torch-geometric is not installed: pip install 'energax[graphs]'"
torch = pytest.importorskip("torch", reason=WHY)
nn = pytest.importorskip("torch_geometric.nn", reason=WHY)
torch_data = pytest.importorskip("torch_geometric.data", reason=WHY)

from energax.systems.gebm import pyg  # noqa: E402

CASE = case(dim=5)
X, EDGES = torch.tensor(CASE.embeddings, dtype=torch.float32), torch.tensor(CASE.edges)
RELU = torch.nn.functional.relu


class Two(torch.nn.Module):
    """Two layers with a ReLU and dropout between, and what comes after."""

    def __init__(self, first, second, after=lambda logits: logits):
        super().__init__()
        self.first, self.second, self.after = first, second, after

    def forward(self, x, edge_index, **more):
        hidden = RELU(self.first(x, edge_index, **more))
        return self.after(self.second(torch.nn.functional.dropout(hidden, training=self.training), edge_index, **more))


class Spread(torch.nn.Module):
    """APPNP: two dense layers, then personalised PageRank."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(5, 8), torch.nn.Linear(8, 3)
        self.spread = nn.APPNP(K=10, alpha=0.1)

    def forward(self, x, edge_index):
        return self.spread(self.second(RELU(self.first(x))), edge_index)


class Head(torch.nn.Module):
    """A dense layer on top of a graph layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.GCNConv(5, 8), torch.nn.Linear(8, 3)

    def forward(self, x, edge_index):
        return self.head(RELU(self.conv(x, edge_index)))


def made(name: str):
    torch.manual_seed(0)
    dense = lambda a, b: torch.nn.Sequential(torch.nn.Linear(a, b), torch.nn.ReLU(), torch.nn.Linear(b, b))  # noqa: E731
    return {
        "gcn": lambda: Two(nn.GCNConv(5, 8), nn.GCNConv(8, 3)),
        "gcn without loops": lambda: Two(nn.GCNConv(5, 8, add_self_loops=False), nn.GCNConv(8, 3)),
        "gat": lambda: Two(nn.GATConv(5, 4, heads=2), nn.GATConv(8, 3)),
        "gatv2": lambda: Two(nn.GATv2Conv(5, 4, heads=2), nn.GATv2Conv(8, 3)),
        "sage": lambda: Two(nn.SAGEConv(5, 8), nn.SAGEConv(8, 3)),
        "gin": lambda: Two(nn.GINConv(dense(5, 8), eps=0.3), nn.GINConv(dense(8, 3))),
        "graph": lambda: Two(nn.GraphConv(5, 8), nn.GraphConv(8, 3)),
        "sg": lambda: Two(nn.SGConv(5, 8), nn.SGConv(8, 3)),
        "appnp": Spread,
        "head": Head,
        "BasicGNN": lambda: nn.GraphSAGE(5, 8, num_layers=2, out_channels=3, dropout=0.5),
    }[name]()


def alone(name: str, model):
    """Logits of one node by itself, from the weights, without torch-geometric's forward."""
    if name.startswith("gcn") or name == "gat":
        one = lambda layer, h: layer.lin(h) + layer.bias  # noqa: E731
    elif name == "gatv2":
        one = lambda layer, h: layer.lin_l(h) + layer.bias  # noqa: E731
    elif name in ("sage", "BasicGNN"):
        one = lambda layer, h: layer.lin_r(h) + layer.lin_l.bias  # noqa: E731
    elif name == "gin":
        one = lambda layer, h: layer.nn((1 + layer.eps) * h)  # noqa: E731
    elif name == "graph":
        one = lambda layer, h: layer.lin_root(h) + layer.lin_rel.bias  # noqa: E731
    elif name == "sg":
        one = lambda layer, h: layer.lin(h)  # noqa: E731
    elif name == "head":
        return model.head(RELU(model.conv.lin(X) + model.conv.bias))
    else:
        return model.second(RELU(model.first(X)))
    first, second = model.convs if name == "BasicGNN" else (model.first, model.second)
    return one(second, RELU(one(first, X)))


NAMES = ["gcn", "gcn without loops", "gat", "gatv2", "sage", "gin", "graph", "sg", "appnp", "head", "BasicGNN"]


@pytest.mark.parametrize("name", NAMES)
def test_on_is_the_model_and_off_its_own_weights_alone(name):
    model = made(name)
    on, off = pyg.outputs(model, X, EDGES)
    model.eval()
    with torch.no_grad():
        np.testing.assert_allclose(on.logits, model(X, EDGES).numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(off.logits, alone(name, model).numpy(), rtol=1e-4, atol=1e-5)
    assert np.abs(on.logits - off.logits).max() > 1e-2
    assert on.embeddings.shape == off.embeddings.shape == (60, 8)
    assert on.embeddings.min() >= -1e-6  # after the activation


@pytest.mark.parametrize("name", NAMES)
def test_off_no_node_hears_another(name):
    model, moved = made(name), X.clone()
    moved[4] += 3.0
    before, after = (pyg.outputs(model, x, EDGES) for x in (X, moved))
    for which, heard in ((0, True), (1, False)):
        changed = np.abs(after[which].logits - before[which].logits).max(axis=1) > 1e-6
        assert changed[4]
        assert (changed.sum() > 1) == heard


def test_the_head_on_embeddings_gives_the_logits():
    model = made("head")
    for each in pyg.outputs(model, X, EDGES):
        with torch.no_grad():
            again = model.head(torch.tensor(each.embeddings)).numpy()
        np.testing.assert_allclose(again, each.logits, rtol=1e-5, atol=1e-6)


def test_appnp_spreads_its_embeddings_too():
    model = made("appnp")
    on, off = pyg.outputs(model, X, EDGES)
    with torch.no_grad():
        spread = model.spread(torch.tensor(off.embeddings), EDGES).numpy()
    np.testing.assert_allclose(on.embeddings, spread, rtol=1e-4, atol=1e-5)


def test_a_model_that_ends_in_a_log_softmax_is_read_before_it():
    plain = made("gcn")
    on, _ = pyg.outputs(plain, X, EDGES)
    plain.after = lambda logits: torch.log_softmax(logits, dim=1)
    again, _ = pyg.outputs(plain, X, EDGES)
    np.testing.assert_array_equal(again.logits, on.logits)


def test_a_model_of_a_whole_graph_says_the_same():
    class OfData(Two):
        def forward(self, data, **more):
            return super().forward(data.x, data.edge_index, **more)

    plain = made("gcn")
    model = OfData(plain.first, plain.second)
    data = torch_data.Data(x=X, edge_index=EDGES)
    for mine, theirs in zip(pyg.outputs(model, data), pyg.outputs(plain, X, EDGES), strict=True):
        np.testing.assert_array_equal(mine.logits, theirs.logits)
        np.testing.assert_array_equal(mine.embeddings, theirs.embeddings)


@pytest.mark.parametrize("end", ["softmax", "rows", "several", "bfloat16"])
def test_a_model_may_end_in_a_softmax_some_rows_or_several_things(end):
    model = made("gcn")
    wanted = pyg.outputs(model, X, EDGES)[0].logits
    x = X
    if end == "bfloat16":
        model, x = model.bfloat16(), X.bfloat16()
    model.after = {
        "softmax": lambda logits: logits.softmax(1),
        "rows": lambda logits: logits[:9],
        "several": lambda logits: (logits, None),
        "bfloat16": lambda logits: logits.log_softmax(1),
    }[end]
    found = pyg.outputs(model, x, EDGES)[0].logits
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=0.05 if end == "bfloat16" else 0.0)


class Twice(Two):
    """Logits of two layers together; or an answer of another layer after that of the classes."""

    def __init__(self, together):
        super().__init__(nn.GCNConv(5, 8), nn.GCNConv(8, 3))
        self.together, self.other = together, torch.nn.Linear(5, 3 if together else 1)

    def forward(self, x, edge_index):
        logits, more = super().forward(x, edge_index), self.other(x)
        return logits + more if self.together else logits


def test_what_is_not_the_last_layers_is_refused():
    scaled = made("gcn")
    scaled.after = lambda logits: logits / 0.1
    for model, said in (
        (scaled, r"got \[60, 3\] that are not those of the GCNConv called last, \[60, 3\]"),
        (Twice(together=True), r"not those of the Linear called last, \[60, 3\]"),
        (Twice(together=False), r"got \[60, 3\] that are not those of the Linear called last, \[60, 1\]"),
    ):
        with pytest.raises(ValueError, match=said):
            pyg.outputs(model, X, EDGES)
    with pytest.raises(ValueError, match="model must be a torch module; got int"):
        pyg.outputs(3, X, EDGES)


def test_the_model_is_left_as_it_was():
    model = Two(nn.GCNConv(5, 8, cached=True), nn.GCNConv(8, 3, cached=True)).train()
    model.second.eval()
    first = model(X, EDGES)  # fills the caches
    kept = model.first._cached_edge_index
    thinned = EDGES[:, ::3]
    on, off = pyg.outputs(model, X, thinned)
    assert model.first._cached_edge_index is kept
    assert model.first.cached
    assert (model.training, model.first.training, model.second.training) == (True, True, False)
    fresh = Two(nn.GCNConv(5, 8), nn.GCNConv(8, 3))
    fresh.load_state_dict(model.state_dict())
    np.testing.assert_allclose(on.logits, pyg.outputs(fresh, X, thinned)[0].logits, rtol=1e-5, atol=1e-6)
    assert np.abs(on.logits - off.logits).max() > 1e-2
    assert first.requires_grad
    assert not model.first._forward_pre_hooks
    assert not model.first._forward_hooks


def test_edge_weights_are_passed_on_and_dropped_where_nothing_passes():
    model, weights = made("gcn"), torch.rand(EDGES.shape[1]) + 0.5
    on, off = pyg.outputs(model, X, EDGES, edge_weight=weights)
    plain = pyg.outputs(model, X, EDGES)
    assert np.abs(on.logits - plain[0].logits).max() > 1e-3
    np.testing.assert_allclose(off.logits, plain[1].logits, rtol=1e-6)


def test_what_cannot_be_switched_off_is_refused():
    with pytest.raises(ValueError, match=r"must be one of GCNConv, .*; got TAGConv"):
        pyg.outputs(Two(nn.TAGConv(5, 8), nn.GCNConv(8, 3)), X, EDGES)
    with pytest.raises(ValueError, match="must have a weight of its own"):
        pyg.outputs(Two(nn.SAGEConv(5, 8, root_weight=False), nn.GCNConv(8, 3)), X, EDGES)
    with pytest.raises(ValueError, match="at least one layer with weights"):
        pyg.outputs(nn.APPNP(K=2, alpha=0.1), X, EDGES)


def test_three_lines_score_a_model_and_torch_says_what_numpy_says():
    model, y, mask = made("gat"), torch.tensor(CASE.labels), torch.tensor(CASE.train)
    on, off = pyg.outputs(model, X, EDGES)
    sure = GraphEvidence.fit(*on, EDGES, y, mask, alone=off)
    scores = sure.score(*off, EDGES)
    assert np.isfinite(scores.total).all()
    tensors = [torch.tensor(a, requires_grad=True) for a in on]
    again = GraphEvidence.fit(*tensors, EDGES, y, mask, alone=off).score(*map(torch.tensor, off), EDGES)
    np.testing.assert_array_equal(again.total, scores.total)
    half = torch.tensor(CASE.logits).to(torch.bfloat16)
    assert np.isfinite(sure.evidence(half, off.embeddings)).all()


@pytest.mark.parametrize("room", ["energax", "energax.systems.gebm", "energax.systems.gebm.listing"])
def test_importing_never_imports_torch(room):
    code = f"import sys, {room}; sys.exit(any(m.startswith('torch') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
