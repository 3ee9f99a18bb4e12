"""Silent wrong answers that other toolkits give, and the test here that shows energax does not.

The table is the index; each entry must name a test that exists. What no other file tests is tested below.
"""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts.energies import ENERGIES
from energax.core import AbstractEnergy
from energax.energies import Gaussian
from energax.samplers import HMC, advance, init_chains

TESTS = Path(__file__).parent
BUGS = {
    "HMC teleports a trajectory that leaves the support and accepts it": "samplers/test_hmc.py::test_a_bounded_support_is_respected",
    "chains are written back to other slots of the buffer": "objectives/test_contrastive.py::test_walkers_go_back_to_their_own_slots",
    "a buffer's slots, at its own level": "samplers/test_replay.py::test_walkers_go_back_to_their_slots",
    "restarted chains are old ones with a little noise": "objectives/test_contrastive.py::test_restarts_are_newborn_and_ages_count_turns",
    "a non-finite loss is replaced by a constant and training goes on": "contracts/test_objectives.py::test_nothing_that_is_not_finite_gets_in",
    "non-finite chains stay in the buffer and spread": "samplers/test_replay.py::test_rows_that_are_not_finite_never_enter",
    "a score is divided by the batch size": "objectives/test_denoising.py::test_nothing_depends_on_the_batch_size",
    "CD starts from noise": "objectives/test_contrastive.py::test_cd_starts_at_the_data_and_not_from_noise",
    "the gradient runs through the chain": "objectives/test_contrastive.py::test_the_gradient_judge_sees_planted_bugs",
    "a resume without its random state": "runtime/test_resume.py::test_killed_and_resumed_is_bit_identical",
    "a resume without its walkers or key": "contracts/test_objectives.py::test_judges_see_planted_bugs",
    "cached energies are kept when the energy changes": "contracts/test_samplers.py::test_follows_a_changed_energy",
    "a batch of chains is one joint chain with one test": "test_peers.py::test_a_batch_is_not_one_joint_chain",
    "HMC takes flat samples only": "contracts/test_promises.py::test_thousands_of_chains_of_trees_with_beta_and_conditions",
    "each leapfrog force is computed twice": "contracts/test_samplers.py::test_gradients_a_step",
    "Langevin is not at the temperature it claims": "samplers/test_ula.py::test_decoupled_noise_names_its_temperature",
    "an energy of shape (batch, 1) is silently accepted": "test_peers.py::test_an_energy_that_is_no_scalar_is_refused",
    "R-hat and ESS of a chain that never moved are NaN": "evaluation/test_chains.py::test_still_chains_are_flagged_and_never_scored",
    "a toy's samples come sorted by mode": "test_peers.py::test_the_first_half_of_a_toy_is_like_the_second",
    "log Z has no error bar, or one that does not cover": "free_energy/test_bracket.py::test_bracket_contains_the_exact_log_z",
    "the compiler sums wrongly, and nobody looks": "runtime/test_doctor.py::test_a_compiler_that_sums_wrongly_is_told_and_kept_away",
    "divergence passes unnoticed": "runtime/test_run.py::test_a_broken_run_rolls_back_slower_with_other_noise_and_then_gives_up",
}


@pytest.mark.parametrize("place", BUGS.values(), ids=BUGS)
def test_the_test_is_there(place):
    path, name = place.split("::")
    functions = {node.name for node in ast.parse((TESTS / path).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert name in functions


def test_a_batch_is_not_one_joint_chain():
    """Chains accept for themselves: of many chains at a step size of acceptance about 1/2, some move and some stay."""
    energy, start = Gaussian(jnp.zeros(50), jnp.ones(50)), jax.random.normal(jax.random.key(0), (200, 50))
    sampler = HMC(1.0, 2)
    moved, info = advance(jax.random.key(1), sampler, energy, init_chains(sampler, energy, start), 1)
    stayed = np.asarray(jnp.all(moved.states.x == start, axis=1))
    expected = float(jnp.mean(info.acceptance))
    assert 0.05 < expected < 0.95
    assert abs(1.0 - stayed.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 200)


def test_an_energy_that_is_no_scalar_is_refused():
    class Column(AbstractEnergy):
        def __call__(self, x, cond=None):
            return jnp.sum(x**2, keepdims=True)

    with pytest.raises(ValueError, match=r"must map ONE sample to a scalar \(shape \(\)\); got shape \(1,\)"):
        init_chains(HMC(0.1, 2), Column(), jnp.zeros((4, 2)))


def test_the_first_half_of_a_toy_is_like_the_second():
    from energax import data

    for name in data.TOYS:
        x = data.load(name, n_train=4000).x
        first, second = x[:2000], x[2000:]
        error = np.sqrt(first.var(axis=0) / 2000 + second.var(axis=0) / 2000)
        assert np.all(np.abs(first.mean(axis=0) - second.mean(axis=0)) < 5 * error), name


ROWS = 40_000  # beyond 32,768, where jaxlib 0.10.2 errs if it is let: by 0.6, 0.6, 1.7, 3.3, 0.6
LINEAR = ("independent spins", "ising", "hopfield", "dense memory", "boltzmann machine")


@pytest.mark.parametrize("name", LINEAR)
def test_energies_of_very_many_chains_are_those_of_few(name):
    """A fusion of XLA's is wrong there; `energax.compiler` switches it off."""
    case = ENERGIES[name]
    xs = case.x[None] + 0.3 * jax.random.normal(jax.random.key(0), (ROWS, *case.x.shape))
    values = jax.jit(jax.vmap(case.make()))
    few = np.concatenate([values(part) for part in jnp.split(xs, 10)])
    np.testing.assert_allclose(values(xs), few, rtol=1e-4, atol=1e-4)
