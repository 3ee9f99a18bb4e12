"""Energies of every sample that differs from one in a single site: what rules for discrete data compare.

Source: the one-site neighbourhood of Hyvarinen (2007), Some extensions of score matching,
    doi:10.1016/j.csda.2006.09.003, sec. 2, and of Sohl-Dickstein, Battaglino and DeWeese (2011), arXiv:0906.4779,
    sec. 3. Cost: sites * (states - 1) + 1 energies; one energy and one gradient in x where the energy is
    linear in every site.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.microbatch import mean_in_chunks
from energax.samplers import AbstractSites
from energax.samplers.sites import check_rows, check_sites

from .negatives import check_energy


class AbstractNeighbourRule(AbstractObjective):
    """A mean over data of what each sample and its one-site changes say; carries no state.

    Args:
        sites: The values of the sites: SPINS, BITS or CATEGORIES.
        linear: Whether the energy is linear in every site (Ising, Potts, Boltzmann): one gradient then does for all
            sites. Wrong for any other energy, an RBM's free energy among them.
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Raises:
        ValueError: `chunk_size` is not a positive integer.
    """

    sites: AbstractSites
    linear: bool = False
    chunk_size: int | None = None
    told: ClassVar[str]
    """The metric's name."""

    def __check_init__(self):
        check_sites(type(self).__name__, self.sites)
        if self.chunk_size is not None:
            checks.count(type(self).__name__, "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row, and rows that are of no such sites."""
        check_energy(type(self).__name__, model, batch["x"])
        check_rows(type(self).__name__, self.sites, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        loss, seen = mean_in_chunks(self._one, model, batch["x"], self.chunk_size)
        return loss, (None, {self.told: seen})

    def _one(self, energy: AbstractEnergy, x: X) -> tuple[Scalar, Scalar]:
        return self.term(*falls(energy, self.sites, x, self.linear))

    @abstractmethod
    def term(self, falls: Float[Array, "sites states"], others: Bool[Array, "sites states"]) -> tuple[Scalar, Scalar]:
        """Loss and metric of one sample from what `falls` gives."""


def falls(
    energy: AbstractEnergy, sites: AbstractSites, x: X, linear: bool
) -> tuple[Float[Array, "sites states"], Bool[Array, "sites states"]]:
    """E(x) - E(x with one site set to a state) for every site and state, 0 at the present one; and which are others.

    Args:
        energy: An energy of one sample.
        sites: The values of the sites.
        x: One sample.
        linear: Whether the energy is linear in every site (Ising, Potts, Boltzmann, not their sums with a network):
            then one gradient tells all.
    """
    codes, states = sites.codes(x), sites.num_states(x)
    others = jnp.arange(states, dtype=codes.dtype)[None, :] != codes[:, None]
    if linear:
        return sites.logits(x, jax.grad(energy)(x)), others
    here = energy(x)
    place = (jnp.arange(states, dtype=codes.dtype)[None, :] - codes[:, None]) % states
    steps = jnp.arange(1, states, dtype=codes.dtype)

    def changed(site: Array, step: Array) -> Array:
        return energy(sites.embed(codes.at[site].set((codes[site] + step) % states), x))

    # column j of `moved` is the state codes + j + 1: put every one where its state is
    moved = jax.vmap(lambda site: jax.vmap(lambda step: changed(site, step))(steps))(jnp.arange(codes.shape[0]))
    rows = jnp.concatenate([jnp.zeros_like(moved[:, :1]), here - moved], axis=1)
    return jnp.take_along_axis(rows, place, axis=1), others
