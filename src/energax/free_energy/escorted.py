"""Escorted free energy simulation: at every move a map carries the systems along before they are left to relax.

Source: Vaikuntanathan and Jarzynski (2008), Escorted free energy simulations: improving convergence by reducing
dissipation, doi:10.1103/PhysRevLett.100.190601, eqs (6)-(8); in discrete time: Vaikuntanathan and Jarzynski (2011),
doi:10.1063/1.3544679.
Estimates E[exp(-W)] = exp(-Delta F) exactly for every one-to-one map y = phi(x, s_k, s_{k+1}), however bad, and every
kernel: W = sum_k [E_{k+1}(y_k) - E_k(x_k) - log |det d y / d x|] (+ what a pair adds). A map that takes each density
into the next one makes W = Delta F for every run; the nearer a map comes to that, the less is dissipated. What differs:
the map and its determinant are taken as they are, so that no time step has to be small: the continuous form, which
integrates div b along a drift b, has an error of the order of the step. There is no reverse run: it needs the inverse.
Cost: besides `jarzynski`, one Jacobian of d columns and its determinant, d^3, a chain and move.
Fails: a map that folds (`euler` of a drift whose steps are longer than 1 / its Lipschitz constant) breaks the equality:
`folded` counts chain-moves with a determinant <= 0, a sure sign, but 0 is no proof that none folds.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Scalar

from energax.core import AbstractPath, Key, X
from energax.samplers.chains import traced
from energax.samplers.pairs import Kernel

from . import doors
from .ais import add_work, level
from .jarzynski import exact_starts, protocol_of
from .transitions import enter, move, with_step

Escort = Callable[[X, Scalar, Scalar], X]


class EscortedWorks(eqx.Module):
    """Works of escorted runs; every field is an array of the target's float type.

    Attributes:
        work: Of each run, nats: for `perturbation`.
        x: Final positions, chains on axis 0; with weights exp(-work), samples of the target.
        acceptance: Mean acceptance of each move, in [0, 1]; 1 for a pair.
        betas: The protocol, 0 to 1.
        folded: How many chain-moves met a determinant <= 0: any at all means that the map is not one-to-one.
    """

    work: Float[Array, " chains"]
    x: X
    acceptance: Float[Array, " moves"]
    betas: Float[Array, " temperatures"]
    folded: Int[Array, ""]


def euler(drift: Callable[[X, Scalar], X]) -> Escort:
    """The map x -> x + (there - here) b(x, here) of a drift.

    Args:
        drift: b(x, s) of one sample, in units of x per unit of s; a step folds where it is longer than 1 / its
            Lipschitz constant.

    Example:
        >>> euler(lambda x, s: 3.0 * jnp.ones_like(x))(jnp.zeros(2), jnp.array(0.5), jnp.array(0.75)).tolist()
        [0.75, 0.75]
    """

    def escort(x: X, here: Scalar, there: Scalar) -> X:
        return jax.tree.map(lambda u, b: u + (there - here).astype(u.dtype) * b, x, drift(x, here))

    return escort


def escorted(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    escort: Escort,
    *,
    num_chains: int = 256,
    num_temperatures: int = 100,
    betas: Array | np.ndarray | None = None,
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
) -> EscortedWorks:
    """Drives `num_chains` systems from exact equilibrium at s = 0 to s = 1, each change of the energy led by `escort`.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        kernel: A sampler that leaves each temperature's density exactly invariant, or an `AbstractPair`.
        escort: y = phi(x, here, there) for one sample, one-to-one in x; `euler(b)` makes one of a drift b(x, s).
        num_chains: Independent runs, >= 2.
        num_temperatures: As in `jarzynski`.
        betas: As in `jarzynski`.
        step_sizes: As in `jarzynski`.
        steps_per_temperature: As in `jarzynski`.

    Raises:
        ValueError: As `jarzynski`, or the escort returns another shape or type than one sample's.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> target = Gaussian(3.0 * jnp.ones(1), 1.0)  # equal widths: E_s is N(3 s, 1), and the drift is 3
        >>> path = GeometricPath(standard_normal(1), target)
        >>> led = escorted(jax.random.key(0), path, MALA(0.5), euler(lambda x, s: 3.0 * jnp.ones_like(x)))
        >>> bool(jnp.std(led.work) < 1e-4), abs(float(jnp.mean(led.work) + target.log_z())) < 1e-3
        (True, True)
    """
    dtype = doors.run("escorted", key, path, kernel, num_chains, steps_per_temperature, pairs=True)
    if not callable(escort):
        raise ValueError(f"escorted.escort must be a function y = phi(x, here, there); got {escort!r}.")
    protocol, steps = protocol_of("escorted", betas, num_temperatures, step_sizes, dtype)
    x = eqx.filter_eval_shape(path.base.sample, jax.random.key(0))
    one = jax.ShapeDtypeStruct((), dtype)
    y = eqx.filter_eval_shape(lambda x, a, b: escort(x, a, b), x, one, one)
    if jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), y) != jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), x):
        raise ValueError(f"escorted.escort must return a sample like the one it was given, {x}; got {y}.")
    start, walk = jax.random.split(key)
    xs = exact_starts(start, path, num_chains)
    found = _run(walk, path, traced(kernel, dtype), escort, xs, protocol, steps, steps_per_temperature)
    work, x, acceptance, folded = found
    return EscortedWorks(work, x, acceptance, protocol, folded)


def escorted_works(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    escort: Escort,
    xs: X,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    steps_per_temperature: int,
) -> tuple[Float[Array, " chains"], X, Float[Array, " moves"], Int[Array, ""]]:
    """The bare run from exact base samples `xs` (chains on axis 0); pure.

    Returns:
        Works (nats), final positions, mean acceptance of each move, chain-moves with a determinant <= 0.
    """
    zeros = jnp.zeros(jax.tree.leaves(xs)[0].shape[0], betas.dtype)

    def go(carry, k):
        xs, log_weights = carry
        here, there, stepping = betas[k], betas[k + 1], with_step(kernel, step_sizes, k)
        ys, gained, folds = jax.vmap(lambda x: _carried(path, escort, here, there, x))(xs)
        chains = enter(stepping, path.at(there), ys)
        moved = move(jax.random.fold_in(key, k), stepping, path, there, there, chains, steps_per_temperature)
        log_weights = add_work(add_work(log_weights, gained), moved.gained)
        return (moved.chains.states.x, log_weights), (moved.acceptance, jnp.sum(folds))

    (xs, log_weights), (acceptance, folds) = jax.lax.scan(go, (xs, zeros), jnp.arange(betas.shape[0] - 1))
    return -log_weights, xs, acceptance, jnp.sum(folds)


_run = eqx.filter_jit(escorted_works)


def _carried(
    path: AbstractPath, escort: Escort, here: Scalar, there: Scalar, x: X
) -> tuple[X, Scalar, Bool[Array, ""]]:
    """-> (y, log weight gained, whether the determinant is <= 0) of one chain."""
    flat, unflatten = ravel_pytree(x)
    y = escort(x, here, there)
    sign, log_det = jnp.linalg.slogdet(jax.jacfwd(lambda z: ravel_pytree(escort(unflatten(z), here, there))[0])(flat))
    gained = level(path, here, x) - level(path, there, y) + log_det.astype(here.dtype)
    return y, gained, sign <= 0
