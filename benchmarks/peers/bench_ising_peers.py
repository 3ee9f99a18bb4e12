"""Checkerboard heat bath of a 64 x 64 Ising torus by numba, thrml and hamon on one thread; JSON lines."""

import importlib
import json
import os
import time

os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numba
import numpy as np

SIZE, BETA = 64, 0.3


@numba.njit
def scalar_sweeps(sweeps, lattices, seed, odds):
    """Spin by spin; -> energy a spin over the last half."""
    np.random.seed(seed)  # noqa: NPY002 (numba compiles this one)
    total = 0.0
    for _ in range(lattices):
        x = np.ones((SIZE, SIZE), np.int8)
        for t in range(sweeps):
            for colour in range(2):
                for i in range(SIZE):
                    for j in range((i + colour) % 2, SIZE, 2):
                        near = x[(i + 1) % SIZE, j] + x[i - 1, j] + x[i, (j + 1) % SIZE] + x[i, j - 1]
                        x[i, j] = 1 if np.random.random() < odds[near + 4] else -1  # noqa: NPY002
            if t >= sweeps // 2 and t % 10 == 0:
                bonds = 0
                for i in range(SIZE):
                    for j in range(SIZE):
                        bonds += x[i, j] * (x[i - 1, j] + x[i, j - 1])
                total -= 10 * bonds / SIZE**2
    return total / (sweeps - sweeps // 2) / lattices


def graph_call(library, sweeps, lattices):
    """thrml's two-colour block Gibbs; hamon is its fork and has the same names."""
    lib, models = importlib.import_module(library), importlib.import_module(f"{library}.models")
    nodes = [[lib.SpinNode() for _ in range(SIZE)] for _ in range(SIZE)]
    flat = [node for row in nodes for node in row]
    edges = [(nodes[i][j], nodes[(i + 1) % SIZE][j]) for i in range(SIZE) for j in range(SIZE)]
    edges += [(nodes[i][j], nodes[i][(j + 1) % SIZE]) for i in range(SIZE) for j in range(SIZE)]
    model = models.IsingEBM(flat, edges, jnp.zeros(SIZE**2), jnp.ones(len(edges)), jnp.array(BETA))
    blocks = [lib.Block([nodes[i][j] for i in range(SIZE) for j in range(SIZE) if (i + j) % 2 == c]) for c in (0, 1)]
    program = models.IsingSamplingProgram(model, blocks, clamped_blocks=[])
    start = models.hinton_init(jax.random.key(0), model, blocks, (lattices,))
    schedule = lib.SamplingSchedule(sweeps // 2, sweeps // 20, 10)
    run = jax.jit(jax.vmap(lambda key, state: lib.sample_states(key, program, schedule, state, [], [lib.Block(flat)])))
    keys = jax.random.split(jax.random.key(1), lattices)

    def call():
        out = jax.block_until_ready(run(keys, start))
        x = 2.0 * np.asarray(jax.tree.leaves(out)[0], np.float32).reshape(lattices, -1, SIZE, SIZE) - 1.0
        return float(-np.mean(x * (np.roll(x, 1, 2) + np.roll(x, 1, 3))))

    return call


def main():
    odds = 1 / (1 + np.exp(-2 * BETA * np.arange(-4, 5)))
    for lattices, sweeps in ((1, 400), (64, 40)):
        calls = {"numba": lambda n=lattices, s=sweeps: scalar_sweeps(s, n, 1, odds)}
        for library in ("thrml", "hamon"):
            calls[library] = graph_call(library, sweeps, lattices)
        for peer, call in calls.items():
            since = time.perf_counter()
            energy, first = call(), time.perf_counter() - since
            best = float("inf")
            for _ in range(3):
                cpu = time.process_time()
                call()
                best = min(best, time.process_time() - cpu)
            row = {"peer": peer, "lattices": lattices, "sweeps": sweeps, "energy": round(energy, 4)}
            print(json.dumps(row | {"first_call_seconds": round(first, 2), "cpu_seconds": best}), flush=True)


if __name__ == "__main__":
    main()
