"""Training rules of bits alone: they compare each datum with what it is after a change of one site, or of a few."""

from typing import ClassVar, Literal

from .fields import Count, NonNegative, OpenUnit, Rule


class _BitRule(Rule):
    family: ClassVar[str] = "of bits, without sampling"
    takes: ClassVar[tuple[str, ...]] = ("bits",)


class Pseudolikelihood(_BitRule):
    """Pseudolikelihood: every site is predicted from all others."""

    method: ClassVar[str] = "Pseudolikelihood"
    kind: Literal["pseudolikelihood"] = "pseudolikelihood"


class RatioMatching(_BitRule):
    """Ratio matching: score matching for bits, by squares of bounded ratios of neighbours."""

    method: ClassVar[str] = "RatioMatching"
    kind: Literal["ratio_matching"] = "ratio_matching"


class MinimumProbabilityFlow(_BitRule):
    """Minimum probability flow: how fast probability would leave the data, made small."""

    method: ClassVar[str] = "MinimumProbabilityFlow"
    kind: Literal["minimum_probability_flow"] = "minimum_probability_flow"


class ConcreteScore(_BitRule):
    """Concrete score matching: ratios of neighbours themselves, for data that meet all of a datum's neighbours."""

    method: ClassVar[str] = "ConcreteScoreMatching"
    kind: Literal["concrete_score"] = "concrete_score"


class DiscreteEnergyDiscrepancy(_BitRule):
    """Energy discrepancy of bits: energies of the data against those of copies whose sites were changed twice."""

    method: ClassVar[str] = "DiscreteEnergyDiscrepancy"
    kind: Literal["discrete_energy_discrepancy"] = "discrete_energy_discrepancy"
    change: OpenUnit = 0.1
    """Probability that a site changes in a round."""
    ratio: Count = 16
    """Copies a datum."""
    stabilisation: NonNegative = 1.0
    """1 keeps the loss bounded below, 0 is unbiased as `ratio` grows."""
