"""Whether probabilities of classes mean what they say, and how they are made to."""

from .brier import brier as brier
from .classwise_ece import classwise_ece as classwise_ece
from .compare import Calibrated as Calibrated, compare as compare
from .debiased_ece import DebiasedECE as DebiasedECE, debiased_ece as debiased_ece
from .decomposition import Decomposition as Decomposition
from .ece import ece as ece
from .isotonic import IsotonicScaling as IsotonicScaling, fit_isotonic as fit_isotonic
from .log_loss import log_loss as log_loss
from .reliability import Reliability as Reliability, reliability as reliability
from .temperature_scaling import TemperatureScaling as TemperatureScaling, fit_temperature as fit_temperature
from .vector_scaling import VectorScaling as VectorScaling, fit_vector as fit_vector
