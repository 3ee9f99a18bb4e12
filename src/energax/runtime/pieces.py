"""The parts of a recipe that come in sorts, as objects: base, network, decoder, kernel, optimiser."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax import data
from energax.core import AbstractSampler, ConfigError
from energax.energies import Gaussian, GaussianMixture, IndependentBits
from energax.networks import MLP, Bfloat16, ConvNet, Decode, ResNet
from energax.samplers import HMC, MALA, ULA
from energax.training import damping

from .bits import build_kernel
from .schema import Config


def build_base(config: Config, z: np.ndarray) -> Gaussian | GaussianMixture | IndependentBits:
    """The density that annealing and chains start from; also the model's tail, unless the recipe says `base: none`.

    Of bits it is the base rates of the training data.
    """
    dim = z.shape[1]
    energy = config.energy
    if energy.kind == "rbm":
        return IndependentBits.of_data(jnp.asarray(z, jnp.float32))
    if energy.base == "mixture":
        from sklearn.mixture import GaussianMixture as Fit

        assert energy.base_components is not None  # the schema fills it in
        fitted = Fit(energy.base_components, covariance_type="full", reg_covar=1e-3, random_state=config.seed).fit(z)
        return GaussianMixture.from_sklearn(fitted)
    scale = 1.0 if energy.base_scale is None else energy.base_scale
    return Gaussian(jnp.zeros(dim), jnp.full(dim, scale, jnp.float32))


def build_net(config: Config, train: data.Dataset, *, out_size: int | None = None, extra: int = 0) -> Any:
    """The network of the config, its last layer zero.

    Args:
        config: The recipe.
        train: Tells the shape of x.
        out_size: Numbers that it answers; None for a scalar.
        extra: Numbers that a dense network sees beside x.
    """
    energy, key = config.energy, jax.random.fold_in(jax.random.key(config.seed), 1)
    assert energy.kind != "rbm"
    net: MLP | ConvNet | ResNet
    if energy.kind == "mlp":
        net = MLP(train.dim + extra, energy.width, energy.depth, out_size=out_size, activation=energy.activation,
                  fourier=energy.fourier, fourier_scale=energy.fourier_scale, key=key)  # fmt: skip
    else:
        make = ConvNet if energy.kind == "conv" else ResNet
        net = make(_image_shape(train), energy.channels, out_size=out_size, activation=energy.activation, key=key)
    return net if energy.precision == "float32" else Bfloat16(net)


def _image_shape(train: data.Dataset) -> tuple[int, int, int]:
    if train.image_shape is not None:
        return train.image_shape
    side = math.isqrt(train.dim)
    if side * side == train.dim:  # a table of square grey images, one a row
        return side, side, 1
    raise ConfigError(f"energy.kind must be mlp for rows of shape {train.shape}, which are no images.")


def build_decode(config: Config, coordinates: data.Affine, train: data.Dataset) -> Decode | None:
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
    if sampler.kind != "hmc":
        return build_kernel(config)
    return HMC(sampler.step_size, sampler.num_leapfrog)


def build_optimizer(config: Config) -> optax.GradientTransformation:
    """Clip, then the optimiser under its schedule, then the brake that a roll-back applies; on gathered gradients."""
    optimizer, each = config.optimizer, config.optimizer.accumulate
    rate = build_rate(config)
    if optimizer.kind == "sgd":
        rule = optax.sgd(rate)
    elif optimizer.kind == "adam":
        rule = optax.adam(rate, b1=optimizer.b1, b2=optimizer.b2)
    else:
        rule = optax.adamw(rate, b1=optimizer.b1, b2=optimizer.b2, weight_decay=optimizer.weight_decay)
    clip = [] if optimizer.clip is None else [optax.clip_by_global_norm(optimizer.clip)]
    whole = optax.chain(*clip, rule, damping())
    return whole if each == 1 else optax.MultiSteps(whole, each).gradient_transformation()


def build_rate(config: Config) -> Any:
    """The learning rate, or its schedule by the number of updates."""
    optimizer, each = config.optimizer, config.optimizer.accumulate
    updates, warmup = config.training.steps // each, optimizer.warmup // each
    rate: Any = optimizer.learning_rate
    if optimizer.schedule == "cosine":
        assert optimizer.final_fraction is not None  # the schema fills it in
        rate = optax.cosine_decay_schedule(rate, max(updates - warmup, 1), optimizer.final_fraction)
    if warmup:
        after = rate if callable(rate) else optax.constant_schedule(rate)
        rise = optax.linear_schedule(0.0, optimizer.learning_rate, warmup)
        rate = optax.join_schedules([rise, after], [warmup])
    return rate
