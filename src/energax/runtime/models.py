"""A model whose log Z is asked for: a path to its energy, kernels that fit it, what is known of it; and its ledger.

`runtime.catalogue` has the models that have a name; `use.trained` makes one of a run folder.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from energax.core import AbstractPath, AbstractSampler, Key, X
from energax.errors import ConfigError, did_you_mean
from energax.free_energy import Ledger, ledger
from energax.free_energy.escorted import Escort
from energax.samplers import HMC, MALA, Barker, RandomWalk

Draw = Callable[[Key, int], X]


@dataclass(frozen=True)
class Model:
    """A path to an energy, and what is known of it.

    Attributes:
        name: As it is called.
        title: What it is, in a few words.
        path: From a density that can be sampled.
        kernels: Those that fit it, by name, reversible and exact; the first is the usual one.
        exact: log Z in nats, or None where it is not known.
        how: Where `exact` comes from; "" where there is none.
        draw: (key, how many) -> samples of the target, on axis 0; None where the ledger must make its own.
        start: Whether those are "exact" or from "chains".
        escort: A map for escorted works, or None.
        chains: Chains that suffice.
        temperatures: Temperatures that suffice.
    """

    name: str
    title: str
    path: AbstractPath
    kernels: dict[str, AbstractSampler]
    exact: float | None = None
    how: str = ""
    draw: Draw | None = None
    start: str = "exact"
    escort: Escort | None = None
    chains: int = 256
    temperatures: int = 100


def kernel_of(model: Model, name: str | None) -> str:
    """The name of the kernel that is asked for, or of the model's first where none is.

    Raises:
        ConfigError: The model has no such kernel.
    """
    if name is None:
        return next(iter(model.kernels))
    if name not in model.kernels:
        raise ConfigError(
            f"--kernel must be one of {', '.join(model.kernels)} for {model.name}; got {name!r}."
            f"{did_you_mean(name, model.kernels)}"
        )
    return name


def weigh(
    model: Model,
    *,
    estimators: tuple[str, ...] | None = None,
    kernel: str | None = None,
    chains: int | None = None,
    temperatures: int | None = None,
    steps: int = 1,
    seed: int = 0,
) -> Ledger:
    """The ledger of a model.

    Args:
        model: A model.
        estimators: As in `ledger`; None for all that can run.
        kernel: A name among the model's kernels; None for the first.
        chains: Chains of each estimator, >= 2; None for the model's own number.
        temperatures: Length of the schedule, >= 3; None for the model's own.
        steps: Kernel steps at each temperature, >= 1.
        seed: Other seeds give independent estimates.

    Raises:
        ConfigError: The model has no such kernel, or no map for "escorted".
        ValueError: A number is out of range.
    """
    name = kernel_of(model, kernel)
    if "escorted" in (estimators or ()) and model.escort is None:
        raise ConfigError(
            f"--estimators escorted must be asked of a model with a map between its levels (gaussian has one); "
            f"got {model.name}."
        )
    num = model.chains if chains is None else chains
    length = model.temperatures if temperatures is None else temperatures
    draw, run = jax.random.split(jax.random.key(seed))
    return ledger(
        run,
        model.path,
        model.kernels[name],
        estimators=estimators,
        budget=num * steps * (length - 1),
        num_chains=num,
        steps_per_temperature=steps,
        targets=None if model.draw is None else model.draw(draw, num),
        start=model.start,
        escort=model.escort,
        exact=model.exact,
    )


def continuous(step_size: float = 0.1) -> dict[str, AbstractSampler]:
    """Kernels for real coordinates; a pilot run tunes their step sizes from this one."""
    return {
        "mala": MALA(step_size),
        "hmc": HMC(step_size, 5),
        "barker": Barker(step_size),
        "random-walk": RandomWalk(step_size),
    }
