"""Two processes on loopback give the numbers of one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from energax.runtime import hosts

HERE = Path(__file__).parent


def launch(processes, number, port, out):
    env = {**os.environ, "PYTHONPATH": str(HERE.parent.parent / "src"), "XLA_FLAGS": ""}
    command = [sys.executable, str(HERE / "worker.py"), str(processes), str(number), str(port), str(out)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(workers):
    try:
        for worker in workers:
            said, _ = worker.communicate(timeout=180)
            assert worker.returncode == 0, said
    finally:
        for worker in workers:
            worker.kill()


def judge_same_run(a, b):
    for name in ("params", "ema", "walkers", "gap"):
        np.testing.assert_allclose(a[name], b[name], rtol=2e-5, atol=2e-5)


def test_two_processes_give_the_numbers_of_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    finish([launch(2, i, port, tmp_path / "two.npz") for i in range(2)])
    finish([launch(1, 0, port, tmp_path / "one.npz")])
    one, two = dict(np.load(tmp_path / "one.npz")), dict(np.load(tmp_path / "two.npz"))
    assert int(two["processes"]) == 2
    assert int(two["split"]) == 4  # two processes of two devices: each holds a quarter of the walkers
    assert int(one["split"]) == 1
    assert not two["rejected"].any()
    judge_same_run(one, two)
    with pytest.raises(AssertionError):  # planted: a host that fed the other host's rows in another order
        judge_same_run(one, {**two, "walkers": two["walkers"][::-1]})


def test_one_process_is_the_main_one():
    assert (hosts.host(), hosts.hosts(), hosts.is_main()) == (0, 1, True)
    assert hosts.host_slice(8) == slice(0, 8)


BAD = {
    "port": (("localhost", 1, 0), "host:port"),
    "number": (("localhost:1", 2, 2), "process_id"),
    "processes": (("localhost:1", 0, 0), "num_processes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_addresses_are_refused_in_words(name):
    given, word = BAD[name]
    with pytest.raises(ValueError, match=word):
        hosts.initialize(*given)
