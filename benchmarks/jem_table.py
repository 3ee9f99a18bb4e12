"""The rows of `jem.py` as tables: means over seeds with their standard errors, and differences taken seed by seed."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]

SURE = {
    "accuracy": ("accuracy", 4),
    "accuracy_clean": ("accuracy, images without noise", 4),
    "log_loss": ("log loss, nats", 4),
    "ece": ("ECE, 15 bins of equal width", 4),
    "debiased": ("debiased squared ECE", 5),
    "debiased_sigma": ("the same, in standard deviations of a calibrated model's", 2),
}
SCORES = {
    "JEM, energy": ("jem", "energy"),
    "JEM, logit energy": ("jem", "logit"),
    "JEM, max-softmax": ("jem", "softmax"),
    "plain, logit energy": ("plain", "logit"),
    "plain, max-softmax": ("plain", "softmax"),
    "Gaussian": ("plain", "gaussian"),
    "kernel density": ("plain", "kde"),
}
FOREIGN = ("left-out", "photographs", "upside-down", "blends", "gaussian-fit", "uniform", "shuffled-pixels", "inverted")
DISTANCES = {
    "mmd2": "MMD^2",
    "sliced_wasserstein": "sliced Wasserstein",
    "c2st": "two-sample classifier (accuracy)",
    "frechet": "classifier Frechet",
    "class_tv": "class frequencies (TV)",
}


def number(value: Any) -> float:
    """A figure of a row; those that are not finite are written as text."""
    return float(value)


def spread(values: Sequence[float], digits: int, sign: str = "") -> str:
    """Mean and standard error of the mean over seeds, as text; of one value no error is known."""
    if not values:
        return ""
    mean = f"{np.mean(values):{sign}.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {np.std(values, ddof=1) / math.sqrt(len(values)):.{digits}f}"


def of(rows: Sequence[Row], method: str, part: str) -> dict[int, Row]:
    """Seed -> row."""
    return {row["seed"]: row for row in rows if row["method"] == method and row["part"] == part}


def line(*columns: str) -> str:
    """One line of a table."""
    return "| " + " | ".join(columns) + " |"


def head(*columns: str) -> list[str]:
    """The two lines that a table begins with."""
    return [line(*columns), line(*["---"] * len(columns))]


def compared(
    name: str, jem: Mapping[int, Row], plain: Mapping[int, Row], read: Callable[[Row], Any], digits: int
) -> str:
    """A line: JEM, plain, and their difference, seed by seed."""
    both = sorted(set(jem) & set(plain))
    ours, theirs = ({seed: number(read(side[seed])) for seed in side} for side in (jem, plain))
    apart = [ours[seed] - theirs[seed] for seed in both]
    return line(
        name, spread(list(ours.values()), digits), spread(list(theirs.values()), digits), spread(apart, digits, "+")
    )


def judged(rows: Sequence[Row]) -> str:
    """The part that a recipe's tables are of: all classes, or all but one where there is no other."""
    return "all" if of(rows, "jem", "all") else "left-out"


def sureness(rows: Sequence[Row]) -> list[str]:
    """Accuracy, calibration, distance and cost."""
    jem, plain = (of(rows, method, judged(rows)) for method in ("jem", "plain"))
    found = head("", "JEM", "plain", "JEM - plain")
    for key, (name, digits) in SURE.items():
        found.append(compared(name, jem, plain, lambda row, key=key: row["labels"][key], digits))
    for key in ("mean", "median"):
        name = f"adversarial L2 distance, {key}"
        found.append(compared(name, jem, plain, lambda row, key=key: row["adversarial"][key], 3))
    found.append(compared("CPU ms a training step", jem, plain, lambda row: row["cpu_ms_a_step"], 1))
    return found


def foreign(rows: Sequence[Row]) -> list[str]:
    """AUROC by set and score; bold is the highest mean of a line."""
    found = head("foreign set", *SCORES)
    for label in FOREIGN:
        part, columns = "left-out" if label == "left-out" else judged(rows), {}
        for name, (method, score) in SCORES.items():
            values = [
                number(row["ood"][label][score]) for row in of(rows, method, part).values() if label in row["ood"]
            ]
            columns[name] = values
        means = [float(np.mean(values)) for values in columns.values() if values]
        if means:
            texts = [
                f"**{spread(values, 3)}**" if values and np.mean(values) == max(means) else spread(values, 3)
                for values in columns.values()
            ]
            found.append(line(label, *texts))
    return found


def samples(rows: Sequence[Row]) -> list[str]:
    """Distances of samples to held-out data beside their floors."""
    sides = [list(of(rows, method, "all").values()) for method in ("jem", "plain")]
    found = head("samples", "JEM", "plain", "floor: training rows")
    for key, name in DISTANCES.items():
        values = [[number(row["samples"][key]["value"]) for row in side] for side in sides]
        floor = [number(row["samples"][key]["floor"]) for row in sides[0]]
        found.append(line(name, *(spread(side, 4) for side in values), spread(floor, 4)))
    near = [[number(row["samples"]["nearest_neighbour"]["samples"]) for row in side] for side in sides]
    held = [number(row["samples"]["nearest_neighbour"]["heldout"]) for row in sides[0]]
    found.append(line("distance to the nearest training image", *(spread(x, 2) for x in near), spread(held, 2)))
    asked = [[number(row["samples"]["asked_class"]) for row in side] for side in sides]
    floor = [number(row["samples"]["asked_class_floor"]) for row in sides[0]]
    found.append(
        line("asked for a class, another classifier sees it", *(spread(x, 3) for x in asked), spread(floor, 3))
    )
    mixed = [[number(row["samples"]["rhat"]) for row in side] for side in sides]
    return [*found, line("R-hat of the chains", *(spread(x, 3) for x in mixed), "")]


def long(rows: Sequence[Row]) -> list[str]:
    """Three times the length: what the watchdog said, and what became of the figures."""
    found = head(
        "seed", "steps", "alarms", "refused steps", "accuracy", "log loss", "AUROC upside-down", "MMD^2", "class TV"
    )
    for seed, row in sorted(of(rows, "jem", "long").items()):
        said: dict[str, int] = {}
        for alarm in row["alarms"]:
            word = f"{alarm['name']} ({alarm['severity']})"
            said[word] = said.get(word, 0) + 1
        before = of(rows, "jem", "all").get(seed)
        pairs = [
            (lambda r: r["labels"]["accuracy"], 3),
            (lambda r: r["labels"]["log_loss"], 3),
            (lambda r: r["ood"]["upside-down"]["energy"], 3),
            (lambda r: r["samples"]["mmd2"]["value"], 4),
            (lambda r: r["samples"]["class_tv"]["value"], 2),
        ]
        texts = [
            f"{number(read(row)):.{digits}f}" + ("" if before is None else f" ({number(read(before)):.{digits}f})")
            for read, digits in pairs
        ]
        alarms = ", ".join(f"{word} x {num}" for word, num in said.items()) or "none"
        found.append(line(str(seed), str(row["steps"]), alarms, f"{row['refused']:g}", *texts))
    return found


def diverged(row: Row) -> bool:
    """Whether a run left the sensible by the project's own judge: an alarm to stop, a refused step, a weight not finite."""
    return any(alarm["severity"] == "stop" for alarm in row["alarms"]) or row["refused"] > 0 or not row["finite"]


def settings(rows: Sequence[Row]) -> list[str]:
    """What was chosen among, on validation rows."""
    found = head(
        "learning rate", "weight decay", "JEM, log loss", "JEM, accuracy", "plain, log loss", "plain, accuracy"
    )
    parts = sorted({row["part"] for row in rows if row["part"].startswith("valid-")})
    for part in parts:
        rate, decay = part.removeprefix("valid-").rsplit("-", 1)
        figures = []
        for method in ("jem", "plain"):
            (row,) = of(rows, method, part).values() or ({"labels": {"log_loss": math.nan, "accuracy": math.nan}},)
            figures += [f"{number(row['labels']['log_loss']):.4f}", f"{number(row['labels']['accuracy']):.4f}"]
        found.append(line(rate, decay, *figures))
    return found if parts else []


def tables(rows: Sequence[Row]) -> str:
    """All tables of one recipe, as Markdown."""
    runs = of(rows, "jem", judged(rows)).values()
    gone = sum(diverged(row) for row in runs)
    lines = [
        f"Means over {len(runs)} seeds ± standard errors; differences are taken seed by seed.",
        "",
        *sureness(rows),
    ]
    lines += ["", "AUROC against held-out rows; of the densities -log p is the score.", "", *foreign(rows)]
    if all("samples" in row for row in runs):
        lines += ["", *samples(rows)]
    lines += ["", f"By the watchdog {gone} of {len(runs)} JEM runs diverged.", ""]
    longer = of(rows, "jem", "long").values()
    if longer:
        gone = sum(diverged(row) for row in longer)
        lines += [f"Three times the length: {gone} of {len(longer)} diverged. In brackets: at the shipped length.", ""]
        lines += [*long(rows), ""]
    chosen = settings(rows)
    if chosen:
        lines += ["Settings, judged on a fifth of the training rows of seed 0:", "", *chosen, ""]
    return "\n".join(lines)
