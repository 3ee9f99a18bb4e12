"""The page about JEM shows its rows; its script computes a cell, goes on where it stopped, refuses a torn page."""

import importlib
import json
import math
import sys
from pathlib import Path

import pytest

from energax.runtime.config import resolve

ROOT = Path(__file__).parent.parent
TINY = [
    "energy.width=8", "energy.depth=1", "training.steps=20", "training.batch_size=32", "training.steps_per_call=10",
    "training.log_every=10", "training.checkpoint_every=20", "training.evaluate_every=10", "objective.num_chains=16",
    "sampler.num_leapfrog=2", "evaluation.samples=40", "evaluation.chains=20", "evaluation.burn_in=10",
    "evaluation.thin=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def jem():
    """The script, which finds its sister as it does on the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("jem")
    for name in ("jem", "jem_table"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def rows():
    return json.loads((ROOT / "benchmarks" / "jem.json").read_text())


def alarm(severity: str) -> dict:
    return {"name": "gap", "severity": severity}


def a_row(method: str, seed: int, value: float) -> dict:
    return {"method": method, "part": "all", "seed": seed, "labels": {"ece": value}}


def test_the_page_shows_its_rows_and_nothing_else(jem, rows):
    text = (ROOT / "docs" / "jem.md").read_text()
    assert jem.page(rows, text) == text
    changed = [dict(row, labels=dict(row["labels"], accuracy=0.123)) for row in rows]
    assert jem.page(changed, text) != text


def test_a_recipe_ships_the_settings_that_validation_rows_chose(jem, rows):
    for recipe in {row["recipe"] for row in rows if row["part"].startswith("valid-")}:
        loss: dict[str, list[float]] = {}
        for row in rows:
            if row["recipe"] == recipe and row["part"].startswith("valid-"):
                loss.setdefault(row["part"], []).append(row["labels"]["log_loss"])
        assert {len(both) for both in loss.values()} == {2}
        best = min(loss, key=lambda part: sum(loss[part]))
        assert resolve(recipe).optimizer == jem.configured(jem.Cell(recipe, "jem", best, 0)).optimizer


def test_every_seed_has_a_run_of_three_times_the_length_and_none_diverged(jem, rows):
    found = [row for row in rows if row["part"] == "long"]
    runs = sorted((row["recipe"], row["seed"]) for row in found)
    assert runs == [(recipe, seed) for recipe in jem.RECIPES for seed in jem.SEEDS]
    for row in found:
        assert row["steps"] == 3 * resolve(row["recipe"]).training.steps
        assert not importlib.import_module("jem_table").diverged(row), row["alarms"]


def test_a_cell_is_trained_and_measured(jem):
    whole, part = jem.Cell("digits-jem", "jem", "all", 0), jem.Cell("digits-jem", "plain", "left-out", 1)
    ours = jem.run(whole, TINY)
    assert ours["steps"] == 20
    assert ours["finite"] is True
    assert ours["samples"]["asked_class"] <= 1.0
    assert ours["adversarial"]["mean"] > 0.0
    assert "left-out" not in ours["ood"]
    theirs = jem.run(part, TINY)
    assert {"energy", "logit", "softmax", "gaussian", "kde"} == set(theirs["ood"]["left-out"])
    assert theirs["ood"]["uniform"]["gaussian"] > 0.99
    assert json.loads(json.dumps(ours)) == ours
    assert jem.tables([ours, theirs]).count("| left-out |") == 1


def test_the_parts_of_a_cell_are_what_they_say(jem):
    shipped = resolve("digits-jem")
    assert jem.configured(jem.Cell("digits-jem", "jem", "long", 2)).training.steps == 3 * shipped.training.steps
    tried = jem.configured(jem.Cell("digits-jem", "jem", "valid-0.001-0.5", 0)).optimizer
    assert (tried.learning_rate, tried.weight_decay) == (1e-3, 0.5)
    names = [cell.name for cell in jem.cells()]
    assert len(set(names)) == len(names)
    valid = jem.problem_of(jem.Cell("digits-jem", "plain", "valid-0.001-0.5", 0), TINY)
    test = jem.load_data(shipped)[1]
    held = {row.tobytes() for row in test.x}
    assert not any(row.tobytes() in held for side in (valid.train, valid.test) for row in side.x)
    assert set(valid.trainer.phases[0].objective.__dict__) == set()  # cross-entropy carries nothing


def test_what_is_done_is_not_done_again(jem, monkeypatch, tmp_path):
    page, called = tmp_path / "page.md", []
    page.write_text("<!-- digits-jem: begin -->\n<!-- digits-jem: end -->\n")
    monkeypatch.setattr(jem, "PAGE", page)
    monkeypatch.setattr(jem, "ROWS", tmp_path / "rows.json")
    monkeypatch.setattr(jem, "tables", lambda rows: f"{len(rows)} row")
    monkeypatch.setattr(jem, "run", lambda cell: called.append(cell.name) or {**cell._asdict(), "labels": {}})
    only = "digits-jem--plain--all--1"
    monkeypatch.setattr(sys, "argv", ["jem.py", "--only", only, "--out", str(tmp_path / "cells")])
    jem.main()
    jem.main()
    (tmp_path / "cells" / f"{only}.json").unlink()  # the rows that are written down are put back
    jem.main()
    assert called == [only]
    assert page.read_text() == "<!-- digits-jem: begin -->\n1 row\n<!-- digits-jem: end -->\n"


def test_a_page_without_its_marks_is_refused(jem):
    whole = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n"
    assert jem.replaced(whole, "x", "new") == "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n"
    turned = "<!-- x: end --> <!-- x: begin -->"
    for torn in (whole.replace("<!-- x: end -->", ""), "nothing", whole + whole, turned):
        with pytest.raises(
            ValueError, match="the page must hold <!-- x: begin --> and then <!-- x: end -->, once each"
        ):
            jem.replaced(torn, "x", "new")


def test_means_have_the_errors_of_means_and_differences_are_taken_seed_by_seed(jem):
    table = importlib.import_module("jem_table")
    assert table.spread([1.0, 2.0, 3.0], 3) == f"2.000 ± {1 / math.sqrt(3):.3f}"
    assert table.spread([0.5], 1) == "0.5"
    sides = [
        {s: a_row(m, s, v) for s, v in enumerate(values)} for m, values in (("jem", (1, 5, 9)), ("plain", (0, 4, 8)))
    ]
    told = table.compared("ece", *sides, lambda row: row["labels"]["ece"], 1)
    assert told == "| ece | 5.0 ± 2.3 | 4.0 ± 2.3 | +1.0 ± 0.0 |"


def test_a_run_has_diverged_where_the_watchdog_would_stop_it_or_numbers_ran_out(jem):
    table = importlib.import_module("jem_table")
    sound = {"alarms": [alarm("warn")], "refused": 0.0, "finite": True}
    assert not table.diverged(sound)
    for change in ({"alarms": [alarm("warn"), alarm("stop")]}, {"refused": 1.0}, {"finite": False}):
        assert table.diverged({**sound, **change})
