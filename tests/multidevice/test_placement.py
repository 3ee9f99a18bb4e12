"""What goes where on eight devices; uneven sizes are refused in a sentence."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from energax.core import Chains
from energax.energies import NetworkEnergy, standard_normal
from energax.networks import MLP
from energax.objectives import DenoisingScoreMatching
from energax.runtime.placement import Placement
from energax.training import Phase, Trainer, run_steps


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


def training(place):
    """Five steps of score matching of a network whose middle layer is 64 x 64."""
    net = MLP(2, 64, 2, zero_last=False, key=jax.random.key(0))
    trainer = Trainer((Phase(DenoisingScoreMatching(0.5), optax.adam(1e-2)),))
    x = np.random.default_rng(0).standard_normal((5, 64, 2)).astype(np.float32)
    state = place.state(trainer.init(jax.random.key(1), NetworkEnergy(net, standard_normal(2)), {"x": x[0]}))
    return run_steps(trainer, state, place.chunk({"x": x}))[0]


def test_large_arrays_are_cut_and_stay_cut_and_train_alike():
    one, cut = training(Placement.single()), training(Placement.auto(shard_above=1000))
    pairs = zip(
        jax.tree.leaves(eqx.filter(one, eqx.is_inexact_array)),
        jax.tree.leaves(eqx.filter(cut, eqx.is_inexact_array)),
        strict=True,
    )
    large = 0
    for whole, parts in pairs:
        np.testing.assert_allclose(np.asarray(parts), np.asarray(whole), rtol=2e-4, atol=2e-6)
        if whole.size >= 1000:
            large += 1
            assert parts.addressable_shards[0].data.size == whole.size // 8
    assert large == 4  # weight, average, two moments
    everywhere = training(Placement.auto()).model
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(eqx.filter(everywhere, eqx.is_array)))


def test_what_cannot_be_cut_is_copied():
    place = Placement.auto(shard_above=1)
    placed = place.state(
        {"odd": jnp.ones((3, 5)), "even": jnp.ones((16, 24)), "none": jnp.ones(()), "key": jax.random.key(0)}
    )
    assert placed["even"].addressable_shards[0].data.shape == (16, 3)
    assert all(placed[name].sharding.is_fully_replicated for name in ("odd", "none", "key"))


BAD = {
    "shard_above": (lambda: Placement.auto(shard_above=0), r"Placement\.shard_above must be .* >= 1; got 0"),
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
