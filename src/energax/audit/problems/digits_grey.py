"""8 x 8 digits in grey, whitened, for a network over a Gaussian: log Z between annealing from it and back to it."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, GeometricPath, Key
from energax.data import fit_whitening, load, ood_sets
from energax.energies import NetworkEnergy, standard_normal
from energax.free_energy import ais, bracket, resample, reverse_ais
from energax.networks import MLP
from energax.samplers import HMC, MALA, advance, init_chains

from ..problem import Diverged, Problem, Seen
from ..toys import cover

TITLE = "8 x 8 digits in grey, 64 whitened numbers, dense network"
DIM, NOISE, COPIES = 64, 0.2, 4
CHAINS, TEMPERATURES, BURN_IN, DRAWS = 200, 300, 300, 1000
MOVE = HMC(0.2, 5)


def look(energy: AbstractEnergy, seed: int) -> Seen:
    """The bracket of annealed importance sampling; draws are those that were annealed from the base.

    Raises:
        Diverged: A log Z is not finite.
    """
    path = GeometricPath(standard_normal(DIM), energy)
    up, walk, down, draw = jax.random.split(jax.random.key(seed), 4)
    forward = ais(up, path, MOVE, num_chains=CHAINS, num_temperatures=TEMPERATURES)
    chains = init_chains(MOVE, energy, jnp.asarray(_data()[0][:CHAINS]))
    chains, _ = advance(walk, MOVE, energy, chains, BURN_IN)
    reverse = reverse_ais(
        down, path, MOVE, chains.states.x, start="chains", betas=forward.betas, step_sizes=forward.step_sizes
    )
    if not np.all(np.isfinite([forward.log_z, reverse.log_z])):
        raise Diverged("digits_grey.look: log Z must be finite; got one that is not.")
    both = bracket(forward, reverse)
    return Seen((both.low, both.high), None, None, np.asarray(resample(draw, forward, DRAWS)))


def make(seed: int) -> Problem:
    """1,437 images with four noises each, 360 held out; the seed changes the network's start, not the data."""
    train, heldout, foreign = _data()
    base = standard_normal(DIM)

    def model(key: Key) -> AbstractEnergy:
        return NetworkEnergy(MLP(DIM, 128, 2, key=key), base)

    return Problem(
        train=train,
        heldout=heldout,
        foreign=foreign,
        model=model,
        base=base,
        noise=cache(lambda: cover(train, seed)),
        kernel=MALA(0.02),
        look=look,
        adapt_target=0.6,
        sigma=0.3,
        budget=8_000_000,
        rate=1e-3,
    )


@cache
def _data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, held out, and the held-out digits upside down, whitened; noise makes a density of the grey levels."""
    train, heldout = load("digits", layout="flat").split(0.2, seed=0)
    white, rng = fit_whitening(train.x, NOISE), np.random.default_rng(3)
    sets = np.tile(train.x, (COPIES, 1)), heldout.x, ood_sets(train, heldout, 0)["upside-down"]
    return tuple(white.forward(x + NOISE * rng.standard_normal(x.shape)).astype(np.float32) for x in sets)  # type: ignore[return-value]
