"""Graphs by name or folder, and the contextual stochastic block model, whose truth is known.

Source: Deshpande, Sen, Montanari and Mossel (2018), Contextual stochastic block models, arXiv:1807.09596.
"""

import os
from pathlib import Path

import numpy as np

from energax.errors import DataError

from . import checks, fetch, names
from .graph import Graph
from .planetoid import read_planetoid


def load_graph(name: str, folder: str | os.PathLike[str] | None = None) -> Graph:
    """The citation graph of that name.

    Args:
        name: cora, citeseer or pubmed, as `energax data get NAME` fetches them; also "csbm", drawn with the defaults.
        folder: A folder of Planetoid files to read instead, such as torch-geometric's; None takes what was fetched.

    Raises:
        DataError: The name is not known, the graph is not here, or a file is not as it must be.

    Example:
        >>> load_graph("csbm")
        Graph('csbm', nodes=1500, dim=64, classes=6, edges=7481)
    """
    known = (*fetch.GRAPHS, "csbm")
    if name not in known:
        raise DataError(names.unknown("graph", name, known))
    if folder is not None:
        return read_planetoid(Path(folder), name)
    return csbm() if name == "csbm" else fetch.read_graph(name)


def csbm(
    nodes: int = 1500,
    classes: int = 6,
    dim: int = 64,
    *,
    within: float = 8.0,
    between: float = 2.0,
    distance: float = 3.0,
    seed: int = 0,
) -> Graph:
    """Draws a graph whose edges and features both know the class: Gaussian features around class centres.

    Args:
        nodes: How many; classes are of equal size to within one.
        classes: How many, >= 2.
        dim: Of the features.
        within: Expected number of neighbours of the same class.
        between: Expected number of neighbours of other classes.
        distance: Norm of a class centre, in standard deviations of a feature.
        seed: Non-negative integer.

    Raises:
        ValueError: A number is out of range.

    Example:
        >>> 0.75 < csbm(nodes=600).homophily < 0.85
        True
    """
    for name, value, least in (("nodes", nodes, 2), ("classes", classes, 2), ("dim", dim, 1), ("seed", seed, 0)):
        checks.count("csbm", name, value, least=least)
    for name, degree in (("within", within), ("between", between)):
        checks.number("csbm", name, degree, low=0.0, high=nodes / classes, closed=True)
    checks.number("csbm", "distance", distance, low=0.0, high=np.inf, closed=True)
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(nodes) % classes)
    centres = rng.normal(size=(classes, dim))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    x = centres[y] + rng.normal(size=(nodes, dim))
    a, b = np.triu_indices(nodes, k=1)
    mine = nodes / classes
    chance = np.where(y[a] == y[b], within / mine, between / (nodes - mine))
    drawn = rng.random(len(a)) < chance
    return Graph("csbm", x, y, np.stack([a[drawn], b[drawn]]), False, "drawn from a known model", "none needed")
