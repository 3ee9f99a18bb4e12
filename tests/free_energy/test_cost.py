"""Counting evaluations in the program: kernels of known cost, loops, vmaps, and a run against a counter on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractEnergy, GeometricPath
from energax.energies import BernoulliRBM, IndependentBits, Ising, RBMPath, standard_normal
from energax.free_energy.ais import annealed_weights
from energax.free_energy.cost import Cost, count_evaluations
from energax.samplers import HMC, MALA, SPINS, BlockGibbs, Gibbs, RandomWalk
from judges import refuses

PATH = GeometricPath(standard_normal(2), standard_normal(2))
BETAS = jnp.linspace(0.0, 1.0, 6)


def cost_of_step(kernel, energy_path, x):
    def run(path):
        energy = path.at(0.5)
        return kernel.step(jax.random.key(0), energy, kernel.init(path.base.energy(), x))

    return count_evaluations(run, energy_path)


@pytest.mark.parametrize(
    ("kernel", "energies", "gradients"),
    [(MALA(0.1), 0, 1), (HMC(0.1, 7), 0, 7), (RandomWalk(0.1), 1, 0)],
    ids=["mala", "hmc", "walk"],
)
def test_a_step_costs_what_its_docstring_says(kernel, energies, gradients):
    assert cost_of_step(kernel, PATH, jnp.ones(2)) == Cost(energies, gradients)


def test_discrete_and_bipartite_kernels():
    class Flat(AbstractEnergy):
        def __call__(self, x, cond=None):
            return 0.0 * jnp.sum(x)

    spins = GeometricPath(standard_normal(9), Ising.lattice((3, 3), 0.3))
    assert cost_of_step(Gibbs(SPINS), spins, jnp.ones(9)) == Cost(9, 0)
    rbm = BernoulliRBM(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    path = RBMPath(IndependentBits(jnp.zeros(3)), rbm)
    cost = count_evaluations(
        lambda p: BlockGibbs().step(jax.random.key(0), p.at(0.5), BlockGibbs().init(rbm, jnp.ones(3))), path
    )
    assert cost == Cost(1, 0)


def test_a_whole_run_against_a_counter_on_the_host():
    calls = []

    class Told(AbstractEnergy):
        """Tells the host of every value; a derivative counts in the same way."""

        def __call__(self, x, cond=None):
            jax.debug.callback(lambda _: calls.append(1), x[0])
            return 0.5 * jnp.sum((x - 1.0) ** 2)

    xs = jnp.ones((3, 2))

    def run(path):
        return annealed_weights(jax.random.key(0), path, RandomWalk(0.3), xs, BETAS, None, 2)[0]

    found = count_evaluations(run, PATH)
    jax.block_until_ready(jax.jit(run)(GeometricPath(standard_normal(2), Told())))
    jax.effects_barrier()
    # callbacks stop the compiler from merging, so the host hears what the program says
    assert found == Cost(len(calls), 0)
    assert len(calls) == 3 * 5 * (2 + 1 + 2)  # chains * moves * (both ends of the work, the refresh, two steps)


def test_loops_of_unknown_length_are_told():
    def run(path):
        return jax.lax.while_loop(lambda v: v < 1.0, lambda v: v + 1.0 + path.at(0.5)(jnp.ones(2)), jnp.zeros(()))

    assert count_evaluations(run, PATH) == Cost(1, 0, bounded=False)
    assert Cost(1, 2).plus(Cost(3, 4, bounded=False)) == Cost(4, 6, bounded=False)
    assert np.isscalar(Cost(1, 2).energies)


def test_refusals():
    with refuses("run must be a function of the path; got int"):
        count_evaluations(3, PATH)
    with refuses("path must be an AbstractPath"):
        count_evaluations(lambda path: 0.0, standard_normal(2))
