"""The list of planted bugs is alive: each can be planted, and its test is there. The slow test plants them all."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mutants import MUTANTS

ROOT = Path(__file__).parent.parent


def test_names_are_unique():
    assert max(Counter(m.name for m in MUTANTS).values()) == 1
    assert len(MUTANTS) >= 195


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_it_can_be_planted(mutant):
    text = (ROOT / "src" / "energax" / mutant.file).read_text()
    assert text.count(mutant.old) == 1, f"{mutant.old!r} must stand once in {mutant.file}"
    assert mutant.old != mutant.new
    path, _, name = mutant.test.partition("::")
    function = name.partition("[")[0]
    assert f"def {function}" in (ROOT / "tests" / path).read_text()


@pytest.mark.slow
def test_every_planted_bug_is_caught():
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "mutants.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
