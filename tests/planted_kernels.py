"""Bugs to plant in the kernels that ship: where, what by what, and the check of the certificate that must fail.

`planted` compiles the changed text as a module of its own. `tests/evaluation/test_certify.py` plants some of them in
small, `benchmarks/certify.py --planted` all of them under the whole certificate.
"""

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import energax.samplers
from energax.evaluation import shipped


class Planted(NamedTuple):
    """One bug; `old` stands once in src/energax/samplers/`file`, of which `kernel` of `SHIPPED` takes `takes`."""

    name: str
    kernel: str
    file: str
    takes: str
    old: str
    new: str
    check: str


_RATIO = "(state.energy - new.energy).astype"
_TURNED = "(new.energy - state.energy).astype"
_REFRESH = "        return self.init(energy, state.x)"
_STALE = "        return state"

PLANTED = [
    Planted("energies of the ratio exchanged", "random_walk", "random_walk", "RandomWalk", _RATIO, _TURNED, "moments"),
    Planted(
        "square root of the ratio",
        "random_walk",
        "random_walk",
        "RandomWalk",
        "jnp.exp(jnp.minimum(log_ratio, 0.0))",
        "jnp.exp(0.5 * jnp.minimum(log_ratio, 0.0))",
        "moments",
    ),
    Planted(
        "forward gradient in the reverse move",
        "barker",
        "barker",
        "Barker",
        "jax.nn.softplus(-d * there.astype(d.dtype))",
        "jax.nn.softplus(-d * here.astype(d.dtype))",
        "moments",
    ),
    Planted(
        "side drawn against the gradient",
        "barker",
        "barker",
        "Barker",
        "jax.nn.sigmoid(-z * gradient.astype(z.dtype))",
        "jax.nn.sigmoid(z * gradient.astype(z.dtype))",
        "moments",
    ),
    Planted(
        "proposal ratio dropped",
        "mala",
        "mala",
        "MALA",
        " + jnp.sqrt(0.5 * h) * along - 0.25 * h * across",
        " + 0.0 * along * across",
        "moments",
    ),
    Planted("energies of the ratio exchanged", "mala", "mala", "MALA", _RATIO, _TURNED, "moments"),
    Planted(
        "noise sqrt(h)",
        "mala",
        "mala",
        "MALA",
        "scale = jnp.sqrt(2 * self.step_size)",
        "scale = jnp.sqrt(self.step_size)",
        "moments",
    ),
    Planted("stale energy and gradient", "mala", "mala", "MALA", _REFRESH, _STALE, "Geweke's joint test"),
    Planted(
        "a whole kick at the end",
        "hmc",
        "hmc",
        "HMC",
        "return new, momentum",
        "return new, add_scaled(momentum, -0.5 * step_size, new.gradient)",
        "moments",
    ),
    Planted(
        "kinetic energy forgotten",
        "hmc",
        "hmc",
        "HMC",
        "kinetic = 0.5 * (squared_norm(end)",
        "kinetic = 0.0 * (squared_norm(end)",
        "moments",
    ),
    Planted("stale energy and gradient", "hmc", "hmc", "HMC", _REFRESH, _STALE, "Geweke's joint test"),
    Planted(
        "momentum kept after a rejection",
        "generalised_hmc",
        "generalised_hmc",
        "GeneralisedHMC",
        "back = jax.tree.map(jnp.negative, start)",
        "back = start",
        "moments",
    ),
    Planted(
        "proposal ratio dropped",
        "independence",
        "independence",
        "Independence",
        " + (state.log_proposal - new.log_proposal).astype(state.energy.dtype)",
        "",
        "moments",
    ),
    Planted(
        "a part keeps the gradient of another x",
        "cycle",
        "cycle",
        "Cycle",
        "kernel.refresh(energy, part._replace(x=x))",
        "part._replace(x=x)",
        "moments",
    ),
    Planted(
        "S for its inverse",
        "whitened",
        "whitened",
        "Whitened",
        "jax.scipy.linalg.solve_triangular(scale, flat, lower=True)",
        "scale @ flat",
        "moments",
    ),
    Planted(
        "a trajectory that only goes ahead",
        "multinomial_hmc",
        "blackjax",
        "multinomial_hmc",
        "jax.random.randint(place, (), 0, num_steps + 1)",
        "0 * jax.random.randint(place, (), 0, num_steps + 1)",
        "moments",
    ),
    Planted(
        "noise without its root 2",
        "ula",
        "ula",
        "ULA",
        "jnp.sqrt(2 * self.step_size * self.temperature)",
        "jnp.sqrt(self.step_size * self.temperature)",
        "its own law",
    ),
    Planted(
        "half the drift",
        "ula",
        "ula",
        "ULA",
        "add_scaled(state.x, -self.step_size, gradient)",
        "add_scaled(state.x, -0.5 * self.step_size, gradient)",
        "its own law",
    ),
    Planted(
        "drift without the preconditioner",
        "preconditioned_ula",
        "preconditioned_ula",
        "PreconditionedULA",
        "add_scaled(state.x, scaled(-1.0, steps), gradient)",
        "add_scaled(state.x, -self.step_size, gradient)",
        "its own law",
    ),
    Planted(
        "one noise taken twice",
        "leimkuhler_matthews",
        "leimkuhler_matthews",
        "LeimkuhlerMatthews",
        "add_scaled(state.noise, 1.0, noise)",
        "add_scaled(noise, 1.0, noise)",
        "its own law",
    ),
    Planted(
        "the thermostat's noise for half the time",
        "baoab",
        "underdamped",
        "Underdamped",
        "jnp.sqrt(-jnp.expm1(-2 * damping))",
        "jnp.sqrt(-jnp.expm1(-damping))",
        "its own law",
    ),
    Planted(
        "half the force",
        "obabo",
        "underdamped",
        "Underdamped",
        "momentum = add_scaled(momentum, -time, gradient)",
        "momentum = add_scaled(momentum, -0.5 * time, gradient)",
        "its own law",
    ),
    Planted(
        "twice the logits",
        "gibbs",
        "gibbs",
        "Gibbs",
        "jnp.where(jnp.isfinite(values), -values, -jnp.inf)",
        "jnp.where(jnp.isfinite(values), -2.0 * values, -jnp.inf)",
        "invariance",
    ),
    Planted(
        "one random number for all sites",
        "gibbs",
        "gibbs",
        "Gibbs",
        "(order, uniforms(key, order.shape))",
        "(order, jnp.broadcast_to(uniforms(key, (1,)), order.shape))",
        "invariance",
    ),
    Planted(
        "stale energy",
        "random_scan_gibbs",
        "random_scan_gibbs",
        "RandomScanGibbs",
        "values[pick], divergent), None",
        "value, divergent), None",
        "caches",
    ),
    Planted(
        "turns one way only",
        "site_metropolis",
        "site_metropolis",
        "SiteMetropolis",
        "turn = 1 + (where",
        "turn = 1 + 0 * (where",
        "invariance",
    ),
    Planted(
        "energies of the ratio exchanged",
        "site_metropolis",
        "site_metropolis",
        "SiteMetropolis",
        "jnp.minimum(value - new, 0.0)",
        "jnp.minimum(new - value, 0.0)",
        "invariance",
    ),
    Planted(
        "the gradient is not renewed between colours",
        "checkerboard_gibbs",
        "checkerboard",
        "CheckerboardGibbs",
        "                gradient = jax.grad(energy)(x)\n",
        "                gradient = gradient + 0.0\n",
        "invariance",
    ),
    Planted(
        "proposal ratio dropped",
        "gibbs_with_gradients",
        "gibbs_with_gradients",
        "GibbsWithGradients",
        " + (back - there[site, move]).astype(state.energy.dtype)",
        "",
        "detailed balance",
    ),
    Planted(
        "the way back by the old gradient",
        "dmala",
        "dmala",
        "DMALA",
        "_total(self.proposal(new), self",
        "_total(self.proposal(state), self",
        "invariance",
    ),
    Planted(
        "bond probability of half the strength",
        "swendsen_wang",
        "swendsen_wang",
        "SwendsenWang",
        "-jnp.expm1(-jnp.abs(terms.agreement))",
        "-jnp.expm1(-0.5 * jnp.abs(terms.agreement))",
        "invariance",
    ),
    Planted(
        "fields forgotten",
        "swendsen_wang",
        "swendsen_wang",
        "SwendsenWang",
        "invert(uniforms(turn, (number,)), gains)",
        "invert(uniforms(turn, (number,)), 0.0 * gains)",
        "invariance",
    ),
    Planted(
        "fields forgotten",
        "wolff",
        "wolff",
        "Wolff",
        "jnp.exp(jnp.minimum(gain, 0.0))",
        "jnp.exp(0.0 * gain)",
        "invariance",
    ),
    Planted(
        "one key for both layers",
        "block_gibbs",
        "block_gibbs",
        "BlockGibbs",
        "machine.sample_visible(down,",
        "machine.sample_visible(up,",
        "keys",
    ),
    Planted(
        "swap ratio inverted",
        "parallel_tempering",
        "parallel_tempering",
        "ParallelTempering",
        "    gain = own - cross\n",
        "    gain = cross - own\n",
        "invariance",
    ),
    Planted(
        "weights of the wrong sign",
        "simulated_tempering",
        "simulated_tempering",
        "SimulatedTempering",
        "own - cross + there - here",
        "own - cross + here - there",
        "invariance",
    ),
]


@contextmanager
def planted(bug: Planted) -> Iterator[None]:
    """`SHIPPED[bug.kernel]` makes the kernel with the bug for a while."""
    path = Path(energax.samplers.__file__).parent / f"{bug.file}.py"
    text = path.read_text()
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.kernel}, {bug.name}: {bug.old!r} must stand once in {path.name}.")
    module = types.ModuleType(f"energax.samplers.planted_{bug.file}")
    module.__package__ = "energax.samplers"
    sound = getattr(shipped, bug.takes)
    sys.modules[module.__name__] = module
    try:
        exec(compile(text.replace(bug.old, bug.new), str(path), "exec"), module.__dict__)
        setattr(shipped, bug.takes, getattr(module, bug.takes))
        yield
    finally:
        setattr(shipped, bug.takes, sound)
        del sys.modules[module.__name__]
