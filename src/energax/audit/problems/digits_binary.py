"""8 x 8 digits as bits, for a Boltzmann machine with twelve hidden units: log Z by enumerating them."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, Key
from energax.data import load
from energax.energies import BernoulliRBM, IndependentBits, SelfNormalised, rbm_exact, rbm_log_z, rbm_samples
from energax.samplers import BITS, BlockGibbs

from ..problem import Problem, Seen

TITLE = "8 x 8 digits as bits, machine of 64 and 12 units"
HIDDEN, DRAWS = 12, 2000


def look(energy: AbstractEnergy, seed: int) -> Seen:
    """log Z and independent draws by the states of the hidden layer; the truth is not known."""
    bare, shift = (energy.energy, float(energy.log_z)) if isinstance(energy, SelfNormalised) else (energy, 0.0)
    assert isinstance(bare, BernoulliRBM)
    log_z = rbm_exact(bare).log_z - shift
    return Seen((log_z, log_z), None, None, np.asarray(rbm_samples(jax.random.key(seed), bare, DRAWS)))


def make(seed: int) -> Problem:
    """1,437 images, 360 held out; the seed changes the machine's start, not the data."""
    train, heldout = _data()
    rates = IndependentBits.of_data(jnp.asarray(train))

    def model(key: Key) -> AbstractEnergy:
        weights = 0.05 * jax.random.normal(key, (64, HIDDEN))
        return BernoulliRBM(weights, rates.logits, jnp.zeros(HIDDEN))

    return Problem(
        train=train,
        heldout=heldout,
        foreign=np.asarray(jax.vmap(rates.sample)(jax.random.split(jax.random.key(5), 360))),
        model=model,
        base=rates,
        noise=lambda: rates,
        kernel=BlockGibbs(),
        look=look,
        sites=BITS,
        log_z=rbm_log_z,
        budget=4_000_000,
        rate=1e-2,
        limit_steps=2000,
    )


@cache
def _data() -> tuple[np.ndarray, np.ndarray]:
    train, heldout = load("digits").split(0.2, seed=0)
    return tuple((part.x.reshape(len(part.x), -1) > 0.0).astype(np.float32) for part in (train, heldout))  # type: ignore[return-value]
