"""ArviZ's view of chains: the same figures as ours, its plots drawn, and the door."""

import sys
import warnings

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

from energax.evaluation import arviz_plots, summary, to_arviz
from energax.samplers import MALA, Draws, init_chains, sample


def energy(x):
    return 0.5 * jnp.sum(x["a"] ** 2) + jnp.sum(x["b"] + jnp.exp(-x["b"]))


@pytest.fixture(scope="module")
def draws():
    start = {"a": jnp.zeros((4, 2)), "b": jnp.zeros((4, 1))}
    return sample(jax.random.key(0), MALA(0.4), energy, init_chains(MALA(0.4), energy, start), 300, burn_in=50)[1]


def test_the_groups_hold_what_the_chains_held(draws):
    tree = to_arviz(draws, dims={"a": ["place"]}, coords={"place": ["left", "right"]})
    np.testing.assert_array_equal(tree.posterior["a"].sel(place="right"), draws.x["a"][..., 1])
    assert tree.posterior["a"].dims == ("chain", "draw", "place")
    np.testing.assert_array_equal(tree.sample_stats["energy"], draws.energy)
    np.testing.assert_array_equal(tree.sample_stats["lp"], -draws.energy)
    np.testing.assert_array_equal(tree.sample_stats["acceptance_rate"], draws.acceptance)
    np.testing.assert_array_equal(tree.sample_stats["diverging"], draws.divergent)
    assert tree.sample_stats["diverging"].dtype == bool


def test_its_summary_is_ours(draws):
    from arviz_stats import ess, rhat, summary as theirs

    flat = np.concatenate([np.asarray(draws.x["a"]), np.asarray(draws.x["b"])], axis=2)
    ours = summary(flat, names=["a[0]", "a[1]", "b[0]"])["table"]
    tree = to_arviz(draws)
    found = theirs(tree, round_to="none")
    columns = {"mean": "mean", "ess_bulk": "ess_bulk", "r_hat": "rhat"}
    assert list(found.index) == [row["name"] for row in ours]
    for column, name in columns.items():
        np.testing.assert_allclose(found[column].to_numpy(float), [row[name] for row in ours], rtol=1e-5)
    divisor = np.sqrt(1 - 1 / (4 * 300))  # theirs is the number of draws, ours one less
    np.testing.assert_allclose(found["sd"].to_numpy(float), [divisor * row["sd"] for row in ours], rtol=1e-5)
    tail = ess(tree, method="tail", prob=(0.05, 0.95))  # the paper's; the default of theirs follows a setting
    np.testing.assert_allclose(np.ravel(tail["a"]), [row["ess_tail"] for row in ours[:2]], rtol=1e-5)
    np.testing.assert_allclose(np.ravel(ess(tree)["a"]), [row["ess_bulk"] for row in ours[:2]], rtol=1e-5)
    np.testing.assert_allclose(np.ravel(rhat(tree)["b"]), [ours[2]["rhat"]], rtol=1e-5)


def test_swapped_axes_are_caught(draws):
    """Planted: chains and draws the wrong way round have another R-hat."""
    from arviz_stats import rhat

    with pytest.warns(UserWarning, match="chain dimension to be longer"):
        tree = to_arviz(Draws(*jax.tree.map(lambda leaf: np.swapaxes(leaf, 0, 1), draws)))
    ours = summary(np.asarray(draws.x["b"]))["table"][0]["rhat"]
    assert abs(float(rhat(tree)["b"][0]) - ours) > 0.01


@pytest.mark.parametrize("name", ["plot_trace", "plot_rank", "plot_autocorr"])
def test_its_plots_are_drawn(draws, name, tmp_path):
    plots = arviz_plots()
    with warnings.catch_warnings(), plt.style.context("arviz-variat"):
        warnings.simplefilter("ignore")  # its own, of its libraries
        found = getattr(plots, name)(to_arviz(draws), var_names=["b"], backend="matplotlib")
        found.savefig(tmp_path / "plot.png")
    picture = (tmp_path / "plot.png").read_bytes()
    assert picture[:4] == b"\x89PNG"
    assert len(picture) > 5000


def test_other_trees_and_types_get_names():
    x = [jnp.zeros((2, 5, 3), jnp.bfloat16), {"layer": (jnp.ones((2, 5)),)}]
    flat = jnp.zeros((2, 5))
    tree = to_arviz(Draws(x, flat, flat, flat > 1.0))
    assert list(tree.posterior) == ["0", "1_layer_0"]
    assert tree.posterior["0"].dtype == np.float32
    assert list(to_arviz(Draws(flat, flat, flat, flat > 1.0)).posterior) == ["x"]


def test_refusals(monkeypatch, draws):
    flat = jnp.zeros((2, 5))
    with pytest.raises(ValueError, match=r"to_arviz.draws must be Draws of samplers.sample; got list"):
        to_arviz([1.0])
    with pytest.raises(ValueError, match=r"to_arviz.draws must have one name a leaf of x; got"):
        to_arviz(Draws({"a": {"b": flat}, "a_b": flat}, flat, flat, flat > 1.0))
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    monkeypatch.setitem(sys.modules, "arviz_plots", None)
    with pytest.raises(ImportError, match=r"to_arviz needs ArviZ: pip install 'energax\[arviz\]'\.$"):
        to_arviz(draws)
    with pytest.raises(ImportError, match=r"needs ArviZ's plots: pip install 'energax\[arviz\]'\.$"):
        arviz_plots()
