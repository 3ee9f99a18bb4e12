"""log Z, moments and independent samples of small restricted Boltzmann machines, by the sum over one layer.

Source: the sum over the states of one layer, the other being summed in closed form: Salakhutdinov and Murray (2008), On
the quantitative analysis of deep belief networks, doi:10.1145/1390156.1390266, who check their estimates so.
What differs: it runs in double precision and in blocks, and the mean energy is a derivative in beta of each state's
closed sum, so that one code serves Bernoulli, Gaussian and one-hot visible units.
Exact to rounding (1e-12). Cost: 2^units closed sums; of a Bernoulli machine the smaller layer is the one enumerated.
Where it fails: more than 20 units in the layer are refused.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from energax.core import Key, checks
from energax.numerics import chain_keys

from .enumeration import concrete, few_units, state_blocks
from .hidden_bits import AbstractHiddenBits
from .rbm import BernoulliRBM


class RBMExact(NamedTuple):
    """Exact averages over both layers, in double precision."""

    log_z: float
    """log of the sum (integral) of exp(-E(v, h)) over both layers, in nats."""
    energy: float
    """Mean joint energy E(v, h) in nats."""
    visible: np.ndarray
    """Mean of v, in its shape."""
    hidden: np.ndarray
    """Mean of h [hidden]."""
    products: np.ndarray
    """Mean of v_i h_j, in the shape of v and then [hidden]: the model's half of the likelihood's gradient in W."""


def rbm_exact(model: AbstractHiddenBits) -> RBMExact:
    """Exact log Z and moments of a machine with at most 20 hidden units (Bernoulli: 20 units in its smaller layer).

    Args:
        model: A Bernoulli, Gaussian or Potts machine.

    Raises:
        ValueError: It has too many units, or the call is traced.

    Example:
        >>> rbm = BernoulliRBM(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
        >>> exact = rbm_exact(rbm)
        >>> round(exact.log_z, 6), exact.visible.round(6).tolist()  # 5 log 2
        (3.465736, [0.5, 0.5, 0.5])
    """
    small, is_turned = _small_side("rbm_exact", model)
    log_z = float(np.logaddexp.reduce(-_free_energies(small)))
    energy, inner, outer, products = 0.0, np.zeros(()), np.zeros(()), np.zeros(())
    for states, (free, energies, means) in _blocks(small, _given_hidden):
        p = np.exp(-free - log_z)
        energy += float(p @ energies)
        inner = inner + p @ states
        outer = outer + np.tensordot(p, means, 1)
        products = products + np.tensordot(means, p[:, None] * states, ((0,), (0,)))
    if is_turned:
        outer, inner, products = inner, outer, products.T
    return RBMExact(log_z, energy, outer, inner, products)


def rbm_log_z(model: BernoulliRBM) -> Scalar:
    """log Z in the machine's own precision, traced: to be differentiated, where `rbm_exact` is to be read.

    Args:
        model: A machine of bits with at most 20 units in its smaller layer.

    Raises:
        ValueError: It has too many units.

    Example:
        >>> rbm = BernoulliRBM(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
        >>> round(float(rbm_log_z(rbm)), 6)  # 5 log 2
        3.465736
    """
    small = model.transposed() if model.weights.shape[0] < model.weights.shape[1] else model
    few_units("rbm_log_z", small.num_hidden())
    states = (jnp.arange(2 ** small.num_hidden())[:, None] >> jnp.arange(small.num_hidden())[None, :]) & 1
    return jax.nn.logsumexp(-jax.vmap(small.hidden_free_energy)(states.astype(model.weights.dtype)))


def rbm_samples(key: Key, model: AbstractHiddenBits, num: int) -> Array:
    """`num` exact independent visible samples, rows on axis 0: a hidden state from the table of all, then v given it.

    Args:
        key: One typed key.
        model: As in `rbm_exact`.
        num: How many, >= 1.

    Raises:
        ValueError: It has too many units, the call is traced, or `num` is no count.

    Example:
        >>> rbm = BernoulliRBM(jnp.zeros((3, 2)), jnp.full(3, 50.0), jnp.zeros(2))
        >>> rbm_samples(jax.random.key(0), rbm, 2).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    checks.count("rbm_samples", "num", num)
    checks.typed_key("rbm_samples", key)
    small, is_turned = _small_side("rbm_samples", model)
    free = _free_energies(small)
    choose, rest = jax.random.split(key)
    ladder = np.cumsum(np.exp(np.min(free) - free))
    # two words a draw: 48 bits, so that states of probability 1e-12 have theirs
    coarse, fine = np.asarray(jax.random.bits(choose, (2, num), jnp.uint32) >> 8, np.float64)
    level = (coarse + fine * 2.0**-24) * 2.0**-24 * ladder[-1]
    code = np.minimum(np.searchsorted(ladder, level, side="right"), len(ladder) - 1)
    states = (code[:, None] >> np.arange(small.num_hidden())) & 1  # as `state_blocks` numbers them
    h = jnp.asarray(states, small.hidden_bias.dtype)
    if is_turned:
        return h
    return _draw(rest, small, h)


@eqx.filter_jit
def _draw(key: Key, model: AbstractHiddenBits, h: Float[Array, "num hidden"]) -> Array:
    return jax.vmap(model.sample_visible)(chain_keys(key, h.shape[0]), h)


def _small_side(owner: str, model: AbstractHiddenBits) -> tuple[AbstractHiddenBits, bool]:
    """The machine whose hidden layer is to be enumerated, and whether that is the given one turned round."""
    if not isinstance(model, AbstractHiddenBits):
        raise ValueError(f"{owner}.model must be a machine with hidden bits; got {type(model).__name__}.")
    concrete(owner, *jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    is_turned = isinstance(model, BernoulliRBM) and model.weights.shape[0] < model.weights.shape[1]
    if is_turned:
        model = model.transposed()  # type: ignore[attr-defined]
    few_units(owner, model.num_hidden())
    return model, is_turned


def _blocks(model: AbstractHiddenBits, function: Callable) -> Iterator[tuple[np.ndarray, Any]]:
    """All hidden states in blocks, and of each what `function(model, h)` gives, in double precision."""
    with jax.enable_x64(True):
        double = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)) if eqx.is_inexact_array(a) else a, model)
        rows = eqx.filter_jit(jax.vmap(function, in_axes=(None, 0)))
    for block in state_blocks(model.num_hidden(), 0.0, 1.0):
        with jax.enable_x64(True):
            found = jax.tree.map(np.asarray, rows(double, jnp.asarray(block)))
        yield block, found


def _free_energies(model: AbstractHiddenBits) -> np.ndarray:
    """-log of exp(-E(v, h)) summed over v, for every h."""
    return np.concatenate([free for _, free in _blocks(model, lambda model, h: model.hidden_free_energy(h))])


def _given_hidden(model: AbstractHiddenBits, h: Array) -> tuple[Array, Array, Array]:
    """The free energy of h, and the means of E and of v given it."""
    # d/d beta of -log sum_v exp(-beta E(v, h)) at beta = 1 is the mean of E given h
    one = jnp.ones(())
    free, energy = jax.jvp(lambda beta: model.at_beta(beta).hidden_free_energy(h), (one,), (one,))
    return free, energy, model.visible_mean(h)
