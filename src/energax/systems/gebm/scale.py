"""Puts distances on the scale of the logits of their class, by the central 95 % of both.

m'_c = l_lo,c + (m_c - m_lo,c) / (m_hi,c - m_lo,c) * (l_hi,c - l_lo,c), with lo and hi the ends of the central 95 % over
all nodes of the graph of the fit: of n sorted values those at floor(0.025 n) and floor(0.975 n) - 1.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, as its reference code computes it.
Exact invariance: distances times a positive constant give the same m'; a constant added to the logits of a class is
added to its m'. So no constant is left to tune.
Fails: distances or logits that do not vary in a class, and fewer than 3 nodes, are refused.
"""

from dataclasses import dataclass

import numpy as np

from . import arrays


@dataclass(frozen=True, eq=False)
class ScaleMatch:
    """The ends of the central 95 % of distances and of logits, each [classes]."""

    distance_low: np.ndarray
    distance_high: np.ndarray
    logit_low: np.ndarray
    logit_high: np.ndarray

    @classmethod
    def fit(cls, distances: np.ndarray, logits: np.ndarray) -> "ScaleMatch":
        """Reads both scales off all nodes.

        Args:
            distances: m_c(h), [nodes, classes].
            logits: [nodes, classes].

        Raises:
            ValueError: They are not finite or differ in shape, there are fewer than 3 nodes, or one of the two does not
                vary in a class.

        Example:
            >>> match = ScaleMatch.fit(np.arange(40.0)[:, None], 10.0 - np.arange(40.0)[:, None] / 2)
            >>> match.distance_low, match.distance_high, match.slope
            (array([1.]), array([38.]), array([0.5]))
        """
        distances = arrays.matrix("ScaleMatch", "distances", distances)
        logits = arrays.matrix("ScaleMatch", "logits", logits, *distances.shape)
        return cls(*_central("distances", distances), *_central("logits", logits))

    @property
    def slope(self) -> np.ndarray:
        """k_c = (l_hi - l_lo) / (m_hi - m_lo) > 0, [classes]."""
        return (self.logit_high - self.logit_low) / (self.distance_high - self.distance_low)

    def __call__(self, distances: np.ndarray) -> np.ndarray:
        """m' of distances [nodes, classes], in the units of the logits."""
        return self.logit_low + (distances - self.distance_low) * self.slope


def _central(what: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = int(np.floor(0.025 * len(values))), int(np.floor(0.975 * len(values))) - 1
    if high <= low:
        raise ValueError(f"ScaleMatch: a graph must have at least 3 nodes to fit on; got {len(values)}.")
    both = np.partition(values, (low, high), axis=0)[[low, high]].astype(np.float64)
    same = np.flatnonzero(both[0] >= both[1])
    if len(same):
        raise ValueError(
            f"ScaleMatch: {what} must vary over the nodes; those of class {same[0]} are all {both[0, same[0]]}."
        )
    return both[0], both[1]
