"""Training rules that draw no sample of the model, and the one that has labels."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .fields import Count, HalfOpenUnit, NonNegative, Number, Positive, Rule, UpToOne


class _SamplingFree(Rule):
    family: ClassVar[str] = "without sampling"


class ScoreMatching(_SamplingFree):
    """Score matching with the exact laplacian: the slopes of the energy where the data are."""

    method: ClassVar[str] = "ScoreMatching"
    kind: Literal["score_matching"] = "score_matching"


class SlicedScoreMatching(_SamplingFree):
    """Score matching with the laplacian along random directions, for many dimensions."""

    method: ClassVar[str] = "SlicedScoreMatching"
    kind: Literal["sliced_score_matching"] = "sliced_score_matching"
    num_slices: Count = 1
    """Directions a sample."""
    directions: Literal["signs", "normal"] = "signs"
    """Whether their entries are +-1 or normal."""


class FiniteDifferenceScoreMatching(_SamplingFree):
    """Sliced score matching by differences of energies, without any derivative in x."""

    method: ClassVar[str] = "FiniteDifferenceScoreMatching"
    kind: Literal["finite_difference_score_matching"] = "finite_difference_score_matching"
    spacing: Positive = 0.05
    """Length of the difference, in the model's coordinates."""
    num_slices: Count = 1
    """Directions a sample."""
    directions: Literal["signs", "normal"] = "signs"
    """Whether their entries are +-1 or normal."""


class Denoising(_SamplingFree):
    """Denoising score matching at one noise level: the optimum is the data blurred by sigma."""

    method: ClassVar[str] = "DenoisingScoreMatching"
    kind: Literal["denoising"] = "denoising"
    sigma: Positive = 0.05
    """Standard deviation of the noise, in the model's coordinates."""


class MultiscaleDenoising(_SamplingFree):
    """Denoising score matching of one energy over a geometric ladder of noise levels."""

    method: ClassVar[str] = "MultiscaleDenoising"
    kind: Literal["multiscale_denoising"] = "multiscale_denoising"
    sigma_min: Positive = 0.05
    """Smallest noise, in the model's coordinates; the model is read at this level."""
    sigma_max: Positive = 1.0
    """Largest noise, in the model's coordinates."""
    num_sigmas: Annotated[int, Number, Field(ge=2, le=1000)] = 10
    """Levels of the ladder, both ends included."""

    @property
    def sigmas(self) -> tuple[float, ...]:
        """The ladder, smallest first."""
        ratio = (self.sigma_max / self.sigma_min) ** (1.0 / (self.num_sigmas - 1))
        return (*(self.sigma_min * ratio**i for i in range(self.num_sigmas - 1)), self.sigma_max)

    @model_validator(mode="after")
    def _ladder_rises(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"objective.sigma_max must be > sigma_min ({self.sigma_min}); got {self.sigma_max}")
        return self


class AnnealedDenoising(_SamplingFree):
    """Denoising score matching whose noise shrinks while training goes on."""

    method: ClassVar[str] = "AnnealedDenoising"
    kind: Literal["annealed_denoising"] = "annealed_denoising"
    start: Positive = 1.0
    """Standard deviation of the noise at the first step, in the model's coordinates."""
    end: Positive = 0.05
    """And from `num_steps` on."""
    num_steps: Count | None = None
    """Training steps on the way; null takes half of training.steps."""

    @model_validator(mode="after")
    def _noise_falls(self) -> Self:
        if self.start <= self.end:
            raise ValueError(f"objective.start must be > objective.end ({self.end}); got {self.start}")
        return self


class NoiseContrastive(_SamplingFree):
    """Noise-contrastive estimation: tell data from draws of the base; log Z is learned too, as a constant."""

    method: ClassVar[str] = "NoiseContrastive"
    takes: ClassVar[tuple[str, ...]] = ("real", "bits")
    kind: Literal["nce"] = "nce"
    ratio: Count = 4
    """Draws of the base a datum."""


class RankingNoiseContrastive(_SamplingFree):
    """Ranking noise-contrastive estimation (InfoNCE): name the datum among draws of the base."""

    method: ClassVar[str] = "RankingNoiseContrastive"
    takes: ClassVar[tuple[str, ...]] = ("real", "bits")
    kind: Literal["ranking_nce"] = "ranking_nce"
    ratio: Count = 4
    """Draws of the base a datum."""


class ConditionalNoiseContrastive(_SamplingFree):
    """Conditional noise-contrastive estimation: tell each datum from noisy copies of itself."""

    method: ClassVar[str] = "ConditionalNoiseContrastive"
    kind: Literal["conditional_nce"] = "conditional_nce"
    sigma: Positive = 0.3
    """Standard deviation of the noise, in the model's coordinates."""
    ratio: Count = 4
    """Copies a datum."""


class TelescopingNoiseContrastive(_SamplingFree):
    """Telescoping noise-contrastive estimation: many easy classifications from the data to the base.

    The network sees the share of noise beside x; what is measured afterwards is its energy without any.
    """

    method: ClassVar[str] = "TelescopingNoiseContrastive"
    kind: Literal["telescoping_nce"] = "telescoping_nce"
    levels: Annotated[tuple[HalfOpenUnit, ...], Field(min_length=1, max_length=64)] = (0.0, 0.3, 0.6, 0.9)
    """Shares of noise, the first of them 0, rising."""

    @model_validator(mode="after")
    def _levels_rise(self) -> Self:
        if self.levels[0] != 0 or any(a >= b for a, b in zip(self.levels, self.levels[1:], strict=False)):
            raise ValueError(f"objective.levels must start at 0 and rise; got {list(self.levels)}")
        return self


class SelfNormalised(_SamplingFree):
    """Self-normalised likelihood: a bound by draws of the base, with log Z learned as a constant."""

    method: ClassVar[str] = "SelfNormalisedLikelihood"
    takes: ClassVar[tuple[str, ...]] = ("real", "bits")
    kind: Literal["self_normalised"] = "self_normalised"
    ratio: Count = 4
    """Draws of the base a datum."""


class EnergyDiscrepancy(_SamplingFree):
    """Energy discrepancy: energies of the data against those of copies that were perturbed twice."""

    method: ClassVar[str] = "EnergyDiscrepancy"
    kind: Literal["energy_discrepancy"] = "energy_discrepancy"
    sigma: Positive = 0.3
    """Standard deviation of the noise, in the model's coordinates."""
    ratio: Count = 16
    """Copies a datum."""
    stabilisation: NonNegative = 1.0
    """1 keeps the loss bounded below, 0 is unbiased as `ratio` grows."""


class KernelStein(_SamplingFree):
    """Kernel Stein discrepancy: the model's score against the data, seen through a kernel."""

    method: ClassVar[str] = "KernelStein"
    kind: Literal["kernel_stein"] = "kernel_stein"
    width: Positive = 0.2
    """Of the kernel, in the model's coordinates: the finest structure's; of whitened pixels some units."""


class LearnedStein(_SamplingFree):
    """Learned Stein discrepancy: a second network looks for where the model's score is wrong."""

    method: ClassVar[str] = "LearnedStein"
    kind: Literal["learned_stein"] = "learned_stein"
    penalty: Positive = 10.0
    """Weight of the critic's size: the larger, the smaller the critic, and the sooner it follows."""
    num_slices: Count = 1
    """Directions a sample for the critic's divergence."""
    critic_steps: Annotated[int, Number, Field(ge=1, le=100)] = 5
    """Turns of the critic in each training step, before the energy's one."""
    critic_width: Annotated[int, Number, Field(ge=1, le=65536)] = 64
    """Units of each of its two hidden layers."""


class JEM(Rule):
    """A classifier and an energy in one: cross-entropy of the labels and persistent contrastive divergence of x."""

    method: ClassVar[str] = "JEM"
    family: ClassVar[str] = "with labels"
    adapts: ClassVar[bool] = True
    kind: Literal["jem"] = "jem"
    weight: NonNegative = 1.0
    """Of the loss of x; 0 is a plain classifier."""
    num_steps: Count = 5
    """Sampler steps of each walker per training step."""
    num_chains: Count = 512
    """Walkers that move in each training step."""
    labelled: UpToOne = 1.0
    """Fraction of the training rows whose label is used; the others teach x alone."""
