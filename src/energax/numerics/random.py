"""Random keys by chain and by step, and the noise that samplers draw from them.

Source: Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, doi:10.1145/2063384.2063405 (Threefry-2x32,
    20 rounds); Box and Muller (1958), doi:10.1214/aoms/1177706645.
What differs from `jax.random`, whose generator this is: the key of a step is (chain's key, step), the step being one
    half of the block's counter, so that no hash stands between a chain and its noise; the rounds are written out, so
    that XLA fuses them into the step (jax 0.10 lowers them to a loop on CPU); a normal number takes both words of its
    block, one for the radius and one for the angle, which needs no inverse error function and reaches 6.6 standard
    deviations where float32's 23-bit uniforms end at 5.4. `jax.random` works on these keys too.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt32

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
# cos(pi t) as a polynomial in t^2 for |t| <= 1/2, highest power first; error 2e-10, below float32's rounding
_COSINE = (-0.0243959321, 0.234937069, -1.33521195, 4.05870915, -4.93480214, 1.0)
# blocks of one key: [0, 2^31 - 1) noise, 2^31 - 1 the number of a Metropolis test, [2^31, 2^32) the keys of a split
_DECIDE, _SPLIT = np.uint32(2**31 - 1), np.uint32(2**31)
_ODD = np.uint32(0x9E3779B9)  # times a step: each bit of the step moves many


def chain_keys(key: Key[Array, ""], num: int) -> Key[Array, " chains"]:
    """One key a chain; chain i's key depends on (key, i) only, never on `num` or on where the chain lives.

    Args:
        key: One typed key; it is used up.
        num: How many chains, >= 1.

    Example:
        >>> few, many = chain_keys(jax.random.key(0), 2), chain_keys(jax.random.key(0), 9)
        >>> bool((few == many[:2]).all())
        True
    """
    k0, k1, step = _words(key)
    words = _threefry(k0, k1, jnp.full(num, step), _SPLIT + jnp.arange(num, dtype=jnp.uint32))
    return jax.random.wrap_key_data(jnp.stack(words, axis=-1), impl="threefry2x32")


def step_key(key: Key[Array, ""], step: Any) -> Key[Array, ""]:
    """The key of one chain's step: a function of (chain's key, step) only, with no hash between.

    Args:
        key: The chain's key, of `chain_keys`.
        step: Number of the step, an integer in [0, 2^32).

    Example:
        >>> noise = jax.random.normal(step_key(jax.random.key(0), 5), (3,))
    """
    k0, k1, _ = _words(key)
    return _wrap(k0, k1, jnp.asarray(step).astype(jnp.uint32))


def plain_key(key: Key[Array, ""]) -> Key[Array, ""]:
    """A key of JAX's own generator: for code that splits keys again and again, as libraries do.

    From some tens of chains on JAX's rounds, themselves a loop, cost less inside a loop than rounds that are written
    out at every use; a lone chain is slower by them.
    The step is mixed into the second word, without a hash: Threefry's streams do not tell that keys were alike.

    Args:
        key: One typed key; it is used up.

    Example:
        >>> jax.random.key_impl(plain_key(step_key(jax.random.key(0), 5)))
        'threefry2x32'
    """
    k0, k1, step = _words(key)
    return jax.random.wrap_key_data(jnp.stack([k0, k1 ^ (step * _ODD)]), impl="threefry2x32")


@partial(jax.jit, static_argnames=("shape", "dtype"))
def standard_normal(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any = jnp.float32) -> Float[Array, "..."]:
    """Independent N(0, 1) numbers, one block of random words each.

    Args:
        key: One typed key; it is used up.
        shape: Of the numbers.
        dtype: float64 falls back to `jax.random.normal`; narrower types are rounded from float32.

    Example:
        >>> x = standard_normal(jax.random.key(0), (100_000,))
        >>> abs(float(x.mean())) < 0.01, abs(float(x.var()) - 1.0) < 0.02
        (True, True)
    """
    if jnp.dtype(dtype) == jnp.float64:
        return jax.random.normal(key, shape, dtype)
    index = _index(shape)
    k0, k1, step = _words(key)
    first, second = _threefry(k0, k1, jnp.zeros_like(index) + step, index)
    radius = jnp.sqrt(-2.0 * jnp.log(_half_open(first)))
    # 31 bits: 24 for the angle in [-1/2, 1/2) of a half turn, whose cosine is never negative, one for the sign
    turn = (second >> 8).astype(jnp.int32).astype(jnp.float32) * jnp.float32(2.0**-24) - jnp.float32(0.5)
    square = turn * turn
    cosine = jnp.full_like(square, _COSINE[0])
    for coefficient in _COSINE[1:]:
        cosine = cosine * square + jnp.float32(coefficient)
    number = radius * cosine
    return jnp.where((second & 1) == 0, number, -number).astype(dtype)


@partial(jax.jit, static_argnames=("dtype",))
def uniform(key: Key[Array, ""], dtype: Any = jnp.float32) -> Float[Array, ""]:
    """One number uniform on [0, 1), independent of `standard_normal` of the same key: a test beside its proposal.

    `uniform(key) < p` holds with probability p (to 2^-24), and never for p = 0.
    """
    first, _ = _threefry(*_words(key), _DECIDE)
    return ((first >> 8).astype(jnp.int32).astype(jnp.float32) * jnp.float32(2.0**-24)).astype(dtype)


@partial(jax.jit, static_argnames=("shape",))
def uniforms(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Independent numbers uniform on [0, 1) in float32, two to a block of random words; for sites in parallel.

    `uniforms(key, ...) < p` holds with probability p (to 2^-24), and never for p = 0. They share their blocks with
    `standard_normal` of the same key: use one or the other; `uniform` of the same key is independent of both.

    Args:
        key: One typed key; it is used up.
        shape: Of the numbers.

    Example:
        >>> u = uniforms(jax.random.key(0), (100_000,))
        >>> abs(float(u.mean()) - 0.5) < 0.01, float(u.max()) < 1.0
        (True, True)
    """
    num = math.prod(shape)
    index = _index(((num + 1) // 2,))
    k0, k1, step = _words(key)
    words = jnp.concatenate(_threefry(k0, k1, jnp.zeros_like(index) + step, index))[:num]
    return ((words >> 8).astype(jnp.int32).astype(jnp.float32) * jnp.float32(2.0**-24)).reshape(shape)


@jax.jit
def categorical(key: Key[Array, ""], logits: Float[Array, "sites states"]) -> Int[Array, " sites"]:
    """One state for every site, independently, with probabilities softmax(logits); by inversion of one uniform a site.

    Args:
        key: One typed key; it is used up. Shares its blocks with `uniforms`.
        logits: Log-probabilities up to a constant a site; -inf is a state that is never drawn.

    Example:
        >>> states = categorical(jax.random.key(0), jnp.log(jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])))
        >>> states.tolist()
        [1, 2]
    """
    return invert(uniforms(key, logits.shape[:-1]), logits)


@jax.jit
def invert(level: Float[Array, "..."], logits: Float[Array, "... states"]) -> Int[Array, "..."]:
    """The state at `level` of the distribution function of softmax(logits): uniform levels make draws of it.

    Args:
        level: In [0, 1), as `uniforms` draws them.
        logits: Log-probabilities up to a constant; -inf is a state that is never drawn. Where one is NaN, or all are
            -inf, state 0.

    Example:
        >>> invert(jnp.array([0.1, 0.9]), jnp.log(jnp.array([[0.3, 0.7], [0.3, 0.7]]))).tolist()
        [0, 1]
    """
    logits = logits.astype(jnp.float32)
    if logits.shape[-1] == 2:
        return (level >= jax.nn.sigmoid(logits[..., 0] - logits[..., 1])).astype(jnp.int32)
    ladder = jnp.cumsum(jax.nn.softmax(logits, axis=-1), axis=-1)
    level = level[..., None] * ladder[..., -1:]  # the ladder's top is 1 to rounding only
    return jnp.sum((level >= ladder[..., :-1]).astype(jnp.int32), axis=-1)


def random_blocks(key: Key[Array, ""], step: Any, blocks: UInt32[Array, "..."]) -> tuple[Array, Array]:
    """Two random words for each block number: the raw material of kernels that count their own bits.

    Args:
        key: A chain's key, of `chain_keys`; (key, step, block) is used up.
        step: Number of the step, an integer in [0, 2^32).
        blocks: Numbers below 2^31, each used once a step.
    """
    k0, k1, _ = _words(key)
    return _threefry(k0, k1, jnp.zeros_like(blocks) + jnp.asarray(step).astype(jnp.uint32), blocks)


def _half_open(word: UInt32[Array, "..."]) -> Float[Array, "..."]:
    """31 bits of a word, uniform on (0, 1]: through int32, as AVX2 converts no unsigned integers."""
    return ((word >> 1).astype(jnp.int32).astype(jnp.float32) + jnp.float32(0.5)) * jnp.float32(2.0**-31)


def _index(shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """The place of each entry in row-major order."""
    index, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        index = index + jnp.uint32(stride) * jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        stride *= shape[axis]
    return index


def _words(key: Key[Array, ""]) -> tuple[UInt32[Array, ""], UInt32[Array, ""], UInt32[Array, ""]]:
    """The two words of a key and its step, 0 for a plain key; a key of another generator is asked for two words."""
    implementation = jax.random.key_impl(key)
    if implementation == _STEPPED:
        data = jax.random.key_data(key)
        return data[0], data[1], data[2]
    plain = implementation == "threefry2x32"
    data = jax.random.key_data(key) if plain else jax.random.bits(key, (2,), jnp.uint32)
    return data[0], data[1], jnp.uint32(0)


def _wrap(k0: UInt32[Array, ""], k1: UInt32[Array, ""], step: UInt32[Array, ""]) -> Key[Array, ""]:
    return jax.random.wrap_key_data(jnp.stack([k0, k1, step]), impl=_STEPPED)


@jax.jit
def _threefry(k0, k1, x0, x1) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """Threefry-2x32-20 of the counter (x0, x1) under the key (k0, k1): four rounds, then the key again, five times."""
    keys = (k0, k1, k0 ^ k1 ^ jnp.uint32(0x1BD11BDA))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for i in range(20):
        rotation = _ROTATIONS[i % 8]
        x0 = x0 + x1
        x1 = x0 ^ ((x1 << rotation) | (x1 >> (32 - rotation)))
        if i % 4 == 3:
            turn = i // 4 + 1
            x0, x1 = x0 + keys[turn % 3], x1 + keys[(turn + 1) % 3] + jnp.uint32(turn)
    return x0, x1


def _seed(seed):
    return jnp.append(jax.random.key_data(jax.random.key(seed, impl="threefry2x32")), jnp.uint32(0))


def _split(data, shape):
    first, second = _threefry(data[0], data[1], jnp.full(shape, data[2]), _SPLIT + _index(shape))
    return jnp.stack([first, second, jnp.zeros_like(first)], axis=-1)


def _fold_in(data, message):
    # another key than the one of the blocks, so that no message can meet a block
    first, second = _threefry(data[0] ^ jnp.uint32(0x9E3779B9), data[1], data[2], message)
    return jnp.stack([first, second, jnp.uint32(0)])


def _random_bits(data, bit_width, shape):
    width = max(bit_width, 32)
    index = _index((*shape, width // 32))
    first, second = _threefry(data[0], data[1], jnp.zeros_like(index) + data[2], index)
    words = first ^ second
    if width == 64:
        return jax.lax.bitcast_convert_type(words, jnp.uint64)
    return words[..., 0].astype({8: jnp.uint8, 16: jnp.uint16, 32: jnp.uint32}[bit_width])


_STEPPED = jax.extend.random.define_prng_impl(
    key_shape=(3,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="energax_step",
    tag="step",
)
