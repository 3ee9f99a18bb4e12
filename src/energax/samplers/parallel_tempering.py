"""Parallel tempering (replica exchange) around any kernel.

Source: Swendsen and Wang (1986), Replica Monte Carlo simulation of spin glasses, doi:10.1103/PhysRevLett.57.2607;
    Syed et al. (2022), Non-reversible parallel tempering, arXiv:1905.02939 (deterministic even-odd swaps).
What differs: a swap is accepted by min(1, exp(U_i(x_i) + U_j(x_j) - U_i(x_j) - U_j(x_i))), whatever the family of U is:
    beta E, or the free energy of a bipartite model whose joint is at beta, which is not beta F.
Leaves the product over levels of exp(-U_i(x_i)) exactly invariant if the inner kernel leaves each factor so. Since
`init` copies one x to all levels, the first steps from an exact draw of the target are not yet in that law: burn in;
annealed estimators refuse it (`exact` is False). Swaps move whole inner states (a momentum goes with its x: its law is
the same at every level), then refresh what they cache.
Cost: a step of R levels takes R times `inner_steps` inner steps, and R refreshes.
Fails by never swapping where the ladder has a gap: see `swaps / attempts`, `round_trips` and `adapt_ladder`.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import step_key, uniforms
from energax.numerics.tree import where_rows

from .adaptation import with_step_size


class ParallelTemperingState(NamedTuple):
    """The cold replica's x and energy, every level's inner state, and the book of swaps.

    `replicas` has one inner state a level on axis 0, coldest first. `walkers` names, level by level, the level at which
    that replica began; `heading` is +1 if it was last at the cold end, -1 if it has been at the hot end since, 0 if it
    has not been cold yet. `attempts` and `swaps` count by pair of neighbours; `round_trips` counts the walks cold - hot
    - cold of all replicas.
    """

    x: X
    energy: Scalar
    replicas: Any
    turn: Int[Array, ""]
    walkers: Int[Array, " replicas"]
    heading: Int[Array, " replicas"]
    attempts: Int[Array, " pairs"]
    swaps: Int[Array, " pairs"]
    round_trips: Int[Array, ""]


class ParallelTemperingInfo(NamedTuple):
    """The cold replica's energy [nats] and inner acceptance; whether any replica met a number that is not finite; and
    by pair of neighbours the probability of a swap (0 where none was tried) and whether one was tried."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    swap_acceptance: Float[Array, " pairs"]
    attempted: Bool[Array, " pairs"]


def tempered_energy(energy: AbstractEnergy, beta: float | Scalar) -> AbstractEnergy:
    """beta * E: the family of an energy of x alone.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> float(tempered_energy(FunctionEnergy(lambda x: jnp.sum(x**2)), 0.25)(jnp.ones(2)))
        0.5
    """
    return beta * energy


def tempered_joint(energy: Any, beta: float | Scalar) -> AbstractEnergy:
    """The bipartite model whose joint energy is beta E(v, h): its energy of v is its own free energy, not beta F(v).

    Example:
        >>> from energax.energies import BernoulliRBM
        >>> machine = BernoulliRBM(jnp.ones((2, 1)), jnp.zeros(2), jnp.zeros(1))
        >>> round(float(tempered_joint(machine, 0.5)(jnp.ones(2))), 4)  # -log(1 + e), and not F(v) / 2
        -1.3133
    """
    return energy.at_beta(beta)


def as_ladder(betas: Any) -> Any:
    """An array; or what was given, where it is none, for `check_ladder` to refuse."""
    try:
        return betas if isinstance(betas, str) else jnp.asarray(betas)
    except (TypeError, ValueError):
        return betas


class ParallelTempering(AbstractSampler):
    """Moves every level by the inner kernel, then tries to swap neighbours: pairs (0, 1), (2, 3), .. and (1, 2), ..
    in turn.

    Args:
        inner: Any kernel, of continuous or discrete x.
        betas: Inverse temperatures of the levels, 1 first, strictly decreasing, >= 0 (0 only where exp(0) has a finite
            sum), at least two.
        step_sizes: One step size of the inner kernel a level, in its units; None for the same at every level.
        family: Maps (energy, beta) to the energy of a level; family(energy, 1) must be the energy itself. Another
            function is another compilation: name it, do not write a lambda at every call.
        inner_steps: Inner steps between two swaps, >= 1.

    Raises:
        ValueError: `betas` is no such ladder, `step_sizes` does not fit, or `inner_steps` is not an integer >= 1.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import MALA
        >>> energy = FunctionEnergy(lambda x: 4.0 * jnp.sum((x**2 - 1.0) ** 2))
        >>> sampler = ParallelTempering(MALA(0.02), jnp.array([1.0, 0.5, 0.2]))
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.ones(1)))
        >>> info.attempted.tolist(), state.attempts.tolist()
        ([True, False], [1, 0])
    """

    exact: ClassVar[bool] = False
    inner: AbstractSampler
    betas: Float[Array, " replicas"] = eqx.field(converter=as_ladder)
    step_sizes: Float[Array, " replicas"] | None = None
    family: Callable[[Any, Any], AbstractEnergy] = eqx.field(default=tempered_energy, static=True)
    inner_steps: int = eqx.field(default=1, static=True)

    def __check_init__(self):
        if not isinstance(self.inner, AbstractSampler):
            raise ValueError(f"ParallelTempering.inner must be a sampler; got {type(self.inner).__name__}.")
        checks.count("ParallelTempering", "inner_steps", self.inner_steps)
        check_ladder("ParallelTempering", self.betas)
        if self.step_sizes is None:
            return
        checks.positive("ParallelTempering", "step_sizes", self.step_sizes)
        if jnp.shape(self.step_sizes) != self.betas.shape or not hasattr(self.inner, "step_size"):
            raise ValueError(
                f"ParallelTempering.step_sizes must hold one step size of inner a level, {self.betas.shape}; "
                f"got shape {jnp.shape(self.step_sizes)} for {type(self.inner).__name__}."
            )

    def init(self, energy: AbstractEnergy, x: X) -> ParallelTemperingState:
        num = self.betas.shape[0]
        replicas = jax.vmap(lambda beta: self.inner.init(self.family(energy, beta), x))(self.betas)
        pairs = jnp.zeros(num - 1, jnp.int32)
        return ParallelTemperingState(
            x=x,
            energy=self._energies(energy, replicas)[0],
            replicas=replicas,
            turn=jnp.zeros((), jnp.int32),
            walkers=jnp.arange(num, dtype=jnp.int32),
            heading=jnp.zeros(num, jnp.int32).at[0].set(1),
            attempts=pairs,
            swaps=pairs,
            round_trips=jnp.zeros((), jnp.int32),
        )

    def refresh(self, energy: AbstractEnergy, state: ParallelTemperingState) -> ParallelTemperingState:
        replicas = self._refreshed(energy, state.replicas)
        return state._replace(replicas=replicas, energy=self._energies(energy, replicas)[0])

    def step(
        self, key: Key, energy: AbstractEnergy, state: ParallelTemperingState
    ) -> tuple[ParallelTemperingState, ParallelTemperingInfo]:
        *moves, decide = jax.random.split(key, self.betas.shape[0] + 1)
        replicas, acceptance, divergent = self._move(jnp.stack(moves), energy, state.replicas)
        level = jnp.arange(self.betas.shape[0], dtype=jnp.int32)
        partner = _partners(level, state.turn)
        # what every level would hold, were all swaps accepted
        crossed = self._refreshed(energy, jax.tree.map(lambda leaf: leaf[partner], replicas))
        own, cross = self._energies(energy, replicas), self._energies(energy, crossed)
        log_ratio = _log_ratio(own, cross, partner)
        chance = jnp.where(jnp.isnan(log_ratio), 0.0, jnp.exp(jnp.minimum(log_ratio, 0.0)))
        draw = uniforms(decide, level.shape)[jnp.minimum(level, partner)]  # one number a pair
        take = (draw.astype(chance.dtype) < chance) & (partner != level)
        replicas = where_rows(take, crossed, replicas)
        attempted = (partner > level)[:-1]
        state = _book(state, jnp.where(take, partner, level), attempted)._replace(
            x=jax.tree.map(lambda leaf: leaf[0], replicas.x), energy=jnp.where(take, cross, own)[0], replicas=replicas
        )
        info = ParallelTemperingInfo(
            energy=state.energy,
            acceptance=acceptance[0],
            divergent=jnp.any(divergent) | jnp.any(jnp.isnan(log_ratio)),
            swap_acceptance=jnp.where(attempted, chance[:-1], 0.0),
            attempted=attempted,
        )
        return state, info

    def _move(self, keys, energy, replicas):
        """`inner_steps` steps of every level -> (inner states, mean acceptance, divergent), each by level."""

        def one_level(key, beta, step_size, start):
            kernel = self.inner if step_size is None else with_step_size(self.inner, step_size)
            level = self.family(energy, beta)

            def body(state, index):
                state, info = kernel.step(step_key(key, index), level, state)
                return state, (info.acceptance, info.divergent)

            end, (acceptance, divergent) = jax.lax.scan(body, start, jnp.arange(self.inner_steps))
            return end, jnp.mean(acceptance), jnp.any(divergent)

        return jax.vmap(one_level)(keys, self.betas, self.step_sizes, replicas)

    def _refreshed(self, energy, replicas):
        return jax.vmap(lambda beta, s: self.inner.refresh(self.family(energy, beta), s))(self.betas, replicas)

    def _energies(self, energy, replicas):
        """U_i(x_i) by level: cached by the inner state, or else evaluated."""
        if hasattr(replicas, "energy"):
            return replicas.energy
        return jax.vmap(lambda beta, x: self.family(energy, beta)(x))(self.betas, replicas.x)


def check_ladder(owner: str, betas: Any) -> None:
    """Raises ValueError unless `betas` are two or more inverse temperatures from 1 down, none negative."""
    if not hasattr(betas, "dtype") or not jnp.issubdtype(betas.dtype, jnp.number):
        raise ValueError(f"{owner}.betas must be numbers that decrease from 1; got {betas!r}.")
    if betas.ndim != 1 or betas.shape[0] < 2:
        raise ValueError(f"{owner}.betas must hold at least two inverse temperatures; got shape {betas.shape}.")
    checks.non_negative(owner, "betas", betas)
    if isinstance(betas, jax.core.Tracer):
        return
    ladder = np.asarray(betas)
    if ladder[0] != 1.0 or np.any(np.diff(ladder) >= 0.0):
        raise ValueError(f"{owner}.betas must decrease strictly from 1; got {ladder.tolist()}.")


def _partners(level: Int[Array, " replicas"], turn: Int[Array, ""]) -> Int[Array, " replicas"]:
    """With whom each level tries to swap at this turn, itself at an end that is left over."""
    partner = jnp.where((level + turn) % 2 == 0, level + 1, level - 1)
    return jnp.where((partner < 0) | (partner >= level.shape[0]), level, partner)


def _log_ratio(
    own: Float[Array, " replicas"], cross: Float[Array, " replicas"], partner: Int[Array, " replicas"]
) -> Float[Array, " replicas"]:
    """U_i(x_i) + U_j(x_j) - U_i(x_j) - U_j(x_i), the same number at i and at j."""
    gain = own - cross
    return gain + gain[partner]


def _book(
    state: ParallelTemperingState, origin: Int[Array, " replicas"], attempted: Bool[Array, " pairs"]
) -> ParallelTemperingState:
    """The counts and labels after swaps that brought to every level the replica that was at `origin`."""
    heading = state.heading[origin]
    arrived = heading[0] == -1
    heading = heading.at[0].set(1)
    heading = heading.at[-1].set(jnp.where(heading[-1] == 1, -1, heading[-1]))
    swapped = (origin[:-1] > jnp.arange(attempted.shape[0], dtype=jnp.int32)) & attempted
    return state._replace(
        turn=state.turn + 1,
        walkers=state.walkers[origin],
        heading=heading,
        attempts=state.attempts + attempted.astype(jnp.int32),
        swaps=state.swaps + swapped.astype(jnp.int32),
        round_trips=state.round_trips + arrived.astype(jnp.int32),
    )
