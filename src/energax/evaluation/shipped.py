"""The kernels that ship with energax, each at a step for targets of unit scale, and what its docstring claims.

Source: the claims are those of the kernels' own files; the laws of the unadjusted ones on a Gaussian follow from their
    linear recursions (Roberts and Tweedie (1996), doi:10.2307/3318418, section 1.4.1, for ULA; Leimkuhler and Matthews
    (2013), doi:10.1093/amrx/abs010, for the splittings).
What differs: one table for all; tempering kernels are certified on every state of theirs, replicas and levels included.
Cost: none before one is certified. Fails for kernels of blackjax where that is not installed.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Scalar

from energax.core import AbstractDensity, AbstractSampler
from energax.energies import Ising
from energax.errors import ConfigError, did_you_mean
from energax.numerics.tree import normal_like, squared_norm
from energax.samplers import (
    BITS,
    CATEGORIES,
    DMALA,
    DULA,
    HMC,
    MALA,
    SPINS,
    ULA,
    Barker,
    BlockGibbs,
    CheckerboardGibbs,
    Cycle,
    GeneralisedHMC,
    Gibbs,
    GibbsWithGradients,
    Independence,
    LeimkuhlerMatthews,
    ParallelTempering,
    PreconditionedULA,
    RandomScanGibbs,
    RandomWalk,
    SimulatedTempering,
    SiteMetropolis,
    SwendsenWang,
    TamedULA,
    Underdamped,
    Whitened,
    Wolff,
    adjusted_mclmc,
    colouring,
    elliptical_slice,
    multinomial_hmc,
    nuts,
    slice_sampling,
)

from .analytic import analytic_targets
from .certificate import Certificate
from .certify import NUM_CHAINS, certify
from .enumerable import Enumerable, bits, enumerable_targets, machine, potts, spin_glass
from .transitions import energies, probabilities


class Shipped(NamedTuple):
    """How a kernel is made and judged; the fields are those of `certify`."""

    make: Callable[[Any], AbstractSampler]
    on: Callable[[], tuple] | None = None
    extend: Callable | None = None
    variance: Callable[[Any, float], float] | None = None


class Wide(AbstractDensity):
    """Two normal numbers of standard deviation 2, whatever tree of arrays they stand in."""

    like: Any

    def sample(self, key: Array) -> Any:
        return jax.tree.map(lambda leaf: 2.0 * leaf, normal_like(key, self.like))

    def log_prob(self, x: Any) -> Scalar:
        return -squared_norm(x) / 8.0 - math.log(8.0 * math.pi)


def certify_shipped(name: str, seeds: tuple[int, ...] = (0,), num_chains: int = NUM_CHAINS) -> Certificate:
    """The certificate of a kernel of `SHIPPED`.

    Raises:
        ConfigError: There is no such kernel.

    Example:
        >>> certify_shipped("wolff").verdict
        'passed'
    """
    if name not in SHIPPED:
        raise ConfigError(
            f"certify: the kernel must be one of {', '.join(SHIPPED)}; got {name!r}.{did_you_mean(name, SHIPPED)}"
        )
    entry = SHIPPED[name]
    return certify(
        entry.make,
        name=name,
        on=(entry.on or analytic_targets)(),
        seeds=seeds,
        extend=entry.extend,
        variance=entry.variance,
        num_chains=num_chains,
    )


def _pairwise() -> tuple[Enumerable, ...]:
    return spin_glass(), bits(), potts()


def _any_energy() -> tuple[Enumerable, ...]:
    return tuple(target for sites in (SPINS, BITS, CATEGORIES) for target in enumerable_targets(sites))


def _two_spins() -> tuple[Enumerable, ...]:
    energy = 1.5 * Ising(np.array([[0, 1]]), 0.6, jnp.array([0.5, -0.25]))
    return (Enumerable("two spins, beta 1.5", energy, SPINS, jnp.ones(2), None),)


def _replicas(sampler: Any, target: Enumerable) -> tuple[Any, Callable, np.ndarray]:
    """Every (turn, replica, replica) of parallel tempering over two temperatures; the turns are visited alike."""
    xs, betas = target.xs(), sampler.betas
    number = len(xs)
    one = sampler.init(target.energy, xs[0])

    def state(turn, a, b):
        start = jax.vmap(lambda beta, x: sampler.inner.init(sampler.family(target.energy, beta), x))(
            betas, jnp.stack([a, b])
        )
        return one._replace(x=a, energy=start.energy[0], replicas=start, turn=turn)

    turns = jnp.repeat(jnp.arange(2, dtype=one.turn.dtype), number * number)
    pair = jnp.tile(jnp.arange(number * number), 2)
    states = jax.vmap(state)(turns, xs[pair // number], xs[pair % number])
    laws = [probabilities(float(beta) * target.energy, xs) for beta in betas]
    joint = np.tile((laws[0][:, None] * laws[1][None]).reshape(-1), 2) / 2.0
    return states, lambda s: (s.replicas.x, s.turn % 2), joint


def _levels(sampler: Any, target: Enumerable) -> tuple[Any, Callable, np.ndarray]:
    """Every (x, level) of simulated tempering."""
    xs, betas = target.xs(), sampler.betas
    one = sampler.init(target.energy, xs[0])

    def state(level, x):
        inner = sampler.inner.init(sampler.family(target.energy, betas[level]), x)
        return one._replace(x=x, level=level, inner=inner)

    levels = jnp.repeat(jnp.arange(len(betas), dtype=one.level.dtype), len(xs))
    states = jax.vmap(state)(levels, jnp.tile(xs, (len(betas), 1)))
    values = energies(target.energy, xs)
    weights = np.concatenate(
        [np.exp(float(g) - float(b) * values) for b, g in zip(betas, sampler.weights, strict=True)]
    )
    return states, lambda s: (s.x, s.level), weights / weights.sum()


_SPLIT = {
    "BAOAB": lambda r: 1.0,
    "ABOBA": lambda r: 1.0,
    "OBABO": lambda r: 1.0 / (1.0 - r),
    "OABAO": lambda r: 1.0 - r,
}


def _split_variance(kernel: Any, square: float) -> float:
    return square * _SPLIT[kernel.scheme](kernel.step_size**2 / (4.0 * square))


def _always(kernel: Callable[[], AbstractSampler], **claims: Any) -> Shipped:
    return Shipped(lambda target: kernel(), **claims)


def _splitting(scheme: str) -> Shipped:
    # where forces grow faster than x no step is safe for ever; on a Gaussian a longer one shows which scheme it is
    return Shipped(
        lambda target: Underdamped(0.25 if "Gaussian" in target.name else 0.1, 1.0, scheme), variance=_split_variance
    )


SHIPPED: dict[str, Shipped] = {
    "random_walk": _always(lambda: RandomWalk(0.7)),
    "barker": _always(lambda: Barker(0.5)),
    "mala": _always(lambda: MALA(0.1)),
    "hmc": _always(lambda: HMC(0.25, 4)),
    "jittered_hmc": _always(lambda: HMC(0.25, 4, jitter=0.5)),
    "generalised_hmc": _always(lambda: GeneralisedHMC(0.25, 1, persistence=0.8)),
    "independence": Shipped(lambda target: Independence(Wide(target.one()))),
    "cycle": _always(lambda: Cycle((MALA(0.1), RandomWalk(0.7)))),
    "whitened": _always(lambda: Whitened(MALA(0.1), jnp.array([[1.0, 0.0], [0.5, 0.8]]))),
    "multinomial_hmc": _always(lambda: multinomial_hmc(0.25, 4)),
    "nuts": _always(lambda: nuts(0.25, max_depth=4)),
    "adjusted_mclmc": _always(lambda: adjusted_mclmc(0.25, 4)),
    "slice_sampling": _always(lambda: slice_sampling(1.0)),
    "elliptical_slice": _always(lambda: elliptical_slice(jnp.zeros(2), jnp.full(2, 4.0))),
    "ula": _always(lambda: ULA(0.02), variance=lambda k, s: s / (1.0 - k.step_size / (2.0 * s))),
    "tamed_ula": _always(lambda: TamedULA(0.02)),
    "preconditioned_ula": _always(
        lambda: PreconditionedULA(0.02, 1.5), variance=lambda k, s: s / (1.0 - 1.5 * k.step_size / (2.0 * s))
    ),
    "leimkuhler_matthews": _always(lambda: LeimkuhlerMatthews(0.02), variance=lambda k, s: s),
    "baoab": _splitting("BAOAB"),
    "aboba": _splitting("ABOBA"),
    "obabo": _splitting("OBABO"),
    "oabao": _splitting("OABAO"),
    "gibbs": Shipped(lambda t: Gibbs(t.sites), _any_energy),
    "random_scan_gibbs": Shipped(lambda t: RandomScanGibbs(t.sites, 2), _any_energy),
    "site_metropolis": Shipped(lambda t: SiteMetropolis(t.sites, 2), _any_energy),
    "checkerboard_gibbs": Shipped(lambda t: CheckerboardGibbs(t.sites, colouring(t.pairs, len(t.like))), _pairwise),
    "gibbs_with_gradients": Shipped(lambda t: GibbsWithGradients(t.sites), _any_energy),
    "dula": Shipped(lambda t: DULA(t.sites, 1.0), _any_energy),
    "dmala": Shipped(lambda t: DMALA(t.sites, 1.0), _any_energy),
    "swendsen_wang": Shipped(lambda t: SwendsenWang(), lambda: (spin_glass(), potts())),
    "wolff": Shipped(lambda t: Wolff(), lambda: (spin_glass(), potts())),
    "block_gibbs": Shipped(lambda t: BlockGibbs(), lambda: (machine(),)),
    "parallel_tempering": Shipped(
        lambda t: ParallelTempering(Gibbs(SPINS), jnp.array([1.0, 0.5])), _two_spins, extend=_replicas
    ),
    "simulated_tempering": Shipped(
        lambda t: SimulatedTempering(Gibbs(SPINS), jnp.array([1.0, 0.5]), weights=jnp.array([0.0, 0.25])),
        _two_spins,
        extend=_levels,
    ),
}
"""Name on the command line -> kernel."""
