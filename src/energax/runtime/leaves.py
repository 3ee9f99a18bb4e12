"""A pytree and its leaves on the host: what a checkpoint takes out of a state, and how it is put back into one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from energax.errors import CheckpointError

from .container import Header, Leaf, is_storable

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


def _is_keys(leaf: Any) -> bool:
    import jax

    return bool(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def to_host(state: Any) -> tuple[dict[str, np.ndarray], dict[str, Leaf], dict[str, str]]:
    """The array leaves in host memory, what the header says of them, and the plain leaves as text."""
    import jax

    arrays, leaves, plain = {}, {}, {}
    for name, leaf in _named_leaves(state)[0]:
        if not _is_array(leaf):
            if isinstance(leaf, bool | int | float | str):
                plain[name] = _text(leaf)
            continue
        prng = ""
        try:
            if not getattr(leaf, "is_fully_addressable", True):
                raise CheckpointError(
                    f"save: leaf {name} must lie on this host's devices; got an array spread over hosts. "
                    "Gather it first, or save it with orbax: pip install 'energax[sharded]'."
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


def fit(
    path: Path, template: Any, config: str | None, header: Header, arrays: Mapping[str, np.ndarray]
) -> tuple[Any, dict]:
    """`arrays` put into `template`, after every leaf was found to fit."""
    from jax.tree_util import tree_unflatten

    if config is not None and header.config != config:
        raise CheckpointError(
            f"{path}: config must have the digest {config!r}; got {header.config!r}: another run's checkpoint."
        )
    named, structure = _named_leaves(template)
    wanted = {name: leaf for name, leaf in named if _is_array(leaf)}
    for name in [*wanted, *header.leaves]:
        if name not in header.leaves or name not in wanted:
            must, got = ("an array", "none in the file") if name in wanted else ("absent", f"{header.leaves[name]}")
            raise CheckpointError(
                f"{path}: leaf {name or 'state'} must be {must}; got {got}: the state is of another model."
            )
    made = {name: _like(path, name, leaf, header.leaves[name], arrays[name]) for name, leaf in wanted.items()}
    for name, leaf in named:
        if name not in wanted and isinstance(leaf, bool | int | float | str) and header.plain.get(name) != _text(leaf):
            raise CheckpointError(
                f"{path}: leaf {name} must be {_text(leaf)}; got {header.plain.get(name, 'nothing')}."
            )
    meta = {**header.meta, "step": header.step, "config": header.config, "score": header.score, **header.versions}
    return tree_unflatten(structure, [made.get(name, leaf) for name, leaf in named]), meta


def _like(path: Path, name: str, leaf: Any, said: Leaf, array: np.ndarray) -> Any:
    """`array` as the kind of thing `leaf` is."""
    import jax
    import jax.numpy as jnp

    def refuse(must: Any) -> CheckpointError:
        return CheckpointError(f"{path}: leaf {name or 'state'} must be {must}; got {said}.")

    if bool(said.prng) != _is_keys(leaf):
        raise refuse(f"{leaf.dtype}{list(leaf.shape)}")
    if said.prng:
        if said.prng not in _GENERATORS or said.dtype != "uint32":
            raise refuse(f"keys of one of {_GENERATORS}")
        try:
            keys = jax.random.wrap_key_data(jnp.asarray(array), impl=said.prng)
        except (TypeError, ValueError):  # the last axis is not of the generator's width
            raise refuse(f"{leaf.dtype}{list(leaf.shape)}") from None
        if keys.dtype != leaf.dtype or keys.shape != leaf.shape:
            raise refuse(f"{leaf.dtype}{list(leaf.shape)}")
        return keys
    if (leaf.dtype.name, tuple(leaf.shape)) != (said.dtype, said.shape):
        raise refuse(f"{leaf.dtype.name}{list(leaf.shape)}")
    if isinstance(leaf, np.ndarray | np.generic):
        return array[()] if isinstance(leaf, np.generic) else array
    # A weakly typed leaf stays one: otherwise the resumed step would promote, and compile, differently.
    made = leaf.at[...].set(array) if getattr(leaf, "weak_type", False) and hasattr(leaf, "at") else jnp.array(array)
    if made.dtype != leaf.dtype:
        raise refuse(f"{leaf.dtype.name}, which this process cannot hold (is jax_enable_x64 off?)")
    return made
