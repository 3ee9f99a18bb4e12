"""The closed schema of a recipe: frozen pydantic models, every field with its range, its unit and its default.

Nothing in here is a name that could be imported: each kind, activation, set and schedule is one of a fixed list, and
`runtime.build` turns it into objects.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from energax.errors import did_you_mean

from .fields import Count, CountOrNone, Group, HalfOpenUnit, NonNegative, Number, OpenUnit
from .objectives import Objective, rules
from .parts import BIT_SAMPLERS, SAMPLERS, Adam, Energy, Mala, Optimizer, Sampler
from .refusals import shown
from .sampling_free_rules import AnnealedDenoising

TOYS = ("moons", "rings", "checkerboard", "gaussians25", "pinwheel", "swissroll", "spirals", "mixture")
IMAGES = ("digits", "mnist5k", "mnist", "fashion-mnist", "patches")
TABLES = ("wine", "breast-cancer", "iris", "diabetes")
PATTERNS = ("bars-and-stripes",)
DATA_NAMES = (*IMAGES, *TABLES, *TOYS, *PATTERNS)
Baseline = Literal["gaussian", "gmm10", "kde", "bits", "bmm10"]
DENSITIES: tuple[Baseline, ...] = ("gaussian", "gmm10", "kde")
LAWS: tuple[Baseline, ...] = ("bits", "bmm10")
"""Baselines of real numbers, and of bits."""
IMAGE_SHIFTS = ("upside-down", "shuffled-pixels", "inverted")
Shift = Literal[
    "upside-down", "blends", "gaussian-fit", "uniform", "shuffled-pixels", "inverted", "shuffled-columns", "left-out"
]
FILE_ENDINGS = (".npy", ".npz", ".csv")


# ---- data ------------------------------------------------------------------------------------------------------------


class DataOptions(Group):
    """What may be said to a data set; what it does not know is refused."""

    layout: Literal["flat", "image"] | None = None
    """Shape of one image: `flat` is [height * width], `image` is [height, width, channels]. Image sets only."""
    n_train: Count | None = None
    """How many samples are drawn before the held-out part is cut off. Toys, patterns and `patches` only."""
    dim: Annotated[int, Number, Field(ge=1, le=4096)] | None = None
    """Dimension of the space. `mixture` only."""
    classes: tuple[CountOrNone, ...] | None = None
    """Labels to keep; the others are left out (and can be scored as `left-out`). Labelled sets only."""
    labels: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Where the labels are: a column of a .csv, an array of an .npz. The user's own files only."""
    standardise: bool | None = None
    """Whether columns are centred and divided by their standard deviation. Tables and the user's own files only."""


def _is_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith(FILE_ENDINGS) or name.startswith(".")


def options_taken(name: str) -> frozenset[str]:
    """The fields of `DataOptions` that mean something for a data set."""
    taken = set()
    if name in IMAGES or _is_path(name):
        taken.add("layout")
    if name in (*TOYS, *PATTERNS) or name == "patches":
        taken.add("n_train")
    if name == "mixture":
        taken.add("dim")
    if _is_path(name):
        taken.add("labels")
    if _is_path(name) or name in TABLES:
        taken.add("standardise")
    if _is_path(name) or (name in (*IMAGES, *TABLES) and name not in ("patches", "diabetes")):
        taken.add("classes")
    return frozenset(taken)


class Data(Group):
    """Where the samples come from and in which coordinates they are modelled."""

    name: Annotated[str, Field(min_length=1, max_length=1024)]
    """A name that `energax data` lists, or a path to a .npy, .npz or .csv file or to a folder of images."""
    options: DataOptions = DataOptions()
    holdout: OpenUnit = 0.2
    """Fraction of the rows that training never sees."""
    noise: NonNegative = 0.0
    """Standard deviation of the Gaussian noise that makes grey levels a density, in the units of x; 0 for none."""
    threshold: Annotated[float, Number] | None = None
    """Bits are made of the data: 1 above it, else 0. For an energy of bits, which needs it; null keeps real numbers."""
    whiten: Literal["full", "diagonal", "none"] = "none"
    """Coordinates of the model: z = L^-1 (x - mean), with L L^T the training covariance (or its diagonal) + noise^2."""

    @property
    def is_path(self) -> bool:
        """Whether the name is a file or a folder of the user's own."""
        return _is_path(self.name)

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if "://" in self.name:
            raise ValueError(f"data.name must be a name or a path on this machine; got {self.name!r}")
        if not self.is_path and self.name not in DATA_NAMES:
            raise ValueError(
                "data.name must be one that `energax data` lists, or a path with a slash or an ending of "
                f"{', '.join(FILE_ENDINGS)}; got {self.name!r}.{did_you_mean(self.name, DATA_NAMES)}"
            )
        for option in DataOptions.model_fields:
            value = getattr(self.options, option)
            if value is not None and option not in options_taken(self.name):
                raise ValueError(f"data.options.{option} must be null for {self.name!r}; got {value!r}")
        return self


# ---- training, evaluation, the whole ---------------------------------------------------------------------------------


class Training(Group):
    """How long, how often the loop looks up, and what it does when numbers go bad."""

    steps: Count = 3000
    batch_size: Count = 512
    ema: HalfOpenUnit = 0.995
    """Decay of the averaged model that is evaluated; 0 evaluates the last one."""
    steps_per_call: Count = 50
    """Steps of one compiled scan; the loop logs, saves and stops only between scans."""
    log_every: Count = 50
    checkpoint_every: Count = 500
    keep: Annotated[int, Number, Field(ge=1, le=1000)] = 2
    """Checkpoints that are kept, newest first."""
    evaluate_every: CountOrNone = 0
    """Steps between looks at the held-out energy gap; 0 for only at the end."""
    shard_above: Count | None = None
    """On several devices, weights and moments of at least so many numbers are cut over them; null copies all."""
    on_divergence: Literal["rollback", "stop"] = "rollback"
    max_rollbacks: CountOrNone = 3

    @model_validator(mode="after")
    def _on_the_grid(self) -> Self:
        for name in ("log_every", "checkpoint_every", "evaluate_every"):
            value = getattr(self, name)
            grid = self.steps_per_call
            if value % grid:
                raise ValueError(f"training.{name} must be a multiple of training.steps_per_call ({grid}); got {value}")
        return self


class Evaluation(Group):
    """What is measured after training, and how long it may take."""

    samples: Count = 1000
    """Samples drawn from the model, over all chains."""
    chains: Annotated[int, Number, Field(ge=2, le=1_000_000)] = 100
    burn_in: CountOrNone = 200
    """Sampler steps thrown away before the first sample."""
    thin: Count = 10
    """Sampler steps between two samples of one chain."""
    ais_chains: Annotated[int, Number, Field(ge=2, le=1_000_000)] = 200
    ais_temperatures: Annotated[
        tuple[Annotated[int, Number, Field(ge=2, le=1_000_000)], ...], Field(min_length=1, max_length=8)
    ] = (200, 800)
    """Lengths of annealed importance sampling; two, so that they can disagree."""
    reverse: bool = True
    """Whether to anneal back from the ends of chains too, the other side of the bracket on log Z."""
    ood: tuple[Shift, ...] = ("gaussian-fit",)
    """Sets that are not the data, to be told from it by the energy."""
    baselines: tuple[Baseline, ...] = DENSITIES
    """Densities fitted to the same training data and scored beside the model; of bits: independent ones (`bits`) and a
    mixture of ten such (`bmm10`)."""
    grid: Annotated[int, Number, Field(ge=0, le=4000)] = 0
    """Points a side of the quadrature grid for 2-D models; 0 for none."""

    @model_validator(mode="after")
    def _lists_make_sense(self) -> Self:
        if list(self.ais_temperatures) != sorted(set(self.ais_temperatures)):
            raise ValueError(
                f"evaluation.ais_temperatures must rise from shortest to longest; got {list(self.ais_temperatures)}"
            )
        for name in ("ood", "baselines"):
            value = getattr(self, name)
            if len(set(value)) != len(value):
                raise ValueError(f"evaluation.{name} must name each set once; got {list(value)}")
        return self


class Tracking(Group):
    """Where metrics go beside metrics.jsonl, which is always written."""

    tensorboard: bool = False
    """Write TensorBoard events too; needs the extra `tracking`."""


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Config(Group):
    """One run: what is trained on what, how, and what is measured."""

    name: str
    """Name of the recipe, the first part of the run folder's name."""
    description: Annotated[str, Field(max_length=400)] = ""
    seed: Annotated[int, Number, Field(ge=0, lt=2**32)] = 0
    data: Data
    energy: Energy
    objective: Objective
    sampler: Sampler = Mala()
    optimizer: Optimizer = Adam()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    report: bool = True
    """Whether to write the HTML report at the end."""
    out: Annotated[str, Field(min_length=1, max_length=1024)] = "runs"
    """Folder that holds the run folders."""
    tracking: Tracking = Tracking()

    @property
    def is_of_bits(self) -> bool:
        """Whether the model is one of bits, and not of real numbers."""
        return self.energy.kind == "rbm"

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_bits(cls, values: Any) -> Any:
        """Where the energy is one of bits, its own sampler and baselines are meant if none are named."""
        energy = values.get("energy") if isinstance(values, dict) else None
        if not isinstance(energy, dict) or energy.get("kind") != "rbm":
            return values
        found = {"sampler": {"kind": "block_gibbs"}, **values}
        if isinstance(found.get("evaluation", {}), dict):
            found["evaluation"] = {"baselines": LAWS, **found.get("evaluation", {})}
        return found

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be lower-case letters, digits, '.', '_', '-' (at most 64); got {self.name!r}")
        if "\0" in self.out:
            raise ValueError(f"out must be the path of a folder; got {self.out!r}")
        if self.optimizer.warmup >= self.training.steps:
            raise ValueError(
                f"optimizer.warmup must be < training.steps ({self.training.steps}); got {self.optimizer.warmup}"
            )
        self._energy_fits_data()
        self._bits_are_bits()
        self._evaluation_fits_data()
        self._objective_fits()
        return self

    def _objective_fits(self) -> None:
        kind, target = self.objective.kind, getattr(self.sampler, "adapt_target", None)
        if target is not None and not self.objective.adapts:
            adapting = [name for name, rule in rules().items() if rule.adapts]
            raise ValueError(
                f"sampler.adapt_target must be null unless objective.kind is one of {', '.join(adapting)}; got {target}"
            )
        if isinstance(self.objective, AnnealedDenoising) and (self.objective.num_steps or 0) > self.training.steps:
            raise ValueError(
                f"objective.num_steps must be <= training.steps ({self.training.steps}), or the noise never reaches "
                f"objective.end; got {self.objective.num_steps}"
            )
        if kind == "telescoping_nce" and self.energy.kind != "mlp":
            raise ValueError(f"energy.kind must be mlp for objective.kind {kind}; got {self.energy.kind!r}")
        if kind == "jem" and not self.data.is_path and "classes" not in options_taken(self.data.name):
            raise ValueError(
                f"objective.kind must not be jem for {self.data.name!r}, which has no labels; got {kind!r}"
            )

    def _bits_are_bits(self) -> None:
        """An energy of bits and data, sampler, rule and baselines of bits go together, and so do those of reals."""
        kind, what = self.energy.kind, "bits" if self.is_of_bits else "real"
        if self.is_of_bits != (self.data.threshold is not None):
            must = "be a number, above which a value is 1," if self.is_of_bits else "be null"
            raise ValueError(f"data.threshold must {must} for energy.kind {kind}; got {shown(self.data.threshold)}")
        if self.is_of_bits and (self.data.noise or self.data.whiten != "none"):
            got = f"noise {self.data.noise:g} and whiten {self.data.whiten}"
            raise ValueError(f"data.noise must be 0 and data.whiten none for energy.kind {kind}; got {got}")
        samplers = [name for name in SAMPLERS if (name in BIT_SAMPLERS) == self.is_of_bits]
        if self.sampler.kind not in samplers:
            listed = ", ".join(samplers)
            raise ValueError(f"sampler.kind must be one of {listed} for energy.kind {kind}; got {self.sampler.kind!r}")
        known = [name for name, rule in rules().items() if what in rule.takes]
        if self.objective.kind not in known:
            raise ValueError(
                f"objective.kind must be a rule for {'bits' if self.is_of_bits else 'real numbers'}, since energy.kind "
                f"is {kind}: one of {', '.join(known)}; got {self.objective.kind!r}"
            )
        points = getattr(self.objective, "points", None)
        if self.is_of_bits and points is not None:
            raise ValueError(f"objective.points must be null for energy.kind {kind}; got {points}")
        for name in self.evaluation.baselines:
            if (name in LAWS) != self.is_of_bits:
                some = ", ".join(LAWS if self.is_of_bits else DENSITIES)
                raise ValueError(f"evaluation.baselines must be of {some} for energy.kind {kind}; got {name!r}")

    def _energy_fits_data(self) -> None:
        if self.energy.kind in ("mlp", "rbm"):
            return
        if not (self.data.name in IMAGES or self.data.is_path):
            raise ValueError(
                f"energy.kind must be mlp for {self.data.name!r}, which holds no images; got {self.energy.kind!r}"
            )

    def _evaluation_fits_data(self) -> None:
        if not self.data.is_path:
            images = self.data.name in (*IMAGES, *PATTERNS)
            foreign = ("shuffled-columns",) if images else IMAGE_SHIFTS
            kind = "images, no columns" if images else "no images"
            for name in self.evaluation.ood:
                if name in foreign:
                    raise ValueError(f"evaluation.ood must fit {self.data.name!r}, which holds {kind}; got {name!r}")
        if "left-out" in self.evaluation.ood and self.data.options.classes is None:
            raise ValueError(
                "evaluation.ood must not hold 'left-out' unless data.options.classes leaves some out; got 'left-out'"
            )
        plane = self.data.name in TOYS and (self.data.name != "mixture" or self.data.options.dim == 2)
        if self.evaluation.grid and not plane:
            where = f"{self.data.name!r}, which is no toy of two dimensions"
            raise ValueError(f"evaluation.grid must be 0 for {where}; got {self.evaluation.grid}")
