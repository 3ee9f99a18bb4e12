"""Accuracy when more and more nodes are noise: the network's own, and that of the evidence.

A share of ALL nodes gets standard normal features, of norm sqrt(dim) beside the norm 1 of the others; accuracy is read
on all test nodes, replaced ones too, whose neighbours alone can tell their class.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, claims that the evidential reading is robust;
the experiment is ours.
"""

import numpy as np

from energax.data import Graph

from .trial import Seen, Trial

SHARES = (0.0, 0.125, 0.25, 0.375, 0.5)


def robustness(trial: Trial, graph: Graph, test: np.ndarray, seed: int) -> dict[str, dict[str, float]]:
    """{share: {predictor: accuracy on the test nodes}}.

    Args:
        trial: Networks that were trained without foreign nodes.
        graph: The same graph, before any noise.
        test: Booleans [nodes].
        seed: Of the noise; larger shares replace what smaller ones do, and more.
    """
    rng = np.random.default_rng([seed, 4])
    order, noise = rng.permutation(len(graph)), rng.normal(size=graph.x.shape)
    sure, found = trial.evidence(), {}
    for share in SHARES:
        x = graph.x.copy()
        chosen = order[: round(share * len(graph))]
        x[chosen] = noise[chosen]
        seen = Seen(trial, graph.with_features(x))
        edges = graph.edge_index
        classes = {
            "network": seen.outputs.logits.argmax(axis=1),
            "network, no propagation": seen.alone.logits.argmax(axis=1),
            "evidential": sure.predict(*seen.alone, edges).classes,
            "evidential, no budget": sure.predict(*seen.alone, edges, budget=np.inf).classes,
        }
        found[f"{share:g}"] = {name: float((each == graph.y)[test].mean()) for name, each in classes.items()}
    return found
