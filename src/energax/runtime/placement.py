"""The only file that knows there is more than one device.

`Placement` puts chains (every leaf under `energax.core.Chains`) and batches in slices on the devices of one mesh
axis, "data", and copies everything else to each. Training code has no branch for it: the compiler follows the
arrays.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from energax.core import Chains

AXIS = "data"


class Placement(eqx.Module):
    """Where batches and states live.

    Args:
        mesh: A mesh with an axis "data"; `Placement.auto()` and `Placement.single()` make the usual ones.

    Raises:
        ValueError: The mesh has no axis "data".

    Example:
        >>> place = Placement.single()
        >>> place.batch({"x": np.zeros((4, 2), np.float32)})["x"].shape
        (4, 2)
    """

    mesh: Mesh = eqx.field(static=True)

    def __check_init__(self):
        if AXIS not in self.mesh.axis_names:
            raise ValueError(f"Placement.mesh must have an axis '{AXIS}'; got {self.mesh.axis_names}.")

    @classmethod
    def auto(cls, num_devices: int | None = None) -> "Placement":
        """All devices of all processes, or the first `num_devices` of them.

        Raises:
            ValueError: There are fewer devices than asked for.
        """
        devices = jax.devices()
        num = len(devices) if num_devices is None else num_devices
        if not 1 <= num <= len(devices):
            raise ValueError(f"Placement.num_devices must lie in [1, {len(devices)}], the devices here; got {num}.")
        return cls(Mesh(np.asarray(devices[:num]), (AXIS,)))

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
        """Leaves under `Chains` go round the devices by axis 0; every other array is copied to each.

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
            return _put(node, self._sharding()) if eqx.is_array(node) else node
        for path, leaf in jax.tree_util.tree_leaves_with_path(node):
            if eqx.is_array(leaf):
                self._check("Placement.state", f"chains{jax.tree_util.keystr(path)}", leaf.shape, 0, 1)
        return jax.tree.map(lambda leaf: _put(leaf, self._sharding(AXIS)) if eqx.is_array(leaf) else leaf, node)

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
