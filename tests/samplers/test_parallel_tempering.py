"""Parallel tempering: the swap by enumeration and by its closed form, both wells of a deep barrier, planted bugs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erfc

from energax.core import AbstractBipartiteEnergy, AbstractSampler, FunctionEnergy
from energax.energies import Ising
from energax.numerics import standard_normal
from energax.samplers import (
    MALA,
    SPINS,
    CheckerboardGibbs,
    ParallelTempering,
    Underdamped,
    advance,
    checkerboard,
    init_chains,
    parallel_tempering,
    tempered_joint,
)
from energax.samplers.mala import MALAInfo
from judges import STATISTICS, _z, judge_follows, judge_moments, refuses, target, tilted_well, verdict


class Still(AbstractSampler):
    """Never moves: what is left of a step is its swap."""

    def init(self, energy, x):
        return StillState(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        return state, MALAInfo(energy(state.x), jnp.ones(()), jnp.array(False))


class StillState(parallel_tempering.NamedTuple):
    x: jax.Array


class Fresh(Still):
    """Exact draws of a tempered N(0, 1)^d, new at every step."""

    def step(self, key, energy, state):
        x = standard_normal(key, state.x.shape) / jnp.sqrt(energy.beta)
        return StillState(x), MALAInfo(energy(x), jnp.ones(()), jnp.array(False))


class StaleMALA(MALA):
    """Forgets to renew what it caches."""

    def refresh(self, energy, state):
        return state


class Tiny(AbstractBipartiteEnergy):
    """One visible site of four states and one hidden unit: its free energy at beta is not beta times that at 1."""

    scale: jax.Array
    beta: jax.Array

    def joint(self, v, h):
        return self.beta * (self.scale * v * h + 0.3 * v**2)

    def free_energy(self, v):
        return -jax.nn.logsumexp(-jnp.stack([self.joint(v, jnp.zeros_like(v)), self.joint(v, jnp.ones_like(v))]))

    def __call__(self, x, cond=None):
        return self.free_energy(x)

    def at_beta(self, beta):
        return Tiny(self.scale, beta * self.beta)

    def hidden_given(self, v):
        return -self.beta * self.scale * v

    def visible_given(self, h):
        return -self.beta * self.scale * h

    def sample_hidden(self, key, v):
        return v

    def sample_visible(self, key, h):
        return h


def swap_error(family, energy, betas=(1.0, 0.6, 0.25), swap_by=None):
    """max |pi P - pi| of one swap turn over all joint states of three levels of four values, worse of both turns.

    `swap_by`: another family for the swaps than that of the levels, to plant a bug.
    """
    with jax.enable_x64(True):
        values = jnp.linspace(-1.0, 2.0, 4, dtype=jnp.float64)
        betas = jnp.asarray(betas, jnp.float64)
        joint = jnp.stack(jnp.meshgrid(*[jnp.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
        levels = jax.vmap(lambda b: jax.vmap(family(energy, b))(values))(betas)
        log_pi = -sum(levels[i][joint[:, i]] for i in range(3))
        pi = np.asarray(jax.nn.softmax(log_pi))
        sampler = ParallelTempering(Still(), betas, family=swap_by or family)
        worst = 0.0
        for turn in (0, 1):

            def one(codes, key, turn=turn):
                state = sampler.init(energy, jnp.zeros((), jnp.float64))
                state = state._replace(replicas=StillState(values[codes]), turn=jnp.array(turn, jnp.int32))
                new, info = sampler.step(key, energy, state)
                return info.swap_acceptance, new.replicas.x

            keys = jax.random.split(jax.random.key(turn), 400)
            chance, after = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))(joint, keys)
            chance = np.asarray(chance[:, 0, turn])  # three levels: one pair a turn
            swapped = joint.at[:, turn].set(joint[:, turn + 1]).at[:, turn + 1].set(joint[:, turn])
            index = np.asarray(swapped @ jnp.array([16, 4, 1]))
            matrix = np.diag(1.0 - chance)
            np.add.at(matrix, (np.arange(64), index), chance)
            worst = max(worst, np.abs(pi @ matrix - pi).max())
            # the chance told is the chance taken
            moved = np.asarray(jnp.all(after == values[swapped][:, None], -1)).mean(1)
            differ = np.asarray(joint[:, turn] != joint[:, turn + 1])
            error = np.sqrt(chance * (1.0 - chance) / 400)[differ]
            assert np.all(np.abs(moved - chance)[differ] <= 5.0 * error + 1e-9)
            stayed = np.asarray(jnp.all(after == values[joint][:, None], -1)).mean(1)[differ]
            np.testing.assert_allclose(stayed + moved[differ], 1.0)
        return worst


def skewed(x):
    return 0.5 * x**2 + jnp.sin(2.0 * x)


def test_a_swap_leaves_the_product_of_the_levels_invariant():
    assert swap_error(parallel_tempering.tempered_energy, FunctionEnergy(skewed)) < 1e-14


def test_the_free_energy_of_a_joint_at_beta_swaps_by_itself_and_not_by_beta_times_f():
    with jax.enable_x64(True):
        model = Tiny(jnp.array(2.0), jnp.array(1.0))
    assert swap_error(tempered_joint, model) < 1e-14
    assert swap_error(tempered_joint, model, swap_by=parallel_tempering.tempered_energy) > 1e-3


@pytest.mark.parametrize(("dim", "ratio", "exact"), [(10, 2.0, 0.28969161205), (100, 1.25, 0.26623120456)])
def test_swap_acceptance_between_gaussians_is_its_closed_form(dim, ratio, exact):
    betas = jnp.array([1.0, 1.0 / ratio])
    energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
    sampler = ParallelTempering(Fresh(), betas)
    _, info = advance(jax.random.key(0), sampler, energy, init_chains(sampler, energy, jnp.zeros((20_000, dim))), 1)
    verdict("swap acceptance", {"closed form": _z(np.asarray(info.swap_acceptance[:, 0], np.float64), exact)})
    # energies nearly normal: erfc(dbeta sigma_U / 2) at the middle of the pair
    sigma = np.sqrt(dim / 2.0) / (0.5 * (1.0 + 1.0 / ratio))
    assert abs(erfc((1.0 - 1.0 / ratio) * sigma / 2.0) - exact) < (0.02 if dim == 10 else 0.001)


def test_round_trips_are_those_of_independent_swaps():
    """Fresh draws make the swaps independent: then 1 / (2 + 2 sum r / (1 - r)) trips a step (Syed et al. 2022)."""
    betas = jnp.array([1.0, 0.7, 0.45, 0.3])
    energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
    sampler = ParallelTempering(Fresh(), betas)
    chains = init_chains(sampler, energy, jnp.zeros((400, 4)))
    early = advance(jax.random.key(2), sampler, energy, chains, 5)[0].states
    assert int(early.swaps[:, 0].sum()) > 100  # walkers came to the cold end, and none had been at the hot one and back
    assert int(early.round_trips.sum()) == 0
    chains, _ = advance(jax.random.key(0), sampler, energy, chains, 100)
    before = chains.states
    chains, _ = advance(jax.random.key(1), sampler, energy, chains, 1000)
    states = chains.states
    rejection = 1.0 - np.asarray(states.swaps.sum(0) / states.attempts.sum(0), np.float64)
    rate = 1.0 / (2.0 + 2.0 * np.sum(rejection / (1.0 - rejection)))
    each = np.asarray(states.round_trips - before.round_trips, np.float64) / 1000
    verdict("round trips", {"a step": _z(each, rate)})
    assert np.all(np.sort(np.asarray(states.walkers), 1) == np.arange(4))
    np.testing.assert_array_equal(states.attempts, np.broadcast_to([550, 550, 550], (400, 3)))


def _statistics(x):
    """The judges' statistics of x [rows, levels, 1] -> [statistics, rows, levels]."""
    x = np.asarray(x, np.float64)[..., 0]
    return np.stack([x, x**2, x**3, np.cos(x), np.sin(2.0 * x), x > 0.0])


def judge_levels(sampler, beta=2.0, num_chains=40_000, num_steps=6):
    """Exact independent draws at every level keep their law at every level: a tilted well at `beta` (skewed)."""
    truths = [target(tilted_well, -5.0, 5.0, beta=beta * float(b)) for b in sampler.betas]
    energy = truths[0].energy
    starts = jnp.stack([truth.sample(seed, num_chains) for seed, truth in enumerate(truths)], 1)
    chains = init_chains(sampler, energy, starts[:, 0])
    replicas = chains.states.replicas._replace(x=starts)
    chains = type(chains)(chains.states._replace(replicas=replicas))
    chains, info = advance(jax.random.key(5), sampler, energy, chains, num_steps)
    assert not bool(jnp.any(info.divergent))
    before, after = (_statistics(x) for x in (starts, chains.states.replicas.x))
    scores = {}
    for i, truth in enumerate(truths):
        exact = np.trapezoid(_statistics(truth.grid[:, None, None])[..., 0] * truth.density, truth.grid)
        for j, name in enumerate(STATISTICS):
            scores[f"level {i}, {name}"] = _z(after[j, :, i], exact[j])
            scores[f"level {i}, {name}, paired"] = _z(after[j, :, i] - before[j, :, i], 0.0)
    verdict("judge_levels", scores)
    np.testing.assert_array_equal(chains.states.x, chains.states.replicas.x[:, 0])
    np.testing.assert_allclose(chains.states.energy, jax.vmap(energy)(chains.states.x), rtol=1e-5, atol=1e-6)


LADDER = jnp.array([1.0, 0.5, 0.2])


def make(inner=None, family=parallel_tempering.tempered_energy):
    return ParallelTempering(inner or MALA(0.05), LADDER, step_sizes=jnp.array([0.05, 0.1, 0.25]), family=family)


def test_exact_draws_stay_exact_at_every_level():
    judge_levels(make())


def test_inner_steps_between_swaps():
    judge_levels(ParallelTempering(MALA(0.05), LADDER, inner_steps=3), num_steps=3)


BUGS = {
    "ratio inverted": lambda own, cross, partner: -(own - cross + (own - cross)[partner]),
    "always swap": lambda own, cross, partner: jnp.zeros_like(own),
    "energy per particle": lambda own, cross, partner: 0.25 * (own - cross + (own - cross)[partner]),
    "temperature for beta": lambda own, cross, partner: (
        (1 / LADDER - 1 / LADDER[partner]) * (own / LADDER - own[partner] / LADDER[partner])
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_swap_ratios_are_caught(bug, monkeypatch):
    monkeypatch.setattr(parallel_tempering, "_log_ratio", BUGS[bug])
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_levels(make(family=lambda energy, beta: beta * energy))  # a family of its own: nothing cached is run


def test_stale_energies_after_a_swap_are_caught():
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_levels(make(StaleMALA(0.05)))


def test_both_wells_have_their_masses_where_the_inner_kernel_stays_in_one():
    def energy(x):
        return jnp.sum(8.0 * (x**2 - 1.0) ** 2 + 0.5 * x)

    start = jnp.ones((200, 1))  # the rarer well
    alone = init_chains(MALA(0.02), energy, start)
    alone, _ = advance(jax.random.key(0), MALA(0.02), energy, alone, 1000)
    assert float(jnp.mean(alone.states.x > 0.0)) > 0.9
    betas = jnp.array([1.0, 0.6, 0.35, 0.2, 0.1])
    sampler = ParallelTempering(MALA(0.02), betas, step_sizes=0.02 / betas)
    exact = {
        "right": (lambda x: (x[0] > 0.0).astype(jnp.float32), 0.27437854658424227),
        "x": (lambda x: x[0], -0.44806678813598405),
        "x^2": (lambda x: x[0] ** 2, 0.9720448198314626),
    }
    judge_moments(sampler, energy, exact, start, burn_in=300, num_samples=300, seed=1)


def test_momentum_travels_with_its_replica():
    sampler = ParallelTempering(Underdamped(0.3), LADDER)
    energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
    chains = init_chains(sampler, energy, jnp.zeros((4000, 1)))
    chains, _ = advance(jax.random.key(0), sampler, energy, chains, 60)
    scores = {
        f"level {i}": _z(np.asarray(beta * chains.states.replicas.x[:, i, 0] ** 2, np.float64), 1.0)
        for i, beta in enumerate(LADDER)
    }
    verdict("BAOAB's exact variances", scores)
    verdict("momenta", {"p^2": _z(np.asarray(chains.states.replicas.momentum[:, 2, 0] ** 2, np.float64), 0.98875)})


def test_follows_an_energy_that_moves():
    judge_follows(ParallelTempering(MALA(0.3), LADDER), num_steps=200)


def test_a_nan_is_flagged_and_nothing_is_swapped():
    energy = FunctionEnergy(lambda x: jnp.where(x[0] > 0.5, jnp.nan, 0.5 * jnp.sum(x**2)))
    sampler = ParallelTempering(Still(), jnp.array([1.0, 0.5]))
    state = sampler.init(energy, jnp.zeros(1))
    state = state._replace(replicas=StillState(jnp.array([[0.0], [1.0]])))
    state, info = sampler.step(jax.random.key(0), energy, state)
    assert bool(info.divergent)
    assert float(info.swap_acceptance[0]) == 0.0
    assert int(state.swaps[0]) == 0


def test_refusals():
    mala = MALA(0.1)
    refused = {
        r"betas must decrease strictly from 1; got \[1.0, 1.0\]": lambda: ParallelTempering(mala, jnp.ones(2)),
        "betas must decrease strictly from 1": lambda: ParallelTempering(mala, jnp.array([0.9, 0.5])),
        "betas must be numbers that decrease from 1; got 'a'": lambda: ParallelTempering(mala, "a"),
        "betas must be numbers that decrease from 1; got None": lambda: ParallelTempering(mala, None),
        "betas must be >= 0": lambda: ParallelTempering(mala, jnp.array([1.0, -0.5])),
        "betas must hold at least two": lambda: ParallelTempering(mala, jnp.ones(1)),
        "step_sizes must hold one step size": lambda: ParallelTempering(mala, LADDER, jnp.ones(2)),
        "step_sizes must be > 0": lambda: ParallelTempering(mala, LADDER, jnp.zeros(3)),
        "inner_steps must be an integer >= 1; got 0": lambda: ParallelTempering(mala, LADDER, inner_steps=0),
        "must be a sampler": lambda: ParallelTempering(3, LADDER),
    }
    for message, call in refused.items():
        with refuses(message):
            call()


def test_the_torus_at_the_critical_point_is_kaufmans():
    """8 x 8: energy per spin -1.491589107, <|m|> .777331093 (ground_truth: Kaufman 1949 and a transfer matrix)."""
    energy = Ising.lattice((8, 8), float(np.log1p(np.sqrt(2.0)) / 2))
    sampler = ParallelTempering(CheckerboardGibbs(SPINS, checkerboard((8, 8))), jnp.array([1.0, 0.9, 0.8, 0.7]))
    exact = {
        "energy": (lambda x: energy(x) / (64 * energy.strengths[0]), -1.491589107),
        "|m|": (lambda x: jnp.abs(jnp.mean(x)), 0.777331093),
        "m": (jnp.mean, 0.0),
    }
    start = jnp.sign(jax.random.normal(jax.random.key(0), (200, 64)))
    judge_moments(sampler, energy, exact, start, burn_in=200, num_samples=100)
