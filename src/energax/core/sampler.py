"""What a sampler is: one transition of one chain."""

import abc
from typing import Any, ClassVar

import equinox as eqx

from .energy import AbstractEnergy
from .types import Key, X


class AbstractSampler(eqx.Module):
    """A transition kernel that leaves p(x) ~ exp(-E(x)) (nearly) invariant; hyperparameters are fields.

    The energy is passed to every call and not bound, so that a training energy may change between steps.
    A State is a NamedTuple with `.x` and whatever the next step needs; an Info is a NamedTuple with `.energy`,
    `.acceptance` (probability in [0, 1]; 1 for kernels without a test) and `.divergent` (a non-finite energy or
    gradient was met: a Metropolis kernel has rejected it), then its own.

    `exact` says whether the kernel leaves its target exactly invariant; one without an accept/reject test says False,
    and annealed estimators refuse it. `reversible` says whether a step is also in detailed balance with its target, so
    that it is its own time reversal; one that cannot claim it says False, and estimators refuse it that walk a path
    backwards by the same kernel and call that the reversal.
    """

    exact: ClassVar[bool] = True
    reversible: ClassVar[bool] = False

    @abc.abstractmethod
    def init(self, energy: AbstractEnergy, x: X) -> Any:
        """The state at x; may cache energy, gradient, momentum."""

    @abc.abstractmethod
    def step(self, key: Key, energy: AbstractEnergy, state: Any) -> tuple[Any, Any]:
        """One transition -> (state, info)."""

    @abc.abstractmethod
    def refresh(self, energy: AbstractEnergy, state: Any) -> Any:
        """The same position with every cached number recomputed: called whenever the energy may have changed."""
