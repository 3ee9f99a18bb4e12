"""A 2-D toy as a problem: 10,000 points of a known density, and a small network on a Gaussian base."""

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.mixture import GaussianMixture as FittedMixture

from energax.core import AbstractEnergy, Key
from energax.data import toy
from energax.energies import Gaussian, GaussianMixture, NetworkEnergy
from energax.networks import MLP
from energax.objectives import box_nodes
from energax.samplers import MALA

from .plane import Plane
from .problem import Problem

TRAIN, HELDOUT = 10_000, 5_000
COMPONENTS, SPREAD, WIDE = 30, 1.4, 2.0
BUDGET = 6_000_000


def plane_problem(plane: Plane, train: np.ndarray, heldout: np.ndarray, seed: int, **settings: Any) -> Problem:
    """A problem in the plane.

    Args:
        plane: The truth.
        train: [n, 2].
        heldout: [m, 2].
        seed: Of what is fitted to the data.
        settings: `fourier` (features, 0 for none) and `fourier_scale` of the network, and fields of `Problem`.
    """
    fourier, scale = int(settings.pop("fourier", 0)), settings.pop("fourier_scale", 3.0)
    base = Gaussian(jnp.zeros(2), 1.5)

    def model(key: Key) -> AbstractEnergy:
        net = MLP(2, 64, 2 if fourier else 3, fourier=fourier, fourier_scale=scale, key=key)
        return NetworkEnergy(net, base)

    edge = 1.3 * max(abs(end) for end in plane.box)
    return Problem(
        train=train,
        heldout=heldout,
        foreign=look_alikes(train, len(heldout)),
        model=model,
        base=base,
        noise=cache(lambda: cover(train, seed)),
        kernel=MALA(0.01),
        look=plane.look,
        adapt_target=0.75,
        energy_penalty=0.03,
        nodes=lambda: box_nodes(((-edge, edge),) * 2, 80),
        limit_steps=2000,
        **{"budget": BUDGET, **settings},
    )


def toy_problem(name: str, seed: int, **settings: Any) -> Problem:
    """A toy of `energax.data` as a problem; `smooth=False` for a density that jumps and has no score."""
    plane = _plane(name)
    train = toy(name).sample(np.random.default_rng([seed, 1]), TRAIN)
    score = plane.score if settings.pop("smooth", True) else None
    return plane_problem(plane, train, _heldout(name), seed, score=score, **settings)


def cover(train: np.ndarray, seed: int) -> GaussianMixture:
    """A mixture fitted to the data, widened, with a tenth of a broad Gaussian: what NCE tells the data from."""
    fitted = FittedMixture(COMPONENTS, random_state=seed, max_iter=50, reg_covar=1e-4).fit(train[:3000])
    factors = SPREAD * np.linalg.cholesky(fitted.covariances_)
    dim = train.shape[1]
    weights = np.concatenate([0.9 * fitted.weights_, [0.1]])
    means = np.concatenate([fitted.means_, np.zeros((1, dim))])
    factors = np.concatenate([factors, WIDE * np.eye(dim)[None]])
    return GaussianMixture(*(jnp.asarray(each, jnp.float32) for each in (np.log(weights), means, factors)))


def look_alikes(train: np.ndarray, num: int) -> np.ndarray:
    """Draws of the Gaussian that has the data's mean and covariance: the hard set."""
    rng = np.random.default_rng(5)
    flat = train.reshape(len(train), -1)
    drawn = rng.multivariate_normal(flat.mean(axis=0), np.atleast_2d(np.cov(flat.T)), num)
    return drawn.reshape(num, *train.shape[1:]).astype(np.float32)


@cache
def _plane(name: str) -> Plane:
    made = toy(name)
    return Plane(made.log_prob, made.box, made.modes)


@cache
def _heldout(name: str) -> np.ndarray:
    return toy(name).sample(np.random.default_rng(10**6), HELDOUT)
