"""What is its own where a recipe's energy is one of bits: the data, the machine, its kernels and its exact log Z."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractSampler
from energax.data import Dataset
from energax.energies import BernoulliRBM, IndependentBits, rbm_exact
from energax.samplers import BITS, BlockGibbs, GibbsWithGradients, RandomScanGibbs

from .schema import Config

EXACT_UNITS = 16
"""Units of the smaller layer up to which log Z is summed over and not estimated."""


def binarised(rows: Dataset, threshold: float) -> Dataset:
    """The same samples, 1 where a value lies above the threshold, else 0."""
    return dataclasses.replace(rows, x=(rows.x > threshold).astype(np.float32), low=0.0, high=1.0)


def build_machine(config: Config, base: IndependentBits) -> BernoulliRBM:
    """A machine that is the base up to its small weights, with the constant that makes log Z of that base 0."""
    assert config.energy.kind == "rbm"
    visible, hidden = base.logits.shape[0], config.energy.hidden
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    weights = config.energy.weight_scale * jax.random.normal(key, (visible, hidden))
    constant = base.log_z() + hidden * jnp.log(jnp.asarray(2.0, weights.dtype))
    return BernoulliRBM(weights, base.logits, jnp.zeros(hidden), constant)


def parameters(machine: Any) -> Any:
    """What moves in training: all but the constant, which changes no law and has no gradient."""
    return machine.weights, machine.visible_bias, machine.hidden_bias


def with_constant(machine: Any) -> Any:
    """What moves by a rule that learns log Z."""
    return *parameters(machine), machine.offset


def build_kernel(config: Config) -> AbstractSampler:
    """The transition kernel of the config."""
    return BlockGibbs() if config.sampler.kind == "block_gibbs" else GibbsWithGradients(BITS)


def kernels(machine: BernoulliRBM) -> dict[str, AbstractSampler]:
    """Those that a machine's log Z can be asked by, all of them exact and reversible."""
    return {"block-gibbs": BlockGibbs(), "gibbs": RandomScanGibbs(BITS, machine.visible_bias.shape[0])}


def summable(machine: Any) -> bool:
    """Whether the smaller layer is small enough to be summed over."""
    return min(machine.weights.shape) <= EXACT_UNITS


def exact_log_z(machine: BernoulliRBM) -> float | None:
    """log Z by the sum over the smaller layer, where that is small enough."""
    return rbm_exact(machine).log_z if summable(machine) else None
