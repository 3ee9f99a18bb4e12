"""One deterministic stream of batches: `batch(step)` is a pure function of (seed, step).

Epoch e visits the samples in the order that sorts n raw 64-bit words of Philox with key (seed, e); batch s holds the
positions s * batch_size ... (s + 1) * batch_size of the endless concatenation of epochs. So every sample is seen
exactly once an epoch also when batch_size does not divide n (a batch may then end one epoch and begin the next),
a run that resumes at step s sees what it would have seen, and several hosts see disjoint slices of one global batch.
The raw words of Philox are the same in every numpy; `Generator.permutation` is not promised to be.
"""

from collections.abc import Mapping

import numpy as np

from . import checks

_KEPT_EPOCHS = 4


class Batches:
    """Batches of named arrays as a pure function of the step.

    Args:
        arrays: Arrays by name with samples on axis 0, all of one length n; at least one of them.
        batch_size: Samples in a global batch, in [1, n]; a multiple of `hosts`.
        seed: Non-negative integer below 2**63.
        host: This host's number, in [0, hosts).
        hosts: Number of hosts that share each global batch.

    Raises:
        ValueError: An argument is out of range or the arrays differ in length.

    Example:
        >>> import numpy as np
        >>> stream = Batches({"x": np.arange(6.0)}, batch_size=3, seed=0)
        >>> sorted(np.concatenate([stream.batch(0)["x"], stream.batch(1)["x"]]).tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], batch_size: int, seed: int, *, host: int = 0, hosts: int = 1
    ) -> None:
        self.arrays = _one_length(arrays)
        self.num_samples = len(next(iter(self.arrays.values())))
        self.batch_size = checks.count("Batches", "batch_size", batch_size)
        if self.batch_size > self.num_samples:
            raise ValueError(
                f"Batches.batch_size must be at most the number of samples, {self.num_samples}; got {batch_size}."
            )
        self.seed = checks.count("Batches", "seed", seed, least=0)
        if self.seed >= 2**63:
            raise ValueError(f"Batches.seed must be below 2**63; got {seed}.")
        self.hosts = checks.count("Batches", "hosts", hosts)
        self.host = checks.count("Batches", "host", host, least=0)
        if self.host >= self.hosts:
            raise ValueError(f"Batches.host must lie in [0, {self.hosts}); got {host}.")
        if self.batch_size % self.hosts:
            raise ValueError(f"Batches.batch_size must be a multiple of hosts = {self.hosts}; got {batch_size}.")
        self._orders: dict[int, np.ndarray] = {}  # a cache only: every entry can be made again from (seed, epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every sample at least once: `ceil(n / batch_size)`."""
        return -(-self.num_samples // self.batch_size)

    def epoch(self, step: int) -> int:
        """The epoch (0-based) in which batch `step` begins."""
        return checks.count("Batches", "step", step, least=0) * self.batch_size // self.num_samples

    def indices(self, step: int) -> np.ndarray:
        """Which samples this host's part of batch `step` holds, int64 `[batch_size // hosts]`."""
        return self._indices(checks.count("Batches", "step", step, least=0), 1)[0]

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """This host's part of batch `step`: each array's rows, `[batch_size // hosts, ...]`.

        Args:
            step: Step number, >= 0.
        """
        idx = self.indices(step)
        return {name: array[idx] for name, array in self.arrays.items()}

    def chunk(self, start: int, num: int) -> dict[str, np.ndarray]:
        """Batches `start` ... `start + num - 1` stacked on a new axis 0, `[num, batch_size // hosts, ...]`.

        Args:
            start: First step, >= 0.
            num: Number of steps, >= 1.
        """
        checks.count("Batches", "start", start, least=0)
        idx = self._indices(int(start), checks.count("Batches", "num", num))
        return {name: array[idx] for name, array in self.arrays.items()}

    def _indices(self, start: int, num: int) -> np.ndarray:
        local = self.batch_size // self.hosts
        steps = start + np.arange(num, dtype=np.int64)[:, None]
        position = steps * self.batch_size + self.host * local + np.arange(local, dtype=np.int64)
        epochs, within = np.divmod(position, self.num_samples)
        idx = np.empty_like(position)
        for epoch in range(int(epochs.min()), int(epochs.max()) + 1):
            here = epochs == epoch
            idx[here] = self._order(epoch)[within[here]]
        return idx

    def _order(self, epoch: int) -> np.ndarray:
        order = self._orders.get(epoch)
        if order is None:
            words = np.random.Philox(key=[self.seed, epoch]).random_raw(self.num_samples)
            order = np.argsort(words, kind="stable")
            recent = dict(list(self._orders.items())[-(_KEPT_EPOCHS - 1) :])
            self._orders = {**recent, epoch: order}  # replaced, never changed: threads may read the old one
        return order


def _one_length(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not isinstance(arrays, Mapping) or not arrays:
        raise ValueError(f"Batches.arrays must be a non-empty dict of arrays; got {type(arrays).__name__}.")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim < 1 or array.dtype.kind not in "fiub":
            kind = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"Batches.arrays[{name!r}] must be a numeric numpy array of rank >= 1; got {kind}.")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ValueError(f"Batches.arrays must share one length >= 1 on axis 0; got {lengths}.")
    return dict(arrays)
