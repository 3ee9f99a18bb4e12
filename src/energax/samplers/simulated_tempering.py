"""Simulated tempering around any kernel: one chain that walks over temperatures too.

Source: Marinari and Parisi (1992), Simulated tempering: a new Monte Carlo scheme, doi:10.1209/0295-5075/19/6/002;
    Wang and Landau (2001), doi:10.1103/PhysRevLett.86.2050 (weights learned by penalising the visited level);
    Tan (2017), Optimally adjusted mixture sampling and locally weighted histogram analysis, Journal of Computational
    and Graphical Statistics 26 (the gain: t^-0.6, then 1/t).
What differs: all chains learn one set of weights; an energy family other than beta E, as in `ParallelTempering`.
Leaves exp(-U_i(x) + g_i) over (x, i) exactly invariant if the inner kernel leaves each exp(-U_i) so. Levels are visited
equally if and only if g_i = -log Z_i, which makes log(Z_i / Z_0) an outcome. `x` is a sample of the level that the
chain is at, and of the target only where `level` is 0; annealed estimators refuse it (`exact` is False).
Cost: the inner step's and one refresh, whatever the number of levels.
Fails where weights are not learned: the walk stays at the levels of largest Z_i exp(g_i). See `visits`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Chains, Cond, Key, X, checks
from energax.numerics.random import chain_keys, uniforms
from energax.numerics.tree import where

from .adaptation import with_step_size
from .chains import admit, num_chains, one_step, refresh_all, traced
from .parallel_tempering import as_ladder, check_ladder, tempered_energy


class SimulatedTemperingState(NamedTuple):
    """Where the chain is, at which level, the inner kernel's state there, and how often each level was visited."""

    x: X
    level: Int[Array, ""]
    inner: Any
    visits: Int[Array, " levels"]


class SimulatedTemperingInfo(NamedTuple):
    """Energy U_i(x) at the level after the step [nats], inner acceptance, whether a number was not finite; which level
    was proposed, and the probability with which it was taken (0 for one beyond the ends)."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    proposed: Int[Array, ""]
    level_acceptance: Scalar


class LevelLogZ(NamedTuple):
    """log(Z_i / Z_0) of every level and its standard error from the scatter of chains [nats]; level 0 is beta = 1."""

    estimate: Float[Array, " levels"]
    std_error: Float[Array, " levels"]


class SimulatedTempering(AbstractSampler):
    """A step of the inner kernel at the present level, then one try to move to a neighbouring level.

    Args:
        inner: Any kernel, of continuous or discrete x.
        betas: Inverse temperatures of the levels, 1 first, strictly decreasing, >= 0, at least two.
        weights: g, one number a level [nats]; None for zeros. `learn_weights` finds them.
        step_sizes: One step size of the inner kernel a level, in its units; None for the same at every level.
        family: Maps (energy, beta) to the energy of a level; family(energy, 1) must be the energy itself.

    Raises:
        ValueError: `betas` is no such ladder, or `weights` or `step_sizes` do not fit it.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import MALA
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = SimulatedTempering(MALA(0.5), jnp.array([1.0, 0.25]), weights=jnp.log(jnp.array([1.0, 0.5])))
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.ones(1)))
        >>> int(state.visits.sum())
        1
    """

    exact: ClassVar[bool] = False
    inner: AbstractSampler
    betas: Float[Array, " levels"] = eqx.field(converter=as_ladder)
    weights: Float[Array, " levels"] | None = None
    step_sizes: Float[Array, " levels"] | None = None
    family: Callable[[Any, Any], AbstractEnergy] = eqx.field(default=tempered_energy, static=True)

    def __check_init__(self):
        if not isinstance(self.inner, AbstractSampler):
            raise ValueError(f"SimulatedTempering.inner must be a sampler; got {type(self.inner).__name__}.")
        check_ladder("SimulatedTempering", self.betas)
        if self.weights is not None:
            checks.finite("SimulatedTempering", "weights", self.weights)
            self._one_a_level("weights", self.weights)
        if self.step_sizes is not None:
            checks.positive("SimulatedTempering", "step_sizes", self.step_sizes)
            self._one_a_level("step_sizes", self.step_sizes)

    def _one_a_level(self, name: str, values: Array) -> None:
        if jnp.shape(values) != self.betas.shape:
            got = jnp.shape(values)
            raise ValueError(f"SimulatedTempering.{name} must hold one number a level, {self.betas.shape}; got {got}.")

    def init(self, energy: AbstractEnergy, x: X) -> SimulatedTemperingState:
        inner = self.inner.init(self.family(energy, self.betas[0]), x)
        return SimulatedTemperingState(x, jnp.zeros((), jnp.int32), inner, jnp.zeros(self.betas.shape, jnp.int32))

    def refresh(self, energy: AbstractEnergy, state: SimulatedTemperingState) -> SimulatedTemperingState:
        return state._replace(inner=self.inner.refresh(self.family(energy, self.betas[state.level]), state.inner))

    def step(
        self, key: Key, energy: AbstractEnergy, state: SimulatedTemperingState
    ) -> tuple[SimulatedTemperingState, SimulatedTemperingInfo]:
        move, decide = jax.random.split(key)
        here = state.level
        kernel = self.inner if self.step_sizes is None else with_step_size(self.inner, self.step_sizes[here])
        inner, info = kernel.step(move, self.family(energy, self.betas[here]), state.inner)
        side, draw = uniforms(decide, (2,))
        proposed = here + jnp.where(side < 0.5, 1, -1).astype(here.dtype)
        there = jnp.clip(proposed, 0, self.betas.shape[0] - 1)
        crossed = self.inner.refresh(self.family(energy, self.betas[there]), inner)
        own, cross = self._energy(energy, here, inner), self._energy(energy, there, crossed)
        weights = jnp.zeros_like(self.betas) if self.weights is None else self.weights
        log_ratio = _log_ratio(own, cross, weights[here].astype(own.dtype), weights[there].astype(own.dtype))
        possible = (there == proposed) & ~jnp.isnan(log_ratio)
        chance = jnp.where(possible, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        take = draw.astype(chance.dtype) < chance
        inner, level = where(take, crossed, inner), jnp.where(take, there, here)
        state = SimulatedTemperingState(inner.x, level, inner, state.visits.at[level].add(1))
        divergent = info.divergent | jnp.isnan(log_ratio)
        energy_after = jnp.where(take, cross, own)
        return state, SimulatedTemperingInfo(energy_after, info.acceptance, divergent, proposed, chance)

    def _energy(self, energy, level, inner):
        """U_level(x): cached by the inner state, or else evaluated."""
        if hasattr(inner, "energy"):
            return inner.energy
        return self.family(energy, self.betas[level])(inner.x)


def _log_ratio(own: Scalar, cross: Scalar, here: Scalar, there: Scalar) -> Scalar:
    """U_i(x) - U_j(x) + g_j - g_i for a move from i to j."""
    return own - cross + there - here


def learn_weights(
    key: Key,
    sampler: SimulatedTempering,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_steps: int,
    cond: Cond = None,
) -> tuple[SimulatedTempering, Chains]:
    """Lowers the weight of the levels that are visited, by less and less -> (the kernel, its weights frozen; chains).

    After step t every level loses min(1, R t^-0.6) of its share of the chains (R levels), in the second half
    R / (t - t_0 + t_0^0.6): there the error falls as that of an average does. The visits start from 0 again.

    Args:
        key: One typed key; it is used up.
        sampler: Simulated tempering; its weights are the first guess.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` with this sampler, or an earlier call; refreshed first.
        num_steps: Steps, >= 2; some thousands over the number of chains, and many walks over all levels.
        cond: What the energy is conditioned on, one row a chain; the weights are of their mixture.

    Raises:
        ValueError: as `advance`, or `sampler` is not `SimulatedTempering`.

    Example:
        >>> from energax.samplers import MALA, init_chains
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> sampler = SimulatedTempering(MALA(0.5), jnp.array([1.0, 0.5]))
        >>> chains = init_chains(sampler, energy, jnp.zeros((256, 4)))
        >>> sampler, chains = learn_weights(jax.random.key(0), sampler, energy, chains, 500)
        >>> abs(float(sampler.weights[1] - sampler.weights[0]) + 2 * 0.6931) < 0.1  # -log(Z_1 / Z_0)
        True
    """
    if not isinstance(sampler, SimulatedTempering):
        raise ValueError(f"learn_weights.sampler must be SimulatedTempering; got {type(sampler).__name__}.")
    checks.count("learn_weights", "num_steps", num_steps, least=2)
    energy = admit("learn_weights", key, energy, chains, cond)
    start = sampler.weights if sampler.weights is not None else jnp.zeros_like(sampler.betas)
    weights, chains = _learn(traced(sampler), start, key, energy, chains, int(num_steps), cond)
    return dataclasses.replace(sampler, weights=weights), chains


def level_log_z(sampler: SimulatedTempering, chains: Chains) -> LevelLogZ:
    """log(Z_i / Z_0) from the visits that chains have paid to the levels under these frozen weights.

    log(Z_i / Z_0) = g_0 - g_i + log(visits_i / visits_0), with the delta method's error over chains.

    Args:
        sampler: With the weights that the chains have walked under since their visits were 0.
        chains: At least two, after a run.

    Raises:
        ValueError: Level 0 or another was never visited, or there are fewer than two chains.

    Example:
        >>> from energax.samplers import MALA, advance, init_chains
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> sampler = SimulatedTempering(MALA(0.5), jnp.array([1.0, 0.5]), weights=jnp.array([0.0, -0.7]))
        >>> chains = init_chains(sampler, energy, jnp.zeros((100, 2)))
        >>> chains, _ = advance(jax.random.key(0), sampler, energy, chains, 200)
        >>> abs(float(level_log_z(sampler, chains).estimate[1]) - 0.6931) < 0.1
        True
    """
    visits = chains.states.visits
    checks.count("level_log_z", "chains", visits.shape[0], least=2)
    if not isinstance(visits, jax.core.Tracer) and bool(jnp.any(visits.sum(0) == 0)):
        raise ValueError(f"level_log_z: every level must have been visited; got visits {visits.sum(0).tolist()}.")
    weights = jnp.zeros_like(sampler.betas) if sampler.weights is None else sampler.weights
    share = visits.astype(weights.dtype) / jnp.mean(visits.astype(weights.dtype), 0, keepdims=True)
    counts = jnp.mean(visits.astype(weights.dtype), 0)
    estimate = weights[0] - weights + jnp.log(counts / counts[0])
    spread = jnp.std(share - share[:, :1], 0, ddof=1)
    return LevelLogZ(estimate, spread / jnp.sqrt(jnp.asarray(visits.shape[0], spread.dtype)))


def sample_levels(
    key: Key,
    sampler: SimulatedTempering,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_samples: int,
    *,
    thin: int = 1,
    cond: Cond = None,
) -> tuple[Chains, PyTree[Array], Int[Array, "chains draws"]]:
    """Records every `thin`-th step -> (chains, x, level), chains on axis 0 and time on axis 1; the draws of the target
    are those of level 0.

    Raises:
        ValueError: as `sample`.

    Example:
        >>> from energax.samplers import MALA, init_chains
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> sampler = SimulatedTempering(MALA(0.5), jnp.array([1.0, 0.5]))
        >>> chains = init_chains(sampler, energy, jnp.zeros((3, 2)))
        >>> chains, x, levels = sample_levels(jax.random.key(0), sampler, energy, chains, 5)
        >>> x.shape, levels.shape
        ((3, 5, 2), (3, 5))
    """
    checks.count("sample_levels", "num_samples", num_samples)
    checks.count("sample_levels", "thin", thin)
    energy = admit("sample_levels", key, energy, chains, cond)
    return _sample_levels(traced(sampler), key, energy, chains, int(num_samples), int(thin), cond)


@eqx.filter_jit
def _learn(sampler, weights, key, energy, chains, num_steps, cond):
    keys, levels = chain_keys(key, num_chains(chains)), sampler.betas.shape[0]
    turn = (num_steps + 1) // 2

    def body(carry, index):
        weights, states = carry
        states, _ = one_step(dataclasses.replace(sampler, weights=weights), keys, index, energy, states, cond)
        t = (index + 1).astype(weights.dtype)
        gain = jnp.where(t <= turn, levels * t**-0.6, levels / (jnp.maximum(t - turn, 0.0) + turn**0.6))
        share = jnp.mean(jax.nn.one_hot(states.level, levels, dtype=weights.dtype), 0)
        weights = weights - jnp.minimum(gain, 1.0) * share
        return (weights - weights[0], states), None

    start = weights, refresh_all(sampler, energy, chains.states, cond)
    (weights, states), _ = jax.lax.scan(body, start, jnp.arange(num_steps))
    return weights, Chains(states._replace(visits=jnp.zeros_like(states.visits)))


@eqx.filter_jit
def _sample_levels(sampler, key, energy, chains, num_samples, thin, cond):
    keys = chain_keys(key, num_chains(chains))

    def record(states, first):
        def body(states, index):
            return one_step(sampler, keys, index, energy, states, cond)[0], None

        states, _ = jax.lax.scan(body, states, first * thin + jnp.arange(thin))
        return states, (states.x, states.level)

    states, draws = jax.lax.scan(record, refresh_all(sampler, energy, chains.states, cond), jnp.arange(num_samples))
    x, levels = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), draws)
    return Chains(states), x, levels
