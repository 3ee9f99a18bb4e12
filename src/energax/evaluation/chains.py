"""Do the chains agree, and how much are their draws worth: R-hat, effective sample size, error and memory.

Source: Vehtari, Gelman, Simpson, Carpenter and Burkner (2021), Rank-normalization, folding, and localization,
doi:10.1214/20-BA1221 (rank-normalised split R-hat, bulk and tail ESS), as `arviz_stats` computes them.
The autocorrelation time is draws / ESS of the mean, 1 + 2 sum rho_t with Geyer's truncation: (1 + phi) / (1 - phi) for
AR(1). Cost: some FFTs a quantity. Fails: R-hat does not see a mode that every chain has missed.
"""

from collections.abc import Sequence

import numpy as np
from arviz_stats.base import array_stats

from energax.core import checks

_AXES = {"chain_axis": 0, "draw_axis": 1}


def summary(
    draws: np.ndarray, *, names: Sequence[str] | None = None, acceptance: np.ndarray | float | None = None
) -> dict:
    """Diagnostics of draws from several chains, as plain numbers under the names of `evaluation.json`.

    A quantity that never moved, or that some chain never moved, has no honest R-hat: it is left out of the extremes,
    its figures are None, and it is listed under `constant` or `stuck`.

    Args:
        draws: [chains, draws] or [chains, draws, ...], finite, >= 2 chains, >= 4 draws; every trailing number is one
            quantity.
        names: One for each quantity; x[0], x[1], ... if None.
        acceptance: Mean acceptance, any array of numbers in [0, 1]; None if unknown.

    Returns:
        rhat_max, ess_bulk_min, ess_tail_min, autocorrelation_time (the largest, in draws), acceptance, num_chains,
        num_draws, constant (names), stuck (name -> chains that never moved), table (one row a quantity: name, mean, sd,
        mcse, rhat, ess_bulk, ess_tail, autocorrelation_time).

    Raises:
        ValueError: Too few chains or draws, a draw is not finite, or names do not fit.

    Example:
        >>> import numpy as np
        >>> found = summary(np.random.default_rng(0).normal(size=(4, 200)), names=["energy"])
        >>> found["rhat_max"] < 1.05
        True
    """
    quantities, labels = _quantities(draws, names)
    num_chains, num_draws, _ = quantities.shape
    moved = np.any(quantities != quantities[:, :1], axis=1)  # [chains, quantities]
    constant = np.all(quantities == quantities[:1, :1], axis=(0, 1))
    usable = np.all(moved, axis=0)
    figures = _figures(quantities[:, :, usable])
    rows = iter(zip(*figures.values(), strict=True))
    table = []
    for index, label in enumerate(labels):
        values = quantities[:, :, index]
        row: dict = {"name": label, "mean": float(values.mean()), "sd": float(values.std(ddof=1))}
        found = next(rows) if usable[index] else (None,) * len(figures)
        table.append(
            row | {name: value if value is None else float(value) for name, value in zip(figures, found, strict=True)}
        )
    return {
        "rhat_max": _extreme(max, figures["rhat"]),
        "ess_bulk_min": _extreme(min, figures["ess_bulk"]),
        "ess_tail_min": _extreme(min, figures["ess_tail"]),
        "autocorrelation_time": _extreme(max, figures["autocorrelation_time"]),
        "acceptance": _acceptance(acceptance),
        "num_chains": num_chains,
        "num_draws": num_draws,
        "constant": [label for label, same in zip(labels, constant, strict=True) if same],
        "stuck": {
            label: np.flatnonzero(~moved[:, index]).tolist()
            for index, label in enumerate(labels)
            if not constant[index] and not usable[index]
        },
        "table": table,
    }


def autocorrelation(draws: np.ndarray, *, max_lag: int | None = None) -> np.ndarray:
    """Mean over chains of the autocorrelation at lags 0 .. max_lag of one quantity, [chains, draws], for a figure.

    One chain is enough.

    Raises:
        ValueError: `draws` is not [chains, draws], not finite, or some chain never moved.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> autocorrelation(np.cumsum(rng.normal(size=(4, 1000)), axis=1), max_lag=2).round(2).tolist()
        [1.0, 0.99, 0.99]
    """
    quantities, _ = _quantities(draws, None, least=1)
    if quantities.shape[2] != 1 or np.ndim(draws) != 2:
        raise ValueError(f"autocorrelation.draws must be one quantity [chains, draws]; got shape {np.shape(draws)}.")
    values = quantities[:, :, 0]
    stuck = np.flatnonzero(np.all(values == values[:, :1], axis=1))
    if len(stuck):
        raise ValueError(f"autocorrelation.draws must move in every chain; got a constant chain {stuck[0]}.")
    if max_lag is not None:
        checks.count("autocorrelation", "max_lag", max_lag)
    return np.asarray(array_stats.autocorr(values, axis=1)).mean(axis=0)[: None if max_lag is None else max_lag + 1]


def _figures(quantities: np.ndarray) -> dict[str, np.ndarray]:
    """The diagnostics of quantities that moved in every chain, [chains, draws, quantities] -> [quantities] each."""
    names = ("mcse", "rhat", "ess_bulk", "ess_tail", "autocorrelation_time")
    if quantities.shape[2] == 0:
        return {name: np.zeros(0) for name in names}
    total = quantities.shape[0] * quantities.shape[1]
    values = (
        array_stats.mcse(quantities, method="mean", **_AXES),
        array_stats.rhat(quantities, method="rank", **_AXES),
        array_stats.ess(quantities, method="bulk", **_AXES),
        array_stats.ess(quantities, method="tail", prob=(0.05, 0.95), **_AXES),
        total / np.asarray(array_stats.ess(quantities, method="mean", **_AXES)),
    )
    return {name: np.atleast_1d(np.asarray(value)) for name, value in zip(names, values, strict=True)}


def _quantities(draws: np.ndarray, names: Sequence[str] | None, least: int = 2) -> tuple[np.ndarray, list[str]]:
    checks.samples("chains", "draws", draws, least=least)
    array = np.asarray(draws, np.float64)
    if array.ndim < 2 or array.shape[1] < 4:
        raise ValueError(f"chains: draws must be [chains, draws, ...] with >= 4 draws; got shape {array.shape}.")
    array = array.reshape(*array.shape[:2], -1)
    labels = [f"x[{i}]" for i in range(array.shape[2])] if names is None else list(names)
    if len(labels) != array.shape[2]:
        raise ValueError(f"chains.names must name {array.shape[2]} quantities; got {len(labels)}.")
    return array, labels


def _extreme(pick, values: np.ndarray) -> float | None:
    return float(pick(values)) if len(values) else None


def _acceptance(acceptance: np.ndarray | float | None) -> float | None:
    if acceptance is None:
        return None
    checks.non_negative("chains", "acceptance", acceptance)
    return float(np.mean(np.asarray(acceptance, np.float64)))
