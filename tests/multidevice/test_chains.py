"""Chains over eight devices are those of one: every runner and estimator, kernels of all kinds.

Spins, bits and counts agree bit for bit; real numbers to their last bits, as XLA compiles loops over two rows otherwise
than one over sixteen. The law that a chain does not know of others is in the contracts of samplers.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from energax.core import GeometricPath
from energax.energies import BernoulliRBM, DoubleWell, IndependentBits, Ising, RBMPath, standard_normal
from energax.free_energy.ais import annealed_weights
from energax.free_energy.jarzynski import forward_works
from energax.free_energy.population_annealing import anneal_populations
from energax.free_energy.smc import populations_run
from energax.samplers import (
    MALA,
    SPINS,
    BlockGibbs,
    ParallelTempering,
    RandomScanGibbs,
    SimulatedTempering,
    SwendsenWang,
    init_chains,
    moments,
    sample,
    simulated_annealing,
)

pytestmark = pytest.mark.optimised  # quickly compiled loops differ by the tenth bit, users' by the last
CHAINS = 16
LADDER = jnp.array([1.0, 0.5, 0.2])
WELLS, SPIN_GLASS = DoubleWell(2.0, 2, 0.4), 0.6 * Ising.lattice((3, 4), 0.5, 0.1)
RBM = BernoulliRBM(jnp.linspace(-2.0, 2.0, 30).reshape(6, 5), jnp.linspace(-0.5, 0.5, 6), jnp.zeros(5))
REAL = jax.random.normal(jax.random.key(1), (CHAINS, 2))
SPIN = jnp.sign(jax.random.normal(jax.random.key(2), (CHAINS, 12)))
BIT = jnp.round(jax.random.uniform(jax.random.key(3), (CHAINS, 6)))

KERNELS = {
    "mala": (MALA(0.2), WELLS, REAL),
    "gibbs": (RandomScanGibbs(SPINS), SPIN_GLASS, SPIN),
    "swendsen-wang": (SwendsenWang(), SPIN_GLASS, SPIN),
    "block gibbs": (BlockGibbs(), RBM, BIT),
    "parallel tempering": (ParallelTempering(MALA(0.2), LADDER), WELLS, REAL),
    "parallel tempering of spins": (ParallelTempering(RandomScanGibbs(SPINS), LADDER), SPIN_GLASS, SPIN),
    "simulated tempering": (SimulatedTempering(MALA(0.2), LADDER), WELLS, REAL),
}


def split(tree):
    """Axis 0 of every leaf over the eight devices."""
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec("data")))


def judge(one, eight):
    """Leaf by leaf, of trees with chains on axis 0 of every leaf; `eight` did live on eight devices."""
    leaves = jax.tree.leaves(eight)
    assert leaves
    assert all(len({shard.device for shard in leaf.addressable_shards}) == 8 for leaf in leaves)
    assert all(not leaf.sharding.is_fully_replicated for leaf in leaves)
    for a, b in zip(map(np.asarray, jax.tree.leaves(one)), map(np.asarray, leaves), strict=True):
        if np.all(np.isin(a, (-1, 0, 1))) or not np.issubdtype(a.dtype, np.floating):
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=3e-6, atol=3e-6)


SLOW = ("parallel tempering of spins", "simulated tempering")  # the others hold the same law


@pytest.mark.parametrize("name", [pytest.param(k, marks=[pytest.mark.slow] * (k in SLOW)) for k in KERNELS])
def test_draws(name):
    kernel, energy, xs = KERNELS[name]
    start = init_chains(kernel, energy, xs)
    run = partial(sample, jax.random.key(4), kernel, energy, num_samples=3, thin=2, burn_in=1)
    one, eight = run(chains=start), run(chains=split(start))
    judge(one, eight)
    assert np.std(np.asarray(one[1].x)) > 0.1


@pytest.mark.parametrize("name", ["mala", pytest.param("parallel tempering of spins", marks=pytest.mark.slow)])
def test_moments(name):
    """Those of every chain, and the pooled ones, which are sums over devices."""
    kernel, energy, xs = KERNELS[name]
    start = init_chains(kernel, energy, xs)
    run = partial(moments, jax.random.key(4), kernel, energy, num_steps=8, thin=2, burn_in=1)
    one, eight = run(chains=start), run(chains=split(start))
    per_chain = ("chain_mean", "chain_variance", "acceptance", "divergences")
    told = [(found[0], [getattr(found[1], field) for field in per_chain]) for found in (one, eight)]
    judge(*told)
    for field in ("mean", "variance", "std_error", "ess"):
        pooled = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
        jax.tree.map(pooled, getattr(one[1], field), getattr(eight[1], field))


def test_simulated_annealing():
    run = partial(simulated_annealing, jax.random.key(5), MALA(0.1), WELLS, betas=jnp.linspace(0.1, 5.0, 10))
    judge(*((found.x, found.energy, found.chains) for found in (run(xs=REAL), run(xs=split(REAL)))))


WALK = GeometricPath(standard_normal(2), WELLS)
BASE = IndependentBits(jnp.zeros(6))
PATHS = {"mala": (WALK, MALA(0.2), REAL), "block gibbs": (RBMPath(BASE, RBM), BlockGibbs(), BIT)}
BETAS = jnp.linspace(0.0, 1.0, 8)


@pytest.mark.parametrize(
    ("name", "run"), [("mala", annealed_weights), ("block gibbs", annealed_weights), ("mala", forward_works)]
)
def test_annealed_weights(name, run):
    path, kernel, xs = PATHS[name]
    go = jax.jit(lambda xs: run(jax.random.key(6), path, kernel, xs, BETAS, None, 2))
    one, eight = go(xs), go(split(xs))
    judge(one[:2], eight[:2])
    assert np.std(np.asarray(one[0])) > 0.01
    np.testing.assert_allclose(one[2], eight[2], rtol=1e-5)


@pytest.mark.parametrize("name", ["smc", "population annealing"])
def test_populations(name):
    """Whole populations live on a device: resampling needs no other."""
    xs = jax.random.normal(jax.random.key(7), (8, CHAINS, 2))

    def go(xs):
        if name == "smc":
            half = jnp.array(0.5)
            return populations_run(jax.random.key(6), WALK, MALA(0.2), xs, BETAS, None, half, 2, "systematic")
        return anneal_populations(jax.random.key(6), WALK, MALA(0.2), xs, BETAS, None, 2, "systematic")

    one, eight = jax.jit(go)(xs), jax.jit(go)(split(xs))
    judge(one, eight)


def test_the_judge_sees_a_flipped_spin_a_changed_number_and_one_device():
    for sound, wrong in ((jnp.ones(16), -1.0), (jnp.arange(16.0), 9.0001)):
        judge(sound, split(sound))
        with pytest.raises(AssertionError):
            judge(sound, split(sound.at[9].set(wrong)))
        with pytest.raises(AssertionError):
            judge(sound, sound)
