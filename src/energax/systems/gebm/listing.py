"""Shifts, methods and backbones are found by listing their folders: one is added with one file."""

import pkgutil
from importlib import import_module
from types import ModuleType

from energax.errors import ConfigError, did_you_mean

from . import backbones as _backbones, baselines as _baselines, shifts as _shifts


def shifts() -> dict[str, ModuleType]:
    """The files of `shifts/` by name: each has a TITLE, a GROUP, `fits`, `foreign` and `features`."""
    return _found(_shifts, ("TITLE", "GROUP", "fits", "foreign", "features"))


def methods() -> dict[str, ModuleType]:
    """The files of `baselines/` by name: each has a TITLE and `score(seen)`; what varies GEBM also ABLATION."""
    return _found(_baselines, ("TITLE", "score"))


def backbones() -> dict[str, ModuleType]:
    """The files of `backbones/` by name: each has a TITLE and `train(graph, train, validation, members, seed)`."""
    return _found(_backbones, ("TITLE", "train"))


def chosen(what: str, words: str, known: dict[str, ModuleType]) -> list[str]:
    """Names out of `a,b,c`; all of them where the words are empty.

    Raises:
        ConfigError: One is not known; the nearest is named.
    """
    names = [word.strip() for word in words.split(",") if word.strip()] or list(known)
    for name in names:
        if name not in known:
            raise ConfigError(f"A {what} must be one of {', '.join(known)}; got {name!r}.{did_you_mean(name, known)}")
    return names


def _found(package: ModuleType, needed: tuple[str, ...]) -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    found = {name: import_module(f"{package.__name__}.{name}") for name in names}
    for name, module in found.items():
        missing = [word for word in needed if not hasattr(module, word)]
        if missing:
            raise ConfigError(f"{package.__name__}.{name} must have {', '.join(needed)}; it lacks {missing[0]}.")
    return found
