"""A density estimator in the manner of scikit-learn: an energy-based model in three lines.

It is built of the same parts as a recipe of the command line: whitened coordinates, a dense network on a base density,
any training rule that `energax recipes --objectives` lists, log Z by quadrature or annealing.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from energax.core import AbstractEnergy, ConfigError, DivergenceError, checks
from energax.data import Dataset
from energax.evaluation import energy_values
from energax.free_energy import resample
from energax.objectives import box_nodes
from energax.runtime import measure
from energax.runtime.alarms import Alarm, Watchdog
from energax.runtime.build import Problem, assemble
from energax.runtime.config import configured
from energax.runtime.limits import Settings
from energax.runtime.loop import Look, fit
from energax.runtime.objectives import rules
from energax.samplers import init_chains, sample as run_chains, warm_up
from energax.training import TrainState

_ROWS = 1024  # of one compiled shape: what a row scores does not depend on the rows beside it
_POINTS = {1: 8000, 2: 400}  # nodes an axis, by dimension
_STARTS = 1000
_OWN = {
    "objective.kind": "objective",
    "energy.width": "width",
    "energy.depth": "depth",
    "energy.base": "base",
    "training.steps": "steps",
    "training.batch_size": "batch_size",
    "optimizer.learning_rate": "learning_rate",
    "seed": "random_state",
}
"""Keys of a recipe that are parameters of the estimator."""
_UNREAD = (
    *("name", "description", "report", "out", "tracking", "data.name", "data.options", "data.holdout"),
    *(f"training.{key}" for key in ("log_every", "checkpoint_every", "keep", "evaluate_every", "shard_above")),
    *("training.on_divergence", "training.max_rollbacks"),
    *(f"evaluation.{key}" for key in ("samples", "reverse", "ood", "baselines", "grid")),
)
"""Keys of a recipe that only a run of the command line reads."""


class EBM(DensityMixin, BaseEstimator):
    """An energy-based model of the rows of X: exp(-E(x)) / Z with a dense network in E.

    Training runs under the watchdog of the command line; its alarms are kept, and training that diverged raises.

    Args:
        objective: A training rule, by the name that `energax recipes --objectives` lists; not `jem`, which has labels.
        width: Units of each hidden layer.
        depth: Hidden layers.
        base: "gaussian" (standard deviation 1.5 in whitened coordinates), or "mixture", of ten Gaussians fitted to X:
            the model at step 0.
        steps: Training steps.
        batch_size: Rows of a step, at most those of X.
        learning_rate: Of Adam, falling to 1 % by a cosine.
        settings: Further keys of a recipe that speak of energy, rule, sampler, optimiser, training or log Z, as
            `{"objective.ratio": 8, "energy.fourier": 32}`; None for none. What would do nothing is refused.
        random_state: As everywhere in scikit-learn.

    Attributes:
        n_features_in_: Columns of X.
        energy_: The averaged model: the energy of one row in whitened coordinates.
        coordinates_: From rows to those coordinates.
        log_z_: log Z of the energy in whitened coordinates, nats: by quadrature for one or two columns, by annealed
            importance sampling for more.
        log_z_error_: Its standard error, nats; of a quadrature, the change by twice as many nodes an axis.
        alarms_: What the watchdog said in training.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> model = EBM("nce", steps=20, width=8, depth=1, random_state=0).fit(X)
        >>> model.score_samples(X[:3]).shape, model.sample(5, random_state=1).shape
        ((3,), (5, 2))
    """

    def __init__(
        self,
        objective: str = "persistent_cd",
        *,
        width: int = 64,
        depth: int = 3,
        base: str = "gaussian",
        steps: int = 2000,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ):
        self.objective = objective
        self.width = width
        self.depth = depth
        self.base = base
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "EBM":
        """Trains on the rows of X, and measures log Z.

        Args:
            X: Numbers, `[rows, columns]`, at least two rows; every column but a constant one has its scale taken out.
            y: Not read.

        Raises:
            ValueError: X is no such table, or a parameter is not valid.
            DivergenceError: Training left the sensible.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        problem = assemble(self._config(seed), *self._as_data(X))
        self.alarms_: list[Alarm] = []
        state = self._trained(problem)
        self.energy_ = problem.energy(state)
        self.coordinates_ = problem.coordinates
        self.sampler_ = measure.tuned_sampler(problem, state)
        self._burn_in, self._thin = problem.config.evaluation.burn_in, problem.config.evaluation.thin
        self._measure(problem, state, seed)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p of each row of X in nats, with log Z; `log_z_error_` is common to all rows."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        energies = _energies(self.energy_, self.coordinates_.forward(X))
        return -energies - self.log_z_ - float(self.coordinates_.log_det)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`: the log-likelihood of a row, in nats."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draws of the model, one a chain, `[n_samples, columns]`.

        Args:
            n_samples: How many, >= 1.
            random_state: As everywhere in scikit-learn.

        Raises:
            ValueError: `n_samples` is not an integer >= 1.
        """
        check_is_fitted(self)
        checks.count("EBM.sample", "n_samples", n_samples)
        rng = check_random_state(random_state)
        pick, tune, walk = jax.random.split(jax.random.key(int(rng.randint(2**31 - 1))), 3)
        rows = jax.random.randint(pick, (n_samples,), 0, len(self.starts_))
        chains = init_chains(self.sampler_, self.energy_, jnp.asarray(self.starts_)[rows])
        sampler = self.sampler_
        if self._burn_in:
            target = measure.TARGET[type(sampler).__name__]
            sampler, chains = warm_up(tune, sampler, self.energy_, chains, self._burn_in, target)
        draws = run_chains(walk, sampler, self.energy_, chains, 1, thin=self._thin)[1]
        return self.coordinates_.inverse(np.asarray(draws.x[:, -1], np.float64))

    def _config(self, seed: int) -> Any:
        """The recipe of these parameters."""
        adapts = self.objective in rules() and rules()[self.objective].adapts
        steps = self.steps
        tree: dict[str, Any] = {
            "name": "ebm",
            "seed": seed,
            "data": {"name": "./X.npy", "whiten": "full"},  # its rows are at hand: nothing is read
            "energy": {"kind": "mlp", "width": self.width, "depth": self.depth, "base": self.base},
            "objective": {"kind": self.objective},
            "sampler": {"kind": "mala", "step_size": 0.01, **({"adapt_target": 0.75} if adapts else {})},
            "optimizer": {"kind": "adam", "learning_rate": self.learning_rate},
            "training": {"steps": steps, "batch_size": self.batch_size},
            "evaluation": {"ais_temperatures": [400]},
        }
        if self.base == "gaussian":
            tree["energy"]["base_scale"] = 1.5
        settings = {} if self.settings is None else self.settings
        if not isinstance(settings, Mapping):
            raise ConfigError(f"EBM.settings must map keys of a recipe to values; got {type(settings).__name__}.")
        config = configured(tree, settings)
        if config.is_of_bits:
            raise ConfigError("EBM.settings must leave energy.kind to a network, of real numbers; got 'rbm'.")
        _check_settings(settings)
        return config

    def _as_data(self, X: np.ndarray) -> tuple[Dataset, Dataset]:
        rows = X.astype(np.float32)
        held = Dataset("X", rows, None, float(rows.min()), float(rows.max()), "given to fit", "its owner's")
        return held, held

    def _trained(self, problem: Problem) -> TrainState:
        training = problem.config.training
        dog = Watchdog(Settings.for_run(training.steps))

        def watch(look: Look) -> None:
            alarms = dog.look(look.steps, look.metrics)
            self.alarms_ += alarms
            for alarm in alarms:
                if alarm.severity == "stop":
                    text = f"EBM.fit: training diverged at step {alarm.step}: {alarm.message} {alarm.advice}"
                    raise DivergenceError(text, step=alarm.step, phase=alarm.phase)

        size = min(training.steps_per_call, training.steps)
        state = problem.initial_state()
        return fit(problem.trainer, state, problem.stream, training.steps, steps_per_call=size, hooks=(watch,))

    def _measure(self, problem: Problem, state: TrainState, seed: int) -> None:
        """log Z with its error, and where chains start."""
        dim, walkers = problem.train.dim, measure.walkers(state)
        anneal, pick = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2))
        if dim in _POINTS:
            nodes, weights = _quadrature(problem, _POINTS[dim])
            logs = weights - _energies(self.energy_, nodes)
            self.log_z_ = float(logsumexp(logs))
            few, light = _quadrature(problem, _POINTS[dim] // 2)
            self.log_z_error_ = abs(float(logsumexp(light - _energies(self.energy_, few))) - self.log_z_)
            starts = nodes[np.random.default_rng(seed).choice(len(nodes), _STARTS, p=np.exp(logs - self.log_z_))]
        else:
            found = measure.log_z_forward(anneal, problem, self.energy_, self.sampler_)[-1]
            self.log_z_, self.log_z_error_ = float(found.log_z), float(found.std_error)
            starts = np.asarray(resample(pick, found, _STARTS))
        self.starts_ = np.asarray(starts if walkers is None else walkers, np.float32)


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for keys that say what a parameter says, and for those that would do nothing."""
    for key in settings:
        if key in _OWN:
            raise ConfigError(f"EBM.settings must not hold {key}, which is the parameter {_OWN[key]}.")
        if any(key == unread or key.startswith(f"{unread}.") for unread in _UNREAD):
            raise ConfigError(f"EBM.settings must not hold {key}: an estimator does not read it.")


def _energies(energy: AbstractEnergy, z: np.ndarray) -> np.ndarray:
    """E of each row, whatever their number, by one compiled shape."""
    filled = np.resize(z, (-(-len(z) // _ROWS) * _ROWS, z.shape[1])).astype(np.float32)
    return energy_values(energy, filled, batch_size=_ROWS)[: len(z)]


def _quadrature(problem: Problem, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes over a box that holds the base and the data, and the logs of their weights."""
    rows = problem.to_model(problem.train.x, 3)
    scale = getattr(problem.config.energy, "base_scale", None) or 1.0
    half = np.maximum(6.0 * scale, 1.5 * np.abs(rows).max(axis=0))
    nodes, weights = box_nodes(tuple((-float(edge), float(edge)) for edge in half), points)
    return np.asarray(nodes, np.float64), np.asarray(weights, np.float64)
