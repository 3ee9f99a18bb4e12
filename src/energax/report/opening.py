"""The head and the foot of the page: what was trained on what, when and how far; and how to make it again."""

import datetime as dt
import math
import shlex
from pathlib import Path
from typing import Any

from energax.errors import EnergaxError
from energax.runtime import config as recipes

from .canvas import short
from .gather import RunFolder, dataset_name, number, section
from .judgement import label, longest, nats, say

Pairs = list[tuple[str, str]]


def title(run: RunFolder) -> str:
    """The recipe's name, else the folder's."""
    return short(_text(run.info.get("recipe")) or _text(run.config.get("name")) or run.path.name, 60)


def subtitle(run: RunFolder) -> str:
    """What was trained on what, in one sentence."""
    data = section(run.evaluation, "dataset")
    name = dataset_name(run) or "data of unknown name"
    train, test = number(data.get("n_train")), number(data.get("n_test"))
    counts = f": {say(train, 12)} training" if train is not None else ""
    counts += f" and {say(test, 12)} held-out items" if test is not None and counts else " items" if counts else ""
    shape = data.get("shape")
    sides = [str(n) for n in shape if isinstance(n, int)] if isinstance(shape, list) else []
    of_shape = f" of {' × '.join(sides)} numbers each" if sides else ""
    energy, objective = (_text(section(run.config, part).get("kind")) for part in ("energy", "objective"))
    model = f"An energy-based model ({label(energy)})" if energy else "An energy-based model"
    trained = f" trained by {label(objective)}" if objective else " trained"
    return f"{model}{trained} on {name}{counts}{of_shape if counts else ''}."


def description(run: RunFolder) -> str:
    """The recipe's own sentence, if it has one."""
    return _text(run.config.get("description")) or _text(run.info.get("description"))


def facts(run: RunFolder) -> Pairs:
    """When, how long, how far, with what."""
    info = run.info
    done, asked = number(info.get("steps_done")), number(info.get("steps_asked"))
    data = section(run.evaluation, "dataset")
    noise = data.get("dequantisation")
    pairs = [
        ("Started", _moment(info.get("started"))),
        ("Took", _duration(number(info.get("seconds")))),
        ("Steps", f"{say(done, 12)} of {say(asked, 12)}" if done is not None or asked is not None else ""),
        ("Status", _text(info.get("status"))),
        ("Seed", say(number(info.get("seed")), 12) if number(info.get("seed")) is not None else ""),
        ("Device", _text(info.get("device"))),
        ("Data from", ", ".join(word for word in (_text(data.get("source")), _text(data.get("licence"))) if word)),
        ("Noise on the data", "none" if noise == 0 else _text(noise) if number(noise) is None else say(number(noise))),
    ]
    return [(name, value) for name, value in pairs if value]


def tiles(run: RunFolder) -> list[tuple[str, str, str]]:
    """The figures to remember: (value, what it is, what to hold it against)."""
    evaluation = run.evaluation
    found = []
    likelihood = section(evaluation, "likelihood")
    nll = number(likelihood.get("nll_test"))
    if nll is not None:
        others = {
            n: number(section(likelihood, "baselines", n).get("nll_test")) for n in section(likelihood, "baselines")
        }
        beside = ", ".join(f"{label(name)} {nats(value)}" for name, value in others.items() if value is not None)
        bits = number(likelihood.get("bits_per_dim"))
        more = f" ({say(bits)} bits per dimension)" if bits is not None else ""
        found.append(
            (nats(nll), f"{_text(likelihood.get('units')) or 'nats'}, held-out NLL{more}", beside or "no baselines")
        )
    truth = section(evaluation, "density2d") or section(evaluation, "states")
    divergence = number(truth.get("kl_true_model"))
    if divergence is not None:
        kde = number(truth.get("kde_kl"))
        found.append(
            (say(divergence), "nats, KL(true ‖ model)", f"kernel density {say(kde)}" if kde is not None else "")
        )
    log_z = section(evaluation, "log_z")
    forward, reverse = longest(log_z.get("forward")), longest(log_z.get("reverse"))
    if forward and reverse:
        low, high = number(forward["estimate"]) or 0.0, number(reverse["estimate"]) or 0.0
        found.append(
            (
                "< 0.01" if abs(high - low) < 0.01 else say(abs(high - low), 2),
                "nats between two routes to log Z",
                f"{say(low, 4)} forward, {say(high, 4)} reverse",
            )
        )
    rhat = number(section(evaluation, "chains").get("rhat_max"))
    if rhat is not None:
        found.append((say(rhat, 4), "largest split R-hat", "1 when chains agree"))
    frechet = section(evaluation, "sample_quality", "frechet")
    if number(frechet.get("value")) is not None and number(frechet.get("floor")) is not None:
        found.append(
            (say(number(frechet["value"])), "Fréchet distance of samples", f"floor {say(number(frechet['floor']))}")
        )
    return found[:4]


def commands(run: RunFolder) -> list[tuple[str, str]]:
    """The exact command lines, each with what it does."""
    folder = run.path.name
    out = _text(run.config.get("out"))
    if out and Path(out).name == run.path.resolve().parent.name:
        folder = f"{out}/{folder}"
    folder = shlex.quote(folder)
    # The config is validated before any of its words becomes a command: what a file says is never pasted as it stands.
    train = ""
    try:
        train = recipes.reproduce_command(recipes.read(run.path / "config.yaml"))
    except (EnergaxError, OSError, ValueError):
        words = run.info.get("argv")
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            train = shlex.join(["energax", "train", *words])
        recipe, seed = _text(run.info.get("recipe")), number(run.info.get("seed"))
        if recipe and not train:
            train = shlex.join(["energax", "train", recipe, *([f"seed={seed:.0f}"] if _whole(seed) else [])])
    lines = [("Train it again", train)] if train else []
    if "config.yaml" not in train:
        lines.append(("Or from the very settings below", f"energax train {folder}/config.yaml"))
    lines.append(("Measure it again", f"energax evaluate {folder}"))
    lines.append(("Write this page again", f"energax report {folder}"))
    return lines


def versions(run: RunFolder) -> Pairs:
    """What ran it."""
    names = {
        "energax": "energax",
        "python": "Python",
        "jax": "JAX",
        "jaxlib": "jaxlib",
        "equinox": "Equinox",
        "optax": "Optax",
        "git": "Git commit",
        "device": "Device",
    }
    pairs = [(label, _version(run.info.get(key))) for key, label in names.items()]
    return [(label, value) for label, value in pairs if value]


def _version(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _whole(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value == round(value)


def _moment(value: Any) -> str:
    """A date and time from an ISO string or from seconds since 1970, in UTC where it names no zone of its own."""
    seconds = number(value)
    try:
        if seconds is not None:
            moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
        else:
            moment = dt.datetime.fromisoformat(_text(value))
    except (ValueError, OverflowError, OSError):
        return _text(value)
    return moment.strftime("%-d %B %Y, %H:%M") + (f" {moment.tzname()}" if moment.tzinfo else "")


def _duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
