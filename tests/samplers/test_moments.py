"""On-line moments against numpy on the stored trajectory, their error bars by 400 repeats, and their memory."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractSampler, FunctionEnergy
from energax.samplers import MALA, MALAInfo, ULAState, first_two, init_chains, moments, sample
from energax.samplers.moments import _moments
from judges import reach

FLAT = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))


class Autoregression(AbstractSampler):
    """x' = r x + sqrt(1 - r^2) xi leaves N(0, 1) invariant, and its autocorrelation time is (1 + r) / (1 - r)."""

    memory: float

    def init(self, energy, x):
        return ULAState(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        noise = jax.random.normal(key, state.x.shape, state.x.dtype)
        x = self.memory * state.x + jnp.sqrt(1.0 - self.memory**2) * noise
        return ULAState(x), MALAInfo(energy(x), jnp.ones(()), x[0] > 1.0)


def batched(values, batches):
    """Variance of the mean from the means of whole batches, [chains, draws, ...]."""
    length = values.shape[1] // batches
    means = values[:, : length * batches].reshape(values.shape[0] * batches, length, *values.shape[2:]).mean(1)
    return means.var(0, ddof=1) / len(means)


@pytest.mark.parametrize(("chains", "num_steps", "thin", "batches"), [(3, 134, 2, 11), (40, 30, 3, 1)])
def test_they_are_those_of_the_stored_trajectory(chains, num_steps, thin, batches):
    key, kernel = jax.random.key(1), Autoregression(0.7)
    start = init_chains(kernel, FLAT, jnp.ones((chains, 2)))
    after, found = moments(key, kernel, FLAT, start, num_steps, thin=thin, burn_in=5)
    last, draws = sample(key, kernel, FLAT, start, num_steps // thin, thin=thin, burn_in=5)
    np.testing.assert_allclose(after.states.x, last.states.x, rtol=1e-6)
    x = np.asarray(draws.x, np.float64)
    for name, values in (("x", x), ("x^2", x**2)):
        every = values.reshape(-1, 2)
        np.testing.assert_allclose(found.mean[name], every.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.variance[name], every.var(0, ddof=1), rtol=1e-5)
        np.testing.assert_allclose(found.chain_mean[name], values.mean(1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.chain_variance[name], values.var(1), rtol=1e-5)
        np.testing.assert_allclose(found.std_error[name] ** 2, batched(values, batches), rtol=1e-4)
        np.testing.assert_allclose(found.ess[name], every.var(0, ddof=1) / batched(values, batches), rtol=1e-4)
    _, every_step = sample(key, kernel, FLAT, start, num_steps, burn_in=5)
    np.testing.assert_array_equal(found.divergences, (np.asarray(every_step.x)[..., 0] > 1.0).sum(1))
    np.testing.assert_allclose(found.acceptance, 1.0, rtol=1e-6)


def scatter_of_z(kernel, chains, num_steps, repeats=400):
    """Standard deviation of (estimate - exact) / error bar on N(0, 1), over independent runs from exact draws."""

    def run(key):
        start, go = jax.random.split(key)
        begun = init_chains(kernel, FLAT, jax.random.normal(start, (chains, 1)))
        _, found = moments(go, kernel, FLAT, begun, num_steps)
        return jnp.stack([found.mean["x"][0], found.mean["x^2"][0] - 1.0]), jnp.stack(
            [found.std_error["x"][0], found.std_error["x^2"][0]]
        )

    error, bar = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(5), repeats))
    z = np.asarray(error / bar, np.float64)
    assert np.all(np.abs(z.mean(0)) < reach() * z.std(0) / np.sqrt(repeats))
    return z.std(0, ddof=1)


CASES = {
    "one chain": (Autoregression(0.6), 1, 3200),
    "five chains": (Autoregression(0.6), 5, 700),
    "forty chains": (MALA(0.3), 40, 60),
}


@pytest.mark.parametrize("name", CASES)
def test_error_bars_are_what_they_say(name):
    """400 repeats: the standard deviation of z lies in [0.84, 1.17], the chi-squared band at 1e-6."""
    spread = scatter_of_z(*CASES[name])
    assert np.all((spread > 0.84) & (spread < 1.17)), spread


@pytest.mark.parametrize("name", ["one chain", "forty chains"])
def test_the_judge_sees_error_bars_that_forget_autocorrelation(name, monkeypatch):
    module = sys.modules["energax.samplers.moments"]
    honest = module._pooled

    def planted(tally, counts, num_draws, batches, thin):
        found = honest(tally, counts, num_draws, batches, thin)
        total = num_draws * counts[0].shape[0]
        return found._replace(std_error=jax.tree.map(lambda v: jnp.sqrt(v / total), found.variance))

    monkeypatch.setattr(module, "_pooled", planted)
    monkeypatch.setattr(module, "_moments", lambda *args: _moments.__wrapped__(*args))
    assert np.all(scatter_of_z(*CASES[name]) > 1.17)


def test_statistics_are_any_function_of_a_tree():
    kernel, energy = (
        MALA(0.3),
        FunctionEnergy(lambda x: 0.5 * jnp.sum(x["a"] ** 2) + jnp.sum(x["b"].astype(jnp.float32) ** 2)),
    )
    start = init_chains(kernel, energy, {"a": jnp.zeros((50, 2)), "b": jnp.ones((50, 1), jnp.bfloat16)})
    _, found = moments(jax.random.key(0), kernel, energy, start, 4, statistics=lambda x: (x["a"][0], abs(x["b"])))
    assert found.mean[0].shape == ()
    assert found.chain_mean[1].shape == (50, 1)
    assert found.chain_mean[1].dtype == jnp.float32
    _, default = moments(jax.random.key(0), kernel, energy, start, 4)
    np.testing.assert_allclose(default.mean["x"]["a"][0], found.mean[0], rtol=1e-5)
    assert first_two({"a": jnp.full(1, 2.0)})["x^2"]["a"].tolist() == [4.0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_million_chains_stay_under_a_gibibyte():
    """The whole process: interpreter, jax, compiler and run. Peak as the kernel of the system counted it."""
    program = """
import pathlib
import jax, jax.numpy as jnp
from energax.samplers import MALA, init_chains, moments
energy, kernel = (lambda x: jnp.sum((x**2 - 1.0) ** 2)), MALA(0.05)
chains = init_chains(kernel, energy, jax.random.normal(jax.random.key(0), (1_000_000, 2)))
chains, found = moments(jax.random.key(1), kernel, energy, chains, 20, thin=2, burn_in=4)
assert bool(jnp.all(found.std_error["x"] < 0.01))
# not ru_maxrss: a child begins with the peak of the process that forked it
status = pathlib.Path("/proc/self/status").read_text().split()
print(int(status[status.index("VmHWM:") + 1]) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    peak = float(done.stdout)
    assert 100 < peak < 1024, f"{peak:.0f} MiB"


def test_refusals():
    chains = init_chains(MALA(0.1), FLAT, jnp.zeros((3, 2)))
    key = jax.random.key(0)
    for options, message in (
        ({"num_steps": 0}, "moments.num_steps must be an integer >= 1; got 0"),
        ({"num_steps": 40, "thin": 3}, "moments.num_steps must be a multiple of thin 3; got 40"),
        ({"num_steps": 10}, r"moments.num_steps must be at least 11 with 3 chain\(s\)"),
        ({"num_steps": 40, "thin": 0}, "moments.thin must be an integer >= 1; got 0"),
        ({"num_steps": 40, "burn_in": -1}, "moments.burn_in must be an integer >= 0; got -1"),
        ({"num_steps": 40, "statistics": lambda x: x > 0}, "moments.statistics must return floating arrays; got"),
    ):
        with pytest.raises(ValueError, match=message):
            moments(key, MALA(0.1), FLAT, chains, **options)
