"""Reads one run folder into plain Python and numpy; what is missing or damaged is said in words, never raised.

A run folder may be of a run that is going on, was killed, or never started: every part is optional, and a
half-written last line of a log is normal. Nothing in it is trusted: arrays are read without pickle, YAML with the
safe loader.
"""

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

_MAX_ARRAY_BYTES = 1 << 30  # declared size above which an array of a run folder is not read
_IMAGE_SETS = ("digits", "mnist", "fashion", "patches")  # data sets whose flat rows are square images


@dataclass(frozen=True)
class RunFolder:
    """Everything a report needs, as found on disk.

    Attributes:
        path: The folder.
        info: run.json.
        config: config.yaml parsed (empty where it is no mapping).
        config_text: config.yaml as it stands.
        metrics: The rows of metrics.jsonl by rising step, the last row of a step that occurs twice (after a resume).
        alarms: The rows of alarms.jsonl.
        evaluation: evaluation.json.
        arrays: arrays.npz, name -> array.
        missing: One sentence for each part that is absent or could not be read whole.
    """

    path: Path
    info: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    evaluation: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def gather(folder: Path) -> RunFolder:
    """Reads the run folder `folder`.

    Args:
        folder: An existing directory; what lies in it is optional.

    Raises:
        FileNotFoundError: `folder` is no directory.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"report: the run folder must be an existing directory; got {str(folder)!r}.")
    missing: list[str] = []
    info = _mapping(folder / "run.json", "what ran, when and how far is not known", missing)
    config, text = _config(folder / "config.yaml", missing)
    metrics = _rows(folder / "metrics.jsonl", "there are no training curves", missing)
    alarms_path = folder / "alarms.jsonl"
    # No file means no alarm was raised: the loop creates it with the first one.
    alarms = _rows(alarms_path, "the alarms are not known", missing) if alarms_path.exists() else []
    evaluation = _mapping(folder / "evaluation.json", "the run has not been evaluated", missing)
    arrays = _arrays(folder / "arrays.npz", missing)
    return RunFolder(folder, info, config, text, _by_step(metrics), alarms, evaluation, arrays, tuple(missing))


def curve(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The steps and values of one metric; a name written as `phase/name` is found by its last part.

    Args:
        rows: Rows of metrics.jsonl.
        name: The metric, for instance "gap".

    Returns:
        Steps [rows] and values [rows] as float64; non-finite values are kept, since the reader must hear of them.

    Example:
        >>> curve([{"step": 1, "gap": 0.5}, {"step": 2}], "gap")
        (array([1.]), array([0.5]))
    """
    steps, values = [], []
    for row in rows:
        value = _lookup(row, name)
        if value is not None and number(row.get("step")) is not None:
            steps.append(float(row["step"]))
            values.append(value)
    return np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)


def number(value: Any) -> float | None:
    """`value` as a float or None where it is no number; "nan", "inf" and "-inf" are numbers that JSON cannot hold.

    Example:
        >>> number(3), number("inf"), number("3"), number(True), number(None)
        (3.0, inf, None, None, None)
    """
    if value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def section(tree: Any, *names: str) -> Mapping[str, Any]:
    """The mapping under `names` in a tree of mappings; an empty one where there is none."""
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else {}


def dataset_name(run: RunFolder) -> str:
    """The data set's name: as evaluated, else as configured, else an empty string."""
    for value in (
        section(run.evaluation, "dataset").get("name"),
        section(run.config, "data").get("name"),
        run.config.get("data"),
        section(run.config, "dataset").get("name"),
        run.config.get("dataset"),
    ):
        if isinstance(value, str) and value:
            return value
    return ""


def as_images(run: RunFolder, x: np.ndarray) -> np.ndarray | None:
    """`x` as images [n, height, width, channels], or None where its rows are no images.

    Flat rows count as images if the evaluation declares an image shape of that size, or the data set is known to hold
    square images (digits and MNIST in their flat layout).
    """
    if x.ndim == 4 and x.shape[-1] in (1, 3):
        return x
    if x.ndim == 3:
        return x[..., None]
    if x.ndim != 2:
        return None
    declared = section(run.evaluation, "dataset")
    for shape in (declared.get("image_shape"), declared.get("shape")):
        if isinstance(shape, list) and len(shape) in (2, 3) and all(isinstance(n, int) and n > 0 for n in shape):
            full = (*shape, 1) if len(shape) == 2 else tuple(shape)
            if math.prod(full) == x.shape[1] and full[-1] in (1, 3):
                return x.reshape(len(x), *full)
    side = math.isqrt(x.shape[1])
    if side >= 4 and side * side == x.shape[1] and dataset_name(run).lower().startswith(_IMAGE_SETS):
        return x.reshape(len(x), side, side, 1)
    return None


def _lookup(row: Mapping[str, Any], name: str) -> float | None:
    if name in row:
        return number(row[name])
    for key, value in sorted(row.items(), reverse=True):  # of several phases the last: the energy's, not its critic's
        if isinstance(key, str) and key.replace(".", "/").rsplit("/", 1)[-1] == name:
            return number(value)
    return None


def _mapping(path: Path, consequence: str, missing: list[str]) -> dict[str, Any]:
    if not path.exists():
        missing.append(f"{path.name} is missing: {consequence}.")
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        missing.append(f"{path.name} could not be read ({_brief(error)}): {consequence}.")
        return {}
    if not isinstance(content, dict):
        missing.append(f"{path.name} holds no mapping: {consequence}.")
        return {}
    return content


def _config(path: Path, missing: list[str]) -> tuple[dict[str, Any], str]:
    if not path.exists():
        missing.append("config.yaml is missing: the settings of this run are not known.")
        return {}, ""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        missing.append(f"config.yaml could not be read ({_brief(error)}).")
        return {}, ""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        missing.append(f"config.yaml is no valid YAML ({_brief(error)}); it is shown as it stands.")
        return {}, text
    return (content if isinstance(content, dict) else {}), text


def _rows(path: Path, consequence: str, missing: list[str]) -> list[dict[str, Any]]:
    if not path.exists():
        missing.append(f"{path.name} is missing: {consequence}.")
        return []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        missing.append(f"{path.name} could not be read ({_brief(error)}): {consequence}.")
        return []
    rows, bad = [], 0
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            bad += 1
    if bad:
        missing.append(
            f"{path.name}: {bad} of {bad + len(rows)} lines could not be read (a killed run leaves one such line)."
        )
    if not rows and not bad:
        missing.append(f"{path.name} is empty: {consequence}.")
    return rows


def _by_step(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last: dict[float, dict[str, Any]] = {}
    for row in rows:
        step = number(row.get("step"))
        if step is not None and math.isfinite(step):
            last[step] = row
    return [last[step] for step in sorted(last)]


def _arrays(path: Path, missing: list[str]) -> dict[str, np.ndarray]:
    if not path.exists():
        missing.append("arrays.npz is missing: samples, energy histograms and traces cannot be drawn.")
        return {}
    arrays: dict[str, np.ndarray] = {}
    refused: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {item.filename.removesuffix(".npy"): item.file_size for item in archive.infolist()}
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                if sizes.get(name, 0) > _MAX_ARRAY_BYTES:
                    refused.append(name)
                    continue
                try:
                    array = stored[name]
                except (ValueError, OSError, EOFError, zipfile.BadZipFile, MemoryError):
                    refused.append(name)
                    continue
                if array.dtype.kind in "fiub" and array.size:
                    arrays[name] = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
                else:
                    refused.append(name)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        missing.append(f"arrays.npz could not be read ({_brief(error)}): samples and energies are not shown.")
    if refused:
        missing.append(f"arrays.npz: {', '.join(sorted(refused))} could not be read or hold no numbers.")
    return arrays


def _brief(error: BaseException) -> str:
    first = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first[:120]}" if first else type(error).__name__
