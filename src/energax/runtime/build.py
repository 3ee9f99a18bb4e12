"""From a recipe to objects: data, coordinates, model, trainer and stream, all decided by the config and its seed.

The closed names of `runtime.schema` become objects here and nowhere else.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax import data
from energax.core import AbstractDensity, AbstractObjective, AbstractSampler, ConfigError
from energax.data.shifts import IMAGE_SETS, TABLE_SETS
from energax.energies import Gaussian, GaussianMixture, NetworkEnergy
from energax.networks import MLP, ConvNet, Decode, ResNet
from energax.objectives import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    GeneratorStart,
    MultiscaleDenoising,
    PersistentCD,
)
from energax.samplers import HMC, MALA, ULA
from energax.training import Dequantise, Phase, Trainer, TrainState, damping

from .loop import Look
from .schema import TOYS, Config

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
        model: The energy at step 0.
        base: The normalised density the model starts from.
        trainer: The pure step.
        stream: batch(step), in the units of x.
    """

    config: Config
    train: data.Dataset
    test: data.Dataset
    left_out: np.ndarray | None
    coordinates: data.Affine
    model: NetworkEnergy
    base: AbstractDensity
    trainer: Trainer
    stream: data.Batches

    def initial_state(self) -> TrainState:
        """The state before step 0."""
        first = {name: jnp.asarray(rows) for name, rows in self.stream.batch(0).items()}
        return self.trainer.init(jax.random.key(self.config.seed), self.model, first)

    def to_model(self, x: np.ndarray, seed: int) -> np.ndarray:
        """Rows of x with one fixed draw of the dequantisation noise, in the model's coordinates, `[n, dim]`."""
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
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
            held, seen = (float(mean_energy(look.state.ema, z)) for z in sides)
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
    flat = train.flat()
    coordinates = data.fit_whitening(flat, _noise_for_whitening(config, flat), config.data.whiten)
    z_train = _noisy(config, coordinates, flat)
    base = build_base(config, z_train)
    tail = None if config.energy.base == "none" else base
    sampler = build_sampler(config)
    model = NetworkEnergy(build_net(config, train), tail, _decode(config, coordinates, train))
    optimizer = build_optimizer(config)
    phase = Phase(build_objective(config, sampler, base), optimizer, trains=_the_net)
    prepare = Dequantise(config.data.noise, coordinates)
    trainer = Trainer((phase,), ema_decay=config.training.ema, prepare=prepare)
    batch_size = min(config.training.batch_size, len(flat))
    stream = data.Batches({"x": flat.astype(np.float32)}, batch_size, config.seed)
    return Problem(config, train, test, left_out, coordinates, model, base, trainer, stream)


def _the_net(model: NetworkEnergy) -> Any:
    return model.net


def load_data(config: Config) -> tuple[data.Dataset, data.Dataset, np.ndarray | None]:
    """(training samples, held-out samples, samples of the classes left out or None)."""
    options = config.data.options
    given = {k: v for k, v in options.model_dump().items() if v is not None and k != "classes"}
    if config.data.name in TOYS:
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


def build_base(config: Config, z: np.ndarray) -> Gaussian | GaussianMixture:
    """The density that annealing and chains start from; also the model's tail, unless the recipe says `base: none`."""
    dim = z.shape[1]
    energy = config.energy
    if energy.base == "mixture":
        from sklearn.mixture import GaussianMixture as Fit

        assert energy.base_components is not None  # the schema fills it in
        fitted = Fit(energy.base_components, covariance_type="full", reg_covar=1e-3, random_state=config.seed).fit(z)
        return GaussianMixture.from_sklearn(fitted)
    scale = 1.0 if energy.base_scale is None else energy.base_scale
    return Gaussian(jnp.zeros(dim), jnp.full(dim, scale, jnp.float32))


def build_net(config: Config, train: data.Dataset) -> Any:
    """The network of the config, its last layer zero."""
    energy, key = config.energy, jax.random.fold_in(jax.random.key(config.seed), 1)
    if energy.kind == "mlp":
        return MLP(train.flat().shape[1], energy.width, energy.depth, activation=energy.activation,
                   fourier=energy.fourier, fourier_scale=energy.fourier_scale, key=key)  # fmt: skip
    shape = _image_shape(train)
    make = ConvNet if energy.kind == "conv" else ResNet
    return make(shape, energy.channels, activation=energy.activation, key=key)


def _image_shape(train: data.Dataset) -> tuple[int, int, int]:
    if train.image_shape is not None:
        return train.image_shape
    side = math.isqrt(train.dim)
    if side * side == train.dim:  # a table of square grey images, one a row
        return side, side, 1
    raise ConfigError(f"energy.kind must be mlp for rows of shape {train.shape}, which are no images.")


def _decode(config: Config, coordinates: data.Affine, train: data.Dataset) -> Decode | None:
    """What a network sees: an image net sees pixels, a dense net the coordinates themselves."""
    if config.energy.kind == "mlp":
        return None
    mean, factor = (jnp.asarray(a, jnp.float32) for a in (coordinates.mean, coordinates.factor))
    return Decode(mean, factor, shape=_image_shape(train))


def build_sampler(config: Config) -> AbstractSampler:
    """The transition kernel of the config."""
    sampler = config.sampler
    if sampler.kind == "ula":
        return ULA(sampler.step_size)
    if sampler.kind == "mala":
        return MALA(sampler.step_size)
    return HMC(sampler.step_size, sampler.num_leapfrog)


def build_objective(config: Config, sampler: AbstractSampler, base: AbstractDensity) -> AbstractObjective:
    """The training rule of the config."""
    objective = config.objective
    # image networks: on a CPU the gradient is gathered in chunks that stay in cache (energax.numerics.microbatch)
    one_cpu = jax.default_backend() == "cpu" and len(jax.devices()) == 1  # chunks would cut across devices
    chunk = 8 if config.energy.kind != "mlp" and one_cpu else None
    if objective.kind == "persistent_cd":
        return PersistentCD(
            sampler,
            objective.num_steps,
            objective.num_chains,
            buffer_size=objective.buffer_size,
            restart=objective.restart,
            adapt_target=getattr(config.sampler, "adapt_target", None),
            energy_penalty=objective.energy_penalty,
            chunk_size=chunk,
            start=GeneratorStart(base),
        )
    if objective.kind == "contrastive_divergence":
        return ContrastiveDivergence(sampler, objective.num_steps, chunk_size=chunk)
    if objective.kind == "denoising":
        return DenoisingScoreMatching(objective.sigma, chunk)
    return MultiscaleDenoising(objective.sigmas, chunk_size=chunk)


def build_optimizer(config: Config) -> optax.GradientTransformation:
    """Clip, then the optimiser under its schedule, then the brake that a roll-back applies."""
    optimizer, steps = config.optimizer, config.training.steps
    rate: Any = optimizer.learning_rate
    if optimizer.schedule == "cosine":
        assert optimizer.final_fraction is not None  # the schema fills it in
        rate = optax.cosine_decay_schedule(rate, steps - optimizer.warmup, optimizer.final_fraction)
    if optimizer.warmup:
        after = rate if callable(rate) else optax.constant_schedule(rate)
        rise = optax.linear_schedule(0.0, optimizer.learning_rate, optimizer.warmup)
        rate = optax.join_schedules([rise, after], [optimizer.warmup])
    if optimizer.kind == "sgd":
        rule = optax.sgd(rate)
    elif optimizer.kind == "adam":
        rule = optax.adam(rate, b1=optimizer.b1, b2=optimizer.b2)
    else:
        rule = optax.adamw(rate, b1=optimizer.b1, b2=optimizer.b2, weight_decay=optimizer.weight_decay)
    clip = [] if optimizer.clip is None else [optax.clip_by_global_norm(optimizer.clip)]
    return optax.chain(*clip, rule, damping())
