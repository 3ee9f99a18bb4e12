"""What is minimised: one file a method, each with its source, its cost and where it fails."""

from .combine import Weighted as Weighted
from .conditional_nce import ConditionalNoiseContrastive as ConditionalNoiseContrastive
from .contrastive import ContrastiveDivergence as ContrastiveDivergence
from .denoising import DenoisingScoreMatching as DenoisingScoreMatching
from .finite_difference import FiniteDifferenceScoreMatching as FiniteDifferenceScoreMatching
from .multiscale import MultiscaleDenoising as MultiscaleDenoising
from .nce import NoiseContrastive as NoiseContrastive
from .persistent import PersistentCD as PersistentCD, PersistentState as PersistentState
from .ranking_nce import RankingNoiseContrastive as RankingNoiseContrastive
from .score_matching import ScoreMatching as ScoreMatching
from .self_normalised import SelfNormalisedLikelihood as SelfNormalisedLikelihood
from .sliced import SlicedScoreMatching as SlicedScoreMatching
from .start import (
    AbstractStart as AbstractStart,
    DataStart as DataStart,
    GeneratorStart as GeneratorStart,
    NormalStart as NormalStart,
)
from .telescoping_nce import TelescopingNoiseContrastive as TelescopingNoiseContrastive
