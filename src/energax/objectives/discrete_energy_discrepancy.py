"""Energy discrepancy on spins, bits and categories: noise is a random change of sites.

Source: Schroder, Ou, Li and Duncan (2023), Training discrete energy-based models with energy discrepancy,
    arXiv:2307.07595, eq. (4) with Bernoulli perturbations (sec. 4); the functional itself: Schroder et al. (2023),
    arXiv:2307.06431, eq. (6). What differs: one rule for two and for more states, where a changed site goes to one of
    the others with equal chances; that kernel is symmetric, as the loss needs.
Estimates KL(data || model) - KL(noisy data || noisy model) up to a constant of the data, as `ratio` grows. Cost:
1 + ratio energies a datum, differentiated once; no chain, no gradient in x.
Fails on modes further apart than the noise reaches; with much noise in many dimensions the copies all have a high
energy and only the nearest teaches (the loss is then that of one copy).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.random import chain_keys, uniforms
from energax.samplers import AbstractSites
from energax.samplers.sites import check_rows, check_sites

from .energy_discrepancy import discrepancy
from .negatives import check_energy


class DiscreteEnergyDiscrepancy(AbstractObjective):
    """E log [w / M + 1 / M sum over j of exp(E(x) - E(x_j))], x_j the datum after two rounds of random changes.

    Carries no state. Metrics: `rise`, the mean of E(copy) - E(datum).

    Args:
        sites: The values of the sites: SPINS, BITS or CATEGORIES.
        change: Probability in (0, 1) that a site changes in a round.
        ratio: Copies a datum, M >= 1; they share the first round.
        stabilisation: w >= 0; 1 keeps the loss bounded below, 0 is unbiased as M grows.

    Raises:
        ValueError: A field is outside its range.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> rule, batch = DiscreteEnergyDiscrepancy(SPINS, 0.1, 4), {"x": jnp.ones((8, 3))}
        >>> flat = FunctionEnergy(lambda x: 0.0 * jnp.sum(x))
        >>> round(float(rule(jax.random.key(0), flat, None, batch)[0]), 4)  # log(1 / 4 + 1)
        0.2231
    """

    sites: AbstractSites
    change: float = 0.1
    ratio: int = 16
    stabilisation: float = 1.0

    def __check_init__(self):
        check_sites("DiscreteEnergyDiscrepancy", self.sites)
        checks.positive("DiscreteEnergyDiscrepancy", "change", self.change)
        if self.change >= 1:
            raise ValueError(f"DiscreteEnergyDiscrepancy.change must lie in (0, 1); got {self.change}.")
        checks.count("DiscreteEnergyDiscrepancy", "ratio", self.ratio)
        checks.non_negative("DiscreteEnergyDiscrepancy", "stabilisation", self.stabilisation)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row, and rows that are of no such sites."""
        check_energy("DiscreteEnergyDiscrepancy", model, batch["x"])
        check_rows("DiscreteEnergyDiscrepancy", self.sites, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        num = jax.tree.leaves(batch["x"])[0].shape[0]

        def copies(key: Key, x: X) -> X:
            first, second = jax.random.split(key)
            middle = self._changed(first, self.sites.codes(x), x)
            ends = jax.vmap(lambda key: self._changed(key, middle, x))(jax.random.split(second, self.ratio))
            return jax.vmap(lambda codes: self.sites.embed(codes, x))(ends)

        around = jax.vmap(copies, out_axes=1)(chain_keys(key, num), batch["x"])
        return discrepancy(model, batch["x"], around, self.stabilisation)

    def _changed(self, key: Key, codes: Int[Array, " sites"], like: X) -> Int[Array, " sites"]:
        """One round: each site keeps its state with probability 1 - change, else takes one of the others."""
        states = self.sites.num_states(like)
        level = uniforms(key, codes.shape)
        # the part of [0, change) that a level falls in names the other state
        step = 1 + jnp.floor(level / self.change * (states - 1)).astype(codes.dtype)
        return jnp.where(level < self.change, (codes + jnp.clip(step, 1, states - 1)) % states, codes)
