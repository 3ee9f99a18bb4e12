"""Jarzynski training: exact over all paths of four kernels, resting walkers, resampling, auditors, refresh, alarm.

Exactness: one walker stands for every path of a few states (or quadrature nodes), its first weight is the path's
probability under the transition matrix of the library's own kernel, and the kernel of the rule is replaced by one that
goes along the path. The rule's log Z and gradient are then finite sums, right to 1e-10 or wrong.
"""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array
from scipy.stats import norm

import energax.objectives.jarzynski as jarzynski_module
import energax.samplers.hmc as hmc_module
import energax.samplers.mala as mala_module
import energax.samplers.pairs as pairs_module
from energax.core import AbstractEnergy, AbstractSampler, Chains, FunctionEnergy
from energax.energies import Gaussian, standard_normal
from energax.evaluation import every_sample, transition_matrix
from energax.objectives import Jarzynski, JarzynskiState, PersistentCD, Walkers
from energax.runtime.alarms import Watchdog
from energax.samplers import HMC, MALA, SPINS, ULA, AbstractPair, Gibbs, PairStep, ULAPair
from energax.samplers.ula import ULAInfo, ULAState
from energax.training import Phase, Trainer, run_steps
from judges import reach
from objectives.machine import machine
from objectives.population import quartic

LINE = [(1.6, 0.3, 0.2), (1.2, -0.2, 0.5), (1.9, 0.5, -0.3), (1.4, 0.2, 0.1)]
"""A sequence of models on the line: E = a x^4 / 2 - b x^2 - c x."""
STEP = 0.15


# --- paths ----------------------------------------------------------------------------------------------------------


class Along(AbstractEnergy):
    """The energy of where a walker is on its planned path."""

    base: AbstractEnergy

    def __call__(self, x, cond=None):
        return self.base(x["here"])


class Planned(AbstractSampler):
    """Goes to the next point of the plan; of two blocks of walkers the one of this number moves."""

    block: int = eqx.field(static=True, default=0)

    def init(self, energy, x):
        return ULAState(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        x = ahead(state.x)
        return ULAState(x), ULAInfo(energy(x), jnp.ones(()), jnp.array(False))


class PlannedPair(AbstractPair):
    """Goes to the next point of the plan and weighs the move as `ULAPair` does, by the noise that leads there."""

    inner: ULAPair

    def step(self, key, energy, x):
        y = ahead(x)
        base = FunctionEnergy(lambda here: energy({**x, "here": here}))
        h = self.inner.step_size
        noise = (y["here"] - x["here"] + h * jax.grad(base)(x["here"])) / math.sqrt(2 * h)
        with forced(pairs_module, noise):
            moved = self.inner.step(key, base, x["here"])
        return PairStep(y, moved.log_ratio)

    def reversed(self):
        return self


class forced:
    """Inside, a module draws this noise."""

    def __init__(self, module, noise):
        self.module, self.noise, self.drawn = module, noise, module.normal_like

    def __enter__(self):
        self.module.normal_like = lambda key, like: self.noise

    def __exit__(self, *error):
        self.module.normal_like = self.drawn


def ahead(x):
    """The walker one point further on its plan."""
    turn = x["turn"].astype(jnp.int32)
    return {"here": x["plan"][turn], "plan": x["plan"], "turn": x["turn"] + 1.0}


def langevin(nodes, model, h):
    """The density of a Gaussian proposal x - h grad E + sqrt(2 h) xi times the width of a node, and its noise."""
    drift = nodes - h * np.asarray(jax.vmap(jax.grad(model))(jnp.asarray(nodes[:, None])))[:, 0]
    noise = (nodes[None, :] - drift[:, None]) / np.sqrt(2 * h)
    return norm.pdf(noise) / np.sqrt(2 * h) * (nodes[1] - nodes[0]), noise


def accepted(nodes, model, sampler, module, noise):
    """The library's own acceptance of every move between nodes."""

    def one(x, force):
        with forced(module, force[None]):
            return sampler.step(jax.random.key(0), model, sampler.init(model, x[None]))[1].acceptance

    across = jax.vmap(one, in_axes=(None, 0))
    return np.asarray(eqx.filter_jit(jax.vmap(across))(jnp.asarray(nodes), jnp.asarray(noise)))


def with_rejections(moves):
    """A matrix of proposals times acceptance, with what is rejected on the diagonal."""
    moves = moves - np.diag(np.diag(moves))
    return moves + np.diag(1.0 - moves.sum(1))


def matrix_of(kind, states, model):
    """One step of the kernel under the model as a matrix over states."""
    if kind == "gibbs":
        return transition_matrix(Gibbs(SPINS), model, jnp.asarray(states)).matrix
    nodes = states[:, 0]
    if kind == "mala":
        proposal, noise = langevin(nodes, model, STEP)
        return with_rejections(proposal * accepted(nodes, model, MALA(STEP), mala_module, noise))
    if kind == "hmc":  # one leapfrog of length s proposes as Langevin with h = s^2 / 2
        proposal, noise = langevin(nodes, model, STEP)
        return with_rejections(proposal * accepted(nodes, model, HMC(math.sqrt(2 * STEP), 1), hmc_module, noise))
    return langevin(nodes, model, 0.05)[0]


def case(kind):
    """(states, models, moves along a path, the rule's kernel)."""
    if kind == "gibbs":
        states = np.asarray(every_sample(SPINS, jnp.zeros(4)))
        return states, [machine(scale) for scale in (0.2, 0.7, 1.1, 0.5)][:3], 2, Planned()
    models = [quartic(values) for values in LINE]
    if kind == "ula":
        return np.linspace(-3.2, 3.2, 40)[:, None], models[:3], 2, PlannedPair(ULAPair(0.05))
    return np.linspace(-2.0, 2.0, 10)[:, None], models, 3, Planned()


def energies_of(model, states):
    return np.asarray(jax.vmap(model)(jnp.asarray(states)))


def start(kind, states, models, num_moves, matrices):
    """A walker for every path: its plan, and the log of its probability times the number of paths times Z_0."""
    size = len(states)
    paths = np.array(list(itertools.product(range(size), repeat=num_moves + 1)))
    first = np.exp(-energies_of(models[0], states))
    weights = first[paths[:, 0]]
    for move, matrix in enumerate(matrices):
        weights = weights * matrix[paths[:, move], paths[:, move + 1]]
    plans = states[np.concatenate([paths[:, 1:], paths[:, -1:]], axis=1)]
    x = {"here": states[paths[:, 0]], "plan": plans, "turn": np.zeros(len(paths))}
    with np.errstate(divide="ignore"):
        logs = np.log(weights) + np.log(len(paths))
    return {k: jnp.asarray(np.concatenate([v, v])) for k, v in x.items()}, jnp.asarray(np.concatenate([logs, logs]))


def judge_paths(kind, *, kernel=None, spoil=None, blocks=1):
    """Walkers along all paths: log Z of the last model and the gradient of the likelihood there, to 1e-10."""
    states, models, num_moves, planned = case(kind)
    if blocks == 2:
        num_moves = 2
    matrices = [matrix_of(kind, states, model) for model in models[:num_moves]]
    if blocks == 2:  # the first block moves under even models, the second under odd ones
        halves = [start(kind, states, models, len(use), use) for use in (matrices[::2], matrices[1::2])]
        x, logs = interleaved(halves)
    else:
        x, logs = start(kind, states, models, num_moves, matrices)
    num = len(logs) // 2
    base_rule = Jarzynski(
        planned if kernel is None else kernel,
        standard_normal(1),
        num,
        num_groups=2,
        resample_below=0.0,
        refresh=None,
        num_moving=None if blocks == 1 else num // 2,
    )
    at = jax.vmap(Along(models[0]))(x)
    walkers = Walkers(x, logs, at, at)
    state = JarzynskiState(Chains(walkers), jnp.zeros((), jnp.int32), jnp.zeros(()), None)
    data = {"here": jnp.asarray(states[3:5]), "plan": jnp.asarray(states[3:5])[:, None], "turn": jnp.zeros(2)}

    @eqx.filter_jit
    def call(rule, model, state):
        def loss(m):
            return rule(jax.random.key(0), Along(m), state, {"x": data})

        (_, (state, metrics)), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(model)
        return gradient, state, metrics

    for turn, model in enumerate(models[: num_moves + 1]):
        if spoil is not None:
            state = spoil(state, model, turn)
        rule = base_rule if blocks == 1 else eqx.tree_at(lambda r: r.kernel, base_rule, Planned(turn % 2))
        gradient, state, metrics = call(rule, model, state)
    with np.errstate(over="ignore"):
        wanted = np.log(np.exp(-energies_of(model, states)).sum())
    law = jnp.asarray(np.exp(-energies_of(model, states) - wanted))
    exact = eqx.filter_grad(lambda m: jnp.mean(jax.vmap(m)(data["here"])) - law @ jax.vmap(m)(jnp.asarray(states)))(
        model
    )
    assert abs(float(metrics["log_z"]) - wanted) < 1e-10, float(metrics["log_z"]) - wanted
    assert abs(float(metrics["self_influence"])) < 1e-10
    for found, want in zip(jax.tree.leaves(gradient), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(found, want, atol=1e-10)


def interleaved(halves):
    """Two blocks of paths in each half of the walkers: [drivers: block 0, block 1, auditors: the same].

    Plans are as long as the longer one's, and both blocks count as many: the weights of each sum to half of all.
    """
    length = max(x["plan"].shape[1] for x, _ in halves)
    padded, sizes = [], [len(logs) // 2 for _, logs in halves]
    for x, logs in halves:
        gap = length - x["plan"].shape[1]
        plan = jnp.concatenate([x["plan"], jnp.repeat(x["plan"][:, -1:], gap, axis=1)], axis=1)
        padded.append(({"here": x["here"], "plan": plan, "turn": x["turn"]}, logs))
    assert sizes[0] == sizes[1]

    def join(parts):
        half = len(parts[0]) // 2
        return jnp.concatenate([parts[0][:half], parts[1][:half]] * 2)

    x = {name: join([one[0][name] for one in padded]) for name in ("here", "plan", "turn")}
    return x, join([one[1] for one in padded])


@pytest.mark.parametrize("kind", ["ula", "mala", "hmc", "gibbs"])
def test_weights_are_exact_over_all_paths(kind):
    with jax.enable_x64(True):
        judge_paths(kind)


def test_the_energy_difference_alone_is_wrong_for_unadjusted_langevin():
    with jax.enable_x64(True), pytest.raises(AssertionError):
        judge_paths("ula", kernel=Planned())


def test_weights_taken_late_are_caught():
    """Planted: the work is measured where the walker stood before its last move."""

    def late(state, model, turn):
        walkers = state.walkers.states
        plan = walkers.x["plan"]
        before = {**walkers.x, "here": plan[:, max(turn - 2, 0)]} if turn > 1 else walkers.x
        work = jax.vmap(Along(model))(walkers.x) - jax.vmap(Along(model))(before)
        return state._replace(walkers=Chains(walkers._replace(energies=walkers.energies + work)))

    with jax.enable_x64(True), pytest.raises(AssertionError):
        judge_paths("mala", spoil=late)


def test_walkers_that_rest_carry_weight(monkeypatch):
    """Two blocks that take turns; planted: the work of the block that rested is forgotten."""

    def by_turns(self, key):
        quarter = self.num_chains // 2
        first = quarter * self.kernel.block + jnp.arange(quarter)
        return jnp.concatenate([first, self.num_chains + first])

    monkeypatch.setattr(Jarzynski, "_slots", by_turns)
    with jax.enable_x64(True):
        judge_paths("mala", blocks=2)

        def forgotten(state, model, turn):
            walkers = state.walkers.states
            quarter = len(walkers.energies) // 4
            rested = (jnp.arange(len(walkers.energies)) // quarter) % 2 == turn % 2
            now = jnp.where(rested & (turn > 0), jax.vmap(Along(model))(walkers.x), walkers.energies)
            return state._replace(walkers=Chains(walkers._replace(energies=now)))

        with pytest.raises(AssertionError):
            judge_paths("mala", blocks=2, spoil=forgotten)


# --- resampling, auditors, refresh ----------------------------------------------------------------------------------


class Bell(AbstractEnergy):
    """E(x) = precision |x - mean|^2 / 2."""

    mean: Array
    precision: Array

    def __call__(self, x, cond=None):
        return 0.5 * self.precision * jnp.sum((x - self.mean) ** 2)


DIM = 4


def run(rule, models, seed=0):
    """The rule along a fixed sequence of models -> metrics of every turn."""

    @eqx.filter_jit
    def whole(rule, key, models):
        first = jax.tree.map(lambda leaf: leaf[0], models)
        batch = {"x": jnp.zeros((2, DIM))}
        state = rule.init(key, first, batch)

        def turn(state, step):
            index, model = step
            state, metrics = rule(jax.random.fold_in(key, index), model, state, batch)[1]
            return state, metrics

        num = len(models.precision)
        return jax.lax.scan(turn, state, (jnp.arange(num), models))

    return whole(rule, jax.random.key(seed), models)


def sharpening(num=40, last=8.0):
    """From N(0, 1) to N(0.5, 1 / last) in `num` steps that look at no walker."""
    share = jnp.linspace(0.0, 1.0, num)
    return Bell(0.5 * jnp.outer(share, jnp.ones(DIM)), last**share)


def log_z(model):
    return 0.5 * DIM * (np.log(2 * np.pi) - np.log(np.asarray(model.precision)))


@pytest.mark.parametrize("scheme", ["systematic", "multinomial"])
def test_resampling_carries_the_free_energy(scheme, monkeypatch):
    """log Z of the auditors at the end within 4.9 error bars of the truth (false-fail 1e-6), far from the start's."""
    models = sharpening()
    rule = Jarzynski(MALA(0.05), standard_normal(DIM), 4096, scheme=scheme, refresh=None, num_moving=2048)
    _, metrics = run(rule, models)
    assert float(jnp.sum(metrics["resampled"])) > 0.9  # every group about once at least
    off = (float(metrics["log_z"][-1]) - log_z(models)[-1]) / float(metrics["log_z_error"][-1])
    assert float(metrics["log_z_error"][-1]) < 0.1
    assert abs(off) < reach(1) * 1.5, off  # 8 groups: Student's tails
    if scheme == "systematic":  # planted: the mean weight of what was drawn is forgotten
        honest = Jarzynski._resampled

        def forgetful(self, key, walkers):
            new, share = honest(self, key, walkers)
            return new._replace(log_weights=jnp.where(share > 0, new.log_weights - 0.3, new.log_weights)), share

        monkeypatch.setattr(Jarzynski, "_resampled", forgetful)
        _, metrics = run(eqx.tree_at(lambda r: r.kernel.step_size, rule, 0.0501), models)
        wrong = (float(metrics["log_z"][-1]) - log_z(models)[-1]) / float(metrics["log_z_error"][-1])
        assert abs(wrong) > reach(1) * 1.5


def test_drivers_that_moved_on_their_own_are_weighted_for_it():
    """From exact draws of N(0, 1) three steps of Langevin with h = 0.5: 1 and x^2 have weighted means of 1 within 4.9
    standard errors; without the pair's ratio the latter would be 4 / 3 nearly."""
    num = 40_000
    rule = Jarzynski(ULAPair(0.5), standard_normal(1), num, refresh_moves=3)
    xs = jax.random.normal(jax.random.key(0), (2 * num, 1))
    energies = 0.5 * xs[:, 0] ** 2
    walkers = Walkers(xs, jnp.zeros(2 * num), energies, energies)
    moved, lost = eqx.filter_jit(rule._apart)(jax.random.key(1), walkers, None, standard_normal(1))
    assert float(lost) == 0.0
    np.testing.assert_array_equal(moved.x[num:], xs[num:])
    np.testing.assert_allclose(moved.energies, 0.5 * moved.x[:, 0] ** 2, rtol=1e-6)
    weights, squares = (np.asarray(a[:num], np.float64) for a in (jnp.exp(moved.log_weights), moved.x[:, 0] ** 2))
    for value in (weights, weights * squares):
        assert abs(value.mean() - 1.0) < reach() * value.std() / np.sqrt(num), value.mean()
    assert squares.mean() - 1.0 > 2 * reach() * squares.std() / np.sqrt(num)  # planted: moved and not weighted


def test_resampling_keeps_the_mass_of_every_group_and_the_law_of_what_it_draws():
    rule = Jarzynski(MALA(0.1), standard_normal(1), 64, num_groups=4, resample_below=0.9, refresh=None)
    xs = jax.random.normal(jax.random.key(0), (128, 1))
    logs = 2.0 * jax.random.normal(jax.random.key(1), (128,))
    walkers = Walkers(xs, logs, xs[:, 0] ** 2, xs[:, 0])
    turned = jax.vmap(lambda key: rule._resampled(key, walkers)[0])(jax.random.split(jax.random.key(2), 4000))
    groups = jax.nn.logsumexp(turned.log_weights.reshape(4000, 8, 16), axis=-1)
    np.testing.assert_allclose(
        groups, jnp.broadcast_to(jax.nn.logsumexp(logs.reshape(8, 16), axis=-1), groups.shape), rtol=1e-5
    )
    np.testing.assert_array_equal(turned.energies, turned.x[..., 0] ** 2)  # what a walker carries goes with it
    weights = jnp.exp(turned.log_weights)
    means = np.asarray(jnp.sum(weights * turned.x[..., 0], axis=1), np.float64)
    wanted = float(jnp.sum(jnp.exp(logs) * xs[:, 0]))
    assert abs(means.mean() - wanted) < reach(1) * means.std() / np.sqrt(4000)


def trained(rule, rate, num, seeds=8):
    """Training of the mean from the truth on data of mean 0 and no scatter -> metrics [seeds, steps]."""

    @eqx.filter_jit
    def whole(rule, keys):
        def one(key):
            model = Bell(jnp.zeros(DIM), jnp.ones(()))
            batch = {"x": jnp.zeros((2, DIM))}
            state = rule.init(key, model, batch)
            moving = lambda m: m.mean  # noqa: E731

            def turn(carry, index):
                model, state = carry

                def loss(mean):
                    return rule(jax.random.fold_in(key, index), eqx.tree_at(moving, model, mean), state, batch)

                (_, (state, metrics)), slope = jax.value_and_grad(loss, has_aux=True)(model.mean)
                model = eqx.tree_at(moving, model, optax.apply_updates(model.mean, -rate * slope))
                return (model, state), metrics

            return jax.lax.scan(turn, (model, state), jnp.arange(num))[1]

        return jax.vmap(one)(keys)

    return whole(rule, jax.random.split(jax.random.key(5), seeds))


@pytest.fixture(scope="module")
def student():
    """800 steps at rate 0.005 of 64 + 64 walkers of Langevin with h = 0.1, no refresh."""
    rule = Jarzynski(ULAPair(0.1), standard_normal(DIM), 64, resample_below=0.0, refresh=None)
    return trained(rule, 0.005, 800)


def test_drivers_flatter_themselves_as_predicted_and_auditors_do_not(student):
    """log Z is constant. Drivers are off by -(rate / N) steps tr Cov(grad E(x), grad E(x')) = -(rate / N) steps d
    (1 - h), where x' is one move after x, to first order in rate / h; auditors by nothing, within 4.9 standard errors.
    """
    truth = 0.5 * DIM * np.log(2 * np.pi)
    audit = np.asarray(student["log_z"])[:, -1] - truth
    drive = audit + np.asarray(student["self_influence"])[:, -1]
    predicted = -0.005 / 64 * 800 * DIM * 0.9
    scatter = drive.std(ddof=1) / np.sqrt(len(drive))
    assert drive.mean() < -8.0 * scatter, (drive.mean(), scatter)
    assert abs(drive.mean() - predicted) < 0.2 * abs(predicted) + 4.0 * scatter, (drive.mean(), predicted, scatter)
    assert float(np.mean(student["ess_drive"][:, -1])) > 0.95  # and nothing in the drivers tells of it
    assert abs(audit.mean()) < 4.9 * audit.std(ddof=1) / np.sqrt(len(audit)), audit


@pytest.mark.parametrize(("refresh", "moves", "spoken"), [(2, 0, True), (60, 0, False), (60, 60, False)])
def test_a_refresh_below_the_decorrelation_time_raises_the_alarm(refresh, moves, spoken):
    """Energies of Langevin chains with h = 0.05 correlate by (1 - h)^(2 n): 0.8 after 2 steps, 0.002 after 60."""
    rule = Jarzynski(ULAPair(0.05), standard_normal(DIM), 64, refresh=refresh, refresh_moves=moves)
    metrics = {name: np.asarray(values)[0] for name, values in trained(rule, 0.02, 181, seeds=1).items()}
    alarms = {alarm.name for alarm in Watchdog().look(np.arange(181), metrics)}
    assert ("clones" in alarms) == spoken, metrics["clone_correlation"]
    assert float(metrics["refreshed"].sum()) == 180 // refresh


def test_refresh_draws_drivers_from_the_weighted_auditors():
    rule = Jarzynski(MALA(0.1), standard_normal(1), 64, refresh=1, refresh_moves=0)
    xs = jnp.arange(128.0)[:, None]
    logs = jnp.where(jnp.arange(128) == 100, 3.0, -30.0)
    state = JarzynskiState(Chains(Walkers(xs, logs, xs[:, 0], xs[:, 0])), jnp.array(1), jnp.zeros(()), None)
    renewed, _, due, _ = rule._refreshed(jax.random.key(0), state.walkers.states, state, standard_normal(1))
    assert float(due) == 1.0
    assert np.all(np.asarray(renewed.x[:64]) == 100.0)
    np.testing.assert_array_equal(renewed.x[64:], xs[64:])
    both = jax.nn.logsumexp(renewed.log_weights.reshape(2, 64), axis=1)
    np.testing.assert_allclose(both[0], both[1], rtol=1e-5)


def quartic_slope(x):
    return jnp.sum(x**4)


@pytest.mark.parametrize("moves", [0, 8])
def test_new_drivers_that_leave_the_finite_on_their_own_moves_are_counted(moves):
    """One step of Langevin with h = 1 in x^4 stays finite from anywhere near 0; eight do not from nearly anywhere."""
    energy, batch = FunctionEnergy(quartic_slope), {"x": jnp.ones((8, 1))}
    rule = Jarzynski(ULAPair(1.0), standard_normal(1), 64, num_steps=1, refresh=1, refresh_moves=moves)
    state = rule.init(jax.random.key(0), energy, batch)._replace(steps=jnp.array(1))
    metrics = eqx.filter_jit(rule)(jax.random.key(1), energy, state, batch)[1][1]
    assert float(metrics["refreshed"]) == 1.0
    assert float(metrics["evicted"]) > 32 if moves else float(metrics["evicted"]) == 0.0


@pytest.mark.parametrize("moving", [None, 32])
def test_unadjusted_walkers_that_run_away_are_called_as_early_as_those_of_persistent_cd(moving):
    """Langevin with h = 1 in x^4 leaves the finite from nearly anywhere, without any test that could tell."""
    energy, batch = FunctionEnergy(quartic_slope), {"x": jnp.ones((8, 1))}
    rules = {
        "jarzynski": Jarzynski(ULAPair(1.0), standard_normal(1), 64, num_steps=8, num_moving=moving),
        "pcd": PersistentCD(ULA(1.0), 8, 128),
        "sound": Jarzynski(ULAPair(1e-3), standard_normal(1), 64, num_steps=8, num_moving=moving),
    }
    called, seen = {}, {}
    for name, rule in rules.items():

        @eqx.filter_jit
        def whole(key, rule=rule):
            def turn(state, index):
                return rule(jax.random.fold_in(key, index), energy, state, batch)[1]

            return jax.lax.scan(turn, rule.init(key, energy, batch), jnp.arange(12))[1]

        seen[name] = {metric: np.asarray(values) for metric, values in whole(jax.random.key(0)).items()}
        alarms = Watchdog().look(np.arange(12), seen[name])
        called[name] = {alarm.name: alarm.step for alarm in alarms if alarm.name in ("evicted", "divergent")}
    assert called["jarzynski"] == called["pcd"]
    assert set(called["pcd"]) == {"evicted", "divergent"}
    assert called["sound"] == {}
    pair = seen["jarzynski"]
    assert set(seen["pcd"]) - set(pair) == {"acceptance", "age_mean", "age_max"}
    assert np.all(pair["temperature"] == 1.0)
    counted = np.round(pair["divergent"] * (2 * (moving or 64)))
    assert np.all((pair["evicted"] > 0) & (pair["evicted"] <= counted))


class Quartic(AbstractEnergy):
    a: Array

    def __call__(self, x, cond=None):
        return 0.25 * self.a * jnp.sum(x**4)


def test_a_walker_that_runs_away_stops_no_training_and_biases_no_log_z(monkeypatch):
    """Langevin with h = 0.05 in x^4 / 4 leaves the finite from beyond 6.3, where one in thirty walkers is born.

    log Z is right with those left out: a path to where the energy is infinite has no weight.
    """
    rows = np.asarray(np.random.default_rng(0).normal(size=(40, 64, 1)), np.float32)
    wide = Gaussian(jnp.zeros(1), 3.0)
    rule = Jarzynski(ULAPair(0.05), wide, 2048, num_steps=5, resample_below=0.0, refresh=None)

    def trained():
        trainer = Trainer((Phase(rule, optax.adam(1e-2)),))
        state = trainer.init(jax.random.key(0), Quartic(jnp.array(1.0)), {"x": rows[0]})
        return run_steps(trainer, state, {"x": rows[:-1]})

    state, metrics = trained()
    assert float(metrics["evicted"].sum()) > 0
    assert float(metrics["rejected"].sum()) == 0
    _, (_, seen) = rule(jax.random.key(1), state.model, state.objectives[0], {"x": jnp.asarray(rows[-1])})
    nodes = np.linspace(-8.0, 8.0, 4001)
    log_z = np.log(np.sum(np.exp(-0.25 * float(state.model.a) * nodes**4)) * (nodes[1] - nodes[0]))
    assert abs(float(seen["log_z"]) - log_z) < 3 * float(seen["log_z_error"])
    monkeypatch.setattr(jarzynski_module, "_NO_WEIGHT", -jnp.inf)  # planted: a state that no step may keep
    assert float(trained()[1]["rejected"].sum()) > 0


def test_without_any_walker_of_weight_there_is_no_loss():
    rule = Jarzynski(ULAPair(5.0), standard_normal(1), 16, num_steps=20)
    model, batch = Quartic(jnp.array(50.0)), {"x": jnp.ones((4, 1))}
    _, (state, metrics) = rule(jax.random.key(0), model, rule.init(jax.random.key(1), model, batch), batch)
    assert float(metrics["divergent"]) == 1.0
    assert np.isnan(float(rule(jax.random.key(0), model, state, batch)[0]))


def test_walkers_at_infinite_energy_are_refused_at_the_start():
    wall = FunctionEnergy(lambda x: jnp.where(jnp.all(jnp.abs(x) < 1.0), 0.0, jnp.inf))
    with pytest.raises(ValueError, match=r"Jarzynski\.base must draw walkers at which the model's energy is finite"):
        Jarzynski(ULAPair(0.1), standard_normal(1), 64).init(jax.random.key(0), wall, {"x": jnp.zeros((8, 1))})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jarzynski(MALA(0.1), standard_normal(1), 30, num_groups=8), "num_chains must be a multiple"),
        (lambda: Jarzynski(MALA(0.1), standard_normal(1), 32, num_moving=33), "num_moving must be <="),
        (lambda: Jarzynski(MALA(0.1), standard_normal(1), 32, scheme="best"), "scheme must be one of"),
        (lambda: Jarzynski(ULAPair(0.1), standard_normal(1), 32, adapt_target=0.5), "adapt_target must be None"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
