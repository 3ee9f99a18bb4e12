"""From a recipe to objects: data, coordinates, model, trainer and stream, all decided by the config and its seed.

The closed names of `runtime.schema` become objects here and nowhere else.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax import data
from energax.core import AbstractDensity, AbstractEnergy, AbstractPath, ConfigError, GeometricPath
from energax.data.shifts import IMAGE_SETS, TABLE_SETS
from energax.energies import BernoulliRBM, IndependentBits, RBMPath
from energax.training import Dequantise, Trainer, TrainState

from .bits import binarised
from .build_objective import Means, build_model, build_phases, energy_in, labels
from .loop import Look
from .pieces import build_base, build_sampler
from .schema import PATTERNS, TOYS, Config

_WHITENING_NOISE_FLOOR = 1e-6  # of the mean variance: keeps the factor of a rank-deficient table invertible


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Everything a run needs, as pure functions of its config.

    Attributes:
        config: The resolved recipe.
        train: Training samples, in the units of x.
        test: Held-out samples.
        left_out: Samples of the classes that the recipe leaves out, or None.
        coordinates: z = L^-1 (x - m): the model lives in z.
        model: What is trained, at step 0: an energy, or a pair of an energy and its critic.
        base: The normalised density the model starts from.
        trainer: The pure step.
        stream: batch(step), in the units of x.
    """

    config: Config
    train: data.Dataset
    test: data.Dataset
    left_out: np.ndarray | None
    coordinates: data.Affine
    model: Any
    base: AbstractDensity
    trainer: Trainer
    stream: data.Batches

    def initial_state(self) -> TrainState:
        """The state before step 0."""
        first = {name: jnp.asarray(rows) for name, rows in self.stream.batch(0).items()}
        return self.trainer.init(jax.random.key(self.config.seed), self.model, first)

    def energy(self, state: TrainState) -> AbstractEnergy:
        """The averaged energy of one x: what is measured."""
        return energy_in(state.ema)

    def path(self, energy: AbstractEnergy) -> AbstractPath:
        """From the base to an energy; a machine's members are machines, so that block Gibbs walks along it."""
        if isinstance(self.base, IndependentBits) and isinstance(energy, BernoulliRBM):
            return RBMPath(self.base, energy)
        return GeometricPath(self.base, energy)

    def to_model(self, x: np.ndarray, seed: int) -> np.ndarray:
        """Rows of x with one fixed draw of the dequantisation noise, in the model's coordinates, `[n, dim]`.

        Of bits they are what they are; what is made of bits, such as a blend of two images, is rounded to some.
        """
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        if self.config.is_of_bits:
            return (flat > 0.5).astype(np.float32)
        noise = np.random.default_rng([self.config.seed, seed]).standard_normal(flat.shape)
        return self.coordinates.forward(flat + self.config.data.noise * noise).astype(np.float32)

    def to_data(self, z: np.ndarray) -> np.ndarray:
        """Rows of the model's coordinates back in the units and the shape of x."""
        x = self.coordinates.inverse(np.asarray(z, np.float64))
        return x.astype(np.float32).reshape(len(x), *self.train.x.shape[1:])

    def held_out_gap(self, most: int = 500) -> Callable[[Look], dict[str, float]]:
        """A function of a chunk's look: mean E(held out) - mean E(train) of the averaged model, every `evaluate_every`.

        A gap that grows while training goes on is over-fitting. It costs one pass over at most 2 * `most` rows.
        """
        every = self.config.training.evaluate_every
        mean_energy = jax.jit(lambda model, z: jnp.mean(jax.vmap(model)(z)))
        sides = [jnp.asarray(self.to_model(rows.x[:most], seed)) for rows, seed in ((self.test, 2), (self.train, 3))]

        def gap(look: Look) -> dict[str, float]:
            if not every or look.step % every:
                return {}
            held, seen = (float(mean_energy(self.energy(look.state), z)) for z in sides)
            return {"held_out_gap": held - seen}

        return gap


def build(config: Config) -> Problem:
    """The problem that a config describes.

    Raises:
        DataError: The data set cannot be had or does not fit.
        ConfigError: The parts do not fit each other.
    """
    train, test, left_out = load_data(config)
    _check_ood(config, train, left_out)
    return assemble(config, train, test, left_out)


def assemble(config: Config, train: data.Dataset, test: data.Dataset, left_out: np.ndarray | None = None) -> Problem:
    """The problem of a config whose data are at hand.

    Raises:
        ConfigError: The parts do not fit each other, or the data.
    """
    threshold = config.data.threshold
    if threshold is not None:
        train, test = binarised(train, threshold), binarised(test, threshold)
        left_out = None if left_out is None else (left_out > threshold).astype(np.float32)
    flat = train.flat()
    coordinates = data.fit_whitening(flat, _noise_for_whitening(config, flat), config.data.whiten)
    z_train = _noisy(config, coordinates, flat)
    base = build_base(config, z_train)
    means = Means(config, build_sampler(config), base, z_train, _rows_at_a_time(config, z_train.shape[1]))
    phases, model = build_phases(means), build_model(config, train, coordinates, base)
    prepare = Dequantise(config.data.noise, coordinates)
    trainer = Trainer(phases, ema_decay=config.training.ema, prepare=prepare)
    batch_size = min(config.training.batch_size, len(flat))
    arrays = {"x": flat.astype(np.float32)}
    if config.objective.kind == "jem":
        arrays["y"] = labels(config, train)
    stream = data.Batches(arrays, batch_size, config.seed)
    return Problem(config, train, test, left_out, coordinates, model, base, trainer, stream)


def load_data(config: Config) -> tuple[data.Dataset, data.Dataset, np.ndarray | None]:
    """(training samples, held-out samples, samples of the classes left out or None)."""
    options = config.data.options
    given = {k: v for k, v in options.model_dump().items() if v is not None and k != "classes"}
    if config.data.name in (*TOYS, *PATTERNS):
        given["seed"] = config.seed
    whole = data.load(config.data.name, **given)
    left_out = None
    if options.classes is not None:
        if whole.y is None:
            raise ConfigError(f"data.options.classes must be left out for {config.data.name!r}, which has no labels.")
        kept = np.isin(whole.y, options.classes)
        if not kept.any():
            raise ConfigError(f"data.options.classes must name labels of the data; got {list(options.classes)}.")
        left_out = whole.x[~kept] if (~kept).any() else None
        whole = whole.subset(np.flatnonzero(kept))
    train, test = whole.split(config.data.holdout, config.seed)
    return train, test, left_out


def _check_ood(config: Config, train: data.Dataset, left_out: np.ndarray | None) -> None:
    """Refuses foreign sets that these data do not have now, and not after the training."""
    sets = (*(TABLE_SETS if train.image_shape is None else IMAGE_SETS), *(() if left_out is None else ("left-out",)))
    for name in config.evaluation.ood:
        if name not in sets:
            raise ConfigError(f"evaluation.ood must be of {', '.join(sets)} for these data; got {name!r}.")


def toy_density(config: Config) -> data.Toy | data.UnequalMixture | None:
    """The exact density that the recipe's samples come from, where it is known."""
    if config.data.name == "mixture":
        return data.UnequalMixture(config.data.options.dim or 50, (0.25, 0.75), (-10.0, 6.0))
    return data.toy(config.data.name) if config.data.name in data.TOYS else None


def _noise_for_whitening(config: Config, flat: np.ndarray) -> float:
    floor = float(np.sqrt(_WHITENING_NOISE_FLOOR * np.mean(np.var(flat, axis=0))))
    return max(config.data.noise, floor) if config.data.whiten != "none" else config.data.noise


def _noisy(config: Config, coordinates: data.Affine, flat: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng([config.seed, 1]).standard_normal(flat.shape)
    return coordinates.forward(flat + config.data.noise * noise)


def _rows_at_a_time(config: Config, dim: int) -> int | None:
    """Rows of images and walkers that a CPU's cache holds (energax.numerics.microbatch), or None: take all.

    By measurement: a step at 28x28 takes .6 to .7 of the time by eights, one at 8x8 nearly twice as long.
    """
    one_cpu = jax.default_backend() == "cpu" and len(jax.devices()) == 1  # chunks would cut across devices
    return 8 if config.energy.kind in ("conv", "resnet") and dim >= 256 and one_cpu else None
