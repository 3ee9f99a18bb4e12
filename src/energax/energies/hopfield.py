"""The Hopfield model: spins that remember patterns by Hebb's rule, and the Gaussian hidden units behind it.

Source: Hopfield (1982), Neural networks and physical systems with emergent collective computational abilities,
doi:10.1073/pnas.79.8.2554; Amit, Gutfreund and Sompolinsky (1985), doi:10.1103/PhysRevLett.55.1530 (capacity 0.138
patterns a spin); Barra, Bernacchia, Santucci and Contucci (2012), On the equivalence of Hopfield networks and Boltzmann
machines, arXiv:1105.2790 (the hidden units).
Differs: inverse temperature is inside the strength, in nats; between the spins the energy is the multilinear extension,
in which a spin does not act on itself. The joint energy carries the normaliser of the hidden Gaussians, so that its
free energy is the Hopfield energy itself.
Exact: both conditionals of the joint; any few spins by `enumerate_exact`. Cost: patterns x sites operations per value,
per set of local fields and per half of a Gibbs sweep.
Where samplers fail on it: with strength well above 1 every pattern is a valley; above 0.138 patterns a spin the
patterns drown in a spin glass.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractBipartiteEnergy, AbstractLatticeEnergy, Cond, Key, checks
from energax.numerics import standard_normal as normal

from .boltzmann import BoltzmannMachine
from .hidden_bits import bits


class Hopfield(AbstractBipartiteEnergy, AbstractLatticeEnergy):
    """E(x) = -(J / 2N) sum_m (p_m . x)^2 - H . x, x in {-1, +1}^N, patterns p_m in {-1, +1}^N.

    The joint energy is h . h / 2 - sqrt(J / N) h . (P x) - H . x with one real hidden unit a pattern.

    Args:
        patterns: P, floating, [patterns, sites].
        strength: J in nats, >= 0; patterns are remembered above 1.
        fields: H in nats, [sites], or one number for all.

    Raises:
        ValueError: Shapes do not fit, a pattern is not of spins, the strength is negative, an entry is not finite, or x
            does not fit.

    Example:
        >>> energy = Hopfield(jnp.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]]), 2.0)
        >>> float(energy(jnp.array([1.0, 1.0, -1.0, -1.0])))  # -2 / 8 x 16
        -4.0
        >>> energy.recall(jnp.array([-1.0, 1.0, -1.0, -1.0])).tolist()
        [1.0, 1.0, -1.0, -1.0]
    """

    patterns: Float[Array, "patterns sites"]
    strength: float | Scalar
    fields: Float[Array, " sites"]
    joint_beta: float | Scalar
    """What `at_beta` has made of the joint energy: 1 at first."""

    def __init__(self, patterns: Array, strength: float | Scalar = 1.0, fields: Array | float = 0.0):
        self.patterns = stored("Hopfield", patterns)
        checks.non_negative("Hopfield", "strength", strength, ndim=0)
        sites = self.patterns.shape[1]
        fields = jnp.asarray(fields, self.patterns.dtype)
        if fields.shape not in ((), (sites,)):
            raise ValueError(f"Hopfield.fields must be a number or of shape ({sites},); got shape {fields.shape}.")
        checks.finite("Hopfield", "fields", fields)
        self.strength, self.fields, self.joint_beta = strength, jnp.broadcast_to(fields, (sites,)), 1.0

    def __call__(self, x: Float[Array, " sites"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if cond is not None:
            return self.given(cond)(x)
        one_sample("Hopfield", x, self.patterns)
        overlaps = self.patterns @ x
        value = -0.5 * self._pull() * jnp.sum(overlaps * overlaps) + self._own(x) - jnp.sum(self.fields * x)
        return self.joint_beta * value + self._constant()

    def local_field(self, x: Float[Array, " sites"]) -> Float[Array, " sites"]:
        """h_i = H_i + (J / N) sum_m p_mi (p_m . x - p_mi x_i), in nats, for every site at once."""
        one_sample("Hopfield", x, self.patterns)
        own = jnp.sum(self.patterns * self.patterns, axis=0) * x
        return self.joint_beta * (self.fields + self._pull() * (self.patterns.T @ (self.patterns @ x) - own))

    def conditional_logits(self, x: Float[Array, " sites"], site: Int[Array, ""]) -> Float[Array, " states"]:
        """Logits of x_site = -1 and of x_site = +1 given the rest; x_site itself does not count."""
        field = self.local_field(x)[site]
        return jnp.stack([-field, field])

    def joint(self, v: Float[Array, " sites"], h: Float[Array, " patterns"]) -> Scalar:
        """E(v, h) in nats, v being the spins."""
        one_sample("Hopfield", v, self.patterns)
        hidden = 0.5 * jnp.sum(h * h) - jnp.sum(h * self._drive(v)) + 0.5 * h.shape[0] * math.log(2.0 * math.pi)
        return self.joint_beta * (hidden + self._own(v) - jnp.sum(self.fields * v))

    def hidden_given(self, v: Float[Array, " sites"]) -> Float[Array, " patterns"]:
        """Means of the hidden units given the spins, sqrt(J / N) p_m . v; their variance is 1 / `joint_beta`."""
        one_sample("Hopfield", v, self.patterns)
        return self._drive(v)

    def visible_given(self, h: Float[Array, " patterns"]) -> Float[Array, " sites"]:
        """Local fields of the spins given the hidden units, in nats: p(x_i = 1 | h) = sigmoid(2 field)."""
        return self.joint_beta * (jnp.sqrt(self._pull()) * (self.patterns.T @ h) + self.fields)

    def sample_hidden(self, key: Key, v: Float[Array, " sites"]) -> Float[Array, " patterns"]:
        """One exact draw of all hidden units given the spins."""
        mean = self.hidden_given(v)
        return mean + normal(key, mean.shape, mean.dtype) / jnp.sqrt(jnp.asarray(self.joint_beta, mean.dtype))

    def sample_visible(self, key: Key, h: Float[Array, " patterns"]) -> Float[Array, " sites"]:
        """One exact draw of all spins given the hidden units."""
        return 2.0 * bits(key, 2.0 * self.visible_given(h)) - 1.0

    def free_energy(self, v: Float[Array, " sites"]) -> Scalar:
        """-log of exp(-E(v, h)) integrated over h, in nats: E(v)."""
        return self(v)

    def given(self, cond: Cond) -> "Hopfield":
        """The model of E(v, h) - cond . v.

        Args:
            cond: A field on the spins, [sites], in nats; None for none.
        """
        if cond is None:
            return self
        if jnp.shape(cond) != self.fields.shape:
            raise ValueError(
                f"Hopfield: cond must be a field on the spins, of shape {self.fields.shape}; got shape "
                f"{jnp.shape(cond)}."
            )
        return eqx.tree_at(lambda model: model.fields, self, self.fields + cond / self.joint_beta)

    def at_beta(self, beta: float | Scalar) -> "Hopfield":
        """The model of the joint energy beta E(v, h).

        Args:
            beta: > 0: at 0 nothing holds the hidden units.
        """
        checks.positive("Hopfield", "beta", beta, ndim=0)
        return eqx.tree_at(lambda model: model.joint_beta, self, self.joint_beta * beta)

    def as_boltzmann(self) -> tuple[BoltzmannMachine, Scalar]:
        """Hebb's couplings as a machine of spins, and the constant c: E(x) = E_machine(x) + c."""
        weights = self.joint_beta * self._pull() * (self.patterns.T @ self.patterns)
        weights = weights - jnp.diag(jnp.diagonal(weights))
        constant = self._constant() - 0.5 * self.joint_beta * self._pull() * jnp.sum(self.patterns * self.patterns)
        return BoltzmannMachine(weights, self.joint_beta * self.fields, spins=True), constant

    def recall(self, x: Float[Array, " sites"], sweeps: int = 10) -> Float[Array, " sites"]:
        """The state after some sweeps at zero temperature: site after site takes the sign of its field; E never rises.

        Args:
            x: Where to start, one sample of spins.
            sweeps: >= 1.
        """
        one_sample("Hopfield", x, self.patterns)
        checks.count("Hopfield.recall", "sweeps", sweeps)

        def turn(carry, site):
            x, overlaps = carry
            pattern = self.patterns[:, site]
            field = self.fields[site] + self._pull() * jnp.sum(pattern * (overlaps - pattern * x[site]))
            new = jnp.where(field == 0.0, x[site], jnp.sign(field))
            return (x.at[site].set(new), overlaps + pattern * (new - x[site])), None

        order = jnp.tile(jnp.arange(x.shape[0]), sweeps)
        return jax.lax.scan(turn, (x, self.patterns @ x), order)[0][0]

    def _pull(self) -> Array:
        return jnp.asarray(self.strength, self.patterns.dtype) / self.patterns.shape[1]

    def _drive(self, v: Array) -> Array:
        return jnp.sqrt(self._pull()) * (self.patterns @ v)

    def _own(self, x: Array) -> Array:
        """0 at spins; it takes each spin's pull on itself out of the gradient."""
        return 0.5 * self._pull() * jnp.sum(jnp.sum(self.patterns * self.patterns, axis=0) * (x * x - 1.0))

    def _constant(self) -> Array:
        """What the normaliser of the hidden Gaussians leaves behind: 0 at `joint_beta` 1."""
        beta = jnp.asarray(self.joint_beta, self.patterns.dtype)
        return 0.5 * self.patterns.shape[0] * (jnp.log(beta) + (beta - 1.0) * math.log(2.0 * math.pi))


def stored(owner: str, patterns: Array | np.ndarray) -> Float[Array, "patterns sites"]:
    """The patterns as an array, or ValueError unless they are floating spins [patterns, sites]."""
    patterns = jnp.asarray(patterns)
    if patterns.ndim != 2 or patterns.size == 0 or not jnp.issubdtype(patterns.dtype, jnp.floating):
        raise ValueError(
            f"{owner}.patterns must be floating, of shape (patterns, sites); got {patterns.dtype} of shape "
            f"{patterns.shape}."
        )
    if not isinstance(patterns, jax.core.Tracer) and np.any(np.abs(np.asarray(patterns)) != 1.0):
        raise ValueError(f"{owner}.patterns must hold -1 and +1 only; got another entry.")
    return patterns


def one_sample(owner: str, x: Array, patterns: Array) -> None:
    """Raises ValueError unless x is one sample of the patterns' shape."""
    if x.shape != patterns.shape[1:]:
        raise ValueError(f"{owner}: x must be ONE sample of shape {patterns.shape[1:]}; got shape {x.shape}.")
