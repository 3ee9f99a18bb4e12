"""Judges of the run: did it finish, stay finite, settle; were the walkers alive and at the right temperature."""

import math
from collections import Counter
from typing import Any

import numpy as np

from .gather import curve, number, section
from .judgement import (
    ACCEPT_BAD_HIGH,
    ACCEPT_BAD_LOW,
    ACCEPT_HIGH,
    ACCEPT_LOW,
    DRIFT_ERRORS,
    DRIFT_NATS,
    DRIFT_PER_DIMENSION,
    GAP_BLOW_UP,
    RADIUS_BAD,
    REJECTED_BAD,
    TEMPERATURE_BAD,
    TEMPERATURE_WARN,
    Facts,
    Verdict,
    dimensions,
    last_quarter,
    say,
)


def finished(facts: Facts) -> Verdict:
    """Whether the run did all the steps it was asked for."""
    title = "Completeness"
    status, done, asked = (
        facts.run.get("status"),
        number(facts.run.get("steps_done")),
        number(facts.run.get("steps_asked")),
    )
    logged = number(facts.metrics[-1].get("step")) if facts.metrics else None
    if logged is not None and (done is None or done < logged):
        done = logged  # a run that broke off did not come to write how far it went
    steps = f"{say(done, 12)} of {say(asked, 12)} steps"
    backs = number(facts.run.get("rollbacks"))
    if status in ("diverged", "failed"):
        return Verdict(
            "bad", title, f"The run {status} after {steps}; what follows describes its last good state, if any."
        )
    if status is None and done is None:
        return Verdict("unknown", title, "run.json does not say how far the run went.")
    if status == "running":
        return Verdict("warn", title, f"The run was still going when this page was written ({steps}).")
    if status == "stopped" or (done is not None and asked is not None and done < asked):
        return Verdict("warn", title, f"Stopped early: {steps}. Every figure here is of an unfinished model.")
    if backs:
        return Verdict(
            "warn", title, f"{steps} were done, but the run went back to an earlier state {say(backs)} time(s)."
        )
    return Verdict("ok", title, f"{steps} were done.")


def alarms(facts: Facts) -> Verdict:
    """What the watchdog raised while training, and its advice."""
    title = "Alarms"
    if not facts.alarms:
        if not facts.metrics:
            return Verdict("unknown", title, "No training log, so alarms are not known.")
        return Verdict("ok", title, "No alarm was raised, in training or in measuring.")
    counts = Counter(str(alarm.get("name", "unnamed")) for alarm in facts.alarms)
    first = {str(alarm.get("name", "unnamed")): alarm for alarm in reversed(facts.alarms)}
    parts = []
    for name, count in counts.items():
        alarm = first[name]
        times = f", {count} times" if count > 1 else ""
        advice = f" Advice: {str(alarm['advice']).rstrip('.')}." if alarm.get("advice") else ""
        message = str(alarm.get("message", "")).rstrip(".")
        parts.append(f"“{name}” at step {say(number(alarm.get('step')), 12)}{times}: {message}.{advice}")
    stop = any(alarm.get("severity") == "stop" for alarm in facts.alarms)
    level = "bad" if stop or facts.run.get("status") == "diverged" else "warn"
    return Verdict(level, title, " ".join(parts))


def rejected(facts: Facts) -> Verdict | None:
    """How many steps were refused for a number that was not finite."""
    steps, values = curve(facts.metrics, "rejected")
    broken = sorted({name for row in facts.metrics for name, value in row.items() if _broken(value)})
    if not len(values) and not broken:
        return None
    # Each row is the mean over the steps since the row before it.
    share = np.where(np.isfinite(values), values, 1.0)
    lengths = np.diff(np.concatenate([[0.0], steps])) if len(steps) else np.zeros(0)
    count = float(share @ lengths)
    part = count / max(float(lengths.sum()), 1.0)
    title = "Finite numbers"
    logged = f" Metrics that were logged as not finite: {', '.join(broken)}." if broken else ""
    if count == 0 and not broken:
        return Verdict("ok", title, "No step had to be rejected for a number that was not finite.")
    sentence = (
        f"About {say(round(count), 12)} steps ({say(100 * part, 2)} %) were rejected for a number that was not "
        f"finite; none of them reached the parameters. More than {say(100 * REJECTED_BAD)} % is bad.{logged}"
    )
    return Verdict("bad" if part > REJECTED_BAD else "warn", title, sentence)


def settled(facts: Facts) -> Verdict | None:
    """Whether the energy gap (or a true loss) stood still at the end."""
    title = "Convergence"
    name, unit = ("gap", "nats") if len(curve(facts.metrics, "gap")[1]) else ("loss", "units of the loss")
    _, values = curve(facts.metrics, name)
    values = values[np.isfinite(values)]
    if len(values) < 8:
        return Verdict("unknown", title, "Fewer than 8 logged rows: too few to say whether training has settled.")
    quarter = len(values) // 4
    before, last = values[-2 * quarter : -quarter], values[-quarter:]
    drift = abs(float(last.mean() - before.mean()))
    noise = math.sqrt((before.var() + last.var()) / quarter) if quarter > 1 else 0.0
    typical = float(np.median(np.abs(values)))
    still = min(DRIFT_NATS, DRIFT_PER_DIMENSION * (dimensions(facts.evaluation) or math.inf))
    allowed = max(still if name == "gap" else 0.05 * abs(float(last.mean())), DRIFT_ERRORS * noise)
    what = "energy gap" if name == "gap" else "loss"
    if name == "gap" and abs(float(last.mean())) > max(GAP_BLOW_UP * typical, 10 * DRIFT_NATS):
        return Verdict(
            "bad",
            title,
            f"The energy gap ran away: {say(float(last.mean()))} nats over the last quarter, more than "
            f"{GAP_BLOW_UP:.0f} times its median size of {say(typical)}.",
        )
    sentence = (
        f"The mean {what} moved by {say(drift)} {unit} from the third to the last quarter of the run "
        f"({say(float(before.mean()))} to {say(float(last.mean()))}; up to {say(allowed)} counts as settled)."
    )
    if drift > allowed:
        return Verdict(
            "warn", title, f"{sentence} Training had not settled: more steps, or a smaller learning rate, may help."
        )
    return Verdict("ok", title, f"{sentence} Settled is not the same as good: see the likelihood and the samples.")


def acceptance(facts: Facts) -> Verdict | None:
    """Whether the walkers' moves were accepted often enough, and not too often."""
    values = last_quarter(facts.metrics, "acceptance")
    if values is None:
        return None
    title = "Acceptance"
    mean = float(values.mean())
    sentence = (
        f"{say(100 * mean)} % of the walkers' moves were accepted over the last quarter of training "
        f"({100 * ACCEPT_LOW:.0f} to {100 * ACCEPT_HIGH:.0f} % is healthy)."
    )
    if mean < ACCEPT_BAD_LOW:
        return Verdict("bad", title, f"{sentence} The walkers are stuck; lower the step size or the learning rate.")
    if section(facts.evaluation, "dataset").get("values") == "bits":
        said = f"{say(100 * mean)} % of the walkers' moves were accepted over the last quarter of training. "
        return Verdict("ok", title, f"{said}Gibbs steps are exact whatever the share, and have no step size to tune.")
    if mean == 1.0:
        return Verdict(
            "warn",
            title,
            f"{sentence} A sampler without a Metropolis test accepts everything: its bias is not seen here.",
        )
    if mean > ACCEPT_BAD_HIGH:
        return Verdict("bad", title, f"{sentence} The walkers hardly move; raise the step size.")
    if not ACCEPT_LOW <= mean <= ACCEPT_HIGH:
        return Verdict("warn", title, f"{sentence} The step size is {'too large' if mean < ACCEPT_LOW else 'timid'}.")
    return Verdict("ok", title, sentence)


def temperature(facts: Facts) -> Verdict | None:
    """Whether the walkers sampled the model at temperature 1."""
    values = last_quarter(facts.metrics, "temperature")
    if values is None:
        return None
    mean = float(values.mean())
    off = abs(mean - 1.0)
    sentence = f"The walkers' effective temperature σ²/(2η) was {say(mean)}; only 1 samples the model itself."
    level = "ok" if off <= TEMPERATURE_WARN else "warn" if off <= TEMPERATURE_BAD else "bad"
    return Verdict(level, "Temperature", sentence)


def radius(facts: Facts) -> Verdict | None:
    """Whether the walkers stayed near the data."""
    values = last_quarter(facts.metrics, "walker_radius")
    if values is None:
        return None
    far = float(values.max())
    sentence = f"The farthest walker reached {say(far)} times the data's own extent ({RADIUS_BAD:.0f} or more is bad)."
    return Verdict("bad" if far >= RADIUS_BAD else "ok", "Range of the walkers", sentence)


def _broken(value: Any) -> bool:
    real = number(value)
    return real is not None and not math.isfinite(real)
