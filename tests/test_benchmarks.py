"""What writes pages by scripts: marks that are missing are told, and nothing but `results.put` writes between marks."""

import re
import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
put = runpy.run_path(str(BENCHMARKS / "results.py"))["put"]
MARKED = "head\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\nother\n<!-- b: end -->\ntail\n"


def test_what_lies_between_the_marks_is_replaced_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(MARKED)
    put(page, "a", r"new \1 \n")
    assert page.read_text() == MARKED.replace("old", r"new \1 \n")
    put(page, "a", "old")
    assert page.read_text() == MARKED


@pytest.mark.parametrize(
    "text",
    [
        "no marks",
        "<!-- a: begin -->\n",
        "<!-- a: end -->\n",
        "<!-- a: end -->\n<!-- a: begin -->\n",
        MARKED + MARKED,
        MARKED.replace("a:", "A:"),
    ],
    ids=["none", "no end", "no begin", "turned", "twice", "mistyped"],
)
def test_missing_marks_are_told_and_the_page_stays(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=r"page.md must hold <!-- a: begin --> and then <!-- a: end -->, once each"):
        put(page, "a", "new")
    assert page.read_text() == text


@pytest.mark.parametrize("script", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_no_script_writes_between_marks_by_itself(script):
    text = script.read_text()
    if script.stem != "results":
        assert "<!-- " not in text
        assert not re.search(r"\bput\(", text) or re.search(r"^from results import put", text, re.MULTILINE)
