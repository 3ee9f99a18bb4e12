"""Held-out log-likelihood of an energy in nats and bits per dimension, with the error of its log Z and its bracket.

Source: Burda, Grosse and Salakhutdinov (2015), Accurate and conservative estimates of MRF log-likelihood,
arXiv:1412.8566 (why a forward log Z alone flatters a model).
Estimates -E log p_x(x) = E[E(z)] + log Z + log|det L| over held-out x = m + L z: exact where log Z is. Cost: one energy
a sample. Fails: with log Z from below only, the figure is too good; read the bracket, not the middle.
"""

import math
from dataclasses import asdict, dataclass

import jax
import numpy as np

from energax.core import AbstractEnergy, checks
from energax.free_energy import Bracket

from .batches import in_batches


@dataclass(frozen=True)
class HeldOut:
    """Negative log-likelihood of held-out samples in the units of the data.

    Attributes:
        nll: Mean of -log p_x(x), nats per sample, at the forward (or exact) log Z.
        nll_se: Its standard error: the spread over samples and the error of log Z, in quadrature.
        sampling_se: The part that comes from the number of held-out samples.
        log_z_se: The part that comes from log Z; 0 where log Z is exact.
        bits_per_dim: `nll` / (dim log 2) - log2(bin width).
        bits_per_dim_se: Its standard error.
        nll_bracket: `nll` at both ends of the log Z bracket (low, high); equal to (nll, nll) where log Z is exact.
        num: Held-out samples.
        dim: Numbers in one sample.
    """

    nll: float
    nll_se: float
    sampling_se: float
    log_z_se: float
    bits_per_dim: float
    bits_per_dim_se: float
    nll_bracket: tuple[float, float]
    num: int
    dim: int

    def as_dict(self) -> dict:
        """The fields by name."""
        return asdict(self)


def held_out(
    energies: np.ndarray,
    log_z: float | Bracket,
    *,
    dim: int,
    log_z_error: float = 0.0,
    log_det: float = 0.0,
    bin_width: float = 1.0,
) -> HeldOut:
    """Scores held-out samples from their energies.

    The change of variables is log p_x(x) = log p_z(z) - log|det L| for x = m + L z, so a model trained in whitened
    coordinates is charged `log_det` nats a sample.

    Args:
        energies: E(z) of the held-out samples, [n], n >= 2, nats.
        log_z: The log normaliser of exp(-E) over z, nats: exact, an estimate with `log_z_error`, or a bracket (then the
            forward estimate is used and both ends are carried to `nll_bracket`).
        dim: Numbers in one sample, >= 1.
        log_z_error: Standard error of a plain `log_z`, nats, >= 0; leave at 0 for a bracket, which has its own.
        log_det: log|det L| of the coordinates (`Affine.log_det`), nats; 0 if the model lives in the units of x.
        bin_width: Width of one grey level in the units of x, > 0: P(bin) = p(x) width^dim. 1 gives the differential
            figure.

    Raises:
        ValueError: An energy is not finite, or a number is out of range.

    Example:
        >>> import numpy as np
        >>> scored = held_out(np.full(4, 1.0), log_z=0.5 * math.log(2 * math.pi), dim=1)
        >>> round(scored.nll, 3), scored.nll_se
        (1.919, 0.0)
    """
    energies = np.asarray(energies)
    checks.samples("held_out", "energies", energies, least=2, ndim=1)
    checks.count("held_out", "dim", dim)
    checks.non_negative("held_out", "log_z_error", log_z_error)
    checks.finite("held_out", "log_det", log_det)
    checks.positive("held_out", "bin_width", bin_width)
    centre, error, ends = _log_z(log_z, float(log_z_error))
    base = float(np.mean(energies, dtype=np.float64)) + float(log_det)
    sampling = float(np.std(energies.astype(np.float64), ddof=1) / math.sqrt(len(energies)))
    nll, total = base + centre, math.hypot(sampling, error)
    nats_per_bit = dim * math.log(2.0)
    return HeldOut(
        nll=nll,
        nll_se=total,
        sampling_se=sampling,
        log_z_se=error,
        bits_per_dim=nll / nats_per_bit - math.log2(bin_width),
        bits_per_dim_se=total / nats_per_bit,
        nll_bracket=(base + ends[0], base + ends[1]),
        num=len(energies),
        dim=dim,
    )


def _log_z(log_z: float | Bracket, error: float) -> tuple[float, float, tuple[float, float]]:
    if isinstance(log_z, Bracket):
        if error:
            raise ValueError(f"held_out.log_z_error must be 0 with a bracket, which has its own; got {error:g}.")
        return log_z.forward, log_z.forward_error, (log_z.low, log_z.high)
    checks.finite("held_out", "log_z", log_z)
    centre = float(log_z)
    return centre, error, (centre - 1.96 * error, centre + 1.96 * error)


def energy_values(energy: AbstractEnergy, xs: np.ndarray | jax.Array, *, batch_size: int = 1024) -> np.ndarray:
    """E(x) of every row of `xs`, in batches of one compiled shape, as float64 on the host.

    Args:
        energy: Maps one sample to a scalar.
        xs: Samples on axis 0, finite.
        batch_size: Samples in memory at once, >= 1.

    Raises:
        ValueError: `xs` is no stack of finite samples, or the energy is not a scalar.

    Example:
        >>> from energax.energies import standard_normal
        >>> energy_values(standard_normal(2), np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)).tolist()
        [0.0, 1.0]
    """
    return in_batches("energy_values", _energy, energy, xs, batch_size)


def _energy(energy: AbstractEnergy, x: jax.Array) -> jax.Array:
    return energy(x)
