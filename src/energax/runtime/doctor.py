"""Looks at the machine and the installation: what is here, what is missing, and the command that adds it.

Needs nothing beyond a bare installation. It reads versions, devices, memory and folders, runs three small compiled
functions (two of which compilers have had wrong), and changes nothing.
"""

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from energax.compiler import OFF

from .backend import compile_cache_folder

EXTRAS = {
    "images": ("natural-image patches", ("scikit-image",)),
    "tracking": ("TensorBoard events", ("tensorboardX",)),
    "gpu": ("NVIDIA GPUs", ("jax-cuda13-plugin",)),
    "docs": ("building the documentation", ("sphinx", "furo", "myst-parser")),
    "nuts": ("NUTS and its relatives", ("blackjax",)),
    "arviz": ("chains as ArviZ's data object", ("arviz-base", "arviz-plots", "xarray")),
}
"""Optional parts by extra: (what for, the packages that must be there)."""


def examine() -> dict[str, Any]:
    """Everything `energax doctor` tells, as plain values; `problems` is empty on a sound installation."""
    problems: list[str] = []
    packages = _packages(problems)
    return {
        "energax": _version("energax"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "devices": _devices(problems),
        "sums": _sums(problems),
        "memory": _memory(),
        "precision": _precision(),
        "folders": _folders(problems),
        "optional": [*_optional(), *_optional_data()],
        "problems": problems,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _requirements() -> list[Any]:
    from packaging.requirements import Requirement

    try:
        return [Requirement(line) for line in requires("energax") or []]
    except PackageNotFoundError:
        return []


def _packages(problems: list[str]) -> dict[str, str | None]:
    """Versions of what energax cannot do without; one that is missing or out of its range is a problem."""
    found: dict[str, str | None] = {}
    for requirement in _requirements():
        if requirement.marker is not None and "extra" in str(requirement.marker):
            continue
        found[requirement.name] = here = _version(requirement.name)
        wanted = f"{requirement.name}{requirement.specifier}"
        if here is None or not requirement.specifier.contains(here, prereleases=True):
            problems.append(f"{wanted} must be installed; got {here or 'none'}. Run: {_pip(wanted)}")
    found["jaxlib"] = _version("jaxlib")
    return found


def _pip(*packages: str) -> str:
    return shlex.join(["python", "-m", "pip", "install", *packages])


def _devices(problems: list[str]) -> list[dict[str, Any]]:
    """Each device, its memory where it tells, and whether a compiled function gives the right sum on it."""
    try:
        import jax
        import jax.numpy as jnp

        listed = []
        for device in jax.devices():
            stats = device.memory_stats() or {}
            total = jax.jit(jnp.sum)(jax.device_put(jnp.arange(8.0), device))
            if float(total) != 28.0:
                problems.append(f"{device} must sum 0..7 to 28; got {float(total)}.")
            listed.append({"name": str(device), "kind": device.device_kind, "platform": device.platform,
                           "memory_bytes": stats.get("bytes_limit")})  # fmt: skip
        return listed
    except (ImportError, RuntimeError) as error:
        problems.append(f"JAX must find a device; got: {str(error).splitlines()[0]}")
        return []


def _sums(problems: list[str]) -> dict[str, float]:
    """How far two compiled sums are from NumPy's, which compilers have had wrong; `energax.compiler` has the story."""
    try:
        import jax
        import jax.numpy as jnp
        import numpy as np
    except ImportError:
        return {}
    rng = np.random.default_rng(0)
    x, shared, batch = rng.uniform(-0.9, 0.9, (1000, 64)), rng.normal(size=(1, 3)), rng.normal(size=(40_000, 3))
    programs: dict[str, tuple[Any, tuple, Any]] = {
        "of logarithms": (lambda x: jnp.sum(jnp.log1p(x) - jnp.log1p(-x), axis=-1), (x,), 2.0 * np.arctanh(x).sum(1)),
        "of a batch": (lambda w, x: -jnp.sum(w * x, axis=-1), (shared, batch), -np.sum(shared * batch, axis=-1)),
    }
    found = {}
    for name, (program, arrays, right) in programs.items():
        try:
            got = jax.jit(program)(*(jnp.asarray(array, jnp.float32) for array in arrays))
        except RuntimeError as error:
            problems.append(f"a sum {name} must compile; got: {str(error).splitlines()[0]}")
            continue
        found[name] = float(np.max(np.abs(np.asarray(got, np.float64) - right)))
        if not found[name] < 1e-3:
            problems.append(
                f"a compiled sum {name} must be right; got one that is off by {found[name]:.2g} (jaxlib "
                f"{_version('jaxlib')}). Import energax before JAX computes anything, or set XLA_FLAGS={OFF}."
            )
    return found


def _memory() -> dict[str, int | None]:
    """Bytes of the machine's memory: all of it, and what is free for use; None where the system does not tell."""
    found: dict[str, int | None] = {"total_bytes": None, "available_bytes": None, "cores": _cores()}
    names = {"MemTotal": "total_bytes", "MemAvailable": "available_bytes"}
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if name in names:
                found[names[name]] = int(rest.split()[0]) * 1024
    except (OSError, ValueError):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            found["total_bytes"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return found


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _precision() -> dict[str, Any]:
    try:
        import jax
    except ImportError:
        return {}
    settings: Any = jax.config
    return {
        "default_float": "float64" if settings.jax_enable_x64 else "float32",
        "x64": bool(settings.jax_enable_x64),
        "matmul": settings.jax_default_matmul_precision or "default",
    }


def _folders(problems: list[str]) -> dict[str, Any]:
    """Where energax keeps what it can make again, and whether it may write there."""
    try:
        from energax.data.fetch import cache_folder
    except ImportError:
        return {}
    data = cache_folder()
    nearest = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        problems.append(f"the data cache must be writable; got {str(data)!r}. Set ENERGAX_CACHE to a folder that is.")
    return {"data_cache": str(data), "compile_cache": str(compile_cache_folder()), "python": sys.prefix}


def _optional() -> list[dict[str, Any]]:
    """Each extra: what for, whether it is here, and the command that adds it."""
    by_extra: dict[str, list[str]] = {}
    for requirement in _requirements():
        for extra in EXTRAS:
            if requirement.marker is not None and requirement.marker.evaluate({"extra": extra}):
                name = f"{requirement.name}[{','.join(requirement.extras)}]" if requirement.extras else requirement.name
                if "extra" in str(requirement.marker):
                    by_extra.setdefault(extra, []).append(f"{name}{requirement.specifier}")
    found = []
    for extra, (purpose, packages) in EXTRAS.items():
        here = all(_version(package) is not None for package in packages)
        if extra == "gpu":
            here = here or any(_version(f"jax-cuda{major}-plugin") is not None for major in (12, 14))
        found.append({"name": extra, "purpose": purpose, "available": here,
                      "command": _pip(*by_extra.get(extra, packages))})  # fmt: skip
    return found


def _optional_data() -> list[dict[str, Any]]:
    """The data sets that are fetched on demand."""
    try:
        from energax.data.registry import entries
    except ImportError:
        return []
    return [
        {"name": entry.name, "purpose": f"{entry.n} images", "available": entry.available, "command": entry.how}
        for entry in entries()
        if entry.how.startswith("energax data get")
    ]
