"""numpyro's HMC and NUTS: the other half of `bench_hmc_nuts.py`; JSON lines. Run with a Python that has numpyro.

Its kernels stand in a jit of one's own: its driver `MCMC.run` traces and compiles anew at every run.
"""

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax
from mcmc_works import WORKS, Work, measure, start
from numpyro.infer import HMC, NUTS


def kernel_of(work: Work):
    """No adaptation."""
    fixed = {"step_size": work.step_size, "adapt_step_size": False, "adapt_mass_matrix": False}
    if work.kind == "hmc":
        return HMC(potential_fn=work.energy, num_steps=work.leapfrogs, trajectory_length=None, **fixed)
    return NUTS(potential_fn=work.energy, max_tree_depth=10, **fixed)


def program(work: Work):
    """Every chain, compiled once."""
    kernel, keys, xs = kernel_of(work), jax.random.split(jax.random.PRNGKey(0), work.chains), start(work)
    states = kernel.init(keys, 0, xs, (), {})  # of many keys: the kernel maps itself over chains

    @jax.jit
    def run(states):
        def body(states, _):
            states = kernel.sample(states, (), {})
            return states, (states.z, states.potential_energy, states.accept_prob, states.diverging)

        return jax.lax.scan(body, states, length=work.steps)[1]

    return lambda: jax.numpy.swapaxes(jax.block_until_ready(run(states))[0], 0, 1)


if __name__ == "__main__":
    measure("numpyro", {name: lambda w=work: program(w) for name, work in WORKS.items()}, int(sys.argv[1]))
