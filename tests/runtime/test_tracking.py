"""Metrics on disk: nothing written is lost, a torn line harms nothing, going back takes lines back."""

import json
import resource
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from energax.errors import ConfigError, EnergaxError
from energax.runtime.tracking import METRICS, Tracker, read_metrics


def _lines(folder):
    return (folder / METRICS).read_text().splitlines()


def test_what_is_written_is_read(tmp_path):
    with Tracker(tmp_path / "run") as tracker:
        tracker.write(50, {"loss": np.float32(0.5), "acceptance": jnp.asarray(0.9)})
        assert len(_lines(tmp_path / "run")) == 1  # flushed line by line
        tracker.write(100, {"loss": 0.25, "gap": np.array([-1.0])})
    metrics = read_metrics(tmp_path / "run")
    np.testing.assert_array_equal(metrics["step"], [50, 100])
    np.testing.assert_array_equal(metrics["loss"], [0.5, 0.25])
    np.testing.assert_array_equal(metrics["gap"], [np.nan, -1.0])
    assert metrics["time"][1] >= metrics["time"][0] >= 0
    assert list(json.loads(_lines(tmp_path / "run")[0]))[:2] == ["step", "time"]


def test_numbers_that_are_not_finite_are_kept(tmp_path):
    with Tracker(tmp_path) as tracker:
        tracker.write(1, {"loss": float("nan"), "grad_norm": float("inf")})
    metrics = read_metrics(tmp_path)
    assert np.isnan(metrics["loss"][0])
    assert metrics["grad_norm"][0] == np.inf


def test_nothing_written_is_an_empty_dict(tmp_path):
    assert read_metrics(tmp_path) == {}


@pytest.mark.parametrize("torn", [b'{"step": 3', b"\x00\x00\x00", b'{"step": 3, "time": 1.0}'])
def test_a_torn_last_line_is_passed_over_and_cut_off(tmp_path, torn):
    with Tracker(tmp_path) as tracker:
        tracker.write(1, {"loss": 1.0})
    with open(tmp_path / METRICS, "ab") as file:
        file.write(torn)
    assert read_metrics(tmp_path)["step"].tolist() == [1]
    with Tracker(tmp_path) as tracker:
        tracker.write(2, {"loss": 0.5})
    assert read_metrics(tmp_path)["step"].tolist() == [1, 2]


@pytest.mark.parametrize("bad", ["{", "[1]", '{"loss": 1}', '{"step": 1, "loss": "x"}', '{"step": -1}', "[" * 5000])
def test_damage_before_the_end_is_no_torn_line(tmp_path, bad):
    (tmp_path / METRICS).write_text(f'{{"step": 0}}\n{bad}\n{{"step": 2}}\n')
    with pytest.raises(EnergaxError, match="line 2 must be a JSON object of numbers with a step"):
        read_metrics(tmp_path)
    with pytest.raises(EnergaxError, match="line 2"):
        Tracker(tmp_path)


def test_going_on_from_a_step_takes_later_lines_back(tmp_path):
    with Tracker(tmp_path) as tracker:
        for step in (10, 20, 30):
            tracker.write(step, {"loss": float(step)})
    with Tracker(tmp_path, resume_from=20) as tracker:
        assert read_metrics(tmp_path)["step"].tolist() == [10, 20]
        tracker.write(25, {"loss": 0.0})
        tracker.rewind(10)
        tracker.write(15, {"loss": 0.0})
    metrics = read_metrics(tmp_path)
    assert metrics["step"].tolist() == [10, 15]
    assert np.all(np.diff(metrics["time"]) >= 0)  # the clock goes on from the last line that stayed
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]


def test_refusals(tmp_path):
    with Tracker(tmp_path) as tracker:
        for metrics in ({"loss": np.zeros(2)}, {"loss": "low"}, {"loss": None}, {"step": 1.0}, {"time": 1.0}):
            with pytest.raises(ValueError, match=r"Tracker\.write: "):
                tracker.write(1, metrics)
    with pytest.raises(EnergaxError, match="got a closed tracker"):
        tracker.write(1, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(EnergaxError, match="must be a folder to write in"):
        Tracker(tmp_path / "file" / "run")


def test_a_full_disk_leaves_whole_lines(tmp_path):
    code = (
        "import resource, sys\nfrom energax.errors import EnergaxError\nfrom energax.runtime.tracking import Tracker\n"
        "tracker = Tracker(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "try:\n    for step in range(1000): tracker.write(step, {'loss': 0.123456789})\n"
        "except EnergaxError as error: print(error); sys.exit(0)\nsys.exit(1)"
    )
    assert hasattr(resource, "RLIMIT_FSIZE")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "must take a line; got" in done.stdout
    size = (tmp_path / METRICS).stat().st_size
    assert size <= 1000
    assert (tmp_path / METRICS).read_bytes().endswith(b"\n")
    steps = read_metrics(tmp_path)["step"]
    np.testing.assert_array_equal(steps, np.arange(len(steps)))


def test_events_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    with Tracker(tmp_path, tensorboard=True) as tracker:
        tracker.write(1, {"loss": 0.5})
        tracker.rewind(0)
        tracker.write(1, {"loss": 0.25})
    events = list((tmp_path / "tensorboard").iterdir())
    assert events
    assert any(b"loss" in path.read_bytes() for path in events)


def test_a_missing_extra_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match=r"pip install 'energax\[tracking\]'"):
        Tracker(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()
