"""The members that the laws of `test_objectives.py` run over: one line an objective, small and in shared shapes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Scalar

from energax.core import AbstractEnergy, Cond, X
from energax.energies import (
    BernoulliRBM,
    ClassifierEnergy,
    IndependentBits,
    IndependentCategories,
    IndependentSpins,
    Ising,
    Potts,
    rbm_log_z,
    standard_normal,
)
from energax.evaluation import every_sample
from energax.networks import MLP
from energax.objectives import (
    JEM,
    AnnealedDenoising,
    ConcreteScoreMatching,
    ConditionalNoiseContrastive,
    ContrastiveDivergence,
    CrossEntropy,
    DenoisingScoreMatching,
    DiscreteEnergyDiscrepancy,
    EnergyDiscrepancy,
    ExactLikelihood,
    FastWeightsPCD,
    FiniteDifferenceScoreMatching,
    FormulaLikelihood,
    GeneratorStart,
    ImprovedCD,
    Jarzynski,
    KernelStein,
    LearnedStein,
    LearnedSteinCritic,
    MinimumProbabilityFlow,
    MultiscaleDenoising,
    NoiseContrastive,
    PersistentCD,
    Pseudolikelihood,
    RankingNoiseContrastive,
    RatioMatching,
    ScoreMatching,
    SelfNormalisedLikelihood,
    ShortRun,
    SlicedScoreMatching,
    SteinPair,
    TelescopingNoiseContrastive,
    TemperedPCD,
    Weighted,
    box_nodes,
)
from energax.samplers import BITS, CATEGORIES, MALA, SPINS, ULA, BlockGibbs, Gibbs, ParallelTempering
from energax.samplers.parallel_tempering import tempered_joint
from energax.training import Phase, Trainer

BATCH, DIM, CHAINS, STEPS = 16, 2, 16, 4
SITES, STATES = 4, 3  # of discrete samples; states of a category


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
        scale = 1.0 if cond is None else 1.0 / (1.0 + cond)
        return 0.5 * jnp.sum(x**2) + scale * self.gain * jnp.tanh(x @ self.weights) @ self.head + planted * jnp.sum(x)


def model() -> Faulty:
    """The model that rules for real numbers train."""
    return Faulty(jax.random.key(7))


def player(m: Faulty) -> tuple:
    """The part of it that every member names as moving."""
    return (m.weights, m.head, m.gain)


def batches(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    """`num` stacked batches of shifted Gaussian data."""
    rng = np.random.default_rng(seed)
    return {"x": (0.5 + rng.normal(size=(num, BATCH, DIM))).astype(np.float32)}


def at(chunk: dict, step: int) -> dict:
    """One batch of a chunk."""
    return {name: jnp.asarray(value[step]) for name, value in chunk.items()}


class Member(NamedTuple):
    """A trainer, what it trains, and (num, seed) -> so many stacked batches of what it trains on."""

    trainer: Trainer
    model: Callable[[], Any] = model
    batches: Callable[..., dict[str, np.ndarray]] = batches


# --- discrete samples, labels, pairs ---------------------------------------------------------------------------------


def codes(num: int, seed: int, states: int) -> np.ndarray:
    """Numbers of states, skewed towards the first."""
    share = 0.5 ** np.arange(1, states + 1)
    return np.random.default_rng(seed).choice(states, (num, BATCH, SITES), p=share / share.sum())


def bits(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": codes(num, seed, 2).astype(np.float32)}


def spins(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": (1.0 - 2.0 * codes(num, seed, 2)).astype(np.float32)}


def categories(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.eye(STATES, dtype=np.float32)[codes(num, seed, STATES)]}


def labelled(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Some rows have no label."""
    return batches(num, seed) | {"y": np.random.default_rng(seed).integers(-1, STATES, (num, BATCH)).astype(np.int32)}


RING = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])


def rbm() -> BernoulliRBM:
    return BernoulliRBM(0.5 * jax.random.normal(jax.random.key(7), (SITES, 3)), jnp.full(SITES, 0.2), jnp.zeros(3))


def ising() -> Ising:
    return Ising(RING, jnp.array([0.4, -0.3, 0.2, 0.1]), jnp.linspace(-0.3, 0.3, SITES))


def potts() -> Potts:
    return Potts(RING, jnp.array([0.4, -0.3, 0.2, 0.1]), 0.1 * jnp.ones((SITES, STATES)))


def classifier() -> ClassifierEnergy:
    return ClassifierEnergy(
        MLP(DIM, 8, 1, out_size=STATES, zero_last=False, key=jax.random.key(7)), base=standard_normal(DIM)
    )


def pair() -> SteinPair:
    return SteinPair(model(), MLP(DIM, 8, 1, out_size=DIM, zero_last=False, key=jax.random.key(8)))


# --- members ---------------------------------------------------------------------------------------------------------

CLIPPED = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, 100)))
ADAM = optax.adam(1e-2)


def _real(objective, optimizer=ADAM) -> Member:
    return Member(Trainer((Phase(objective, optimizer, player),)))


def _labelled(objective) -> Member:
    return Member(Trainer((Phase(objective, ADAM, lambda m: m.net),)), classifier, labelled)


def _bits(objective) -> Member:
    return Member(Trainer((Phase(objective, ADAM),)), rbm, bits)


def _spins(objective) -> Member:
    return Member(Trainer((Phase(objective, ADAM),)), ising, spins)


def _categories(objective) -> Member:
    return Member(Trainer((Phase(objective, ADAM),)), potts, categories)


NORMAL = standard_normal(DIM)
COINS, EVEN = IndependentBits(jnp.zeros(SITES)), IndependentSpins(jnp.zeros(SITES))
DICE = IndependentCategories(jnp.zeros((SITES, STATES)))
LADDER = ParallelTempering(ULA(0.01), jnp.array([1.0, 0.5]))
JOINT = ParallelTempering(BlockGibbs(), jnp.array([1.0, 0.5]), family=tempered_joint)
CRITIC = Phase(LearnedSteinCritic(), ADAM, lambda m: m.critic, "critic")
SCORE = Phase(LearnedStein(), ADAM, lambda m: player(m.energy), "energy")

REAL = {
    "cd_ula": _real(ContrastiveDivergence(ULA(0.01), 2)),
    "cd_mala": _real(ContrastiveDivergence(MALA(0.1), 2, adapt_target=0.6, energy_penalty=0.1)),
    "pcd_ula": _real(PersistentCD(ULA(0.01), 2, CHAINS)),
    "pcd_mala": _real(PersistentCD(MALA(0.1), 2, CHAINS, adapt_target=0.75)),
    "pcd_restarts": _real(PersistentCD(MALA(0.1), 2, CHAINS, buffer_size=2 * CHAINS, restart=0.2)),
    "short_run": _real(ShortRun(ULA(0.01), 2, CHAINS)),
    "improved_cd": _real(ImprovedCD(PersistentCD(ULA(0.01), 1, CHAINS), 8)),
    "fast_weights": _real(FastWeightsPCD(ULA(0.01), 2, CHAINS, part=player)),
    "tempered": _real(TemperedPCD(LADDER, 1, CHAINS)),
    "jarzynski": _real(Jarzynski(MALA(0.1), NORMAL, CHAINS, refresh=2, refresh_moves=1, adapt_target=0.75)),
    "dsm": _real(DenoisingScoreMatching(0.3), CLIPPED),
    "dsm_levels": _real(MultiscaleDenoising((0.1, 0.3, 1.0), conditional=True)),
    "dsm_annealed": _real(AnnealedDenoising(1.0, 0.25, 3)),
    "score_matching": _real(ScoreMatching()),
    "sliced": _real(SlicedScoreMatching(2)),
    "finite_difference": _real(FiniteDifferenceScoreMatching(0.1, 2)),
    "energy_discrepancy": _real(EnergyDiscrepancy(0.5, 4)),
    "nce": _real(NoiseContrastive(NORMAL, 2)),
    "ranking_nce": _real(RankingNoiseContrastive(NORMAL, 2)),
    "conditional_nce": _real(ConditionalNoiseContrastive(0.3, 2)),
    "telescoping_nce": _real(TelescopingNoiseContrastive(NORMAL, (0.0, 0.5))),
    "self_normalised": _real(SelfNormalisedLikelihood(NORMAL, 2)),
    "kernel_stein": _real(KernelStein(1.0)),
    "learned_stein": Member(Trainer((CRITIC, SCORE)), pair),
    "exact_box": _real(ExactLikelihood(*box_nodes(((-6.0, 6.0), (-6.0, 6.0)), 12))),
    "cross_entropy": _labelled(CrossEntropy()),
    "jem": _labelled(JEM(PersistentCD(ULA(0.01), 1, CHAINS))),
    "weighted": _real(Weighted((PersistentCD(ULA(0.01), 1, CHAINS), DenoisingScoreMatching(0.3)), (1.0, 0.5))),
}
DISCRETE = {
    "cd_bits": _bits(ContrastiveDivergence(BlockGibbs(), 1)),
    "pcd_bits": _bits(PersistentCD(BlockGibbs(), 1, CHAINS, start=GeneratorStart(COINS))),
    "pcd_spins": _spins(PersistentCD(Gibbs(SPINS), 1, CHAINS, start=GeneratorStart(EVEN))),
    "pcd_categories": _categories(PersistentCD(Gibbs(CATEGORIES), 1, CHAINS, start=GeneratorStart(DICE))),
    "fast_weights_bits": _bits(FastWeightsPCD(BlockGibbs(), 1, CHAINS, start=GeneratorStart(COINS))),
    "tempered_bits": _bits(TemperedPCD(JOINT, 1, CHAINS, start=GeneratorStart(COINS))),
    "jarzynski_bits": _bits(Jarzynski(BlockGibbs(), COINS, CHAINS, refresh=2, refresh_moves=1)),
    "jarzynski_spins": _spins(Jarzynski(Gibbs(SPINS), EVEN, CHAINS, refresh=None)),
    "exact_spins": _spins(ExactLikelihood(every_sample(SPINS, jnp.zeros(SITES)))),
    "formula": _bits(FormulaLikelihood(rbm_log_z)),
    "discrete_energy_discrepancy": _categories(DiscreteEnergyDiscrepancy(CATEGORIES, 0.2, 4)),
    "pseudolikelihood": _spins(Pseudolikelihood(SPINS)),
    "ratio_matching": _bits(RatioMatching(BITS)),
    "minimum_probability_flow": _spins(MinimumProbabilityFlow(SPINS)),
    "concrete_score": _categories(ConcreteScoreMatching(CATEGORIES)),
}
MEMBERS = REAL | DISCRETE


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
