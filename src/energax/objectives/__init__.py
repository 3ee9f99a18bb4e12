"""What is minimised: one file a method, each with its source, its cost and where it fails."""

from .combine import Weighted as Weighted
from .contrastive import ContrastiveDivergence as ContrastiveDivergence
from .denoising import DenoisingScoreMatching as DenoisingScoreMatching
from .finite_difference import FiniteDifferenceScoreMatching as FiniteDifferenceScoreMatching
from .multiscale import MultiscaleDenoising as MultiscaleDenoising
from .persistent import PersistentCD as PersistentCD, PersistentState as PersistentState
from .score_matching import ScoreMatching as ScoreMatching
from .sliced import SlicedScoreMatching as SlicedScoreMatching
from .start import (
    AbstractStart as AbstractStart,
    DataStart as DataStart,
    GeneratorStart as GeneratorStart,
    NormalStart as NormalStart,
)
