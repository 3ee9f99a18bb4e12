"""What each sampler is worth on each kind of target: the tables of docs/which_sampler.md.

    python benchmarks/which_sampler.py                    all studies
    python benchmarks/which_sampler.py --only funnel      one of them
    python benchmarks/which_sampler.py --write            and put their tables into docs/which_sampler.md

Every target has a known answer, and the last column holds what was found against it. An evaluation is one energy, or one
energy with its gradient. Effective sample sizes are those of the worst quantity over all chains (ArviZ, method "mean"):
chains that disagree have few. Seconds are process CPU seconds on one thread, compilation and warm-up excluded.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from results import put

from energax.core import FunctionEnergy, GeometricPath
from energax.energies import (
    ISING_CRITICAL_COUPLING,
    Banana,
    BernoulliRBM,
    DoubleWell,
    Funnel,
    Gaussian,
    Ising,
    Potts,
    enumerate_exact,
    gmm40,
    ising_torus,
    lattice_edges,
    quadrature_exact,
    rbm_exact,
    sherrington_kirkpatrick,
)
from energax.evaluation import nearest_mode
from energax.free_energy import smc
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
    Gibbs,
    GibbsWithGradients,
    Independence,
    ParallelTempering,
    RandomWalk,
    SimulatedTempering,
    SiteMetropolis,
    SwendsenWang,
    TamedULA,
    Underdamped,
    Wolff,
    advance,
    colouring,
    init_chains,
    learn_weights,
    multispin,
    nuts,
    sample,
    sample_levels,
    simulated_annealing,
    slice_sampling,
    svgd,
    warm_up,
    window_warm_up,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "which_sampler.md"
TARGETS = {RandomWalk: 0.234, Barker: 0.4, MALA: 0.574, HMC: 0.8, DMALA: 0.574}
"""Acceptance that a step size is tuned to."""


class Run(NamedTuple):
    """What a run of some chains gave."""

    x: Any
    """[chains, draws, ...]."""
    acceptance: float
    per_kilo: float
    """Effective draws per 1,000 evaluations."""
    per_second: float
    """Effective draws per CPU second."""
    evaluations: float
    """A chain."""


def draws_of(key, sampler, energy, chains, num, thin, evaluations, statistic) -> Run:
    """`num` draws of every chain, run twice: the first call compiles."""
    sample(key, sampler, energy, chains, num, thin=thin)
    began = time.process_time()
    _, draws = jax.block_until_ready(sample(key, sampler, energy, chains, num, thin=thin))
    seconds = time.process_time() - began
    size = worst_ess(statistic(draws))
    spent = evaluations * num * thin
    total = spent * draws.energy.shape[0]
    return Run(draws.x, float(jnp.mean(draws.acceptance)), 1000 * size / total, size / seconds, spent)


def worst_ess(values: np.ndarray) -> float:
    """Of the worst quantity, [chains, draws, quantities]; NaN if some chain never moved."""
    values = np.asarray(values, np.float64).reshape(*values.shape[:2], -1)
    if np.any(np.all(values == values[:, :1], axis=1)):
        return float("nan")
    return float(np.min(array_stats.ess(values, method="mean", chain_axis=0, draw_axis=1)))


def both_moments(draws) -> np.ndarray:
    """x and x^2."""
    return np.concatenate([draws.x, np.square(draws.x)], axis=-1)


def tuned(seed: int, sampler, energy, xs, burn: int, windows: bool = False):
    """The kernel with its step size (by windows: and its mass) found and frozen, and its chains after `burn` steps."""
    first, second = jax.random.split(jax.random.key(seed))
    chains = init_chains(sampler, energy, xs)
    if windows:
        target = TARGETS.get(type(sampler), 0.8)
        sampler, chains = window_warm_up(first, sampler, energy, chains, 400, target)
    elif type(sampler) in TARGETS:
        sampler, chains = warm_up(first, sampler, energy, chains, 400, TARGETS[type(sampler)])
    chains, _ = advance(second, sampler, energy, chains, burn)
    return sampler, chains


def leapfrogs(sampler, energy, chains) -> float:
    """Mean work of a step of one of blackjax's kernels, told step by step."""
    counts = []
    for turn in range(10):
        chains, info = advance(jax.random.key(100 + turn), sampler, energy, chains, 1)
        counts.append(float(jnp.mean(info.num_steps)))
    return float(np.mean(counts))


def continuous(energy, xs, kernels: dict[str, tuple], found: Callable[[Any], str], num=600, statistic=both_moments):
    """A row a kernel: name -> (kernel, evaluations a step; None has its leapfrogs counted)."""
    rows = []
    for name, (kernel, evaluations) in kernels.items():
        sampler, chains = tuned(0, kernel, energy, xs, 500, "windows" in name)
        each = leapfrogs(sampler, energy, chains) if evaluations is None else evaluations
        thin = max(1, round(8 / each))
        run = draws_of(jax.random.key(7), sampler, energy, chains, num, thin, each, statistic)
        step = f"{float(sampler.step_size):.3g}" if hasattr(sampler, "step_size") else "-"
        rows.append([name, step, f"{run.acceptance:.2f}", f"{each:.0f}", *rates(run), found(run.x)])
    return rows


def rates(run: Run) -> list[str]:
    """Two columns; blank where a chain never moved."""
    if not np.isfinite(run.per_kilo):
        return ["-", "-"]
    return [f"{run.per_kilo:.2g}" if run.per_kilo < 100 else f"{run.per_kilo:.0f}", f"{run.per_second:,.0f}"]


HEAD = ["sampler", "step", "acceptance", "evaluations a step", "ESS / 1,000 evaluations", "ESS / second"]


def smooth():
    """A Gaussian in fifty dimensions, standard deviations 0.1 to 1."""
    scales = jnp.geomspace(0.1, 1.0, 50)
    energy = Gaussian(jnp.zeros(50), scales)
    xs = scales * jax.random.normal(jax.random.key(1), (16, 50))

    def found(x):
        ratio = np.var(np.asarray(x), axis=(0, 1)) / np.asarray(scales) ** 2
        return f"{ratio[0] - 1:+.1%}, {ratio[-1] - 1:+.1%}"

    kernels = {
        "`RandomWalk`": (RandomWalk(0.05), 1),
        "`Barker`": (Barker(0.05), 1),
        "`MALA`": (MALA(0.005), 1),
        "`MALA`, windows": (MALA(0.1), 1),
        "`HMC`, 15 leapfrogs, fixed": (HMC(0.05, 15), 15),
        "`HMC`, 15 leapfrogs, jittered": (HMC(0.05, 15, 0.5), 15),
        "`HMC`, 3 leapfrogs, jittered, windows": (HMC(0.3, 3, 0.5), 3),
        "`nuts`, windows": (nuts(0.1), None),
        "`Underdamped` (BAOAB)": (Underdamped(0.1, 2.0), 1),
        "`ULA`": (ULA(0.005), 1),
    }
    return [*HEAD, "variance of the narrowest, of the widest"], continuous(energy, xs, kernels, found)


def funnel():
    """Neal's funnel in ten dimensions; chains start where v = 0."""
    energy = Funnel(10)
    xs = jax.random.normal(jax.random.key(1), (16, 10)).at[:, 0].set(0.0)

    def found(x):
        v = np.asarray(x)[..., 0]
        return f"{np.mean(v < -5):.1%} (4.8%), {v.std():.2f} (3.00)"

    kernels = {
        "`RandomWalk`": (RandomWalk(0.3), 1),
        "`Barker`": (Barker(0.3), 1),
        "`MALA`": (MALA(0.1), 1),
        "`HMC`, 20 leapfrogs, jittered": (HMC(0.2, 20, 0.5), 20),
        "`nuts`, windows": (nuts(0.2), None),
        "`slice_sampling`": (slice_sampling(2.0), None),
    }
    statistic = lambda draws: np.stack([draws.x[..., 0], np.square(draws.x[..., 0])], axis=-1)  # noqa: E731
    rows = continuous(energy, xs, kernels, found, 1000, statistic)
    return [*HEAD, "P(v < -5), spread of v"], rows


def banana():
    """Haario's banana, ten long, bend 0.1."""
    energy = Banana(2, 10.0, 0.1)
    xs = jax.vmap(energy.sample)(jax.random.split(jax.random.key(1), 16))
    found = lambda x: f"{np.var(np.asarray(x)[..., 0]) / 100 - 1:+.1%}"  # noqa: E731
    kernels = {
        "`RandomWalk`": (RandomWalk(1.0), 1),
        "`Barker`": (Barker(1.0), 1),
        "`MALA`": (MALA(0.5), 1),
        "`HMC`, 20 leapfrogs, jittered": (HMC(0.5, 20, 0.5), 20),
        "`nuts`, windows": (nuts(0.5), None),
    }
    return [*HEAD, "variance along it"], continuous(energy, xs, kernels, found, 2000)


def bounded():
    """Ten exponential waiting times: a wall at 0."""
    energy = FunctionEnergy(lambda x: jnp.where(jnp.all(x > 0), jnp.sum(x), jnp.inf))
    log_time = FunctionEnergy(lambda y: jnp.sum(jnp.exp(y) - y))  # the Jacobian is in it
    xs = jax.random.exponential(jax.random.key(1), (16, 10))
    found = lambda x: f"{np.mean(np.asarray(x)) - 1:+.3f}"  # noqa: E731
    walls = {
        "`RandomWalk`": (RandomWalk(0.3), 1),
        "`MALA`": (MALA(0.05), 1),
        "`HMC`, 20 leapfrogs, jittered": (HMC(0.05, 20, 0.5), 20),
        "`slice_sampling`": (slice_sampling(1.0), None),
    }
    mapped = {"`HMC` in log x, 5 leapfrogs, jittered": (HMC(0.1, 5, 0.5), 5), "`MALA` in log x": (MALA(0.1), 1)}
    statistic = lambda draws: np.exp(draws.x)  # noqa: E731
    rows = continuous(energy, xs, walls, found, 600, lambda draws: np.asarray(draws.x))
    rows += continuous(log_time, jnp.log(xs), mapped, lambda y: found(np.exp(np.asarray(y))), 600, statistic)
    return [*HEAD, "mean, off by"], rows


def steep():
    """E = sum x^4 / 4 in ten dimensions, entered from |x_i| = 20."""
    energy = FunctionEnergy(lambda x: 0.25 * jnp.sum(x**4))
    xs = 20.0 * jnp.sign(jax.random.normal(jax.random.key(1), (64, 10)))
    rows = []
    for name, kernel in {
        "`RandomWalk`": RandomWalk(0.3),
        "`Barker`": Barker(0.4),
        "`MALA`": MALA(0.2),
        "`HMC`, 5 leapfrogs": HMC(0.25, 5),
        "`ULA`": ULA(0.02),
        "`TamedULA`": TamedULA(0.02),
    }.items():
        chains, said = advance(jax.random.key(2), kernel, energy, init_chains(kernel, energy, xs), 2000)
        value = jax.vmap(energy)(chains.states.x)
        away = np.mean(~np.isfinite(value) | (np.asarray(value) > 20.0))
        settled = np.asarray(value)[np.isfinite(value) & (np.asarray(value) <= 20.0)]
        mean = f"{settled.mean():.2f} +- {settled.std() / len(settled) ** 0.5:.2f}" if len(settled) else "-"
        flagged = np.mean(said.divergent)
        rows.append([name, f"{float(kernel.step_size):.3g}", f"{away:.0%}", f"{flagged:.0%}", mean])
    return ["sampler", "step", "chains still away", "flagged divergent", "mean energy of the others (2.5)"], rows


def wells():
    """A double well with a barrier of ten nats; all chains start in the one that is heavier by half a nat."""
    energy = DoubleWell(10.0, tilt=0.25)
    right = lambda x: x[:, 0] > 0.0  # noqa: E731
    exact = float(quadrature_exact(energy, [(-3.0, 3.0)], 1000, lambda x: right(x).astype(float)).observed)
    xs, rows, budget = -jnp.ones((64, 1)), [], 16_000
    betas = jnp.geomspace(1.0, 0.1, 4)
    steps = 0.01 / betas
    cycle = Cycle((MALA(0.01),) * 3 + (Independence(Gaussian(jnp.zeros(1), 1.2)),))
    kernels = {
        "`MALA`": (MALA(0.01), 1),
        "`HMC`, 20 leapfrogs": (HMC(0.1, 20), 20),
        "`ParallelTempering` of `MALA`, 4 levels": (ParallelTempering(MALA(0.01), betas, steps), 4),
        "`Cycle` of 3 `MALA` and `Independence`": (cycle, 7),
    }
    for name, (kernel, each) in kernels.items():
        chains = init_chains(kernel, energy, xs)
        num = budget // each // 4
        run = draws_of(jax.random.key(3), kernel, energy, chains, num, 4, each, lambda d: np.asarray(d.x) > 0.0)
        rows.append([name, f"{each}", *rates(run), share_of(np.asarray(run.x)[..., 0] > 0.0)])
    tempered = SimulatedTempering(MALA(0.01), betas, step_sizes=steps)
    chains = init_chains(tempered, energy, xs)
    tempered, chains = learn_weights(jax.random.key(4), tempered, energy, chains, 2000)
    _, x, level = sample_levels(jax.random.key(5), tempered, energy, chains, budget // 8, thin=4)
    cold = np.where(np.asarray(level) == 0, (np.asarray(x)[..., 0] > 0.0) * 1.0, np.nan)
    rows.append(["`SimulatedTempering` of `MALA`, 4 levels", "2", "-", "-", share_of(cold)])
    found = smc(jax.random.key(6), GeometricPath(Gaussian(jnp.zeros(1), 1.0), energy), MALA(0.05), num_particles=256)
    w = np.exp(np.asarray(found.log_weights) - np.max(found.log_weights)).reshape(16, -1)
    ups = np.sum(w * np.asarray(found.x > 0.0).reshape(16, -1), 1) / np.sum(w, 1)
    rows.append(["`smc`, 16 x 256 particles", "-", "-", "-", share_of(ups[:, None])])
    head = ["sampler", "evaluations a step", *HEAD[4:], f"right well's share (exact {exact:.3f})"]
    return head, rows


def share_of(hits: np.ndarray) -> str:
    """Mean over chains and its standard error from their scatter."""
    each = np.nanmean(hits, axis=1)
    return f"{each.mean():.3f} +- {each.std(ddof=1) / len(each) ** 0.5:.3f}"


def forty():
    """Forty equal modes of width 1.3 up to 80 apart; all chains start near the origin, 20,000 evaluations each."""
    energy = gmm40()
    xs = jax.random.normal(jax.random.key(1), (64, 2))
    betas = jnp.geomspace(1.0, 0.003, 10)
    steps = jnp.minimum(1.0 / betas, 100.0)
    wide = Independence(Gaussian(jnp.zeros(2), 25.0))
    kernels = {
        "`MALA`": (MALA(1.0), 1),
        "`HMC`, 20 leapfrogs": (HMC(1.0, 20), 20),
        "`ParallelTempering` of `MALA`, 10 levels": (ParallelTempering(MALA(1.0), betas, steps), 10),
        "`Cycle` of `MALA` and `Independence`": (Cycle((MALA(1.0), wide)), 4),
    }
    rows = []
    for name, (kernel, each) in kernels.items():
        chains = init_chains(kernel, energy, xs)
        num = 20_000 // each // 10
        _, draws = sample(jax.random.key(2), kernel, energy, chains, num, thin=10)
        rows.append([name, *modes(np.asarray(draws.x).reshape(-1, 2), energy)])
    found = smc(
        jax.random.key(3), GeometricPath(Gaussian(jnp.zeros(2), 25.0), energy), MALA(1.0),
        num_particles=256, betas=jnp.linspace(0.0, 1.0, 50), step_sizes=jnp.linspace(10.0, 1.0, 49),
    )  # fmt: skip
    w = np.exp(np.asarray(found.log_weights) - np.max(found.log_weights))
    rows.append(["`smc` from N(0, 25^2), 16 x 256 particles", *modes(np.asarray(found.x), energy, w)])
    exact = jax.vmap(energy.sample)(jax.random.split(jax.random.key(4), 4096))
    rows.append(["4,096 exact draws", *modes(np.asarray(exact), energy)])
    return ["sampler", "modes found of 40", "total variation of the modes' masses"], rows


def modes(x: np.ndarray, energy, weights: np.ndarray | None = None) -> list[str]:
    """How many modes are met, and how far their masses are from 1/40."""
    masses = np.bincount(nearest_mode(x, np.asarray(energy.means)), weights, 40)
    masses = masses / masses.sum()
    return [f"{np.sum(masses > 1e-4)}", f"{0.5 * np.abs(masses - 1 / 40).sum():.3f}"]


def bias():
    """What unadjusted methods do to the variance of a unit Gaussian."""
    rows = []
    for dim in (1, 2, 5, 10, 50):
        xs = jax.random.normal(jax.random.key(1), (100, dim))
        found = svgd(lambda x: 0.5 * jnp.sum(x**2), xs, 2000, step_size=0.1)
        rows.append(["`svgd`, 100 particles", f"{dim}", "-", f"{float(jnp.mean(jnp.var(found.x, axis=0))) - 1:+.0%}"])
    energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
    for h in (0.02, 0.1, 0.5):
        for name, kernel in {"`ULA`": ULA(h), "`Underdamped` (BAOAB)": Underdamped(float(np.sqrt(2 * h)))}.items():
            chains = init_chains(kernel, energy, jax.random.normal(jax.random.key(2), (1000, 10)))
            chains, _ = advance(jax.random.key(3), kernel, energy, chains, 500)
            _, draws = sample(jax.random.key(4), kernel, energy, chains, 200, thin=5)
            rows.append([name, "10", f"{kernel.step_size:.3g}", f"{np.var(np.asarray(draws.x)) - 1:+.2%}"])
    return ["method", "dim", "step", "variance"], rows


def critical():
    """The Ising torus at the critical coupling."""
    rows = []
    for side in (16, 32):
        energy = Ising.lattice((side, side), ISING_CRITICAL_COUPLING)
        exact = ising_torus(side, side, ISING_CRITICAL_COUPLING).energy
        kernels = {
            "`SwendsenWang`": SwendsenWang(),
            "`Wolff`": Wolff(),
        }
        num = 6_400 // side
        for name, kernel in kernels.items():
            chains = init_chains(kernel, energy, jnp.ones((8, side**2)))
            chains, _ = advance(jax.random.key(1), kernel, energy, chains, 200)
            statistic = lambda d: np.abs(np.mean(d.x, axis=2))[..., None]  # noqa: E731
            run = draws_of(jax.random.key(2), kernel, energy, chains, num, 1, 1, statistic)
            value = jax.vmap(jax.vmap(energy))(run.x)
            rows.append([name, f"{side}", f"{1000 / run.per_kilo:.3g}", f"{run.per_second:,.0f}",
                         against(np.asarray(value) / side**2, exact)])  # fmt: skip
        sweeps = 160 * num  # some hundred memories a lattice: from fifteen the time comes out half as long again
        args = {"num_sweeps": sweeps, "num_lattices": 32, "burn_in": 2000, "thin": 4}
        multispin(jax.random.key(3), (side, side), ISING_CRITICAL_COUPLING, **args)
        began = time.process_time()
        ran = jax.block_until_ready(multispin(jax.random.key(3), (side, side), ISING_CRITICAL_COUPLING, **args))
        seconds = time.process_time() - began
        size = worst_ess(np.abs(np.asarray(ran.magnetisation, np.float64))[..., None])
        time_ = 32 * sweeps / size
        rows.append(["`multispin`", f"{side}", f"{time_:.3g}", f"{size / seconds:,.0f}",
                     against(np.asarray(ran.energy) / side**2, exact)])  # fmt: skip
    return [
        "sampler",
        "side",
        "autocorrelation time of abs m, steps",
        "ESS / second",
        "energy a spin less Kaufman's",
    ], rows


def against(series: np.ndarray, exact: float) -> str:
    """Off by, with a standard error that knows the chains' memory."""
    size = worst_ess(series[..., None])
    return f"{series.mean() - exact:+.4f} +- {series.std() / size**0.5:.4f}"


def glass():
    """A Sherrington-Kirkpatrick glass of 18 spins at beta = 10, 64 chains of 36,000 energies each, from random starts."""
    energy = sherrington_kirkpatrick(jax.random.key(12), 18, 10.0, 0.05)
    pairs = lambda x: np.einsum("...i,...j->...ij", x, x)[..., *np.triu_indices(18, 1)]  # noqa: E731
    exact = enumerate_exact(energy, 18, observe=pairs)
    xs = jnp.where(jax.random.bernoulli(jax.random.key(1), 0.5, (64, 18)), 1.0, -1.0)
    betas = jnp.geomspace(1.0, 0.05, 6)
    kernels = {
        "`Gibbs`": (Gibbs(SPINS), 18),
        "`GibbsWithGradients`": (GibbsWithGradients(SPINS), 1),
        "`ParallelTempering` of `Gibbs`, 6 levels": (ParallelTempering(Gibbs(SPINS), betas), 6 * 18),
    }
    rows = []
    for name, (kernel, each) in kernels.items():
        chains = init_chains(kernel, energy, xs)
        thin = max(1, 18 // each)
        num = 36_000 // each // thin
        chains, _ = advance(jax.random.key(2), kernel, energy, chains, num * thin // 4)
        statistic = lambda d: np.asarray(d.energy)[..., None]  # noqa: E731
        run = draws_of(jax.random.key(3), kernel, energy, chains, num, thin, each, statistic)
        x = np.asarray(run.x)
        error = float(np.sqrt(np.mean((pairs(x).mean((0, 1)) - exact.observed) ** 2)))
        value = np.asarray(jax.vmap(jax.vmap(energy))(run.x))
        rows.append([name, *rates(run), f"{value.mean() - exact.energy:+.2f}", f"{error:.3f}"])
    found = simulated_annealing(jax.random.key(4), Gibbs(SPINS), energy, xs, jnp.geomspace(0.01, 1.0, 100))
    best = np.asarray(found.energy)
    ground = f"{np.mean(best < best.min() + 1e-3):.0%} of runs at the lowest energy met"
    rows.append(["`simulated_annealing`, 100 sweeps", "-", "-", "-", ground])
    return ["sampler", *HEAD[4:], "mean energy less exact, nats", "rms error of the 153 pair correlations"], rows


def discrete():
    """A Potts torus and an RBM: kernels by what an energy evaluation buys."""
    potts = Potts.lattice((8, 8), 3, 0.9)
    hot = jax.nn.one_hot(jax.random.randint(jax.random.key(1), (16, 64), 0, 3), 3)
    kernels = {
        "`Gibbs`": (Gibbs(CATEGORIES), 128),
        "`SiteMetropolis`": (SiteMetropolis(CATEGORIES, 64), 64),
        "`GibbsWithGradients`": (GibbsWithGradients(CATEGORIES), 1),
        "`DMALA`": (DMALA(CATEGORIES, 0.5), 1),
        "`CheckerboardGibbs`": (CheckerboardGibbs(CATEGORIES, colouring(lattice_edges((8, 8)), 64)), 2),
        "`SwendsenWang`": (SwendsenWang(), 1),
    }
    rows = kernel_rows("Potts 8 x 8, q = 3, K = 0.9", potts, hot, kernels, None)
    weights = 0.6 * jax.random.normal(jax.random.key(2), (100, 12))
    rbm = BernoulliRBM(weights, jnp.zeros(100), -0.5 * jnp.sum(weights, axis=0))
    exact = rbm_exact(rbm)
    starts = jax.random.bernoulli(jax.random.key(3), 0.5, (16, 100)).astype(jnp.float32)
    kernels = {
        "`BlockGibbs`": (BlockGibbs(), 1),
        "`Gibbs`": (Gibbs(BITS), 100),
        "`SiteMetropolis`": (SiteMetropolis(BITS, 100), 100),
        "`GibbsWithGradients`": (GibbsWithGradients(BITS), 1),
        "`DMALA`": (DMALA(BITS, 0.5), 1),
        "`DULA`": (DULA(BITS, 0.2), 1),
    }
    rows += kernel_rows("RBM 100 x 12", rbm, starts, kernels, exact.visible)
    sway = jax.random.normal(jax.random.key(4), (14,))
    box = FunctionEnergy(lambda x: 2.0 * jnp.cos(4.0 * jnp.sum(sway * x)))  # its slope says nothing of other corners
    mean = enumerate_exact(box, 14, (0.0, 1.0)).mean
    starts = jax.random.bernoulli(jax.random.key(5), 0.5, (16, 14)).astype(jnp.float32)
    kernels = {
        "`Gibbs`": (Gibbs(BITS), 14),
        "`SiteMetropolis`": (SiteMetropolis(BITS, 14), 14),
        "`GibbsWithGradients`": (GibbsWithGradients(BITS), 1),
        "`DMALA`": (DMALA(BITS, 0.5), 1),
    }
    rows += kernel_rows("14 bits, a black box", box, starts, kernels, mean)
    return ["target", "sampler", "acceptance", *HEAD[3:], "largest error of a mean"], rows


def kernel_rows(target, energy, xs, kernels, exact) -> list[list[str]]:
    """A row a kernel of discrete samples: the energy's effective draws, and the means where they are known."""
    rows = []
    for name, (kernel, each) in kernels.items():
        sampler, chains = tuned(0, kernel, energy, xs, 500 if each > 8 else 2000)
        thin, num = max(1, round(32 / each)), 500
        statistic = lambda d: np.asarray(d.energy)[..., None]  # noqa: E731
        run = draws_of(jax.random.key(7), sampler, energy, chains, num, thin, each, statistic)
        off = "-" if exact is None else f"{np.max(np.abs(np.asarray(run.x).mean((0, 1)) - exact)):.3f}"
        rows.append([target, name, f"{run.acceptance:.2f}", f"{each}", *rates(run), off])
    return rows


ORDER = (smooth, bias, funnel, banana, steep, bounded, wells, forty, critical, glass, discrete)
STUDIES = {study.__name__: study for study in ORDER}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Runs the studies that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--write", action="store_true", help="refresh the tables of docs/which_sampler.md")
    asked = parser.parse_args()
    for name in asked.only:
        began = time.process_time()
        text = table(*STUDIES[name]())
        print(f"## {name} ({time.process_time() - began:.0f} CPU s): {STUDIES[name].__doc__}\n\n{text}\n", flush=True)
        if asked.write:
            put(PAGE, name, text)


if __name__ == "__main__":
    main()
