"""What a problem of the audit is: data, the energy that is trained on it, and the exact answers.

A file of `problems/` has a `TITLE` and `make(seed)`; its name is the problem's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from energax.core import AbstractDensity, AbstractEnergy, AbstractSampler, Key
from energax.errors import EnergaxError
from energax.samplers import AbstractSites


class Diverged(EnergaxError):
    """A training, or the energy that came of it, left the finite; of all errors the only one that an audit writes down.

    Whatever else goes wrong in a cell is a mistake of the method's or of ours, and stops the study.
    """


class Seen(NamedTuple):
    """What an energy turns out to be, exactly or between two bounds.

    Attributes:
        log_z: (low, high) of log Z in nats; equal where it is exact.
        kl: KL(truth || model) in nats, or None where the truth is not known.
        masses: (true, model) masses of the modes, or None where there are no modes.
        draws: Samples of the model, on axis 0.
    """

    log_z: tuple[float, float]
    kl: float | None
    masses: tuple[np.ndarray, np.ndarray] | None
    draws: np.ndarray


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, an energy to train, and what is known of the truth.

    Attributes:
        train: Samples on axis 0, float32; others for another seed.
        heldout: Samples on axis 0, the same for every seed.
        foreign: Samples that are not the data's but look like them, to be told apart by the energy.
        model: The energy at step 0, of a key.
        base: A normalised density from which walkers start: the model at step 0, or near it.
        noise: () -> a normalised density that covers the data and is near them, for methods that need one.
        kernel: An exact kernel for the model.
        look: (energy, seed) -> what the energy is.
        step_cost: Evaluations of one step of the kernel.
        adapt_target: Acceptance to which the kernel's step adapts; None for a kernel without a step.
        sites: The values of the sites of discrete samples; None for real ones.
        linear: Whether the energy is linear in every site.
        nodes: () -> all states, or nodes of a quadrature, with the logs of their weights (None is 0); or None.
        log_z: energy -> log Z in nats as a formula that can be differentiated; or None.
        score: x -> grad log p(x) of the truth, rows on axis 0; or None.
        sigma: The noise of denoising methods, in the units of x.
        energy_penalty: Weight of the mean squared energies in rules whose walkers lag behind the model and, where it is
            steep, run away with it; 0 where energies are large by nature.
        budget: Evaluations of the energy or of its gradient, on one sample each, that every method may spend.
        rate: Learning rate of Adam at the first step.
        walkers: Chains of methods that have them.
        limit_steps: Steps of exact maximum likelihood, which is not held to the budget.
    """

    train: np.ndarray
    heldout: np.ndarray
    foreign: np.ndarray
    model: Callable[[Key], AbstractEnergy]
    base: AbstractDensity
    noise: Callable[[], AbstractDensity]
    kernel: AbstractSampler
    look: Callable[[AbstractEnergy, int], Seen]
    step_cost: int = 1
    adapt_target: float | None = None
    sites: AbstractSites | None = None
    linear: bool = False
    nodes: Callable[[], tuple[Any, Any]] | None = None
    log_z: Callable[[Any], Any] | None = None
    score: Callable[[np.ndarray], np.ndarray] | None = None
    sigma: float = 0.1
    energy_penalty: float = 0.0
    budget: int = 2_000_000
    rate: float = 2e-3
    walkers: int = 256
    limit_steps: int = 1000

    @property
    def dim(self) -> int:
        """Numbers in one sample."""
        return int(np.prod(self.train.shape[1:]))

    @property
    def is_discrete(self) -> bool:
        """Whether samples are spins, bits or categories."""
        return self.sites is not None
