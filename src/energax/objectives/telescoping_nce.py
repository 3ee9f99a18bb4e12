"""Telescoping noise-contrastive estimation: a chain of easy classifications from the data to the noise.

Source: Rhodes, Xu and Gutmann (2020), Telescoping density-ratio estimation, arXiv:2006.12204, eqs. (3), (5) and (6).
    What differs: the ratio of neighbours is the difference of one energy at two levels, so that the sum telescopes by
    construction and the energy at level 0 is the model of the data, its log Z inside.
Estimates log p of the data, normalised, for each level of mixing: consistent, and better conditioned than
`NoiseContrastive` where data and noise hardly overlap. Cost: two energies a datum and level, less the end that is the
noise; no chain.
Fails where levels are few: each neighbouring pair must overlap (`worst_accuracy` near 1 tells); the errors of the
levels add up; separated modes keep their masses only through levels that join them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Scalar

from energax.core import AbstractDensity, AbstractEnergy, AbstractObjective, Batch, Key, Metrics

from .nce import draw_noise
from .negatives import check_energy
from .start import GeneratorStart, check_start


class TelescopingNoiseContrastive(AbstractObjective):
    """mean over k of E log(1 + exp(-r_k(x_k))) + E log(1 + exp(r_k(x_(k+1)))), r_k = E(., a_(k+1)) - E(., a_k).

    x_k = sqrt(1 - a_k^2) x + a_k n with x of the data and n of the noise; a_0 = 0 is the data, after the last level
    comes the noise itself, whose energy is -log p_noise.

    Carries no state. Metrics: `accuracy` of telling neighbours apart, over all pairs, and `worst_accuracy`, of the pair
    that is told apart most easily.

    Args:
        noise: A normalised density that can be sampled; centred and scaled like the data, or levels overlap badly.
        levels: Shares of noise a_0 < a_1 < ... < 1, the first of them 0. The model is called as `model(x, a)`.

    Raises:
        ValueError: `levels` do not start at 0, do not rise or reach 1; the noise does not draw samples like the data.

    Example:
        >>> from energax.energies import standard_normal
        >>> from energax.core import AbstractEnergy
        >>> class Same(AbstractEnergy):
        ...     def __call__(self, x, cond=None):
        ...         return -standard_normal(2).log_prob(x)
        >>> rule = TelescopingNoiseContrastive(standard_normal(2), (0.0, 0.5))
        >>> loss, _ = rule(jax.random.key(0), Same(), None, {"x": jnp.ones((8, 2))})
        >>> round(float(loss), 4)  # 2 log 2: every level is the noise
        1.3863
    """

    noise: AbstractDensity
    levels: tuple[float, ...] = (0.0, 0.3, 0.6, 0.9)

    def __check_init__(self):
        if not self.levels or self.levels[0] != 0:
            raise ValueError(f"TelescopingNoiseContrastive.levels must start at 0; got {tuple(self.levels)}.")
        rising = all(a < b for a, b in zip(self.levels, (*self.levels[1:], 1.0), strict=True))
        if not rising:
            raise ValueError(f"TelescopingNoiseContrastive.levels must rise and stay < 1; got {tuple(self.levels)}.")

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row and a level, and noise unlike the data."""
        level = jnp.zeros((), jax.tree.leaves(batch["x"])[0].dtype)
        check_energy("TelescopingNoiseContrastive", model, batch["x"], level)
        check_start("TelescopingNoiseContrastive", GeneratorStart(self.noise), batch["x"], 1, "noise")

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        xs = batch["x"]
        num, dtype = jax.tree.leaves(xs)[0].shape[0], jax.tree.leaves(xs)[0].dtype
        drawn, known = draw_noise(key, self.noise, num)
        levels = jnp.asarray(self.levels, dtype)

        def mixed(level: Scalar) -> Any:
            share = jnp.sqrt(1.0 - level**2)
            return jax.tree.map(lambda x, n: share * x + level * n, xs, drawn)

        def energies(points: Any, level: Scalar) -> Array:
            return jax.vmap(lambda x: model(x, level))(points)

        points = jax.vmap(mixed)(levels)  # [levels, rows, ...]
        near = jax.vmap(energies)(points, levels)
        rest = jax.tree.map(lambda leaf: leaf[1:], points)
        # every pair's logit at its own end and at its neighbour's; the last neighbour is the noise
        ahead = jax.vmap(energies)(jax.tree.map(lambda leaf: leaf[:-1], points), levels[1:])
        behind = jax.vmap(energies)(rest, levels[:-1])
        end = -jax.vmap(self.noise.log_prob)(jax.tree.map(lambda leaf: leaf[-1], points))
        up = jnp.concatenate([ahead, end[None]]) - near
        down = jnp.concatenate([near[1:] - behind, -(known + energies(drawn, levels[-1]))[None]])
        loss = jnp.mean(jax.nn.softplus(-up)) + jnp.mean(jax.nn.softplus(down))
        told = 0.5 * jnp.mean((up > 0).astype(dtype) + (down < 0).astype(dtype), axis=1)
        return loss, (None, {"accuracy": jnp.mean(told), "worst_accuracy": jnp.max(told)})
