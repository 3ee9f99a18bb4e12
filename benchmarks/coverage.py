"""Counts how often error bars hold the truth: estimators of log Z on five targets, and observables of chains.

    python benchmarks/coverage.py                              all of it, finished rows are kept
    python benchmarks/coverage.py --only "AIS" --runs 100      rows whose name holds these words
    python benchmarks/coverage.py --write                      and put the tables into docs/reliability.md

Runs are made side by side: one call with many chains (populations, walkers), which know nothing of each other, read in
groups of the size of one run, each summed up by the package's own words for an error bar. Schedules and step sizes are
frozen by one pilot. A star means that most runs say themselves that they are not `reliable`. Rows are kept in
runs/coverage.jsonl as they are made.
"""

import argparse
import dataclasses
import importlib
import json
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import coverage_observables
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from coverage_problems import PROBLEMS, Problem
from results import put
from scipy.special import stdtrit

from energax.free_energy import (
    AISResult,
    adapt_temperatures,
    ais,
    bar,
    bootstrap_interval,
    bracket,
    escorted,
    euler,
    jarzynski,
    mbar,
    perturbation,
    population_annealing,
    reverse_ais,
    reverse_jarzynski,
    smc,
    tune_path,
    wang_landau,
)
from energax.free_energy.ais import FEW
from energax.numerics.logspace import HEAVY_TAIL, effective_sample_size, log_mean_exp_error, tail_index
from energax.samplers import (
    MALA,
    SimulatedTempering,
    ULAPair,
    advance,
    init_chains,
    learn_weights,
    level_log_z,
)
from energax.samplers.chains import traced

nodes_module, thermodynamic = (importlib.import_module(f"energax.free_energy.{n}") for n in ("nodes", "thermodynamic"))
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
ROWS = ROOT / "runs" / "coverage.jsonl"
SEEN = "observable"


CHAINS, TEMPERATURES = 100, 150
POPULATIONS, PARTICLES = 16, 128


class Runs(NamedTuple):
    """What each of many runs said [runs]: its estimate, its error, intervals it gave besides [runs, 2], and whether it
    doubts them itself."""

    estimate: np.ndarray
    error: np.ndarray
    intervals: dict[str, np.ndarray]
    doubted: np.ndarray | None = None


def gathered(found: Iterable[tuple], doubted=None, **intervals) -> Runs:
    """Runs from pairs (estimate, error)."""
    estimate, error = np.array([[float(a), float(b)] for a, b in found]).T
    return Runs(estimate, error, {name: np.asarray(value) for name, value in intervals.items()}, doubted)


def exact_samples(problem: Problem, key, num: int) -> jax.Array:
    """Exact samples of the target."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    return jnp.asarray(problem.draw(rng, num), jnp.float32)


@cache
def plan(problem: Problem) -> dict:
    """A schedule of equal work and its step sizes, from one pilot."""
    betas, steps = tune_path(jax.random.key(77), problem.path, problem.kernel, num_temperatures=TEMPERATURES)
    return {"betas": betas, "step_sizes": steps}


@cache
def sparse_plan(problem: Problem) -> dict:
    """A schedule by conditional effective sample size and its step sizes, from one pilot."""
    betas, steps, _ = adapt_temperatures(jax.random.key(77), problem.path, problem.kernel)
    return {"betas": betas, "step_sizes": steps}


@partial(jax.jit, static_argnums=2)
def _figures(key, log_weights, runs):
    """log mean weight, its error and bootstrap interval of each run, and whether `AISResult` would doubt them."""
    parts = log_weights.reshape(runs, -1)
    found = jax.vmap(log_mean_exp_error)(parts)
    interval = jax.lax.map(lambda each: bootstrap_interval(*each), (jax.random.split(key, runs), parts))
    few = jax.vmap(effective_sample_size)(parts) < FEW
    return found, interval, few | (jax.vmap(tail_index)(parts) > HEAVY_TAIL)


def _annealed(key, found: AISResult, runs: int) -> Runs:
    """One annealed run of many chains read as many runs."""
    sign = 1.0 if found.direction == "forward" else -1.0
    (estimate, error), interval, doubted = _figures(key, found.log_weights, runs)
    ends = np.sort(sign * np.asarray(interval, np.float64), axis=1)
    estimate, error = sign * np.asarray(estimate, np.float64), np.asarray(error, np.float64)
    return Runs(estimate, error, {"bootstrap": ends}, np.asarray(doubted))


def forward_ais(problem: Problem, key, runs: int) -> Runs:
    """AIS from the base."""
    run, boot = jax.random.split(key)
    return _annealed(boot, ais(run, problem.path, problem.kernel, num_chains=runs * CHAINS, **plan(problem)), runs)


def backward_ais(problem: Problem, key, runs: int) -> Runs:
    """Reverse AIS from exact samples."""
    run, boot, data = jax.random.split(key, 3)
    xs = exact_samples(problem, data, runs * CHAINS)
    return _annealed(boot, reverse_ais(run, problem.path, problem.kernel, xs, start="exact", **plan(problem)), runs)


def both_ways(problem: Problem, key, runs: int) -> Runs:
    """The bracket of both."""
    one, two, data = jax.random.split(key, 3)
    up = ais(one, problem.path, problem.kernel, num_chains=runs * CHAINS, **plan(problem))
    xs = exact_samples(problem, data, runs * CHAINS)
    down = reverse_ais(two, problem.path, problem.kernel, xs, start="exact", **plan(problem))
    found = [bracket(*pair) for pair in zip(_parts(up, runs), _parts(down, runs), strict=True)]
    middle = [(each.midpoint, 0.5 * np.hypot(each.forward_error, each.reverse_error)) for each in found]
    doubted = np.array([any("too small" in said for said in each.verdict) for each in found])
    return gathered(middle, doubted, bracket=[(each.low, each.high) for each in found])


def _parts(found: AISResult, runs: int) -> list[AISResult]:
    (estimate, error), *_ = _figures(jax.random.key(0), found.log_weights, runs)
    sign = 1.0 if found.direction == "forward" else -1.0
    parts = np.asarray(found.log_weights).reshape(runs, -1)
    return [
        dataclasses.replace(found, log_weights=w, log_z=sign * e, std_error=s, ess=effective_sample_size(w))
        for w, e, s in zip(parts, np.asarray(estimate), np.asarray(error), strict=True)
    ]


def populations(problem: Problem, key, runs: int) -> Runs:
    """SMC on a schedule of conditional ESS."""
    found = smc(
        key, problem.path, problem.kernel, num_particles=PARTICLES, num_populations=runs * POPULATIONS,
        **sparse_plan(problem),
    )  # fmt: skip
    return _over_populations(found.population_log_z, runs)


def annealed_populations(problem: Problem, key, runs: int) -> Runs:
    """Population annealing on the same schedule."""
    found = population_annealing(
        key, problem.path, problem.kernel, num_particles=PARTICLES, num_populations=runs * POPULATIONS,
        **sparse_plan(problem),
    )  # fmt: skip
    return _over_populations(found.population_log_z[:, -1], runs)


def _over_populations(log_zs, runs: int) -> Runs:
    """Each run's own error, and Student's t for its few populations, as `smc` has it."""
    estimate, error = (np.asarray(a, np.float64) for a in jax.vmap(log_mean_exp_error)(log_zs.reshape(runs, -1)))
    reach = float(stdtrit(POPULATIONS - 1, 0.975)) * error
    return Runs(estimate, error, {"Student's t": np.stack([estimate - reach, estimate + reach], 1)})


def driven(problem: Problem, key, runs: int) -> Runs:
    """Jarzynski's works."""
    run, boot = jax.random.split(key)
    works = jarzynski(run, problem.path, problem.kernel, num_chains=runs * CHAINS, **plan(problem))
    return _perturbed(boot, works.work, "forward", runs)


def driven_back(problem: Problem, key, runs: int) -> Runs:
    """Works of the reversed protocol from exact samples."""
    run, boot, data = jax.random.split(key, 3)
    xs = exact_samples(problem, data, runs * CHAINS)
    works = reverse_jarzynski(run, problem.path, problem.kernel, xs, **plan(problem))
    return _perturbed(boot, works.work, "reverse", runs)


def unadjusted(problem: Problem, key, runs: int) -> Runs:
    """Jarzynski's works of a Langevin kernel without a Metropolis test."""
    run, boot = jax.random.split(key)
    gentle = plan(problem) | {"step_sizes": 0.3 * plan(problem)["step_sizes"]}
    works = jarzynski(run, problem.path, ULAPair(0.01), num_chains=runs * CHAINS, **gentle)
    return _perturbed(boot, works.work, "forward", runs)


def led(problem: Problem, key, runs: int) -> Runs:
    """Escorted works."""
    run, boot = jax.random.split(key)
    works = escorted(run, problem.path, problem.kernel, euler(problem.drift), num_chains=runs * CHAINS, **plan(problem))
    return _perturbed(boot, works.work, "forward", runs)


def _perturbed(key, works, direction: str, runs: int) -> Runs:
    parts = np.asarray(works, np.float64).reshape(runs, -1)
    keys = jax.random.split(key, runs)
    found = [perturbation(k, part, direction=direction) for k, part in zip(keys, parts, strict=True)]
    ends = [(-each.interval[1], -each.interval[0]) for each in found]
    doubted = np.array([not each.reliable for each in found])
    return gathered([(-each.delta_f, each.std_error) for each in found], doubted, bootstrap=ends)


def bennett_works(problem: Problem, key, runs: int) -> Runs:
    """BAR of works driven both ways."""
    one, two, data = jax.random.split(key, 3)
    ahead = jarzynski(one, problem.path, problem.kernel, num_chains=runs * CHAINS, **plan(problem))
    xs = exact_samples(problem, data, runs * CHAINS)
    back = reverse_jarzynski(two, problem.path, problem.kernel, xs, **plan(problem))
    return _joined(ahead.work, back.work, runs)


def _joined(ahead, back, runs: int) -> Runs:
    ahead, back = (np.asarray(works, np.float64).reshape(runs, -1) for works in (ahead, back))
    found = [bar(*pair) for pair in zip(ahead, back, strict=True)]
    return gathered((-each.delta_f, each.std_error) for each in found)


@eqx.filter_jit
def _base(path, key, num):
    return jax.vmap(path.base.sample)(jax.random.split(key, num))


@eqx.filter_jit
def _gap(path, x):
    """E_1 - E_0 of every sample."""
    return jax.vmap(lambda x: path.at(1.0)(x) - path.at(0.0)(x))(x)


def zwanzig(problem: Problem, key, runs: int) -> Runs:
    """Free energy perturbation in one step from the base."""
    draw, boot = jax.random.split(key)
    return _perturbed(boot, _gap(problem.path, _base(problem.path, draw, 4000 * runs)), "forward", runs)


def zwanzig_back(problem: Problem, key, runs: int) -> Runs:
    """Free energy perturbation in one step from the target."""
    draw, boot = jax.random.split(key)
    return _perturbed(boot, -_gap(problem.path, exact_samples(problem, draw, 4000 * runs)), "reverse", runs)


def bennett(problem: Problem, key, runs: int) -> Runs:
    """BAR of the two ends."""
    one, two = jax.random.split(key)
    ahead = _gap(problem.path, _base(problem.path, one, 1000 * runs))
    return _joined(ahead, -_gap(problem.path, exact_samples(problem, two, 1000 * runs)), runs)


NODES, WALKERS, DRAWS, BURN_IN = 12, 64, 100, 100
SETTLE = 1600
"""Steps at a node of MBAR's before its draws: with 100 the basins of the 2-D surface lag behind, by .9 error bars."""


def integrated(problem: Problem, key, runs: int) -> Runs:
    """Thermodynamic integration at Gauss and Legendre's nodes, 64 chains a run."""
    start, walk = jax.random.split(key)
    nodes, weights = thermodynamic._gauss_legendre(NODES)
    steps = _steps_at(problem, nodes)
    halves, acceptance = thermodynamic._walk(
        start, walk, problem.path, traced(problem.kernel, jnp.float32), jnp.asarray(nodes, jnp.float32), steps,
        runs * WALKERS, DRAWS, BURN_IN,
    )  # fmt: skip
    parts = np.split(np.asarray(halves, np.float64), runs, axis=2)
    found = [thermodynamic._summarise(nodes, weights, part, np.asarray(acceptance), DRAWS) for part in parts]
    return gathered((-each.delta_f, each.std_error) for each in found)


def many_states(problem: Problem, key, runs: int) -> Runs:
    """MBAR over draws of 64 chains at eight points of the path; a chain is a group."""
    places = np.round(np.linspace(0, TEMPERATURES - 1, 8)).astype(int)
    nodes, draws = plan(problem)["betas"][places], 10
    energies = nodes_module._energies(
        key, problem.path, traced(problem.kernel, jnp.float32), jnp.asarray(nodes, jnp.float32),
        _steps_at(problem, nodes[1:]), runs * WALKERS, draws, 5, SETTLE,
    )  # fmt: skip
    parts = np.asarray(energies, np.float64).reshape(8, 8, runs, -1)
    chain = np.tile(np.repeat(np.arange(WALKERS), draws), 8)
    found = [mbar(parts[:, :, run].reshape(8, -1), [WALKERS * draws] * 8, groups=chain) for run in range(runs)]
    return gathered((-each.delta_f[-1], each.std_errors[-1]) for each in found)


def tempered(problem: Problem, key, runs: int) -> Runs:
    """Simulated tempering over eight levels, its weights learned and then frozen, 64 chains a run."""
    learn, walk, start = jax.random.split(key, 3)
    nodes = plan(problem)["betas"][np.round(np.linspace(0, TEMPERATURES - 1, 8)).astype(int)]
    betas = jnp.asarray(nodes[::-1], jnp.float32)
    family, target = _family(problem), problem.path.target
    sampler = SimulatedTempering(problem.kernel, betas, step_sizes=_steps_at(problem, nodes[::-1]), family=family)
    chains = init_chains(sampler, target, _base(problem.path, start, runs * WALKERS))
    sampler, chains = learn_weights(learn, sampler, target, chains, 200)
    chains, _ = advance(walk, sampler, target, chains, 1000)
    found = [level_log_z(sampler, part) for part in _groups(chains, WALKERS)]
    return gathered((-each.estimate[-1], each.std_error[-1]) for each in found)


def _groups(tree, size: int) -> list:
    """Rows in groups."""
    num = jax.tree.leaves(tree)[0].shape[0]
    return [jax.tree.map(lambda leaf, at=at: leaf[at : at + size], tree) for at in range(0, num, size)]


@cache
def _family(problem: Problem) -> Callable:
    return lambda energy, beta: problem.path.at(beta)


def _steps_at(problem: Problem, places: np.ndarray):
    """The pilot's step sizes at points of the path; None for a kernel without."""
    betas, steps = plan(problem).values()
    return None if steps is None else jnp.asarray(np.exp(np.interp(places, betas[1:], np.log(steps))), jnp.float32)


def density_of_states(problem: Problem, key, runs: int) -> Runs:
    """Wang and Landau's walk, sixteen walkers a run."""
    energy, sites, starts, levels = problem.levels()
    walkers = 16
    xs = jnp.asarray(np.resize(starts, (runs * walkers, starts.shape[1])), jnp.float32)
    found = wang_landau(key, energy, sites, xs, levels, 4000 * len(levels))
    each = [dataclasses.replace(found, walkers=part).log_z(1.0) for part in _groups(found.walkers, walkers)]
    return gathered((one.estimate, one.std_error) for one in each)


ESTIMATORS = {
    "AIS": forward_ais,
    "reverse AIS": backward_ais,
    "AIS both ways": both_ways,
    "SMC": populations,
    "population annealing": annealed_populations,
    "Jarzynski": driven,
    "Jarzynski, reverse": driven_back,
    "Jarzynski, unadjusted Langevin": unadjusted,
    "escorted Jarzynski": led,
    "Crooks: BAR of driven works": bennett_works,
    "free energy perturbation": zwanzig,
    "free energy perturbation, reverse": zwanzig_back,
    "BAR of the two ends": bennett,
    "MBAR along the path": many_states,
    "thermodynamic integration": integrated,
    "simulated tempering": tempered,
    "Wang-Landau": density_of_states,
}


def possible(estimator: str, problem: Problem) -> bool:
    """Maps and Langevin kernels need gradients, Wang and Landau's walk needs levels."""
    needs = {
        "escorted Jarzynski": problem.drift is not None,
        "Jarzynski, unadjusted Langevin": isinstance(problem.kernel, MALA),
        "Wang-Landau": problem.levels is not None,
    }
    return needs.get(estimator, True)


def count(name: str, target: str, runs: int) -> dict:
    """`runs` independent runs -> how many intervals held the truth."""
    problem = PROBLEMS[target]()
    began = time.monotonic()
    found = ESTIMATORS[name](problem, jax.random.fold_in(jax.random.key(2026), list(ESTIMATORS).index(name)), runs)
    off = found.estimate - problem.log_z
    held = {"1.96 errors": int(np.sum(np.abs(off) <= 1.96 * found.error))}
    for kind, (low, high) in ((kind, ends.T) for kind, ends in found.intervals.items()):
        held[kind] = int(np.sum((low <= problem.log_z) & (problem.log_z <= high)))
    return {
        "table": "log Z",
        "name": name,
        "target": target,
        "runs": runs,
        "held": held,
        "doubted": 0 if found.doubted is None else int(np.sum(found.doubted)),
        "spread": float(np.std(off, ddof=1) / np.sqrt(np.mean(found.error**2))),
        "bias": float(np.mean(off) / np.mean(found.error)),
        "error": float(np.mean(found.error)),
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    """Makes what is missing and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name holds these words")
    parser.add_argument("--target", default="", help="targets whose name holds these words")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--again", action="store_true", help="make rows anew that are there")
    parser.add_argument("--write", action="store_true", help="refresh the table of docs/reliability.md")
    asked = parser.parse_args()
    rows = load()
    for name, target in ((n, t) for n in ESTIMATORS for t in PROBLEMS):
        if asked.only in name and asked.target in target and possible(name, PROBLEMS[target]()):
            kept = rows.get(("log Z", name, target))
            if asked.again or kept is None or kept["runs"] < asked.runs:
                keep(rows, [count(name, target, asked.runs)])
    for system in coverage_observables.systems():
        names = {row["name"]: row["runs"] for row in rows.values() if (row["table"], row["target"]) == (SEEN, system)}
        wanted = asked.only in SEEN and asked.target in system
        if wanted and (asked.again or min(names.values(), default=0) < asked.runs):
            found = coverage_observables.observed(system, jax.random.key(2027), asked.runs)
            keep(rows, [{"table": SEEN, "doubted": 0} | row for row in found])
    print(tables(rows))
    if asked.write:
        put(PAGE, "coverage", tables(rows))


def load() -> dict:
    """Rows that were made before, the newest of each."""
    lines = ROWS.read_text().splitlines() if ROWS.exists() else []
    return {(row["table"], row["name"], row["target"]): row for row in map(json.loads, lines)}


def keep(rows: dict, new: list[dict]) -> None:
    """Adds rows, also to the file."""
    ROWS.parent.mkdir(exist_ok=True)
    for row in new:
        rows[row["table"], row["name"], row["target"]] = row
        print(json.dumps(row), flush=True)
        with ROWS.open("a") as file:
            file.write(json.dumps(row) + "\n")


def tables(rows: dict) -> str:
    """Intervals in a hundred that held the truth."""
    runs = sorted({row["runs"] for row in rows.values()})
    said = f"Of {' or '.join(str(number) for number in runs)} runs; jax {jax.__version__}, numpy {np.__version__}."
    parts = [said, table(rows, "log Z", list(PROBLEMS))]
    spins = [name for name in coverage_observables.systems() if name not in PROBLEMS]
    parts += [table(rows, SEEN, spins), table(rows, SEEN, [n for n in coverage_observables.systems() if n in PROBLEMS])]
    return "\n\n".join(part for part in parts if part)


def table(rows: dict, what: str, targets: list[str]) -> str:
    """Estimators and their kinds of interval down, targets across."""
    mine = {key: row for key, row in rows.items() if key[0] == what and key[2] in targets}
    if not mine:
        return ""
    lines = ["| " + what + " | interval | " + " | ".join(targets) + " |", "|---|---|" + "---:|" * len(targets)]
    order = list(ESTIMATORS) if what == "log Z" else []
    for name in dict.fromkeys([*order, *(key[1] for key in mine)]):
        here = {key[2]: row for key, row in mine.items() if key[1] == name}
        for kind in dict.fromkeys(kind for row in here.values() for kind in row["held"]):
            cells = [cell(here.get(target), kind) for target in targets]
            lines.append(f"| {name.replace('_', ' ')} | {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(row: dict | None, kind: str) -> str:
    """The share in per cent, bold where it is outside of 90 to 99; with a star where most runs doubted it themselves."""
    if row is None:
        return "-"
    share = 100.0 * row["held"][kind] / row["runs"]
    star = r"\*" if row["doubted"] > 0.5 * row["runs"] else ""
    return f"{share:.1f}{star}" if 90.0 <= share <= 99.0 else f"**{share:.1f}**{star}"


if __name__ == "__main__":
    main()
