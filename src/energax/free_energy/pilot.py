"""A short pilot run that chooses schedule and step sizes of an annealed path, which are then frozen.

Source: schedule: Gelman and Meng (1998), Simulating normalizing constants, doi:10.1214/ss/1028905934, section 4 (equal
steps in thermodynamic length); step sizes: Robbins and Monro (1951), doi:10.1214/aoms/1177729586, at constant gain.
Estimates nothing that is reported: a bad pilot costs variance, never bias, because its key is its own and its outcome
is data to the run that follows. Cost: `num_chains` chains over at most 200 temperatures. Fails: where dE/ds has no
spread that quartiles can measure (most base samples outside the target's support), the tuned schedule is refused; name
another.
"""

from dataclasses import fields
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax.core import AbstractPath, AbstractSampler, Key, checks
from energax.numerics import schedules
from energax.numerics.random import chain_keys
from energax.samplers import advance, init_chains, with_step_size
from energax.samplers.chains import traced
from energax.samplers.pairs import Kernel

from . import doors
from .cost import Cost, count_evaluations

_SCHEDULES = ("tuned", "linear", "sigmoid", "geometric")
_LONGEST = 200  # temperatures of the pilot
_MOVES = 200  # of the pilot at least, shared out evenly over its temperatures
_SETTLE = 40  # moves at the first temperature before the walk begins
_GAIN = 1.0  # of log step size per unit of acceptance
_FIRST = 1e-3  # first s after 0 of the geometric schedule
_EVENNESS = 0.1  # share of a flat schedule mixed into the tuned one


def tune_path(
    key: Key,
    path: AbstractPath,
    sampler: Kernel,
    *,
    num_temperatures: int | None = None,
    betas: Array | np.ndarray | None = None,
    schedule: str = "tuned",
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
    num_chains: int = 64,
    target_acceptance: float = 0.65,
    owner: str = "tune_path",
) -> tuple[np.ndarray, np.ndarray | None]:
    """Settles the schedule and the step size of each move: what is given is kept, what is not is tuned.

    Args:
        key: One typed key, used by nothing else.
        path: The path that will be walked.
        sampler: Its kernel; without a field `step_size`, only the schedule is tuned. A pair only with `num_chains` 0.
        num_temperatures: Length of the schedule with both ends, >= 2; 500 if neither this nor `betas` is given.
        betas: A schedule to keep.
        schedule: "tuned", "linear", "sigmoid" or "geometric".
        step_sizes: Step sizes to keep, one for each move.
        steps_per_temperature: Transitions at each temperature of the pilot.
        num_chains: Pilot chains, 0 (no pilot) or >= 8.
        target_acceptance: In (0, 1).
        owner: The name under which refusals speak.

    Returns:
        (betas [temperatures], step_sizes [temperatures - 1] or None for the sampler's own), float64 on the host.

    Raises:
        ValueError: An argument is out of range, or two contradict each other.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), Gaussian(jnp.ones(1), jnp.full(1, 0.1)))
        >>> betas, step_sizes = tune_path(jax.random.key(0), path, MALA(0.3), num_temperatures=11)
        >>> betas.shape, step_sizes.shape, bool(betas[5] < 0.5)  # the narrow target is reached by short moves at first
        ((11,), (10,), True)
    """
    checks.fraction(owner, "target_acceptance", target_acceptance)
    if schedule not in _SCHEDULES:
        raise ValueError(f"{owner}.schedule must be one of {', '.join(_SCHEDULES)}; got {schedule!r}.")
    if num_chains != 0:
        checks.count(owner, "pilot_chains", num_chains, 8)
    kept = None if betas is None else doors.schedule(owner, betas)
    length = _length(owner, kept, num_temperatures)
    steps = None if step_sizes is None else doors.moves(owner, step_sizes, length - 1)
    if kept is None and schedule != "tuned":
        kept = _named(schedule, length)
    if kept is None and num_chains == 0:
        raise ValueError(
            f"{owner}.schedule must not be 'tuned' with pilot_chains=0; name 'linear', 'sigmoid' or 'geometric'."
        )
    tunes_steps = steps is None and num_chains > 0 and any(f.name == "step_size" for f in fields(sampler))
    if kept is not None and not tunes_steps:
        return kept, steps
    walked = _coarse(kept if kept is not None else _named("sigmoid", length))
    dtype = doors.energy_dtype(owner, path)
    given = None if steps is None else jnp.asarray(_resampled_moves(steps, len(walked) - 1), dtype)
    dwell = -(-_MOVES // (len(walked) - 1))
    kernel, walk, target = (
        traced(sampler, dtype),
        jnp.asarray(walked, dtype),
        jnp.asarray(target_acceptance, dtype),
    )
    found = _pilot(key, path, kernel, walk, given, target, num_chains, dwell, steps_per_temperature, tunes_steps)
    # The first move at a temperature still has the last one's step size; the mean over the stay is what is kept.
    log_steps, spread = (np.asarray(a, np.float64).reshape(-1, dwell).mean(axis=1) for a in found)
    if kept is None:
        kept = _equal_work(owner, walked, spread, length)
    if tunes_steps:
        smooth = _smoothed(log_steps)
        steps = np.exp(np.interp(kept[1:], walked[1:], smooth))
    return kept, steps


def tuned(dtype: jnp.dtype, *given: Any, **options: Any) -> tuple[Array, Array | None]:
    """What `tune_path` settles, on the device and in the dtype of the energies."""
    betas, steps = tune_path(*given, **options)
    return jnp.asarray(betas, dtype), None if steps is None else jnp.asarray(steps, dtype)


def at_step_size(sampler: AbstractSampler, step_sizes: Float[Array, " moves"] | None, k: Array) -> AbstractSampler:
    """The sampler with the step size of move `k`, or as it is."""
    return sampler if step_sizes is None else with_step_size(sampler, step_sizes[k])


@eqx.filter_jit
def _pilot(key, path, sampler, betas, step_sizes, target, num_chains, dwell, steps, adaptive):
    """-> (log step size, spread of dE/ds over the chains) of each of `dwell` moves at each temperature after the first.

    `step_sizes` are used as they are where not None; otherwise they follow the acceptance if `adaptive`.
    """
    start, walk = jax.random.split(key)
    xs = jax.vmap(path.base.sample)(chain_keys(start, num_chains))
    chains = init_chains(sampler, path.at(0.0), xs)
    places = jnp.repeat(jnp.arange(betas.shape[0] - 1), dwell)
    index = jnp.concatenate([jnp.zeros(_SETTLE, places.dtype), places])
    first = jnp.log(sampler.step_size) if adaptive else jnp.zeros((), betas.dtype)
    slope = jax.vmap(lambda s, x: jax.jvp(lambda t: path.at(t)(x), (s,), (jnp.ones_like(s),))[1], in_axes=(None, 0))

    def move(carry, step):
        chains, log_step = carry
        time, k = step
        slopes = slope(betas[k + 1], chains.states.x)
        slopes = jnp.where(jnp.isnan(slopes), jnp.inf, slopes)  # for the quartiles below, and for nothing else
        kernel = with_step_size(sampler, jnp.exp(log_step)) if adaptive else at_step_size(sampler, step_sizes, k)
        chains, info = advance(jax.random.fold_in(walk, time), kernel, path.at(betas[k + 1]), chains, steps)
        new = log_step + _GAIN * (jnp.mean(info.acceptance) - target) if adaptive else log_step
        low, high = _quartiles(slopes)
        return (chains, new), (log_step, (high - low) / 1.349)

    _, (log_steps, spread) = jax.lax.scan(move, (chains, first), (jnp.arange(index.shape[0]), index))
    return log_steps[_SETTLE:], spread[_SETTLE:]


def _quartiles(values: Float[Array, " chains"]) -> tuple[Array, Array]:
    """Lower and upper quartile by rank, without interpolation, so that infinities stay what they are."""
    ordered = jnp.sort(values)
    num = values.shape[0]
    return ordered[num // 4], ordered[num - 1 - num // 4]


def _length(owner: str, betas: np.ndarray | None, num_temperatures: int | None) -> int:
    if num_temperatures is not None:
        checks.count(owner, "num_temperatures", num_temperatures, 2)
    if betas is None:
        return 500 if num_temperatures is None else num_temperatures
    if num_temperatures is not None and num_temperatures != len(betas):
        raise ValueError(
            f"{owner}.num_temperatures must be {len(betas)}, the length of betas, or left out; got {num_temperatures}."
        )
    return len(betas)


def _named(schedule: str, length: int) -> np.ndarray:
    if schedule == "geometric" and length > 2:
        rising = np.asarray(schedules.geometric(_FIRST, 1.0, length - 1), np.float64)
        return np.concatenate([[0.0], rising])
    make = {"linear": schedules.linear, "sigmoid": schedules.sigmoid, "geometric": schedules.linear}[schedule]
    return np.asarray(make(length), np.float64)


def _coarse(betas: np.ndarray) -> np.ndarray:
    """At most `_LONGEST` of the betas, both ends kept."""
    if len(betas) <= _LONGEST:
        return betas
    return betas[np.round(np.linspace(0, len(betas) - 1, _LONGEST)).astype(int)]


def _resampled_moves(steps: np.ndarray, num: int) -> np.ndarray:
    return np.exp(np.interp(np.linspace(0, 1, num), np.linspace(0, 1, len(steps)), np.log(steps)))


def _equal_work(owner: str, betas: np.ndarray, spread: np.ndarray, length: int) -> np.ndarray:
    """The schedule on which every move has the same spread of work: equal steps of the integral of sd(dE/ds) ds."""
    if not np.all(np.isfinite(spread)):
        raise ValueError(
            f"{owner}.schedule must not be 'tuned' here: a quarter or more of the pilot's chains met a non-finite "
            f"energy at s = {betas[1:][~np.isfinite(spread)][0]:g}. Name 'linear', 'sigmoid' or 'geometric', or choose "
            "a base inside the target's support."
        )
    flat = np.mean(spread) if np.any(spread > 0) else 1.0
    speed = _smoothed(spread) + _EVENNESS * flat
    travelled = np.concatenate([[0.0], np.cumsum(speed * np.diff(betas))])
    tuned = np.interp(np.linspace(0.0, 1.0, length), travelled / travelled[-1], betas)
    tuned[0], tuned[-1] = 0.0, 1.0
    return tuned


def _smoothed(values: np.ndarray, width: int = 9) -> np.ndarray:
    """Moving average with edges held."""
    width = min(width, len(values) | 1)
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1.0 / width), mode="valid")[: len(values)]


def pilot_cost(
    path: AbstractPath, sampler: AbstractSampler, num_temperatures: int, num_chains: int, steps: int
) -> Cost:
    """What `tune_path` evaluates for a schedule of this length (cost.py)."""
    dtype = doors.energy_dtype("pilot_cost", path)
    walked = jnp.linspace(0.0, 1.0, min(num_temperatures, _LONGEST), dtype=dtype)
    adaptive = any(f.name == "step_size" for f in fields(sampler))
    target, dwell = jnp.asarray(0.5, dtype), -(-_MOVES // (walked.shape[0] - 1))
    kernel = traced(sampler, dtype)
    return count_evaluations(
        lambda p: _pilot(jax.random.key(0), p, kernel, walked, None, target, num_chains, dwell, steps, adaptive), path
    )
