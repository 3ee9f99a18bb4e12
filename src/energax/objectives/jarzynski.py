"""Jarzynski-corrected training: walkers that carry the work of the moving model as weights, judged by held-out ones.

Source: Carbone, Hua, Coste and Vanden-Eijnden (2023), Efficient training of energy-based models using Jarzynski
    equality, arXiv:2305.19414, Proposition 1 and algorithms 1 and 4; the weights of unadjusted kernels as in Cuin,
    Carbone and Akyildiz (2025), arXiv:2505.18427.
What differs: half of the walkers drive the gradient, the other half (auditors), moved and weighted alike, never do: the
log Z that is reported is theirs. A protocol that looks at the walkers biases the drivers' own log Z by about
-(eta / N) sum tr Cov(grad E) while their ESS looks perfect; every `refresh` steps the drivers are drawn anew from the
weighted auditors, which takes the bias out of the gradient too, and move on their own (`refresh_moves`) until they have
forgotten where they come from. Kernels that leave exp(-E) invariant weigh E_old(x) - E_new(x) after the move under the
old parameters; an `AbstractPair` (unadjusted Langevin) adds its own ratio.
Estimates the exact gradient of the negative log-likelihood, log Z along training and with it the likelihood, however
slowly the walkers mix between modes. Cost: as `PersistentCD`, one more energy a walker (the old model's), and
refresh_moves transitions of half the walkers every `refresh` steps.
Fails where the model moves faster than weights can follow (`ess_audit` falls to a few walkers), and where drivers are
still copies of auditors when they drive (`clone_correlation` near 1): log Z then drifts again, by some per cent of what
it does without auditors (a 9x6 machine, 6,000 steps: -2.2 nats without, -0.11 with copies, -0.01 with 100 moves).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, Scalar

from energax.core import (
    AbstractDensity,
    AbstractEnergy,
    AbstractObjective,
    AbstractSampler,
    Batch,
    Chains,
    Key,
    Metrics,
    checks,
    freeze,
)
from energax.numerics.logspace import effective_sample_size, log_mean_exp_error
from energax.numerics.random import chain_keys, step_key
from energax.numerics.resampling import SCHEMES
from energax.numerics.tree import where_rows
from energax.samplers import AbstractPair, finite_rows

from .nce import draw_noise
from .negatives import Tuning, Walk, check_energy, report, standing, tuning, walk
from .start import GeneratorStart, check_start

_NO_WEIGHT = -1e30
"""log of no weight: a finite number, since the state of a step that is kept must be finite, and below any work."""


class Walkers(NamedTuple):
    """Walkers on axis 0, drivers first and auditors after them.

    `log_weights` are the whole works so far: exp of one, averaged over walkers of a group, is an estimate of Z.
    `energies` are those of the old model where the walkers stand; `marks` those at the last refresh.
    """

    x: PyTree
    log_weights: Float[Array, " walkers"]
    energies: Float[Array, " walkers"]
    marks: Float[Array, " walkers"]


class JarzynskiState(NamedTuple):
    """The walkers, how many steps were taken, how alike drivers were to auditors at the last refresh, log step_size."""

    walkers: Chains
    steps: Int[Array, ""]
    clone_correlation: Scalar
    log_step: Scalar | None


class Jarzynski(AbstractObjective):
    """mean E(data) - sum_i w_i E(driver i), w_i proportional to exp(work of driver i).

    Metrics: those of `PersistentCD` but its ages (`gap`, `energy_data`, `energy_model`, `acceptance`, ...; a pair has
    no test, hence no `acceptance`, and its `divergent` walkers are those that have lost all weight; `evicted` counts
    new drivers on their own moves too), and `log_z` with `log_z_error`
    (standard error over the auditors' groups), `log_likelihood` of the batch by the auditors' log Z,
    `self_influence`, the drivers' own log Z minus the auditors', `ess_drive` and `ess_audit` (fractions of all walkers
    of a half), `resampled` (fraction of the groups), `refreshed` (0 or 1), and `clone_correlation`: of the
    energies of new drivers before and after their own moves at the last refresh (without such moves: of the auditors'
    energies over the interval between refreshes).

    Args:
        kernel: A sampler that leaves exp(-E) exactly invariant, or an `AbstractPair` (`ULAPair`).
        base: A normalised density that the walkers are drawn from; the nearer to the model at step 0 the better: where
            it is the model, weights begin equal.
        num_chains: Walkers of each half, >= 2; a multiple of `num_groups`.
        num_steps: Transitions of a walker that moves, >= 1.
        num_moving: Walkers of each half that move in a step, drawn at random; None moves all. All carry weight.
        num_groups: Parts of each half that are resampled apart from each other, >= 2: their spread is the error bar.
        resample_below: A group is resampled where its ESS falls below this fraction, in [0, 1]; 0 never does.
        scheme: "systematic", "multinomial", "stratified" or "residual".
        refresh: Steps between two refreshes of the drivers from the auditors, >= 1; None never refreshes.
        refresh_moves: Transitions that the new drivers make on their own at a refresh, >= 0, before they drive: so many
            as it takes to forget where they were copied from, or else the auditors' log Z drifts after all.
        adapt_target: Mean acceptance in (0, 1) towards which log step_size walks from one training step to the next;
            None keeps the kernel's own step size. Samplers only.
        adapt_rate: Change of log step_size for a whole unit of acceptance, > 0.
        min_step_size: The adapted step stays above this, > 0.
        max_step_size: The adapted step stays below this.

    Raises:
        ValueError: A field is outside its range, or the kernel is a sampler that is not exact.

    Example:
        >>> from energax.energies import standard_normal
        >>> from energax.samplers import MALA
        >>> rule = Jarzynski(MALA(0.1), standard_normal(2), num_chains=32)
        >>> energy, batch = standard_normal(2), {"x": jnp.ones((8, 2))}
        >>> state = rule.init(jax.random.key(0), energy, batch)
        >>> loss, (state, metrics) = rule(jax.random.key(1), energy, state, batch)
        >>> round(float(metrics["log_z"]), 4), round(float(metrics["log_z_error"]), 4)
        (1.8379, 0.0)
    """

    kernel: AbstractSampler | AbstractPair
    base: AbstractDensity
    num_chains: int = 512
    num_steps: int = 1
    num_moving: int | None = None
    num_groups: int = 8
    resample_below: float = 0.5
    scheme: str = "systematic"
    refresh: int | None = 100
    refresh_moves: int = 100
    adapt_target: float | None = None
    adapt_rate: float = 0.05
    min_step_size: float = 1e-6
    max_step_size: float = 1e3

    def __check_init__(self):
        if not isinstance(self.kernel, AbstractSampler | AbstractPair):
            got = type(self.kernel).__name__
            raise ValueError(f"Jarzynski.kernel must be a sampler or a pair of kernels, as ULAPair; got {got}.")
        checks.count("Jarzynski", "num_groups", self.num_groups, least=2)
        checks.count("Jarzynski", "num_chains", self.num_chains, least=self.num_groups)
        if self.num_chains % self.num_groups:
            got = f"{self.num_chains} walkers in {self.num_groups} groups"
            raise ValueError(f"Jarzynski.num_chains must be a multiple of num_groups; got {got}.")
        checks.count("Jarzynski", "num_steps", self.num_steps)
        if self.num_moving is not None:
            checks.count("Jarzynski", "num_moving", self.num_moving)
            if self.num_moving > self.num_chains:
                got = f"{self.num_moving} of {self.num_chains}"
                raise ValueError(f"Jarzynski.num_moving must be <= num_chains; got {got}.")
        checks.non_negative("Jarzynski", "resample_below", self.resample_below)
        if self.resample_below > 1:
            raise ValueError(f"Jarzynski.resample_below must lie in [0, 1]; got {self.resample_below}.")
        if self.scheme not in SCHEMES:
            raise ValueError(f"Jarzynski.scheme must be one of {', '.join(SCHEMES)}; got {self.scheme!r}.")
        if self.refresh is not None:
            checks.count("Jarzynski", "refresh", self.refresh)
        checks.count("Jarzynski", "refresh_moves", self.refresh_moves, least=0)
        if isinstance(self.kernel, AbstractSampler):
            if not self.kernel.exact:
                got = type(self.kernel).__name__
                raise ValueError(f"Jarzynski.kernel must leave exp(-E) exactly invariant, or be a pair; got {got}.")
            self._tuning.init(self.kernel)
        elif self.adapt_target is not None:
            raise ValueError(f"Jarzynski.adapt_target must be None for a pair; got {self.adapt_target}.")

    @property
    def _tuning(self) -> Tuning:
        return tuning(self.adapt_target, self.adapt_rate, self.min_step_size, self.max_step_size)

    def init(self, key: Key, model: AbstractEnergy, batch: Batch) -> JarzynskiState:
        """Walkers of the base density, weighted for the model."""
        check_energy("Jarzynski", model, batch["x"])
        check_start("Jarzynski", GeneratorStart(self.base), batch["x"], 2 * self.num_chains, "base")
        xs, known = draw_noise(key, self.base, 2 * self.num_chains)
        energies = jax.vmap(freeze(model))(xs)
        _check_energies(energies)
        walkers = Walkers(xs, -energies - known, energies, energies)
        log_step = self._tuning.init(self.kernel) if isinstance(self.kernel, AbstractSampler) else None
        return JarzynskiState(Chains(walkers), jnp.zeros((), jnp.int32), jnp.zeros((), energies.dtype), log_step)

    def __call__(
        self, key: Key, model: AbstractEnergy, state: JarzynskiState, batch: Batch
    ) -> tuple[Scalar, tuple[JarzynskiState, Metrics]]:
        resample, draw, move = jax.random.split(key, 3)
        walkers: Walkers = state.walkers.states
        frozen = freeze(model)
        now = jax.vmap(frozen)(walkers.x)
        walkers = walkers._replace(log_weights=walkers.log_weights + walkers.energies - now, energies=now)
        metrics = self._measures(walkers)
        walkers, resampled = self._resampled(resample, walkers)
        walkers, correlation, refreshed, lost = self._refreshed(draw, walkers, state, frozen)
        loss, seen = self._loss(model, walkers, batch["x"])
        metrics |= seen
        metrics |= {"log_likelihood": -metrics["energy_data"] - metrics["log_z"]}
        metrics |= {"resampled": resampled, "refreshed": refreshed, "clone_correlation": correlation}
        walkers, log_step, told = self._moved(move, frozen, walkers, state.log_step, batch["x"])
        new = JarzynskiState(Chains(walkers), state.steps + 1, correlation, log_step)
        return loss, (new, metrics | told | {"evicted": told["evicted"] + lost})

    def _grouped(self, values: Array) -> Array:
        """[walkers] -> [halves, groups, members]."""
        return values.reshape(2, self.num_groups, -1)

    def _measures(self, walkers: Walkers) -> Metrics:
        """log Z of both halves and how many walkers carry the weight."""
        halves = self._grouped(walkers.log_weights)
        groups = jax.nn.logsumexp(halves, axis=-1) - jnp.log(jnp.asarray(halves.shape[-1], halves.dtype))
        (drive, _), (audit, error) = (log_mean_exp_error(half) for half in groups)
        ess = [effective_sample_size(half.ravel()) / self.num_chains for half in halves]
        told = {"log_z": audit, "log_z_error": error, "self_influence": drive - audit}
        return told | {"ess_drive": ess[0], "ess_audit": ess[1]}

    def _resampled(self, key: Key, walkers: Walkers) -> tuple[Walkers, Scalar]:
        """Groups whose weights have run together are drawn anew; the group's mean weight is kept by every member."""
        members = self.num_chains // self.num_groups
        rows = walkers.log_weights.reshape(-1, members)
        low = jax.vmap(effective_sample_size)(rows) < self.resample_below * members
        draw = SCHEMES[self.scheme]
        ancestors = jax.vmap(draw)(jax.random.split(key, rows.shape[0]), rows)
        ancestors = jnp.where(low[:, None], ancestors, jnp.arange(members, dtype=ancestors.dtype)[None, :])
        place = (ancestors + members * jnp.arange(rows.shape[0], dtype=ancestors.dtype)[:, None]).ravel()
        mean = jax.nn.logsumexp(rows, axis=1, keepdims=True) - jnp.log(jnp.asarray(members, rows.dtype))
        weights = jnp.where(low[:, None], jnp.broadcast_to(mean, rows.shape), rows).ravel()
        moved = jax.tree.map(lambda leaf: leaf[place], walkers)
        return moved._replace(log_weights=weights), jnp.mean(low.astype(rows.dtype))

    def _refreshed(
        self, key: Key, walkers: Walkers, state: JarzynskiState, frozen: AbstractEnergy
    ) -> tuple[Walkers, Scalar, Scalar, Scalar]:
        """Every `refresh` steps the drivers are drawn from the weighted auditors.

        Returns (walkers, correlation, whether it was done, how many left the finite on their own moves).
        """
        zero, none = jnp.zeros((), walkers.energies.dtype), jnp.zeros((), jnp.float32)
        if self.refresh is None:
            return walkers, state.clone_correlation, zero, none
        due = (state.steps > 0) & (state.steps % self.refresh == 0)
        half = self.num_chains

        def renew(_: None) -> tuple[Walkers, Scalar, Scalar]:
            weights = walkers.log_weights[half:]
            pick, apart = jax.random.split(key)
            chosen = half + SCHEMES[self.scheme](pick, weights)
            # draws come in the order of their ancestors: dealt out, so that no group is the copy of one group
            chosen = chosen.reshape(-1, self.num_groups).T.ravel()
            place = jnp.concatenate([chosen, half + jnp.arange(half, dtype=chosen.dtype)])
            mean = jax.nn.logsumexp(weights) - jnp.log(jnp.asarray(half, weights.dtype))
            found = jax.tree.map(lambda leaf: leaf[place], walkers)
            found = found._replace(
                log_weights=jnp.concatenate([jnp.full((half,), mean, weights.dtype), weights]), marks=found.energies
            )
            if not self.refresh_moves:
                return found, _correlation(walkers.marks[half:], walkers.energies[half:]), none
            parted, lost = self._apart(apart, found, state.log_step, frozen)
            return parted, _correlation(found.energies[:half], parted.energies[:half]), lost

        kept = (walkers, state.clone_correlation, none)
        walkers, correlation, lost = jax.lax.cond(due, renew, lambda _: kept, None)
        return walkers, correlation, due.astype(zero.dtype), lost

    def _apart(
        self, key: Key, walkers: Walkers, log_step: Scalar | None, frozen: AbstractEnergy
    ) -> tuple[Walkers, Scalar]:
        """The drivers, moved away from those they were copied from, and how many of them left the finite."""
        half = self.num_chains
        start, before = jax.tree.map(lambda leaf: leaf[:half], (walkers.x, walkers.energies))
        moved, gained = self._walked(key, frozen, start, before, log_step, self.refresh_moves)
        after = jax.vmap(frozen)(moved.x)
        parted = walkers._replace(
            x=jax.tree.map(lambda leaf, new: leaf.at[:half].set(new), walkers.x, moved.x),
            energies=walkers.energies.at[:half].set(after),
            log_weights=walkers.log_weights.at[:half].add(gained),
        )
        return parted, jnp.sum(~moved.good).astype(jnp.float32)

    def _walked(
        self,
        key: Key,
        frozen: AbstractEnergy,
        start: PyTree,
        before: Float[Array, " walkers"],
        log_step: Scalar | None,
        num_steps: int,
    ) -> tuple[Walk, Float[Array, " walkers"]]:
        """Transitions of the kernel -> (where they end, a pair's without Info; what the weights gain)."""
        if isinstance(self.kernel, AbstractPair):
            return self._by_pair(key, self.kernel, frozen, start, before, num_steps)
        return walk(key, self._tuning.apply(self.kernel, log_step), frozen, start, num_steps), jnp.zeros_like(before)

    def _told(self, moved: Walk, gained: Float[Array, " walkers"], log_step: Scalar | None, data: PyTree) -> Metrics:
        """How the walkers fared."""
        if isinstance(self.kernel, AbstractPair):
            lost = gained <= _NO_WEIGHT
            return {"divergent": jnp.mean(lost.astype(jnp.float32))} | standing(self.kernel, moved, data)
        return report(self._tuning.apply(self.kernel, log_step), moved, data)

    def _loss(self, model: AbstractEnergy, walkers: Walkers, xs: PyTree) -> tuple[Scalar, Metrics]:
        """mean E(data) minus the drivers' weighted mean energy."""
        half = self.num_chains
        drivers = jax.lax.stop_gradient(jax.tree.map(lambda leaf: leaf[:half], walkers.x))
        weights = jax.lax.stop_gradient(jax.nn.softmax(walkers.log_weights[:half]))
        energy_data, energies = jnp.mean(jax.vmap(model)(xs)), jax.vmap(model)(drivers)
        # a walker of no weight may stand where the energy is infinite; with none of any weight there is no mean
        alive = jnp.max(walkers.log_weights[:half]) > 0.5 * _NO_WEIGHT
        energy_model = jnp.where(alive, jnp.sum(jnp.where(weights > 0, weights * energies, 0.0)), jnp.nan)
        gap = energy_data - energy_model
        return gap, {"gap": gap, "energy_data": energy_data, "energy_model": energy_model}

    def _moved(
        self, key: Key, frozen: AbstractEnergy, walkers: Walkers, log_step: Scalar | None, data: PyTree
    ) -> tuple[Walkers, Scalar | None, Metrics]:
        """The walkers whose turn it is, moved under the model that they are weighted for."""
        choose, step = jax.random.split(key)
        slots = self._slots(choose)
        start = walkers.x if slots is None else jax.tree.map(lambda leaf: leaf[slots], walkers.x)
        before = walkers.energies if slots is None else walkers.energies[slots]
        moved, gained = self._walked(step, frozen, start, before, log_step, self.num_steps)
        told = self._told(moved, gained, log_step, data)
        log_step = self._tuning.update(log_step, moved.info)
        after = jax.vmap(frozen)(moved.x)
        if slots is None:
            weights = walkers.log_weights + gained
            return walkers._replace(x=moved.x, energies=after, log_weights=weights), log_step, told
        walkers = walkers._replace(
            x=jax.tree.map(lambda leaf, new: leaf.at[slots].set(new), walkers.x, moved.x),
            energies=walkers.energies.at[slots].set(after),
            log_weights=walkers.log_weights.at[slots].add(gained),
        )
        return walkers, log_step, told

    def _slots(self, key: Key) -> Int[Array, " moving"] | None:
        """Which walkers move: as many of each half."""
        if self.num_moving is None or self.num_moving == self.num_chains:
            return None
        every, num = jnp.arange(self.num_chains), self.num_moving
        first, second = (jax.random.choice(k, every, (num,), replace=False) for k in jax.random.split(key))
        return jnp.concatenate([first, self.num_chains + second])

    def _by_pair(
        self,
        key: Key,
        pair: AbstractPair,
        frozen: AbstractEnergy,
        start: PyTree,
        before: Float[Array, " walkers"],
        num_steps: int,
    ) -> tuple[Walk, Float[Array, " walkers"]]:
        """Steps of a pair -> (where they end, the weight that keeps the walkers standing for the same model)."""
        keys = chain_keys(key, before.shape[0])

        def body(carry: Any, index: Array) -> tuple[Any, None]:
            xs, total = carry
            new = jax.vmap(lambda k, x: pair.step(step_key(k, index), frozen, x))(keys, xs)
            return (new.x, total + new.log_ratio.astype(total.dtype)), None

        (ends, ratio), _ = jax.lax.scan(body, (start, jnp.zeros_like(before)), jnp.arange(num_steps))
        gained = before - jax.vmap(frozen)(ends) + ratio
        good: Bool[Array, " walkers"] = finite_rows(ends) & jnp.isfinite(gained)
        ends = where_rows(good, ends, start)  # one that left the finite stands where it stood, with no weight
        return Walk(ends, good, None), jnp.where(good, gained, jnp.asarray(_NO_WEIGHT, gained.dtype))


def _check_energies(energies: Float[Array, " walkers"]) -> None:
    """Raises ValueError unless all are finite, where they are known."""
    if isinstance(energies, jax.core.Tracer):
        return
    bad = np.flatnonzero(~np.isfinite(np.asarray(energies, np.float64)))
    if len(bad):
        got = f"{energies[bad[0]]} at walker {bad[0]}"
        raise ValueError(f"Jarzynski.base must draw walkers at which the model's energy is finite; got {got}.")


def _correlation(a: Float[Array, " n"], b: Float[Array, " n"]) -> Scalar:
    """Pearson's, 0 where one of the two does not vary."""
    a, b = a - jnp.mean(a), b - jnp.mean(b)
    size = jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))
    return jnp.sum(a * b) / jnp.where(size > 0, size, 1.0)
