"""What an objective is: a scalar to differentiate in the model, and the state it carries on."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Scalar

from .types import Batch, Key, Metrics


class AbstractObjective(eqx.Module):
    """A training rule. Chains, buffers, dual variables, walkers and log-weights are its state: data, not members."""

    @abc.abstractmethod
    def init(self, key: Key, model: Any, batch: Batch) -> Any:
        """The state before the first step; None where nothing is carried."""

    @abc.abstractmethod
    def __call__(self, key: Key, model: Any, state: Any, batch: Batch) -> tuple[Scalar, tuple[Any, Metrics]]:
        """-> (scalar whose gradient in `model` is the update's direction, (new state, metrics))."""
