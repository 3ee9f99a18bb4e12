"""A kernel as the posterior step of a conjugate model: Geweke's joint test and simulation-based calibration.

Source: Geweke (2004), Getting it right: joint distribution tests of posterior simulators,
    doi:10.1198/016214504000001132, section 3; Talts, Betancourt, Simpson, Vehtari and Gelman (2018), Validating
    Bayesian inference algorithms with simulation-based calibration, arXiv:1804.06788, algorithm 1; Cook, Gelman and
    Rubin (2006), doi:10.1198/106186006X136976.
What differs: the model is conjugate, so that its joint moments and its posteriors are known. The successive-conditional
chains (a step on x given the data, then new data given x) are many, short, and begin at exact joint draws: their
errors are exact. The draws of a rank begin at exact draws of the posterior, independent of each other, so that ranks
are uniform for every invariant kernel, however slowly it mixes. The energy moves at every step and comes by `cond`: a
kernel that keeps stale numbers fails.
Model: mu ~ N(1/2, 1), y ~ N(mu, 0.64); exp(eta) ~ Gamma(3, rate 2), n ~ Poisson(1.5 exp(eta)).
Cost: chains x rounds. Fails to see slow mixing.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Scalar
from scipy import special, stats

from energax.core import AbstractEnergy, AbstractSampler, Cond
from energax.samplers import advance, init_chains

from .certificate import SIGMAS, Row, score, sigmas

_MEAN, _NOISE, _SHAPE, _RATE, _EXPOSURE = 0.5, 0.64, 3.0, 2.0, 1.5
_ROUNDS, _RANKED, _LOOKS = 10, 15, 4
_TARGET = "normal and Poisson data"


class Conjugate(AbstractEnergy):
    """-log p(x, data) of x = (mu, eta), given data (y, n)."""

    def __call__(self, x: Array, cond: Cond = None) -> Scalar:
        if cond is None:
            raise ValueError("Conjugate: cond must be the data (y, n); got None.")
        prior = 0.5 * (x[0] - _MEAN) ** 2 + _RATE * jnp.exp(x[1]) - _SHAPE * x[1]
        return prior + 0.5 * (cond[0] - x[0]) ** 2 / _NOISE + _EXPOSURE * jnp.exp(x[1]) - cond[1] * x[1]


def joint_expectations() -> dict[str, float]:
    """Exact means under the joint law."""
    log_mean = special.digamma(_SHAPE) - np.log(_RATE)
    tilted = special.digamma(_SHAPE + 1.0) - np.log(_RATE)  # the mean of eta weighted by exp(eta)
    return {
        "mu": _MEAN,
        "mu^2": 1.0 + _MEAN**2,
        "eta": float(log_mean),
        "eta^2": float(special.polygamma(1, _SHAPE) + log_mean**2),
        "exp eta": _SHAPE / _RATE,
        "y": _MEAN,
        "n": _EXPOSURE * _SHAPE / _RATE,
        "mu y": 1.0 + _MEAN**2,
        "eta n": float(_EXPOSURE * _SHAPE / _RATE * tilted),
        "mu eta": float(_MEAN * log_mean),
    }


def judge_joint(sampler: AbstractSampler, seed: int, num_chains: int) -> Row:
    """Geweke's test: rounds of a step of the kernel and new data leave the joint law as it is."""
    scores = _joint_scores(*_rounds(sampler, seed, num_chains))
    flagged = [name for name, value in scores.items() if not abs(value) < SIGMAS]
    if flagged and sampler.exact:
        runs = [_rounds(sampler, 1_000_003 * (seed + 1) + i, num_chains) for i in range(_LOOKS)]
        second = _joint_scores(*(np.concatenate(parts) for parts in zip(*runs, strict=True)))
        scores |= {name: second[name] for name in flagged}
    return sigmas("Geweke's joint test", _TARGET, scores, binding=bool(sampler.exact))


def judge_ranks(sampler: AbstractSampler, seed: int, num_chains: int, num_steps: int) -> Row:
    """Calibration: the true x ranks uniformly among draws of the kernel, by chi^2 as standard normal scores."""
    scores = _rank_scores([_ranks(sampler, seed, num_chains, num_steps)])
    if sampler.exact and any(not value < SIGMAS for value in scores.values()):
        runs = [_ranks(sampler, 1_000_003 * (seed + 1) + i, num_chains, num_steps) for i in range(_LOOKS)]
        second = _rank_scores(runs)
        scores = {name: value if value < SIGMAS else second[name] for name, value in scores.items()}
    return sigmas("calibration of ranks", _TARGET, scores, binding=bool(sampler.exact))


def _prior(rng: np.random.Generator, num: int) -> np.ndarray:
    return np.stack([rng.normal(_MEAN, 1.0, num), np.log(rng.gamma(_SHAPE, 1.0 / _RATE, num))], axis=1)


def _data(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    # beyond exp(40) a count is no number of single precision, and a chain that is there has failed anyhow
    rate = _EXPOSURE * np.exp(np.minimum(np.where(np.isfinite(x[:, 1]), x[:, 1], 0.0), 40.0))
    return np.stack([rng.normal(x[:, 0], np.sqrt(_NOISE)), rng.poisson(rate)], axis=1)


def _posterior(rng: np.random.Generator, data: np.ndarray) -> np.ndarray:
    variance = 1.0 / (1.0 + 1.0 / _NOISE)
    mu = rng.normal(variance * (_MEAN + data[:, 0] / _NOISE), np.sqrt(variance))
    return np.stack([mu, np.log(rng.gamma(_SHAPE + data[:, 1], 1.0 / (_RATE + _EXPOSURE)))], axis=1)


def _rounds(sampler: Any, seed: int, num: int) -> tuple[np.ndarray, np.ndarray]:
    """[chains, (mu, eta, y, n)] at the start and after the rounds."""
    rng, energy = np.random.default_rng(seed), Conjugate()
    x = _prior(rng, num)
    data = _data(rng, x)
    start = np.concatenate([x, data], axis=1)
    chains = init_chains(sampler, energy, _single(x), _single(data))
    for turn in range(_ROUNDS):
        key = jax.random.fold_in(jax.random.key(seed), turn)
        chains, _ = advance(key, sampler, energy, chains, 1, _single(data))
        x = np.asarray(chains.states.x, np.float64)
        data = _data(rng, x)
    return start, np.concatenate([x, data], axis=1)


def _joint_scores(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    exact, old, new, scores = joint_expectations(), _functions(before), _functions(after), {}
    for name, value in exact.items():
        scores[name] = score(new[name], value)
        scores[f"{name}, paired"] = score(new[name] - old[name])
    return scores


def _functions(rows: np.ndarray) -> dict[str, np.ndarray]:
    mu, eta, y, n = rows.T
    with np.errstate(over="ignore"):
        return {
            "mu": mu,
            "mu^2": mu * mu,
            "eta": eta,
            "eta^2": eta * eta,
            "exp eta": np.exp(eta),
            "y": y,
            "n": n,
            "mu y": mu * y,
            "eta n": eta * n,
            "mu eta": mu * eta,
        }


def _ranks(sampler: Any, seed: int, num_chains: int, num_steps: int) -> np.ndarray:
    """[data sets, 2]: how many of the draws are below the x that the data came from."""
    rng, energy, sets = np.random.default_rng(seed + 7919), Conjugate(), num_chains // _RANKED
    truth = _prior(rng, sets)
    data = _data(rng, truth)
    rows = np.repeat(data, _RANKED, axis=0)
    cond = _single(rows)
    chains = init_chains(sampler, energy, _single(_posterior(rng, rows)), cond)
    for turn in range(num_steps):
        key = jax.random.fold_in(jax.random.key(seed + 7919), turn)
        chains, _ = advance(key, sampler, energy, chains, 1, cond)
    draws = np.asarray(chains.states.x).reshape(sets, _RANKED, 2)
    ranks = np.sum(draws < truth.astype(np.float32)[:, None], axis=1)
    return np.where(np.all(np.isfinite(draws), axis=1), ranks, 0)


def _rank_scores(runs: list[np.ndarray]) -> dict[str, float]:
    ranks, scores = np.concatenate(runs), {}
    for index, name in enumerate(("mu", "eta")):
        counts = np.bincount(ranks[:, index], minlength=_RANKED + 1)
        scores[name] = float(np.clip(stats.norm.isf(stats.chisquare(counts).pvalue), -38.0, 38.0))
    return {name: max(value, 0.0) for name, value in scores.items()}  # ranks that are too even are no fault


def _single(array: np.ndarray) -> Array:
    return jnp.asarray(array, jnp.float32)
