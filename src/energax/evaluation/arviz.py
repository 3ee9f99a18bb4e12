"""Chains as ArviZ's standard data object, so that its summaries and plots work on them.

Source: Kumar, Carroll, Hartikainen and Martin (2019), ArviZ a unified library for exploratory analysis of Bayesian
    models in Python, doi:10.21105/joss.01143; the schema of its groups: python.arviz.org, InferenceData schema (2024).
What differs: `sample_stats` holds `lp` = -E(x) as the schema has it, and `energy` = E(x) [nats], which is the potential
    energy and not HMC's total one: `plot_energy` and its BFMI do not apply.
Estimates nothing itself: R-hat, ESS and MCSE of `arviz_stats` on the result are those of `summary`. Cost: one copy of
the draws. Needs the extra `energax[arviz]`, imported when called. Fails by the memory of stored draws: for long runs of
many chains keep `samplers.moments`.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from energax.samplers import Draws


def to_arviz(
    draws: Draws, *, coords: Mapping[str, Sequence] | None = None, dims: Mapping[str, Sequence[str]] | None = None
) -> Any:
    """The draws as an `xarray.DataTree` with the groups `posterior` and `sample_stats`, [chain, draw, ...] each.

    Args:
        draws: From `samplers.sample`. Leaves of a tree become variables under their path's words ("a", "layer_0"); a
            bare array is "x".
        coords: Labels along a dimension, by the dimension's name.
        dims: Names of a variable's own dimensions, by the variable's name.

    Returns:
        posterior: the leaves of x; sample_stats: lp, energy, acceptance_rate and diverging.

    Raises:
        ImportError: ArviZ is not installed.
        ValueError: `draws` are no draws, or two leaves of x would have one name.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax.samplers import MALA, init_chains, sample
        >>> energy = lambda x: 0.5 * jnp.sum(x["a"] ** 2)
        >>> chains = init_chains(MALA(0.5), energy, {"a": jnp.zeros((4, 2))})
        >>> _, draws = sample(jax.random.key(0), MALA(0.5), energy, chains, 50)
        >>> tree = to_arviz(draws)
        >>> tree.posterior["a"].shape, list(tree.sample_stats)
        ((4, 50, 2), ['lp', 'energy', 'acceptance_rate', 'diverging'])
    """
    if not isinstance(draws, Draws):
        raise ValueError(f"to_arviz.draws must be Draws of samplers.sample; got {type(draws).__name__}.")
    try:
        from arviz_base import from_dict
    except ImportError:
        raise ImportError("to_arviz needs ArviZ: pip install 'energax[arviz]'.") from None
    leaves = jax.tree_util.tree_leaves_with_path(draws.x)
    posterior = {_name(path): _plain(leaf) for path, leaf in leaves}
    if len(posterior) < len(leaves):
        raise ValueError(f"to_arviz.draws must have one name a leaf of x; got {[_name(path) for path, _ in leaves]}.")
    energy = _plain(draws.energy)
    statistics = {
        "lp": -energy,
        "energy": energy,
        "acceptance_rate": _plain(draws.acceptance),
        "diverging": np.asarray(draws.divergent),
    }
    return from_dict({"posterior": posterior, "sample_stats": statistics}, coords=coords, dims=dims)


def arviz_plots() -> Any:
    """The module `arviz_plots`, imported also where its import alone fails.

    ArviZ-plots 0.8, the last for Python 3.11, takes for granted that `matplotlib.style.core` has been imported, which
    matplotlib 3.11 no longer does by itself. It also takes colours for words, which matplotlib 3.11's own are not: draw
    in a style of ArviZ's (`matplotlib.pyplot.style.use("arviz-variat")`).

    Raises:
        ImportError: ArviZ's plots are not installed.

    Example:
        >>> hasattr(arviz_plots(), "plot_trace")
        True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of matplotlib, about that module
            import matplotlib.style.core  # noqa: F401
    except ImportError:
        pass  # a matplotlib without it
    try:
        import arviz_plots as plots
    except ImportError:
        raise ImportError("arviz_plots needs ArviZ's plots: pip install 'energax[arviz]'.") from None
    return plots


def _name(path: tuple) -> str:
    words = re.findall(r"\w+", jax.tree_util.keystr(path))
    return "_".join(words) or "x"


def _plain(leaf: Any) -> np.ndarray:
    """On the host, in a type that numpy has of itself."""
    array = np.asarray(leaf)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
