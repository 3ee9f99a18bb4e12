"""JEM: one classifier trained as p(y | x) by cross-entropy and as p(x) by its energy, with labels for some or all rows.

Source: Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky (2019), Your classifier is secretly an energy based
    model and you should treat it like one, arXiv:1912.03263, eqs. (5) to (9) and algorithm 1. What differs: the rule
    for p(x) is any objective (`PersistentCD` with restarts is the paper's), at temperature 1 unless it says otherwise;
    rows without a label teach p(x) alone, which makes it semi-supervised.
Estimates the gradient of -log p(x, y) = -log p(x) - log p(y | x) on rows with a label, of -log p(x) on those without.
Cost: that of the rule for p(x), and one pass of the classifier a datum.
Fails as the rule for p(x) does; with the paper's cold walkers the energy sees another temperature, and training can
diverge suddenly.
"""

from typing import Any

from jaxtyping import Scalar

from energax.core import AbstractClassifierEnergy, AbstractObjective, Batch, Key, Metrics, checks

from .combine import Weighted
from .cross_entropy import CrossEntropy


class JEM(AbstractObjective):
    """weight * (loss of p(x)) + cross-entropy, differentiated in one pass.

    Labels are `batch["y"]`; a negative one says that there is none. Metrics: those of `likelihood` and of
    `CrossEntropy`, and each one's loss as "density/loss" and "classes/loss".

    Args:
        likelihood: The rule for p(x), of the energy -logsumexp_y f_y(x).
        weight: Of its loss, >= 0; 0 is a plain classifier.

    Raises:
        ValueError: `weight` is negative or not finite; the model has no logits; there are no labels.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax.energies import ClassifierEnergy, standard_normal
        >>> from energax.objectives import PersistentCD
        >>> from energax.samplers import MALA
        >>> model = ClassifierEnergy(lambda x: x, base=standard_normal(3))
        >>> rule = JEM(PersistentCD(MALA(0.1), num_steps=2, num_chains=16))
        >>> batch = {"x": jnp.zeros((4, 3)), "y": jnp.array([0, 1, 2, -1])}
        >>> state = rule.init(jax.random.key(0), model, batch)
        >>> loss, (state, metrics) = rule(jax.random.key(1), model, state, batch)
        >>> round(float(metrics["classes/loss"]), 4), float(metrics["labelled"])
        (1.0986, 0.75)
    """

    likelihood: AbstractObjective
    weight: float = 1.0

    def __check_init__(self):
        checks.non_negative("JEM", "weight", self.weight)

    @property
    def _both(self) -> Weighted:
        return Weighted((self.likelihood, CrossEntropy()), (self.weight, 1.0), ("density", "classes"))

    def init(self, key: Key, model: Any, batch: Batch) -> Any:
        """The state of `likelihood`; refuses a model without logits and a batch without labels."""
        return self._both.init(key, model, batch)

    def __call__(
        self, key: Key, model: AbstractClassifierEnergy, state: Any, batch: Batch
    ) -> tuple[Scalar, tuple[Any, Metrics]]:
        return self._both(key, model, state, batch)
