"""Where samples come from: numpy in, dicts of arrays out; jax is never imported here."""

from .batches import Batches as Batches
from .coordinates import Affine as Affine, fit_whitening as fit_whitening
from .dataset import Dataset as Dataset
from .graph import Graph as Graph
from .graphs import csbm as csbm, load_graph as load_graph
from .planetoid import read_planetoid as read_planetoid
from .fetch import cache_folder as cache_folder, get as get
from .mixtures import UnequalMixture as UnequalMixture
from .patterns import bars_and_stripes as bars_and_stripes
from .registry import Entry as Entry, entries as entries, load as load, options_of as options_of
from .shifts import ood_sets as ood_sets
from .toy2d import TOYS as TOYS, Toy as Toy, toy as toy
