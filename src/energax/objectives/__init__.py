"""What is minimised: one file a method, each with its source, its cost and where it fails."""

from .annealed_denoising import AnnealedDenoising as AnnealedDenoising
from .combine import Weighted as Weighted
from .concrete_score import ConcreteScoreMatching as ConcreteScoreMatching
from .conditional_nce import ConditionalNoiseContrastive as ConditionalNoiseContrastive
from .contrastive import ContrastiveDivergence as ContrastiveDivergence
from .cross_entropy import CrossEntropy as CrossEntropy
from .denoising import DenoisingScoreMatching as DenoisingScoreMatching
from .discrete_energy_discrepancy import DiscreteEnergyDiscrepancy as DiscreteEnergyDiscrepancy
from .energy_discrepancy import EnergyDiscrepancy as EnergyDiscrepancy
from .exact_likelihood import ExactLikelihood as ExactLikelihood, box_nodes as box_nodes
from .fast_weights import FastWeightsPCD as FastWeightsPCD, FastWeightsState as FastWeightsState
from .finite_difference import FiniteDifferenceScoreMatching as FiniteDifferenceScoreMatching
from .formula_likelihood import FormulaLikelihood as FormulaLikelihood
from .improved_cd import ImprovedCD as ImprovedCD
from .jarzynski import Jarzynski as Jarzynski, JarzynskiState as JarzynskiState, Walkers as Walkers
from .jem import JEM as JEM
from .kernel_stein import KernelStein as KernelStein
from .learned_stein import (
    LearnedStein as LearnedStein,
    LearnedSteinCritic as LearnedSteinCritic,
    SteinPair as SteinPair,
)
from .minimum_probability_flow import MinimumProbabilityFlow as MinimumProbabilityFlow
from .multiscale import MultiscaleDenoising as MultiscaleDenoising
from .nce import NoiseContrastive as NoiseContrastive
from .persistent import PersistentCD as PersistentCD, PersistentState as PersistentState
from .pseudolikelihood import Pseudolikelihood as Pseudolikelihood
from .ranking_nce import RankingNoiseContrastive as RankingNoiseContrastive
from .ratio_matching import RatioMatching as RatioMatching
from .score_matching import ScoreMatching as ScoreMatching
from .self_normalised import SelfNormalisedLikelihood as SelfNormalisedLikelihood
from .short_run import ShortRun as ShortRun
from .sliced import SlicedScoreMatching as SlicedScoreMatching
from .start import (
    AbstractStart as AbstractStart,
    DataStart as DataStart,
    GeneratorStart as GeneratorStart,
    NormalStart as NormalStart,
)
from .telescoping_nce import TelescopingNoiseContrastive as TelescopingNoiseContrastive
from .tempered import TemperedPCD as TemperedPCD
