"""A run that was killed and went on ends, bit for bit, where an uninterrupted one ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).parent / "attacks" / "resume.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are killed in forked processes")
@pytest.mark.parametrize("rule", ["pcd", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("dsm", "cd"))])
def test_killed_and_resumed_is_bit_identical(tmp_path, rule):
    words = [sys.executable, str(WORKER), rule, str(tmp_path), "1", "5"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    tally = json.loads(done.stdout.splitlines()[-1])
    assert (tally["injected"], tally["lost"], tally["silent"]) == (1, 0, 0), tally["examples"]
