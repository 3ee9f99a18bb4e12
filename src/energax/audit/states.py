"""Exact answers for energies of few discrete sites, by the sum over all states.

Source: enumeration, as in `energies.enumeration`. The truth is a table of probabilities.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from energax.core import AbstractEnergy
from energax.evaluation import energy_values

from .problem import Diverged, Seen

DRAWS = 2000


@dataclass(frozen=True, eq=False)
class States:
    """A truth over few states.

    Attributes:
        states: All of them, float32 [states, sites].
        chances: The truth's probabilities, [states].
        modes: Rows of `states` whose probabilities are told as masses.
    """

    states: np.ndarray
    chances: np.ndarray
    modes: np.ndarray

    def look(self, energy: AbstractEnergy, seed: int) -> Seen:
        """log Z, KL, the masses of the modes and draws, all by enumeration.

        Raises:
            Diverged: The energy is not finite at some state.
        """
        values = energy_values(energy, self.states, batch_size=8192)
        if not np.all(np.isfinite(values)):
            raise Diverged("States.look: energy must be finite at every state; got one that is not.")
        log_z = float(logsumexp(-values))
        model = np.exp(-values - log_z)
        inside = self.chances > 0
        true = self.chances[inside]
        kl = float(np.sum(true * (np.log(true) + values[inside] + log_z)))
        masses = (self.chances[self.modes], model[self.modes])
        return Seen((log_z, log_z), kl, masses if len(self.modes) else None, self.draw(model, DRAWS, [seed, 7]))

    def draw(self, chances: np.ndarray, num: int, seed: int | list[int]) -> np.ndarray:
        """`num` independent states of a law over them."""
        rows = np.random.default_rng(seed).choice(len(self.states), num, p=chances / chances.sum())
        return self.states[rows]
