"""A restricted Boltzmann machine across temperatures: one parallel tempering of its joint energy, beside exact sums.

Source: Desjardins, Courville, Bengio, Vincent and Delalleau (2010), Parallel tempering for training of restricted
    Boltzmann machines, AISTATS 9, PMLR 9:145-152 (replicas of exp(-beta E(v, h)) under block Gibbs); Decelle and
    Furtlehner (2021), arXiv:2011.11307 (what to look at).
What differs: every temperature that is asked for is a level, others fill the widest gaps, and one at beta = 0, where
    each step is an independent draw, ends the ladder. Hidden units are summed out of the energy and its square.
Estimates at each temperature the joint energy, the heat capacity of the whole machine, the power along the singular
modes of W, and the occupancy of the minima of the free energy. Temperatures share their chains: they are correlated.
Cost: chains x levels x (burn-in + sweeps) block Gibbs steps. Fails where neighbouring levels never swap
(`Swaps` tells) and no replica comes back from the hot end: the coldest levels then keep the modes that they started in.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax.core import Key, checks
from energax.energies import BernoulliRBM
from energax.samplers import BlockGibbs, ParallelTempering, init_chains, tempered_joint

from .jackknife import observe
from .rbm_modes import (
    MOST_VISIBLE,
    Minima,
    SingularModes,
    exact_occupancy,
    free_energy_minima,
    is_enumerable,
    rbm_averages,
    singular_modes,
)
from .temperature_sweep import Curve, Exact, SweepRow, check_plan, inverse_temperatures, record

MACHINE = "this machine"


class Swaps(NamedTuple):
    """How the ladder did."""

    betas: np.ndarray
    """Inverse temperatures of all levels, coldest first, 0 last."""
    accepted: np.ndarray
    """Share of accepted swaps by pair of neighbours."""
    round_trips: int
    """Walks cold - hot - cold of all replicas of all chains."""


class RBMSweep(NamedTuple):
    """What a sweep found."""

    rows: list[SweepRow]
    """One a temperature, in the order given."""
    modes: SingularModes
    minima: Minima | None
    """None for more than 16 visible units."""
    projections: np.ndarray
    """Draws at the coldest temperature along the first two singular vectors, over sqrt(visible), [draws, <= 2]."""
    swaps: Swaps


def rbm_sweep(
    key: Key,
    model: BernoulliRBM,
    betas: Sequence[float] | np.ndarray,
    *,
    levels: int = 16,
    chains: int = 32,
    sweeps: int = 2000,
    burn_in: int = 500,
    thin: int = 2,
) -> RBMSweep:
    """A Bernoulli machine at a row of inverse temperatures of its joint energy.

    Observables: joint_energy <E(v, h)> in nats at beta = 1, heat_capacity in units of k, mode_1, mode_2, .. the power
    along each singular mode, and minimum_1, minimum_2, .. (minimum_other) the occupancy of the free energy's minima.

    Args:
        key: One typed key; it is used up.
        model: The machine at beta = 1.
        betas: Inverse temperatures, > 0, no two alike.
        levels: At least so many levels has the ladder, >= 2.
        chains: Independent ladders, >= 2.
        sweeps: Steps that are measured, a multiple of `thin`, >= 4 `thin`.
        burn_in: Steps before, >= 0.
        thin: Steps a measurement, >= 1.

    Raises:
        ValueError: An argument is out of its range, or the machine has no weights.

    Example:
        >>> from energax.energies import bars_and_stripes_rbm
        >>> found = rbm_sweep(jax.random.key(0), bars_and_stripes_rbm(8.0, 2), [0.5, 1.0], chains=8, sweeps=200)
        >>> found.modes.dims.tolist(), abs(found.rows[1].deviations()["joint_energy"]) < 4
        ([3], True)
    """
    wanted = inverse_temperatures("rbm_sweep", betas)
    checks.typed_key("rbm_sweep", key)
    checks.count("rbm_sweep", "levels", levels, least=2)
    check_plan("rbm_sweep", chains, sweeps, burn_in, thin)
    if len(set(wanted.tolist())) < len(wanted):
        raise ValueError(f"rbm_sweep.betas must be different numbers; got {wanted.tolist()}.")
    modes = singular_modes(model)
    minima = free_energy_minima(model) if model.weights.shape[0] <= MOST_VISIBLE else None
    ladder = ladder_of(wanted, levels)
    places = np.array([int(np.flatnonzero(ladder == beta)[0]) for beta in wanted])
    start, walk = jax.random.split(key)
    dtype = model.weights.dtype
    sampler = ParallelTempering(BlockGibbs(), jnp.asarray(ladder / ladder[0], dtype), family=tempered_joint)
    coldest = model.at_beta(jnp.asarray(ladder[0], dtype))
    begins = jax.random.bernoulli(start, 0.5, (chains, model.weights.shape[0])).astype(dtype)  # the law at beta = 0
    read = _Read(
        model, jnp.asarray(modes.vectors, dtype), None if minima is None else jnp.asarray(minima.ends, dtype),
        jnp.asarray(wanted, dtype), jnp.asarray(places), tuple(int(dim) for dim in modes.dims),
    )  # fmt: skip
    ends, kept, divergent = record(
        walk, sampler, coldest, init_chains(sampler, coldest, begins), read, sweeps // thin, thin=thin, burn_in=burn_in
    )
    rows = [_row(model, modes, minima, float(beta), kept, i, not divergent) for i, beta in enumerate(wanted)]
    along = kept["along"][:, :, int(np.argmax(wanted))]
    tries, swaps = (np.asarray(a, np.float64).sum(axis=0) for a in (ends.states.attempts, ends.states.swaps))
    book = Swaps(ladder, swaps / np.maximum(tries, 1.0), int(np.sum(ends.states.round_trips)))
    return RBMSweep(rows, modes, minima, along.reshape(-1, along.shape[-1]), book)


def rbm_curves(model: BernoulliRBM, modes: SingularModes, low: float, high: float, num: int = 100) -> list[Curve]:
    """Exact curves between two inverse temperatures, by the sum over the smaller layer; none for too large machines.

    Args:
        model: The machine at beta = 1.
        modes: Its singular modes.
        low: Lowest inverse temperature, > 0.
        high: Highest.
        num: Points of each curve, >= 2; fewer where the sum is long.

    Example:
        >>> from energax.energies import bars_and_stripes_rbm
        >>> from energax.evaluation import singular_modes
        >>> model = bars_and_stripes_rbm(8.0)
        >>> [curve.name for curve in rbm_curves(model, singular_modes(model), 0.5, 1.0, num=2)]
        ['joint_energy', 'heat_capacity', 'mode_1', 'mode_2']
    """
    if not is_enumerable(model):
        return []
    small, large = sorted(model.weights.shape)
    betas = np.linspace(low, high, min(num, max(8, 2**29 // (2**small * large))))
    rows = [_exact(model, modes, None, float(beta)) for beta in betas]
    return [Curve(name, MACHINE, betas, np.array([row[name].value for row in rows])) for name in rows[0]]


def ladder_of(betas: np.ndarray, levels: int) -> np.ndarray:
    """`betas` and 0, with the middles of the widest gaps until there are `levels`, coldest first.

    Example:
        >>> ladder_of(np.array([1.0, 0.25]), 4).tolist()
        [1.0, 0.625, 0.25, 0.0]
    """
    ladder = np.sort(np.append(np.asarray(betas, np.float64), 0.0))
    while len(ladder) < levels:
        widest = int(np.argmax(np.diff(ladder)))
        ladder = np.insert(ladder, widest + 1, 0.5 * (ladder[widest] + ladder[widest + 1]))
    return ladder[::-1]


class _Read(eqx.Module):
    """What is kept of one chain's ladder, temperatures on axis 0."""

    model: BernoulliRBM
    vectors: Float[Array, "visible vectors"]
    ends: Float[Array, "states minima"] | None
    betas: Float[Array, " temperatures"]
    places: Array
    dims: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, state: Any) -> dict[str, Array]:
        return jax.vmap(self._one)(state.replicas.x[self.places], self.betas)

    def _one(self, v: Float[Array, " visible"], beta: Array) -> dict[str, Array]:
        field = self.model.hidden_given(v)
        on = jax.nn.sigmoid(beta * field)  # p(h_j = 1 | v) at this temperature
        energy = self.model.visible_energy(v) - jnp.sum(on * field)
        along = (2.0 * v - 1.0) @ self.vectors / jnp.sqrt(jnp.asarray(v.shape[0], v.dtype))
        cuts = np.cumsum(self.dims)[:-1].tolist()
        power = jnp.stack([jnp.sum(part**2) for part in jnp.split(along, cuts)])
        kept = {
            "energy": energy,
            "variance": jnp.sum(on * (1.0 - on) * field**2),  # of E given v
            "power": power,
            "along": along[:2],
        }
        if self.ends is not None:
            code = jnp.sum(v.astype(jnp.int32) << jnp.arange(v.shape[0], dtype=jnp.int32))
            kept["minima"] = self.ends[code]
        return kept


def _row(model, modes, minima, beta, kept, place, is_sound) -> SweepRow:
    series = {name: np.asarray(values[:, :, place], np.float64) for name, values in kept.items()}
    energy = series["energy"]
    shifted = energy - energy.mean()
    heat = np.stack([shifted, shifted**2 + series["variance"]], 2)
    found = {
        "joint_energy": observe(energy),
        "heat_capacity": observe(heat, lambda a: beta**2 * (a[..., 1] - a[..., 0] ** 2)),
    }
    found |= {f"mode_{g + 1}": observe(series["power"][..., g]) for g in range(len(modes.dims))}
    if minima is not None:
        found |= {name: observe(series["minima"][..., i]) for i, name in enumerate(minimum_names(minima))}
    if not is_sound:
        found = {name: each._replace(reliable=False) for name, each in found.items()}
    return SweepRow(beta, found, _exact(model, modes, minima, beta) if is_enumerable(model) else {})


def minimum_names(minima: Minima) -> list[str]:
    """Of the columns of `minima.ends`."""
    names = [f"minimum_{i + 1}" for i in range(len(minima.v))]
    return names if minima.ends.shape[1] == len(names) else [*names, "minimum_other"]


def _exact(model, modes, minima, beta) -> dict[str, Exact]:
    sums = rbm_averages(model, modes, beta)
    known = {"joint_energy": sums.energy, "heat_capacity": sums.heat_capacity}
    known |= {f"mode_{g + 1}": float(power) for g, power in enumerate(sums.power)}
    if minima is not None:
        known |= dict(zip(minimum_names(minima), exact_occupancy(model, minima, beta).tolist(), strict=True))
    return {name: Exact(float(value), MACHINE) for name, value in known.items()}
