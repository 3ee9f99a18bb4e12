"""Kernels of blackjax as samplers of this package: NUTS and its relatives, through one adapter.

Source: Cabezas et al. (2024), BlackJAX: composable Bayesian inference in JAX, arXiv:2402.10797; for `nuts` Hoffman and
    Gelman (2014), The No-U-Turn Sampler, jmlr.org/papers/v15/hoffman14a.html, in the multinomial form of Betancourt
    (2017), A conceptual introduction to Hamiltonian Monte Carlo, arXiv:1701.02434, app. A.
What differs: the log-density is -E of the energy that is passed to every step; a state that is not finite is never
    entered, and the chain flagged `divergent`; every number of a kernel is traced, so that another step size, mass or
    energy of the same shapes traces nothing again; one mass and one step size serve all chains. The trajectory of
    `multinomial_hmc` reaches to both sides of its start, as the paper has it; blackjax 1.7.1's own does not, and is not
    invariant (`energax certify` finds it 20 standard errors off).
Leaves p(x) ~ exp(-E(x)) exactly invariant for the kernels offered here; one of the user's own is as exact as it is.
Cost: blackjax's; `num_steps` of the Info counts leapfrogs (or tries of a slice). Vmapped chains of NUTS wait for the
deepest tree among them. Needs the extra `energax[nuts]`; blackjax is imported when a kernel is made, not before.
Fails where HMC does: in narrow necks (`divergent` tells), and between modes.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import plain_key
from energax.numerics.tree import all_finite, where


class BlackjaxState(NamedTuple):
    """Where the chain is, with E(x), and blackjax's own state without the position: `refresh` renews all but x."""

    x: X
    energy: Scalar
    inner: Any


class BlackjaxInfo(NamedTuple):
    """Energy after the step [nats], acceptance (1 for slices), whether it diverged, leapfrogs or tries of the step."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    num_steps: Array


class Blackjax(AbstractSampler):
    """Any kernel of blackjax whose state needs no key to begin: `nuts` and the others here make the usual ones.

    Args:
        build: A module-level function of `options` -> (init, kernel), as blackjax has them: init(x, log_density) ->
            state with `position` and `logdensity`; kernel(key, state, log_density, ...) -> (state, info), given the
            `parameters` by name.
        parameters: Numbers and arrays that the kernel takes by name, traced; `inverse_mass_matrix=None` is the
            identity. A `step_size` among them is what `warm_up` tunes.
        options: What `build` takes by name, as pairs: anything that shapes the program, hashable.
        adjusted: Whether the kernel leaves its target exactly invariant (`exact`): annealed estimators ask.

    Raises:
        ValueError: `build` is not callable, or a `step_size` is not a positive number.

    Example:
        >>> def barker():
        ...     import blackjax
        ...     return blackjax.barker.init, blackjax.barker.build_kernel()
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = Blackjax(barker, {"step_size": 0.5})
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> bool(info.divergent)
        False
    """

    build: Callable = eqx.field(static=True)
    parameters: dict[str, Any] = eqx.field(default_factory=dict)
    options: tuple[tuple[str, Any], ...] = eqx.field(default=(), static=True)
    adjusted: bool = eqx.field(default=True, static=True)

    def __check_init__(self):
        if not callable(self.build):
            raise ValueError(f"Blackjax.build must be a function of options to (init, kernel); got {self.build!r}.")
        if "step_size" in self.parameters:
            checks.positive("Blackjax", "step_size", self.parameters["step_size"], ndim=0)

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether the kernel leaves its target exactly invariant."""
        return self.adjusted

    @property
    def step_size(self) -> Any:
        """The kernel's step size; an AttributeError where it has none."""
        if "step_size" not in self.parameters:
            raise AttributeError("this kernel of blackjax has no step size")
        return self.parameters["step_size"]

    def init(self, energy: AbstractEnergy, x: X) -> BlackjaxState:
        with relaxed():
            inner = self.build(**dict(self.options))[0](x, lambda x: -energy(x))
        return BlackjaxState(x, -inner.logdensity, inner._replace(position=None))

    def refresh(self, energy: AbstractEnergy, state: BlackjaxState) -> BlackjaxState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: BlackjaxState) -> tuple[BlackjaxState, BlackjaxInfo]:
        whole = state.inner._replace(position=state.x)
        with relaxed():
            _, kernel = self.build(**dict(self.options))
            inner, info = kernel(plain_key(key), whole, lambda x: -energy(x), **_filled(self.parameters, state.x))
        inner = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), inner, whole)
        new = BlackjaxState(inner.position, -inner.logdensity, inner._replace(position=None))
        finite = all_finite(inner)
        divergent = ~finite | getattr(info, "is_divergent", False) | ~all_finite(getattr(info, "proposal", None))
        rate = jnp.asarray(getattr(info, "acceptance_rate", 1.0), state.energy.dtype)
        state = where(finite, new, state)
        return state, BlackjaxInfo(state.energy, jnp.where(finite, rate, 0.0), divergent, _num_steps(info))


def nuts(step_size: float | Scalar, inverse_mass: Array | None = None, max_depth: int = 10) -> Blackjax:
    """The No-U-Turn sampler: trajectories that double until they turn back, and a multinomial draw along them.

    Args:
        step_size: Length of one leapfrog, in the units of x / sqrt(inverse_mass), > 0; tune to 0.8.
        inverse_mass: About the variances of x: an array [d] > 0 (or [d, d], a covariance) over x as `ravel_pytree` lays
            it out; None is the identity. `window_warm_up` finds it.
        max_depth: Doublings at most, >= 1: 2^max_depth leapfrogs.

    Raises:
        ImportError: blackjax is not installed.
        ValueError: a number is out of its range, or `inverse_mass` is no vector or square matrix.

    Example:
        >>> from energax.samplers import init_chains, sample
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> chains = init_chains(nuts(0.5), energy, jnp.zeros((4, 2)))
        >>> chains, draws = sample(jax.random.key(0), nuts(0.5), energy, chains, 10)
        >>> draws.x.shape
        (4, 10, 2)
    """
    checks.count("nuts", "max_depth", max_depth)
    parameters = {"step_size": step_size, "inverse_mass_matrix": _mass("nuts", inverse_mass)}
    return Blackjax(_build_nuts, parameters, (("max_depth", int(max_depth)),))


def multinomial_hmc(step_size: float | Scalar, num_leapfrog: int, inverse_mass: Array | None = None) -> Blackjax:
    """Hamiltonian Monte Carlo that draws from all points of its trajectory, not from its end only.

    Args:
        step_size: Length of one leapfrog, as in `nuts`, > 0.
        num_leapfrog: Leapfrogs a step, >= 1.
        inverse_mass: As in `nuts`.

    Raises:
        ImportError: blackjax is not installed.
        ValueError: a number is out of its range.

    Example:
        >>> multinomial_hmc(0.2, 8).step_size
        0.2
    """
    checks.count("multinomial_hmc", "num_leapfrog", num_leapfrog)
    parameters = {"step_size": step_size, "inverse_mass_matrix": _mass("multinomial_hmc", inverse_mass)}
    return Blackjax(_build_multinomial_hmc, parameters, (("num_leapfrog", int(num_leapfrog)),))


def adjusted_mclmc(step_size: float | Scalar, num_leapfrog: int, inverse_mass: Array | None = None) -> Blackjax:
    """Microcanonical Langevin dynamics (momenta on a sphere) with a Metropolis test; two dimensions at least.

    Args:
        step_size: Length of one step of the integrator, in the units of x, > 0; 0.9 is an acceptance to tune to.
        num_leapfrog: Steps of the integrator (two forces each), >= 1.
        inverse_mass: As in `nuts`.

    Raises:
        ImportError: blackjax is not installed.
        ValueError: a number is out of its range.

    Example:
        >>> adjusted_mclmc(0.5, 4).step_size
        0.5
    """
    checks.count("adjusted_mclmc", "num_leapfrog", num_leapfrog)
    parameters = {"step_size": step_size, "inverse_mass_matrix": _mass("adjusted_mclmc", inverse_mass)}
    return Blackjax(_build_adjusted_mclmc, parameters, (("num_leapfrog", int(num_leapfrog)),))


def slice_sampling(width: float | Scalar) -> Blackjax:
    """Hit and run: a slice along a random direction, bracketed by doubling; needs no gradient and no tuning.

    Args:
        width: First guess of the slice's length, in the units of x, > 0; any does.

    Raises:
        ImportError: blackjax is not installed.
        ValueError: `width` is not a positive number.

    Example:
        >>> slice_sampling(2.0).parameters
        {'width': 2.0}
    """
    checks.positive("slice_sampling", "width", width, ndim=0)
    _blackjax("slice_sampling")
    return Blackjax(_build_slice, {"width": width})


def elliptical_slice(mean: Array, covariance: Array) -> Blackjax:
    """A slice on an ellipse through x and a draw of a Gaussian: for energies near that Gaussian; nothing to tune.

    Args:
        mean: Of the Gaussian, [d], over x as `ravel_pytree` lays it out.
        covariance: Variances [d] > 0, or a positive definite matrix [d, d].

    Raises:
        ImportError: blackjax is not installed.
        ValueError: shapes do not fit, or a variance is not > 0.

    Example:
        >>> sorted(elliptical_slice(jnp.zeros(2), jnp.ones(2)).parameters)
        ['covariance', 'mean']
    """
    checks.finite("elliptical_slice", "mean", mean)
    spread = _mass("elliptical_slice", covariance, "covariance")
    if mean.ndim != 1 or np.shape(covariance)[-1:] != mean.shape:
        raise ValueError(
            f"elliptical_slice.covariance must be [d] or [d, d] beside a mean [d]; got shapes "
            f"{np.shape(covariance)} and {mean.shape}."
        )
    return Blackjax(_build_elliptical_slice, {"mean": mean, "covariance": spread})


def _build_nuts(max_depth):
    import blackjax

    kernel = blackjax.nuts.build_kernel()
    return blackjax.nuts.init, lambda *state, **p: kernel(*state, **p, max_num_doublings=max_depth)


def _build_multinomial_hmc(num_leapfrog):
    import blackjax

    kernel = blackjax.hmc.build_kernel(build_proposal=_two_sided)
    return blackjax.hmc.init, lambda *state, **p: kernel(*state, **p, num_integration_steps=num_leapfrog)


def _two_sided(integrator, kinetic_energy, step_size, num_steps, divergence_threshold):
    """Betancourt (2017), app. A.2.2: the start stands at a uniform place of its trajectory.

    blackjax 1.7.1 builds all of it ahead, which is not invariant: from another of its points the trajectory is another.
    """
    from blackjax.mcmc import hmc, proposal

    total = proposal.proposal_generator(hmc.hmc_energy(kinetic_energy))

    def generate(key, start):
        place, choose = jax.random.split(key)
        before = jax.random.randint(place, (), 0, num_steps + 1)
        first = total[0](start)

        def leapfrog(carry, now):
            (here, chosen, broken), (number, key) = carry, now
            here = where(number == before, start, here)
            here = integrator(here, jnp.where(number < before, -step_size, step_size))
            new = total[1](first.energy, here)
            chosen = proposal.progressive_uniform_sampling(key, chosen, new)
            return (here, chosen, broken | (-new.weight > divergence_threshold)), None

        turns = (jnp.arange(num_steps), jax.random.split(choose, num_steps))
        (_, chosen, broken), _ = jax.lax.scan(leapfrog, (start, first, jnp.array(False)), turns)
        rate = jnp.exp(chosen.sum_log_p_accept) / num_steps
        info = hmc.HMCInfo(start.momentum, rate, True, broken, chosen.energy, chosen.state, num_steps)
        return chosen.state, info, None

    return generate


def _build_adjusted_mclmc(num_leapfrog):
    import blackjax

    init, kernel = blackjax.adjusted_mclmc.init, blackjax.adjusted_mclmc.build_kernel()
    return init, lambda *state, **p: kernel(*state, **p, integration_steps_params=(num_leapfrog,))


def _build_slice():
    import blackjax

    propose = blackjax.mcmc.slice.direction_proposal()
    kernel = blackjax.mcmc.slice.build_kernel()
    return blackjax.mcmc.slice.init, lambda *state, width: kernel(*state, propose, width)


def _build_elliptical_slice():
    import blackjax

    def kernel(key, state, log_density, mean, covariance):
        def reference(x):
            return _log_gaussian(ravel_pytree(x)[0], mean, covariance)

        def likelihood(x):  # outside of the support, and nowhere else, it is not a number: never on the slice
            value = log_density(x) - reference(x)
            return jnp.where(jnp.isnan(value), -jnp.inf, value)

        # a slice a rounding below the present point, which the shrinking bracket then always reaches; a point that is
        # not finite has none, and a NaN ends the search at once
        here = state.logdensity - reference(state.position)
        here = jnp.where(jnp.isfinite(here), here - 8 * jnp.finfo(here.dtype).eps * (1.0 + jnp.abs(here)), jnp.nan)
        inner = blackjax.elliptical_slice.build_kernel(covariance, mean)
        new, info = inner(key, type(state)(state.position, here), likelihood)
        return type(state)(new.position, new.logdensity + reference(new.position)), info

    return blackjax.elliptical_slice.init, kernel


def _log_gaussian(x, mean, covariance):
    """log N(x; mean, covariance) up to a constant."""
    shift = x - mean
    if covariance.ndim == 1:
        return -0.5 * jnp.sum(shift**2 / covariance)
    return -0.5 * jnp.sum(jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(covariance), shift, lower=True) ** 2)


def _filled(parameters: dict[str, Any], x: X) -> dict[str, Any]:
    """The parameters with the identity for a mass that is not given."""
    if parameters.get("inverse_mass_matrix", 0) is not None:
        return parameters
    return parameters | {"inverse_mass_matrix": jnp.ones_like(ravel_pytree(x)[0])}


def _num_steps(info) -> Array:
    for name in ("num_integration_steps", "num_shrink", "subiter"):
        if hasattr(info, name):
            return jnp.asarray(getattr(info, name), jnp.int32)
    return jnp.ones((), jnp.int32)


def _mass(owner: str, mass: Array | None, name: str = "inverse_mass") -> Array | None:
    _blackjax(owner)
    if mass is None:
        return None
    if np.ndim(mass) not in (1, 2) or (np.ndim(mass) == 2 and np.shape(mass)[0] != np.shape(mass)[1]):
        raise ValueError(f"{owner}.{name} must be a vector or a square matrix; got shape {np.shape(mass)}.")
    (checks.positive if np.ndim(mass) == 1 else checks.finite)(owner, name, mass)
    return jnp.asarray(mass)


def _blackjax(owner: str) -> None:
    try:
        import blackjax  # noqa: F401
    except ImportError:
        raise ImportError(f"{owner} needs blackjax: pip install 'energax[nuts]'.") from None


@contextlib.contextmanager
def relaxed():
    """blackjax mixes types and ranks as jax does by default, also where its user has asked jax not to."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
