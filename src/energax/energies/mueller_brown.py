"""The Mueller-Brown surface: three wells in the plane along a bent path, the standard test of rare transitions.

Source: Mueller and Brown (1979), Location of saddle points and minimum energy paths by a constrained simplex
optimization procedure, doi:10.1007/BF00547608, whose coefficients these are.
What differs: nothing; E is in the paper's units, so a density needs an inverse temperature, `0.05 * MuellerBrown()`.
Exact: minima and saddles, log Z, means and basin probabilities at any beta by quadrature. Cost: four exponentials per
value. Where samplers fail on it: from the deepest well the barrier is 106 units, 5 nats at beta = 0.05 and 11 at 0.1;
steps are limited by the narrowest well; beyond |x| of about 10 the last term overflows float32 to an infinite energy.
"""

import math
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond, FunctionEnergy, checks

from .quadrature_exact import quadrature_exact

_HEIGHT = (-200.0, -100.0, -170.0, 15.0)
_XX = (-1.0, -1.0, -6.5, 0.7)
_XY = (0.0, 0.0, 11.0, 0.6)
_YY = (-10.0, -10.0, -6.5, 0.7)
_X = (1.0, 0.0, -0.5, -1.0)
_Y = (0.0, 0.5, 1.5, 1.0)


class MuellerBrown(AbstractEnergy):
    """E(x, y) = sum_k A_k exp(a_k (x - x_k)^2 + b_k (x - x_k)(y - y_k) + c_k (y - y_k)^2).

    Raises:
        ValueError: x is not one point of the plane.

    Example:
        >>> round(float(MuellerBrown()(jnp.asarray(MuellerBrown.minima[0], jnp.float32))), 2)
        -146.7
    """

    conditional: ClassVar[bool] = False
    minima: ClassVar[np.ndarray] = np.array(
        [
            [-0.5582236346330243, 1.4417258418046686],
            [0.6234994049308765, 0.02803775852868567],
            [-0.05001082299820602, 0.46669410487197205],
        ]
    )
    """A (the deepest, -146.70), B (-108.17) and C (the shallow one between them, -80.77)."""
    saddles: ClassVar[np.ndarray] = np.array(
        [[-0.8220015587327322, 0.6243128028148713], [0.2124865820006619, 0.29298832510736783]]
    )
    """Between A and C (-40.66), and between C and B (-72.25)."""

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x, y), in the paper's units."""
        if x.shape != (2,):
            raise ValueError(f"MuellerBrown: x must be ONE sample of shape (2,); got shape {x.shape}.")
        height, xx, xy, yy, left, low = (jnp.array(a, x.dtype) for a in (_HEIGHT, _XX, _XY, _YY, _X, _Y))
        across, up = x[0] - left, x[1] - low
        return jnp.sum(height * jnp.exp(xx * across * across + xy * across * up + yy * up * up))


class MuellerBrownExact(NamedTuple):
    """Exact averages of exp(-beta E)."""

    log_z: float
    """log of the integral of exp(-beta E), in nats."""
    energy: float
    """Mean of E, in the paper's units."""
    mean: np.ndarray
    """Mean of (x, y)."""
    basins: np.ndarray
    """Probabilities of the basins of A, B and C, cut by the lines x - y = const through the two saddles."""


def mueller_brown_exact(beta: float, points: int = 400) -> MuellerBrownExact:
    """log Z, means and basin probabilities at inverse temperature beta, by quadrature in double precision.

    Args:
        beta: Per unit of energy, 0.01 to 1: below, mass leaves the box that is summed; above, wells are too narrow.
        points: Nodes on an axis and a basin.

    Raises:
        ValueError: `beta` is out of range.

    Example:
        >>> exact = mueller_brown_exact(0.05)
        >>> round(exact.log_z, 6), exact.basins.round(4).tolist()
        (5.366133, [0.805, 0.1282, 0.0668])
    """
    checks.positive("mueller_brown_exact", "beta", beta, ndim=0)
    if not 0.01 <= beta <= 1.0:
        raise ValueError(f"mueller_brown_exact.beta must lie in [0.01, 1]; got {beta}.")
    base = MuellerBrown()
    # in s = x - y the cuts are sides of boxes; the map (s, y) -> (x, y) keeps areas
    turned = FunctionEnergy(lambda z: beta * base(jnp.stack([z[0] + z[1], z[1]])))
    to_c, to_b = (float(x - y) for x, y in MuellerBrown.saddles)
    ends = {"A": (-12.0, to_c), "C": (to_c, to_b), "B": (to_b, 8.0)}
    parts = {name: quadrature_exact(turned, (cut, (-4.0, 6.0)), points) for name, cut in ends.items()}
    log_z = float(np.logaddexp.reduce([part.log_z for part in parts.values()]))
    share = {name: math.exp(part.log_z - log_z) for name, part in parts.items()}
    energy = sum(share[name] * part.energy for name, part in parts.items()) / beta
    s, y = np.sum([share[name] * part.mean for name, part in parts.items()], axis=0)
    return MuellerBrownExact(log_z, energy, np.array([s + y, y]), np.array([share[name] for name in "ABC"]))
