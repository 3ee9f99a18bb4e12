"""Energies between an easy end and ours: what AIS, SMC, thermodynamic integration and Jarzynski walk along."""

import abc

import equinox as eqx
from jaxtyping import Scalar

from .energy import AbstractEnergy, Sum, Tempered
from .generator import AbstractDensity


class AbstractPath(eqx.Module):
    """A family of energies: at(0) is `base.energy()`, of which exact samples can be had; at(1) is the target.

    `at(0.0)` with a Python number is finite wherever the base is, and of the kind that a kernel of the path asks for.
    """

    base: eqx.AbstractVar[AbstractDensity]

    @abc.abstractmethod
    def at(self, s: float | Scalar) -> AbstractEnergy:
        """The energy at s in [0, 1]."""


class GeometricPath(AbstractPath):
    """E_s = (1 - s) E_0 + s E_1, the geometric average of two densities.

    Source: Neal (2001), Annealed importance sampling, doi:10.1023/A:1008923215028, eq. (3).

    Args:
        base: The normalised density at s = 0.
        target: The energy at s = 1.
    """

    base: AbstractDensity
    target: AbstractEnergy

    def at(self, s: float | Scalar) -> AbstractEnergy:
        if isinstance(s, float | int) and s == 0:  # 0 * E_1 would be no number where E_1 is infinite
            return self.base.energy()
        return Sum((Tempered(self.base.energy(), 1.0 - s), Tempered(self.target, s)))
