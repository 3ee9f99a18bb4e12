"""Chunks give the numbers of a vmap and a mean, and their gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.networks import MLP
from energax.numerics import mean_in_chunks

NET = MLP(3, 8, 1, fourier=2, zero_last=False, key=jax.random.key(0))
ROWS = {"x": jax.random.normal(jax.random.key(1), (7, 3)), "key": jax.random.split(jax.random.key(2), 7)}


def loss(net, row):
    noisy = row["x"] + 0.1 * jax.random.normal(row["key"], row["x"].shape)
    slope = jax.grad(net)(noisy)
    return jnp.sum(slope**2), {"energy": net(row["x"])}


def plain(net, rows):
    values, reported = jax.vmap(lambda row: loss(net, row))(rows)
    return jnp.mean(values), jax.tree.map(jnp.mean, reported)


@pytest.mark.parametrize("chunk", [1, 3, 7, 20])
def test_is_the_plain_mean_and_gradient(chunk):
    def chunked(net, rows):
        return mean_in_chunks(loss, net, rows, chunk)

    (ours, theirs) = (
        eqx.filter_jit(
            eqx.filter_value_and_grad(lambda net, f=f: jax.tree.map(lambda a: 3.0 * a, f(net, ROWS)), has_aux=True)
        )(NET)
        for f in (chunked, plain)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)
    np.testing.assert_allclose(chunked(NET, ROWS)[0], plain(NET, ROWS)[0], rtol=1e-5)


def test_refuses():
    with pytest.raises(ValueError, match=r"mean_in_chunks\.chunk must be an integer >= 1"):
        mean_in_chunks(loss, NET, ROWS, 0)
