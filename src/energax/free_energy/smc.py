"""Sequential Monte Carlo samplers: annealed chains that are copied in proportion to their weights on the way.

Source: Del Moral, Doucet and Jasra (2006), Sequential Monte Carlo samplers, doi:10.1111/j.1467-9868.2006.00553.x,
sections 2 and 3; resampling when the effective sample size is low: Liu and Chen (1995), Blind deconvolution via
sequential imputations, doi:10.1080/01621459.1995.10476549.
Estimates Z without bias for every number of particles, every path, every kernel (a sampler that leaves each
temperature's density invariant, or any `AbstractPair`) and each of the four resampling schemes, as long as the schedule
does not look at the particles. What differs: independent populations run side by side, so that the error bar is their
scatter and needs no theory of genealogies; temperatures chosen by the conditional effective sample size
(conditional_ess.py) are frozen by a pilot before the run whose weights count.
Cost: as `ais`, for num_populations * num_particles chains; memory is O(chains).
Fails: log Zhat is biased LOW (Jensen) by about half its squared standard error; a mode that no particle of any
population reached is missing and nothing here shows it; few populations make a wide interval (Student's t).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar
from scipy.special import stdtrit

from energax.core import AbstractPath, Key, X, checks
from energax.numerics.logspace import log_mean_exp_error
from energax.samplers.chains import traced
from energax.samplers.pairs import AbstractPair, Kernel

from . import doors
from .ais import target_energies
from .conditional_ess import adapt_temperatures
from .pilot import tune_path
from .population import Population, Turned, exact_populations, log_z_of, populate, turn
from .transitions import with_step

_PILOTS = 2  # populations of the adaptive pilot


class SMCResult(eqx.Module):
    """What one run of SMC found; every field is an array of the target's float type.

    Attributes:
        log_weights: log of the weight of each particle, nats, population by population: E[mean w f(x)] = Z E_target[f].
        log_z: log of the target's normaliser, nats: of the mean of the populations' unbiased estimates.
        std_error: Standard error of `log_z` over populations by the delta method, nats.
        interval: 95 % interval of `log_z`, nats, by Student's t with num_populations - 1 degrees of freedom.
        population_log_z: log Zhat of each population, nats.
        x: Final particles, on axis 0, population by population; with the weights, samples of the target.
        energy: Target energy of each particle, nats.
        ess: Effective share of the particles before each move's resampling, in (0, 1], mean over populations.
        resampled: Share of the populations that resampled at each move, in [0, 1].
        acceptance: Mean acceptance at each move, in [0, 1]; 1 for a pair.
        betas: The schedule, 0 to 1.
        step_sizes: The step size of each move, units of the kernel; None where the kernel's own was used.
        non_finite: How many log weights are NaN or +inf: any at all makes `log_z` non-finite.
        dead: How many weights are exactly 0.
    """

    log_weights: Float[Array, " particles"]
    log_z: Scalar
    std_error: Scalar
    interval: Float[Array, "2"]
    population_log_z: Float[Array, " populations"]
    x: X
    energy: Float[Array, " particles"]
    ess: Float[Array, " moves"]
    resampled: Float[Array, " moves"]
    acceptance: Float[Array, " moves"]
    betas: Float[Array, " temperatures"]
    step_sizes: Float[Array, " moves"] | None
    non_finite: Int[Array, ""]
    dead: Int[Array, ""]


def smc(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    *,
    num_particles: int = 128,
    num_populations: int = 16,
    num_temperatures: int | None = None,
    betas: Array | np.ndarray | None = None,
    schedule: str = "adaptive",
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
    resampling: str = "systematic",
    threshold: float = 0.5,
    conditional_ess: float = 0.9,
    pilot_chains: int = 64,
    target_acceptance: float = 0.65,
) -> SMCResult:
    """Runs `num_populations` independent populations from the base to the target.

    At every move each weight gains its increment; where the effective number of particles has fallen below
    `threshold` * `num_particles`, the population's mean weight goes into its log Z and its particles are drawn anew.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        kernel: A sampler that leaves each temperature's density exactly invariant, or an `AbstractPair`, such as
            `ULAPair`, which need not.
        num_particles: Of a population, >= 2.
        num_populations: Independent populations, >= 2; the error bar is as good as their number.
        num_temperatures: Length of a schedule other than "adaptive", with both ends.
        betas: The schedule itself, strictly increasing from 0 to 1; then `schedule` is not looked at.
        schedule: "adaptive" (a pilot of two populations chooses temperatures and step sizes by `conditional_ess` and
            acceptance; they are then frozen, so that Zhat stays unbiased), or one of `ais`: "tuned", "linear",
            "sigmoid", "geometric".
        step_sizes: One step size for each move of `betas`.
        steps_per_temperature: Transitions at each temperature, >= 1.
        resampling: "systematic", "stratified", "residual" or "multinomial".
        threshold: c in [0, 1]: 0 never resamples (then this is `ais`), 1 does at every move.
        conditional_ess: Share of its particles that a population keeps at one step of the adaptive schedule, in (0, 1).
        pilot_chains: Chains of the pilot of a schedule other than "adaptive", as in `ais`; not for a pair.
        target_acceptance: What the pilot aims at, in (0, 1).

    Raises:
        ValueError: An argument is out of range, the sampler is unadjusted, or the energy does not return a scalar.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import DoubleWell, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), DoubleWell(4.0, tilt=0.5))
        >>> found = smc(jax.random.key(0), path, MALA(0.1), num_particles=64)
        >>> abs(float(found.log_z) - 0.0504) < 4 * float(found.std_error)
        True
    """
    dtype = doors.run("smc", key, path, kernel, num_particles, steps_per_temperature, pairs=True)
    checks.count("smc", "num_populations", num_populations, 2)
    checks.fraction("smc", "conditional_ess", conditional_ess)
    doors.resampling("smc", resampling, threshold)
    pilot_key, start_key, walk_key = jax.random.split(key, 3)
    if betas is None and schedule == "adaptive":
        if num_temperatures is not None or step_sizes is not None:
            raise ValueError("smc.schedule must not be 'adaptive' where num_temperatures or step_sizes are given.")
        temperatures, steps, _ = adapt_temperatures(
            pilot_key, path, kernel, num_particles=num_particles, num_populations=_PILOTS, resampling=resampling,
            threshold=threshold, conditional_ess=conditional_ess, steps_per_temperature=steps_per_temperature,
            target_acceptance=target_acceptance,
        )  # fmt: skip
    else:
        named = "tuned" if schedule == "adaptive" else schedule
        chains = 0 if isinstance(kernel, AbstractPair) else pilot_chains
        temperatures, steps = tune_path(
            pilot_key, path, kernel, num_temperatures=num_temperatures, betas=betas, schedule=named,
            step_sizes=step_sizes, num_chains=chains, owner="smc", steps_per_temperature=steps_per_temperature,
            target_acceptance=target_acceptance,
        )  # fmt: skip
    betas = jnp.asarray(temperatures, dtype)
    step_sizes = None if steps is None else jnp.asarray(steps, dtype)
    xs = exact_populations(start_key, path, num_populations, num_particles)
    ran = _run(
        walk_key, path, traced(kernel, dtype), xs, betas, step_sizes, jnp.asarray(threshold, dtype),
        steps_per_temperature, resampling,
    )  # fmt: skip
    return summarise(path, betas, step_sizes, *ran)


def populations_run(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    xs: X,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    threshold: Scalar,
    steps_per_temperature: int,
    resampling: str,
) -> tuple[Population, Turned]:
    """The bare run from exact base samples `xs` (populations on axis 0, particles on axis 1); pure.

    Returns:
        The populations, and what each move told of each [populations, moves].
    """
    num = jax.tree.leaves(xs)[0].shape[0]

    def one(key, x):
        def step(population, k):
            return turn(
                jax.random.fold_in(key, k), with_step(kernel, step_sizes, k), path, betas[k], betas[k + 1], population,
                steps_per_temperature, resampling, threshold,
            )  # fmt: skip

        return jax.lax.scan(step, populate(kernel, path, x, betas.dtype), jnp.arange(betas.shape[0] - 1))

    return jax.vmap(one)(jax.random.split(key, num), xs)


_run = eqx.filter_jit(populations_run)


def summarise(
    path: AbstractPath,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    populations: Population,
    told: Turned,
) -> SMCResult:
    """log Z and its error from the populations."""
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), populations.chains.states.x)
    log_weights = (populations.log_z[:, None] + populations.log_weights).reshape(-1)
    log_zs = jax.vmap(log_z_of)(populations)
    log_z, std_error = log_mean_exp_error(log_zs)
    reach = float(stdtrit(log_zs.shape[0] - 1, 0.975)) * std_error
    return SMCResult(
        log_weights=log_weights,
        log_z=log_z,
        std_error=std_error,
        interval=jnp.stack([log_z - reach, log_z + reach]),
        population_log_z=log_zs,
        x=flat,
        energy=target_energies(path, betas, flat),
        ess=jnp.mean(told.ess, axis=0),
        resampled=jnp.mean(told.resampled, axis=0),
        acceptance=jnp.mean(told.acceptance, axis=0),
        betas=betas,
        step_sizes=step_sizes,
        non_finite=jnp.sum(jnp.isnan(log_weights) | (log_weights == jnp.inf)),
        dead=jnp.sum(log_weights == -jnp.inf),
    )
