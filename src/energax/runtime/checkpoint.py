"""Checkpoints: the whole training state in one verified file, written so that a crash cannot lose the last one.

A save writes a temporary file beside the others, forces it to the disk, renames it, forces the folder to the disk,
and only then prunes old ones: at every moment the newest acknowledged checkpoint is whole. A load verifies every
byte before it hands out an array (`container`), and `latest` falls back to the previous good file and says so. Saved
are the array leaves of a pytree, random keys included; everything else comes from the state that is loaded into,
which must fit leaf for leaf.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from energax import __version__
from energax.errors import CheckpointError

from .container import Header, Misfit, encode, peek, read
from .disk import folder_lock, write_atomically
from .leaves import Template, to_host

_NAME = re.compile(r"step-(\d{9,19})\.ckpt")
_TEMPORARY = re.compile(r"\.step-\d+-[0-9a-f]+\.tmp")
_RELISTINGS = 20  # looks at a folder in which another process saves and prunes
_RESERVED = ("step", "config", "score", "energax", "jax", "jaxlib", "numpy", "prng", "partitionable")


class Latest(NamedTuple):
    """What `latest` found.

    Attributes:
        state: The template with every array leaf replaced.
        meta: As `load` gives it.
        path: The file it came from.
        notes: One sentence for each newer file that was damaged and passed over, newest first; the caller must show
            them.
    """

    state: Any
    meta: dict[str, Any]
    path: Path
    notes: list[str]


def save(
    folder: str | Path,
    state: Any,
    step: int,
    *,
    keep: int = 2,
    meta: Mapping[str, Any] | None = None,
    config: str = "",
    score: float | None = None,
) -> Path:
    """Writes `step-<step>.ckpt`; when this returns, the state survives a crash of the program or the machine.

    A second save of the same step replaces the first in one move. Writers of one folder take turns.

    Args:
        folder: Where; made if missing.
        state: Any pytree. Arrays (JAX, NumPy, typed keys) are saved; numbers and texts are noted, to be compared on
            loading.
        step: Training steps done. Must be >= 0.
        keep: How many checkpoints stay, this one included. Must be >= 1.
        meta: Plain JSON to go with it; comes back from `load` beside the names that are reserved (step, config, score,
            energax, jax, jaxlib, numpy, prng, partitionable).
        config: Digest of the run's configuration (`digest_of`), compared on loading.
        score: Judgement of the state, lower is better; if given, the best of the kept and the new stays too.

    Returns:
        The path of the file.

    Raises:
        CheckpointError: Disk full, no permission, a leaf that is no plain array; earlier checkpoints are as they were.

    Example:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save(folder, {"w": np.arange(3.0)}, 7, meta={"note": "first"})
        ...     state, meta = load(path, {"w": np.zeros(3)})
        >>> path.name, state["w"].tolist(), meta["step"], meta["note"]
        ('step-000000007.ckpt', [0.0, 1.0, 2.0], 7, 'first')
    """
    for name, value, least in (("step", step, 0), ("keep", keep, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise CheckpointError(f"save: {name} must be an integer >= {least}; got {value!r}.")
    if score is not None and not np.isfinite(score):
        raise CheckpointError(f"save: score must be finite, or None; got {score!r}.")
    taken = sorted(set(meta or ()) & set(_RESERVED))
    if taken:
        raise CheckpointError(f"save: meta must not use the reserved names {_RESERVED}; got {taken}.")
    arrays, leaves, plain = to_host(state)
    header = Header(
        int(step), leaves, plain, dict(meta or {}), config, None if score is None else float(score), _versions()
    )
    pieces = list(encode(header, arrays))
    folder = Path(folder)
    path = folder / f"step-{int(step):09d}.ckpt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            _sweep(folder)
            write_atomically(path, pieces)
            _prune(folder, path, int(keep), score is not None)
    except OSError as error:
        raise CheckpointError(
            f"save: {path} must be written; got {error.strerror or error} (earlier checkpoints are as they were)."
        ) from error
    return path


def list_checkpoints(folder: str | Path) -> list[Path]:
    """The checkpoint files of a folder, oldest step first; an empty list if there is no such folder.

    They are listed by name; whether they are sound, `load` finds out.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if _NAME.fullmatch(entry.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"list_checkpoints: {folder} must be a readable folder; got {error.strerror}.") from None
    return [Path(folder) / name for name in sorted(names, key=_step_of)]


def load(path: str | Path, template: Any, *, config: str | None = None) -> tuple[Any, dict[str, Any]]:
    """One checkpoint, verified, in the shape of `template`.

    Args:
        path: The file.
        template: A state like the one that was saved: its arrays (or `jax.ShapeDtypeStruct`s) say what must come,
            its other leaves are kept. Where an array of the template is NumPy's the loaded one is too; else it is
            JAX's, on the default device: split it over devices afterwards, on as many as there are now.
        config: Digest the checkpoint must carry; None takes any.

    Returns:
        The state, and the meta of `save` together with step, config, score, and the versions it was written by.

    Raises:
        CheckpointError: The file is missing, damaged, or of another run; the message names the leaf, what it must
            be, and what was got. No array of it has been handed out.
    """
    return _load(Path(path), Template(template, config))


def _load(path: Path, template: Template) -> tuple[Any, dict[str, Any]]:
    header, arrays = read(path, lambda header: template.check(header, str(path)))
    meta = {**header.meta, "step": header.step, "config": header.config, "score": header.score, **header.versions}
    return template.fill(arrays, str(path)), meta


def latest(folder: str | Path, template: Any, *, config: str | None = None) -> Latest:
    """The newest checkpoint that verifies; damaged newer ones are named in the notes.

    A sound file that does not fit the template is no damage: it ends the search with an error, since silently going
    back to an older one would train another model.

    Raises:
        CheckpointError: There is none, none is sound, or the newest sound one is of another run.
    """
    wanted = Template(template, config)
    for _ in range(_RELISTINGS):
        paths, vanished = list_checkpoints(folder), False
        notes: list[str] = []
        if not paths:
            raise CheckpointError(f"latest: {folder} must hold a checkpoint; got none.")
        for path in reversed(paths):
            try:
                return Latest(*_load(path, wanted), path, notes)
            except Misfit:
                raise
            except CheckpointError as error:
                if path.exists():
                    notes.append(f"Passed over a damaged checkpoint: {error}")
                else:
                    vanished = True  # a writer has pruned it since the listing: there is a newer one
        if not vanished:
            break
    raise CheckpointError(
        f"latest: {folder} must hold a sound checkpoint; got {len(paths)}, none of them sound: {' '.join(notes)}"
    )


def digest_of(config: Any) -> str:
    """SHA-256 of a configuration, the same for the same JSON whatever the order of its keys.

    Example:
        >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def _step_of(name: str) -> int:
    found = _NAME.fullmatch(name)
    assert found is not None
    return int(found[1])


def _sweep(folder: Path) -> None:
    """Removes what writers left that were killed; called under the lock, when nobody writes."""
    for entry in os.scandir(folder):
        if _TEMPORARY.fullmatch(entry.name):
            os.unlink(entry.path)


def _prune(folder: Path, newest: Path, keep: int, keep_best: bool) -> None:
    """Removes all but `newest`, the `keep - 1` latest others, and (if asked) the one of the lowest score."""
    others = [path for path in list_checkpoints(folder) if path != newest]
    spare = set(others[: len(others) - (keep - 1)])
    if keep_best and spare:
        scores = {path: _score(path) for path in [*others, newest]}
        spare.discard(min(scores, key=lambda path: scores[path]))
    for path in spare:
        path.unlink(missing_ok=True)


def _score(path: Path) -> float:
    try:
        score = peek(path).score
    except CheckpointError:
        return float("inf")  # a damaged file is nobody's best
    return float("inf") if score is None else score


def _versions() -> dict[str, str]:
    import jax
    import jaxlib

    config: Any = jax.config
    return {
        "energax": __version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "prng": str(config.jax_default_prng_impl),
        "partitionable": str(config.jax_threefry_partitionable),
    }
