"""Every state of a few two-valued units, in blocks: the ground truth of the discrete energies.

Source: Knuth (2011), The art of computer programming, volume 4A, section 7.2.1.1 (all n-tuples); the block-wise
log-sum-exp is ours. Cost: 2^units rows, in double precision, at most `BLOCK` of them in memory at once.
Where it fails: each unit more doubles the work, so more than `MOST_UNITS` are refused.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

MOST_UNITS = 20
BLOCK = 1 << 14


def state_blocks(units: int, low: float = -1.0, high: float = 1.0) -> Iterator[np.ndarray]:
    """All 2^units states as float64 arrays [rows, units], unit 0 turning fastest.

    Args:
        units: How many units, 1 to `MOST_UNITS`.
        low: Value of a unit that is off.
        high: Value of a unit that is on.

    Example:
        >>> [block.tolist() for block in state_blocks(2)]
        [[[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]]
    """
    total = 1 << units
    for start in range(0, total, BLOCK):
        codes = np.arange(start, min(start + BLOCK, total))[:, None]
        yield np.where((codes >> np.arange(units)) & 1, high, low)


def enumerated_log_sum(blocks: Iterator[np.ndarray], energy: Callable[[np.ndarray], np.ndarray]) -> float:
    """log of the sum of exp(-energy) over all rows of all blocks, in nats.

    Args:
        blocks: States [rows, units].
        energy: Maps a block to its energies [rows], in nats.
    """
    return float(np.logaddexp.reduce([np.logaddexp.reduce(-energy(block)) for block in blocks]))


def few_units(owner: str, units: int) -> None:
    """Raises ValueError unless `units` is in 1..`MOST_UNITS`."""
    if not 1 <= units <= MOST_UNITS:
        raise ValueError(f"{owner}: the units to enumerate must number 1 to {MOST_UNITS}; got {units}.")


def concrete(owner: str, *arrays: Any) -> tuple[np.ndarray, ...]:
    """The arrays in NumPy, floating ones in double precision.

    Raises:
        ValueError: One is traced: enumeration runs outside `jax.jit` and has no gradient.
    """
    if any(isinstance(array, jax.core.Tracer) for array in arrays):
        raise ValueError(f"{owner} must be called outside jit, grad and vmap; got traced parameters.")
    plain = (np.asarray(array) for array in arrays)
    return tuple(array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float64) for array in plain)
