"""`energax ood`: tables, files, page; what lacks its arrays is left out and said; refusals in one sentence."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from energax.cli.main import app
from energax.evaluation import auroc
from energax.evaluation.ood import detectors, energy_score, entropy


def sides():
    """Arrays of training, known and foreign samples; the foreign ones excite what no class knows."""
    rng = np.random.default_rng(0)
    weight = 6.0 * np.eye(3, 8)
    parts = {}
    for name, centres, num in (("train", weight, 200), ("known", weight, 40), ("odd", 4.0 * np.eye(8)[5:6], 40)):
        labels = rng.integers(len(centres), size=num)
        features = np.abs(centres[labels] + rng.normal(size=(num, 8)))
        energy = 0.5 * np.sum((features[:, None] - weight) ** 2, axis=2).min(axis=1)
        parts[name] = {"features": features, "logits": features @ weight.T - 18.0, "labels": labels, "energy": energy}
    parts["train"] |= {"weight": weight, "bias": np.full(3, -18.0)}
    return parts


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs the command in a folder that holds the files."""
    monkeypatch.chdir(tmp_path)
    for name, arrays in sides().items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    np.save(tmp_path / "plain.npy", sides()["odd"]["logits"])
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["ood", *words, "--bootstrap", "10"])


def test_tables_files_and_page(call, tmp_path):
    done = call("--id", "known.npz", "--ood", "odd.npz", "--train", "train.npz", "--out", "here")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "odd"
    assert lines[1].split() == ["score", "AUROC", "95", "%", "AUPR", "95", "%", "FPR95", "95", "%"]
    shown = [line.split()[0] for line in lines[2:15]]
    assert shown == [name for name in detectors() if name not in ("likelihood-ratio", "score")]
    assert "- no score: the known samples have no score" in lines
    record = json.loads((tmp_path / "here" / "ood.json").read_text())
    parts = sides()
    wanted = auroc(*(energy_score(parts[side]["logits"]) for side in ("known", "odd")))
    assert record["scores"]["energy"]["odd"]["auroc"] == pytest.approx(wanted)
    page = (tmp_path / "here" / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<figure") == 1 + len(shown)
    assert "energax ood --id known.npz --ood odd.npz --train train.npz" in page
    assert "likelihood-ratio: the known samples have no background." in page
    assert (tmp_path / "here" / "ood.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "here" / "ood.md").read_text()
    assert table.startswith("### odd\n\n| score | AUROC |")


def test_a_foreign_file_called_known_replaces_nobody(call, tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    np.savez(folder / "known.npz", logits=np.zeros((25, 3)))
    done = call("--id", "known.npz", "--ood", "foreign/known.npz", "--scores", "entropy", "--out", "here")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "here" / "report.html").read_text()
    medians = np.median(entropy(sides()["known"]["logits"])), np.log(3)
    assert "medians known {:.4g}, known {:.4g}.".format(*medians) in page


def test_json_of_chosen_scores_and_two_sets(call):
    words = ("--id", "known.npz", "--ood", "odd.npz", "--ood", "plain.npy", "--scores", "energy, entropy", "--json")
    found = json.loads(call(*words).stdout)
    assert {name: set(row) for name, row in found["scores"].items()} == {
        "energy": {"odd", "plain"},
        "entropy": {"odd", "plain"},
    }
    assert found["scores"]["energy"]["odd"] == found["scores"]["energy"]["plain"]
    hot = json.loads(call(*words, "--temperature", "50").stdout)
    assert hot["scores"]["energy"] != found["scores"]["energy"]


def test_the_list_says_what_each_needs(call):
    done = call("--list")
    assert done.exit_code == 0
    assert "learns from features, weight, bias" in done.stdout
    assert len(done.stdout.splitlines()) == len(detectors())


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("--id", "known.npz", "--ood", "none.npz"), "none.npz must be a file; there is none.", 1),
        (("--id", "known.txt", "--ood", "odd.npz"), "must be an .npz of named arrays", 1),
        (("--id", "known.npz", "--ood", "odd.npz", "--scores", "enrgy"), "Did you mean 'energy'?", 2),
        (("--id", "known.npz", "--ood", "odd.npz", "--scores", "knn"), "the training data have no features", 2),
        (("--id", "known.npz", "--ood", "odd.npz", "--temperature", "0"), "temperature must be > 0", 2),
        (("--id", "nan.npz", "--ood", "odd.npz"), "logits must be finite; got nan", 2),
        (
            ("--id", "known.npz", "--ood", "narrow.npz", "--train", "train.npz"),
            "set 'narrow' must have as many columns",
            2,
        ),
    ],
)
def test_refuses_in_one_sentence(call, tmp_path, words, said, code):
    parts = sides()
    np.savez(tmp_path / "nan.npz", logits=np.full((3, 3), np.nan))
    np.savez(tmp_path / "narrow.npz", features=parts["odd"]["features"][:, :4])
    (tmp_path / "known.txt").write_text("no arrays")
    if "narrow.npz" in words:
        np.savez(tmp_path / "known.npz", features=parts["known"]["features"])
    done = call(*words)
    assert done.exit_code == code
    assert said in done.output
    assert "Traceback" not in done.output
