"""Block Gibbs of a 784 x 500 machine, and AIS of it, by PyTorch and rbms on one thread; JSON lines.

python bench_rbm_peers.py WEIGHTS.npz CHAINS SWEEPS TEMPERATURES
"""

import itertools
import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.partition_function.ais import compute_partition_function_ais

torch.set_num_threads(1)
torch.manual_seed(0)


@torch.inference_mode()
def torch_gibbs(w, b, c, chains, sweeps):
    """The plain program: two matrix products with their biases, two sigmoids, two draws."""
    turned, v = w.T.contiguous(), torch.bernoulli(torch.sigmoid(b).expand(chains, -1))
    for _ in range(sweeps):
        h = torch.bernoulli(torch.addmm(c, v, w).sigmoid_())
        v = torch.bernoulli(torch.addmm(b, h, turned).sigmoid_())
    return v


@torch.inference_mode()
def torch_ais(w, b, c, chains, temperatures):
    """Annealed from the bits of b alone; one product serves both energies and the hidden units: what a careful hand writes."""
    turned, v = w.T.contiguous(), torch.bernoulli(torch.sigmoid(b).expand(chains, -1))
    total, softplus = torch.zeros(chains), torch.nn.functional.softplus
    grid = torch.linspace(0.0, 1.0, temperatures).tolist()
    for here, there in itertools.pairwise(grid):
        up = torch.addmm(c, v, w)
        total += (softplus(there * up) - softplus(here * up)).sum(1)
        h = torch.bernoulli(torch.sigmoid(there * up))
        v = torch.bernoulli(torch.sigmoid(torch.addmm(b, h, turned, alpha=there)))
    base = softplus(b).sum() + len(c) * np.log(2.0)
    return float(torch.logsumexp(total, 0) - np.log(chains) + base)


def main():
    path, chains, sweeps, temperatures = sys.argv[1], *map(int, sys.argv[2:])
    w, b, c = (torch.from_numpy(np.load(path)[name]) for name in ("w", "b", "c"))
    machine = BBRBM(w, b, c)

    def energy(v):
        return float(machine.compute_energy_visibles(v).mean())

    def rbms_gibbs():
        start = machine.init_chains(chains, start_v=torch.bernoulli(torch.sigmoid(b).expand(chains, -1)))
        return energy(machine.sample_state(n_steps=sweeps, chains=start)["visible"])

    calls = {
        ("torch", "gibbs"): lambda: energy(torch_gibbs(w, b, c, chains, sweeps)),
        ("rbms", "gibbs"): rbms_gibbs,
        ("torch", "ais"): lambda: torch_ais(w, b, c, chains, temperatures),
        ("rbms", "ais"): lambda: compute_partition_function_ais(chains, temperatures, machine),
    }
    for (peer, work), call in calls.items():
        took, value = [], 0.0
        for _ in range(
            4 if work == "gibbs" else 1
        ):  # nothing is compiled but rbms' small functions: a first call counts
            cpu, wall = time.process_time(), time.perf_counter()
            value = call()
            took.append((time.process_time() - cpu, time.perf_counter() - wall))
        row = {"peer": peer, "work": work, "value": round(value, 2), "first_call_cpu_seconds": round(took[0][0], 2)}
        cpu_seconds, wall_seconds = map(min, zip(*took, strict=True))
        print(json.dumps(row | {"cpu_seconds": cpu_seconds, "wall_seconds": wall_seconds}), flush=True)


if __name__ == "__main__":
    main()
