"""What is trained and by which rule: the model of a recipe, and the phases of its trainer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractDensity, AbstractEnergy, AbstractObjective, AbstractSampler, ConfigError
from energax.data import Affine, Dataset
from energax.energies import ClassifierEnergy, IndependentBits, LevelledEnergy, NetworkEnergy, rbm_log_z
from energax.networks import MLP
from energax.objectives import (
    JEM,
    AnnealedDenoising,
    ConcreteScoreMatching,
    ConditionalNoiseContrastive,
    ContrastiveDivergence,
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
    box_nodes,
)
from energax.samplers import BITS, ULA, ParallelTempering, ULAPair, tempered_energy, tempered_joint
from energax.training import Phase

from . import bits
from .pieces import build_decode, build_net, build_optimizer
from .schema import Config


class Means(NamedTuple):
    """What rules are made of.

    Attributes:
        config: The recipe.
        sampler: Its kernel.
        base: A normalised density: where walkers are born, and the noise that data are told from.
        rows: Training data in the model's coordinates.
        chunk: Rows whose gradient is taken at a time, or None for all.
    """

    config: Config
    sampler: AbstractSampler
    base: AbstractDensity
    rows: np.ndarray
    chunk: int | None


# ---- the model, and the energy in it ---------------------------------------------------------------------------------


def build_model(config: Config, train: Dataset, coordinates: Affine, base: AbstractDensity) -> Any:
    """What is trained: an energy, or a pair of an energy and its critic; at step 0 it is the base (if it has one)."""
    if config.energy.kind == "rbm":
        assert isinstance(base, IndependentBits)
        return bits.build_machine(config, base)
    assert isinstance(base, AbstractEnergy)
    tail, kind = None if config.energy.base == "none" else base, config.objective.kind
    if kind == "telescoping_nce":
        return LevelledEnergy(build_net(config, train, extra=1), tail)
    decode = build_decode(config, coordinates, train)
    if kind == "jem":
        return ClassifierEnergy(build_net(config, train, out_size=num_classes(config, train)), tail, decode)
    energy = NetworkEnergy(build_net(config, train), tail, decode)
    if config.objective.kind != "learned_stein":
        return energy
    dim, key = train.dim, jax.random.fold_in(jax.random.key(config.seed), 3)
    return SteinPair(energy, MLP(dim, config.objective.critic_width, 2, out_size=dim, key=key))


def energy_in(model: Any) -> AbstractEnergy:
    """The energy of x in what is trained."""
    return model.energy if isinstance(model, SteinPair) else model


def num_classes(config: Config, train: Dataset) -> int:
    """Classes that the training data show.

    Raises:
        ConfigError: They have no labels.
    """
    if train.y is None:
        raise ConfigError(f"objective.kind must not be jem for {config.data.name!r}, which has no labels.")
    return len(train.classes)


def labels(config: Config, train: Dataset) -> np.ndarray:
    """The number of each row's class, int32; -1 where the recipe hides it.

    Raises:
        ConfigError: It hides all of them.
    """
    assert config.objective.kind == "jem"
    assert train.y is not None
    numbered = np.searchsorted(train.classes, train.y).astype(np.int32)
    known = round(config.objective.labelled * len(numbered))
    if known < 1:
        got = f"{config.objective.labelled:g} of {len(numbered)}"
        raise ConfigError(f"objective.labelled must leave one training row its label at least; got {got}.")
    order = np.random.default_rng([config.seed, 4]).permutation(len(numbered))
    numbered[order[known:]] = -1
    return numbered


# ---- the phases ------------------------------------------------------------------------------------------------------


def build_phases(means: Means) -> tuple[Phase, ...]:
    """The turns of one training step."""
    config, optimizer = means.config, build_optimizer(means.config)
    rule = MAKERS[config.objective.kind](config.objective, means)
    if config.objective.kind != "learned_stein":
        return (Phase(rule, optimizer, trains=_moving(config)),)
    stein = config.objective
    critic = LearnedSteinCritic(stein.penalty, stein.num_slices, means.chunk)
    turns = range(1, stein.critic_steps + 1)
    critics = [Phase(critic, optimizer, trains=_the_critic, name=f"critic-{turn}") for turn in turns]
    return (*critics, Phase(rule, optimizer, trains=_the_energy, name="energy"))


def _moving(config: Config) -> Callable[[Any], Any]:
    """What moves in training: the network; of a machine its parameters, and the constant where log Z is learned."""
    if not config.is_of_bits:
        return _the_net
    return bits.with_constant if config.objective.kind in ("nce", "self_normalised") else bits.parameters


def _the_net(model: Any) -> Any:
    return model.net


def _the_energy(model: Any) -> Any:
    return model.energy.net


def _the_critic(model: Any) -> Any:
    return model.critic


def _adapt_target(means: Means) -> float | None:
    return getattr(means.config.sampler, "adapt_target", None)


def _contrastive_divergence(rule: Any, means: Means) -> AbstractObjective:
    return ContrastiveDivergence(
        means.sampler,
        rule.num_steps,
        adapt_target=_adapt_target(means),
        energy_penalty=rule.energy_penalty,
        chunk_size=means.chunk,
    )


def _persistent_cd(rule: Any, means: Means) -> AbstractObjective:
    return PersistentCD(
        means.sampler,
        rule.num_steps,
        rule.num_chains,
        buffer_size=rule.buffer_size,
        restart=rule.restart,
        adapt_target=_adapt_target(means),
        energy_penalty=rule.energy_penalty,
        chunk_size=means.chunk,
        start=GeneratorStart(means.base),
    )


def _fast_weights_pcd(rule: Any, means: Means) -> AbstractObjective:
    return FastWeightsPCD(
        means.sampler,
        rule.num_steps,
        rule.num_chains,
        fast_rate=rule.fast_rate,
        decay=rule.decay,
        part=_moving(means.config),
        energy_penalty=rule.energy_penalty,
        start=GeneratorStart(means.base),
    )


def _tempered_pcd(rule: Any, means: Means) -> AbstractObjective:
    betas = jnp.asarray(np.geomspace(1.0, rule.hottest, rule.num_levels), jnp.float32)
    return TemperedPCD(
        ParallelTempering(means.sampler, betas, family=tempered_joint if means.config.is_of_bits else tempered_energy),
        rule.num_steps,
        rule.num_chains,
        energy_penalty=rule.energy_penalty,
        chunk_size=means.chunk,
        start=GeneratorStart(means.base),
    )


def _replay_sgld(rule: Any, means: Means) -> AbstractObjective:
    return PersistentCD(
        ULA(rule.step_size, temperature=rule.temperature),
        rule.num_steps,
        rule.num_chains,
        buffer_size=rule.buffer_size,
        restart=rule.restart,
        energy_penalty=rule.energy_penalty,
        chunk_size=means.chunk,
        start=GeneratorStart(means.base),
    )


def _short_run(rule: Any, means: Means) -> AbstractObjective:
    return ShortRun(
        means.sampler,
        rule.num_steps,
        rule.num_chains,
        energy_penalty=rule.energy_penalty,
        chunk_size=means.chunk,
        start=GeneratorStart(means.base),
    )


def _improved_cd(rule: Any, means: Means) -> AbstractObjective:
    negatives = PersistentCD(
        ULA(rule.step_size), rule.num_steps, rule.num_chains, chunk_size=means.chunk, start=GeneratorStart(means.base)
    )
    return ImprovedCD(negatives, rule.num_samples, rule.kl_weight, rule.entropy_weight)


def _jarzynski(rule: Any, means: Means) -> AbstractObjective:
    # unadjusted Langevin leaves nothing invariant: as a pair, its weights hold the ratio of both ways
    kernel = ULAPair(means.sampler.step_size) if isinstance(means.sampler, ULA) else means.sampler
    return Jarzynski(
        kernel,
        means.base,
        num_chains=rule.num_chains,
        num_steps=rule.num_steps,
        num_moving=rule.num_moving,
        num_groups=rule.num_groups,
        resample_below=rule.resample_below,
        scheme=rule.scheme,
        refresh=rule.refresh,
        refresh_moves=rule.refresh_moves,
        adapt_target=_adapt_target(means),
    )


def _exact_likelihood(rule: Any, means: Means) -> AbstractObjective:
    if means.config.energy.kind == "rbm":
        small = min(means.rows.shape[1], means.config.energy.hidden)
        if small > bits.EXACT_UNITS:
            raise ConfigError(
                f"objective.kind must not be exact_likelihood for a machine whose smaller layer has {small} units: at "
                f"most {bits.EXACT_UNITS}."
            )
        return FormulaLikelihood(rbm_log_z)
    low, high = means.rows.min(axis=0), means.rows.max(axis=0)
    if len(low) > 2:
        raise ConfigError(f"objective.kind must not be exact_likelihood for data of {len(low)} numbers: at most 2.")
    margin = 0.5 * (high - low)
    box = tuple(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))
    return ExactLikelihood(*box_nodes(box, 100 if rule.points is None else rule.points))


def _jem(rule: Any, means: Means) -> AbstractObjective:
    walkers = PersistentCD(
        means.sampler,
        rule.num_steps,
        rule.num_chains,
        adapt_target=_adapt_target(means),
        chunk_size=means.chunk,
        start=GeneratorStart(means.base),
    )
    return JEM(walkers, rule.weight)


def _annealed_denoising(rule: Any, means: Means) -> AbstractObjective:
    num_steps = max(1, means.config.training.steps // 2) if rule.num_steps is None else rule.num_steps
    return AnnealedDenoising(rule.start, rule.end, num_steps, means.chunk)


MAKERS: dict[str, Callable[[Any, Means], AbstractObjective]] = {
    "contrastive_divergence": _contrastive_divergence,
    "persistent_cd": _persistent_cd,
    "fast_weights_pcd": _fast_weights_pcd,
    "tempered_pcd": _tempered_pcd,
    "replay_sgld": _replay_sgld,
    "short_run": _short_run,
    "improved_cd": _improved_cd,
    "jarzynski": _jarzynski,
    "exact_likelihood": _exact_likelihood,
    "score_matching": lambda rule, means: ScoreMatching(means.chunk),
    "sliced_score_matching": lambda rule, means: SlicedScoreMatching(
        rule.num_slices, rule.directions, chunk_size=means.chunk
    ),
    "finite_difference_score_matching": lambda rule, means: FiniteDifferenceScoreMatching(
        rule.spacing, rule.num_slices, rule.directions, means.chunk
    ),
    "denoising": lambda rule, means: DenoisingScoreMatching(rule.sigma, means.chunk),
    "multiscale_denoising": lambda rule, means: MultiscaleDenoising(rule.sigmas, chunk_size=means.chunk),
    "annealed_denoising": _annealed_denoising,
    "nce": lambda rule, means: NoiseContrastive(means.base, rule.ratio),
    "ranking_nce": lambda rule, means: RankingNoiseContrastive(means.base, rule.ratio),
    "conditional_nce": lambda rule, means: ConditionalNoiseContrastive(rule.sigma, rule.ratio),
    "telescoping_nce": lambda rule, means: TelescopingNoiseContrastive(means.base, rule.levels),
    "self_normalised": lambda rule, means: SelfNormalisedLikelihood(means.base, rule.ratio),
    "energy_discrepancy": lambda rule, means: EnergyDiscrepancy(rule.sigma, rule.ratio, rule.stabilisation),
    "kernel_stein": lambda rule, means: KernelStein(rule.width),
    "learned_stein": lambda rule, means: LearnedStein(rule.num_slices, means.chunk),
    "pseudolikelihood": lambda rule, means: Pseudolikelihood(BITS),
    "ratio_matching": lambda rule, means: RatioMatching(BITS),
    "minimum_probability_flow": lambda rule, means: MinimumProbabilityFlow(BITS),
    "concrete_score": lambda rule, means: ConcreteScoreMatching(BITS),
    "discrete_energy_discrepancy": lambda rule, means: DiscreteEnergyDiscrepancy(
        BITS, rule.change, rule.ratio, rule.stabilisation
    ),
    "jem": _jem,
}
"""Kind -> (its part of the recipe, what it is made of) -> the rule; of a pair, that of the energy."""
