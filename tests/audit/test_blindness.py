"""What the rules see of a wrong mass: identities on the line, and the right rule is not blind."""

import json
import math

import numpy as np
import pytest

from energax.audit import blindness
from energax.report.audit import write_blindness


def test_only_the_likelihood_sees_masses_of_distant_modes():
    found = blindness.blindness([2.0, 6.0, 12.0])
    for name in blindness.RULES:
        assert found[name][0] == pytest.approx(1.0)
    assert found["KL"][2] > found["KL"][1] > 1.0
    assert blindness.excesses(12.0)["KL"] == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), abs=1e-6)
    for name in ("score matching", "KSD", "CD-1", "CD-10", "energy discrepancy"):
        assert found[name][2] < 1e-3 < found[name][1] * 100, name
        assert found[name][2] < found[name][1] < 1.5


def test_the_walk_is_exact_and_right_masses_cost_nothing(monkeypatch):
    x = np.linspace(-8.0, 8.0, 200)
    q, score = blindness.mixture(x, 4.0, 0.3)
    moves = blindness.metropolis(x, q)
    assert moves.sum(axis=1) == pytest.approx(np.ones(200))
    assert np.all(moves >= 0)
    assert q @ moves == pytest.approx(q, abs=1e-12)
    assert score[1:-1] == pytest.approx(np.gradient(np.log(q), x)[1:-1], abs=1e-2)
    monkeypatch.setattr(blindness, "MODEL", blindness.TRUE)
    assert all(abs(value) < 1e-12 for value in blindness.excesses(3.0).values())


def test_a_walk_for_another_law_would_be_seen(monkeypatch):
    wrong = blindness.metropolis

    monkeypatch.setattr(blindness, "MODEL", blindness.TRUE)
    monkeypatch.setattr(blindness, "metropolis", lambda x, q: wrong(x, q**2 / np.sum(q**2)))
    assert abs(blindness.excesses(3.0)["CD-1"]) > 1e-6


def test_the_figure_is_drawn(tmp_path):
    paths = write_blindness(tmp_path, [2.0, 4.0, 8.0])
    text = paths["svg"].read_text()
    assert all(name in text for name in blindness.RULES)
    assert json.loads(paths["json"].read_text())["KL"][0] == pytest.approx(1.0)


def test_a_distance_must_be_positive():
    with pytest.raises(ValueError, match="must be > 0"):
        blindness.excesses(0.0)
