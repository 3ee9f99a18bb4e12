"""Trains torch-geometric models by the same protocol as `training`: Adam, weight decay, stopped early.

torch is imported when a model is trained, and never before.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from energax.data import Graph

from .pyg import installed, outputs
from .training import DECAY, EVERY, GAIN, MOST, PATIENCE, RATE, diverged
from .trial import Outputs


class Trained:
    """Members of a torch-geometric model."""

    def __init__(self, models: list[Any]) -> None:
        self._models, self.members = models, len(models)

    def outputs(self, graph: Graph, member: int = 0) -> Outputs:
        """Message passing on."""
        return outputs(self._models[member], *tensors(graph))[0]

    def alone(self, graph: Graph) -> Outputs:
        """Message passing off."""
        return outputs(self._models[0], *tensors(graph))[1]

    def dropout(self, graph: Graph, rng: np.random.Generator) -> np.ndarray:
        """One pass of the first member as in training."""
        import torch

        torch.manual_seed(int(rng.integers(2**31)))
        self._models[0].train()
        with torch.no_grad():
            return self._models[0](*tensors(graph)).numpy()


def tensors(graph: Graph) -> tuple[Any, Any]:
    """(features, edges) as torch tensors."""
    import torch

    return torch.tensor(graph.x), torch.tensor(graph.edge_index)


def train_models(
    make: Callable[[int, int], Any], graph: Graph, train: np.ndarray, validation: np.ndarray, members: int, seed: int
) -> Trained:
    """Trains `members` models from weights of their own.

    Args:
        make: From (features, classes) to a fresh model that is called with (x, edge_index).
        graph: Without the foreign nodes.
        train: Booleans [nodes].
        validation: Booleans [nodes].
        members: How many.
        seed: Of weights and dropout.

    Raises:
        ImportError: torch or torch-geometric is not installed.
        DivergenceError: A validation loss is not finite.
    """
    return Trained([_one(make, graph, train, validation, seed, member) for member in range(members)])


def _one(
    make: Callable[[int, int], Any], graph: Graph, train: np.ndarray, validation: np.ndarray, seed: int, member: int
) -> Any:
    torch, _ = installed()
    torch.manual_seed(100 * seed + member)
    model = make(graph.x.shape[1], graph.classes)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
    x, edges = tensors(graph)
    y, labelled, held = torch.tensor(graph.y), torch.tensor(train), torch.tensor(validation)
    best, least, reached = copy.deepcopy(model.state_dict()), float("inf"), 0
    for step in range(1, MOST + 1):
        model.train()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x, edges)[labelled], y[labelled]).backward()
        optimiser.step()
        if step % EVERY:
            continue
        model.eval()
        with torch.no_grad():
            now = float(torch.nn.functional.cross_entropy(model(x, edges)[held], y[held]))
        if not np.isfinite(now):
            raise diverged("train_models", member, step)
        if now < least - GAIN:
            best, least, reached = copy.deepcopy(model.state_dict()), now, step
        elif step - reached >= PATIENCE:
            break
    model.load_state_dict(best)
    return model.eval()
