"""Signals: the first finishes the chunk and saves, the second leaves at once, and the old handlers come back."""

import os
import signal
import threading
import time

import pytest

from energax.runtime.signals import GracefulStop
from runtime.attacks import faults


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_asks(signum, code):
    before = signal.getsignal(signum)
    with GracefulStop() as stop:
        assert not stop()
        os.kill(os.getpid(), signum)
        time.sleep(0.01)
        assert stop()
        assert stop.requested
    assert stop.exit_code == code
    assert signal.getsignal(signum) == before


def test_nothing_is_left_behind():
    threads, handlers = threading.active_count(), [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        with GracefulStop() as stop:
            pass
        assert stop.exit_code == 0
    assert threading.active_count() == threads
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert not descriptors or len(os.listdir("/proc/self/fd")) == descriptors
    assert signal.set_wakeup_fd(-1) == -1


def test_an_error_inside_restores_too():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="inside"), GracefulStop():
        raise RuntimeError("inside")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_doubled_signal_counts_once():
    """Supervisors signal a process and then its group: that must not look like a second Ctrl-C."""
    with GracefulStop() as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.005)
    assert stop.exit_code == 143


def test_off_the_main_thread_no_handler_is_set():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with GracefulStop() as stop:
            seen.append((signal.getsignal(signal.SIGINT), stop.requested))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


FAULTS = {"signals": 10, "second signals": 2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals are sent to forked processes")
@pytest.mark.parametrize("name", FAULTS)
def test_signals_lose_nothing(tmp_path, name):
    tally = faults.in_process_of_its_own(name, tmp_path, FAULTS[name], seed=4)
    assert tally.injected == FAULTS[name]
    assert (tally.lost, tally.silent) == (0, 0), tally.examples
