"""Problems and methods are found by listing their folders: one is added with one file."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

from energax.errors import ConfigError, did_you_mean

from . import methods as _methods, problems as _problems


def problems() -> dict[str, ModuleType]:
    """The files of `problems/` by name: each has a TITLE and `make(seed)`."""
    return _found(_problems, ("TITLE", "make"))


def methods() -> dict[str, ModuleType]:
    """The files of `methods/` by name: each has a TITLE, `fits(problem)` and `make(problem)`."""
    return _found(_methods, ("TITLE", "fits", "make"))


def cells(only: str = "", seeds: Iterable[int] = (0, 1, 2)) -> list[tuple[str, str, int]]:
    """(problem, method, seed) of every method on every problem that it fits.

    Args:
        only: "problem/method/seed", each of them a name, several with commas between, or `*`; what is left out is `*`.
        seeds: What `*` means for seeds.

    Raises:
        ConfigError: A name is not known, a seed is none, or nothing fits.

    Example:
        >>> cells("bars_and_stripes/pcd/0")
        [('bars_and_stripes', 'pcd', 0)]
    """
    words = [word.strip() for word in only.split("/")] + ["*"] * 3
    if only.count("/") > 2:
        raise ConfigError(f"--only must be problem/method/seed; got {only!r}.")
    chosen = [_chosen("problem", words[0], problems()), _chosen("method", words[1], methods())]
    numbers = list(seeds) if words[2] in ("", "*") else _numbers(words[2])
    made = {problem: problems()[problem].make(0) for problem in chosen[0]}
    found = [
        (problem, method, seed)
        for problem, one in made.items()
        for method in chosen[1]
        if methods()[method].fits(one)
        for seed in numbers
    ]
    if not found:
        fit = ", ".join(name for name, method in methods().items() if any(method.fits(one) for one in made.values()))
        raise ConfigError(f"--only must name a method that fits its problem, one of {fit}; got {only!r}.")
    return found


def _found(package: ModuleType, needed: tuple[str, ...]) -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    found = {name: import_module(f"{package.__name__}.{name}") for name in names}
    for name, module in found.items():
        missing = [word for word in needed if not hasattr(module, word)]
        if missing:
            raise ConfigError(f"{package.__name__}.{name} must have {', '.join(needed)}; it lacks {missing[0]}.")
    return found


def _chosen(what: str, words: str, known: dict[str, ModuleType]) -> list[str]:
    if words in ("", "*"):
        return list(known)
    names = [word.strip() for word in words.split(",")]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"--only: a {what} must be one of {', '.join(known)}; got {name!r}.{hint}")
    return names


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"--only: seeds must be numbers with commas between; got {text!r}.") from None
