"""Checkerboard heat bath of the uniform Ising torus by multi-spin coding: 32 spins of one colour to a word.

Source: Jacobs and Rebbi (1981), Multi-spin coding, Journal of Computational Physics 41, 203,
    doi:10.1016/0021-9991(81)90089-9; Block, Virnau and Preis (2010), Multi-GPU accelerated multi-spin Monte Carlo
    simulations of the 2D Ising model, arXiv:1007.3726, section 3.
What differs: spins of one lattice share a word, and never lattices a random number, so that lattices are independent;
    a uniform number is compared with its threshold bit by bit from the top, and bits are drawn only until every spin of
    the half-lattice is decided, so that the odds are exact to 2^-32 at about 16 random bits a spin.
Leaves p(x) ~ exp(-E(x)) of `Ising.lattice((rows, cols), coupling, field)` exactly invariant (black, then white: not
reversible). Cost: some 30 word operations and 16 random bits a spin, an energy measured by counting bits.
Fails as every local update does: slow at the critical coupling, and across between the signs about never below it.
"""

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from energax.core import Key, checks
from energax.numerics.random import chain_keys, random_blocks

_WORD = 32
_FIRST = 12  # bits compared without asking whether they were needed; even


class MultispinRun(NamedTuple):
    """What a run measured, lattices on axis 0 and time on axis 1.

    Attributes:
        x: The spins after the last sweep, -1 and +1, in the order of `Ising.lattice`.
        energy: E(x) of the whole lattice at each measurement, nats.
        magnetisation: The sum of all spins at each measurement.
    """

    x: Float[Array, "lattices sites"]
    energy: Float[Array, "lattices draws"]
    magnetisation: Int[Array, "lattices draws"]


def multispin(
    key: Key,
    shape: tuple[int, int],
    coupling: float | Array | np.ndarray,
    field: float | Array | np.ndarray = 0.0,
    *,
    num_sweeps: int,
    num_lattices: int = 1,
    thin: int = 1,
    burn_in: int = 0,
    x: Array | np.ndarray | None = None,
) -> MultispinRun:
    """Sweeps independent lattices and measures energy and magnetisation.

    Lattice i draws the same numbers whatever the number of lattices; other couplings and fields compile nothing.

    Args:
        key: One typed key; it is used up.
        shape: Rows and columns of the torus: rows even, >= 2; columns even and up to 64, or a multiple of 64.
        coupling: K in nats, of any sign; a number, or one a lattice.
        field: H in nats; a number, or one a lattice.
        num_sweeps: Sweeps that are measured, every `thin`-th of them, >= 1; a multiple of `thin`.
        num_lattices: Independent lattices, >= 1.
        thin: Sweeps a measurement, >= 1.
        burn_in: Sweeps before the first that counts, >= 0.
        x: Spins to start from, [lattices, rows * cols]; None starts every spin at random.

    Raises:
        ValueError: An argument is out of its range, or `x` does not hold spins of this shape.

    Example:
        >>> found = multispin(jax.random.key(0), (64, 64), 0.3, num_sweeps=200, burn_in=100)
        >>> abs(float(found.energy.mean()) / 64**2 + 0.2113) < 0.01
        True
    """
    rows, cols = _shape(shape)
    for name, value, least in (
        ("num_sweeps", num_sweeps, 1), ("num_lattices", num_lattices, 1), ("thin", thin, 1), ("burn_in", burn_in, 0)
    ):  # fmt: skip
        checks.count("multispin", name, value, least)
    if num_sweeps % thin:
        raise ValueError(f"multispin.num_sweeps must be a multiple of thin = {thin}; got {num_sweeps}.")
    checks.typed_key("multispin", key)
    couplings, fields = (
        _per_lattice(name, value, num_lattices) for name, value in (("coupling", coupling), ("field", field))
    )
    start, walk = jax.random.split(key)
    spins = _random_spins(start, num_lattices, rows * cols) if x is None else _spins(x, num_lattices, rows * cols)
    black, white, edges, magnetisation = _run(
        walk, *_packed(spins, rows, cols), jnp.asarray(thresholds(couplings, fields)), cols // 2,
        num_sweeps // thin, thin, burn_in,
    )  # fmt: skip
    energy = -couplings[:, None] * np.asarray(edges, np.float64) - fields[:, None] * np.asarray(magnetisation)
    return MultispinRun(_unpacked(black, white, cols // 2), jnp.asarray(energy, jnp.float32), magnetisation)


def thresholds(coupling: np.ndarray, field: np.ndarray) -> UInt32[np.ndarray, "lattices counts"]:
    """2^32 times the probability of +1 with 0 to 4 neighbours up, rounded."""
    up = 2.0 * np.arange(5) - 4.0
    logit = 2.0 * (coupling[:, None] * up + field[:, None])
    odds = np.exp(-np.logaddexp(0.0, -logit))
    return np.minimum(np.round(odds * 2.0**32), 2.0**32 - 1.0).astype(np.uint32)


@partial(jax.jit, static_argnames=("width", "num_draws", "thin", "burn_in"))
def _run(
    key: Key,
    black: UInt32[Array, "lattices words rows"],
    white: UInt32[Array, "lattices words rows"],
    limits: UInt32[Array, "lattices counts"],
    width: int,
    num_draws: int,
    thin: int,
    burn_in: int,
):
    keys = chain_keys(key, black.shape[0])
    full = jnp.uint32(2 ** min(width, _WORD) - 1)

    def sweeps(halves, first, number):
        """Half-sweeps in turn: each renews the first colour of its pair and hands the pair on reversed."""

        def body(halves, half):
            mine, other = halves
            return (other, _half_sweep(keys, half // 2, half % 2, mine, other, limits, width)), None

        halves, _ = jax.lax.scan(body, halves, 2 * first + jnp.arange(2 * number, dtype=jnp.uint32))
        return halves

    def draw(halves, first):
        halves = sweeps(halves, first, thin)
        near = _neighbours(halves[1], 0, width)
        equal = sum(_count(~(halves[0] ^ word) & full) for word in near)
        sites = 2 * width * halves[0].shape[-1]
        return halves, (2 * equal - 2 * sites, 2 * (_count(halves[0]) + _count(halves[1])) - sites)

    halves = sweeps((black, white), jnp.uint32(0), burn_in)
    firsts = jnp.uint32(burn_in) + jnp.uint32(thin) * jnp.arange(num_draws, dtype=jnp.uint32)
    (black, white), (edges, magnetisation) = jax.lax.scan(draw, halves, firsts)
    return black, white, edges.T, magnetisation.T


def _half_sweep(keys, step, colour, mine, other, limits, width):
    """Every spin of `mine`, of this colour, anew, given those of the other."""
    counts = _counts(_neighbours(other, colour, width))
    number = other.shape[1] * other.shape[2]
    index = jnp.arange(number, dtype=jnp.uint32).reshape(other.shape[1:])

    def compare(lower, open_, pair):
        """Two bits more of u < threshold: `lower` is decided, `open_` has been equal so far."""
        block = (colour * jnp.uint32(_WORD // 2) + pair) * jnp.uint32(number) + index
        words = jax.vmap(lambda k: random_blocks(k, step, block))(keys)
        for bit, word in zip((31 - 2 * pair, 30 - 2 * pair), words, strict=True):
            limit = reduce(
                jnp.bitwise_or, (at & (0 - (limits[:, k, None, None] >> bit & 1)) for k, at in enumerate(counts))
            )
            lower, open_ = lower | (open_ & ~word & limit), open_ & ~(word ^ limit)
        return lower, open_

    lower, open_ = jnp.zeros_like(mine), jnp.full_like(mine, 2 ** min(width, _WORD) - 1)
    for pair in range(_FIRST // 2):
        lower, open_ = compare(lower, open_, jnp.uint32(pair))
    lower, _, _ = jax.lax.while_loop(
        lambda carry: (carry[2] < _WORD // 2) & jnp.any(carry[1] != 0),
        lambda carry: (*compare(*carry), carry[2] + 1),
        (lower, open_, jnp.uint32(_FIRST // 2)),
    )
    return lower


def _neighbours(other, colour, width):
    """Words of the four neighbours of every spin of a colour: bit j of row r is column 2 j + (r + colour) % 2."""
    shifted = (jnp.arange(other.shape[-1], dtype=jnp.uint32) + jnp.uint32(colour)) % 2 == 1
    beside = jnp.where(shifted, _turned(other, width, 1), _turned(other, width, -1))
    return jnp.roll(other, 1, -1), jnp.roll(other, -1, -1), other, beside


def _turned(words, width, by):
    """Site j of a row becomes site j + 1 (by = 1) or j - 1 (by = -1) of the ring of `width` sites."""
    if width <= _WORD:
        back, full = width - 1, jnp.uint32(2**width - 1)
        up, down = (words >> 1) | (words << back), (words << 1) | (words >> back)
        return (up if by == 1 else down) & full
    if by == 1:
        return (words >> 1) | (jnp.roll(words, -1, -2) << _WORD - 1)
    return (words << 1) | (jnp.roll(words, 1, -2) >> _WORD - 1)


def _counts(near):
    """For 0 to 4: where so many of four neighbours are up; a full adder by words."""
    a, b, c, d = near
    one, two, other, more = a ^ b, a & b, c ^ d, c & d
    odd, none, four = one ^ other, ~(a | b | c | d), two & more
    three = odd & (two | more)
    first = odd & ~three
    return none, first, ~(odd | none | four), three, four


def _count(words):
    return jnp.sum(jax.lax.population_count(words).astype(jnp.int32), axis=(-2, -1))


def _packed(spins, rows, cols):
    """Spins [lattices, rows * cols] -> words of both colours [lattices, words, rows]."""
    grid = np.asarray(spins).reshape(-1, rows, cols) > 0
    odd = np.arange(rows)[:, None] % 2
    halves = []
    for colour in (0, 1):
        place = 2 * np.arange(cols // 2) + (odd + colour) % 2
        bits = np.take_along_axis(grid, np.broadcast_to(place, (len(grid), rows, cols // 2)), axis=2)
        words = np.add.reduce(
            np.pad(bits, ((0, 0), (0, 0), (0, -bits.shape[2] % _WORD))).reshape(len(grid), rows, -1, _WORD)
            << np.arange(_WORD, dtype=np.uint64), axis=-1,
        )  # fmt: skip
        halves.append(jnp.asarray(words.astype(np.uint32).swapaxes(1, 2)))
    return halves


def _unpacked(black, white, width):
    """The inverse of `_packed`, as float32 spins."""
    lattices, _, rows = black.shape
    grid = np.zeros((lattices, rows, 2 * width), np.float32)
    for colour, words in enumerate((black, white)):
        bits = np.asarray(words).swapaxes(1, 2)[..., None] >> np.arange(_WORD, dtype=np.uint32) & 1
        bits = bits.reshape(lattices, rows, -1)[:, :, :width]
        for row in range(rows):
            grid[:, row, (row + colour) % 2 :: 2] = 2.0 * bits[:, row] - 1.0
    return jnp.asarray(grid.reshape(lattices, -1))


def _random_spins(key, lattices, sites):
    return jax.vmap(lambda k: jax.random.rademacher(k, (sites,), jnp.float32))(chain_keys(key, lattices))


def _shape(shape) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"multispin.shape must be (rows, cols); got {tuple(shape)}.")
    rows, cols = (checks.count("multispin", "shape", size, least=2) for size in shape)
    if rows % 2 or cols % 2 or (cols > 2 * _WORD and cols % (2 * _WORD)):
        raise ValueError(
            f"multispin.shape must be even, with columns up to 64 or a multiple of 64; got {rows} x {cols}."
        )
    return rows, cols


def _per_lattice(name, value, lattices) -> Float[np.ndarray, " lattices"]:
    checks.finite("multispin", name, value)
    array = np.asarray(value, np.float64)
    if array.shape not in ((), (lattices,)):
        raise ValueError(f"multispin.{name} must be a number or of shape ({lattices},); got shape {array.shape}.")
    return np.broadcast_to(array, (lattices,))


def _spins(x, lattices, sites) -> np.ndarray:
    array = np.asarray(x)
    if array.shape != (lattices, sites) or not np.all(np.abs(array) == 1):
        raise ValueError(
            f"multispin.x must hold spins -1 and +1 of shape ({lattices}, {sites}); got shape {array.shape} with "
            f"values from {array.min() if array.size else 'none'} to {array.max() if array.size else 'none'}."
        )
    return array
