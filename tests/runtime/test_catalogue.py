"""The models with a name: every one fits its base and its kernels, and annealing finds the log Z that it claims."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import ConfigError
from energax.runtime.catalogue import CATALOGUE, known
from energax.runtime.models import weigh

EXACT = {  # by programs that are not this package's
    "double-well": 0.895643,
    "mueller-brown": 5.366133242308795,
    "rbm": 15.437397655636833,
    "gaussian-rbm": 11.805831616461797,
    "gaussian": 10.565850,
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_model_fits_its_base_and_kernels(name):
    model = known(name)
    assert model.name == name
    assert np.isfinite(model.exact)
    assert model.how
    if name in EXACT:
        assert model.exact == pytest.approx(EXACT[name], abs=1e-4)
    x = jax.eval_shape(
        model.path.base.sample, jax.random.key(0)
    )  # traced and not compiled: shapes are what can be wrong
    for kernel in model.kernels.values():

        def run(x, kernel=kernel):
            energy = model.path.at(0.5)
            return kernel.step(jax.random.key(1), energy, kernel.init(energy, x))[0].x, energy(x), model.path.at(1.0)(x)

        moved, middle, end = jax.eval_shape(run, x)
        assert (moved.shape, moved.dtype) == (x.shape, x.dtype)
        assert middle.shape == end.shape == ()
    if name in ("rbm", "gaussian-rbm", "bars-and-stripes"):
        assert model.draw(jax.random.key(2), 3).shape == (3, *x.shape)
    elif model.draw is not None:
        drawn = jax.eval_shape(lambda key: model.draw(key, 3), jax.random.key(2))
        assert (drawn.shape, drawn.dtype) == ((3, *x.shape), x.dtype)


def test_the_map_of_the_gaussian_carries_means():
    model = known("gaussian")
    lead = model.escort(jnp.zeros(10), jnp.float32(0.0), jnp.float32(1.0))
    np.testing.assert_allclose(lead, 1.0, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE)
def test_annealing_finds_what_a_model_claims(name):
    found = weigh(known(name), estimators=("ais", "reverse ais", "smc", "crooks"))
    off = found.deviations()
    assert off
    assert max(abs(value) for value in off.values()) < 4.5, off
    assert found.agree


def test_an_unknown_name_is_none_and_an_unknown_kernel_refused():
    assert known("nobody") is None
    with pytest.raises(ConfigError, match=r"--kernel must be one of gibbs for ising; got 'gibs'. Did you mean 'gibbs'"):
        weigh(known("ising"), kernel="gibs")
