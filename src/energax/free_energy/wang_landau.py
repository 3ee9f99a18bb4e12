"""Wang-Landau sampling: the density of states of a discrete energy, and log Z at every temperature from it.

Source: Wang and Landau (2001), Efficient, multiple-range random walk algorithm to calculate the density of states,
    doi:10.1103/PhysRevLett.86.2050; Belardinelli and Pereyra (2007), Fast algorithm to calculate density of states,
    doi:10.1103/PhysRevE.75.046701 (the 1/t rule, which removes the saturation of the error).
What differs: many walkers, none of which hears of another, so that their scatter is an error bar; a walker sums its
    increments apart and adds them with compensation, since float32 would lose late ones.
Estimates ln g(E), how many states have each energy, from a walk that accepts by min(1, g(E) / g(E')) and raises ln g at
its present energy by ln f: halved whenever the histogram is flat, and 1 / t (t: proposals a level) once that is larger.
The walk is no Markov chain of any density, so that estimates converge as 1 / sqrt(t) but are biased at any finite t.
Cost: one energy a proposal, and a pass over the levels; memory is walkers times levels.
Fails where single-site moves do not connect the energies that are allowed, and where t is short against the time to
cross from the lowest to the highest: see `settled`, and that walkers agree.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Scalar

from energax.core import AbstractEnergy, FunctionEnergy, Key, X, checks
from energax.numerics.logspace import LogMean, log_mean_exp_error
from energax.numerics.random import chain_keys, step_key, uniforms
from energax.samplers.sites import AbstractSites, check_sites


class WangLandauResult(eqx.Module):
    """A density of states, by level and by walker.

    Attributes:
        levels: The energies, ascending, nats.
        walkers: ln g of every walker, its sum over levels being the number of all states; -inf where it never was.
        visits: How often every walker stood at each level since its histogram was last found flat.
        log_f: The last increment of every walker.
        settled: Whether a walker has reached the 1 / t rule; one that has not still carries its first coarse steps.
    """

    levels: Float[Array, " levels"]
    walkers: Float[Array, "walkers levels"]
    visits: Int[Array, "walkers levels"]
    log_f: Float[Array, " walkers"]
    settled: Bool[Array, " walkers"]

    @property
    def log_g(self) -> Float[Array, " levels"]:
        """ln of the number of states at every level: of the mean of g over walkers; -inf where none has been."""
        return self._over_walkers().estimate

    @property
    def std_error(self) -> Float[Array, " levels"]:
        """Standard error of `log_g` from the scatter of walkers, nats; inf where none has been."""
        return self._over_walkers().std_error

    def log_z(self, beta: float | Scalar = 1.0) -> LogMean:
        """log sum_E g(E) exp(-beta E), with its standard error from the scatter of walkers [nats].

        Args:
            beta: Inverse temperature, of any sign.
        """
        checks.finite("WangLandauResult.log_z", "beta", beta, ndim=0)
        return log_mean_exp_error(jax.nn.logsumexp(self.walkers - beta * self.levels[None, :], axis=1))

    def _over_walkers(self) -> LogMean:
        known = jnp.any(self.walkers > -jnp.inf, axis=0)
        found = jax.vmap(log_mean_exp_error)(jnp.where(known, self.walkers, 0.0).T)
        return LogMean(jnp.where(known, found.estimate, -jnp.inf), jnp.where(known, found.std_error, jnp.inf))


class _Walk(eqx.Module):
    """One walker: the states of its sites, its level, ln g as a compensated sum, histogram, ln f, blocks done."""

    codes: Int[Array, " sites"]
    level: Int[Array, ""]
    log_g: Float[Array, " levels"]
    rest: Float[Array, " levels"]
    visits: Int[Array, " levels"]
    log_f: Scalar
    settled: Bool[Array, ""]


def wang_landau(
    key: Key,
    energy: AbstractEnergy | Callable,
    sites: AbstractSites,
    xs: X,
    levels: Array | np.ndarray,
    num_steps: int,
    *,
    flatness: float = 0.8,
    block: int | None = None,
) -> WangLandauResult:
    """Walks from every row of `xs` by single-site proposals, `num_steps` of them, learning ln g at `levels`.

    Args:
        key: One typed key; it is used up.
        energy: An energy of discrete sites, or a plain function of one sample.
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.
        xs: Starting points, walkers on axis 0 of every leaf, at least two.
        levels: The energies that occur, ascending, nats, at least two. An energy belongs to the nearest; one beyond an
            end by more than half the last gap is out of range and never entered. A part of a spectrum may be given; its
            g is then normalised as if it were all.
        num_steps: Proposals a walker, in whole blocks, at least one; 10,000 a level or more.
        flatness: The histogram is flat when its smallest entry is more than this share of its mean, in (0, 1).
        block: Proposals between two looks at the histogram, >= 1; None for 100 a level.

    Raises:
        ValueError: `energy` or `sites` is none, `levels` do not ascend, a start's energy or a number is out of range.

    Example:
        >>> from energax.samplers import BITS
        >>> count = lambda x: jnp.sum(x)
        >>> found = wang_landau(jax.random.key(0), count, BITS, jnp.zeros((16, 4)), np.arange(5.0), 20_000)
        >>> jnp.exp(found.log_g).round().tolist()
        [1.0, 4.0, 6.0, 4.0, 1.0]
    """
    owner = "wang_landau"
    checks.typed_key(owner, key)
    checks.fraction(owner, "flatness", flatness)
    check_sites(owner, sites)
    if not callable(energy):
        raise ValueError(f"{owner}.energy must be an energy or a function of one sample; got {energy!r}.")
    energy = energy if isinstance(energy, AbstractEnergy) else FunctionEnergy(energy)
    for leaf in jax.tree.leaves(xs):
        checks.samples(owner, "xs", leaf)
    rows = {leaf.shape[0] for leaf in jax.tree.leaves(xs)}
    if len(rows) != 1 or min(rows) < 2:
        raise ValueError(f"{owner}.xs must hold at least two walkers on axis 0 of every leaf; got {sorted(rows)}.")
    levels = _levels(owner, levels)
    block = 100 * len(levels) if block is None else checks.count(owner, "block", block)
    blocks = max(1, checks.count(owner, "num_steps", num_steps) // block)
    starts = jax.vmap(energy)(xs)
    checks.scalar_energy(owner, starts.shape[1:])
    levels = jnp.asarray(levels, starts.dtype)
    outside = np.flatnonzero(np.asarray(jax.vmap(lambda e: _level_of(e, levels)[1])(starts)) == 0)
    if len(outside):
        got = f"{float(starts[outside[0]])} at walker {outside[0]}"
        raise ValueError(f"{owner}.xs must start within the range of levels; got {got}.")
    walks = _walk(key, energy, sites, xs, levels, float(flatness), block, jnp.asarray(blocks))
    like = jax.tree.map(lambda leaf: leaf[0], xs)
    total = walks.codes.shape[1] * math.log(sites.num_states(like))
    log_g = jnp.where(walks.log_g > 0.0, walks.log_g + walks.rest, -jnp.inf)
    log_g = log_g - jax.nn.logsumexp(log_g, axis=1, keepdims=True) + total
    return WangLandauResult(levels, log_g, walks.visits, walks.log_f, walks.settled)


def _levels(owner: str, levels: Array | np.ndarray) -> np.ndarray:
    array = np.asarray(levels, np.float64)
    if array.ndim != 1 or array.size < 2 or not np.all(np.isfinite(array)) or np.any(np.diff(array) <= 0.0):
        raise ValueError(f"{owner}.levels must be at least two finite energies that ascend; got {levels}.")
    return array


def _level_of(value: Scalar, levels: Float[Array, " levels"]) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """The nearest level, and whether the energy is in range."""
    edges = 0.5 * (levels[1:] + levels[:-1])
    lowest, highest = levels[0] - (edges[0] - levels[0]), levels[-1] + (levels[-1] - edges[-1])
    inside = (value >= lowest) & (value <= highest)  # not, where it is not a number
    return jnp.sum(value > edges, dtype=jnp.int32), inside


@eqx.filter_jit
def _walk(key, energy, sites, xs, levels, flatness, block, blocks):
    def one(key, x):
        codes, num = sites.codes(x), levels.shape[0]
        zeros = jnp.zeros(num, levels.dtype)
        level, _ = _level_of(energy(x), levels)
        start = _Walk(
            codes, level, zeros, zeros, jnp.zeros(num, jnp.int32), jnp.ones((), levels.dtype), jnp.array(False)
        )

        def turn(index, walk):
            time = index.astype(levels.dtype) * (block / num)
            walk = _block(step_key(key, index), energy, sites, x, levels, walk, block, time)
            return _looked(walk, flatness, time + block / num)

        return jax.lax.fori_loop(0, blocks, turn, start)  # a traced length: longer runs compile nothing

    return jax.vmap(one)(chain_keys(key, jax.tree.leaves(xs)[0].shape[0]), xs)


def _block(key, energy, sites, like, levels, walk, block, time):
    """`block` proposals, ln f at 1 / t where the walk has settled; then the increments join ln g."""
    states, num = sites.num_states(like), levels.shape[0]
    which, where, draw = uniforms(key, (3, block))
    chosen = (which * walk.codes.shape[0]).astype(jnp.int32)
    turns = 1 + (where * (states - 1)).astype(jnp.int32)

    def propose(carry, now):
        codes, level, fresh, visits = carry
        site, turn, draw, step = now
        proposal = codes.at[site].set((codes[site] + turn) % states)
        other, inside = _level_of(energy(sites.embed(proposal, like)), levels)
        log_ratio = _log_ratio(walk.log_g, walk.rest + fresh, level, other)
        accept = inside & (draw.astype(log_ratio.dtype) < jnp.exp(jnp.minimum(log_ratio, 0.0)))
        codes, level = jnp.where(accept, proposal, codes), jnp.where(accept, other, level)
        log_f = jnp.where(walk.settled, 1.0 / (time + (step + 1.0) / num), walk.log_f).astype(fresh.dtype)
        here = jnp.arange(num, dtype=jnp.int32) == level
        return (codes, level, fresh + log_f * here.astype(fresh.dtype), visits + here.astype(visits.dtype)), None

    start = walk.codes, walk.level, jnp.zeros_like(walk.log_g), walk.visits
    steps = jnp.arange(block, dtype=levels.dtype)
    (codes, level, fresh, visits), _ = jax.lax.scan(propose, start, (chosen, turns, draw, steps))
    added = fresh + walk.rest
    log_g = walk.log_g + added
    return _Walk(codes, level, log_g, added - (log_g - walk.log_g), visits, walk.log_f, walk.settled)


def _looked(walk, flatness, time):
    """Halves ln f and empties the histogram where it is flat over the levels met so far; ln f = 1 / t once larger."""
    met = walk.log_g > 0.0
    visits = walk.visits.astype(walk.log_g.dtype)
    flat = jnp.min(jnp.where(met, visits, jnp.inf)) > flatness * jnp.sum(visits) / jnp.sum(met.astype(visits.dtype))
    log_f = jnp.where(flat & ~walk.settled, 0.5 * walk.log_f, walk.log_f)
    settled = walk.settled | (log_f < 1.0 / time)
    log_f = jnp.where(settled, 1.0 / time, log_f).astype(walk.log_f.dtype)
    return _Walk(walk.codes, walk.level, walk.log_g, walk.rest, jnp.where(flat, 0, walk.visits), log_f, settled)


def _log_ratio(
    log_g: Float[Array, " levels"], rest: Float[Array, " levels"], here: Int[Array, ""], there: Int[Array, ""]
) -> Scalar:
    """ln g(here) - ln g(there), the large parts and the small ones apart."""
    return (log_g[here] - log_g[there]) + (rest[here] - rest[there])
