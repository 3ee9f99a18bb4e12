"""Displays: a panel on a terminal, flushed lines at intervals in a pipe, alarms always."""

import io

import pytest
from rich.console import Console

from energax.runtime.alarms import Alarm
from energax.runtime.display import ROWS, PlainDisplay, QuietDisplay, RichDisplay, choose, duration, rows

METRICS = {"gap": 0.125, "acceptance": 0.75, "step_size": 0.05, "temperature": 1.0, "age_mean": 321.0}
ALARM = Alarm(200, "acceptance-low", "train", "Acceptance fell to 0.01.", "Lower sampler.step_size.", "warn")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def ticking(*times):
    ticks = iter(times)
    return lambda: next(ticks)


def test_plain_lines_come_at_intervals_and_the_last_step_always():
    stream = io.StringIO()
    display = PlainDisplay(stream, interval=5.0, clock=ticking(0.0, 1.0, 6.0, 7.0))
    display.start(400, "digits")
    for step in (100, 200, 300, 400):
        display.update(step, METRICS, 50.0)
    display.close()
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "digits: 400 steps",
        "step 100/400",
        "step 300/400",
        "step 400/400",
    ]
    for word in ("50.0 step/s", "ETA 0:06", "energy gap 0.125", "acceptance 0.75", "temperature 1", "buffer age 321"):
        assert word in lines[1]


def test_a_resumed_run_says_where_it_goes_on():
    stream = io.StringIO()
    PlainDisplay(stream).start(400, "digits", 150)
    assert "going on from step 150" in stream.getvalue()


def test_a_number_that_is_not_finite_is_shown_as_it_is():
    stream = io.StringIO()
    display = PlainDisplay(stream)
    display.start(10, "t")
    display.update(10, {"gap": float("nan")}, 0.0)
    assert "energy gap nan" in stream.getvalue()
    assert "ETA ?" in stream.getvalue()


def test_quiet_shows_alarms_alone():
    stream = io.StringIO()
    display = QuietDisplay(stream)
    display.start(10, "t")
    display.update(10, METRICS, 1.0)
    display.say("hello")
    display.alarm(ALARM)
    display.close()
    assert stream.getvalue().splitlines() == ["ALARM at step 200: Acceptance fell to 0.01. Lower sampler.step_size."]


def test_the_live_panel_holds_bar_numbers_and_alarms_and_gives_the_terminal_back():
    stream = Terminal()
    display = RichDisplay(Console(file=stream, force_terminal=True, width=120, color_system=None))
    display.start(400, "digits")
    display.update(100, METRICS, 50.0)
    display.alarm(ALARM)
    display.say("[not markup]")
    display.update(200, METRICS | {"gap": 0.1}, 50.0)
    display.close()
    display.close()
    text = stream.getvalue()
    for word in ("digits", "200/400", "50.0 step/s", "ETA 0:04", "energy gap", "↓", "acceptance-low", "[not markup]"):
        assert word in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again


@pytest.mark.parametrize(
    ("quiet", "stream", "kind"),
    [(True, Terminal(), QuietDisplay), (False, io.StringIO(), PlainDisplay), (False, Terminal(), RichDisplay)],
)
def test_the_display_fits_where_it_goes(quiet, stream, kind, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert type(choose(quiet, stream)) is kind


def test_brackets_in_a_title_are_no_markup():
    stream = io.StringIO()
    display = RichDisplay(Console(file=stream, force_terminal=True, width=120, color_system=None))
    display.start(10, "mine: noise in [0, 1] and a stray [/b]")
    display.close()
    assert "stray [/b]" in stream.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert type(choose(False, Terminal())) is PlainDisplay


def test_durations_read_well():
    assert [duration(s) for s in (0.2, 61, 3661)] == ["0:00", "1:01", "1:01:01"]


def test_the_promised_numbers_are_shown():
    assert {"gap", "acceptance", "step_size", "temperature", "age_mean"} <= {key for key, _, _ in ROWS}


WALKERS = METRICS | {"loss": 9.0, "grad_norm": 1.0, "log_likelihood": -2.0, "log_z": 1.0, "log_z_error": 0.1}
WALKERS |= {"ess_audit": 0.5, "self_influence": 0.2, "swap_rate": 0.3}


@pytest.mark.parametrize("phase", ["", "energy/"])
def test_a_loss_that_is_no_signal_stands_last_and_is_called_so(phase):
    told = rows({phase + name: value for name, value in WALKERS.items()})
    keys = [key for key, *_ in told]
    assert set(keys) == set(WALKERS)  # log_z_error, ess_audit, self_influence and swap_rate among them
    assert keys[:2] == ["log_likelihood", "gap"]
    assert keys.index("acceptance") < keys.index("step_size")
    assert told[-1][:2] == ("loss", "loss (no progress signal)")
    stream = io.StringIO()
    PlainDisplay(stream).update(0, WALKERS, 1.0)
    assert stream.getvalue().endswith("loss (no progress signal) 9\n")


def test_the_loss_of_a_rule_without_walkers_leads():
    assert [row[:2] for row in rows({"grad_norm": 1.0, "loss": 2.0})] == [("loss", "loss"), ("grad_norm", "gradient")]
