"""The noise: the generator's published answers, its law, and independence between chains, steps, entries and words."""

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from energax.numerics import categorical, chain_keys, plain_key, standard_normal, step_key, uniform, uniforms
from energax.numerics.random import _threefry
from judges import RATE, reach


@pytest.fixture(scope="module")
def draws():
    """Noise [chains, steps, entries] and the test numbers [chains, steps], as a sampler would draw them."""

    @jax.jit
    def draw(key):
        def one(key, step):
            key = step_key(key, step)
            return standard_normal(key, (4,)), uniform(key)

        return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(chain_keys(key, 512), jnp.arange(128))

    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), draw(jax.random.key(11)))


def test_golden_stream():
    """What a seed draws is part of what a checkpoint relies on; it may not change between versions."""
    keys = chain_keys(jax.random.key(0), 2)
    assert jax.random.key_data(keys).tolist() == [[917456828, 636652529], [1417959497, 2493460693]]
    key = step_key(keys[1], 7)
    np.testing.assert_allclose(standard_normal(key, (3,)), [-0.2259852, 0.14708658, 0.149303], rtol=1e-5)
    assert float(uniform(key)) == 0.6360910534858704
    assert jax.random.bits(key, (2,)).tolist() == [3527199614, 818125130]
    assert jax.random.key_data(jax.random.fold_in(key, 3)).tolist() == [3398418865, 3964137396, 0]
    assert jax.random.key_data(jax.random.split(key))[:, 0].tolist() == [2163953277, 2532081565]


@pytest.mark.parametrize(
    ("key", "counter", "answer"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_answers(key, counter, answer):
    words = _threefry(*(jnp.uint32(word) for word in (*key, *counter)))
    assert tuple(int(word) for word in words) == answer


def test_threefry_is_the_generator_of_jax():
    key, counter = jnp.array([5, 77], jnp.uint32), jnp.arange(8, dtype=jnp.uint32)
    words = _threefry(key[0], key[1], counter[:4], counter[4:])
    np.testing.assert_array_equal(jnp.concatenate(words), jax.extend.random.threefry_2x32(key, counter))


def test_normal_law(draws):
    noise, _ = draws
    flat = noise.ravel()
    root = np.sqrt(flat.size)
    assert abs(flat.mean()) * root < 4
    assert abs((flat**2).mean() - 1) * root / np.sqrt(2) < 4
    assert abs((flat**3).mean()) * root / np.sqrt(15) < 4
    assert abs((flat**4).mean() - 3) * root / np.sqrt(96) < 4
    assert abs((flat**6).mean() - 15) * root / np.sqrt(10395 - 225) < 4
    assert stats.kstest(flat, "norm").pvalue > RATE
    for bound in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(bound) * flat.size
        assert abs((np.abs(flat) > bound).sum() - expected) < reach() * np.sqrt(expected)


def test_each_chain_and_each_entry_has_the_law(draws):
    noise, _ = draws
    by_chain = stats.kstest((noise.mean((1, 2)) * np.sqrt(noise[0].size)), "norm").pvalue
    by_step = stats.kstest((noise.mean((0, 2)) * np.sqrt(noise[:, 0].size)), "norm").pvalue
    by_entry = np.abs(noise.mean((0, 1)) * np.sqrt(noise[:, :, 0].size)).max()
    assert by_chain > RATE
    assert by_step > RATE
    assert by_entry < 4


@pytest.mark.parametrize("power", [1, 2])
def test_neighbours_are_uncorrelated(draws, power):
    noise, test = draws
    x = noise**power - (0.0 if power == 1 else 1.0)
    scale = 1.0 if power == 1 else 2.0
    u = (test - 0.5) * np.sqrt(12.0)
    pairs = {f"step lag {lag}": (x[:, lag:], x[:, :-lag]) for lag in (1, 2, 16, 64)}
    pairs |= {f"chain lag {lag}": (x[lag:], x[:-lag]) for lag in (1, 2, 256)}
    pairs |= {f"entry lag {lag}": (x[..., lag:], x[..., :-lag]) for lag in (1, 2)}
    for name, (a, b) in pairs.items():
        assert abs((a * b).mean() / scale) * np.sqrt(a.size) < 4, name
    for entry in range(4):
        a = x[..., entry] / np.sqrt(scale)
        for lag in (0, 1):
            assert abs((a[:, lag:] * u[:, : u.shape[1] - lag]).mean()) * np.sqrt(a.size) < 4, (entry, lag)


def test_radius_and_angle_are_independent(draws):
    """Signs and sizes come from different words: the sign is fair in every band of sizes."""
    flat = draws[0].ravel()
    for low, high in ((0.0, 0.1), (0.5, 1.0), (2.0, 3.0), (3.0, 9.0)):
        band = flat[(np.abs(flat) >= low) & (np.abs(flat) < high)]
        assert abs(np.sign(band).mean()) * np.sqrt(len(band)) < 4


def test_uniform_law(draws):
    test = draws[1].ravel()
    assert test.min() >= 0.0
    assert test.max() < 1.0
    assert stats.kstest(test, "uniform").pvalue > RATE
    centred = (draws[1] - 0.5) * np.sqrt(12.0)
    assert abs((centred[1:] * centred[:-1]).mean()) * np.sqrt(centred.size) < 4
    assert abs((centred[:, 1:] * centred[:, :-1]).mean()) * np.sqrt(centred.size) < 4


def test_tails_reach_beyond_float32_uniforms():
    with np.errstate(all="ignore"):
        largest = np.sqrt(-2 * np.log(0.5 * 2.0**-31))
    assert largest > 6.6
    x = np.asarray(standard_normal(jax.random.key(0), (4_000_000,)))
    expected = 2 * stats.norm.sf(4.5) * len(x)
    assert abs((np.abs(x) > 4.5).sum() - expected) < reach() * np.sqrt(expected)
    assert np.abs(x).max() < 6.7


def test_chain_keys_know_only_the_key_and_the_chain():
    few, many = chain_keys(jax.random.key(3), 2), chain_keys(jax.random.key(3), 64)
    np.testing.assert_array_equal(jax.random.key_data(few), jax.random.key_data(many[:2]))
    assert len(np.unique(jax.random.key_data(many), axis=0)) == 64


def test_noise_is_the_same_under_jit_vmap_and_any_chunking():
    keys = chain_keys(jax.random.key(3), 8)
    whole = jax.vmap(lambda k: standard_normal(step_key(k, 9), (3,)))(keys)
    chunked = jnp.concatenate(
        [jax.vmap(lambda k: standard_normal(step_key(k, 9), (3,)))(keys[i : i + 2]) for i in (0, 2, 4, 6)]
    )
    looped = jnp.stack([standard_normal(step_key(k, 9), (3,)) for k in keys])
    np.testing.assert_allclose(chunked, whole, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(looped, whole, rtol=1e-6, atol=1e-7)


def test_jax_random_works_on_the_key_of_a_step():
    key = step_key(jax.random.key(3), 9)
    normal = np.asarray(jax.random.normal(key, (20_000,)))
    assert stats.kstest(normal, "norm").pvalue > RATE
    first, second = jax.random.split(key)
    others = [first, second, jax.random.fold_in(key, 0), jax.random.fold_in(key, 1), step_key(jax.random.key(3), 8)]
    for other in others:
        again = np.asarray(jax.random.normal(other, (20_000,)))
        assert abs((normal * again).mean()) * np.sqrt(20_000) < 4
    bits = np.asarray(jax.random.bits(key, (4000,), jnp.uint8))
    assert abs(bits.mean() - 127.5) < reach() * 74 / np.sqrt(4000)
    with jax.enable_x64(True):
        wide = np.asarray(jax.random.normal(key, (1000,), jnp.float64))
    assert wide.dtype == np.float64
    assert abs(wide.mean()) < 4 / np.sqrt(1000)


def test_every_dtype_of_noise():
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        noise = standard_normal(jax.random.key(0), (2000,), dtype)
        assert noise.dtype == dtype
        assert abs(float(noise.astype(jnp.float32).std()) - 1.0) < 0.1
    with jax.enable_x64(True):
        assert standard_normal(jax.random.key(0), (8,), jnp.float64).dtype == jnp.float64


def test_a_key_of_another_generator_is_taken():
    noise = standard_normal(jax.random.key(0, impl="rbg"), (2000,))
    assert abs(float(noise.mean())) < 4 / np.sqrt(2000)


def test_uniforms_are_uniform_and_of_their_own():
    u = np.asarray(uniforms(jax.random.key(3), (200_001,)), np.float64)
    assert u.shape == (200_001,)
    assert u.min() >= 0.0
    assert u.max() < 1.0
    for power in (1, 2, 3):  # E u^k = 1 / (k + 1); halves come from the two words of a block
        error = u.std() ** power / np.sqrt(len(u))
        assert abs(np.mean(u**power) - 1 / (power + 1)) < reach() * max(error, 1 / np.sqrt(len(u)))
    first, second = u[:100_000], u[100_001:]
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(first))
    assert abs(float(uniform(jax.random.key(3))) - u[0]) > 0


def test_categorical_draws_softmax():
    logits = jnp.broadcast_to(jnp.log(jnp.array([0.2, 0.0, 0.5, 0.3])), (100_000, 4))
    counts = np.bincount(np.asarray(categorical(jax.random.key(1), logits)), minlength=4) / 100_000
    assert counts[1] == 0.0
    np.testing.assert_allclose(counts, [0.2, 0.0, 0.5, 0.3], atol=4 * 0.5 / np.sqrt(100_000))


def test_plain_keys_of_neighbouring_steps_and_chains_have_streams_of_their_own():
    """Products of neighbours over 64 chains x 256 steps; all keys differ, and are the chain's own at step 0."""
    keys = chain_keys(jax.random.key(3), 64)
    plain = jax.jit(jax.vmap(jax.vmap(lambda k, s: plain_key(step_key(k, s)), (None, 0)), (0, None)))(
        keys, jnp.arange(256)
    )
    words = np.asarray(jax.random.key_data(plain)).reshape(-1, 2)
    assert len(np.unique(words, axis=0)) == 64 * 256
    np.testing.assert_array_equal(jax.random.key_data(plain_key(keys[5])), jax.random.key_data(keys[5]))
    x = np.asarray(jax.jit(jax.vmap(jax.vmap(lambda k: jax.random.normal(k, (4,)))))(plain), float)
    for pair in (x[:, 1:] * x[:, :-1], x[1:] * x[:-1], x[..., 1:] * x[..., :-1], x, (x**2 - 1.0) / np.sqrt(2.0)):
        assert abs(pair.mean()) * np.sqrt(pair.size) < 4.5
