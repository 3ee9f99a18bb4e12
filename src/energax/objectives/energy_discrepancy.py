"""Energy discrepancy: compare the energy of data with the energies around their noisy copies; no score, no chain.

Source: Schroder, Ou, Lim, Li, Vollmer and Duncan (2023), Energy discrepancies: a score-independent loss for
    energy-based models, arXiv:2307.06431, eqs. (6) and (10), with the stabilisation w of sec. 3.1. What
    differs: pytrees; `sigma` is the noise's standard deviation (the paper's sqrt(t)).
Estimates KL(data || model) - KL(data + noise || model + noise) up to a constant of the data, as `ratio` grows: score
matching times t for small sigma, maximum likelihood for large. Cost: 1 + ratio energies a datum, differentiated once.
Fails on separated modes while sigma is small against their distance (modes at +-4: a tenth of the gap in mass is seen
at sigma = 2, half of it at 4); at large sigma few copies hit the modes and the estimate is biased; without `w` the
energy of the data may run away, on thin manifolds it does so with it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.tree import add_scaled, normal_like

from .negatives import check_energy


class EnergyDiscrepancy(AbstractObjective):
    """E log [w / M + 1 / M sum over j of exp(E(x) - E(x + sigma e + sigma e_j))], e and e_j ~ N(0, 1).

    Carries no state. Metrics: `rise`, the mean of E(copy) - E(datum).

    Args:
        sigma: Standard deviation of the noise, in the units of x, > 0.
        ratio: Copies a datum, M >= 1.
        stabilisation: w >= 0; 1 keeps the loss bounded below, 0 is unbiased as M grows.

    Raises:
        ValueError: A field is outside its range.

    Example:
        >>> from energax.energies import standard_normal
        >>> rule, batch = EnergyDiscrepancy(1e-4, 4), {"x": jnp.zeros((8, 2))}
        >>> loss, _ = rule(jax.random.key(0), standard_normal(2), None, batch)
        >>> round(float(loss), 4)  # log(1 / 4 + 1)
        0.2231
    """

    sigma: float
    ratio: int = 16
    stabilisation: float = 1.0

    def __check_init__(self):
        checks.positive("EnergyDiscrepancy", "sigma", self.sigma)
        checks.count("EnergyDiscrepancy", "ratio", self.ratio)
        checks.non_negative("EnergyDiscrepancy", "stabilisation", self.stabilisation)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("EnergyDiscrepancy", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        first, second = jax.random.split(key)
        middle = add_scaled(batch["x"], self.sigma, normal_like(first, batch["x"]))

        def around(key: Key) -> X:
            return add_scaled(middle, self.sigma, normal_like(key, middle))

        return discrepancy(
            model, batch["x"], jax.vmap(around)(jax.random.split(second, self.ratio)), self.stabilisation
        )


def discrepancy(
    model: AbstractEnergy, xs: PyTree, copies: PyTree, stabilisation: float
) -> tuple[Scalar, tuple[None, Metrics]]:
    """The loss of copies [ratio, rows, ...] of rows, as an objective returns it."""
    rise = jax.vmap(jax.vmap(model))(copies) - jax.vmap(model)(xs)[None, :]
    ratio = rise.shape[0]
    terms = -rise
    if stabilisation > 0:
        extra = jnp.full((1, rise.shape[1]), jnp.log(jnp.asarray(stabilisation, rise.dtype)), rise.dtype)
        terms = jnp.concatenate([terms, extra])
    loss = jnp.mean(jax.nn.logsumexp(terms, axis=0)) - jnp.log(jnp.asarray(ratio, rise.dtype))
    return loss, (None, {"rise": jnp.mean(rise)})
