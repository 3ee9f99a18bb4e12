"""All training rules of a recipe, told by `kind`, and their list by family."""

from typing import Annotated, get_args

from pydantic import Field

from .bit_rules import (
    ConcreteScore,
    DiscreteEnergyDiscrepancy,
    MinimumProbabilityFlow,
    Pseudolikelihood,
    RatioMatching,
)
from .fields import Rule
from .likelihood_rules import (
    ContrastiveDivergence,
    ExactLikelihood,
    FastWeightsPCD,
    ImprovedCD,
    Jarzynski,
    PersistentCD,
    ReplaySGLD,
    ShortRun,
    TemperedPCD,
)
from .sampling_free_rules import (
    JEM,
    AnnealedDenoising,
    ConditionalNoiseContrastive,
    Denoising,
    EnergyDiscrepancy,
    FiniteDifferenceScoreMatching,
    KernelStein,
    LearnedStein,
    MultiscaleDenoising,
    NoiseContrastive,
    RankingNoiseContrastive,
    ScoreMatching,
    SelfNormalised,
    SlicedScoreMatching,
    TelescopingNoiseContrastive,
)

_Rules = (
    ContrastiveDivergence
    | PersistentCD
    | FastWeightsPCD
    | TemperedPCD
    | ReplaySGLD
    | ShortRun
    | ImprovedCD
    | Jarzynski
    | ExactLikelihood
    | ScoreMatching
    | SlicedScoreMatching
    | FiniteDifferenceScoreMatching
    | Denoising
    | MultiscaleDenoising
    | AnnealedDenoising
    | NoiseContrastive
    | RankingNoiseContrastive
    | ConditionalNoiseContrastive
    | TelescopingNoiseContrastive
    | SelfNormalised
    | EnergyDiscrepancy
    | KernelStein
    | LearnedStein
    | Pseudolikelihood
    | RatioMatching
    | MinimumProbabilityFlow
    | ConcreteScore
    | DiscreteEnergyDiscrepancy
    | JEM
)
Objective = Annotated[_Rules, Field(discriminator="kind")]


def rules() -> dict[str, type[Rule]]:
    """Every rule by its kind, in the order of the list."""
    return {rule.model_fields["kind"].default: rule for rule in get_args(_Rules)}


def listed() -> dict[str, dict[str, str]]:
    """Family -> kind -> a line about it.

    Example:
        >>> listed()["without sampling"]["denoising"]
        'Denoising score matching at one noise level: the optimum is the data blurred by sigma.'
    """
    found: dict[str, dict[str, str]] = {}
    for kind, rule in rules().items():
        found.setdefault(rule.family, {})[kind] = (rule.__doc__ or "").partition("\n")[0]
    return found
