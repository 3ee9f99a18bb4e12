"""Dense associative memory: the Hopfield model with a power above two, which remembers more patterns than spins.

Source: Krotov and Hopfield (2016), Dense associative memory for pattern recognition, arXiv:1606.01164, eqs (3) and (4).
Differs: inverse temperature is inside the strength, in nats, and the energy is scaled to grow as the number of spins;
between the spins it is the tangent plane of the nearest state, so that gradients are exact costs of flips there.
Exact: any few spins by `enumerate_exact`. Cost: patterns x sites operations per value and per set of local fields.
Where samplers fail on it: each pattern is a narrow valley with no slope around it, so that single flips neither leave
one nor find one from afar. An even power keeps x and -x alike.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractLatticeEnergy, Cond, checks

from .hopfield import one_sample, stored


class DenseMemory(AbstractLatticeEnergy):
    """E(x) = -J N sum_m (p_m . x / N)^n, x in {-1, +1}^N, patterns p_m in {-1, +1}^N.

    With n = 2 it is `Hopfield` of strength 2 J.

    Args:
        patterns: P, floating, [patterns, sites].
        power: n, an integer >= 2.
        strength: J in nats, >= 0.

    Raises:
        ValueError: Shapes do not fit, a pattern is not of spins, the power is < 2, the strength is negative, or x does
            not fit.

    Example:
        >>> energy = DenseMemory(jnp.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]]), 3, 2.0)
        >>> float(energy(jnp.array([1.0, 1.0, -1.0, -1.0])))
        -8.0
    """

    conditional: ClassVar[bool] = False
    patterns: Float[Array, "patterns sites"]
    power: int = eqx.field(static=True)
    strength: float | Scalar

    def __init__(self, patterns: Array, power: int = 3, strength: float | Scalar = 1.0):
        self.patterns = stored("DenseMemory", patterns)
        checks.non_negative("DenseMemory", "strength", strength, ndim=0)
        self.power, self.strength = checks.count("DenseMemory", "power", power, least=2), strength

    def __call__(self, x: Float[Array, " sites"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        one_sample("DenseMemory", x, self.patterns)
        state = jax.lax.stop_gradient(jnp.where(x > 0.0, 1.0, -1.0).astype(x.dtype))
        sites = self.patterns.shape[1]
        value = -self.strength * sites * jnp.sum((self.patterns @ state / sites) ** self.power)
        # 0 at spins, where its slope is what a flip costs: the power itself is not linear in a spin
        return value - jnp.sum(self.local_field(state) * (x - state))

    def local_field(self, x: Float[Array, " sites"]) -> Float[Array, " sites"]:
        """h_i with 2 h_i the energy at x_i = -1 less that at x_i = +1, in nats, for every site at once."""
        one_sample("DenseMemory", x, self.patterns)
        sites = self.patterns.shape[1]
        rest = (self.patterns @ x)[:, None] - self.patterns * x[None, :]
        gain = ((rest + self.patterns) / sites) ** self.power - ((rest - self.patterns) / sites) ** self.power
        return 0.5 * self.strength * sites * jnp.sum(gain, axis=0)

    def conditional_logits(self, x: Float[Array, " sites"], site: Int[Array, ""]) -> Float[Array, " states"]:
        """Logits of x_site = -1 and of x_site = +1 given the rest; x_site itself does not count."""
        field = self.local_field(x)[site]
        return jnp.stack([-field, field])

    def recall(self, x: Float[Array, " sites"], sweeps: int = 5) -> Float[Array, " sites"]:
        """The state after some sweeps at zero temperature: site after site takes the sign of its field; E never rises.

        Args:
            x: Where to start, one sample of spins.
            sweeps: >= 1.
        """
        one_sample("DenseMemory", x, self.patterns)
        checks.count("DenseMemory.recall", "sweeps", sweeps)
        sites = self.patterns.shape[1]

        def turn(carry, site):
            x, overlaps = carry
            pattern = self.patterns[:, site]
            rest = overlaps - pattern * x[site]
            field = jnp.sum(((rest + pattern) / sites) ** self.power - ((rest - pattern) / sites) ** self.power)
            new = jnp.where(field == 0.0, x[site], jnp.sign(field))
            return (x.at[site].set(new), rest + pattern * new), None

        order = jnp.tile(jnp.arange(sites), sweeps)
        return jax.lax.scan(turn, (x, self.patterns @ x), order)[0][0]
