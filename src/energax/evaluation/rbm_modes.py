"""The modes of a restricted Boltzmann machine: singular modes of W, minima of the free energy, exact averages.

Source: Decelle and Furtlehner (2021), Restricted Boltzmann machine: recent advances and mean-field theory,
    arXiv:2011.11307 (singular modes as order parameters: a machine is ordered where the visible units condense
    along a few of them); Stillinger and Weber (1982), Hidden structure in liquids, doi:10.1103/PhysRevA.25.978 (samples
    sorted by the minimum they descend to).
What differs: singular values that agree to 1e-4 are one mode, of as many dimensions, so that nothing hangs on the basis
    that a library chose. Of spins s = 2 v - 1 the power along mode g is |P_g s|^2 / visible; all powers sum to 1, and
    at infinite temperature each is dimension / visible. Descent flips the one bit that lowers F
    most, and where several do so alike a draw is shared between where they lead.
Exact: energies and powers by the sum over the smaller layer, where 2^units x the other layer is at most 2^26; the
occupancy of minima by the sum over at most 2^16 visible states. Cost: as many closed sums. Fails on plateaus:
flips that gain less than 1e-9 nats are not made.
"""

from typing import NamedTuple

import numpy as np

from energax.core import checks
from energax.energies import BernoulliRBM
from energax.energies.enumeration import state_blocks

ALIKE = 1e-4
"""Relative difference up to which two singular values are one mode."""
MOST_SUMS = 2**26
"""Logits in a sum over the smaller layer, up to which it is done."""
MOST_VISIBLE = 16
"""Visible units up to which all minima of the free energy are found."""
LEAST_GAIN = 1e-9  # nats


class SingularModes(NamedTuple):
    """The distinct singular modes of the weights, largest first."""

    values: np.ndarray
    """Singular values in nats, one a mode."""
    dims: np.ndarray
    """How many singular vectors each has."""
    vectors: np.ndarray
    """Left singular vectors of the modes, [visible, sum of dims]."""

    def power(self, spins: np.ndarray) -> np.ndarray:
        """|P_g s|^2 / visible of samples [..., visible] in {-1, +1} -> [..., modes]."""
        return self.summed((spins @ self.vectors) ** 2) / self.vectors.shape[0]

    def summed(self, squares: np.ndarray) -> np.ndarray:
        """Numbers a vector [..., sum of dims] summed within every mode."""
        return np.add.reduceat(squares, np.cumsum(self.dims) - self.dims, axis=-1)


class Minima(NamedTuple):
    """Local minima of the free energy F(v) at beta = 1 under flips of one bit: the lowest, by F."""

    v: np.ndarray
    """Bits, [minima, visible]."""
    free_energy: np.ndarray
    """F in nats, [minima]."""
    ends: np.ndarray
    """How likely descent from each visible state ends in each minimum, [2^visible, minima] (one column more if there
    are others); bit i of a state's number is v_i. Equal flips are equally likely."""


class RBMAverages(NamedTuple):
    """Exact averages of the joint law exp(-beta E(v, h)) / Z."""

    log_z: float
    """In nats."""
    energy: float
    """Mean of E(v, h), at beta = 1, in nats."""
    heat_capacity: float
    """beta^2 times its variance, in units of k."""
    power: np.ndarray
    """Mean power along each singular mode."""


def singular_modes(model: BernoulliRBM, most: int = 4) -> SingularModes:
    """The first distinct singular modes of W that are not zero.

    Args:
        model: The machine.
        most: At most how many modes, >= 1.

    Raises:
        ValueError: `model` is no machine, all its weights are zero, or `most` is no count.

    Example:
        >>> from energax.energies import bars_and_stripes_rbm
        >>> modes = singular_modes(bars_and_stripes_rbm(8.0))
        >>> modes.dims.tolist(), modes.values.round(2).tolist()
        ([1, 4], [43.82, 39.19])
    """
    checks.count("singular_modes", "most", most)
    u, values, _ = np.linalg.svd(_parameters("singular_modes", model)[-1], full_matrices=False)
    if values[0] == 0.0:
        raise ValueError("singular_modes.model must have weights; got all zero.")
    values = values[values > ALIKE * values[0]]
    first = np.flatnonzero(np.append(True, values[1:] < (1.0 - ALIKE) * values[:-1]))[: most + 1]
    ends = np.append(first, len(values))[1 : most + 1]
    first = first[:most]
    dims = ends - first
    kept = u[:, : ends[-1]]
    # of each vector the sign in which its spins sum to more than zero, or its largest entry is positive
    heaviest = kept[np.argmax(np.abs(kept), axis=0), np.arange(kept.shape[1])]
    total = kept.sum(axis=0)
    signs = np.sign(np.where(np.abs(total) > 1e-6, total, heaviest))
    return SingularModes(np.array([values[i] for i in first]), dims, kept * signs)


def free_energy_minima(model: BernoulliRBM, most: int = 16) -> Minima:
    """The lowest local minima of F(v), and where steepest descent from every v ends.

    Args:
        model: With at most 16 visible units.
        most: At most how many minima are told apart, >= 1; all others are one column.

    Raises:
        ValueError: `model` is no machine or has more units, or `most` is no count.

    Example:
        >>> from energax.energies import bars_and_stripes_rbm
        >>> found = free_energy_minima(bars_and_stripes_rbm(8.0))
        >>> found.v.shape, found.ends.shape
        ((14, 9), (512, 14))
    """
    checks.count("free_energy_minima", "most", most)
    offset, b, c, weights = _parameters("free_energy_minima", model)
    visible = len(b)
    if visible > MOST_VISIBLE:
        raise ValueError(f"free_energy_minima.model must have <= {MOST_VISIBLE} visible units; got {visible}.")
    free = np.concatenate([-v @ b - np.logaddexp(0.0, c + v @ weights).sum(axis=1) for v in _states(visible)])
    codes = np.arange(2**visible)
    flipped = codes[:, None] ^ (1 << np.arange(visible))
    after = free[flipped]
    lowest = after.min(axis=1)
    is_least = lowest >= free - LEAST_GAIN
    least = codes[is_least]
    least = least[np.lexsort((least, np.round(free[least], 8)))]  # minima that a symmetry joins differ by rounding
    kept = least[:most]
    ends = np.zeros((len(codes), len(kept) + (len(least) > len(kept))))
    ends[least, np.minimum(np.arange(len(least)), ends.shape[1] - 1)] = 1.0
    is_best = after <= lowest[:, None] + LEAST_GAIN
    for code in np.argsort(free, kind="stable"):  # where a flip leads is lower, and known
        if not is_least[code]:
            ends[code] = ends[flipped[code, is_best[code]]].mean(axis=0)
    return Minima(((kept[:, None] >> np.arange(visible)) & 1).astype(np.float64), free[kept] + offset, ends)


def is_enumerable(model: BernoulliRBM) -> bool:
    """Whether `rbm_averages` does its sum."""
    small, large = sorted(_parameters("is_enumerable", model)[-1].shape)
    return small < 26 and 2**small * large <= MOST_SUMS


def rbm_averages(model: BernoulliRBM, modes: SingularModes, beta: float) -> RBMAverages:
    """Exact averages at an inverse temperature of the joint energy, by the sum over the smaller layer.

    Args:
        model: The machine at beta = 1, for which `is_enumerable`.
        modes: Its singular modes.
        beta: Inverse temperature, >= 0.

    Raises:
        ValueError: The machine is too large, or `beta` is out of range.

    Example:
        >>> from energax.energies import bars_and_stripes_rbm
        >>> model = bars_and_stripes_rbm(8.0)
        >>> round(rbm_averages(model, singular_modes(model), 1.0).log_z, 6)
        7.153587
    """
    checks.non_negative("rbm_averages", "beta", beta, ndim=0)
    offset, b, c, weights = _parameters("rbm_averages", model)
    if not is_enumerable(model):
        raise ValueError(f"rbm_averages.model must have a smaller layer; got weights {model.weights.shape}.")
    is_visible = weights.shape[0] <= weights.shape[1]  # which layer is summed state by state
    inner, outer, between = (b, c, weights) if is_visible else (c, b, weights.T)
    logs, total = [], np.zeros(2 + len(modes.dims))
    top = -np.inf  # the sums are kept in units of exp(top)
    for states in _states(len(inner)):
        field = outer + states @ between
        log_weight = beta * (states @ inner) + np.logaddexp(0.0, beta * field).sum(axis=1)
        mean = _sigmoid(beta * field)
        energy = offset - states @ inner - np.sum(mean * field, axis=1)
        square = energy**2 + np.sum(mean * (1.0 - mean) * field**2, axis=1)
        spins = 2.0 * (states if is_visible else mean) - 1.0
        scatter = 0.0 if is_visible else (1.0 - spins**2) @ modes.vectors**2
        power = modes.summed((spins @ modes.vectors) ** 2 + scatter) / modes.vectors.shape[0]
        higher = max(top, log_weight.max())
        weight = np.exp(log_weight - higher)
        total = total * np.exp(top - higher) + weight @ np.column_stack([energy, square, power])
        logs.append(np.logaddexp.reduce(log_weight))
        top = higher
    log_z = float(np.logaddexp.reduce(logs))
    means = total * np.exp(top - log_z)
    return RBMAverages(log_z - beta * offset, float(means[0]), float(beta**2 * (means[1] - means[0] ** 2)), means[2:])


def exact_occupancy(model: BernoulliRBM, minima: Minima, beta: float) -> np.ndarray:
    """How likely a sample at `beta` descends to every minimum of `free_energy_minima(model)`.

    Args:
        model: The machine at beta = 1.
        minima: Its minima.
        beta: Inverse temperature of the joint energy, >= 0.

    Example:
        >>> from energax.energies import bars_and_stripes_rbm
        >>> model = bars_and_stripes_rbm(8.0)
        >>> float(exact_occupancy(model, free_energy_minima(model), 1.0).sum().round(12))
        1.0
    """
    checks.non_negative("exact_occupancy", "beta", beta, ndim=0)
    _, b, c, weights = _parameters("exact_occupancy", model)
    logs = np.concatenate(
        [beta * (v @ b) + np.logaddexp(0.0, beta * (c + v @ weights)).sum(axis=1) for v in _states(len(b))]
    )
    return np.exp(logs - np.logaddexp.reduce(logs)) @ minima.ends


def _parameters(owner: str, model: BernoulliRBM) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    if not isinstance(model, BernoulliRBM):
        raise ValueError(f"{owner}.model must be a BernoulliRBM; got {type(model).__name__}.")
    arrays = (np.asarray(a, np.float64) for a in (model.visible_bias, model.hidden_bias, model.weights))
    b, c, weights = arrays
    return float(model.offset), b, c, weights


def _states(units: int):
    return state_blocks(units, 0.0, 1.0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -x))
