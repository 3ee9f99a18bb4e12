"""The Boltzmann machine: binary units, every pair of them coupled by a symmetric weight.

Source: Ackley, Hinton and Sejnowski (1985), A learning algorithm for Boltzmann machines,
doi:10.1207/s15516709cog0901_7, eq. (1); Salakhutdinov and Hinton (2009), Deep Boltzmann machines, AISTATS 5, eq. (9)
for layers.
Differs: units are bits or spins, biases stand where the source has thresholds with the other sign, and the diagonal of
the weights counts for nothing, so that training keeps it so. All units are visible; hidden ones are units that a caller
sums out or leaves free.
Exact: any few units by `enumerate_exact`. Cost: units^2 operations per value and per set of local fields.
Where samplers fail on it: units that are strongly coupled move one by one only, and every pair is within reach of
every other, so that no two of them can be drawn at once.
"""

import itertools
from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractLatticeEnergy, Cond, checks


class BoltzmannMachine(AbstractLatticeEnergy):
    """E(x) = -sum_{i < j} W_ij x_i x_j - b . x, with x in {0, 1}^units, or in {-1, +1}^units if `spins`.

    Args:
        weights: W in nats, [units, units], symmetric with a diagonal of 0; > 0 favours units that are on together.
        biases: b in nats, floating, [units].
        spins: Whether a unit is -1 or +1, and not 0 or 1. The energy is the same formula; conditionals differ.

    Raises:
        ValueError: Shapes do not fit, W is not symmetric or has a diagonal, an entry is not finite, or x does not fit.

    Example:
        >>> energy = BoltzmannMachine(jnp.array([[0.0, 2.0], [2.0, 0.0]]), jnp.array([-1.0, -1.0]))
        >>> [float(energy(x)) for x in jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])]
        [-0.0, 1.0, 0.0]
    """

    conditional: ClassVar[bool] = False
    weights: Float[Array, "units units"]
    biases: Float[Array, " units"]
    spins: bool = eqx.field(static=True)

    def __init__(self, weights: Array, biases: Array, *, spins: bool = False):
        biases = jnp.asarray(biases)
        if biases.ndim != 1 or biases.size == 0 or not jnp.issubdtype(biases.dtype, jnp.floating):
            raise ValueError(
                "BoltzmannMachine.biases must be floating, of shape (units,); "
                f"got {biases.dtype} of shape {biases.shape}."
            )
        weights = jnp.asarray(weights, biases.dtype)
        if weights.shape != (biases.shape[0],) * 2:
            raise ValueError(
                f"BoltzmannMachine.weights must have shape {(biases.shape[0],) * 2}; got shape {weights.shape}."
            )
        checks.finite("BoltzmannMachine", "biases", biases)
        checks.finite("BoltzmannMachine", "weights", weights)
        if not isinstance(weights, jax.core.Tracer):
            plain = np.asarray(weights)
            if np.any(np.diagonal(plain) != 0):
                raise ValueError(
                    "BoltzmannMachine.weights must have a diagonal of 0; "
                    f"got an entry of {np.abs(np.diagonal(plain)).max():g}."
                )
            if np.any(plain != plain.T):
                raise ValueError(
                    "BoltzmannMachine.weights must be symmetric; "
                    f"got entries that differ by {np.abs(plain - plain.T).max():g}."
                )
        self.weights, self.biases, self.spins = weights, biases, spins

    @classmethod
    def layered(cls, weights: Sequence[Array], biases: Sequence[Array], *, spins: bool = False) -> "BoltzmannMachine":
        """A deep Boltzmann machine: layers in a row, weights between neighbouring layers only.

        Args:
            weights: W of every pair of neighbours, [units of one layer, units of the next].
            biases: b of every layer, one more than there are weights; x holds the layers one after the other.
            spins: Whether a unit is -1 or +1.

        Raises:
            ValueError: The shapes do not form a row of layers.
        """
        sizes = [bias.shape[0] for bias in biases]
        wanted = list(itertools.pairwise(sizes))
        if [weight.shape for weight in weights] != wanted:
            raise ValueError(
                f"BoltzmannMachine.layered.weights must have shapes {wanted}; got {[w.shape for w in weights]}."
            )
        starts = np.concatenate([[0], np.cumsum(sizes)])
        biases_of_all = jnp.concatenate([jnp.asarray(bias) for bias in biases])
        whole = jnp.zeros((starts[-1], starts[-1]), biases_of_all.dtype)
        for layer, weight in enumerate(weights):
            rows, cols = slice(*starts[layer : layer + 2]), slice(*starts[layer + 1 : layer + 3])
            whole = whole.at[rows, cols].set(weight).at[cols, rows].set(weight.T)
        return cls(whole, biases_of_all, spins=spins)

    def __call__(self, x: Float[Array, " units"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        self._one_sample(x)
        # the diagonal is taken out even where it is 0: its gradient is then 0 too
        own = jnp.sum(jnp.diagonal(self.weights) * x * x)
        return -0.5 * (x @ (self.weights @ x) - own) - jnp.sum(self.biases * x)

    def local_field(self, x: Float[Array, " units"]) -> Float[Array, " units"]:
        """h_i = b_i + sum_{j != i} W_ij x_j, in nats, for every unit at once: E(x) = -h_i x_i + terms without x_i."""
        self._one_sample(x)
        return self.biases + self.weights @ x - jnp.diagonal(self.weights) * x

    def conditional_logits(self, x: Float[Array, " units"], site: Int[Array, ""]) -> Float[Array, " states"]:
        """Logits of the two values of one unit, low then high, given the rest; the unit itself does not count."""
        field = self.local_field(x)[site]
        return jnp.stack([-field if self.spins else jnp.zeros_like(field), field])

    def as_spins(self) -> tuple["BoltzmannMachine", Scalar]:
        """The same machine of bits with s = 2 x - 1 for x, and the constant c: E(x) = E_spins(s) + c.

        Raises:
            ValueError: The units are spins already.
        """
        if self.spins:
            raise ValueError("BoltzmannMachine.as_spins: the units must be bits; got spins.")
        reach = jnp.sum(self.weights, axis=1)
        constant = -0.125 * jnp.sum(reach) - 0.5 * jnp.sum(self.biases)
        return BoltzmannMachine(0.25 * self.weights, 0.5 * self.biases + 0.25 * reach, spins=True), constant

    def _one_sample(self, x: Array) -> None:
        if x.shape != self.biases.shape:
            raise ValueError(f"BoltzmannMachine: x must be ONE sample of shape {self.biases.shape}; got {x.shape}.")
