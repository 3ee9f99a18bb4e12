"""Cross-entropy of labels given x, for an energy that is read off the logits of a classifier.

Source: the factor p(y | x) of Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky (2019), Your classifier is
    secretly an energy based model and you should treat it like one, arXiv:1912.03263, eq. (8). What differs: rows
    without a label are left out.
Estimates -log p(y | x) in nats. Cost: one pass of the classifier a datum.
Fails to say anything about p(x): the logits of all classes may be shifted together at every x.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractClassifierEnergy, AbstractObjective, Batch, Key, Metrics

from .negatives import check_energy


class CrossEntropy(AbstractObjective):
    """mean over labelled rows of logsumexp_y f_y(x) - f_label(x).

    Labels are `batch["y"]`, numbers of classes from 0; a negative one says that there is none. With no label in a batch
    the loss is 0. Carries no state. Metrics: `accuracy` on the labelled rows (0 where there is none) and `labelled`,
    their share.

    Raises:
        ValueError: The model has no logits, or there are no labels, or they are no numbers of its classes, one a row.

    Example:
        >>> from energax.energies import ClassifierEnergy
        >>> model = ClassifierEnergy(lambda x: x)
        >>> batch = {"x": jnp.zeros((4, 3)), "y": jnp.array([0, 1, 2, -1])}
        >>> loss, (_, metrics) = CrossEntropy()(jax.random.key(0), model, None, batch)
        >>> round(float(loss), 4), float(metrics["labelled"])  # log 3
        (1.0986, 0.75)
    """

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model without logits and a batch without labels."""
        if not isinstance(model, AbstractClassifierEnergy):
            got = type(model).__name__
            raise ValueError(f"CrossEntropy: model must be an AbstractClassifierEnergy; got {got}.")
        if "y" not in batch:
            raise ValueError(f"CrossEntropy: batch must hold labels 'y'; got {sorted(batch)}.")
        check_energy("CrossEntropy", model, batch["x"])
        row = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch["x"])
        num = jax.tree.leaves(batch["x"])[0].shape[0]
        check_labels("CrossEntropy", batch["y"], num, jax.eval_shape(model.logits, row).shape[0])

    def __call__(
        self, key: Key, model: AbstractClassifierEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        logits: Float[Array, "rows classes"] = jax.vmap(model.logits)(batch["x"])
        labels: Int[Array, " rows"] = batch["y"]
        known = labels >= 0
        own = jnp.take_along_axis(logits, jnp.maximum(labels, 0)[:, None], axis=1)[:, 0]
        share = known.astype(logits.dtype) / jnp.maximum(jnp.sum(known), 1).astype(logits.dtype)
        right = (own == jnp.max(logits, axis=1)).astype(logits.dtype)
        loss = jnp.sum(share * (jax.nn.logsumexp(logits, axis=1) - own))
        metrics = {"accuracy": jnp.sum(share * right), "labelled": jnp.mean(known.astype(logits.dtype))}
        return loss, (None, metrics)


def check_labels(owner: str, labels: Any, num: int, classes: int) -> None:
    """Raises ValueError unless each of `num` rows has an integer below `classes`; traced ones show no value."""
    if jnp.shape(labels) != (num,) or not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        got = f"{jnp.result_type(labels)} of shape {jnp.shape(labels)}"
        raise ValueError(f"{owner}: labels 'y' must be integers, one a row, shape ({num},); got {got}.")
    if not isinstance(labels, jax.core.Tracer) and (most := int(np.max(np.asarray(labels)))) >= classes:
        raise ValueError(f"{owner}: labels 'y' must be < {classes}, the classes of the model; got {most}.")
