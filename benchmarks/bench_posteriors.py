"""Effective draws per second and per gradient on six posteriors; JSON lines.

    python benchmarks/bench_posteriors.py                  all
    python benchmarks/bench_posteriors.py --only seeds     one of them

Sixteen chains from near the origin; 400 steps of warm-up find mass and step size, then all is frozen. The effective sample size is
that of the worst of all coordinates and their squares over all chains (ArviZ, method "mean"; `nan` where a chain stood still). CPU
seconds on one thread, compilation and warm-up excluded. A gradient comes with its energy. The worst R-hat says whether
the chains agree; above 1.01 the other figures are not to be trusted.
"""

import argparse
import json
import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import numpy as np
from arviz_stats.base import array_stats
from which_sampler import both_moments, draws_of, leapfrogs, tuned

from energax.energies import (
    BrownianMotion,
    EightSchools,
    EightSchoolsCentred,
    Seeds,
    breast_cancer_posterior,
    five_points_posterior,
)
from energax.samplers import HMC, MALA, Barker, GeneralisedHMC, nuts

POSTERIORS = {
    "five points, 2-D": (five_points_posterior, 2),
    "breast cancer, 31-D": (breast_cancer_posterior, 31),
    "eight schools, 10-D": (EightSchools, 10),
    "eight schools centred, 10-D": (EightSchoolsCentred, 10),
    "seeds, 26-D": (Seeds, 26),
    "Brownian motion, 32-D": (BrownianMotion, 32),
}
KERNELS = {
    "Barker": (Barker(0.1), 1),
    "MALA": (MALA(0.02), 1),
    "HMC, 4 leapfrogs, jittered": (HMC(0.1, 4, 0.5), 4),
    "HMC, 16 leapfrogs, jittered": (HMC(0.1, 16, 0.5), 16),
    "generalised HMC": (GeneralisedHMC(0.1, 1, 0.8), 1),
    "nuts": (nuts(0.1), None),
}
"""Kernel and gradients a step; of None they are counted."""


def worst_rhat(x) -> float:
    """Over all coordinates."""
    return float(np.max(array_stats.rhat(np.asarray(x, np.float64), chain_axis=0, draw_axis=1)))


def main() -> None:
    """Prints a line a posterior and kernel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="posteriors whose name holds this word")
    asked = parser.parse_args()
    for posterior, (make, dim) in POSTERIORS.items():
        if asked.only not in posterior:
            continue
        energy, xs = make(), 0.1 * jax.random.normal(jax.random.key(1), (16, dim))
        for name, (kernel, gradients) in KERNELS.items():
            sampler, chains = tuned(0, kernel, energy, xs, 500, windows=True)
            each = leapfrogs(sampler, energy, chains) if gradients is None else gradients
            run = draws_of(
                jax.random.key(7), sampler, energy, chains, 1000, max(1, round(8 / each)), each, both_moments
            )
            row = {"posterior": posterior, "kernel": name, "gradients_a_step": round(each, 1)}
            row |= {"acceptance": round(run.acceptance, 2), "rhat": round(worst_rhat(run.x), 3)}
            row |= {"ess_per_1000_gradients": run.per_kilo, "ess_per_second": run.per_second}
            print(json.dumps({**row, "load": round(os.getloadavg()[0], 1)}), flush=True)
        jax.clear_caches()


if __name__ == "__main__":
    main()
