"""One cell of the audit: a method trains on a problem to its budget, and is measured; what diverges is a row too."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import jax
import numpy as np
import optax

from energax.core import AbstractEnergy
from energax.data import Batches
from energax.runtime.loop import Look, fit
from energax.training import Phase, Trainer, TrainState

from .listing import methods, problems
from .measures import finite, measure
from .method import BATCH, Rule
from .problem import Diverged, Problem

CHUNK = 100
"""Steps of one compiled call."""
CLIP, EMA, LAST_RATE = 1.0, 0.995, 0.02
FAR = 100.0
"""KL to the truth, in nats, above which a run is called diverged."""


@dataclass(frozen=True)
class Cell:
    """Which cell: a problem, a method, a seed, and how much it may spend (None is the problem's own budget)."""

    problem: str
    method: str
    seed: int
    budget: int | None = None

    @property
    def name(self) -> str:
        """problem/method/seed."""
        return f"{self.problem}/{self.method}/{self.seed}"


@dataclass(frozen=True)
class Row:
    """What came of a cell.

    Attributes:
        problem: Its name.
        method: Its name.
        seed: The seed.
        budget: Evaluations that it was given.
        steps: Steps taken.
        diverged: Whether it ended nowhere: `why` says how.
        why: A sentence; empty where all went well.
        figures: What was measured, by name; None where the problem cannot tell it.
    """

    problem: str
    method: str
    seed: int
    budget: int
    steps: int
    diverged: bool = False
    why: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def budget(cell: Cell) -> int:
    """Evaluations that a cell may spend: its own number, or its problem's."""
    return _usual(cell.problem) if cell.budget is None else cell.budget


@cache
def _usual(problem: str) -> int:
    """A problem's own budget, the same for every seed."""
    return int(problems()[problem].make(0).budget)


def run(cell: Cell) -> Row:
    """Trains and measures one cell; a run that leaves the finite is a row that says so.

    Args:
        cell: Names that `listing` knows.

    Raises:
        Exception: Whatever else goes wrong: a method that is mistaken must not look like one that diverges.
    """
    problem = problems()[cell.problem].make(cell.seed)
    rule: Rule = methods()[cell.method].make(problem)
    allowed = problem.budget if cell.budget is None else cell.budget
    steps, spent = planned(rule, allowed)
    row: dict[str, Any] = {
        "problem": cell.problem,
        "method": cell.method,
        "seed": cell.seed,
        "budget": allowed,
        "steps": steps,
    }
    costs = {"evaluations": float(spent), "seconds": 0.0}
    try:
        trained, claimed, costs["seconds"] = train(problem, rule, steps, cell.seed)
        figures = measure(problem, trained, cell.seed) | costs
        if claimed is not None:
            live, own = claimed
            low, high = problem.look(live, cell.seed).log_z
            figures["log_z_error"] = own - 0.5 * (low + high)
    except Diverged as error:
        return Row(**row, diverged=True, why=str(error), figures=costs)
    why = "" if finite(figures) else "A figure is not finite."
    kl = figures["kl"]
    if kl is not None and kl > FAR:
        why = f"KL to the truth is above {FAR:g} nats."
    return Row(**row, diverged=bool(why), why=why, figures=figures)


def planned(rule: Rule, budget: int) -> tuple[int, int]:
    """(steps, evaluations) that the budget buys; steps fill whole chunks where there are more than one."""
    if rule.objective is None:
        return 0, rule.evaluations
    steps = max(1, budget // rule.evaluations) if rule.steps is None else min(rule.steps, budget)
    steps = steps if steps < CHUNK else steps // CHUNK * CHUNK
    return steps, steps * rule.evaluations


def train(
    problem: Problem, rule: Rule, steps: int, seed: int
) -> tuple[AbstractEnergy, tuple[AbstractEnergy, float] | None, float]:
    """-> (the averaged energy, (the last energy, the log Z that the method claims for it), CPU seconds).

    Seconds are of the whole training without the compilation: the first call of several is counted as the others' mean.

    Raises:
        Diverged: Every step of the last call was refused because its numbers were not finite.
    """
    if rule.objective is None:
        assert rule.fitted is not None
        began = time.process_time()
        energy = rule.fitted(seed)
        return energy, None, time.process_time() - began
    first, second = jax.random.split(jax.random.key(seed))
    model = rule.wrap(problem.model(first))
    stream = Batches({"x": problem.train}, min(BATCH, len(problem.train)), seed)
    adam = optimizer(problem.rate, steps)
    trainer = Trainer((Phase(rule.objective, adam),) if rule.players is None else rule.players(adam), EMA)
    clock, last = _Clock(), _Last()
    state = trainer.init(second, model, stream.batch(0))
    state = fit(trainer, state, stream, steps, steps_per_call=min(CHUNK, steps), hooks=[clock, last])
    if last.metrics["rejected"].min() > 0:
        raise Diverged("Training must stay finite; every step of the last call was refused.")
    ends = {name: float(values[-1]) for name, values in last.metrics.items()}
    claimed = None if rule.claim is None else (rule.energy(state.model), rule.claim(state.model, ends))
    return rule.energy(state.ema), claimed, clock.seconds


@cache
def optimizer(rate: float, steps: int) -> optax.GradientTransformation:
    """Adam with a cosine to a fiftieth and clipping; one object a setting, so that programs are shared by seeds."""
    schedule = optax.cosine_decay_schedule(rate, steps, LAST_RATE)
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(schedule))


class _Clock:
    """CPU seconds of calls, the first one, which compiles, replaced by the mean of the others."""

    def __init__(self) -> None:
        self._began, self._calls = time.process_time(), list[float]()

    def __call__(self, look: Look) -> TrainState | None:
        now = time.process_time()
        self._calls.append(now - self._began)
        self._began = now
        return None

    @property
    def seconds(self) -> float:
        """Of all calls."""
        rest = self._calls[1:]
        return sum(rest) + (float(np.mean(rest)) if rest else self._calls[0])


class _Last:
    """Keeps the metrics of the last call."""

    def __init__(self) -> None:
        self.metrics: dict[str, np.ndarray] = {}

    def __call__(self, look: Look) -> TrainState | None:
        self.metrics = look.metrics
        return None
