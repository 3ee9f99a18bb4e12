"""What goes where on eight devices; uneven sizes are refused in a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from energax.core import Chains
from energax.runtime.placement import Placement


def test_chains_are_split_and_the_rest_is_copied():
    place = Placement.auto()
    state = {
        "chains": Chains(jnp.arange(16.0).reshape(16, 1)),
        "weights": jnp.ones(16),
        "key": jax.random.key(0),
        "n": 3,
    }
    placed = place.state(state)
    assert len(placed["chains"].states.addressable_shards) == 8
    assert placed["chains"].states.addressable_shards[0].data.shape == (2, 1)
    assert placed["weights"].sharding.is_fully_replicated
    assert placed["key"].sharding.is_fully_replicated
    assert placed["n"] == 3
    fetched = place.fetch(placed)
    np.testing.assert_array_equal(fetched["chains"].states, state["chains"].states)
    assert isinstance(fetched["weights"], np.ndarray)


def test_batches_and_chunks_are_cut_by_rows():
    place = Placement.auto()
    batch = place.batch({"x": np.zeros((16, 3), np.float32)})["x"]
    chunk = place.chunk({"x": np.zeros((5, 16, 3), np.float32)})["x"]
    assert batch.addressable_shards[0].data.shape == (2, 3)
    assert chunk.addressable_shards[0].data.shape == (5, 2, 3)
    assert Placement.single().batch(np.zeros((3, 1)))[0].shape == (1,)
    assert Placement.auto(4).num_devices == 4


BAD = {
    "batch": (lambda: Placement.auto().batch({"x": np.zeros((12, 2))}), "'x'.* divisible by the 8 devices .* got 12"),
    "chunk": (lambda: Placement.auto().chunk({"x": np.zeros((8, 12, 2))}), "axis 1 .* divisible by the 8"),
    "chains": (lambda: Placement.auto().state(Chains(jnp.zeros((12, 2)))), "divisible by the 8 devices"),
    "scalar": (lambda: Placement.auto().batch({"x": np.zeros(())}), "axis 0"),
    "empty": (lambda: Placement.auto().batch({"x": np.zeros((0, 2))}), "got 0"),
    "many": (lambda: Placement.auto(99), "num_devices"),
    "mesh": (lambda: Placement(Mesh(np.asarray(jax.devices()), ("model",))), "axis 'data'"),
}


@pytest.mark.parametrize("name", BAD)
def test_uneven_sizes_are_refused_in_words(name):
    make, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence):
        make()
