"""Population annealing: E[Zhat] = Z at every temperature with six particles, families in closed form, planted bugs."""

import importlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from energax.core import AbstractDensity, GeometricPath
from energax.energies import (
    BernoulliRBM,
    IndependentBits,
    Ising,
    RBMPath,
    lattice_edges,
    rbm_exact,
    standard_normal,
)
from energax.free_energy import family_sizes, population_annealing
from energax.samplers import MALA, SPINS as SITES, ULA, BlockGibbs, Gibbs
from free_energy.targets import TARGETS
from judges import judge_error_bars, reach, refuses

MODULE, TURN = (importlib.import_module(f"energax.free_energy.{n}") for n in ("population_annealing", "population"))
SHORT = jnp.linspace(0.0, 1.0, 5)
PARTICLES = 6  # unbiasedness holds for any number, and with few no mistake is averaged away


class Coins(AbstractDensity):
    """Independent fair spins."""

    num: int = eqx.field(static=True)

    def sample(self, key):
        return jnp.where(jax.random.bernoulli(key, 0.5, (self.num,)), 1.0, -1.0)

    def log_prob(self, x):
        return jnp.float32(-self.num * np.log(2.0)) + 0.0 * jnp.sum(x)


SPINS = Ising(lattice_edges((2, 2)), 0.6, jnp.array([0.8, -1.4, 0.4, 1.0]))
PATH = GeometricPath(Coins(4), SPINS)
STATES = np.array([[1.0 - 2 * ((k >> i) & 1) for i in range(4)] for k in range(16)])
ENERGIES = np.array([float(SPINS(jnp.asarray(s, jnp.float32))) for s in STATES])


def exact(s):
    """log Z at s, and the mean of the first spin."""
    log_p = -4.0 * np.log(2.0) * (1.0 - s) - s * ENERGIES
    z = np.exp(log_p).sum()
    return np.log(z), (np.exp(log_p) * STATES[:, 0]).sum() / z


def run(repeats=10_000, scheme="systematic", path=PATH, kernel=None, betas=SHORT, particles=PARTICLES):
    start, walk = jax.random.split(jax.random.key(7))
    xs = TURN.exact_populations(start, path, repeats, particles)
    kernel = Gibbs(SITES) if kernel is None else kernel
    # a function of its own, so that no trace is reused
    return jax.jit(lambda xs: MODULE.anneal_populations(walk, path, kernel, xs, betas, None, 1, scheme))(xs)


def worst_z(found):
    """Of Zhat / Z at every temperature and of Zhat x_0 at the last, in standard errors."""
    x, log_zs = np.asarray(found[0], np.float64), np.asarray(found[1], np.float64)
    scores = []
    for k, s in enumerate(SHORT[1:], start=1):
        scores.append((np.exp(log_zs[:, k] - exact(float(s))[0]), 1.0))
    scores.append((np.exp(log_zs[:, -1] - exact(1.0)[0]) * x[:, :, 0].mean(1), exact(1.0)[1]))
    with np.errstate(all="ignore"):
        z = [(v.mean() - mean) / (v.std(ddof=1) / np.sqrt(len(v))) for v, mean in scores]
    return float(np.max(np.abs(np.where(np.isfinite(z), z, np.inf))))


@pytest.mark.parametrize("scheme", ["multinomial", "systematic"])
def test_mean_zhat_is_z_at_every_temperature_with_six_particles(scheme):
    found = run(scheme=scheme)
    assert worst_z(found) < reach()
    spread = np.exp(np.asarray(found[1][:, -1], np.float64) - exact(1.0)[0]).std()
    assert 0.1 < spread < 3.0  # a bias of 5 spread / 100 is seen


BUGS = {
    "no resampling": ("SCHEMES", {"systematic": lambda key, w: jnp.arange(w.shape[0], dtype=jnp.int32)}),
    "weights of the neighbour": ("SCHEMES", {"systematic": lambda key, w: MODULE.scheme(key, jnp.roll(w, 1))}),
    "weights inverted": ("SCHEMES", {"systematic": lambda key, w: MODULE.scheme(key, -w)}),
    "sum for mean": ("log_mean_exp", jax.nn.logsumexp),
    "mean of logs": ("log_mean_exp", jnp.mean),
    "sign of the increment": ("gain_before", lambda kernel, path, here, there, xs: MODULE.gain(
        kernel, path, there, here, xs)),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_the_judge_catches(name, monkeypatch):
    monkeypatch.setattr(MODULE, "scheme", MODULE.SCHEMES["systematic"], raising=False)
    monkeypatch.setattr(MODULE, "gain", MODULE.gain_before, raising=False)
    monkeypatch.setattr(MODULE, *BUGS[name])
    assert worst_z(run()) > 8.0


def test_families():
    rho, entropy = family_sizes(jnp.arange(8))
    assert (float(rho), float(entropy)) == (1.0, pytest.approx(np.log(8.0)))
    rho, entropy = family_sizes(jnp.zeros(8, jnp.int32))
    assert (float(rho), float(entropy)) == (8.0, pytest.approx(0.0))
    # equal weights: each draws its parent uniformly, k times over; two then stay apart with probability (1 - 1/N)^k
    flat = GeometricPath(standard_normal(1), standard_normal(1).energy())
    families = run(4000, "multinomial", flat, MALA(0.5), SHORT, 10)[2]
    rhos = np.asarray(jax.vmap(family_sizes)(families)[0], np.float64)
    want = 1.0 + 9 * (1.0 - 0.9**4)
    assert abs(rhos.mean() - want) < reach() * rhos.std() / np.sqrt(len(rhos))
    assert np.all(np.asarray(jax.vmap(family_sizes)(run(100, "systematic", flat, MALA(0.5), SHORT, 10)[2])[0]) == 1.0)


def test_error_bars_are_honest():
    """400 runs of 16 populations: sd of z in the chi^2 band of rate 1e-6, widened by Student's t; 95 % cover."""
    log_zs = np.asarray(run(6400, particles=64)[1][:, -1], np.float64).reshape(400, 16) - exact(1.0)[0]
    mean = np.log(np.exp(log_zs).mean(axis=1))
    z = mean / (np.exp(log_zs).std(axis=1, ddof=1) / 4 / np.exp(mean))
    judge_error_bars(z, freedom=15)
    inside = int(np.sum(np.abs(z) < 2.131))
    assert binom.ppf(1e-6, 400, 0.93) <= inside <= binom.ppf(1 - 1e-6, 400, 0.97)


def test_the_front_door():
    target = TARGETS["double well"]
    found = population_annealing(jax.random.key(0), target.path, MALA(1.0), num_particles=64, num_temperatures=30)
    assert abs(float(found.log_z[-1]) - target.log_z) < reach(freedom=15) * float(found.std_error[-1])
    assert float(found.std_error[-1]) < 0.1
    assert (float(found.log_z[0]), float(found.std_error[0])) == (0.0, 0.0)
    half = 2.1314 * np.asarray(found.std_error)  # Student's t of 15 degrees of freedom
    np.testing.assert_allclose(found.interval, np.asarray(found.log_z) + np.stack([-half, half]), atol=1e-5)
    assert found.x.shape == (16 * 64, 2)
    assert found.families.shape == found.log_weights.shape == found.energy.shape == (16 * 64,)
    np.testing.assert_allclose(found.energy, jax.vmap(target.energy)(found.x), rtol=1e-4, atol=1e-5)
    assert np.all((np.asarray(found.rho) >= 1.0) & (np.asarray(found.rho) < 64.0))
    assert float(found.ess.min()) > 0.3
    assert float(found.acceptance.min()) > 0.4
    weights = np.exp(np.asarray(found.log_weights, np.float64))
    exact_mean = -0.4292166557230712
    each = (weights[:, None] * (np.asarray(found.x, np.float64) - exact_mean)).mean(1).reshape(16, 64).mean(1)
    assert abs(each.mean()) < reach(freedom=15) * each.std(ddof=1) / 4.0


def test_a_machine_cools_by_block_gibbs_along_its_own_path():
    rng = np.random.default_rng(0)
    parts = (rng.normal(size=(6, 4)), rng.normal(size=6), rng.normal(size=4))
    machine = BernoulliRBM(*(jnp.asarray(part, jnp.float32) for part in parts))
    path = RBMPath(IndependentBits(jnp.zeros(6)), machine)
    found = population_annealing(jax.random.key(0), path, BlockGibbs(), num_particles=32, num_temperatures=20)
    assert abs(float(found.log_z[-1]) - rbm_exact(machine).log_z) < 4 * float(found.std_error[-1]) < 0.4


def test_refusals():
    key, path = jax.random.key(0), TARGETS["double well"].path
    refused = {
        "population_annealing.sampler must leave every temperature": {"sampler": ULA(0.1)},
        "num_populations must be an integer >= 2; got 1": {"num_populations": 1},
        "num_chains must be an integer >= 2; got 1": {"num_particles": 1},
        "resampling must be one of multinomial": {"resampling": "best"},
        "betas must increase strictly from 0 to 1": {"betas": np.array([0.0, 2.0])},
        "schedule must not be 'tuned' with pilot_chains=0": {"pilot_chains": 0},
    }
    for message, changes in refused.items():
        options = {"sampler": MALA(0.1)} | changes
        with refuses(message):
            population_annealing(key, path, options.pop("sampler"), **options)
