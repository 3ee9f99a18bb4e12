"""One cell of the study: networks trained on the known part of a graph, and every method on the shifts of a group."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from energax.data import Graph
from energax.evaluation import aupr, auroc

from .listing import backbones, methods, shifts
from .robustness import robustness
from .split import normalised, split
from .trial import ENSEMBLE, Seen, Trial

NOISE = "noise"
"""The group without foreign nodes in training: whose features are replaced, more and more, when accuracy is judged."""


@dataclass(frozen=True)
class Cell:
    """Which cell.

    Attributes:
        graph: The graph's name.
        backbone: A file of `backbones/`.
        group: A GROUP of shifts that share a training, or "noise".
        split: Seed of the training nodes.
        init: Which of the initialisations.
        methods: Files of `baselines/`.
        members: Networks of the ensemble.
    """

    graph: str
    backbone: str
    group: str
    split: int
    init: int
    methods: tuple[str, ...]
    members: int = ENSEMBLE

    @property
    def name(self) -> str:
        """graph--backbone--group--split--init."""
        return f"{self.graph}--{self.backbone}--{self.group}--{self.split}--{self.init}"


@dataclass(frozen=True)
class Row:
    """What came of a cell.

    Attributes:
        graph: Its name.
        backbone: Of the networks.
        group: Of the shifts.
        split: Seed of the training nodes.
        init: Which initialisation.
        accuracy: Of the first network on known test nodes.
        figures: {shift: {method: {"auroc": ..., "aupr": ...}}} over test nodes, foreign positive.
        curve: Of the group "noise": {share: {predictor: accuracy}}.
        seconds: Fit and score of GEBM, and the training.
        nodes: Of the first split and initialisation, {shift: {name: values}} with names foreign, independent, local,
            group, x, y: energies of the test nodes, and their places by the main directions of the embeddings.
    """

    graph: str
    backbone: str
    group: str
    split: int
    init: int
    accuracy: float
    figures: dict[str, dict[str, dict[str, float]]]
    curve: dict[str, dict[str, float]]
    seconds: dict[str, float]
    nodes: dict[str, dict[str, list[float]]]

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def groups(graph: Graph) -> dict[str, list[str]]:
    """Shifts that fit a graph, by the training that they share."""
    found: dict[str, list[str]] = {}
    for name, module in shifts().items():
        if module.fits(graph):
            found.setdefault(module.GROUP, []).append(name)
    return found


def run(cell: Cell, graph: Graph) -> Row:
    """Trains and scores one cell.

    Args:
        cell: Names that `listing` knows.
        graph: The graph of that name, features as they were loaded.
    """
    graph = graph.with_features(normalised(graph.x))
    found, seed = groups(graph), 1000 * cell.split + cell.init
    names = [] if cell.group == NOISE else found[cell.group]
    foreign = np.zeros(len(graph), bool)
    if names:
        foreign = shifts()[names[0]].foreign(graph, np.random.default_rng([cell.split, 2]))
    parts = split(graph, foreign, cell.split)
    known = graph.part(parts.known)
    train, validation = parts.train[parts.known], parts.validation[parts.known]
    began = time.perf_counter()
    backbone = backbones()[cell.backbone].train(known, train, validation, cell.members if names else 1, seed)
    seconds = {"training": time.perf_counter() - began}
    trial = Trial(backbone, known, train, validation, seed)
    right = trial.known.outputs.logits.argmax(axis=1) == known.y
    accuracy = float(right[parts.test[parts.known]].mean())
    seconds["fit and score"] = _seconds(trial)
    curve = robustness(trial, graph, parts.test, seed) if cell.group == NOISE else {}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    nodes: dict[str, dict[str, list[float]]] = {}
    for number, name in enumerate(names):
        rng = np.random.default_rng([cell.split, cell.init, 3, number])
        seen = Seen(trial, graph.with_features(shifts()[name].features(graph, foreign, rng)))
        figures[name] = {
            method: _figures(methods()[method].score(seen), foreign, parts.test) for method in cell.methods
        }
        if cell.split == cell.init == 0:
            nodes[name] = _nodes(seen, foreign, parts.test)
    where = (cell.graph, cell.backbone, cell.group, cell.split, cell.init)
    return Row(*where, accuracy, figures, curve, seconds, nodes)


def _figures(scores: np.ndarray, foreign: np.ndarray, test: np.ndarray) -> dict[str, float]:
    sides = scores[test & ~foreign], scores[test & foreign]
    return {"auroc": auroc(*sides), "aupr": aupr(*sides)}


def _nodes(seen: Seen, foreign: np.ndarray, test: np.ndarray) -> dict[str, list[float]]:
    """Energies and places of the test nodes."""
    energies = seen.trial.evidence().score(*seen.alone, seen.graph.edge_index)
    h = seen.outputs.embeddings[test]
    places = np.linalg.svd(h - h.mean(axis=0), full_matrices=False)[0][:, :2]
    values = {"foreign": foreign[test], "x": places[:, 0], "y": places[:, 1]}
    values |= {name: getattr(energies, name)[test] for name in ("independent", "local", "group")}
    return {name: [float(f"{v:.5g}") for v in each] for name, each in values.items()}


def _seconds(trial: Trial) -> float:
    """Fit and score of GEBM on the known part, forward passes left out."""
    seen, graph = trial.known, trial.graph
    _, alone = seen.outputs, seen.alone
    began = time.perf_counter()
    trial.evidence().score(*alone, graph.edge_index)
    return time.perf_counter() - began
