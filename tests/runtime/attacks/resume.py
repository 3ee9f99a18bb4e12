"""Training that is killed and goes on: the state at the end must be the one of a run that was never interrupted.

Runs in a process of its own: `python resume.py RULE FOLDER N SEED` prints a tally as JSON.
"""

import dataclasses
import hashlib
import json
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax.data import Batches
from energax.energies import NetworkEnergy, standard_normal
from energax.networks import MLP
from energax.objectives import ContrastiveDivergence, DenoisingScoreMatching, PersistentCD
from energax.runtime import checkpoint
from energax.runtime.loop import fit
from energax.samplers import MALA
from energax.training import Phase, Trainer
from runtime.attacks.tally import Tally

STEPS, CHUNK = 120, 5
_KILLS_A_RUN = 4

RULES = {
    "pcd": lambda: PersistentCD(
        MALA(0.05), num_steps=2, num_chains=32, buffer_size=64, restart=0.05, adapt_target=0.75
    ),
    "cd": lambda: ContrastiveDivergence(MALA(0.05), num_steps=2),
    "dsm": lambda: DenoisingScoreMatching(0.2),
}


def digest(state) -> bytes:
    """SHA-256 over every array of a training state, keys included."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        if isinstance(leaf, jax.Array):
            keys = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            found.update(np.asarray(jax.random.key_data(leaf) if keys else leaf).tobytes())
    return found.digest()


def train(rule: str, folder: Path, writing: int) -> int:
    """Trains from the newest checkpoint in `folder`, or from the beginning; tells each saved step, then the digest."""
    x = np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32)
    stream = Batches({"x": x}, batch_size=32, seed=1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(3e-3, STEPS)))
    trainer = Trainer((Phase(RULES[rule](), optimizer),))
    model = NetworkEnergy(MLP(2, 16, 2, key=jax.random.key(2)), standard_normal(2))
    state = trainer.init(jax.random.key(3), model, {"x": jnp.asarray(x[:32])})
    if checkpoint.list_checkpoints(folder):
        state = checkpoint.latest(folder, state).state

    def save(look) -> None:
        if look.step % (2 * CHUNK) == 0 or look.step == STEPS:
            checkpoint.save(folder, look.state, look.step)
        os.write(writing, struct.pack("<q", look.step))

    state = fit(trainer, state, stream, STEPS, steps_per_call=CHUNK, hooks=[save])
    os.write(writing, digest(state))
    return 0


def _start(rule: str, folder: Path, cache: Path) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.close(reading)
            jax.config.update("jax_platforms", "cpu")
            jax.config.update("jax_compilation_cache_dir", str(cache))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            code = train(rule, folder, writing)
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading


def _finish(pid: int, reading: int) -> bytes:
    """Waits for a run to end; its last 32 bytes are the digest."""
    data = b""
    while piece := os.read(reading, 65536):
        data += piece
    os.close(reading)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise RuntimeError(f"a run must end by itself; got {data!r}")
    return data[-32:]


def resumes(rule: str, folder: Path, num: int, seed: int) -> Tally:
    """`num` kills at random moments, four a run; a different byte in a run's last state counts as silent."""
    rng, tally, cache = random.Random(seed), Tally(), folder / "cache"
    right = _finish(*_start(rule, folder / "whole", cache))
    at = []
    for number in range(0, num, _KILLS_A_RUN):
        place = folder / f"cut-{number}"
        for _ in range(min(_KILLS_A_RUN, num - number)):
            pid, reading = _start(rule, place, cache)
            for _ in range(rng.randrange(1, STEPS // CHUNK // _KILLS_A_RUN)):
                os.read(reading, 8)  # a chunk is done
            time.sleep(rng.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reading)
            at.append(max((int(path.stem[5:]) for path in checkpoint.list_checkpoints(place)), default=0))
            tally.injected += 1
        if _finish(*_start(rule, place, cache)) != right:
            tally.silent += 1
            tally.note(f"killed after {at[-1]} steps: another state at the end")
    tally.figures = {"killed before the end": sum(step < STEPS for step in at)}
    return tally


if __name__ == "__main__":
    asked, where, how_many, started_from = sys.argv[1:]
    print(json.dumps(dataclasses.asdict(resumes(asked, Path(where), int(how_many), int(started_from)))))
