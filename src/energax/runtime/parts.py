"""The parts of a recipe that come in sorts, told by `kind`: energy, sampler, optimizer (and `objectives`).

Frozen pydantic models of a closed schema: unknown keys are refused, numbers are finite and have ranges, and booleans
are no numbers. Each docstring under a field is its description in `energax recipes --schema`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .fields import (
    ClosedUnit,
    Count,
    CountOrNone,
    Group,
    HalfOpenUnit,
    NonNegative,
    Number,
    OpenUnit,
    Positive,
    default_where,
)

# ---- energy ----------------------------------------------------------------------------------------------------------


class _Energy(Group):
    """What every network energy has: the base that makes it normalisable, and a smooth activation."""

    activation: Literal["silu", "softplus", "tanh", "gelu"] = "silu"
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the network's body computes in; weights, head and energies stay float32. For large nets on GPUs."""
    base: Literal["gaussian", "mixture", "none"] = "gaussian"
    """The term beside the network, whose last layer starts at zero: at step 0 the model is this density exactly."""
    base_scale: Positive | None = None
    """Standard deviation of the Gaussian base, in the model's coordinates (default 1). Gaussian base only."""
    base_components: Count | None = None
    """Components of the mixture fitted to the training data (default 10). Mixture base only."""

    @model_validator(mode="before")
    @classmethod
    def _base_defaults(cls, values: Any) -> Any:
        base = values.get("base", "gaussian") if isinstance(values, dict) else None
        values = default_where(values, "base_scale", 1.0, base == "gaussian", "base is gaussian")
        return default_where(values, "base_components", 10, base == "mixture", "base is mixture")


class MlpEnergy(_Energy):
    """A dense network of x taken flat."""

    kind: Literal["mlp"] = "mlp"
    width: Annotated[int, Number, Field(ge=1, le=65536)] = 64
    """Units of each hidden layer."""
    depth: Annotated[int, Number, Field(ge=1, le=64)] = 3
    """Number of hidden layers."""
    fourier: Annotated[int, Number, Field(ge=0, le=65536)] = 0
    """Number of fixed random Fourier features put before the first layer; 0 for none."""
    fourier_scale: Positive = 1.0
    """Standard deviation of their frequencies, per unit of x."""


class _ImageEnergy(_Energy):
    channels: Annotated[
        tuple[Annotated[int, Number, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=16)
    ] = (16, 32, 32)
    """Channels of each stage, the first at full resolution."""


class ConvEnergy(_ImageEnergy):
    """A convolutional network of one image."""

    kind: Literal["conv"] = "conv"


class ResNetEnergy(_ImageEnergy):
    """A residual network of one image, without batch normalisation."""

    kind: Literal["resnet"] = "resnet"


class RbmEnergy(Group):
    """A restricted Boltzmann machine of bits, the energy of its visible layer; they start at the data's base rates."""

    kind: Literal["rbm"] = "rbm"
    hidden: Annotated[int, Number, Field(ge=1, le=65536)] = 16
    """Hidden units. With 16 or fewer log Z is exact, a sum over their states."""
    weight_scale: Positive = 0.01
    """Standard deviation of the weights at step 0, in nats."""


Energy = Annotated[MlpEnergy | ConvEnergy | ResNetEnergy | RbmEnergy, Field(discriminator="kind")]


# ---- sampler ---------------------------------------------------------------------------------------------------------


class _Sampler(Group):
    step_size: Positive = 0.05
    """Step size h, in squared units of x for ULA and MALA (noise sd is sqrt(2 h)), in units of x for HMC."""


class Ula(_Sampler):
    """Unadjusted Langevin: no Metropolis test, so the step size biases what it samples."""

    kind: Literal["ula"] = "ula"


class Mala(_Sampler):
    """Metropolis-adjusted Langevin."""

    kind: Literal["mala"] = "mala"
    adapt_target: OpenUnit | None = None
    """Acceptance that the step size is adapted to in persistent training; None keeps the step size."""


class Hmc(_Sampler):
    """Hamiltonian Monte Carlo."""

    kind: Literal["hmc"] = "hmc"
    num_leapfrog: Annotated[int, Number, Field(ge=1, le=10_000)] = 10
    """Leapfrog steps, one force each, per transition."""
    adapt_target: OpenUnit | None = None
    """As MALA's."""


class BlockGibbs(Group):
    """Block Gibbs: all hidden units given the visible ones, then the visible ones given them. Machines only."""

    kind: Literal["block_gibbs"] = "block_gibbs"


class GibbsWithGradients(Group):
    """Gibbs with gradients: one bit a step, chosen by what the gradient says that every change would gain."""

    kind: Literal["gibbs_with_gradients"] = "gibbs_with_gradients"


Sampler = Annotated[Ula | Mala | Hmc | BlockGibbs | GibbsWithGradients, Field(discriminator="kind")]
BIT_SAMPLERS = ("block_gibbs", "gibbs_with_gradients")
SAMPLERS = ("ula", "mala", "hmc", *BIT_SAMPLERS)


# ---- optimizer -------------------------------------------------------------------------------------------------------


class _Optimizer(Group):
    learning_rate: Positive = 1e-3
    """The peak, reached after the warm-up."""
    schedule: Literal["constant", "cosine"] = "cosine"
    final_fraction: ClosedUnit | None = None
    """Where the cosine ends, as a fraction of the peak (default 0.01). Cosine only."""
    warmup: CountOrNone = 0
    """Steps over which the rate rises linearly from 0."""
    clip: Positive | None = 1.0
    """Largest global gradient norm that is passed on unscaled; None for no clipping."""
    accumulate: Annotated[int, Number, Field(ge=1, le=1_000_000)] = 1
    """Training steps whose mean gradient makes one update: so many times the batch in the same memory."""

    @model_validator(mode="before")
    @classmethod
    def _schedule_defaults(cls, values: Any) -> Any:
        cosine = isinstance(values, dict) and values.get("schedule", "cosine") == "cosine"
        return default_where(values, "final_fraction", 0.01, cosine, "schedule is cosine")


class _Adam(_Optimizer):
    b1: HalfOpenUnit = 0.9
    """Decay of the mean of gradients."""
    b2: HalfOpenUnit = 0.999
    """Decay of the mean of squared gradients."""


class Adam(_Adam):
    """Adam."""

    kind: Literal["adam"] = "adam"


class AdamW(_Adam):
    """Adam with weight decay apart from the gradient."""

    kind: Literal["adamw"] = "adamw"
    weight_decay: NonNegative = 1e-3
    """Fraction of each weight taken off per step, times the learning rate."""


class Sgd(_Optimizer):
    """Plain gradient steps."""

    kind: Literal["sgd"] = "sgd"


Optimizer = Annotated[Adam | AdamW | Sgd, Field(discriminator="kind")]
