"""Annealed importance sampling: log Z of an energy, with a standard error, from exact samples of an easy density.

Source: Neal (2001), Annealed importance sampling, doi:10.1023/A:1008923215028, eqs (4)-(8).
Estimates Z without bias, E[w] = Z_target / Z_base, for every kernel that leaves each temperature's density invariant,
however slowly it mixes and however few chains there are. Two things differ from the paper: a path may be any
`AbstractPath` and not only the geometric one, and schedule and step sizes may come from a pilot run (pilot.py), whose
key is separate and which is over before the first weight is born, so that E[w] keeps its value.
Cost: per chain and temperature, one energy and `steps_per_temperature` + 1 gradients; memory is O(chains), no path is
stored.
Fails: log Zhat is biased LOW (Jensen), by about half its squared standard error, so it flatters a likelihood; a mode
that no chain reaches is missing from Z and nothing in the weights shows it (a ten-component mixture fitted to 64
whitened digit pixels, from N(0, I): 0.13 nats low at 250 temperatures, two small components never seen). Report it
inside a bracket (bracket.py), with two lengths.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractEnergy, AbstractPath, AbstractSampler, Key, X, checks
from energax.numerics.logspace import HEAVY_TAIL, effective_sample_size, log_mean_exp_error, tail_index
from energax.numerics.random import chain_keys
from energax.samplers import advance, init_chains
from energax.samplers.chains import traced

from . import doors
from .pilot import at_step_size, tuned

FEW = 10.0
"""Effective weights below which no error bar is to be believed."""


class AISResult(eqx.Module):
    """What one annealed run found; every field is an array of the target's float type.

    Attributes:
        log_weights: log w of each chain, nats. Forward: E[w] = Z. Reverse: E[w] = 1 / Z.
        log_z: log of the target's normaliser, nats (the base is normalised, so it is absolute).
        std_error: Standard error of `log_z` by the delta method, nats. Too small where not `reliable`.
        interval: The 95 % studentised bootstrap interval of `log_z` over chains, nats: longer towards large weights.
        ess: Effective number of chains, (sum w)^2 / sum w^2, in [1, chains]; NaN if a weight is not a number.
        x: Final positions, chains on axis 0. Forward: with the weights, samples of the target.
        energy: Target energy of the forward run's final positions (of the given starts in a reverse run), nats.
        acceptance: Mean acceptance at each temperature in the order walked, in [0, 1].
        betas: The schedule, 0 to 1.
        step_sizes: The step size at each temperature after the first, units of the sampler; None where the sampler's
            own was used.
        non_finite: How many log weights are NaN or +inf: any at all makes `log_z` non-finite.
        dead: How many weights are exactly 0 (log w = -inf: the chain met a point outside the target's support).
        direction: "forward" or "reverse".
        start: Where the chains began: "base" for forward; "exact", "chains" or "data" for reverse.
        reversible: Whether the sampler is in detailed balance, so that the reverse run is the reversal.
    """

    log_weights: Float[Array, " chains"]
    log_z: Scalar
    std_error: Scalar
    interval: Float[Array, "2"]
    ess: Scalar
    x: X
    energy: Float[Array, " chains"]
    acceptance: Float[Array, " moves"]
    betas: Float[Array, " temperatures"]
    step_sizes: Float[Array, " moves"] | None
    non_finite: Int[Array, ""]
    dead: Int[Array, ""]
    direction: str = eqx.field(static=True)
    start: str = eqx.field(static=True)
    reversible: bool = eqx.field(static=True)

    @property
    def tail_index(self) -> Scalar:
        """k of the largest weights' Pareto law: infinite variance beyond 0.5; NaN of fewer than 25 chains."""
        return tail_index(self.log_weights)

    @property
    def reliable(self) -> bool:
        """Whether the error bars may be believed: ten effective chains or more, and a tail index of at most 0.7."""
        return float(self.ess) >= FEW and not float(self.tail_index) > HEAVY_TAIL

    def as_dict(self, label: str) -> dict[str, float | int | str]:
        """Plain numbers under the names of `evaluation.json`."""
        return {
            "label": label,
            "estimate": float(self.log_z),
            "se": float(self.std_error),
            "ess": float(self.ess),
            "num_chains": int(self.log_weights.shape[0]),
            "num_temperatures": int(self.betas.shape[0]),
            "x_energy_mean": float(jnp.mean(self.energy)),
            "acceptance": float(jnp.mean(self.acceptance)),
            "acceptance_min": float(jnp.min(self.acceptance)),
            "non_finite": int(self.non_finite),
            "start": self.start,
        }


def ais(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    *,
    num_chains: int = 256,
    num_temperatures: int | None = None,
    betas: Array | np.ndarray | None = None,
    schedule: str = "tuned",
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
    pilot_chains: int = 64,
    target_acceptance: float = 0.65,
) -> AISResult:
    """Anneals `num_chains` independent chains from the base to the target and weighs them.

    log w = sum_k [E_{s_k}(x_k) - E_{s_{k+1}}(x_k)],  x_0 ~ base,  x_{k+1} ~ T_{s_{k+1}}(x_k, .),  log Zhat = log mean
    w.

    Compiled once for each shape and structure; new numbers in path, schedule or key run at once.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        sampler: A kernel that leaves each temperature's density exactly invariant (MALA, HMC, Gibbs; ULA is refused).
        num_chains: Independent chains, >= 2.
        num_temperatures: Length of the schedule with both ends, >= 2; 500 if neither this nor `betas` is given.
        betas: The schedule itself, strictly increasing from 0 to 1; then `schedule` is not looked at.
        schedule: "tuned" (equal spread of the work per move, from the pilot), "linear", "sigmoid" or "geometric".
        step_sizes: One step size for each of the `num_temperatures - 1` moves (a former result's `step_sizes`). If
            None, the pilot chooses them; with `pilot_chains=0` the sampler's own step size serves everywhere.
        steps_per_temperature: Transitions at each temperature, >= 1.
        pilot_chains: Chains of the pilot run, 0 (no pilot; needs a schedule other than "tuned") or >= 8.
        target_acceptance: What the pilot aims at, in (0, 1).

    Raises:
        ValueError: An argument is out of range, the sampler is unadjusted, or the energy does not return a scalar.

    Example:
        >>> import jax
        >>> from energax.core import FunctionEnergy, GeometricPath
        >>> from energax.energies import standard_normal
        >>> from energax.samplers import MALA
        >>> target = FunctionEnergy(lambda x: 2.0 * (x[0] - 1.0) ** 2)
        >>> path = GeometricPath(standard_normal(1), target)
        >>> found = ais(jax.random.key(0), path, MALA(0.5), num_chains=128, num_temperatures=50)
        >>> abs(float(found.log_z) - 0.2258) < 4 * float(found.std_error)
        True
    """
    dtype = doors.run("ais", key, path, sampler, num_chains, steps_per_temperature)
    pilot_key, start_key, walk_key, boot_key = jax.random.split(key, 4)
    betas, step_sizes = tuned(
        dtype, pilot_key, path, sampler, num_temperatures=num_temperatures, betas=betas, schedule=schedule,
        step_sizes=step_sizes, steps_per_temperature=steps_per_temperature, num_chains=pilot_chains,
        target_acceptance=target_acceptance, owner="ais",
    )  # fmt: skip
    xs = _exact_starts(start_key, path, num_chains)
    kernel = traced(sampler, dtype)
    log_weights, x, acceptance = _forward(walk_key, path, kernel, xs, betas, step_sizes, steps_per_temperature)
    energy = target_energies(path, betas, x)
    return summarise(
        boot_key,
        log_weights,
        x=x,
        energy=energy,
        acceptance=acceptance,
        betas=betas,
        step_sizes=step_sizes,
        direction="forward",
        start="base",
        reversible=sampler.reversible,
    )


def annealed_weights(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    xs: X,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    steps_per_temperature: int,
) -> tuple[Float[Array, " chains"], X, Float[Array, " moves"]]:
    """The bare forward run from exact base samples `xs` (chains on axis 0); pure, so it can be jitted, vmapped and
    sharded.

    Returns:
        Log weights (nats), final positions, mean acceptance of each move.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), Gaussian(jnp.ones(1), jnp.full(1, 0.5)))
        >>> xs = jax.random.normal(jax.random.key(1), (64, 1))
        >>> betas = jnp.linspace(0.0, 1.0, 11)
        >>> log_weights, x, acceptance = annealed_weights(jax.random.key(0), path, MALA(0.3), xs, betas, None, 1)
        >>> log_weights.shape, x.shape, acceptance.shape
        ((64,), (64, 1), (10,))
    """
    chains = init_chains(sampler, path.at(0.0), xs)
    log_weights = jnp.zeros(jax.tree.leaves(xs)[0].shape[0], betas.dtype)

    def move(carry, k):
        chains, log_weights = carry
        # The weight comes before the move, and the move is made at the new temperature: the other orders are biased.
        log_weights = add_work(log_weights, work(path, betas[k], betas[k + 1], chains.states.x))
        kernel = at_step_size(sampler, step_sizes, k)
        chains, info = advance(jax.random.fold_in(key, k), kernel, path.at(betas[k + 1]), chains, steps_per_temperature)
        return (chains, log_weights), jnp.mean(info.acceptance)

    (chains, log_weights), acceptance = jax.lax.scan(move, (chains, log_weights), jnp.arange(betas.shape[0] - 1))
    return log_weights, chains.states.x, acceptance


_forward = eqx.filter_jit(annealed_weights)


@eqx.filter_jit
def _exact_starts(key: Key, path: AbstractPath, num_chains: int) -> X:
    return jax.vmap(path.base.sample)(chain_keys(key, num_chains))


def level(path: AbstractPath, s: Scalar, x: X) -> Scalar:
    """E_s(x), where E_0 is the base's own energy: 0 * E_target would be NaN outside the target's support."""
    base: AbstractEnergy = path.base.energy()
    return jnp.where(s == 0.0, base(x), path.at(s)(x))


def work(path: AbstractPath, here: Scalar, there: Scalar, xs: X) -> Float[Array, " chains"]:
    """E_here(x) - E_there(x) of every chain: the log weight gained by changing the energy under x, nats."""
    return jax.vmap(lambda x: level(path, here, x) - level(path, there, x))(xs)


def add_work(log_weights: Float[Array, " chains"], gained: Float[Array, " chains"]) -> Float[Array, " chains"]:
    """Sums log weights. A weight that has been exactly 0 stays 0, since 0 times anything later is 0 (and -inf + inf is
    NaN)."""
    return jnp.where(log_weights == -jnp.inf, log_weights, log_weights + gained)


def summarise(
    key: Key,
    log_weights: Float[Array, " chains"],
    *,
    x: X,
    energy: Float[Array, " chains"],
    acceptance: Float[Array, " moves"],
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    direction: str,
    start: str,
    reversible: bool,
) -> AISResult:
    """log Z and its errors from log weights; in the reverse direction the weights' mean is 1 / Z."""
    log_z, std_error, interval, ess, non_finite, dead = _figures(key, log_weights, direction == "forward")
    return AISResult(
        log_weights=log_weights,
        log_z=log_z,
        std_error=std_error,
        interval=interval,
        ess=ess,
        x=x,
        energy=energy,
        acceptance=acceptance,
        betas=betas,
        step_sizes=step_sizes,
        non_finite=non_finite,
        dead=dead,
        direction=direction,
        start=start,
        reversible=reversible,
    )


@eqx.filter_jit
def _figures(key: Key, log_weights: Float[Array, " chains"], is_forward: bool) -> tuple[Array, ...]:
    """log Z, its standard error and interval, effective chains, and how many weights are no numbers or exactly 0."""
    sign = 1.0 if is_forward else -1.0
    estimate, std_error = log_mean_exp_error(log_weights)
    interval = jnp.sort(sign * bootstrap_interval(key, log_weights))
    non_finite = jnp.sum(jnp.isnan(log_weights) | (log_weights == jnp.inf))
    dead = jnp.sum(log_weights == -jnp.inf)
    return sign * estimate, std_error, interval, effective_sample_size(log_weights), non_finite, dead


@eqx.filter_jit
def target_energies(path: AbstractPath, betas: Float[Array, " temperatures"], xs: X) -> Float[Array, " chains"]:
    """E(x) at the path's end for every chain, nats."""
    return jax.vmap(path.at(betas[-1]))(xs)


@eqx.filter_jit
def bootstrap_interval(
    key: Key, log_weights: Float[Array, " chains"], *, num_resamples: int = 500, coverage: float = 0.95
) -> Float[Array, "2"]:
    """Studentised bootstrap interval of log mean exp(log_weights) under resampling of chains, nats.

    Weights are skewed, and a run that missed the large ones is too low and too sure at once: the ratio of a resample's
    deviation to its own standard error knows it, and the interval reaches further up. Infinite where a resample of
    different weights may hold one value only.

    Source: DiCiccio and Efron (1996), Bootstrap confidence intervals, doi:10.1214/ss/1032280214, section 4.

    Example:
        >>> log_weights = 0.5 * jax.random.normal(jax.random.key(0), (64,))
        >>> low, high = bootstrap_interval(jax.random.key(1), log_weights, num_resamples=100)
        >>> float(low) < 0.125 < float(high)  # log E[w] is half the variance
        True
    """
    num, (whole, std_error) = log_weights.shape[0], log_mean_exp_error(log_weights)

    def once(key):
        estimate, error = log_mean_exp_error(log_weights[jax.random.randint(key, (num,), 0, num)])
        off = estimate - whole
        ratio = jnp.where(off == 0.0, jnp.zeros_like(off), off / error)
        return jnp.where(estimate == -jnp.inf, -jnp.inf, ratio)

    ratios = jax.lax.map(once, jax.random.split(key, num_resamples), batch_size=50)
    tail = 0.5 * (1.0 - coverage)
    high, low = jnp.quantile(ratios, jnp.array([tail, 1.0 - tail], ratios.dtype), method="nearest")
    # nothing scatters where the error is 0, and there is no error where all weights are 0
    reach = jnp.where(std_error == 0.0, 0.0, std_error * jnp.stack([low, high]))
    return jnp.where(whole == -jnp.inf, whole, whole - reach)


def resample(key: Key, result: AISResult, num: int) -> X:
    """`num` unweighted positions from a forward run by systematic resampling: what the model's AIS samples look like.

    Args:
        key: One typed key; it is used up.
        result: A forward run.
        num: How many, >= 1; more than `result.ess` are copies of each other.

    Raises:
        ValueError: `result` is a reverse run, its weights are not finite or all 0, or `num` is no count.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), Gaussian(jnp.ones(1), 0.5))
        >>> found = ais(jax.random.key(0), path, MALA(0.5), num_chains=128, num_temperatures=50)
        >>> resample(jax.random.key(1), found, 10).shape
        (10, 1)
    """
    checks.typed_key("resample", key)
    checks.count("resample", "num", num)
    if result.direction != "forward":
        raise ValueError("resample.result must be a forward run; got a reverse run, whose weights belong to the base.")
    weights = np.asarray(jnp.exp(result.log_weights - jnp.max(result.log_weights)), np.float64)
    if not np.all(np.isfinite(weights)):
        got = f"{int(result.non_finite)} that are not, and {int(result.dead)} at exactly 0, of {len(weights)}"
        raise ValueError(f"resample.result must have finite weights that are not all 0; got {got}.")
    points = (float(jax.random.uniform(key)) + np.arange(num)) / num
    index = np.searchsorted(np.cumsum(weights / weights.sum()), points).clip(max=len(weights) - 1)
    return jax.tree.map(lambda leaf: leaf[jnp.asarray(index)], result.x)
