"""Plain networks: one sample in, a scalar or a vector out; no energies in sight."""

from .activations import ACTIVATIONS as ACTIVATIONS, activation as activation, silu as silu
from .bfloat16 import Bfloat16 as Bfloat16
from .conv import Conv as Conv, ConvNet as ConvNet
from .convolution import add_bias as add_bias, conv as conv
from .decode import Decode as Decode
from .mlp import MLP as MLP, Dense as Dense, FourierFeatures as FourierFeatures
from .resnet import ResNet as ResNet
from .gcn import GCN as GCN, Adjacency as Adjacency, normalised_adjacency as normalised_adjacency
