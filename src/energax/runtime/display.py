"""What a run shows while it trains: a live panel on a terminal, plain lines in a pipe, or nothing.

The loop calls a display only between compiled chunks, so showing costs no step anything. A display decides by its own
clock how often it speaks; it never changes the numbers it is given.
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

ROWS = (
    ("log_likelihood", "log-likelihood", "of the batch in nats, by the log Z of walkers that never drive"),
    ("gap", "energy gap", "mean E(data) - mean E(walkers), nats; near 0 when the model fits"),
    ("loss", "loss", "what is minimised"),
    ("log_z", "log Z", "as the rule itself tells it, nats"),
    ("log_z_error", "log Z error", "standard error of the auditors' log Z, nats"),
    ("ess_audit", "auditors' ESS", "effective fraction of the walkers that never drive; near 0 log Z is not known"),
    ("self_influence", "self-influence", "log Z of the walkers that drive less that of the others, nats; 0 is right"),
    ("noise_ess", "noise ESS", "effective fraction of the noise as draws of the model; near 0 it is too far away"),
    ("accuracy", "accuracy", "of the classes that the rule tells apart"),
    ("acceptance", "acceptance", "of the Metropolis test; 0.6 to 0.9 is healthy"),
    ("temperature", "temperature", "sigma^2 / (2 eta) of the walkers; 1 samples the model itself"),
    ("swap_rate", "swap rate", "of neighbouring temperatures; near 0 the ladder has a gap"),
    ("step_size", "step size", "of the sampler"),
    ("age_mean", "buffer age", "mean turns that a walker has taken since it was born"),
    ("walker_radius", "walker radius", "farthest walker over farthest data point"),
    ("score_norm", "score norm", "size of the energy's slope at the data"),
    ("grad_norm", "gradient", "global norm before clipping"),
)
"""Metrics that are shown where a run has them: (key, label, what it means)."""
NO_SIGNAL = ("loss", "loss (no progress signal)", "hovers whether the model learns or not; read the rows above")
"""How the loss of a rule with walkers is shown, after all else."""


def shown(metrics: Mapping[str, float], key: str) -> float | None:
    """A metric by its name, else that of the last phase which has it, else None.

    >>> shown({"critic/loss": 1.0, "energy/loss": 2.0}, "loss")
    2.0
    """
    if key in metrics:
        return metrics[key]
    return next((metrics[name] for name in sorted(metrics, reverse=True) if name.rpartition("/")[2] == key), None)


def rows(metrics: Mapping[str, float]) -> list[tuple[str, str, str, float]]:
    """(key, label, meaning, value) of what a run has, what tells progress first: with walkers the loss stands last.

    >>> [key for key, *_ in rows({"loss": 0.1, "grad_norm": 2.0})]
    ['loss', 'grad_norm']
    >>> [key for key, *_ in rows({"loss": 0.1, "grad_norm": 2.0, "gap": 0.1})]
    ['gap', 'grad_norm', 'loss']
    """
    listed: tuple[tuple[str, str, str], ...] = ROWS
    if shown(metrics, "gap") is not None:
        listed = (*(row for row in ROWS if row[0] != "loss"), NO_SIGNAL)
    found = ((*row, shown(metrics, row[0])) for row in listed)
    return [(key, label, meaning, value) for key, label, meaning, value in found if value is not None]


class AlarmLike(Protocol):
    """What a display reads of an alarm."""

    @property
    def name(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def message(self) -> str: ...
    @property
    def advice(self) -> str: ...


class Display(Protocol):
    """What the loop tells whoever watches."""

    def start(self, total_steps: int, title: str, done: int = 0) -> None:
        """A run of `total_steps` begins, of which `done` were made before."""
        ...

    def update(self, step: int, metrics: Mapping[str, float], rate: float) -> None:
        """`step` steps are done; metrics are means over the last chunk, `rate` is in steps per second."""
        ...

    def alarm(self, alarm: AlarmLike) -> None:
        """Something looks wrong; shown once, in full."""
        ...

    def say(self, text: str) -> None:
        """One line about what happens now."""
        ...

    def close(self) -> None:
        """No more updates; the terminal is left as it was found. May be called twice."""
        ...


def duration(seconds: float) -> str:
    """Seconds as a reader says them.

    >>> duration(3725.0), duration(42.0)
    ('1:02:05', '0:42')
    """
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def number(value: float) -> str:
    """A metric with four figures that matter; a non-finite one is shown as it is."""
    return f"{value:.4g}"


def left(step: int, total: int, rate: float) -> str:
    """Time to go, or `?` before any speed is known."""
    return duration((total - step) / rate) if rate > 0 else "?"


class QuietDisplay:
    """Shows nothing but alarms, which nobody should miss: they go to stderr."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = sys.stderr if stream is None else stream

    def start(self, total_steps: int, title: str, done: int = 0) -> None:
        """Nothing is shown."""

    def update(self, step: int, metrics: Mapping[str, float], rate: float) -> None:
        """Nothing is shown."""

    def alarm(self, alarm: AlarmLike) -> None:
        """One line."""
        print(_alarm_line(alarm), file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing to put back."""


class PlainDisplay:
    """One flushed line now and then, for pipes, files and logs.

    Args:
        stream: Where lines go; stdout if None.
        interval: Least seconds between two progress lines, > 0. The first and the last step are always told.
        clock: Seconds that only grow; the tests bring their own.
    """

    def __init__(
        self, stream: TextIO | None = None, interval: float = 5.0, clock: Callable[[], float] = time.monotonic
    ):
        self.stream = sys.stdout if stream is None else stream
        self.interval = interval
        self.clock = clock
        self.total = 0
        self._last: float | None = None

    def start(self, total_steps: int, title: str, done: int = 0) -> None:
        """Tells the title and the number of steps."""
        self.total, self._last = total_steps, None
        self._line(f"{title}: {total_steps} steps" + (f", going on from step {done}" if done else ""))

    def update(self, step: int, metrics: Mapping[str, float], rate: float) -> None:
        """A progress line, if the last one is long enough ago."""
        now = self.clock()
        if self._last is not None and now - self._last < self.interval and step < self.total:
            return
        self._last = now
        told = [f"{label} {number(value)}" for _, label, _, value in rows(metrics)]
        head = f"step {step}/{self.total}  {rate:.1f} step/s  ETA {left(step, self.total, rate)}"
        self._line("  ".join([head, *told]))

    def alarm(self, alarm: AlarmLike) -> None:
        """One line."""
        self._line(_alarm_line(alarm))

    def say(self, text: str) -> None:
        """One line."""
        self._line(text)

    def close(self) -> None:
        """Flushes."""
        self.stream.flush()

    def _line(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class RichDisplay:
    """A live panel: bar, steps per second, time to go, the numbers that tell health, and the newest alarms.

    Args:
        console: A `rich.console.Console`; one on stdout if None.
    """

    def __init__(self, console: Any = None):
        from rich.console import Console

        self.console = Console() if console is None else console
        self.total = 0
        self._alarms: list[AlarmLike] = []
        self._before: dict[str, float] = {}
        self._live: Any = None
        self._bar: Any = None
        self._task: Any = None

    def start(self, total_steps: int, title: str, done: int = 0) -> None:
        """Puts the panel up."""
        from rich.live import Live
        from rich.markup import escape
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.close()
        self.total = total_steps
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            console=self.console,
            expand=True,
        )
        self._task = self._bar.add_task(escape(title), total=total_steps, completed=done, speed="compiling ...")
        self._live = Live(self._panel({}), console=self.console, auto_refresh=False, transient=False)
        self._live.start(refresh=True)

    def update(self, step: int, metrics: Mapping[str, float], rate: float) -> None:
        """Renews bar and table."""
        if self._live is None:
            return
        speed = f"{rate:.1f} step/s  ETA {left(step, self.total, rate)}"
        self._bar.update(self._task, completed=step, speed=speed)
        self._live.update(self._panel(metrics), refresh=True)
        self._before = dict(metrics)

    def alarm(self, alarm: AlarmLike) -> None:
        """Prints the alarm above the panel, where it stays, and counts it in the panel."""
        from rich.text import Text

        self._alarms.append(alarm)
        self.console.print(Text(_alarm_line(alarm), style="bold yellow"))

    def say(self, text: str) -> None:
        """Prints one line, above the panel if it is up."""
        from rich.text import Text

        self.console.print(Text(text))

    def close(self) -> None:
        """Takes the live panel's hold off the terminal; its last state stays readable."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _panel(self, metrics: Mapping[str, float]) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True)
        for key, label, meaning, value in rows(metrics):
            table.add_row(f"  {label}", number(value), self._arrow(key, value), f"[dim]{meaning}[/dim]")
        if self._alarms:
            names = ", ".join(sorted({alarm.name for alarm in self._alarms}))
            table.add_row(
                "  [yellow]alarms[/yellow]", f"[yellow]{len(self._alarms)}[/yellow]", "", f"[yellow]{names}[/yellow]"
            )
        return Group(self._bar, table)

    def _arrow(self, key: str, value: float) -> str:
        before = shown(self._before, key)
        if before is None or value == before:
            return " "
        return "[dim]↑[/dim]" if value > before else "[dim]↓[/dim]"


def _alarm_line(alarm: AlarmLike) -> str:
    return f"ALARM at step {alarm.step}: {alarm.message} {alarm.advice}".rstrip()


def choose(quiet: bool = False, stream: TextIO | None = None) -> Display:
    """The display that fits: quiet if asked, live on a terminal, plain lines elsewhere.

    Args:
        quiet: Whether only alarms are shown.
        stream: Where it goes; stdout if None.
    """
    stream = sys.stdout if stream is None else stream
    if quiet:
        return QuietDisplay()
    if stream.isatty():
        from rich.console import Console

        console = Console(file=stream)
        if not console.is_dumb_terminal:
            return RichDisplay(console)
    return PlainDisplay(stream)
