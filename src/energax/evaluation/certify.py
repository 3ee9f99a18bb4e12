"""Certifies a kernel: exact transition matrices on enumerable targets, moments and joint tests on continuous ones.

Source: the acceptance tests follow Geweke (2004), doi:10.1198/016214504000001132, Talts et al. (2018),
    arXiv:1804.06788, and Gandy and Scott (2020), arXiv:2001.06465; each is in a file of its own.
What differs: one call for any kernel. A discrete one is judged without statistics, to 1e-10; a continuous one on twelve
targets and one model, within 4 standard errors, a larger score being looked at twice (see `certificate`). A kernel that
says of itself that it is not exact is never "passed": its moments are reported, and where its own law is known (a
Gaussian target), that one is asked of it.
Cost: seconds for a discrete kernel; three compilations and about a second a seed for a continuous one.
Fails to see slow mixing: a certificate is of the law, not of the speed. A continuous kernel whose state is more than x
(a momentum, replicas) must be in equilibrium from its first step on, whatever x it begins at: else it fails here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from energax.core import AbstractSampler, checks
from energax.samplers import AbstractSites, advance, init_chains
from energax.samplers.sites import check_sites

from .analytic import Analytic, analytic_targets
from .certificate import SIGMAS, Certificate, Row, error, fact, score, sigmas, worst_of
from .enumerable import Enumerable, enumerable_targets
from .joint_test import judge_joint, judge_ranks
from .moments_test import judge_moments
from .transitions import exactness, transition_matrix

NUM_CHAINS, NUM_STEPS, _TURNS = 19_200, 5, 40
_STALE = 1e-8


def certify(
    kernel: AbstractSampler | Callable[[Any], AbstractSampler],
    *,
    name: str | None = None,
    sites: AbstractSites | None = None,
    on: Sequence[Enumerable | Analytic] | None = None,
    reversible: bool | None = None,
    seeds: Sequence[int] = (0,),
    extend: Callable[[Any, Enumerable], tuple[Any, Callable, np.ndarray]] | None = None,
    variance: Callable[[Any, float], float] | None = None,
    num_chains: int = NUM_CHAINS,
) -> Certificate:
    """Judges any kernel, also a user's.

    Args:
        kernel: A kernel at a step that suits targets of unit scale, or a function that makes one for a target.
        name: What to call it; its class by default.
        sites: The values of a discrete kernel's sites; its own field `sites` by default, and without any it is
            continuous.
        on: Targets; by default all of `enumerable_targets(sites)`, or all of `analytic_targets()`; a continuous kernel
            is asked the conjugate model too.
        reversible: Whether a discrete kernel's matrix is asked for detailed balance; by default what the kernel says of
            itself.
        seeds: Of a continuous kernel's draws; each is a judgement of its own, and the worst is told.
        extend: (kernel, target) -> (every state, what labels it, its probabilities), for a discrete kernel whose state
            is more than x, such as levels of temperature.
        variance: (kernel, s^2) -> the variance that an inexact continuous kernel has on a Gaussian of variance s^2.
        num_chains: Chains a target; a bias of 4 standard deviations / sqrt(num_chains) is seen half of the time, and by
            the paired scores less, as far as a chain still remembers its start.

    Raises:
        ValueError: The kernel is none, has continuous noise on a discrete target, or cannot be followed; detailed
            balance is claimed for a continuous one; sites, targets or seeds are none.

    Example:
        >>> from energax.samplers import SPINS, Gibbs
        >>> certify(Gibbs(SPINS)).verdict
        'passed'
    """
    if not isinstance(kernel, AbstractSampler) and not callable(kernel):
        raise ValueError(f"certify.kernel must be a sampler or a function that makes one; got {kernel!r}.")
    checks.count("certify", "num_chains", num_chains, least=1000)
    if sites is not None:
        check_sites("certify", sites)
    elif isinstance(getattr(kernel, "sites", None), AbstractSites):
        sites = kernel.sites  # type: ignore[union-attr]
    discrete = sites is not None or (bool(on) and isinstance(on[0], Enumerable))  # type: ignore[index]
    kind = Enumerable if discrete else Analytic
    if on is not None and not (on and all(isinstance(target, kind) for target in on)):
        raise ValueError(f"certify.on must hold {kind.__name__} targets, at least one; got {_kinds(on)}.")
    make = _maker(kernel)
    if not isinstance(seeds, Iterable):
        raise ValueError(f"certify.seeds must be a row of integers >= 0, such as (0,); got {seeds!r}.")
    seeds = tuple(checks.count("certify", "seeds", seed, least=0) for seed in seeds)
    if not seeds:
        raise ValueError("certify.seeds must be one or more; got none.")
    if discrete:
        if variance is not None:
            raise ValueError("certify.variance must be left out for a discrete kernel; got a function.")
        chosen: tuple[Any, ...] = tuple(on) if on is not None else enumerable_targets(sites)  # type: ignore[arg-type]
        samplers = [make(target) for target in chosen]
        rows = [
            row
            for sampler, target in zip(samplers, chosen, strict=True)
            for row in _matrix_rows(sampler, target, sampler.reversible if reversible is None else reversible, extend)
        ]
        used: tuple[int, ...] = ()
    else:
        if reversible or extend is not None:
            raise ValueError(
                "certify.reversible and .extend must be left out for a continuous kernel; got one of them."
            )
        analytic: tuple[Any, ...] = tuple(on) if on is not None else analytic_targets()
        samplers = [make(target) for target in analytic]
        used = seeds
        _check_step(samplers[0], analytic[0])
        rows = _drawn_rows(samplers, analytic, used, num_chains)
        if variance is not None:
            rows.append(worst_of([_discretised(make, variance, seed, num_chains) for seed in used]))
    title = name or type(samplers[0]).__name__
    # a kernel over more than x may be exact there, and only there
    exact = bool(samplers[0].exact) or extend is not None
    return Certificate(title, exact, used, tuple(rows))


def _kinds(targets: Sequence) -> str:
    return ", ".join(dict.fromkeys(type(target).__name__ for target in targets)) or "none"


def _maker(kernel) -> Callable[[Any], AbstractSampler]:
    def make(target):
        made = kernel if isinstance(kernel, AbstractSampler) else kernel(target)
        if not isinstance(made, AbstractSampler):
            raise ValueError(f"certify.kernel must make a sampler; got {type(made).__name__}.")
        return made

    return make


def _check_step(sampler, target: Analytic) -> None:
    """Refuses a kernel that `advance` cannot run."""
    state = jax.eval_shape(lambda x: sampler.init(target.energy, x), target.one())
    new, info = jax.eval_shape(lambda state: sampler.step(jax.random.key(0), target.energy, state), state)
    if not {"energy", "acceptance", "divergent"} <= set(getattr(info, "_fields", ())):
        raise ValueError(
            "certify.kernel: step must return (state, info), info a named tuple with energy, acceptance and divergent; "
            f"got {type(info).__name__}."
        )
    if str(jax.tree.structure(new)) != str(jax.tree.structure(state)) or "x" not in getattr(state, "_fields", ()):
        raise ValueError(f"certify.kernel: step must return a state like init's, with x; got {new} for {state}.")


def _matrix_rows(sampler, target: Enumerable, reversible: bool, extend) -> list[Row]:
    if extend is None:
        found, law = transition_matrix(sampler, target.energy, target.xs()), target.law()
    else:
        states, label, law = extend(sampler, target)
        found = transition_matrix(sampler, target.energy, target.xs(), states=states, label=label)
    judged, exact = exactness(found.matrix, law), sampler.exact or extend is not None
    rows = [
        error("rows", target.name, "|sum - 1|", judged.rows),
        error("invariance", target.name, "|pi P - pi|", judged.invariance, binding=exact),
        fact("irreducible", target.name, "every state is reached", judged.connected),
        error("caches", target.name, "cached - fresh", found.stale, _STALE),
        fact("keys", target.name, found.reused[0] if found.reused else "each used once", not found.reused),
    ]
    if reversible:
        rows.insert(2, error("detailed balance", target.name, "|pi_i P_ij - pi_j P_ji|", judged.reversibility))
    if not exact:
        tv = judged.total_variation
        rows.append(error("stationary law", target.name, "total variation", tv, binding=False))
    return rows


def _drawn_rows(samplers, analytic, seeds, num_chains) -> list[Row]:
    rows = []
    for sampler, target in zip(samplers, analytic, strict=True):
        if target.bounded and not sampler.exact:
            continue  # without a test it leaves the support sooner or later
        turns = 1 if sampler.exact else _TURNS  # one that has a law of its own is seen in it, not on its way there
        pairs = [judge_moments(sampler, target, seed, num_chains, NUM_STEPS, turns) for seed in seeds]
        rows += [worst_of([pair[part] for pair in pairs]) for part in (0, 1)]
    rows.append(worst_of([judge_joint(samplers[0], seed, num_chains) for seed in seeds]))
    rows.append(worst_of([judge_ranks(samplers[0], seed, num_chains, NUM_STEPS) for seed in seeds]))
    return rows


def _discretised(make, variance, seed: int, num_chains: int) -> Row:
    """An inexact kernel against its own law, where that is known: a Gaussian of other variances."""
    target = next(each for each in analytic_targets() if each.name == "ill-scaled Gaussian")
    sampler = make(target)
    mean, own = np.array([0.2, -1.0]), np.array([variance(sampler, 0.4**2), variance(sampler, 2.5**2)])

    def look(seed):
        noise = np.random.default_rng(seed).standard_normal((num_chains, 2))
        start = jax.numpy.asarray(mean + np.sqrt(own) * noise, jax.numpy.float32)
        chains = init_chains(sampler, target.energy, start)
        for turn in range(_TURNS):  # whatever else its state holds, momenta above all, forgets where it began
            key = jax.random.fold_in(jax.random.key(seed), turn)
            chains, _ = advance(key, sampler, target.energy, chains, NUM_STEPS)
        return (np.asarray(chains.states.x, np.float64) - mean) ** 2 / own

    def scores(squares):
        return {f"variance {v:.4f}": score(squares[:, i], 1.0) for i, v in enumerate(own)}

    found = scores(look(seed))
    if any(not abs(value) < SIGMAS for value in found.values()):
        found = scores(np.concatenate([look(1_000_003 * (seed + 1) + i) for i in range(4)]))
    return sigmas("its own law", "ill-scaled Gaussian", found)
