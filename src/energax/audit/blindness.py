"""How much of a wrong mass each rule sees as two modes move apart, by quadrature on the line.

Source: Wenliang and Kanagawa (2020), Blindness of score-based methods to isolated components and mixing proportions,
arXiv:2008.10087, for score matching and the Stein discrepancy; CD-k as KL(p || q) - KL(p T^k || q): Hinton (2002),
doi:10.1162/089976602760128018, eq. (3); energy discrepancy as a difference of KL under noise: Schroeder et al.
(2023), Energy discrepancies, arXiv:2307.06431.
The truth p has masses .25 and .75, the model q equal ones, both with modes of unit width; KL(p || q) hardly depends on
their distance. Told is each rule's excess over its least value, relative to that at distance 2: what falls to 0 is
blind.
"""

import math
from collections.abc import Sequence

import numpy as np

RULES = ("KL", "score matching", "KSD", "CD-1", "CD-10", "energy discrepancy")
TRUE, MODEL = 0.25, 0.5
NODES, TAIL = 400, 6.0
BANDWIDTH, STEP, NOISE = 1.0, 1.0, 1.0
REFERENCE = 2.0


def blindness(distances: Sequence[float]) -> dict[str, np.ndarray]:
    """Each rule's excess at each distance between the modes, relative to that at distance 2.

    Args:
        distances: In standard deviations of a mode, > 0.

    Example:
        >>> found = blindness([2.0, 12.0])
        >>> bool(found["KL"][1] > 1.0), bool(found["score matching"][1] < 1e-3)
        (True, True)
    """
    rows = [excesses(distance) for distance in distances]
    start = excesses(REFERENCE)
    return {name: np.array([row[name] / start[name] for row in rows]) for name in RULES}


def excesses(distance: float) -> dict[str, float]:
    """What each rule pays for the model's wrong masses; 0 for the right ones.

    Args:
        distance: Between the modes, in their standard deviations, > 0.

    Raises:
        ValueError: The distance is not positive.
    """
    if not (math.isfinite(distance) and distance > 0):
        raise ValueError(f"excesses.distance must be > 0; got {distance}.")
    end = 0.5 * distance + TAIL
    x = np.linspace(-end, end, NODES)
    (p, p_score), (q, q_score) = (mixture(x, distance, mass) for mass in (TRUE, MODEL))
    gaps, wide = p_score - q_score, math.sqrt(1.0 + NOISE**2)
    kernel = np.exp(-0.5 * ((x[:, None] - x[None, :]) / BANDWIDTH) ** 2)
    moves = metropolis(x, q)
    blurred = [mixture(x, distance, mass, wide)[0] for mass in (TRUE, MODEL)]
    known = kl(p, q)
    return {
        "KL": known,
        "score matching": float(0.5 * p @ gaps**2),
        "KSD": float((p * gaps) @ kernel @ (p * gaps)),
        "CD-1": known - kl(p @ moves, q),
        "CD-10": known - kl(p @ np.linalg.matrix_power(moves, 10), q),
        "energy discrepancy": known - kl(blurred[0], blurred[1]),
    }


def mixture(x: np.ndarray, distance: float, mass: float, width: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the nodes under two modes, and the score there."""
    offsets = (np.array([-0.5, 0.5]) * distance)[:, None] - x[None, :]
    parts = np.array([mass, 1.0 - mass])[:, None] * np.exp(-0.5 * (offsets / width) ** 2)
    total = parts.sum(axis=0)
    return total / total.sum(), (parts * offsets).sum(axis=0) / (width**2 * total)


def metropolis(x: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The transition matrix of a Gaussian random walk on the nodes with a Metropolis test for q."""
    proposal = np.exp(-0.5 * ((x[:, None] - x[None, :]) / STEP) ** 2)
    proposal /= proposal.sum(axis=1).max()  # symmetric: what is missing stays where it is
    moves = proposal * np.minimum(1.0, q[None, :] / q[:, None])
    np.fill_diagonal(moves, 0.0)
    np.fill_diagonal(moves, 1.0 - moves.sum(axis=1))
    return moves


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p || q) of two tables, in nats."""
    inside = p > 0
    return float(np.sum(p[inside] * np.log(p[inside] / q[inside])))
