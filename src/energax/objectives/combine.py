"""A weighted sum of objectives over one model.

Source: the weighted sum of a generative and another loss as in Grathwohl et al. (2019), arXiv:1912.03263, eq. (9). What
    differs: nothing is tied to a pair; any objectives, each with its own state and key.
Estimates what its terms do: the gradient is the weighted sum of theirs. Cost: the sum of theirs.
Fails where the terms pull against each other on scales that the weights do not balance: look at each term's own loss.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractObjective, Batch, Key, Metrics, checks


class Weighted(AbstractObjective):
    """sum_i weights[i] * terms[i], differentiated in one pass.

    Term i draws from fold_in(key, i) and carries its own state. A metric of one term keeps its name; a name that
    several terms report is put behind each one's own, as "0/acceptance". Each term's loss is "<name>/loss".

    Args:
        terms: The objectives, at least one.
        weights: As many numbers >= 0.
        names: As many different names; () numbers the terms.

    Raises:
        ValueError: The three do not fit each other, or a weight is negative or not finite.
    """

    terms: tuple[AbstractObjective, ...]
    weights: tuple[float, ...]
    names: tuple[str, ...] = ()

    def __check_init__(self):
        if not self.terms or len(self.weights) != len(self.terms):
            got = f"{len(self.weights)} weights for {len(self.terms)} terms"
            raise ValueError(f"Weighted.weights must be as many as terms, at least one; got {got}.")
        for weight in self.weights:
            checks.non_negative("Weighted", "weights", weight)
        if self.names and (len(self.names) != len(self.terms) or len(set(self.names)) != len(self.names)):
            raise ValueError(f"Weighted.names must be {len(self.terms)} different names; got {self.names}.")

    def init(self, key: Key, model: Any, batch: Batch) -> tuple[Any, ...]:
        """Each term's state, in order."""
        return tuple(term.init(jax.random.fold_in(key, i), model, batch) for i, term in enumerate(self.terms))

    def __call__(
        self, key: Key, model: Any, state: tuple[Any, ...], batch: Batch
    ) -> tuple[Scalar, tuple[Any, Metrics]]:
        names = self.names or tuple(str(i) for i in range(len(self.terms)))
        losses, states, reports = [], [], []
        for i, (term, old) in enumerate(zip(self.terms, state, strict=True)):
            loss, (new, report) = term(jax.random.fold_in(key, i), model, old, batch)
            losses.append(loss)
            states.append(new)
            reports.append(report)
        metrics: Metrics = {f"{name}/loss": loss for name, loss in zip(names, losses, strict=True)}
        for i, (name, report) in enumerate(zip(names, reports, strict=True)):
            others = set().union(*(other for j, other in enumerate(reports) if j != i))
            metrics |= {f"{name}/{k}" if k in others else k: value for k, value in report.items()}
        weighted = jnp.stack([weight * loss for weight, loss in zip(self.weights, losses, strict=True)])
        return jnp.sum(weighted), (tuple(states), metrics)
