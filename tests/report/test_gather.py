"""A run folder in every state of completeness is read without a crash, and what is missing is said."""

import json

import numpy as np
import pytest

from energax.report import RunFolder, gather
from energax.report.gather import as_images, curve, number
from energax.report.tables import labels_table


def test_whole_run(image_run):
    run = gather(image_run)
    assert run.missing == ()
    assert run.info["recipe"] == "digits"
    assert run.config["data"]["name"] == "digits"
    assert len(run.metrics) == 100
    assert run.arrays["samples"].shape == (128, 64)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be an existing directory; got"):
        gather(tmp_path / "none")


def test_empty_folder_says_each_missing_part(tmp_path):
    said = " ".join(gather(tmp_path).missing)
    for name in ("run.json", "config.yaml", "metrics.jsonl", "evaluation.json", "arrays.npz"):
        assert f"{name} is missing" in said


@pytest.mark.parametrize("damage", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b"[" * 100_000])
def test_damaged_files_are_named(tmp_path, damage):
    for name in ("run.json", "config.yaml", "metrics.jsonl", "alarms.jsonl", "evaluation.json", "arrays.npz"):
        (tmp_path / name).write_bytes(damage)
    run = gather(tmp_path)
    assert run.info == {}
    assert run.evaluation == {}
    assert run.arrays == {}
    assert len(run.missing) >= 4


def test_torn_last_line_and_repeated_steps(tmp_path):
    rows = [{"step": 1, "gap": 1.0}, {"step": 2, "gap": 2.0}, {"step": 2, "gap": 3.0}, "text", {"gap": 9.0}]
    text = "\n".join(json.dumps(row) for row in rows) + '\n{"step": 3, "ga'
    (tmp_path / "metrics.jsonl").write_text(text)
    run = gather(tmp_path)
    steps, values = curve(run.metrics, "gap")
    assert steps.tolist() == [1.0, 2.0]
    assert values.tolist() == [1.0, 3.0]  # the row after the resume counts
    assert any("2 of 6 lines could not be read" in sentence for sentence in run.missing)


def test_arrays_without_pickle_and_without_numbers(tmp_path):
    np.savez(tmp_path / "arrays.npz", good=np.arange(3), evil=np.array([{"a": 1}], dtype=object), words=np.array(["a"]))
    run = gather(tmp_path)
    assert list(run.arrays) == ["good"]
    assert any("evil, words" in sentence for sentence in run.missing)


def test_of_several_phases_the_energys_is_told_and_not_its_critics():
    assert curve([{"step": 1, "critic-1/loss": 1.0, "energy/loss": 2.0}], "loss")[1].tolist() == [2.0]
    assert curve([{"step": 1, "classes/loss": 1.0, "loss": 3.0}], "loss")[1].tolist() == [3.0]


def test_the_classes_of_a_classifiers_energy_are_told_where_there_are_some():
    sides = {f"{name}_{side}": value for side, value in (("test", 0.5), ("train", 0.75)) for name in
             ("accuracy", "cross_entropy")}  # fmt: skip
    table = labels_table({"labels": sides})
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["held out", "0.500", "0.500"],
        ["training", "0.750", "0.750"],
    ]
    assert labels_table({}) is None


def test_curve_finds_a_phase_metric_and_keeps_nan():
    rows = [{"step": 1, "train/gap": float("nan")}, {"step": 2, "train/gap": 2.0}]
    steps, values = curve(rows, "gap")
    assert steps.tolist() == [1.0, 2.0]
    assert np.isnan(values[0])


def test_numbers():
    assert number("nan") != number("nan")
    assert number("-inf") == -np.inf
    assert number(10**400) == np.inf
    assert number("12") is None


def test_images_are_recognised(tmp_path):
    flat, pictures = np.zeros((5, 64)), np.zeros((5, 8, 8, 1))
    digits = RunFolder(tmp_path, evaluation={"dataset": {"name": "digits", "shape": [64]}})
    wine = RunFolder(tmp_path, evaluation={"dataset": {"name": "wine", "shape": [64]}})
    shaped = RunFolder(tmp_path, evaluation={"dataset": {"name": "mine", "shape": [4, 16]}})
    assert as_images(digits, flat).shape == (5, 8, 8, 1)
    assert as_images(wine, flat) is None
    assert as_images(shaped, flat).shape == (5, 4, 16, 1)
    assert as_images(wine, pictures).shape == (5, 8, 8, 1)
