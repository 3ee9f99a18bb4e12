"""What is measured of a trained model, part by part: chains, log Z, likelihood, samples, foreign data, the plane.

Each part takes the problem, the averaged model and what earlier parts found, and returns plain numbers for
evaluation.json and arrays for the figures. Seeds are fixed, so measuring twice gives the same.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from energax import data
from energax.core import AbstractClassifierEnergy, AbstractEnergy, Chains, Key
from energax.evaluation import (
    best_kernel_kl,
    c2st,
    class_total_variation,
    classifier_frechet,
    compare_on_grid,
    detect,
    energy_values,
    fit_baselines,
    fit_bit_baselines,
    fit_classifier_features,
    grid_log_z,
    held_out,
    held_out_nll,
    make_grid,
    mmd,
    nearest_neighbour,
    sliced_wasserstein,
    summary,
)
from energax.free_energy import AISResult, Bracket, ais, bracket, reverse_ais
from energax.numerics.resampling import systematic
from energax.objectives import JarzynskiState, Walkers
from energax.samplers import HMC, MALA, BlockGibbs, Draws, advance, init_chains, sample, warm_up
from energax.training import TrainState

from .build import Problem, toy_density

DIAGNOSED_DRAWS = 100  # draws a chain for R-hat and ESS, at least
_KERNEL_WIDTHS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)  # of the data's standard deviation
TARGET = {"MALA": 0.574, "HMC": 0.65}
"""Acceptance that the step size is warmed up to, by kernel."""
_SHOWN = 400  # samples, data and energies kept for the figures

Kernel = MALA | HMC | BlockGibbs
Parts = tuple[dict[str, Any], dict[str, np.ndarray]]


class LogZ(NamedTuple):
    """Annealed runs in both directions and what they say together."""

    forward: list[AISResult]
    reverse: list[AISResult]
    bracket: Bracket | None


def tuned_sampler(problem: Problem, state: TrainState) -> Kernel:
    """The kernel to measure with: the recipe's, at its trained step size; MALA where the recipe's has no test.

    Of a machine it is block Gibbs, whatever trained it.
    """
    config: Any = problem.config.sampler
    if problem.config.is_of_bits:
        return BlockGibbs()
    steps = [getattr(objective, "log_step", None) for objective in _carried(state)]
    step = next((float(jnp.exp(value)) for value in steps if value is not None), config.step_size)
    return HMC(step, config.num_leapfrog) if config.kind == "hmc" else MALA(step)


def walkers(state: TrainState) -> jax.Array | None:
    """Walkers that a run kept and that stand for the model, `[walkers, dim]`, or None where its rule keeps none.

    Those of a buffer as they are, the cold ends of ladders, and held-out weighted walkers drawn by their weights.
    """
    for objective in _carried(state):
        if isinstance(objective, JarzynskiState):
            held: Walkers = objective.walkers.states
            weights = held.log_weights[len(held.log_weights) // 2 :]  # the auditors
            return held.x[len(weights) :][systematic(jax.random.key(0), weights)]
        if isinstance(objective, Chains):
            return objective.states.x
        buffer = getattr(objective, "buffer", None)
        if buffer is not None:
            return buffer.samples.states
    return None


def _carried(state: TrainState) -> list[Any]:
    """What each rule carries, those of a sum of rules one by one."""
    found: list[Any] = []
    for objective in state.objectives:
        found += objective if type(objective) is tuple else [objective]
    return found


def log_z_forward(key: Key, problem: Problem, energy: AbstractEnergy, sampler: Kernel) -> list[AISResult]:
    """One forward run for each schedule length of the recipe."""
    evaluation, path = problem.config.evaluation, problem.path(energy)
    keys = jax.random.split(key, len(evaluation.ais_temperatures))
    return [
        ais(k, path, sampler, num_chains=evaluation.ais_chains, num_temperatures=num)
        for k, num in zip(keys, evaluation.ais_temperatures, strict=True)
    ]


def warm_chains(
    key: Key, problem: Problem, energy: AbstractEnergy, sampler: Kernel, starts: jax.Array
) -> tuple[Kernel, Chains]:
    """Burn-in with an adapting step from `starts` (repeated if too few) -> (the kernel, its step frozen; chains)."""
    evaluation = problem.config.evaluation
    rows = jnp.arange(evaluation.chains) % starts.shape[0]
    chains = init_chains(sampler, energy, starts[rows])
    if not evaluation.burn_in:
        return sampler, chains
    if isinstance(sampler, BlockGibbs):
        return sampler, advance(key, sampler, energy, chains, evaluation.burn_in)[0]
    return warm_up(key, sampler, energy, chains, evaluation.burn_in, TARGET[type(sampler).__name__])


def draw_chains(
    key: Key, problem: Problem, energy: AbstractEnergy, sampler: Kernel, starts: jax.Array
) -> tuple[Kernel, Draws]:
    """Warm chains, then their draws, enough for a diagnosis."""
    evaluation = problem.config.evaluation
    tune, run = jax.random.split(key)
    sampler, chains = warm_chains(tune, problem, energy, sampler, starts)
    num = max(math.ceil(evaluation.samples / evaluation.chains), DIAGNOSED_DRAWS)
    return sampler, sample(run, sampler, energy, chains, num, thin=evaluation.thin)[1]


def measure_chains(problem: Problem, draws: Draws) -> Parts:
    """R-hat and ESS of the energy and of the data's first principal coordinates; traces for the figure."""
    x = np.asarray(draws.x, np.float64)
    rows = problem.to_data(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1)
    flat = problem.train.flat().astype(np.float64)
    if flat.shape[1] > 3:
        axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2][:3]
        quantities, names = (rows - flat.mean(axis=0)) @ axes.T, ["component 1", "component 2", "component 3"]
    else:
        quantities, names = rows, [f"x[{i}]" for i in range(rows.shape[-1])]
    energy = np.asarray(draws.energy, np.float64)
    found = summary(np.concatenate([energy[..., None], quantities], axis=-1), names=["energy", *names],
                    acceptance=np.asarray(draws.acceptance, np.float64))  # fmt: skip
    found["divergent"] = float(np.mean(np.asarray(draws.divergent)))
    arrays = {"trace": energy[:8].astype(np.float32)}
    if x.shape[-1] == 2:
        arrays["chains_xy"] = rows[:200].astype(np.float32)
    return {"chains": found}, arrays


def log_z_both(
    key: Key, problem: Problem, energy: AbstractEnergy, sampler: Kernel, forward: list[AISResult], draws: Draws
) -> LogZ:
    """Reverse runs from the ends of the chains along the forward runs' schedules, and the bracket."""
    if not problem.config.evaluation.reverse:
        return LogZ(forward, [], None)
    path = problem.path(energy)
    ends = draws.x[: problem.config.evaluation.ais_chains, -1]
    keys = jax.random.split(key, len(forward))
    reverse = [
        reverse_ais(k, path, sampler, ends, start="chains", betas=run.betas, step_sizes=run.step_sizes)
        for k, run in zip(keys, forward, strict=True)
    ]
    return LogZ(forward, reverse, bracket(forward, reverse))


def measure_log_z(found: LogZ, exact: float | None) -> dict[str, Any]:
    """The runs as tables, the bracket and the verdict."""
    table: dict[str, Any] = {
        "forward": [run.as_dict(f"forward, {run.betas.shape[0]} temperatures") for run in found.forward],
        "reverse": [run.as_dict(f"reverse, {run.betas.shape[0]} temperatures") for run in found.reverse],
        "exact": exact,
    }
    if found.bracket is not None:
        both = found.bracket
        table |= {
            "bracket": [both.low, both.high],
            "agree_within": both.tolerance,
            "agree": both.agree,
            "spread": both.spread,
            "strict": both.strict,
            "remarks": list(both.verdict),
        }
    return {"log_z": table}


def measure_likelihood(
    problem: Problem, energies: dict[str, np.ndarray], found: LogZ, fitted: dict[str, Any], exact: float | None
) -> dict[str, Any]:
    """Negative log-likelihood of held-out and training data beside the baselines fitted to the same data."""
    last = found.forward[-1]
    log_z: Any = exact if exact is not None else (found.bracket if found.bracket is not None else float(last.log_z))
    error = 0.0 if exact is not None or found.bracket is not None else float(last.std_error)
    dim, log_det = problem.coordinates.mean.shape[0], float(problem.coordinates.log_det)
    scored = {
        side: held_out(energies[side], log_z, dim=dim, log_z_error=error, log_det=log_det) for side in ("test", "train")
    }
    test = noisy(problem, problem.test.x, 2)
    named = "sample" if problem.train.image_shape is None else "image"
    return {
        "likelihood": {
            "nll_test": scored["test"].nll,
            "nll_test_se": scored["test"].nll_se,
            "nll_train": scored["train"].nll,
            "nll_bracket": list(scored["test"].nll_bracket),
            "bits_per_dim": scored["test"].bits_per_dim,
            "units": f"nats per {named}",
            "baselines": {name: held_out_nll(baseline, test) for name, baseline in fitted.items()},
        }
    }


def noisy(problem: Problem, x: np.ndarray, seed: int) -> np.ndarray:
    """Flat rows of x with the same draw of noise that `Problem.to_model` adds, in the units of x, float64."""
    return problem.coordinates.inverse(problem.to_model(x, seed).astype(np.float64))


def baselines(problem: Problem) -> dict[str, Any]:
    """The recipe's baselines, fitted to the training data under the same noise."""
    wanted, config = problem.config.evaluation.baselines, problem.config
    if config.is_of_bits:
        return fit_bit_baselines(problem.train.flat(), seed=config.seed, names=wanted)
    return fit_baselines(problem.train.flat(), noise=config.data.noise, seed=config.seed, names=wanted)


def spread_draws(x: np.ndarray, num: int) -> np.ndarray:
    """`num` rows of draws [chains, draws, dim], as many of every chain, as far apart in time as can be, last first."""
    chains, length = x.shape[:2]
    each = min(math.ceil(num / chains), length)
    times = length - 1 - np.arange(each) * (length // each)
    return x[:, times].swapaxes(0, 1).reshape(chains * each, -1)[:num]


def measure_samples(problem: Problem, draws: Draws) -> Parts:
    """Distances of samples to held-out data beside their floors, and what lies nearest in the training data."""
    last = spread_draws(np.asarray(draws.x, np.float64), problem.config.evaluation.samples)
    samples = problem.coordinates.inverse(last)
    train, test = (noisy(problem, side.x, seed) for side, seed in ((problem.train, 3), (problem.test, 2)))
    quality: dict[str, Any] = {
        "mmd2": mmd(samples, train, test).as_dict(),
        "sliced_wasserstein": sliced_wasserstein(samples, train, test).as_dict(),
        "c2st": c2st(samples, train, test).as_dict(),
    }
    labels = problem.train.y
    if labels is not None and len(np.unique(labels)) > 1:
        classes, numbered = np.unique(labels, return_inverse=True)
        features = fit_classifier_features(train, numbered)
        quality["frechet"] = classifier_frechet(features, samples, train, test).as_dict()
        seen = [features.network.predict(rows) for rows in (samples, train, test)]
        quality["class_tv"] = class_total_variation(*seen, num_classes=len(classes)).as_dict()
        quality["class_shares"] = {
            str(label): [float(np.mean(seen[0] == i)), float(np.mean(seen[2] == i))] for i, label in enumerate(classes)
        }
    near = nearest_neighbour(samples, train, test)
    quality["nearest_neighbour"] = near.as_dict()
    shown = min(_SHOWN, len(samples))
    arrays = {
        "samples": problem.to_data(last[:shown]),
        "neighbours": problem.train.x[near.index[:shown]],
        "data_train": _some(problem.train.x),
        "data_test": _some(problem.test.x),
    }
    return {"sample_quality": quality}, arrays


def _some(rows: np.ndarray) -> np.ndarray:
    """A few rows in random order: data sets often come sorted by class."""
    return rows[np.random.default_rng(0).permutation(len(rows))[:_SHOWN]]


def measure_ood(problem: Problem, energy: AbstractEnergy, known: np.ndarray, fitted: dict[str, Any]) -> Parts:
    """How well the energy, and each baseline's -log p, tells foreign data from held-out data."""
    sets = data.ood_sets(problem.train, problem.test, problem.config.seed)
    if problem.left_out is not None:
        sets["left-out"] = problem.left_out
    test = noisy(problem, problem.test.x, 2)
    tables, arrays = {}, {}
    for index, name in enumerate(problem.config.evaluation.ood):
        foreign = energy_values(energy, problem.to_model(sets[name], 10 + index))
        rows = noisy(problem, sets[name], 10 + index)
        tables[name] = {"energy": detect(known, foreign).as_dict()} | {
            label: detect(-baseline.log_prob(test), -baseline.log_prob(rows)).as_dict()
            for label, baseline in fitted.items()
        }
        arrays[f"energy_ood__{name}"] = foreign[:_SHOWN].astype(np.float32)
    return {"ood": tables}, arrays


def measure_plane(problem: Problem, energy: AbstractEnergy) -> Parts:
    """In two dimensions: log Z by quadrature, KL(true || model) and the mode masses, the best kernel density beside."""
    num, density = problem.config.evaluation.grid, toy_density(problem.config)
    if not num or problem.train.dim != 2 or density is None:
        return {}, {}
    grid = make_grid(*density.box, num)
    modes = density.modes if len(density.modes) else None
    found = compare_on_grid(energy, density.log_prob, grid, modes=modes, decode=problem.coordinates.forward)
    # the model is normalised over a square three times as wide: what it leaks out of the truth's box counts against it
    low, high = density.box
    wide = make_grid(0.5 * (low + high) - 1.5 * (high - low), 0.5 * (low + high) + 1.5 * (high - low), num)
    leaked = max(0.0, grid_log_z(energy, wide, decode=problem.coordinates.forward) - found.log_z)
    rows = problem.train.flat().astype(np.float64)
    spread = math.sqrt(float(np.mean(np.var(rows, axis=0))))
    widths = tuple(width * spread for width in _KERNEL_WIDTHS)
    kde_kl, bandwidth = best_kernel_kl(rows, found.true_log_density, grid, bandwidths=widths)
    numbers = {
        "kl_true_model": found.kl_true_model + leaked,
        "kde_kl": kde_kl,
        "kde_bandwidth": bandwidth,
        "log_z_grid": found.log_z + leaked - float(problem.coordinates.log_det),
        "leaked": leaked,
        "true_mass": found.true_mass,
        "edge_share": found.edge_share,
        "mode_masses_true": list(found.mode_masses_true),
        "mode_masses_model": list(found.mode_masses_model),
    }
    step = max(1, num // 200)  # the figure needs no more
    arrays = {
        "grid_x": grid.x[::step].astype(np.float32),
        "grid_y": grid.y[::step].astype(np.float32),
        "grid_energy": found.energy[::step, ::step].T.astype(np.float32),
        "grid_true_log_density": found.true_log_density[::step, ::step].T.astype(np.float32),
    }
    return {"density2d": numbers}, arrays


def measure_labels(problem: Problem, energy: AbstractEnergy) -> Parts:
    """Of a classifier's energy: how often the likeliest class is the right one, and -log p(y | x) in nats."""
    if not isinstance(energy, AbstractClassifierEnergy) or problem.train.y is None:
        return {}, {}
    assert problem.test.y is not None
    logits = jax.jit(jax.vmap(lambda z: jax.nn.log_softmax(energy.logits(z))))
    found = {}
    sides = (("test", problem.test.x, problem.test.y, 2), ("train", problem.train.x, problem.train.y, 3))
    for side, x, y, seed in sides:
        scores = np.asarray(logits(jnp.asarray(problem.to_model(x, seed))), np.float64)
        own = np.searchsorted(problem.train.classes, y)
        found[f"accuracy_{side}"] = float(np.mean(scores.argmax(axis=1) == own))
        found[f"cross_entropy_{side}"] = -float(np.mean(scores[np.arange(len(own)), own]))
    return {"labels": found}, {}
