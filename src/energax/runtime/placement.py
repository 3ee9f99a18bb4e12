"""The only file that knows there is more than one device.

`Placement` puts chains (every leaf under `energax.core.Chains`) and batches in slices on the devices of one mesh
axis, "data", and copies everything else to each, unless it is asked to cut large arrays too. Training code has no
branch for it: the compiler follows the arrays.

Source: for cut parameters Rajbhandari et al. (2020), ZeRO: memory optimizations toward training trillion parameter
models, arXiv:1910.02054, stage 3, by GSPMD (Xu et al. 2021, arXiv:2105.04663).
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from energax.core import Chains, checks

AXIS = "data"


class Placement(eqx.Module):
    """Where batches and states live.

    Args:
        mesh: A mesh with an axis "data"; `Placement.auto()` and `Placement.single()` make the usual ones.
        shard_above: Arrays of at least so many numbers (weights, their average, the optimiser's moments) are cut along
            their longest axis that the devices divide, and gathered where they are used: a device then holds its
            share. None copies them all, which is faster as long as they fit.

    Raises:
        ValueError: The mesh has no axis "data", or `shard_above` is not an integer >= 1.

    Example:
        >>> place = Placement.single()
        >>> place.batch({"x": np.zeros((4, 2), np.float32)})["x"].shape
        (4, 2)
    """

    mesh: Mesh = eqx.field(static=True)
    shard_above: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.shard_above is not None:
            checks.count("Placement", "shard_above", self.shard_above)
        if AXIS not in self.mesh.axis_names:
            raise ValueError(f"Placement.mesh must have an axis '{AXIS}'; got {self.mesh.axis_names}.")

    @classmethod
    def auto(cls, num_devices: int | None = None, *, shard_above: int | None = None) -> "Placement":
        """All devices of all processes, or the first `num_devices` of them.

        Raises:
            ValueError: There are fewer devices than asked for, or `shard_above` is not an integer >= 1.
        """
        devices = jax.devices()
        num = len(devices) if num_devices is None else num_devices
        if not 1 <= num <= len(devices):
            raise ValueError(f"Placement.num_devices must lie in [1, {len(devices)}], the devices here; got {num}.")
        return cls(Mesh(np.asarray(devices[:num]), (AXIS,)), shard_above)

    @classmethod
    def single(cls) -> "Placement":
        """The default device alone."""
        return cls.auto(1)

    @property
    def num_devices(self) -> int:
        """How many slices chains and batches are cut into."""
        return int(self.mesh.shape[AXIS])

    def batch(self, batch: Any) -> Any:
        """Samples on axis 0 go round the devices.

        Args:
            batch: A pytree of arrays [batch, ...]. With several processes each gives its own rows, all equally many.

        Raises:
            ValueError: Axis 0 cannot be cut into equal slices.
        """
        return self._rows("Placement.batch", batch, axis=0)

    def chunk(self, chunk: Any) -> Any:
        """Stacked batches [steps, batch, ...]: every device holds all steps of its own rows."""
        return self._rows("Placement.chunk", chunk, axis=1)

    def state(self, state: Any) -> Any:
        """Leaves under `Chains` go round the devices by axis 0; of the others large ones are cut where `shard_above`
        says so, and the rest is copied to each.

        With several processes each must hold the same whole state, as the same key and data give it.

        Raises:
            ValueError: A number of chains cannot be cut into equal slices.
        """
        return jax.tree.map(self._node, state, is_leaf=_is_chains)

    def fetch(self, tree: Any) -> Any:
        """Every array whole, on this host, as NumPy (keys stay keys): what a checkpoint or a plot reads."""

        def one(leaf: Any) -> Any:
            if not isinstance(leaf, jax.Array):
                return leaf
            if not leaf.is_fully_addressable:
                leaf = jax.jit(lambda a: a, out_shardings=self._sharding())(leaf)
            if _is_key(leaf):
                data = np.asarray(jax.random.key_data(leaf))
                return jax.random.wrap_key_data(jax.numpy.asarray(data), impl=jax.random.key_impl(leaf))
            return np.asarray(leaf)

        return jax.tree.map(one, tree)

    def _node(self, node: Any) -> Any:
        if not _is_chains(node):
            return _put(node, self._sharding(*self._cut(node))) if eqx.is_array(node) else node
        for path, leaf in jax.tree_util.tree_leaves_with_path(node):
            if eqx.is_array(leaf):
                self._check("Placement.state", f"chains{jax.tree_util.keystr(path)}", leaf.shape, 0, 1)
        return jax.tree.map(lambda leaf: _put(leaf, self._sharding(AXIS)) if eqx.is_array(leaf) else leaf, node)

    def _cut(self, leaf: Any) -> tuple[str | None, ...]:
        """Which axis of an array that is no chain goes round the devices, if any."""
        large = self.shard_above is not None and not _is_key(leaf) and leaf.size >= self.shard_above
        fitting = [axis for axis in range(leaf.ndim) if leaf.shape[axis] and leaf.shape[axis] % self.num_devices == 0]
        if not large or not fitting:
            return ()
        chosen = max(fitting, key=lambda axis: leaf.shape[axis])
        return (*[None] * chosen, AXIS)

    def _rows(self, owner: str, tree: Any, axis: int) -> Any:
        sharding, hosts = self._sharding(*([None] * axis), AXIS), self._num_hosts()

        def one(path: Any, leaf: Any) -> Any:
            self._check(owner, jax.tree_util.keystr(path) or "the array", np.shape(leaf), axis, hosts)
            if hosts == 1:
                return jax.device_put(leaf, sharding)
            return jax.make_array_from_process_local_data(sharding, np.asarray(leaf))

        return jax.tree_util.tree_map_with_path(one, tree)

    def _check(self, owner: str, name: str, shape: tuple[int, ...], axis: int, hosts: int) -> None:
        slices = self.num_devices // hosts
        if len(shape) <= axis or shape[axis] % slices or shape[axis] == 0:
            size = shape[axis] if len(shape) > axis else f"shape {shape}"
            raise ValueError(
                f"{owner}: axis {axis} of {name} must be divisible by the {slices} devices that share it; got {size}."
            )

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def _num_hosts(self) -> int:
        return len({device.process_index for device in self.mesh.devices.flat})


def _is_chains(node: Any) -> bool:
    return isinstance(node, Chains)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _put(leaf: Any, sharding: NamedSharding) -> Any:
    """A whole array, known to every process, cut or copied as `sharding` says."""
    if sharding.is_fully_addressable or (isinstance(leaf, jax.Array) and not leaf.is_fully_addressable):
        return jax.device_put(leaf, sharding)
    if _is_key(leaf):
        data = np.asarray(jax.random.key_data(leaf))
        return jax.random.wrap_key_data(_put(data, sharding), impl=jax.random.key_impl(leaf))
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
