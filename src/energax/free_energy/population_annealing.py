"""Population annealing: SMC that resamples at every temperature, with the free energy of all of them and the families.

Source: Hukushima and Iba (2003), Population annealing and its application to a spin glass, doi:10.1063/1.1632130;
    Machta (2010), Population annealing with weighted averages, doi:10.1103/PhysRevE.82.026704 (free energy; several
    runs combined); Wang, Machta and Katzgraber (2015), Population annealing: theory and application in spin glasses,
    arXiv:1508.05647, sections II and III (families, rho_t).
What differs: a population keeps its size, since offspring are drawn by a scheme of `numerics.resampling`; the hot end
is any density of which exact samples can be had; error bars are the scatter of independent populations.
Estimates Z at every temperature of the schedule without bias, for every number of particles and every kernel that
leaves each temperature's density invariant. Cost: as `smc`.
Fails: log Zhat is biased LOW (Jensen) by about half its squared standard error; where few families are left (`rho` near
the number of particles) the population has been made from few draws of the base, and its scatter is not to be trusted.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar
from scipy.special import stdtrit

from energax.core import AbstractPath, AbstractSampler, Key, X, checks
from energax.numerics.logspace import effective_sample_size, log_mean_exp, log_mean_exp_error
from energax.numerics.resampling import SCHEMES, offspring
from energax.samplers.chains import traced

from . import doors
from .ais import target_energies
from .pilot import tuned
from .population import exact_populations
from .transitions import enter, gain_before, move, with_step


class PopulationAnnealingResult(eqx.Module):
    """What one run of population annealing found; every field is an array of the target's float type.

    Attributes:
        betas: The schedule, 0 to 1.
        log_z: log Z at every temperature, nats: of the mean of the populations' unbiased estimates; 0 at the base.
        std_error: Standard error of `log_z` over populations by the delta method, nats.
        interval: 95 % interval of `log_z`, nats, by Student's t with num_populations - 1 degrees of freedom.
        population_log_z: log Zhat of every population at every temperature; NaN where a weight was not a number.
        x: Final particles, on axis 0, population by population.
        log_weights: log weight of each, nats, equal within a population (its log Zhat): with them, samples of the
            target; a mean over several populations without them is biased.
        energy: Target energy of each particle, nats.
        families: For every particle, the number of its ancestor in the base's sample of its population.
        rho: Mean square family size of every population, N sum_i (n_i / N)^2, in [1, N]: its averages are worth no less
            than N / rho independent particles.
        family_entropy: -sum_i (n_i / N) log(n_i / N) of every population, in [0, log N].
        ess: Effective share of the particles before each move's resampling, in (0, 1], mean over populations.
        acceptance: Mean acceptance at each move, in [0, 1].
        step_sizes: The step size of each move, units of the sampler; None where the sampler's own was used.
    """

    betas: Float[Array, " temperatures"]
    log_z: Float[Array, " temperatures"]
    std_error: Float[Array, " temperatures"]
    interval: Float[Array, "two temperatures"]
    population_log_z: Float[Array, "populations temperatures"]
    x: X
    log_weights: Float[Array, " particles"]
    energy: Float[Array, " particles"]
    families: Int[Array, " particles"]
    rho: Float[Array, " populations"]
    family_entropy: Float[Array, " populations"]
    ess: Float[Array, " moves"]
    acceptance: Float[Array, " moves"]
    step_sizes: Float[Array, " moves"] | None


def population_annealing(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    *,
    num_particles: int = 256,
    num_populations: int = 16,
    num_temperatures: int | None = None,
    betas: Array | np.ndarray | None = None,
    schedule: str = "tuned",
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
    resampling: str = "systematic",
    pilot_chains: int = 64,
    target_acceptance: float = 0.65,
) -> PopulationAnnealingResult:
    """Cools `num_populations` independent populations from the base to the target, resampling at every temperature.

    log Zhat_k = sum_{j < k} log mean exp(E_{s_j}(x) - E_{s_{j+1}}(x)), particles drawn anew in proportion each time.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target; for energies of spins, from the fair coin.
        sampler: A kernel that leaves each temperature's density exactly invariant (MALA, HMC, Gibbs; ULA is refused).
        num_particles: Of a population, >= 2.
        num_populations: Independent populations, >= 2; the error bars are as good as their number.
        num_temperatures: Length of the schedule with both ends, >= 2; 100 if neither this nor `betas` is given.
        betas: The schedule itself, strictly increasing from 0 to 1; then `schedule` is not looked at.
        schedule: "tuned" (equal spread of the work a move, by a pilot), "linear", "sigmoid" or "geometric".
        step_sizes: One step size for each move; None for the pilot's choice.
        steps_per_temperature: Transitions at each temperature, >= 1.
        resampling: "systematic", "stratified", "residual" or "multinomial".
        pilot_chains: Chains of the pilot, 0 (none; needs a schedule other than "tuned") or >= 8.
        target_acceptance: What the pilot aims at, in (0, 1).

    Raises:
        ValueError: An argument is out of range, the sampler is unadjusted, or the energy does not return a scalar.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import DoubleWell, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), DoubleWell(4.0, tilt=0.5))
        >>> found = population_annealing(jax.random.key(0), path, MALA(0.1), num_particles=64, num_temperatures=20)
        >>> abs(float(found.log_z[-1]) - 0.0573) < 4 * float(found.std_error[-1])
        True
    """
    owner = "population_annealing"
    dtype = doors.run(owner, key, path, sampler, num_particles, steps_per_temperature)
    checks.count(owner, "num_populations", num_populations, 2)
    doors.resampling(owner, resampling, 1.0)
    pilot_key, start_key, walk_key = jax.random.split(key, 3)
    if num_temperatures is None and betas is None:
        num_temperatures = 100
    schedule_, moves = tuned(
        dtype, pilot_key, path, sampler, num_temperatures=num_temperatures, betas=betas, schedule=schedule,
        step_sizes=step_sizes, steps_per_temperature=steps_per_temperature,
        num_chains=pilot_chains, target_acceptance=target_acceptance, owner=owner,
    )  # fmt: skip
    xs = exact_populations(start_key, path, num_populations, num_particles)
    ran = _run(walk_key, path, traced(sampler, dtype), xs, schedule_, moves, steps_per_temperature, resampling)
    return _summarise(path, schedule_, moves, *ran)


def anneal_populations(
    key: Key,
    path: AbstractPath,
    sampler: AbstractSampler,
    xs: X,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    steps_per_temperature: int,
    resampling: str,
) -> tuple[X, Float[Array, "populations temperatures"], Int[Array, "populations particles"], Array, Array]:
    """The bare run from exact base samples `xs` (populations on axis 0, particles on axis 1); pure.

    Returns:
        Final positions, log Zhat at every temperature, the family of every particle, and of each population and move
        the effective share of particles and the mean acceptance.
    """
    populations, particles = jax.tree.leaves(xs)[0].shape[:2]

    def one(key, x):
        def step(carry, k):
            chains, log_z, families = carry
            pick, walk = jax.random.split(jax.random.fold_in(key, k))
            kernel = with_step(sampler, step_sizes, k)
            gained = gain_before(kernel, path, betas[k], betas[k + 1], chains.states.x)
            # a population that has died stays dead: -inf + inf would be no number
            log_z = jnp.where(log_z == -jnp.inf, log_z, log_z + log_mean_exp(gained))
            ancestors = SCHEMES[resampling](pick, gained)
            chains = jax.tree.map(lambda leaf: leaf[ancestors], chains)
            moved = move(walk, kernel, path, betas[k], betas[k + 1], chains, steps_per_temperature)
            told = log_z, effective_sample_size(gained) / particles, moved.acceptance
            return (moved.chains, log_z, families[ancestors]), told

        start = (
            enter(sampler, path.at(0.0), x),
            jnp.zeros((), betas.dtype),
            jnp.arange(particles, dtype=jnp.int32),
        )
        (chains, _, families), (log_zs, share, acceptance) = jax.lax.scan(step, start, jnp.arange(betas.shape[0] - 1))
        return chains.states.x, jnp.concatenate([jnp.zeros(1, betas.dtype), log_zs]), families, share, acceptance

    return jax.vmap(one)(jax.random.split(key, populations), xs)


_run = eqx.filter_jit(anneal_populations)


def family_sizes(families: Int[Array, " particles"]) -> tuple[Scalar, Scalar]:
    """The mean square family size N sum (n / N)^2 and the entropy of the shares n / N, nats.

    Example:
        >>> rho, entropy = family_sizes(jnp.array([0, 0, 1, 1]))
        >>> float(rho), round(float(entropy), 4)
        (2.0, 0.6931)
    """
    share = offspring(families).astype(jnp.float32) / families.shape[0]
    logs = jnp.where(share > 0.0, jnp.log(jnp.where(share > 0.0, share, 1.0)), 0.0)
    return families.shape[0] * jnp.sum(share**2), -jnp.sum(share * logs)


def _summarise(path, betas, step_sizes, xs, log_zs, families, share, acceptance) -> PopulationAnnealingResult:
    """Means over populations with their errors."""
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), xs)
    log_z = jax.vmap(log_mean_exp_error, 1)(log_zs)
    reach = float(stdtrit(log_zs.shape[0] - 1, 0.975)) * log_z.std_error
    rho, entropy = jax.vmap(family_sizes)(families)
    return PopulationAnnealingResult(
        betas=betas,
        log_z=log_z.estimate,
        std_error=log_z.std_error,
        interval=jnp.stack([log_z.estimate - reach, log_z.estimate + reach]),
        population_log_z=log_zs,
        x=flat,
        log_weights=jnp.repeat(log_zs[:, -1], families.shape[1]),
        energy=target_energies(path, betas, flat),
        families=families.reshape(-1),
        rho=rho,
        family_entropy=entropy,
        ess=jnp.mean(share, axis=0),
        acceptance=jnp.mean(acceptance, axis=0),
        step_sizes=step_sizes,
    )
