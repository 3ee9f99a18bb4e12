"""The package's named errors, seen from the ground floor; they live beside the floors so that `data` needs no jax."""

from energax.errors import (
    CheckpointError as CheckpointError,
    ConfigError as ConfigError,
    DataError as DataError,
    DivergenceError as DivergenceError,
    EnergaxError as EnergaxError,
)
