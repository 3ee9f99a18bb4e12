"""A run's folder: what a run writes and where, and how a run is found again."""

import datetime
import json
import platform
import secrets
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from energax.errors import ConfigError, did_you_mean

from .config import dump
from .disk import write_atomically
from .schema import Config

CONFIG, RECORD, ALARMS, EVALUATION, ARRAYS = "config.yaml", "run.json", "alarms.jsonl", "evaluation.json", "arrays.npz"
CHECKPOINTS = "checkpoints"


def new_folder(root: Path, config: Config, *, argv: list[str] | None = None) -> Path:
    """Makes `root/NAME-DATE-TIME-xxxx` with the resolved config and the run's record in it.

    Args:
        root: Where runs are kept; made if missing.
        config: The resolved recipe.
        argv: The words after `energax train`, for the record.
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = root / f"{config.name}-{stamp}-{secrets.token_hex(2)}"
    (folder / CHECKPOINTS).mkdir(parents=True)
    write_text(folder / CONFIG, dump(config))
    write_record(
        folder,
        {
            "recipe": config.name,
            "description": config.description,
            "seed": config.seed,
            "argv": argv or [],
            "status": "running",
            "steps_done": 0,
            "steps_asked": config.training.steps,
            "started": now(),
            "finished": None,
            "seconds": 0.0,
            **versions(),
        },
    )
    return folder


def now() -> str:
    """The time as ISO 8601 text, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def versions() -> dict[str, Any]:
    """What ran: versions of energax, Python and the JAX family, the git commit if there is one, and the devices."""
    import jax

    found: dict[str, Any] = {"python": platform.python_version(), "git": git_state()}
    for package in ("energax", "jax", "jaxlib", "equinox", "optax"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    devices = jax.devices()
    found["device"] = f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"
    return found


def git_state() -> str | None:
    """The commit of the checkout that energax runs from, with `+changes` where files differ; None without one."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        run = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True)
        return run.stdout.strip()

    try:
        if "site-packages" in str(here):
            return None
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    write_atomically(path, [text.encode("utf-8")])


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, sort_keys=False) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file's value, or None where there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Writes the run's record."""
    write_json(folder / RECORD, dict(record))


def update_record(folder: Path, **changes: Any) -> dict[str, Any]:
    """The run's record with `changes` in it, written and returned."""
    record = {**(read_json(folder / RECORD) or {}), **changes}
    write_record(folder, record)
    return record


def append_line(path: Path, value: Any) -> None:
    """Adds one JSON line to a file."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(value) + "\n")


def take_back_alarms(folder: Path, step: int) -> None:
    """Removes the alarms of step `step` and later, which a run that goes on from there raises again, and torn lines."""

    def stays(line: str) -> bool:
        try:
            return int(json.loads(line)["step"]) < step
        except (ValueError, KeyError, TypeError):
            return False

    path = folder / ALARMS
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        write_text(path, "".join(f"{line}\n" for line in lines if stays(line)))


def list_runs(root: Path) -> list[dict[str, Any]]:
    """The record of every run under `root`, oldest first, each with its `folder`."""
    found = []
    for record in sorted(root.glob(f"*/{RECORD}")) if root.is_dir() else []:
        try:
            found.append({**json.loads(record.read_text(encoding="utf-8")), "folder": str(record.parent)})
        except (OSError, json.JSONDecodeError):
            found.append({"folder": str(record.parent), "status": "unreadable", "started": ""})
    return sorted(found, key=lambda run: (str(run.get("started") or ""), run["folder"]))


def find_run(root: Path, name: str) -> Path:
    """The folder of a run: a path, `latest`, a folder's name or a prefix of exactly one.

    Raises:
        ConfigError: There is none, or the prefix fits several.
    """
    path = Path(name)
    if (path / RECORD).is_file() or (path / CONFIG).is_file():
        return path
    runs = [Path(run["folder"]) for run in list_runs(root)]
    if not runs:
        raise ConfigError(f"a run must be a run folder; got {name!r}, and {str(root)!r} holds no runs.")
    if name == "latest":
        return runs[-1]
    fits = [run for run in runs if run.name == name] or [run for run in runs if run.name.startswith(name)]
    if len(fits) == 1:
        return fits[0]
    names = [run.name for run in runs]
    if fits:
        raise ConfigError(
            f"a run's name must fit one run; {name!r} fits {len(fits)}: {', '.join(sorted(r.name for r in fits)[:4])}."
        )
    raise ConfigError(f"a run must be a folder under {str(root)!r}; got {name!r}.{did_you_mean(name, names)}")
