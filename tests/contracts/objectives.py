"""The members that the laws of `test_objectives.py` run over: one line an objective, small and in shared shapes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Scalar

from energax.core import AbstractEnergy, Cond, X
from energax.energies import standard_normal
from energax.objectives import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    EnergyDiscrepancy,
    FastWeightsPCD,
    Jarzynski,
    MultiscaleDenoising,
    NoiseContrastive,
    PersistentCD,
    SlicedScoreMatching,
    TemperedPCD,
    Weighted,
)
from energax.samplers import MALA, ULA, ParallelTempering
from energax.training import Phase, Trainer

BATCH, DIM, CHAINS, STEPS = 16, 2, 16, 4


class Faulty(AbstractEnergy):
    """A small network on a Gaussian, with two places where a test can plant a fault.

    fault[0] tilts the energy; fault[1] = 1 leaves the energy and its slope in x finite and makes the gradient in
    `gain` NaN (the square root's slope at 0, times 0).
    """

    weights: Array
    head: Array
    gain: Array
    fault: Array

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.weights = jax.random.normal(first, (DIM, 8))
        self.head = 0.3 * jax.random.normal(second, (8,))
        self.gain = jnp.ones(())
        self.fault = jnp.zeros(2)

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        planted = self.fault[0] + 0.1 * jnp.sqrt((1.0 - self.fault[1]) * (1.0 + self.gain**2))
        scale = 1.0 if cond is None else 1.0 / cond
        return 0.5 * jnp.sum(x**2) + scale * self.gain * jnp.tanh(x @ self.weights) @ self.head + planted * jnp.sum(x)


def model() -> Faulty:
    """The model that every member trains."""
    return Faulty(jax.random.key(7))


def player(m: Faulty) -> tuple:
    """The part that every member names as moving."""
    return (m.weights, m.head, m.gain)


def batches(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    """`num` stacked batches of shifted Gaussian data."""
    rng = np.random.default_rng(seed)
    return {"x": (0.5 + rng.normal(size=(num, BATCH, DIM))).astype(np.float32)}


def at(chunk: dict, step: int) -> dict:
    """One batch of a chunk."""
    return {name: jnp.asarray(value[step]) for name, value in chunk.items()}


CLIPPED = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, 100)))
ADAM = optax.adam(1e-2)


def _trainer(objective, optimizer=ADAM) -> Trainer:
    return Trainer((Phase(objective, optimizer, player),))


TRAINERS = {
    "cd_ula": _trainer(ContrastiveDivergence(ULA(0.01), 2)),
    "cd_mala": _trainer(ContrastiveDivergence(MALA(0.1), 2, adapt_target=0.6, energy_penalty=0.1)),
    "pcd_ula": _trainer(PersistentCD(ULA(0.01), 2, CHAINS)),
    "pcd_mala": _trainer(PersistentCD(MALA(0.1), 2, CHAINS, adapt_target=0.75)),
    "pcd_restarts": _trainer(PersistentCD(MALA(0.1), 2, CHAINS, buffer_size=2 * CHAINS, restart=0.2)),
    "dsm": _trainer(DenoisingScoreMatching(0.3), CLIPPED),
    "dsm_levels": _trainer(MultiscaleDenoising((0.1, 0.3, 1.0), conditional=True)),
    "fast_weights": _trainer(FastWeightsPCD(ULA(0.01), 2, CHAINS, part=player)),
    "tempered": _trainer(TemperedPCD(ParallelTempering(ULA(0.01), jnp.array([1.0, 0.5])), 1, CHAINS)),
    "energy_discrepancy": _trainer(EnergyDiscrepancy(0.5, 4)),
    "jarzynski": _trainer(
        Jarzynski(MALA(0.1), standard_normal(DIM), CHAINS, refresh=2, refresh_moves=1, adapt_target=0.75)
    ),
    "nce": _trainer(NoiseContrastive(standard_normal(DIM), 2)),
    "sliced": _trainer(SlicedScoreMatching(2)),
    "weighted": _trainer(Weighted((PersistentCD(ULA(0.01), 1, CHAINS), DenoisingScoreMatching(0.3)), (1.0, 0.5))),
}


def arrays(tree) -> list[np.ndarray]:
    """Every array of a tree on the host; keys as their data."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    return [np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf) for leaf in leaves]


def is_key(leaf) -> bool:
    """Whether a leaf holds typed keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def through_numpy(state):
    """What a checkpoint does: every array to NumPy bytes and back, into the structure of the same state."""
    dynamic, static = eqx.partition(state, eqx.is_array)
    saved = [array.copy() for array in arrays(state)]
    leaves, treedef = jax.tree.flatten(dynamic)
    back = [
        jax.random.wrap_key_data(jnp.asarray(new)) if is_key(old) else jnp.asarray(new)
        for new, old in zip(saved, leaves, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(treedef, back), static)
