"""Self-normalised likelihood: log Z as the minimum over a number, so that stochastic gradients are unbiased.

Source: Senetaire, Jeha, Mattei and Frellsen (2025), Learning energy-based models by self-normalising the likelihood,
    arXiv:2503.07021; the bound with a known base is that of Arbel, Zhou and Gretton (2021), arXiv:2003.05033, sec. 3.
    What differs: the proposal is any normalised density; the model is an energy whose log Z is inside
    (`energies.SelfNormalised`, or a network's own last bias).
log Z = min over c of c + Z exp(-c) - 1, so that E_data E(x) + E_q exp(-E(x)) / q(x) - 1 with c inside E is an upper
bound of the negative log-likelihood, tight at c = log Z, with unbiased gradients. Cost: one energy a datum and `ratio`
for the proposal; no chain.
Fails where the weights exp(-E) / q have no variance to speak of only by luck: a proposal with lighter tails than the
model, or far from it, lets log Z jump (`noise_ess` tells).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractDensity, AbstractEnergy, AbstractObjective, Batch, Key, Metrics, checks

from .nce import draw_noise, noise_metrics
from .negatives import check_energy
from .start import GeneratorStart, check_start


class SelfNormalisedLikelihood(AbstractObjective):
    """E_data E(x) + E_q [exp(-E(x)) / q(x)] - 1; E carries its own log Z.

    Carries no state. Metrics: `noise_ess` and `log_z` as `NoiseContrastive` tells them.

    Args:
        proposal: A normalised density q that can be sampled; its tails must cover the model's.
        ratio: Proposals a datum, >= 1.

    Raises:
        ValueError: `ratio` is not a positive integer, or the proposal does not draw samples like the data.

    Example:
        >>> from energax.energies import SelfNormalised, standard_normal
        >>> model = SelfNormalised(standard_normal(2), jnp.log(2.0 * jnp.pi))
        >>> rule, batch = SelfNormalisedLikelihood(standard_normal(2)), {"x": jnp.zeros((8, 2))}
        >>> round(float(rule(jax.random.key(0), model, None, batch)[0]), 4)
        1.8379
    """

    proposal: AbstractDensity
    ratio: int = 1

    def __check_init__(self):
        checks.count("SelfNormalisedLikelihood", "ratio", self.ratio)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row, and proposals unlike the data."""
        check_energy("SelfNormalisedLikelihood", model, batch["x"])
        check_start("SelfNormalisedLikelihood", GeneratorStart(self.proposal), batch["x"], 1, "proposal")

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        num = jax.tree.leaves(batch["x"])[0].shape[0]
        drawn, known = draw_noise(key, self.proposal, self.ratio * num)
        log_weights = -jax.vmap(model)(drawn) - known
        loss = jnp.mean(jax.vmap(model)(batch["x"])) + jnp.mean(jnp.exp(log_weights)) - 1.0
        return loss, (None, noise_metrics(log_weights))
