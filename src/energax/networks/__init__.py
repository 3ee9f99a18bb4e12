"""Plain networks: one sample in, a scalar or a vector out; no energies in sight."""

from .activations import ACTIVATIONS as ACTIVATIONS, activation as activation, silu as silu
from .affine import Affine as Affine
from .mlp import MLP as MLP, Dense as Dense, FourierFeatures as FourierFeatures
