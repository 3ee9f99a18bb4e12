"""Step sizes that find themselves: dual averaging for a warm-up, a Robbins-Monro walk for training.

Source: Hoffman and Gelman (2014), The No-U-Turn Sampler, jmlr.org/papers/v15/hoffman14a.html, sec. 3.2, eq. (6)
    (dual averaging, after Nesterov 2009); Andrieu and Thoms (2008), doi:10.1007/s11222-008-9110-y, sec. 4.2.2
    (Robbins-Monro on the log scale).
What differs: the signal is the acceptance averaged over all chains; one step size serves them all.
A chain whose step depends on its past leaves nothing exactly invariant: `warm_up` freezes the step, and what was drawn
before is to be thrown away. `AdaptiveStep` never freezes, as the energy of a training run never does either.
Cost: nothing beside the sampler's. Fails where the acceptance does not fall with h.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractSampler, Chains, Cond, Key, checks
from energax.numerics.random import chain_keys

from .chains import admit, num_chains, one_step, refresh_all, traced

Sampler = TypeVar("Sampler", bound=AbstractSampler)


class DualAveragingState(NamedTuple):
    """The paper's log h_m, log of the averaged h, H-bar, m and mu."""

    log_step: Scalar
    log_average: Scalar
    error: Scalar
    turns: Scalar
    centre: Scalar


class DualAveraging(eqx.Module):
    """Moves log h until the mean acceptance is `target`, and averages it along the way.

    Args:
        target: Acceptance to reach, in (0, 1): 0.574 for MALA, 0.65 for HMC.
        gamma: Strength of the pull to `mu = log(10 h_1)`, > 0.
        offset: t_0, damps the first updates, >= 0.
        decay: k, how fast early iterates are forgotten, in (0, 1).

    Raises:
        ValueError: a field is outside its range.

    Example:
        >>> rule = DualAveraging(0.65)
        >>> state = rule.init(0.1)
        >>> float(rule.step_size(rule.update(state, 1.0))) > 0.1
        True
    """

    target: float
    gamma: float = 0.05
    offset: float = 10.0
    decay: float = 0.75

    def __check_init__(self):
        checks.fraction("DualAveraging", "target", self.target)
        checks.positive("DualAveraging", "gamma", self.gamma, ndim=0)
        checks.non_negative("DualAveraging", "offset", self.offset, ndim=0)
        checks.fraction("DualAveraging", "decay", self.decay)

    def init(self, step_size: float | Scalar) -> DualAveragingState:
        """The state before the first update, at h_1 = `step_size`."""
        log_step = jnp.log(jnp.asarray(step_size, jnp.float32))
        zero = jnp.zeros((), jnp.float32)
        return DualAveragingState(log_step, zero, zero, zero, log_step + jnp.log(jnp.float32(10.0)))

    def update(self, state: DualAveragingState, acceptance: float | Scalar) -> DualAveragingState:
        """One turn of eq. (6) on an acceptance in [0, 1]."""
        m = state.turns + 1.0
        shortfall = self.target - jnp.asarray(acceptance, jnp.float32)
        eta = 1.0 / (m + self.offset)
        error = (1.0 - eta) * state.error + eta * shortfall
        log_step = state.centre - jnp.sqrt(m) / self.gamma * error
        weight = m**-self.decay
        log_average = weight * log_step + (1.0 - weight) * state.log_average
        return DualAveragingState(log_step, log_average, error, m, state.centre)

    def step_size(self, state: DualAveragingState) -> Scalar:
        """The step to try next."""
        return jnp.exp(state.log_step)

    def final(self, state: DualAveragingState) -> Scalar:
        """The averaged step to freeze; the first guess where nothing was updated."""
        return jnp.exp(jnp.where(state.turns > 0.0, state.log_average, state.log_step))


class AdaptiveStep(eqx.Module):
    """log h += rate * (acceptance - target), for ever: follows an energy that keeps changing.

    Args:
        target: Acceptance to hold, in (0, 1).
        rate: Change of log h for a whole unit of acceptance, > 0.
        lowest: h never falls below this, > 0; an energy that rejects everything would drive it to 0.
        highest: h never rises above this, > `lowest`; a flat energy accepts everything and would drive it to infinity.

    Raises:
        ValueError: a field is outside its range.

    Example:
        >>> rule = AdaptiveStep(0.75, rate=0.1)
        >>> float(rule.step_size(rule.update(rule.init(1.0), 0.25))) < 1.0
        True
    """

    target: float = 0.75
    rate: float = 0.05
    lowest: float = 1e-6
    highest: float = 1e3

    def __check_init__(self):
        checks.fraction("AdaptiveStep", "target", self.target)
        checks.positive("AdaptiveStep", "rate", self.rate, ndim=0)
        checks.positive("AdaptiveStep", "lowest", self.lowest, ndim=0)
        checks.positive("AdaptiveStep", "highest", self.highest, ndim=0)
        if self.highest <= self.lowest:
            raise ValueError(f"AdaptiveStep.highest must be > lowest {self.lowest}; got {self.highest}.")

    def init(self, step_size: float | Scalar) -> Scalar:
        """The state: log h."""
        return jnp.log(jnp.asarray(step_size, jnp.float32))

    def update(self, state: Scalar, acceptance: float | Scalar) -> Scalar:
        """One turn on an acceptance in [0, 1], averaged over chains."""
        moved = state + self.rate * (jnp.asarray(acceptance, jnp.float32) - self.target)
        return jnp.clip(moved, jnp.log(jnp.float32(self.lowest)), jnp.log(jnp.float32(self.highest)))

    def step_size(self, state: Scalar) -> Scalar:
        """h itself."""
        return jnp.exp(state)


def with_step_size(sampler: Sampler, step_size: float | Scalar) -> Sampler:
    """The same kernel with another step size.

    Raises:
        ValueError: `step_size` is not positive, or the sampler has none.

    Example:
        >>> from energax.samplers import MALA
        >>> with_step_size(MALA(0.1), 0.2).step_size
        0.2
    """
    checks.positive(type(sampler).__name__, "step_size", step_size, ndim=0)
    if not hasattr(sampler, "step_size"):
        raise ValueError(f"with_step_size: sampler must have a field step_size; got {type(sampler).__name__}.")
    return eqx.tree_at(lambda s: s.step_size, sampler, step_size)


def warm_up(
    key: Key,
    sampler: Sampler,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_steps: int,
    target: float,
    cond: Cond = None,
) -> tuple[Sampler, Chains]:
    """Runs `num_steps` steps under dual averaging -> (the kernel with its step frozen, chains).

    Args:
        key: One typed key; it is used up.
        sampler: A kernel with a `step_size`, its first guess.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` or an earlier call; refreshed first.
        num_steps: Steps and updates, >= 1; some hundreds.
        target: Acceptance to reach, in (0, 1): 0.574 for MALA, 0.65 for HMC.
        cond: What the energy is conditioned on, one row a chain.

    Raises:
        ValueError: as `advance`, or the sampler has no step size, or `target` is outside (0, 1).

    Example:
        >>> from energax.samplers import MALA, init_chains
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> chains = init_chains(MALA(0.01), energy, jnp.zeros((64, 2)))
        >>> sampler, chains = warm_up(jax.random.key(0), MALA(0.01), energy, chains, 200, target=0.574)
        >>> 0.5 < float(sampler.step_size) < 2.5
        True
    """
    rule = DualAveraging(target)
    if not hasattr(sampler, "step_size"):
        raise ValueError(f"warm_up: sampler must have a field step_size; got {type(sampler).__name__}.")

    checks.count("warm_up", "num_steps", num_steps)
    energy = admit("warm_up", key, energy, chains, cond)
    step_size, chains = _warm_up(traced(sampler), traced(rule, jnp.float32), key, energy, chains, int(num_steps), cond)
    return with_step_size(sampler, step_size), chains


@eqx.filter_jit
def _warm_up(sampler, rule, key, energy, chains, num_steps, cond):
    keys = chain_keys(key, num_chains(chains))

    def body(carry, index):
        tuning, states = carry
        kernel = with_step_size(sampler, rule.step_size(tuning))
        states, info = one_step(kernel, keys, index, energy, states, cond)
        return (rule.update(tuning, jnp.mean(info.acceptance)), states), None

    start = rule.init(sampler.step_size), refresh_all(sampler, energy, chains.states, cond)
    (tuning, states), _ = jax.lax.scan(body, start, jnp.arange(num_steps))
    return rule.final(tuning), Chains(states)
