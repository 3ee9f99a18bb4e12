"""Noise-contrastive estimation: tell data from noise of known density; the log-density is the classifier's logit.

Source: Gutmann and Hyvarinen (2010), Noise-contrastive estimation: a new estimation principle for unnormalized
    statistical models, proceedings.mlr.press/v9/gutmann10a.html, eq. (3); with a ratio nu, Gutmann and Hyvarinen
    (2012), jmlr.org/papers/v13/gutmann12a.html, eq. (8). What differs: the model is an energy whose log Z is inside
    (`energies.SelfNormalised`, or a network's own last bias).
Estimates the maximum likelihood solution, and log Z with it, as nu grows; consistent for every nu. Cost: one energy a
datum and nu for the noise, differentiated once in the parameters; no chain.
Fails where the noise is far from the data: classification is then easy, the loss flat, and the estimate exponentially
badly conditioned (`noise_ess` near 1 / number of noise rows tells). Overfits the data it classifies: stop on held-out
loss.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar

from energax.core import AbstractDensity, AbstractEnergy, AbstractObjective, Batch, Key, Metrics, checks
from energax.numerics.logspace import effective_sample_size, log_mean_exp
from energax.numerics.random import chain_keys

from .negatives import check_energy
from .start import GeneratorStart, check_start


class NoiseContrastive(AbstractObjective):
    """-E_data log s(G) - ratio E_noise log s(-G), G(x) = -E(x) - log p_noise(x) - log ratio, s the logistic function.

    Carries no state. Metrics: `accuracy` of telling data from noise (1/2 at the best noise), `noise_ess`, the effective
    fraction of the noise as a sample of the model, and `log_z`, the log of the model's integral seen from the noise,
    which goes to 0 as the model becomes normalised.

    Args:
        noise: A normalised density that can be sampled; its tails must cover the data's.
        ratio: Noise samples a datum, >= 1.

    Raises:
        ValueError: `ratio` is not a positive integer, or the noise does not draw samples like the data.

    Example:
        >>> from energax.energies import SelfNormalised, standard_normal
        >>> noise = standard_normal(2)
        >>> model = SelfNormalised(standard_normal(2), jnp.log(2.0 * jnp.pi))
        >>> loss, (_, metrics) = NoiseContrastive(noise)(jax.random.key(0), model, None, {"x": jnp.ones((8, 2))})
        >>> round(float(loss), 4), round(float(metrics["log_z"]), 4)
        (1.3863, 0.0)
    """

    noise: AbstractDensity
    ratio: int = 1

    def __check_init__(self):
        checks.count("NoiseContrastive", "ratio", self.ratio)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row, and noise that is not like the data."""
        check_energy("NoiseContrastive", model, batch["x"])
        check_start("NoiseContrastive", GeneratorStart(self.noise), batch["x"], 1, "noise")

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        num = jax.tree.leaves(batch["x"])[0].shape[0]
        noise, known = draw_noise(key, self.noise, self.ratio * num)
        ratio = jnp.log(jnp.asarray(self.ratio, known.dtype))
        up = -jax.vmap(model)(batch["x"]) - jax.vmap(self.noise.log_prob)(batch["x"]) - ratio
        log_weights = -jax.vmap(model)(noise) - known
        down = log_weights - ratio
        loss = jnp.mean(jax.nn.softplus(-up)) + self.ratio * jnp.mean(jax.nn.softplus(down))
        told = 0.5 * (jnp.mean((up > 0).astype(up.dtype)) + jnp.mean((down < 0).astype(down.dtype)))
        return loss, (None, {"accuracy": told, **noise_metrics(log_weights)})


def draw_noise(key: Key, noise: AbstractDensity, num: int) -> tuple[PyTree, Float[Array, " num"]]:
    """`num` samples on axis 0 and their log-densities; no gradient flows into the noise."""
    xs = jax.lax.stop_gradient(jax.vmap(noise.sample)(chain_keys(key, num)))
    return xs, jax.lax.stop_gradient(jax.vmap(noise.log_prob)(xs))


def noise_metrics(log_weights: Float[Array, " num"]) -> Metrics:
    """What the ratios model / noise at samples of the noise tell: see `NoiseContrastive`."""
    fraction = effective_sample_size(log_weights) / log_weights.shape[0]
    return {"noise_ess": fraction, "log_z": log_mean_exp(log_weights)}
