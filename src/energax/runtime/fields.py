"""What the groups of a recipe are made of: a closed frozen model, and numbers that are no booleans, in ranges."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _number(value: Any) -> Any:
    """Refuses booleans, which Python takes for 0 and 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Number = BeforeValidator(_number)
_MOST = 1_000_000_000
Count = Annotated[int, Number, Field(ge=1, le=_MOST)]
CountOrNone = Annotated[int, Number, Field(ge=0, le=_MOST)]
Positive = Annotated[float, Number, Field(gt=0)]
NonNegative = Annotated[float, Number, Field(ge=0)]
OpenUnit = Annotated[float, Number, Field(gt=0, lt=1)]
HalfOpenUnit = Annotated[float, Number, Field(ge=0, lt=1)]
ClosedUnit = Annotated[float, Number, Field(ge=0, le=1)]
UpToOne = Annotated[float, Number, Field(gt=0, le=1)]


class Group(BaseModel):
    """What all groups of keys share: frozen, closed, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Rule(Group):
    """A training rule. The first line of its docstring is what `energax recipes --objectives` says of it."""

    family: ClassVar[str]
    """The heading under which it is listed."""
    method: ClassVar[str]
    """The class of `energax.objectives` that does it."""
    adapts: ClassVar[bool] = False
    """Whether it adapts the sampler's step size to `sampler.adapt_target`."""
    takes: ClassVar[tuple[str, ...]] = ("real",)
    """What its data may be: "real", "bits", or both."""


def default_where(values: Any, field: str, default: Any, holds: bool, condition: str) -> Any:
    """Fills `field` in where it means something, and refuses it where it would do nothing."""
    if not isinstance(values, dict):
        return values
    if holds and values.get(field) is None:
        return {**values, field: default}
    if not holds and values.get(field) is not None:
        raise ValueError(f"{field} must be null unless {condition}; got {values[field]!r}")
    return values
