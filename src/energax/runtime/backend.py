"""Which device JAX starts on and where it keeps what it compiled: decided once, before the first array is made."""

import os
from pathlib import Path
from typing import Any

from energax.errors import ConfigError

DEVICES = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}


def compile_cache_folder() -> Path:
    """JAX_COMPILATION_CACHE_DIR if that is set, else `xla` in energax's cache folder."""
    from energax.data.fetch import cache_folder

    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(chosen) if chosen else cache_folder() / "xla"


def start(device: str | None = None) -> None:
    """Starts JAX on a kind of device, with compiled programs kept between processes.

    Args:
        device: "cpu", "gpu" or "tpu"; None leaves the choice to JAX.

    Raises:
        ConfigError: There is no such device here.
    """
    import jax

    if device is not None and device not in DEVICES:
        raise ConfigError(f"--device must be one of {', '.join(DEVICES)}; got {device!r}.")
    settings: Any = jax.config
    if device is not None:
        settings.update("jax_platforms", DEVICES[device])
        try:
            jax.devices()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"--device must be one that JAX finds here; got {device!r}: {reason}") from None
    if settings.jax_compilation_cache_dir is None:
        settings.update("jax_compilation_cache_dir", str(compile_cache_folder()))
