"""Ground floor: the nouns that every other floor speaks."""

from . import checks as checks
from .energy import (
    AbstractBipartiteEnergy as AbstractBipartiteEnergy,
    AbstractClassifierEnergy as AbstractClassifierEnergy,
    AbstractEnergy as AbstractEnergy,
    AbstractLatticeEnergy as AbstractLatticeEnergy,
    Conditioned as Conditioned,
    FunctionEnergy as FunctionEnergy,
    Sum as Sum,
    Tempered as Tempered,
    freeze as freeze,
    score as score,
)
from energax.errors import (
    CheckpointError as CheckpointError,
    ConfigError as ConfigError,
    DataError as DataError,
    DivergenceError as DivergenceError,
    EnergaxError as EnergaxError,
)
from .generator import (
    AbstractDensity as AbstractDensity,
    AbstractGenerator as AbstractGenerator,
    DensityEnergy as DensityEnergy,
)
from .objective import AbstractObjective as AbstractObjective
from .pairs import AbstractPairEnergy as AbstractPairEnergy, PairTerms as PairTerms, pair_terms as pair_terms
from .path import AbstractPath as AbstractPath, GeometricPath as GeometricPath
from .sampler import AbstractSampler as AbstractSampler
from .types import Batch as Batch, Chains as Chains, Cond as Cond, Key as Key, Metrics as Metrics, X as X
