"""Ranking noise-contrastive estimation: find the datum among noise samples; log Z cancels.

Source: Jozefowicz, Vinyals, Schuster, Shazeer and Wu (2016), Exploring the limits of language modeling,
    arXiv:1602.02410, sec. 3.1; Ma and Collins (2018), Noise contrastive estimation and negative sampling for
    conditional models: consistency and statistical efficiency, arXiv:1809.01812, eq. (4); as InfoNCE, van den Oord,
    Li and Vinyals (2018), arXiv:1807.03748, eq. (4). What differs: an unconditional model; every
    datum has noise of its own.
Estimates the maximum likelihood solution as `ratio` grows, consistent for every ratio; no log Z is learned, `log_z`
tells it from the noise. Cost: one energy a datum and `ratio` for the noise; no chain.
Fails as `NoiseContrastive` does where the noise is far from the data; the loss cannot exceed log(ratio + 1) nats, so
that few negatives say little about a model that is already good.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractDensity, AbstractEnergy, AbstractObjective, Batch, Key, Metrics, checks

from .nce import draw_noise, noise_metrics
from .negatives import check_energy
from .start import GeneratorStart, check_start


class RankingNoiseContrastive(AbstractObjective):
    """-E log [w(x) / (w(x) + sum over `ratio` noise samples of w)], w = exp(-E) / p_noise.

    Carries no state. Metrics: `accuracy` of naming the datum, `noise_ess` and `log_z` as `NoiseContrastive` tells them
    (here log Z itself: nothing drives it to 0).

    Args:
        noise: A normalised density that can be sampled; its tails must cover the data's.
        ratio: Noise samples a datum, >= 1.

    Raises:
        ValueError: `ratio` is not a positive integer, or the noise does not draw samples like the data.

    Example:
        >>> from energax.energies import standard_normal
        >>> rule, batch = RankingNoiseContrastive(standard_normal(2), 3), {"x": jnp.ones((8, 2))}
        >>> loss, (_, metrics) = rule(jax.random.key(0), standard_normal(2), None, batch)
        >>> round(float(loss), 4), round(float(metrics["log_z"]), 4)
        (1.3863, 1.8379)
    """

    noise: AbstractDensity
    ratio: int = 8

    def __check_init__(self):
        checks.count("RankingNoiseContrastive", "ratio", self.ratio)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row, and noise that is not like the data."""
        check_energy("RankingNoiseContrastive", model, batch["x"])
        check_start("RankingNoiseContrastive", GeneratorStart(self.noise), batch["x"], 1, "noise")

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        num = jax.tree.leaves(batch["x"])[0].shape[0]
        noise, known = draw_noise(key, self.noise, self.ratio * num)
        up = -jax.vmap(model)(batch["x"]) - jax.vmap(self.noise.log_prob)(batch["x"])
        log_weights = -jax.vmap(model)(noise) - known
        others = log_weights.reshape(num, self.ratio)
        everyone = jnp.concatenate([up[:, None], others], axis=1)
        loss = jnp.mean(jax.nn.logsumexp(everyone, axis=1) - up)
        named = jnp.mean((up > jnp.max(others, axis=1)).astype(up.dtype))
        return loss, (None, {"accuracy": named, **noise_metrics(log_weights)})
