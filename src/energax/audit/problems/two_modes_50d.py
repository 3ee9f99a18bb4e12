"""Two round modes 16 standard deviations apart in 50 dimensions, masses .2 and .8; means and masses are learned."""

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key
from energax.data import UnequalMixture
from energax.energies import Gaussian, SelfNormalised
from energax.evaluation import energy_values
from energax.numerics import chain_keys
from energax.samplers import MALA

from ..problem import Problem, Seen
from ..toys import look_alikes

TITLE = "two modes of masses .2 and .8 in 50 dimensions, 16 sigma apart"
MIXTURE = UnequalMixture(50, (0.2, 0.8), (-10.0, 6.0))
TRAIN, HELDOUT, DRAWS = 10_000, 5_000, 4_000


class TwoModes(AbstractEnergy, AbstractDensity):
    """-log [N(x; a, I) + exp(z) N(x; b, I)] up to a constant: log Z is exact, and so are samples."""

    a: Float[Array, " dim"]
    b: Float[Array, " dim"]
    z: Scalar

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        near = jnp.stack([jnp.sum((x - self.a) ** 2), jnp.sum((x - self.b) ** 2)])
        return -jax.nn.logsumexp(jnp.stack([jnp.zeros_like(self.z), self.z]) - 0.5 * near)

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E), in nats."""
        return 0.5 * self.a.size * math.log(2.0 * math.pi) + jax.nn.softplus(self.z)

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        choose, spread = jax.random.split(key)
        mean = jnp.where(jax.random.bernoulli(choose, jax.nn.sigmoid(self.z)), self.b, self.a)
        return mean + jax.random.normal(spread, self.a.shape, self.a.dtype)


def begin() -> TwoModes:
    """Equal masses at -1 and +1 on the first axis."""
    e = jnp.zeros(MIXTURE.dim).at[0].set(1.0)
    return TwoModes(-e, e, jnp.zeros(()))


def look(energy: AbstractEnergy, seed: int) -> Seen:
    """log Z by formula; KL as a mean over held-out points, masses over exact draws."""
    bare, shift = (energy.energy, float(energy.log_z)) if isinstance(energy, SelfNormalised) else (energy, 0.0)
    assert isinstance(bare, TwoModes)
    log_z = float(bare.log_z()) - shift
    x = _heldout()
    kl = float(np.mean(MIXTURE.log_prob(x) + energy_values(energy, x))) + log_z
    draws = np.asarray(_draws(bare, jax.random.key(seed)))
    small = 1.0 / (1.0 + math.exp(float(bare.z)))
    first = small if float(bare.a[0]) < float(bare.b[0]) else 1.0 - small
    return Seen((log_z, log_z), kl, (np.asarray(MIXTURE.masses), np.array([first, 1.0 - first])), draws)


def score(x: np.ndarray) -> np.ndarray:
    """grad log p of the truth, [n, 50]."""
    offsets = MIXTURE.modes[None] - np.asarray(x, np.float64)[:, None]
    logs = np.log(MIXTURE.masses) - 0.5 * np.sum(offsets**2, axis=2)
    share = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    return np.einsum("nk,nkd->nd", share, offsets)


def make(seed: int) -> Problem:
    """10,000 points; everything in closed form."""
    train = MIXTURE.sample(np.random.default_rng([seed, 1]), TRAIN)
    return Problem(
        train=train,
        heldout=_heldout(),
        foreign=look_alikes(train, HELDOUT),
        model=lambda key: begin(),
        base=begin(),
        noise=lambda: Gaussian(jnp.asarray(train.mean(axis=0)), jnp.asarray(train.std(axis=0))),
        kernel=MALA(0.1),
        look=look,
        adapt_target=0.6,
        log_z=TwoModes.log_z,
        score=score,
        sigma=0.3,
        budget=40_000_000,
        rate=2e-2,
        walkers=2048,
        limit_steps=2000,
    )


@jax.jit
def _draws(energy: TwoModes, key: Key) -> Float[Array, "draws dim"]:
    return jax.vmap(energy.sample)(chain_keys(key, DRAWS))


@cache
def _heldout() -> np.ndarray:
    return MIXTURE.sample(np.random.default_rng(10**6), HELDOUT)
