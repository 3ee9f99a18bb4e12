"""A pytree and its leaves on the host: what a checkpoint takes out of a state, and how it is put back into one."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from energax.errors import CheckpointError

from .container import Header, Leaf, Misfit, is_storable

_GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")


def _named_leaves(tree: Any) -> tuple[list[tuple[str, Any]], Any]:
    from jax.tree_util import keystr, tree_flatten_with_path

    found, structure = tree_flatten_with_path(tree)
    named = [(keystr(path), leaf) for path, leaf in found]
    names = [name for name, _ in named]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CheckpointError(f"checkpoint: every leaf must have a path of its own; got {twice!r} twice.")
    return named, structure


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape")


def _is_plain(leaf: Any) -> bool:
    return isinstance(leaf, bool | int | float | str) and not _is_array(leaf)  # NumPy's float64 is a float too


def _is_keys(leaf: Any) -> bool:
    import jax

    return bool(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def to_host(state: Any) -> tuple[dict[str, np.ndarray], dict[str, Leaf], dict[str, str]]:
    """The array leaves in host memory, what the header says of them, and the plain leaves as text."""
    import jax

    arrays, leaves, plain = {}, {}, {}
    for name, leaf in _named_leaves(state)[0]:
        if not _is_array(leaf):
            if _is_plain(leaf):
                plain[name] = _text(leaf)
            continue
        prng = ""
        try:
            if not getattr(leaf, "is_fully_addressable", True):
                raise CheckpointError(
                    f"save: leaf {name} must lie on this host's devices; got an array spread over hosts. "
                    "Gather it first, with Placement.fetch."
                )
            if _is_keys(leaf):
                prng = str(jax.random.key_impl(leaf))
                leaf = jax.random.key_data(leaf)
            array = np.asarray(leaf)
        except (RuntimeError, TypeError, ValueError) as error:  # deleted by donation, abstract, ...
            raise CheckpointError(f"save: leaf {name} must be readable; got {type(error).__name__}: {error}.") from None
        if not is_storable(array.dtype.name) or (prng and prng not in _GENERATORS):
            raise CheckpointError(
                f"save: leaf {name} must be an array of numbers or known keys; got {prng or array.dtype}."
            )
        arrays[name], leaves[name] = array, Leaf(array.dtype.name, array.shape, prng)
    return arrays, leaves, plain


def _text(leaf: Any) -> str:
    text = repr(leaf)
    return text if len(text) <= 100 else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class Template:
    """A state to load into: what its array leaves must be, and how loaded arrays are put in their place.

    Args:
        state: The pytree.
        config: The digest of the configuration that a checkpoint must carry; None takes any.
    """

    def __init__(self, state: Any, config: str | None):
        self._named, self._structure = _named_leaves(state)
        self._config = config
        self._arrays = {name: leaf for name, leaf in self._named if _is_array(leaf)}
        self._must = {name: _expected(leaf) for name, leaf in self._arrays.items()}

    def check(self, header: Header, owner: str) -> None:
        """Raises Misfit unless the header speaks of a state just like this one; looks at no array."""
        if self._config is not None and header.config != self._config:
            raise Misfit(f"{owner}: config must have the digest {self._config!r}; got {header.config!r}: another run.")
        plain = {name: _text(leaf) for name, leaf in self._named if _is_plain(leaf)}
        must: dict[str, Any] = {**self._must, **plain}
        got: dict[str, Any] = {**header.leaves, **header.plain}
        for name in [*must, *got]:
            if must.get(name) != got.get(name):
                wanted, found = must.get(name, "absent"), got.get(name, "nothing")
                raise Misfit(f"{owner}: leaf {name or 'state'} must be {wanted}; got {found}: another model's state.")

    def fill(self, arrays: Mapping[str, np.ndarray], owner: str) -> Any:
        """The state with `arrays`, which a checked header described, in the places of its own."""
        from jax.tree_util import tree_unflatten

        made = {name: _like(leaf, self._must[name], arrays[name], owner) for name, leaf in self._arrays.items()}
        return tree_unflatten(self._structure, [made.get(name, leaf) for name, leaf in self._named])


def _expected(leaf: Any) -> Leaf:
    import jax

    if not _is_keys(leaf):
        return Leaf(leaf.dtype.name, tuple(leaf.shape))
    data = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
    kinds = {name: jax.eval_shape(lambda impl=name: jax.random.key(0, impl=impl)).dtype for name in _GENERATORS}
    prng = next((name for name, dtype in kinds.items() if dtype == leaf.dtype), str(leaf.dtype))
    return Leaf(data.dtype.name, tuple(data.shape), prng)


def _like(leaf: Any, must: Leaf, array: np.ndarray, owner: str) -> Any:
    """`array` as the kind of thing `leaf` is."""
    import jax
    import jax.numpy as jnp

    if must.prng:
        return jax.random.wrap_key_data(jnp.array(array), impl=must.prng)
    if isinstance(leaf, np.generic):
        return array[()]
    if isinstance(leaf, np.ndarray):
        return array
    # A weakly typed leaf stays one: otherwise the resumed step would promote, and compile, differently.
    weak = getattr(leaf, "weak_type", False) and hasattr(leaf, "at")
    made = leaf.at[...].set(array) if weak else jnp.array(array)
    if made.dtype != leaf.dtype:
        raise Misfit(f"{owner}: this process must be able to hold {must}; got {made.dtype} (is jax_enable_x64 off?).")
    return made
