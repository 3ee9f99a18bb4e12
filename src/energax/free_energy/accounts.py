"""One account an estimator: its log Z, error bar, interval, effective samples, dissipation and cost, on shared terms.

Source: those of the estimators themselves, named in ledger.py; Student's t for intervals over few groups: Student
(1908), The probable error of a mean, doi:10.1093/biomet/6.1.1.
Estimates log Z, each account from keys of its own but for the runs and target samples that two of them share. Cost: as
counted by cost.py and told in each account; shared runs are charged to each. Refuses nothing; ledger.py has the door.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Scalar
from scipy.special import stdtrit

from energax.core import AbstractPath, AbstractSampler, Key, X
from energax.numerics.logspace import HEAVY_TAIL, effective_sample_size

from .ais import AISResult, _forward as run_forward, annealed_weights, summarise, target_energies, work
from .bar import bar
from .cost import Cost, count_evaluations
from .crooks import crooks
from .escorted import Escort, _run as run_escorted, escorted_works
from .jarzynski import _forward as run_driven, exact_starts, forward_works
from .nodes import mbar_along, node_energies
from .perturbation import perturbation
from .population import exact_populations
from .population_annealing import _run as run_annealed, _summarise as summarise_annealed, anneal_populations
from .reverse_ais import _reverse as run_reverse, reverse_weights
from .smc import _run as run_populations, populations_run, summarise as summarise_populations
from .thermodynamic import _walk as walk_nodes, thermodynamic_integration

WALKERS = 64  # chains of ti and mbar, at most: fewer and longer, since they must settle at every node
NODES = 12
_PERTURBED = 20_000  # works of fep, at most
_FEW = 20.0  # effective samples below which an error bar is not believed
_OVERLAP = 0.03  # the same for the overlap of two states
_DRIFT = 4.0  # standard errors from the first half of the draws to the second beyond which chains have not settled


@dataclass(frozen=True)
class Account:
    """What one estimator says; nats.

    Attributes:
        name: Of the estimator.
        log_z: Its estimate.
        std_error: Its standard error.
        low: Lower end of its 95 % interval.
        high: Upper end.
        ess: Effective samples behind the estimate; None where the estimator has no such number.
        samples: Samples (chains, particles, works, draws) behind it.
        dissipation: Mean work less Delta F; None where no work is done.
        energies: Energies of the path evaluated, before the compiler merges equal ones.
        gradients: Gradients evaluated, each with its energy.
        bounded: Whether those are all (False: a loop of unknown length was counted once).
        weak: Too few effective samples, too heavy a tail or too little overlap for the error bar to be believed, or "".
        z: (log_z - the reference's) over their joint standard error; 0 for the reference itself.
    """

    name: str
    log_z: float
    std_error: float
    low: float
    high: float
    ess: float | None
    samples: int
    dissipation: float | None
    energies: int
    gradients: int
    bounded: bool
    weak: str
    z: float = math.nan


def stay(x: X, here: Scalar, there: Scalar) -> X:
    """The map that leads nowhere."""
    return x


@dataclass
class Terms:
    """What all accounts share. `targets` are samples of the target, or None where no account asks for them."""

    key: Key
    path: AbstractPath
    kernel: AbstractSampler
    betas: Array
    step_sizes: Array | None
    num_chains: int
    budget: int
    steps: int
    targets: X | None
    escort: Escort
    runs: dict[str, AISResult] = field(default_factory=dict)

    def at(self, number: int) -> Key:
        """The key of account number `number`."""
        return jax.random.fold_in(self.key, number)

    def numbers(self, values: np.ndarray | None) -> Array | None:
        """As an array of the run's type."""
        return None if values is None else jnp.asarray(values, self.betas.dtype)

    def steps_at(self, places: np.ndarray) -> np.ndarray | None:
        """Step sizes at points of the path, between those of the schedule."""
        if self.step_sizes is None:
            return None
        betas, log_steps = np.asarray(self.betas, np.float64)[1:], np.log(np.asarray(self.step_sizes, np.float64))
        return np.exp(np.interp(places, betas, log_steps))


def forward_run(terms: Terms) -> AISResult:
    """The forward annealed run, made once."""
    if "forward" not in terms.runs:
        start, walk, boot = jax.random.split(terms.at(0), 3)
        xs = exact_starts(start, terms.path, terms.num_chains)
        found = run_forward(walk, terms.path, terms.kernel, xs, terms.betas, terms.step_sizes, terms.steps)
        terms.runs["forward"] = _summary(terms, boot, *found, direction="forward", start="base")
    return terms.runs["forward"]


def reverse_run(terms: Terms) -> AISResult:
    """The reverse annealed run, made once."""
    if "reverse" not in terms.runs:
        walk, boot = jax.random.split(terms.at(1))
        found = run_reverse(walk, terms.path, terms.kernel, terms.targets, terms.betas, terms.step_sizes, terms.steps)
        terms.runs["reverse"] = _summary(terms, boot, *found, direction="reverse", start="exact")
    return terms.runs["reverse"]


def _summary(terms, boot, log_weights, x, acceptance, *, direction, start) -> AISResult:
    energy = target_energies(terms.path, terms.betas, x)
    return summarise(
        boot, log_weights, x=x, energy=energy, acceptance=acceptance, betas=terms.betas, step_sizes=terms.step_sizes,
        direction=direction, start=start, reversible=terms.kernel.reversible,
    )  # fmt: skip


def _forward_cost(terms: Terms) -> Cost:
    def run(path):
        xs = exact_starts(terms.key, path, terms.num_chains)
        return annealed_weights(terms.key, path, terms.kernel, xs, terms.betas, terms.step_sizes, terms.steps)[0]

    return count_evaluations(run, terms.path)


def _reverse_cost(terms: Terms) -> Cost:
    def run(path):
        betas, steps = terms.betas, terms.step_sizes
        return reverse_weights(terms.key, path, terms.kernel, terms.targets, betas, steps, terms.steps)[0]

    return count_evaluations(run, terms.path)


def account(
    name: str,
    log_z: float,
    std_error: float,
    interval: tuple[float, float],
    cost: Cost,
    samples: int,
    *,
    ess: float | None = None,
    tail: float = 0.0,
    dissipation: float | None = None,
    overlap: float | None = None,
    drift: float = 0.0,
) -> Account:
    """An account with its weakness named."""
    weak = ""
    if not (math.isfinite(log_z) and math.isfinite(std_error)):
        weak = "not finite"
    elif ess is not None and not ess >= _FEW:
        weak = f"{ess:.1f} effective samples"
    elif tail > HEAVY_TAIL:
        weak = f"heavy tail of weights, index {tail:.2f}"
    elif overlap is not None and not overlap >= _OVERLAP:
        weak = f"overlap {overlap:.1e}"
    elif not abs(drift) < _DRIFT:
        weak = f"chains still moving, {drift:+.1f} standard errors from one half to the other"
    low, high = min(interval), max(interval)
    return Account(
        name, log_z, std_error, low, high, ess, samples, dissipation, cost.energies, cost.gradients, cost.bounded, weak
    )


def refused(name: str, refusal: ValueError, cost: Cost, samples: int) -> Account:
    """The account of an estimator that refuses what it was given: no figures, and its own words for a weakness."""
    nothing = account(name, math.nan, math.inf, (-math.inf, math.inf), cost, samples)
    return replace(nothing, weak=str(refusal).rstrip("."))


def normal(log_z: float, std_error: float, freedom: int | None = None) -> tuple[float, float]:
    """The 95 % interval of a normal estimate, or by Student's t with `freedom` degrees of freedom."""
    reach = (1.959964 if freedom is None else float(stdtrit(freedom, 0.975))) * std_error
    return log_z - reach, log_z + reach


def of_ais(terms: Terms) -> Account:
    """The forward annealed run."""
    return _of_run("ais", forward_run(terms), _forward_cost(terms), 1.0)


def of_reverse(terms: Terms) -> Account:
    """The reverse annealed run."""
    return _of_run("reverse ais", reverse_run(terms), _reverse_cost(terms), -1.0)


def _of_run(name: str, run: AISResult, cost: Cost, sign: float) -> Account:
    log_z = float(run.log_z)
    lost = -float(jnp.mean(run.log_weights)) + sign * log_z
    ends = (float(run.interval[0]), float(run.interval[1]))
    num = run.log_weights.shape[0]
    ess, tail = float(run.ess), float(run.tail_index)
    return account(name, log_z, float(run.std_error), ends, cost, num, ess=ess, tail=tail, dissipation=lost)


def of_smc(terms: Terms) -> Account:
    """Populations on the same schedule, resampled systematically below half their particles."""
    start, walk = jax.random.split(terms.at(2))
    xs = _populations(terms, start)
    half = jnp.asarray(0.5, terms.betas.dtype)
    given = (xs, terms.betas, terms.step_sizes, half, terms.steps, "systematic")
    ran = run_populations(walk, terms.path, terms.kernel, *given)
    found = summarise_populations(terms.path, terms.betas, terms.step_sizes, *ran)
    cost = count_evaluations(lambda p: populations_run(walk, p, terms.kernel, *given)[0].log_z, terms.path)
    ess, num = float(effective_sample_size(found.log_weights)), found.log_weights.shape[0]
    ends = (float(found.interval[0]), float(found.interval[1]))
    return account("smc", float(found.log_z), float(found.std_error), ends, cost, num, ess=ess)


def of_population(terms: Terms) -> Account:
    """Population annealing on the same schedule: it resamples at every temperature."""
    start, walk = jax.random.split(terms.at(8))
    xs = _populations(terms, start)
    given = (xs, terms.betas, terms.step_sizes, terms.steps, "systematic")
    ran = run_annealed(walk, terms.path, terms.kernel, *given)
    found = summarise_annealed(terms.path, terms.betas, terms.step_sizes, *ran)
    cost = count_evaluations(lambda p: anneal_populations(walk, p, terms.kernel, *given)[1], terms.path)
    num, populations = found.log_weights.shape[0], found.rho.shape[0]
    ess = float(jnp.sum(num / populations / found.rho))  # families of one ancestor count once
    log_z, error = float(found.log_z[-1]), float(found.std_error[-1])
    return account("population", log_z, error, normal(log_z, error, populations - 1), cost, num, ess=ess)


def _populations(terms: Terms, key: Key) -> X:
    """Exact base samples in 16 populations, or fewer where there are few chains."""
    populations = 16 if terms.num_chains >= 64 else max(2, terms.num_chains // 4)
    return exact_populations(key, terms.path, populations, terms.num_chains // populations)


def of_jarzynski(terms: Terms) -> Account:
    """Works of an even protocol, forwards."""
    start, walk, boot = jax.random.split(terms.at(3), 3)
    even = np.linspace(0.0, 1.0, terms.betas.shape[0])
    steps = terms.numbers(terms.steps_at(even[1:]))
    xs = exact_starts(start, terms.path, terms.num_chains)
    given = (terms.kernel, xs, jnp.asarray(even, terms.betas.dtype), steps, terms.steps)
    works = np.asarray(run_driven(walk, terms.path, *given)[0], np.float64)
    cost = count_evaluations(lambda p: forward_works(walk, p, *given)[0], terms.path)
    return _of_works("jarzynski", boot, works, cost)


def of_escorted(terms: Terms) -> Account:
    """Works on the same schedule, each change of the energy led by the map."""
    start, walk, boot = jax.random.split(terms.at(9), 3)
    xs = exact_starts(start, terms.path, terms.num_chains)
    given = (terms.kernel, terms.escort, xs, terms.betas, terms.step_sizes, terms.steps)
    works, _, _, folded = run_escorted(walk, terms.path, *given)
    cost = count_evaluations(lambda p: escorted_works(walk, p, *given)[0], terms.path)
    found = _of_works("escorted", boot, np.asarray(works, np.float64), cost)
    return replace(found, weak="its map is not one-to-one") if int(folded) else found


def of_fep(terms: Terms) -> Account:
    """Zwanzig's formula from base samples."""
    start, boot = jax.random.split(terms.at(4))
    xs = exact_starts(start, terms.path, max(2, min(terms.budget, _PERTURBED)))
    works = -np.asarray(_gap(terms, xs), np.float64)
    return _of_works("fep", boot, works, count_evaluations(lambda p: _gap_of(p, terms.betas, xs), terms.path))


def _of_works(name: str, boot: Key, works: np.ndarray, cost: Cost) -> Account:
    if not np.any(np.isfinite(works)):
        return account(name, math.nan, math.inf, (-math.inf, math.inf), cost, len(works), ess=0.0)
    found = perturbation(boot, works)
    ends = (-found.interval[0], -found.interval[1])
    lost = float(np.mean(works)) - found.delta_f
    return account(
        name, -found.delta_f, found.std_error, ends, cost, len(works), ess=found.ess, tail=found.tail_index,
        dissipation=lost,
    )  # fmt: skip


def of_crooks(terms: Terms) -> Account:
    """BAR of the works of both annealed runs."""
    cost = _forward_cost(terms).plus(_reverse_cost(terms))
    try:
        found = crooks(forward_run(terms), reverse_run(terms))
    except ValueError as refusal:  # works that break the second law, or have no weight
        return refused("crooks", refusal, cost, 2 * terms.num_chains)
    num, joined = found.bar.num_forward + found.bar.num_reverse, found.bar
    ends = normal(-joined.delta_f, joined.std_error)
    lost = found.dissipation_forward
    return account(
        "crooks", -joined.delta_f, joined.std_error, ends, cost, num, dissipation=lost, overlap=joined.overlap
    )


def of_bar(terms: Terms) -> Account:
    """BAR of the end states, from as many samples of each."""
    num = jax.tree.leaves(terms.targets)[0].shape[0]
    xs = exact_starts(terms.at(5), terms.path, num)
    ahead, back = -np.asarray(_gap(terms, xs), np.float64), np.asarray(_gap(terms, terms.targets), np.float64)
    cost = count_evaluations(
        lambda p: (_gap_of(p, terms.betas, xs), _gap_of(p, terms.betas, terms.targets)), terms.path
    )
    try:
        found = bar(ahead, back)
    except ValueError as refusal:  # as of crooks: samples that are none of the target's
        return refused("bar", refusal, cost, 2 * num)
    ends = normal(-found.delta_f, found.std_error)
    lost = float(np.mean(ahead)) - found.delta_f
    return account(
        "bar", -found.delta_f, found.std_error, ends, cost, 2 * num, dissipation=lost, overlap=found.overlap
    )  # fmt: skip


def of_mbar(terms: Terms) -> Account:
    """MBAR over nodes of the schedule."""
    length = terms.betas.shape[0]
    places = np.unique(np.round(np.linspace(0, length - 1, min(NODES, length))).astype(int))
    walkers = min(WALKERS, terms.num_chains)
    each = max(6, terms.budget // (walkers * (len(places) - 1)))
    burn, thin = max(1, each // 3), 4
    draws = max(1, (each - burn) // thin)
    nodes = np.asarray(terms.betas, np.float64)[places]
    steps = None if terms.step_sizes is None else np.asarray(terms.step_sizes, np.float64)[places[1:] - 1]
    counts = {"num_chains": walkers, "num_draws": draws, "thin": thin, "burn_in": burn}
    at, moves = jnp.asarray(nodes, terms.betas.dtype), terms.numbers(steps)

    def run(path):
        return node_energies(terms.at(6), path, terms.kernel, at, moves, walkers, draws, thin, burn)

    cost = count_evaluations(run, terms.path)
    try:
        found = mbar_along(terms.at(6), terms.path, terms.kernel, nodes=nodes, step_sizes=steps, **counts)
    except ValueError as refusal:  # draws that do not connect the nodes, or energies that are no numbers
        return refused("mbar", refusal, cost, walkers * draws * len(nodes))
    log_z, error, log_weights = -float(found.delta_f[-1]), float(found.std_errors[-1]), found.log_weights
    ess = float(np.exp(-np.logaddexp.reduce(2 * log_weights[-1])))
    return account("mbar", log_z, error, normal(log_z, error, walkers - 1), cost, log_weights.shape[1], ess=ess)


def of_ti(terms: Terms) -> Account:
    """Thermodynamic integration at Gauss-Legendre nodes."""
    walkers = min(WALKERS, terms.num_chains)
    each = max(6, terms.budget // (walkers * NODES))
    burn = max(1, each // 3)
    steps = terms.steps_at(places := 0.5 * (np.polynomial.legendre.leggauss(NODES)[0] + 1.0))
    found = thermodynamic_integration(
        terms.at(7), terms.path, terms.kernel, num_chains=walkers, num_nodes=NODES, num_draws=each - burn,
        burn_in=burn, step_sizes=steps, pilot_chains=0,
    )  # fmt: skip
    at, moves, draws = jnp.asarray(places, terms.betas.dtype), terms.numbers(steps), each - burn
    cost = count_evaluations(
        lambda p: walk_nodes(terms.key, terms.key, p, terms.kernel, at, moves, walkers, draws, burn), terms.path
    )
    log_z, error, num = -found.delta_f, found.std_error, walkers * NODES * draws
    return account("ti", log_z, error, normal(log_z, error, walkers - 1), cost, num, drift=found.drift)


ACCOUNTS: dict[str, Callable[[Terms], Account]] = {
    "ais": of_ais,
    "reverse ais": of_reverse,
    "smc": of_smc,
    "population": of_population,
    "jarzynski": of_jarzynski,
    "crooks": of_crooks,
    "escorted": of_escorted,
    "bar": of_bar,
    "mbar": of_mbar,
    "ti": of_ti,
    "fep": of_fep,
}
NEED_TARGETS = ("reverse ais", "crooks", "bar")


def _gap(terms: Terms, xs: X) -> Array:
    return jax.jit(lambda xs: _gap_of(terms.path, terms.betas, xs))(xs)


def _gap_of(path: AbstractPath, betas: Array, xs: X) -> Array:
    """E_0(x) - E_1(x) of every sample, nats."""
    return work(path, betas[0], betas[-1], xs)
