"""energax: define an energy, sample it, train it, measure its partition function, and prove each number.

The face holds the five nouns and the folders; everything is imported on first use, so that `energax --help` is quick.
"""

import importlib
from typing import Any

from .compiler import switch_off as _switch_off

__version__ = "0.1.0"

_NOUNS = (
    "AbstractEnergy",
    "AbstractSampler",
    "AbstractObjective",
    "AbstractPath",
    "AbstractGenerator",
    "AbstractDensity",
    "Chains",
    "FunctionEnergy",
    "freeze",
    "score",
)
_ROOMS = (
    "core",
    "numerics",
    "data",
    "networks",
    "samplers",
    "energies",
    "free_energy",
    "objectives",
    "training",
    "evaluation",
    "runtime",
    "systems",
    "report",
    "cli",
)

__all__ = ["__version__", *_NOUNS, *_ROOMS]

_switch_off()


def __getattr__(name: str) -> Any:
    if name in _NOUNS:
        return getattr(importlib.import_module("energax.core"), name)
    if name in _ROOMS:
        return importlib.import_module(f"energax.{name}")
    raise AttributeError(f"module 'energax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
