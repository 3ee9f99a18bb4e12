"""GEBM: epistemic uncertainty of every node from a trained graph network's logits and embeddings.

e_ic = l_ic - gamma m'_c(h_i): the logit less a distance of the embedding from the class, on the scale of the logits
(`regulariser`, `scale`); three energies of it at the scales of a node, its neighbours and its cluster (`energies`).
Statistics come from the ordinary, propagated outputs on the training graph; the evidence that is scored comes from the
same weights with message passing switched off (`pyg` does both for torch-geometric), as the paper reports it.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), Energy-based epistemic uncertainty for graph neural networks,
NeurIPS, arXiv:2406.04043; defaults are those of its reference code.
Exact reductions: gamma = 0 and the independent part alone is the logit energy; the group part alone of propagated
logits, by `graph_energies` in 2 steps of a `walk` without loops, is GNNSafe. With gamma = 1 a constant added to the
logits of a class leaves all of it unchanged.
Cost: O(nodes * dim * classes) to fit; that and O(steps * edges * classes) to score. No gradient, no training.
Fails: on graphs without homophily; on units that are dead on all training nodes of a class (see `shrinkage`); foreign
neighbours leak into clean nodes, so that the sum is never quite as sharp on far noise as the independent part.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from energax import checks

from . import arrays
from .diffusion import walk
from .energies import GraphEnergies, graph_energies
from .evidential import EvidentialPrediction, evidential_prediction
from .regulariser import ClassGaussians
from .scale import ScaleMatch

GraphScores = GraphEnergies


@dataclass(frozen=True, eq=False)
class GraphEvidence:
    """A fitted GEBM; `GraphEvidence.fit` makes it.

    Attributes:
        gaussians: Of the classes.
        match: The scales of distances and logits.
        budget: Median of -E_ind / T, the log of all evidence of a node, over the graph of the fit, nats: the certainty
            that a node may hand on in `predict`.
        reference: GEBM of all nodes of the graph of the fit, sorted, [nodes]: what is usual.
        options: The settings of the fit, by name.
    """

    gaussians: ClassGaussians
    match: ScaleMatch
    budget: float
    reference: np.ndarray = field(repr=False)
    options: dict[str, Any]

    @staticmethod
    def fit(
        logits: Any,
        embeddings: Any,
        edge_index: Any,
        labels: Any,
        train_mask: Any,
        *,
        alone: tuple[Any, Any] | None = None,
        covariance: str = "diagonal",
        tied: str = "no",
        shrinkage: float = 0.0,
        gamma: float = 1.0,
        temperature: float = 1.0,
        weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
        aggregation: str = "sum",
        steps: int = 10,
        alpha: float = 0.5,
        diffusion: str = "row",
    ) -> "GraphEvidence":
        """Reads the statistics off the training graph; arrays of NumPy, JAX or torch.

        Args:
            logits: Of the ordinary forward pass, [nodes, classes].
            embeddings: What the last layer is given, after the activation, dropout off, [nodes, dim].
            edge_index: [2, edges], both directions of an undirected graph; foreign nodes and their edges left out.
            labels: Classes in [0, classes), integers [nodes]; read at training nodes only.
            train_mask: Booleans [nodes], or positions of the labelled nodes; at least 2 a class.
            alone: (logits, embeddings) of the same network with message passing switched off, from which `budget` and
                `reference` are taken, rows as before; None takes the propagated ones for them too.
            covariance: "diagonal", "full", "isotropic" or "identity".
            tied: "no", "total" or "within": one covariance for all classes (see `ClassGaussians.fit`).
            shrinkage: Share in [0, 1] of the mean variance in every variance.
            gamma: Weight of the distance, >= 0; 0 leaves the logits alone.
            temperature: T > 0 of the energies, in the units of the logits.
            weights: Of the independent, local and group energy, each >= 0; (1, 0, 0) is the first alone.
            aggregation: "sum" or "logsumexp".
            steps: Of the diffusion, >= 0.
            alpha: Weight of the current signal in a step, in [0, 1].
            diffusion: "row", "symmetric" or "column" (see `walk`).

        Raises:
            ValueError: Shapes, labels or options are not as said; the sentence says which.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> y = np.repeat([0, 1], 50)
            >>> h = rng.normal(size=(100, 3)) + 4.0 * y[:, None]
            >>> logits = np.stack([-h.sum(1), h.sum(1)], 1) / 4.0
            >>> ring = np.stack([np.arange(100), np.roll(np.arange(100), 1)])
            >>> edges = np.concatenate([ring, ring[::-1]], axis=1)
            >>> sure = GraphEvidence.fit(logits, h, edges, y, np.ones(100, bool))
            >>> far = h.copy()
            >>> far[7] += 50.0  # one node unlike all others
            >>> int(sure.score(logits, far, edges).independent.argmax())
            7
        """
        logits = arrays.matrix("GraphEvidence.fit", "logits", logits)
        nodes, classes = logits.shape
        embeddings = arrays.matrix("GraphEvidence.fit", "embeddings", embeddings, rows=nodes)
        chosen = arrays.mask("GraphEvidence.fit", "train_mask", train_mask, nodes)
        known = arrays.labels("GraphEvidence.fit", labels, chosen, classes)
        checks.non_negative("GraphEvidence", "gamma", gamma, ndim=0)
        gaussians = ClassGaussians.fit(
            embeddings[chosen], known, classes, covariance=covariance, tied=tied, shrinkage=shrinkage
        )
        match = ScaleMatch.fit(gaussians.distances(embeddings), logits)
        energies = {"steps": steps, "temperature": temperature, "weights": weights, "aggregation": aggregation}
        options = {"gamma": gamma, "alpha": alpha, "diffusion": diffusion, "energies": energies}
        fresh = GraphEvidence(gaussians, match, np.inf, np.empty(0), options)
        off, h = (logits, embeddings) if alone is None else _pair(alone, nodes)
        seen = fresh.score(off, h, edge_index)
        budget = float(np.median(-seen.independent)) / temperature
        return GraphEvidence(gaussians, match, budget, np.sort(seen.total), options)

    def evidence(self, logits: Any, embeddings: Any) -> np.ndarray:
        """e_ic = l_ic - gamma m'_c(h_i), float64 [nodes, classes].

        Args:
            logits: [nodes, classes].
            embeddings: [nodes, dim].

        Raises:
            ValueError: Shapes differ from those of the fit, or an entry is not finite.
        """
        classes, dim = self.gaussians.means.shape
        logits = arrays.matrix("GraphEvidence", "logits", logits, columns=classes)
        embeddings = arrays.matrix("GraphEvidence", "embeddings", embeddings, rows=len(logits), columns=dim)
        if self.options["gamma"] == 0:
            return np.asarray(logits, np.float64)
        e = self.match(self.gaussians.distances(embeddings))
        e *= -self.options["gamma"]
        return np.add(e, logits, out=e)

    def score(self, logits: Any, embeddings: Any, edge_index: Any) -> GraphScores:
        """Energies of all nodes of a graph, which may have changed since the fit; high is uncertain.

        Args:
            logits: [nodes, classes], with message passing switched off (as the paper has it).
            embeddings: [nodes, dim], likewise.
            edge_index: [2, edges].

        Raises:
            ValueError: Shapes differ from those of the fit, or an entry is not finite.
        """
        e = self.evidence(logits, embeddings)
        return graph_energies(e, self._step(edge_index, len(e)), **self.options["energies"])

    def unusual(self, total: Any) -> np.ndarray:
        """Share of the nodes of the fit that score lower, [nodes] in [0, 1]: above 0.95 is rarer than one in twenty.

        Args:
            total: `score(...).total`, [nodes].

        Raises:
            ValueError: It is not finite, or not of one axis.
        """
        total = checks.array("GraphEvidence.unusual", "total", total, ndim=1)
        return np.searchsorted(self.reference, total, side="left") / len(self.reference)

    def predict(
        self, logits: Any, embeddings: Any, edge_index: Any, *, budget: float | None = None
    ) -> EvidentialPrediction:
        """Classes that noisy neighbours cannot poison, see `evidential_prediction`; its evidence is e_ic / T.

        Args:
            logits: [nodes, classes], with message passing switched off.
            embeddings: [nodes, dim], likewise.
            edge_index: [2, edges].
            budget: The most log evidence that a node may hand on, nats; None for that of the fit, inf for none.

        Raises:
            ValueError: Shapes differ from those of the fit, or an entry is not finite.
        """
        energies = self.options["energies"]
        e = self.evidence(logits, embeddings) / energies["temperature"]
        most = self.budget if budget is None else budget
        return evidential_prediction(e, self._step(edge_index, len(e)), most, steps=energies["steps"])

    def _step(self, edge_index: Any, nodes: int) -> Any:
        return walk(edge_index, nodes, alpha=self.options["alpha"], kind=self.options["diffusion"])


def _pair(alone: Any, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Both of `alone`, one row a node of the fit."""
    if not isinstance(alone, tuple) or len(alone) != 2:
        raise ValueError(f"GraphEvidence.fit.alone must be (logits, embeddings); got {type(alone).__name__}.")
    logits = arrays.matrix("GraphEvidence.fit", "alone's logits", alone[0], rows=nodes)
    return logits, arrays.matrix("GraphEvidence.fit", "alone's embeddings", alone[1], rows=nodes)
