"""The study: who is foreign, that training never sees them, what the baselines are, ranks, and the command."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from energax.cli.main import app
from energax.data import csbm
from energax.errors import DataError
from energax.networks import normalised_adjacency
from energax.systems.gebm import diffuse, training, walk
from energax.systems.gebm.cell import Cell, Row, groups, run
from energax.systems.gebm.listing import backbones, methods, shifts
from energax.systems.gebm.posterior_network import _log_density, uncertain_cross_entropy
from energax.systems.gebm.split import lowest_half, normalised, split, stratified
from energax.systems.gebm.study import cells, read, study
from energax.systems.gebm.table import mean_ranks, tables
from energax.systems.gebm.trial import Outputs, Seen, Trial, mutual_information

GRAPH = csbm(300, 3, 8, within=6.0, between=2.0, seed=4)
WORDS = dataclasses.replace(GRAPH, x=np.maximum(GRAPH.x > 0.5, np.arange(8) == 0).astype(np.float32), binary=True)
RNG = np.random.default_rng(0)


# --- shifts


@pytest.mark.parametrize("name", shifts())
def test_a_shift_makes_nodes_foreign_and_leaves_the_known_alone(name):
    shift = shifts()[name]
    graph = WORDS if shift.fits(WORDS) else GRAPH
    graph = graph.with_features(normalised(graph.x))
    foreign = shift.foreign(graph, np.random.default_rng(1))
    x = shift.features(graph, foreign, np.random.default_rng(2))
    np.testing.assert_array_equal(x[~foreign], graph.x[~foreign])
    if shift.GROUP == "features":
        assert (np.abs(x - graph.x).max(axis=1) > 1e-6)[foreign].mean() > 0.95
    if name != "left_out_classes":
        assert np.bincount(graph.y[foreign]).tolist() == [50] * 3
    if name not in ("normal_far", "bernoulli_zero"):
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, rtol=1e-5)


def test_structural_shifts_take_the_lowest_half_of_every_class():
    a = np.zeros((300, 300))
    a[GRAPH.edge_index[0], GRAPH.edge_index[1]] = 1.0
    same = (a * (GRAPH.y[:, None] == GRAPH.y)).sum(1) / np.maximum(a.sum(1), 1.0)
    loops = a + np.eye(300)
    rank = np.full(300, 1 / 300)
    for _ in range(10):
        rank = 0.8 * (loops / loops.sum(axis=1, keepdims=True)).T @ rank + 0.2 / 300
    for name, scores in (("homophily", same), ("pagerank", rank)):
        foreign = shifts()[name].foreign(GRAPH, np.random.default_rng(0))
        for c in range(3):
            mine = scores[GRAPH.y == c], foreign[GRAPH.y == c]
            assert mine[0][mine[1]].max() <= mine[0][~mine[1]].min() + 1e-12
    half = shifts()["homophily"].foreign(GRAPH, np.random.default_rng(0))
    np.testing.assert_array_equal(lowest_half(same, GRAPH.y, np.random.default_rng(0)), half)


def test_near_noise_has_the_statistics_of_the_known_and_far_noise_has_not():
    big = csbm(4000, 2, 4, seed=1)
    foreign = stratified(big.y, 0.5, np.random.default_rng(1))
    drawn = shifts()["normal_near"].features(big, foreign, np.random.default_rng(2))[foreign]
    # of norm 1, as the shift leaves them: compared with known nodes' Gaussian of the same mean and covariance
    mean, cov = big.x[~foreign].mean(axis=0), np.cov(big.x[~foreign].T, bias=True)
    again = normalised(np.random.default_rng(5).multivariate_normal(mean, cov, size=20_000))
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(again.T), atol=5 * 0.4 / np.sqrt(2000))
    words = dataclasses.replace(big, x=(big.x > 0.5).astype(np.float32), binary=True)
    near = shifts()["bernoulli_near"].features(words, foreign, np.random.default_rng(2))[foreign]
    frequency = (words.x[~foreign] > 0).mean(axis=0)
    np.testing.assert_allclose((near > 0).mean(axis=0), frequency, atol=4 * 0.5 / np.sqrt(2000))


# --- training


@pytest.fixture(scope="module")
def trial() -> Trial:
    graph = GRAPH.with_features(normalised(GRAPH.x))
    foreign = shifts()["normal_far"].foreign(graph, np.random.default_rng(0))
    parts = split(graph, foreign, 0)
    known = graph.part(parts.known)
    train, validation = parts.train[parts.known], parts.validation[parts.known]
    return Trial(backbones()["gcn"].train(known, train, validation, 3, 0), known, train, validation, 0)


def test_members_learn_and_differ(trial):
    passes = [trial.backbone.outputs(trial.graph, member).logits for member in range(3)]
    for logits in passes:
        assert (logits.argmax(axis=1) == trial.graph.y).mean() > 0.8
    assert np.abs(passes[0] - passes[1]).max() > 1e-2


def test_the_forward_pass_on_the_host_is_that_of_the_network(trial):
    w = [jnp.asarray(each[0]) for each in trial.backbone._weights]
    net = training.GCN(8, 64, 3, key=jax.random.key(0))
    net = eqx.tree_at(lambda n: (n.weight_in, n.bias_in, n.weight_out, n.bias_out), net, tuple(w))
    for a, found in (
        (normalised_adjacency(trial.graph.edge_index, len(trial.graph)), trial.backbone.outputs(trial.graph)),
        (None, trial.backbone.alone(trial.graph)),
    ):
        logits, hidden = net(jnp.asarray(trial.graph.x), a)
        np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.embeddings, hidden, rtol=1e-4, atol=1e-5)


# --- methods


@pytest.mark.parametrize("name", methods())
def test_every_method_scores_every_node_and_high_is_foreign(name, trial):
    graph = GRAPH.with_features(normalised(GRAPH.x))
    scores = methods()[name].score(Seen(trial, graph))
    assert scores.shape == (300,)
    assert np.isfinite(scores).all()
    again = methods()[name].score(Seen(trial, graph))
    np.testing.assert_array_equal(scores, again)


def test_baselines_are_their_formulas(trial):
    seen = Seen(trial, GRAPH.with_features(normalised(GRAPH.x)))
    logits = seen.outputs.logits.astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    energy = -np.log(np.exp(logits).sum(axis=1))
    wanted = {
        "max_softmax": 1 - p.max(axis=1),
        "entropy": -(p * np.log(p)).sum(axis=1),
        "logit_energy": energy,
        "gnnsafe": diffuse(walk(GRAPH.edge_index, 300, loops=False), energy, 2),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(methods()[name].score(seen), values, rtol=1e-6, atol=1e-9)


def test_passes_that_agree_have_no_mutual_information_and_opposite_ones_log_two():
    agreed, opposite = np.array([[3.0, 0.0]]), np.array([[900.0, 0.0]])
    assert mutual_information([agreed, agreed]) == pytest.approx(0.0, abs=1e-15)
    assert mutual_information([opposite, -opposite]) == pytest.approx(np.log(2), rel=1e-12)


def test_a_radial_flow_is_a_density():
    # its mass over the plane, on a fine grid: the flow is the identity far away, so that a square of side 16 holds it
    rng = np.random.default_rng(3)
    axis = np.linspace(-8.0, 8.0, 321)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2).astype(np.float32)
    leaves = (rng.uniform(-1, 1, (4, 2)), rng.normal(size=4), 2.0 * rng.normal(size=4))
    flows = [jnp.asarray(each, jnp.float32) for each in leaves]
    logs = jax.jit(jax.vmap(lambda point: _log_density(*flows, point)))(jnp.asarray(z))
    assert float(np.exp(np.asarray(logs, np.float64)).sum()) * 0.05**2 == pytest.approx(1.0, abs=2e-3)
    assert np.abs(np.asarray(logs) + 0.5 * (z**2).sum(1) + np.log(2 * np.pi)).max() > 0.3


def test_the_loss_of_the_posterior_network_is_that_of_dirichlet_draws():
    alpha = np.array([[2.0, 5.0, 1.5]])
    draws = np.random.default_rng(0).dirichlet(alpha[0], 200_000)
    cross = -np.log(draws[:, 1])
    from scipy.stats import dirichlet

    wanted = cross.mean() - 1e-4 * dirichlet(alpha[0]).entropy()
    found = float(uncertain_cross_entropy(jnp.asarray(alpha, jnp.float32), jnp.array([1]))[0])
    assert found == pytest.approx(wanted, abs=4 * cross.std() / np.sqrt(200_000) + 1e-5)


# --- cells, tables, the command


def test_training_never_sees_the_foreign(monkeypatch):
    seen = []

    class Spy:
        members = 1

        def outputs(self, graph, member=0):
            logits = np.random.default_rng(0).normal(size=(len(graph), 2))
            return Outputs(logits, logits + graph.x[:, :2])

        alone = outputs

    class Module:
        TITLE = "spy"

        @staticmethod
        def train(graph, train, validation, members, seed):
            seen.append(graph)
            return Spy()

    monkeypatch.setattr("energax.systems.gebm.cell.backbones", lambda: {"spy": Module})
    row = run(Cell("csbm", "spy", "left_out_classes", 0, 0, ("gebm", "entropy")), GRAPH)
    assert seen[0].classes == 2
    assert len(seen[0]) == 200
    assert set(row.figures["left_out_classes"]) == {"gebm", "entropy"}
    assert sum(row.nodes["left_out_classes"]["foreign"]) == 20


def test_groups_share_a_training_and_kinds_of_features_have_their_noise():
    assert "bernoulli_near" in groups(WORDS)["features"]
    assert "normal_near" in groups(GRAPH)["features"]
    assert set(groups(GRAPH)) == {"left_out_classes", "homophily", "pagerank", "features"}


def row_of(split: int, figures: dict[str, float], init: int = 0) -> Row:
    both = {method: {"auroc": value, "aupr": value / 2} for method, value in figures.items()}
    return Row("cora", "gcn", "homophily", split, init, 0.8, {"homophily": both}, {}, {"training": 1.0}, {})


def test_a_table_is_the_mean_over_splits_of_the_mean_over_initialisations():
    found = {(0, 0): (0.9, 0.5), (0, 1): (0.7, 0.7), (1, 0): (0.6, 0.5), (1, 1): (0.6, 0.9)}
    rows = [
        row_of(split, {"gebm": mine, "entropy": other, "gebm_local": 0.99}, init)
        for (split, init), (mine, other) in found.items()
    ]
    (table,) = tables(rows)
    figure = table.figures["gebm"]["homophily"]["auroc"]
    assert figure.mean == pytest.approx(0.7)
    assert figure.error == pytest.approx(0.1)  # of 0.8 and 0.6
    assert table.figures["gebm"]["homophily"]["aupr"].mean == pytest.approx(0.35)
    assert table.ranks["gebm"].mean == 1.0  # 0.70 over 0.65
    assert table.ranks["gebm"].error == pytest.approx(0.5)  # first in one split, second in the other
    assert "gebm_local" not in table.ranks
    assert list(table.figures) == ["gebm", "entropy", "gebm_local"]


def test_ties_share_a_rank():
    np.testing.assert_array_equal(mean_ranks(np.array([[0.9], [0.9], [0.1]])), [1.5, 1.5, 3.0])


def test_a_folder_keeps_its_cells_and_damage_is_told(tmp_path, monkeypatch):
    made = []

    def play(cell, graph):
        made.append(cell.name)
        return row_of(cell.split, dict.fromkeys(cell.methods, 0.5))

    monkeypatch.setattr("energax.systems.gebm.study.run", play)
    wanted = cells(GRAPH, "gcn", ("gebm",), splits=2, inits=1, only=("homophily",))
    first = study(tmp_path, GRAPH, wanted)
    assert study(tmp_path, GRAPH, wanted) == first
    assert len(made) == 2
    study(tmp_path, GRAPH, [dataclasses.replace(wanted[0], methods=("gebm", "entropy"))])
    assert len(made) == 3
    path = tmp_path / f"{wanted[0].name}.json"
    path.write_text("{}")
    with pytest.raises(DataError, match="must hold one row of a study"):
        read(path)
    with pytest.raises(DataError, match=r"has the groups .*, noise; got 'far'"):
        cells(GRAPH, "gcn", ("gebm",), splits=1, inits=1, only=("far",))


def test_the_command_prints_tables_and_writes_the_page(tmp_path, monkeypatch):
    curve = {"0": {"network": 0.9}, "0.5": {"network": 0.4}}
    monkeypatch.setattr("energax.systems.gebm.cell.robustness", lambda *_: curve)
    monkeypatch.setattr("energax.data.load_graph", lambda name, folder=None: GRAPH)
    words = ["gebm", "csbm", "--splits", "1", "--only", "homophily,noise", "--methods", "gebm,entropy"]
    words += ["--out", str(tmp_path)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "low homophily" in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert "Is the network sure of its nodes?" in page
    assert page.count("<svg") >= 4
    record = json.loads((tmp_path / "gebm.json").read_text())
    assert set(record["studies"][0]["figures"]) == {"gebm", "entropy"}
    again = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert json.loads(again.stdout)["studies"][0]["graph"] == "csbm"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["no"], "There is no graph 'no'"),
        (["csbm", "--methods", "gebn"], "Did you mean 'gebm'"),
        (["csbm", "--backbone", "gpt"], "A backbone must be one of gcn"),
        (["csbm", "--only", "far"], "got 'far'"),
    ],
)
def test_the_command_refuses_in_a_sentence(words, sentence, tmp_path):
    done = CliRunner().invoke(app, ["gebm", *words, "--out", str(tmp_path)])
    assert done.exit_code in (1, 2)
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_the_list_names_everything():
    done = CliRunner().invoke(app, ["gebm", "--list"])
    for name in (*shifts(), *methods(), *backbones()):
        assert f"  {name} " in done.stdout
