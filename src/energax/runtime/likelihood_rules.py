"""Training rules that follow the likelihood: by walkers in many ways, or exactly on a grid or by a sum."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from .fields import ClosedUnit, Count, CountOrNone, HalfOpenUnit, NonNegative, Number, OpenUnit, Positive, Rule


class _Likelihood(Rule):
    family: ClassVar[str] = "likelihood, by walkers or exactly"
    takes: ClassVar[tuple[str, ...]] = ("real", "bits")


class PersistentCD(_Likelihood):
    """Persistent contrastive divergence: maximum likelihood with walkers that live on between the steps."""

    method: ClassVar[str] = "PersistentCD"
    adapts: ClassVar[bool] = True
    kind: Literal["persistent_cd"] = "persistent_cd"
    num_steps: Count = 5
    """Sampler steps of each walker per training step."""
    num_chains: Count = 512
    """Walkers that move in each training step."""
    buffer_size: Count | None = None
    """Walkers that are kept; None keeps exactly those that move."""
    restart: HalfOpenUnit = 0.0
    """Fraction of walkers born anew each step. Above 0 they may stick (see the alarms); 0 is the safe choice."""
    energy_penalty: NonNegative = 0.0
    """Weight of mean E(data)^2 + mean E(walkers)^2 in the loss."""

    @model_validator(mode="after")
    def _buffer_holds_walkers(self) -> Self:
        _check_buffer(self)
        return self


class ContrastiveDivergence(_Likelihood):
    """Contrastive divergence: short chains that start at the data of the batch."""

    method: ClassVar[str] = "ContrastiveDivergence"
    adapts: ClassVar[bool] = True
    kind: Literal["contrastive_divergence"] = "contrastive_divergence"
    num_steps: Count = 5
    """Sampler steps of each chain."""
    energy_penalty: NonNegative = 0.0
    """Weight of mean E(data)^2 + mean E(chains)^2 in the loss."""


class FastWeightsPCD(_Likelihood):
    """Persistent contrastive divergence whose walkers feel fast weights that are soon forgotten, and so mix better."""

    method: ClassVar[str] = "FastWeightsPCD"
    kind: Literal["fast_weights_pcd"] = "fast_weights_pcd"
    num_steps: Count = 5
    """Sampler steps of each walker per training step."""
    num_chains: Count = 512
    """Walkers, all of which move in each training step."""
    fast_rate: NonNegative = 0.01
    """Learning rate of the fast weights, as of a plain gradient step; 0 leaves persistent_cd."""
    decay: OpenUnit = 0.95
    """What is left of the fast weights after a step."""
    energy_penalty: NonNegative = 0.0
    """Weight of mean E(data)^2 + mean E(walkers)^2 in the loss."""


class TemperedPCD(_Likelihood):
    """Persistent contrastive divergence with a ladder of temperatures for every walker; the cold ends are negatives."""

    method: ClassVar[str] = "TemperedPCD"
    kind: Literal["tempered_pcd"] = "tempered_pcd"
    num_steps: Count = 3
    """Sampler steps of every level per training step, each followed by a round of swaps."""
    num_chains: Count = 256
    """Ladders."""
    num_levels: Annotated[int, Number, Field(ge=2, le=1000)] = 4
    """Temperatures of a ladder."""
    hottest: OpenUnit = 0.2
    """Inverse temperature of the hottest level; the levels between it and 1 are geometric."""
    energy_penalty: NonNegative = 0.0
    """Weight of mean E(data)^2 + mean E(negatives)^2 in the loss."""


class ReplaySGLD(_Likelihood):
    """Unadjusted Langevin walkers from a large replay buffer that is restarted bit by bit: persistent_cd as in IGEBM.

    Source: Du and Mordatch (2019), arXiv:1903.08689, sec. 3. The walkers have a step and a temperature of their own;
    the recipe's sampler only draws samples afterwards.
    """

    method: ClassVar[str] = "PersistentCD"
    takes: ClassVar[tuple[str, ...]] = ("real",)
    kind: Literal["replay_sgld"] = "replay_sgld"
    num_steps: Count = 20
    """Langevin steps of each walker that moves, per training step."""
    num_chains: Count = 256
    """Walkers that move in each training step."""
    buffer_size: Count = 2048
    """Walkers that are kept. Those that rest lag behind the model: the paper's 10,000 want a slow learning rate."""
    restart: HalfOpenUnit = 0.01
    """Fraction of walkers born anew each step; the paper's 0.05 wants walks that reach the data from the base."""
    step_size: Positive = 0.002
    """Step size h of the walkers, in squared units of x (noise sd is sqrt(2 h temperature))."""
    temperature: Positive = 1.0
    """Of the walkers. Below 1, as in the paper, another model is trained than the one that is measured."""
    energy_penalty: NonNegative = 1e-3
    """Weight of mean E(data)^2 + mean E(walkers)^2 in the loss; the paper's 1 is for cold walkers."""

    @model_validator(mode="after")
    def _buffer_holds_walkers(self) -> Self:
        _check_buffer(self)
        return self


class ShortRun(_Likelihood):
    """Short-run learning: every negative is so many transitions away from new noise, and is then thrown away."""

    method: ClassVar[str] = "ShortRun"
    kind: Literal["short_run"] = "short_run"
    num_steps: Count = 50
    """Sampler steps from the base to a negative: part of what is learned."""
    num_chains: Count = 256
    """Walkers in each training step."""
    energy_penalty: NonNegative = 0.0
    """Weight of mean E(data)^2 + mean E(walkers)^2 in the loss."""


class ImprovedCD(_Likelihood):
    """Improved contrastive divergence: with the term that goes through the walkers' step, and their entropy.

    The walkers are Langevin's, with a step of their own, since it is differentiated; the recipe's sampler only draws
    samples afterwards.
    """

    method: ClassVar[str] = "ImprovedCD"
    takes: ClassVar[tuple[str, ...]] = ("real",)
    kind: Literal["improved_cd"] = "improved_cd"
    num_steps: Count = 20
    """Langevin steps of each walker per training step."""
    num_chains: Count = 256
    """Walkers that move in each training step."""
    step_size: Positive = 0.002
    """Step size h of the walkers, in squared units of x."""
    num_samples: Count = 256
    """Walkers through whose next step the gradient goes, at most num_chains. In the plane few are mostly noise."""
    kl_weight: NonNegative = 1.0
    """Weight of the term through the step."""
    entropy_weight: NonNegative = 1.0
    """Weight of the nearest-neighbour entropy after the step."""

    @model_validator(mode="after")
    def _samples_are_walkers(self) -> Self:
        if self.num_samples > self.num_chains:
            raise ValueError(
                f"objective.num_samples must be <= objective.num_chains ({self.num_chains}); got {self.num_samples}"
            )
        return self


class Jarzynski(_Likelihood):
    """Jarzynski-corrected likelihood: walkers carry weights, and held-out ones tell log Z while training goes on.

    With the sampler `ula` the weights hold the whole ratio of its steps forwards and backwards, so that its bias too is
    corrected.
    """

    method: ClassVar[str] = "Jarzynski"
    adapts: ClassVar[bool] = True
    kind: Literal["jarzynski"] = "jarzynski"
    num_chains: Count = 512
    """Walkers of each half: those that drive, and the auditors that never do."""
    num_steps: Count = 2
    """Sampler steps of each walker that moves, per training step."""
    num_moving: Count | None = None
    """Walkers of each half that move in a training step, drawn at random; null moves all. All carry weight."""
    num_groups: Annotated[int, Number, Field(ge=2, le=1_000_000)] = 8
    """Parts of a half, resampled apart from each other; their spread is the error bar. num_chains is a multiple."""
    resample_below: ClosedUnit = 0.5
    """A group whose effective share of walkers falls below this is resampled; 0 never does."""
    scheme: Literal["systematic", "multinomial", "stratified", "residual"] = "systematic"
    """How it is resampled."""
    refresh: Count | None = 100
    """Training steps between two refreshes of the drivers from the auditors; null for none."""
    refresh_moves: CountOrNone = 100
    """Sampler steps that the new drivers make before they drive. Without a refresh there are none to make."""

    @model_validator(mode="after")
    def _groups_are_whole(self) -> Self:
        if self.num_chains % self.num_groups:
            raise ValueError(
                f"objective.num_chains must be a multiple of objective.num_groups ({self.num_groups}); "
                f"got {self.num_chains}"
            )
        if self.num_moving is not None and self.num_moving > self.num_chains:
            raise ValueError(
                f"objective.num_moving must be <= objective.num_chains ({self.num_chains}); got {self.num_moving}"
            )
        return self

    @model_validator(mode="after")
    def _moves_belong_to_a_refresh(self) -> Self:
        usual = type(self).model_fields["refresh_moves"].default
        if self.refresh is None and self.refresh_moves not in (0, usual):
            raise ValueError(
                f"objective.refresh_moves must be left out where objective.refresh is null; got {self.refresh_moves}"
            )
        return self


class ExactLikelihood(_Likelihood):
    """Exact maximum likelihood by quadrature in the plane, or by the sum over a machine's smaller layer.

    The yardstick of all others: for data of one or two numbers, and for machines with a layer of at most 16 units.
    """

    method: ClassVar[str] = "ExactLikelihood"
    kind: Literal["exact_likelihood"] = "exact_likelihood"
    points: Annotated[int, Number, Field(ge=10, le=1000)] | None = None
    """Nodes of the grid along each axis, real data only; null takes 100. Its box holds the data and half of their range
    around them."""


def _check_buffer(rule: Any) -> None:
    """Raises ValueError unless the buffer holds the walkers that move."""
    if rule.buffer_size is not None and rule.buffer_size < rule.num_chains:
        raise ValueError(
            f"objective.buffer_size must be >= objective.num_chains ({rule.num_chains}); got {rule.buffer_size}"
        )
