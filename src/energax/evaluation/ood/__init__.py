"""Scores that tell foreign samples from known ones: high is unusual, one number a row, from any library's arrays."""

from .ash import ash_b as ash_b, ash_p as ash_p, ash_s as ash_s
from .compare import Comparison as Comparison, compare as compare
from .detectors import Detector as Detector, detectors as detectors
from .energy_score import energy_score as energy_score
from .entropy import entropy as entropy
from .gradient_norm import gradient_norm as gradient_norm
from .knn import KNN as KNN, fit_knn as fit_knn
from .likelihood_ratio import likelihood_ratio as likelihood_ratio
from .mahalanobis import Mahalanobis as Mahalanobis, fit_mahalanobis as fit_mahalanobis
from .max_logit import max_logit as max_logit
from .max_softmax import max_softmax as max_softmax
from .react import ReAct as ReAct, fit_react as fit_react
from .relative_mahalanobis import (
    RelativeMahalanobis as RelativeMahalanobis,
    fit_relative_mahalanobis as fit_relative_mahalanobis,
)
from .typicality import Typicality as Typicality, fit_typicality as fit_typicality
