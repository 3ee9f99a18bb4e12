"""GEBM: how sure a trained graph network is of each node, read from its logits and embeddings; nothing is trained."""

from .diffusion import diffuse as diffuse, walk as walk
from .evidence import GraphEvidence as GraphEvidence, GraphScores as GraphScores
from .evidential import EvidentialPrediction as EvidentialPrediction, evidential_prediction as evidential_prediction
from .energies import GraphEnergies as GraphEnergies, graph_energies as graph_energies
from .normaliser import log_normaliser as log_normaliser
from .regulariser import ClassGaussians as ClassGaussians
from .scale import ScaleMatch as ScaleMatch
