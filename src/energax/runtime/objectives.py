"""The training rules of a recipe, told by `kind`.

Frozen pydantic models of a closed schema, as the other `parts`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .fields import Count, Group, HalfOpenUnit, NonNegative, Number, Positive


class PersistentCD(Group):
    """Maximum likelihood with walkers that live on between the steps."""

    kind: Literal["persistent_cd"] = "persistent_cd"
    num_steps: Count = 5
    """Sampler steps of each walker per training step."""
    num_chains: Count = 512
    """Walkers that move in each training step."""
    buffer_size: Count | None = None
    """Walkers that are kept; None keeps exactly those that move."""
    restart: HalfOpenUnit = 0.0
    """Fraction of walkers born anew each step. Above 0 they may stick (see the alarms); 0 is the safe choice."""
    energy_penalty: NonNegative = 0.0
    """Weight of mean E(data)^2 + mean E(walkers)^2 in the loss."""

    @model_validator(mode="after")
    def _buffer_holds_walkers(self) -> Self:
        if self.buffer_size is not None and self.buffer_size < self.num_chains:
            raise ValueError(
                f"objective.buffer_size must be >= objective.num_chains ({self.num_chains}); got {self.buffer_size}"
            )
        return self


class ContrastiveDivergence(Group):
    """Short chains that start at the data of the batch."""

    kind: Literal["contrastive_divergence"] = "contrastive_divergence"
    num_steps: Count = 5
    """Sampler steps of each chain."""


class Denoising(Group):
    """Denoising score matching at one noise level: the optimum is the data blurred by sigma."""

    kind: Literal["denoising"] = "denoising"
    sigma: Positive = 0.05
    """Standard deviation of the noise, in the model's coordinates."""


class MultiscaleDenoising(Group):
    """Denoising score matching of one energy over a geometric ladder of noise levels."""

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


Objective = Annotated[
    PersistentCD | ContrastiveDivergence | Denoising | MultiscaleDenoising, Field(discriminator="kind")
]
