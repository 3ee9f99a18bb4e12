"""`energax calibrate`: the table before and after, files and page; refusals in one sentence."""

import json
import re

import numpy as np
import pytest
from scipy.special import softmax
from typer.testing import CliRunner

from energax.cli.main import app


def too_sure(seed, n=600):
    """Logits that are three times what they should be, and labels."""
    rng = np.random.default_rng(seed)
    truth = 2.0 * rng.normal(size=(n, 3))
    labels = (softmax(truth, axis=1).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return {"logits": 3.0 * truth, "labels": labels}


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs the command in a folder that holds the files."""
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "val.npz", **too_sure(0))
    np.savez(tmp_path / "test.npz", **too_sure(1))
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["calibrate", *words])


def test_before_and_after_in_one_command(call, tmp_path):
    done = call("--fit", "val.npz", "--test", "test.npz", "--out", "here")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["before", "temperature", "vector", "isotonic"]
    assert [line.split("  ")[0] for line in lines[1:8]] == [
        "accuracy", "NLL", "Brier", "ECE", "ECE, equal mass", "ECE, class-wise", "ECE², debiased",
    ]  # fmt: skip
    assert 2.5 < float(lines[8].removeprefix("The best temperature is ").rstrip(".")) < 3.6
    record = json.loads((tmp_path / "here" / "calibration.json").read_text())
    before, after = (record["figures"][name]["figures"]["ece"]["value"] for name in ("before", "temperature"))
    assert before > 0.15 > 0.06 > after
    for name in ("nll", "brier"):
        parts = record["figures"]["temperature"]["parts"][name]
        whole = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within"]
        assert whole == pytest.approx(parts["total"], abs=1e-12)
    with np.load(tmp_path / "here" / "calibrated.npz") as written:
        assert set(written) == {"before", "temperature", "vector", "isotonic"}
        np.testing.assert_allclose(written["vector"].sum(axis=1), 1.0)
    page = (tmp_path / "here" / "report.html").read_text()
    assert page.count("<figure") == 4
    assert "it is too sure by" in page
    assert "energax calibrate --fit val.npz --test test.npz --bins 15" in page
    assert (tmp_path / "here" / "calibration.md").read_text().startswith("|  | before |")
    assert (tmp_path / "here" / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_json_and_what_cannot_be_fitted(call, tmp_path):
    np.savez(tmp_path / "right.npz", logits=9.0 * np.eye(3)[np.arange(30) % 3], labels=np.arange(30) % 3)
    found = json.loads(call("--fit", "right.npz", "--test", "test.npz", "-m", "temperature", "--json").stdout)
    assert list(found["figures"]) == ["before"]
    assert "T would be 0" in found["refused"]["temperature"]
    done = call("--fit", "right.npz", "--test", "test.npz", "-m", "temperature")
    assert "- no temperature: fit_temperature: logits must be wrong on some row" in done.stdout


def test_a_classifier_that_is_sure_of_all_is_told_in_words(call, tmp_path):
    labels = np.arange(60) % 3
    np.savez(tmp_path / "sure.npz", logits=900.0 * np.eye(3)[(labels + (labels == 2)) % 3], labels=labels)
    done = call("--fit", "val.npz", "--test", "sure.npz", "-m", "temperature", "--out", "here")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "here" / "report.html").read_text()
    assert "its debiased squared error has no spread by chance to be compared with" in page
    assert not re.search(r">nan<|\bnan standard", page)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("--fit", "none.npz", "--test", "test.npz"), "none.npz must be a file; there is none.", 1),
        (("--fit", "bare.npz", "--test", "test.npz"), "bare.npz must hold an array 'labels'; got logits.", 1),
        (("--fit", "val.npz", "--test", "short.npz"), "(test side): logits must hold at least 20", 2),
        (("--fit", "val.npz", "--test", "test.npz", "-m", "isotonik"), "Did you mean 'isotonic'?", 2),
        (("--fit", "val.npz", "--test", "wrong.npz"), "labels must be one a row, shape (600,); got shape (5,)", 2),
    ],
)
def test_refuses_in_one_sentence(call, tmp_path, words, said, code):
    arrays = too_sure(0)
    np.savez(tmp_path / "bare.npz", logits=arrays["logits"])
    np.savez(tmp_path / "short.npz", logits=arrays["logits"][:5], labels=arrays["labels"][:5])
    np.savez(tmp_path / "wrong.npz", logits=arrays["logits"], labels=arrays["labels"][:5])
    done = call(*words)
    assert done.exit_code == code
    assert said in done.output
    assert "Traceback" not in done.output
