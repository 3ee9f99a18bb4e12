"""Works of driven runs: the dragged trap in closed form, Crooks by enumeration of paths, escorts, planted bugs."""

import importlib
import itertools
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.special import expit
from scipy.stats import norm

from energax.core import AbstractDensity, AbstractEnergy, AbstractPath, AbstractSampler, GeometricPath
from energax.energies import Gaussian, standard_normal
from energax.free_energy import (
    bar,
    crooks,
    escorted,
    euler,
    jarzynski,
    ledger,
    perturbation,
    reverse_ais,
    reverse_jarzynski,
)
from energax.free_energy.ledger import _names
from energax.samplers import MALA, ULA, AbstractPair, Cycle, MALAInfo, PairStep, ULAPair
from free_energy.targets import TARGETS
from judges import reach

WORK, MOVES = (importlib.import_module(f"energax.free_energy.{name}") for name in ("jarzynski", "transitions"))
WELL = TARGETS["double well"]
SHORT = np.linspace(0.0, 1.0, 5)
ANALYTIC = np.exp(-1.0)  # mean work of dragging a trap of stiffness 1 at speed 1 for a time 1


class Trap(AbstractEnergy):
    """-log N(x; centre, scale^2): normalised, so that moving it costs no free energy."""

    centre: Array
    scale: Array

    def __call__(self, x, cond=None):
        return jnp.sum(0.5 * ((x - self.centre) / self.scale) ** 2 + jnp.log(self.scale) + 0.5 * np.log(2 * np.pi))


class Dragged(AbstractPath):
    """A trap that goes from 0 to `far` while its width goes from 1 to `narrow`; `lift` nats are added at the end."""

    far: float
    narrow: float = 1.0
    lift: float = 0.0
    base: AbstractDensity = eqx.field(default_factory=lambda: standard_normal(1))

    def at(self, s):
        s = jnp.asarray(s)
        return Trap(self.far * s, self.width(s)) + Lift(self.lift * s)

    def width(self, s):
        return 1.0 + (self.narrow - 1.0) * s


class Lift(AbstractEnergy):
    by: Array

    def __call__(self, x, cond=None):
        return self.by


class Relax(AbstractSampler):
    """The exact Ornstein-Uhlenbeck step of time `time` in a trap of width 1: it leaves the trap's density invariant."""

    time: float

    def init(self, energy, x):
        return State(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        centre = state.x - jax.grad(energy)(state.x)
        keep = jnp.exp(-jnp.asarray(self.time))
        x = centre + keep * (state.x - centre) + jnp.sqrt(1 - keep**2) * jax.random.normal(key, state.x.shape)
        return State(x), MALAInfo(energy(x), jnp.ones(()), jnp.array(False))


class State(eqx.Module):
    x: Array


def Info(*told):
    from energax.samplers.mala import MALAInfo

    return MALAInfo(*told)


def z_of(values, exact):
    values = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        z = (values.mean() - exact) / (values.std(ddof=1) / np.sqrt(len(values)))
    return float(z) if np.isfinite(z) else np.inf


def mean_by_recursion(moves):
    """Mean work in `moves` steps of an exactly relaxing trap: W_k = -d y_k + d^2/2, y the lag behind the centre."""
    d, lag, total = 1.0 / moves, 0.0, 0.0
    for _ in range(moves):
        total += -d * lag + 0.5 * d * d
        lag = np.exp(-d) * (lag - d)
    return total


def test_the_dragged_trap_by_an_exact_kernel():
    # Gaussian work with Delta F = 0: variance twice the mean, P(W < 0) = Phi(-sqrt(mean / 2)); all z at 6e-7
    found = jarzynski(jax.random.key(0), Dragged(1.0), Relax(0.05), num_chains=100_000, num_temperatures=21)
    exact, work = mean_by_recursion(20), np.asarray(found.work, np.float64)
    assert abs(z_of(work, exact)) < reach()
    assert abs(z_of((work - exact) ** 2, 2 * exact)) < reach()
    assert abs(z_of(np.exp(-work), 1.0)) < reach()
    assert abs(z_of(work < 0, norm.cdf(-np.sqrt(exact / 2)))) < reach()
    # and the recursion tends to the continuous drag
    assert mean_by_recursion(20) == pytest.approx(ANALYTIC, abs=0.01)
    assert mean_by_recursion(4000) == pytest.approx(ANALYTIC, abs=1e-4)


def test_the_dragged_trap_by_an_unadjusted_pair():
    # its work contains that of its own discretisation, so that the equality holds at any step size
    rough = jarzynski(jax.random.key(1), Dragged(1.0), ULAPair(0.5), num_chains=100_000, num_temperatures=3)
    assert abs(z_of(np.exp(-np.asarray(rough.work, np.float64)), 1.0)) < reach()
    fine = jarzynski(jax.random.key(2), Dragged(1.0), ULAPair(0.01), num_chains=20_000, num_temperatures=101)
    work = np.asarray(fine.work, np.float64)
    assert abs(work.mean() - ANALYTIC) < 0.01 + reach() * work.std() / np.sqrt(len(work))  # 0.01: the step's own error
    assert abs(z_of(np.exp(-work), 1.0)) < reach()


@pytest.mark.parametrize("kernel", [MALA(0.05), ULAPair(0.02)], ids=["mala", "ula pair"])
def test_forward_and_reverse_works_meet_in_delta_f(kernel):
    xs = jnp.asarray(WELL.draw(np.random.default_rng(0), 20_000), jnp.float32)
    ahead = jarzynski(jax.random.key(3), WELL.path, kernel, num_chains=20_000, betas=SHORT)
    back = reverse_jarzynski(jax.random.key(4), WELL.path, kernel, xs, betas=SHORT)
    assert abs(z_of(np.exp(-np.asarray(ahead.work, np.float64) - WELL.log_z), 1.0)) < reach()
    assert abs(z_of(np.exp(-np.asarray(back.work, np.float64) + WELL.log_z), 1.0)) < reach()
    joined = bar(ahead, back)
    assert abs(joined.delta_f + WELL.log_z) < reach() * joined.std_error
    assert joined.std_error < 0.03
    assert crooks(ahead, back).dissipation_forward > 0
    assert perturbation(jax.random.key(5), back, direction="reverse").direction == "reverse"
    with pytest.raises(ValueError, match=r"bar.forward must be a forward run; got a reverse run\."):
        bar(back, ahead)


class Levels(AbstractEnergy):
    """An energy for each of a few states, the state being the sample."""

    values: Array

    def __call__(self, x, cond=None):
        return self.values[x.astype(jnp.int32)]


class Any(AbstractDensity):
    values: Array

    def sample(self, key):
        return jax.random.categorical(key, -self.values).astype(self.values.dtype)

    def log_prob(self, x):
        return -self.values[x.astype(jnp.int32)] - jax.nn.logsumexp(-self.values)


STATES, TEMPERATURES = 3, np.array([0.0, 0.3, 0.7, 1.0])


def metropolis(values):
    """Transition matrix that proposes each other state alike, in detailed balance for exp(-values)."""
    accept = np.minimum(1.0, np.exp(values[:, None] - values)) / (STATES - 1)
    np.fill_diagonal(accept, 0.0)
    return accept + np.diag(1 - accept.sum(axis=1))


def enumerate_paths(tables, back, gain, gain_back):
    """-> (P_F, W_F, P_R, W_R) of every path, the reverse ones read backwards."""
    p0, p1 = (np.exp(-e) / np.exp(-e).sum() for e in (ENERGIES[0], ENERGIES[-1]))
    rows = []
    for states in itertools.product(range(STATES), repeat=len(TEMPERATURES)):
        ahead, behind, w, v = p0[states[0]], p1[states[-1]], 0.0, 0.0
        for k, (x, y) in enumerate(itertools.pairwise(states)):
            ahead, behind = ahead * tables[k][x, y], behind * back[k][y, x]
            w, v = w - gain[k][x, y], v - gain_back[k][y, x]
        rows.append((ahead, w, behind, v))
    return np.array(rows).T


E0, E1 = np.array([0.0, 0.7, -0.4]), np.array([1.5, -0.8, 0.3])
E0 = E0 + np.log(np.exp(-E0).sum())  # the base is normalised
ENERGIES = [(1 - s) * E0 + s * E1 for s in TEMPERATURES]
EXACT = -np.log(np.exp(-E1).sum())


@pytest.mark.parametrize("kind", ["sampler", "pair"])
def test_crooks_by_enumeration_of_paths(kind):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        path = GeometricPath(Any(jnp.asarray(E0)), Levels(jnp.asarray(E1)))
        xs, s = jnp.arange(3.0), jnp.asarray(TEMPERATURES)
        if kind == "sampler":
            tables = [metropolis(e) for e in ENERGIES[1:]]
            back = tables
            ends = [np.asarray(MOVES.work(path, a, b, xs)) for a, b in itertools.pairwise(s)]
            gain = [np.repeat(g[:, None], STATES, axis=1) for g in ends]
            ends = [np.asarray(MOVES.work(path, b, a, xs)) for a, b in itertools.pairwise(s)]
            gain_back = [np.repeat(g[None, :], STATES, axis=0) for g in ends]  # weighed after the move
        else:
            tables, back = (rng.dirichlet(np.ones(STATES), size=(3, STATES)) for _ in range(2))
            x, y = (jnp.asarray(g.ravel(), jnp.float64) for g in np.meshgrid(range(3), range(3), indexing="ij"))
            gain, gain_back = [], []
            for k, (a, b) in enumerate(itertools.pairwise(s)):
                ratio = np.log(back[k].T / tables[k])  # log B(y -> x) - log T(x -> y) at [x, y]
                gain.append(np.asarray(MOVES.pair_gain(path, a, b, x, y, jnp.asarray(ratio.ravel()))).reshape(3, 3))
                turned = MOVES.pair_gain(path, b, a, x, y, jnp.asarray(-ratio.T.ravel()))
                gain_back.append(np.asarray(turned).reshape(3, 3))
    ahead, w, behind, v = enumerate_paths(tables, back, gain, gain_back)
    assert ahead.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(w, -v, atol=1e-12)  # a path's work is minus its reversal's
    np.testing.assert_allclose(ahead * np.exp(EXACT - w), behind, atol=1e-12)  # Crooks, path by path
    assert ahead @ np.exp(-w) == pytest.approx(np.exp(-EXACT), abs=1e-12)  # Jarzynski
    assert behind @ np.exp(-v) == pytest.approx(np.exp(EXACT), abs=1e-12)
    met = ahead > 0  # the dissipation is KL(P_F || P_R)
    assert ahead @ w - EXACT == pytest.approx(np.sum(ahead[met] * np.log(ahead[met] / behind[met])), abs=1e-12)


def test_a_sweep_in_fixed_order_keeps_jarzynski_and_breaks_crooks():
    """Invariant, but its reversal is another sweep: Bennett's two sides, alike if Crooks' relation holds, differ."""

    def sweep(values):
        whole = np.eye(STATES)
        for still in (2, 0):  # exchanges the other two states
            step = np.minimum(1.0, np.exp(values[:, None] - values))
            step[still, :] = step[:, still] = 0.0
            np.fill_diagonal(step, 0.0)
            whole = whole @ (step + np.diag(1 - step.sum(axis=1)))
        return whole

    def sides(tables):
        ahead, w, behind, v = enumerate_paths(tables, tables, gain, gain_back)
        assert ahead @ np.exp(-w) == pytest.approx(np.exp(-EXACT), abs=1e-12)
        assert behind @ np.exp(-v) == pytest.approx(np.exp(EXACT), abs=1e-12)
        return np.max(np.abs(ahead * np.exp(EXACT - w) - behind)), ahead @ expit(EXACT - w) - behind @ expit(-v - EXACT)

    rises = [after - before for before, after in itertools.pairwise(ENERGIES)]
    gain = [np.repeat(-rise[:, None], STATES, axis=1) for rise in rises]
    gain_back = [np.repeat(rise[None, :], STATES, axis=0) for rise in rises]
    np.testing.assert_allclose(sides([metropolis(e) for e in ENERGIES[1:]]), 0.0, atol=1e-12)
    by_path, bias = sides([sweep(e) for e in ENERGIES[1:]])
    assert by_path > 0.1
    assert abs(bias) > 0.001


SWEEP = Cycle((MALA(0.05), MALA(0.05)))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda key, xs: reverse_jarzynski(key, WELL.path, SWEEP, xs, betas=SHORT),
            "reverse_jarzynski.kernel must be in detailed balance, .*; got Cycle, which does not claim it",
        ),
        (
            lambda key, xs: ledger(key, WELL.path, SWEEP, estimators=("ais", "crooks")),
            "ledger.kernel must be in detailed balance, .*; got Cycle",
        ),
        (
            lambda key, xs: reverse_jarzynski(key, WELL.path, ULA(0.05), xs, betas=SHORT),
            "reverse_jarzynski.sampler must leave every temperature's density exactly invariant, .* got ULA",
        ),
    ],
    ids=["works", "ledger", "unadjusted"],
)
def test_a_kernel_that_is_not_its_own_reversal_is_refused_before_compilation(call, sentence, caplog):
    key, xs = jax.random.key(0), jnp.zeros((8, 2))
    with jax.log_compiles(), pytest.raises(ValueError, match=sentence):
        call(key, xs)
    assert set(re.findall(r"Compiling jit\((\w+)\)", caplog.text)) <= {
        "broadcast_in_dim",
        "true_divide",
    }  # of the path's own numbers


def test_runs_of_a_kernel_that_is_not_reversible_are_not_joined():
    xs = jnp.zeros((8, 2))
    ahead = jarzynski(jax.random.key(0), WELL.path, SWEEP, num_chains=8, betas=SHORT)
    back = reverse_ais(jax.random.key(0), WELL.path, SWEEP, xs, start="exact", betas=SHORT, pilot_chains=8)
    for join in (bar, crooks):
        with pytest.raises(ValueError, match=r"forward must be a run of a kernel in detailed balance, .*"):
            join(ahead, np.zeros(8))
        with pytest.raises(ValueError, match="reverse must be a run of a kernel in detailed balance"):
            join(np.zeros(8), back)
    assert "crooks" not in _names(None, None, SWEEP)
    assert "crooks" in _names(None, None, MALA(0.05))


BUGS = {
    "sign of work": ("gain_before", lambda gain: lambda *a: -gain(*a)),
    "moved at the old temperature": (
        "move", lambda move: lambda key, kernel, path, here, there, *a: move(key, kernel, path, here, here, *a)),
    "work of the last change forgotten": (
        "gain_before", lambda gain: lambda kernel, path, here, there, xs: jnp.where(
            there < 1.0, gain(kernel, path, here, there, xs), 0.0)),
}  # fmt: skip


def works(kernel, num=40_000):
    xs = jax.vmap(WELL.path.base.sample)(jax.random.split(jax.random.key(6), num))
    betas = jnp.asarray(SHORT, jnp.float32)
    run = jax.jit(lambda xs: WORK.forward_works(jax.random.key(7), WELL.path, kernel, xs, betas, None, 1)[0])
    with np.errstate(over="ignore"):
        return np.exp(-np.asarray(run(xs), np.float64) - WELL.log_z)


@pytest.mark.parametrize("name", BUGS)
def test_the_judge_catches(name, monkeypatch):
    attribute, plant = BUGS[name]
    monkeypatch.setattr(WORK, attribute, plant(getattr(WORK, attribute)))
    assert abs(z_of(works(MALA(jnp.float32(0.05))), 1.0)) > 8.0


class Turning(AbstractPair):
    """Turns a spin with probability `ahead` forwards and `back` backwards; it is not its own reversal."""

    ahead: float
    back: float

    def step(self, key, energy, x):
        turned = jax.random.bernoulli(key, self.ahead, x.shape)
        ratio = jnp.where(turned, jnp.log(self.back / self.ahead), jnp.log((1 - self.back) / (1 - self.ahead)))
        return PairStep(jnp.where(turned, 1.0 - x, x), jnp.sum(ratio))

    def reversed(self):
        return Turning(self.back, self.ahead)


def test_a_pair_is_driven_backwards_by_its_reversal():
    """Spin by spin the reverse works are those of the forward run read backwards: E e^-W = Z_0 / Z_1 = 1 / Z.

    False-fail rate 6e-7; a bias of 5 standard errors, 2 %, is seen.
    """
    ends = Levels(jnp.array([0.3, -0.9]))
    path, exact = GeometricPath(Any(jnp.array([0.0, 0.0])), ends), float(jax.nn.logsumexp(-ends.values))
    xs = (jax.random.uniform(jax.random.key(0), (40_000,)) < jax.nn.sigmoid(1.2)).astype(jnp.float32)
    for kernel in (Turning(0.2, 0.35), Turning(0.35, 0.2)):
        ahead = jarzynski(jax.random.key(1), path, kernel, num_chains=40_000, betas=SHORT)
        back = reverse_jarzynski(jax.random.key(2), path, kernel, xs, betas=SHORT)
        assert abs(z_of(np.exp(-np.asarray(ahead.work, np.float64) - exact), 1.0)) < reach()
        assert abs(z_of(np.exp(-np.asarray(back.work, np.float64) + exact), 1.0)) < reach()
        joined = bar(ahead, back)
        assert abs(joined.delta_f + exact) < reach() * joined.std_error
        assert np.max(np.abs(crooks_scores(ahead.work, back.work, exact))) < reach(20)


def crooks_scores(ahead, back, exact):
    """P_F(W) exp(-(W - Delta F)) beside P_R(-W) at each value that work takes, in standard errors.

    Work of a few turnings is one of some ten numbers; another protocol backwards has others, 100 errors off.
    """
    forward, reverse = np.asarray(ahead, np.float64), -np.asarray(back, np.float64)
    scores = []
    for value in np.unique(np.round(np.concatenate([forward, reverse]), 3)):
        p = (np.abs(forward - value) < 2e-3) * np.exp(-forward - exact)
        q = 1.0 * (np.abs(reverse - value) < 2e-3)
        if np.count_nonzero(p) + np.count_nonzero(q) > 400:
            scores.append((p.mean() - q.mean()) / np.sqrt((p.var() + q.var()) / len(p)))
    return np.array(scores)


def test_the_judge_catches_a_pair_without_its_ratio():
    class Half(ULAPair):  # a mutant; final classes are not subclassed elsewhere
        def step(self, key, energy, x):
            return super().step(key, energy, x)._replace(log_ratio=jnp.zeros(()))

    assert abs(z_of(works(Half(jnp.float32(0.05))), 1.0)) > 8.0
    assert abs(z_of(works(ULA(jnp.float32(0.05))), 1.0)) > 8.0


PATH = Dragged(2.0, 0.4, 0.9)


def perfect(x, here, there):
    """The affine map that takes the trap at `here` into the one at `there`."""
    return PATH.far * there + PATH.width(there) / PATH.width(here) * (x - PATH.far * here)


@pytest.mark.parametrize("kernel", [MALA(0.1), ULAPair(0.01)], ids=["mala", "ula pair"])
def test_a_perfect_escort_makes_the_work_certain(kernel):
    found = escorted(jax.random.key(8), PATH, kernel, perfect, num_chains=2000, num_temperatures=11)
    work = np.asarray(found.work, np.float64)
    if isinstance(kernel, MALA):
        np.testing.assert_allclose(work, PATH.lift, atol=2e-5)
    else:  # what remains is the pair's own discretisation
        assert work.std() < 0.2
        assert abs(z_of(np.exp(PATH.lift - work), 1.0)) < reach()
    assert int(found.folded) == 0


def test_an_imperfect_escort_is_unbiased_and_dissipates_less():
    drift = euler(
        lambda x, s: PATH.far + (PATH.narrow - 1.0) / PATH.width(s) * (x - PATH.far * s) + 0.3 * jnp.sin(3 * x)
    )
    led = escorted(jax.random.key(9), PATH, MALA(0.05), drift, num_chains=20_000, num_temperatures=6)
    alone = jarzynski(jax.random.key(9), PATH, MALA(0.05), num_chains=20_000, num_temperatures=6)
    work = np.asarray(led.work, np.float64)
    assert abs(z_of(np.exp(PATH.lift - work), 1.0)) < reach()
    assert work.mean() - PATH.lift < 0.2 * (float(jnp.mean(alone.work)) - PATH.lift)
    # the final positions with their weights are samples of the target
    weights, x = np.exp(PATH.lift - work), np.asarray(led.x[:, 0], np.float64)
    assert abs(z_of(weights * (x - PATH.far), 0.0)) < reach()
    assert abs(z_of(weights * ((x - PATH.far) ** 2 - PATH.narrow**2), 0.0)) < reach()


def test_the_judge_catches_an_escort_without_its_determinant(monkeypatch):
    module = importlib.import_module("energax.free_energy.escorted")
    whole = module._carried

    def without(path, escort, here, there, x):
        y, gained, folds = whole(path, escort, here, there, x)
        return y, gained - jnp.log(path.width(there) / path.width(here)), folds

    monkeypatch.setattr(module, "_carried", without)
    xs = jax.vmap(PATH.base.sample)(jax.random.split(jax.random.key(6), 1000))
    betas = jnp.linspace(0.0, 1.0, 6)
    run = jax.jit(lambda xs: module.escorted_works(jax.random.key(7), PATH, MALA(0.1), perfect, xs, betas, None, 1)[0])
    assert np.abs(np.asarray(run(xs)) - PATH.lift).min() > 0.5


def test_folds_are_counted_and_bad_escorts_refused():
    found = escorted(jax.random.key(8), PATH, MALA(0.1), lambda x, a, b: -x, num_chains=10, num_temperatures=3)
    assert int(found.folded) == 20
    with pytest.raises(ValueError, match=r"escorted.escort must return a sample like the one it was given"):
        escorted(jax.random.key(8), PATH, MALA(0.1), lambda x, a, b: x[0], num_chains=10)


def test_runs_outside_the_support_have_infinite_work():
    class Walled(AbstractEnergy):
        def __call__(self, x, cond=None):
            return jnp.where(jnp.all(jnp.abs(x) < 1.0), 0.0, jnp.inf)

    path = GeometricPath(Gaussian(jnp.zeros(1), 1.0), Walled())
    found = jarzynski(jax.random.key(9), path, ULAPair(0.01), num_chains=2000, num_temperatures=3)
    work = np.asarray(found.work, np.float64)
    assert np.any(work == np.inf)
    assert not np.any(np.isnan(work))
    assert abs(z_of(np.exp(-work), 2.0)) < reach()


def test_bad_starts_are_refused():
    with pytest.raises(ValueError, match=r"reverse_jarzynski.xs must hold samples shaped like the base's"):
        reverse_jarzynski(jax.random.key(0), WELL.path, MALA(0.1), jnp.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"jarzynski.betas must increase strictly from 0 to 1"):
        jarzynski(jax.random.key(0), WELL.path, MALA(0.1), betas=np.array([0.0, 0.5]))
