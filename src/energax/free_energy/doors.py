"""Refusals shared by the annealed estimators: everything a user can get wrong is said before anything is compiled.

Source: the conditions of Neal (2001), doi:10.1023/A:1008923215028, section 2, that a program can check.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractPath, AbstractSampler, Key, X, checks
from energax.numerics.resampling import SCHEMES
from energax.samplers.pairs import AbstractPair, Kernel


def run(
    owner: str, key: Key, path: AbstractPath, sampler: Kernel, num_chains: int, steps: int, *, pairs: bool = False
) -> jnp.dtype:
    """The float type of the run; raises ValueError unless key, path, sampler (or pair) and counts can make one."""
    checks.typed_key(owner, key)
    on_path(owner, path)
    if isinstance(sampler, AbstractPair) and pairs:
        pass
    elif not isinstance(sampler, AbstractSampler):
        raise ValueError(
            f"{owner}.sampler must be an AbstractSampler, such as MALA(0.1); got {type(sampler).__name__}."
        )
    elif not sampler.exact:
        raise ValueError(
            f"{owner}.sampler must leave every temperature's density exactly invariant, or the weights are wrong; "
            f"got {type(sampler).__name__}, which does not; MALA, HMC, Barker and Gibbs do."
        )
    checks.count(owner, "num_chains", num_chains, 2)
    checks.count(owner, "steps_per_temperature", steps)
    return energy_dtype(owner, path)


def on_path(owner: str, path: AbstractPath) -> None:
    """Raises ValueError unless `path` is one."""
    if not isinstance(path, AbstractPath):
        raise ValueError(
            f"{owner}.path must be an AbstractPath, such as GeometricPath(base, target); got {type(path).__name__}."
        )


def reversal(owner: str, kernel: Kernel) -> None:
    """Raises ValueError unless the kernel's way back is known: its own, in detailed balance, or a pair's reversal."""
    if isinstance(kernel, AbstractSampler) and not kernel.reversible:
        raise ValueError(
            f"{owner}.kernel must be in detailed balance, or walking back by it is not the reversal of walking there; "
            f"got {type(kernel).__name__}, which does not claim it (`reversible`); MALA, HMC, RandomScanGibbs and "
            "BlockGibbs do."
        )


def resampling(owner: str, scheme: str, threshold: float) -> None:
    """Raises ValueError unless `scheme` is one of the four and `threshold` a number in [0, 1]."""
    if scheme not in SCHEMES:
        raise ValueError(f"{owner}.resampling must be one of {', '.join(SCHEMES)}; got {scheme!r}.")
    checks.non_negative(owner, "threshold", threshold, ndim=0)
    if threshold > 1:
        raise ValueError(f"{owner}.threshold must lie in [0, 1]; got {threshold}.")


def energy_dtype(owner: str, path: AbstractPath) -> jnp.dtype:
    """The float type of the path's energies; raises ValueError unless they map one base sample to a scalar."""
    x = eqx.filter_eval_shape(path.base.sample, jax.random.key(0))
    try:
        out = eqx.filter_eval_shape(lambda x: path.at(0.5)(x), x)
    except Exception as error:  # whatever a user's energy raises on this sample becomes one sentence
        shapes = [leaf.shape for leaf in jax.tree.leaves(x)]
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{owner}.path: the target must accept one sample of the base, of shape {shapes}; got: {reason}"
        ) from None
    checks.scalar_energy(owner, out.shape)
    return out.dtype


def schedule(owner: str, betas: object) -> np.ndarray:
    """`betas` as float64; raises ValueError unless it rises strictly from 0 to 1."""
    array = np.asarray(betas)
    if array.ndim != 1 or array.size < 2 or not np.issubdtype(array.dtype, np.number):
        raise ValueError(
            f"{owner}.betas must be a vector of >= 2 numbers; got shape {array.shape}, dtype {array.dtype}."
        )
    array = array.astype(np.float64)
    if not np.all(np.isfinite(array)) or array[0] != 0.0 or array[-1] != 1.0 or np.any(np.diff(array) <= 0):
        raise ValueError(
            f"{owner}.betas must increase strictly from 0 to 1; got {array[0]:g} to {array[-1]:g}, "
            f"smallest rise {np.min(np.diff(array)):g}."
        )
    return array


def moves(owner: str, step_sizes: object, num: int) -> np.ndarray:
    """`step_sizes` as float64; raises ValueError unless it holds `num` numbers > 0."""
    checks.positive(owner, "step_sizes", step_sizes)
    array = np.asarray(step_sizes, np.float64)
    if array.shape != (num,):
        raise ValueError(f"{owner}.step_sizes must have shape ({num},), one for each move; got {array.shape}.")
    return array


def starts(owner: str, path: AbstractPath, xs: X) -> int:
    """How many target samples `xs` holds; raises ValueError unless they are two or more, shaped like the base's."""
    on_path(owner, path)
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError(f"{owner}.xs must hold target samples with chains on axis 0; got an empty tree.")
    for leaf in leaves:
        checks.samples(owner, "xs", leaf, least=2)
    wanted = eqx.filter_eval_shape(path.base.sample, jax.random.key(0))
    got = [leaf.shape[1:] for leaf in leaves]
    want = [leaf.shape for leaf in jax.tree.leaves(wanted)]
    if got != want:
        raise ValueError(
            f"{owner}.xs must hold samples shaped like the base's, {want}; got {got} after the chain axis."
        )
    return leaves[0].shape[0]
