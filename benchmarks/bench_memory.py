"""Peak memory of a million chains of a 2-D energy: statistics only beside stored draws; JSON lines, one process each.

    python benchmarks/bench_memory.py

MALA on a double well in the plane, float32. The peak is the whole process's (interpreter, JAX, compiler, chains), as the
system's kernel counts it (ru_maxrss), with nothing taken off. `moments` keeps means, variances and error bars of x and x^2
of all chains and of each one; `sample` stores every draw that it is asked for. A run that only starts (`start`) tells what
interpreter, libraries and the starting points take.
"""

import json
import subprocess
import sys

RUNS = {
    "start": "jax.block_until_ready(chains)",
    "moments, 200 steps": "moments(key, kernel, energy, chains, 200)",
    "moments, 1000 steps, every 10th": "moments(key, kernel, energy, chains, 1000, thin=10)",
    "sample, 10 draws, 20 steps apart": "sample(key, kernel, energy, chains, 10, thin=20)",
    "sample, 50 draws, 4 steps apart": "sample(key, kernel, energy, chains, 50, thin=4)",
}
PROGRAM = """
import json, resource, time
import jax, jax.numpy as jnp
from energax.energies import DoubleWell
from energax.samplers import MALA, init_chains, moments, sample
energy, kernel, key = DoubleWell(2.0, 2, 0.4), MALA(0.1), jax.random.key(1)
chains = init_chains(kernel, energy, jax.random.normal(jax.random.key(0), ({chains}, 2)))
cpu = time.process_time()
found = jax.block_until_ready({run})
told = dict(cpu_seconds=round(time.process_time() - cpu, 1))
told["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps(told))
"""


def main() -> None:
    """Prints one row a run and number of chains."""
    for chains in (100_000, 1_000_000):
        for name, run in RUNS.items():
            program = PROGRAM.format(chains=chains, run=run)
            said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
            print(json.dumps({"run": name, "chains": chains} | json.loads(said)), flush=True)


if __name__ == "__main__":
    main()
