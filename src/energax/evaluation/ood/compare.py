"""Every score that the arrays at hand allow, on known and on foreign samples, in one table.

The figures and their intervals are those of `detect`. Cost: that of the scores, and O(n log n) a resample. A table of
many scores has one that is best by chance: read the intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from energax.errors import ConfigError, did_you_mean

from ..detection import Detection, detect
from ..given import as_features, as_head, as_logits
from .detectors import Arrays, Detector, Scorer

_OFF = 1e-2  # of the largest logit: what bfloat16, in which an accelerator may have computed them, leaves
_WIDE = {"logits": "classes", "features": "columns"}


@dataclass(frozen=True)
class Comparison:
    """A table of detectors by foreign sets.

    Attributes:
        found: Score -> foreign set -> its figures.
        known: Score -> its values on known samples, [n].
        foreign: Score -> foreign set -> its values.
        left_out: Score -> why it was not taken, in words.
    """

    found: dict[str, dict[str, Detection]]
    known: dict[str, np.ndarray]
    foreign: dict[str, dict[str, np.ndarray]]
    left_out: dict[str, str]


def compare(
    shipped: Mapping[str, Detector],
    known: Arrays,
    foreign: Mapping[str, Arrays],
    learnt: Arrays | None = None,
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    num_bootstrap: int = 200,
) -> Comparison:
    """Scores known samples against each foreign set by every detector that can be had.

    Args:
        shipped: Detectors by name, as `detectors()` gives them.
        known: Arrays of held-out samples of what the model knows.
        foreign: Set -> arrays of samples that it does not.
        learnt: Arrays of the training data, with the head; None where there are none.
        names: Which detectors; empty for all that the arrays allow.
        seed: Of the bootstrap.
        num_bootstrap: Resamples, >= 10.

    Raises:
        ConfigError: A name is of no detector, one that is asked for lacks an array, or none can be had.
        ValueError: An array is not as its detector wants it; a foreign set has more or fewer classes or features than
            the known samples; or the head does not make logits of features: a head of another layer, or classes in
            another order, would give scores of no model.

    Example:
        >>> from energax.evaluation.ood import detectors
        >>> sure, unsure = {"logits": 9.0 * np.eye(3)}, {"logits": np.zeros((4, 3))}
        >>> found = compare(detectors(), sure, {"noise": unsure}, num_bootstrap=10).found
        >>> sorted(found), found["energy"]["noise"].auroc
        (['energy', 'entropy', 'max-logit', 'max-softmax'], 1.0)
    """
    for name in names:
        if name not in shipped:
            words = f"a score must be one of {', '.join(shipped)}; got {name!r}.{did_you_mean(name, shipped)}"
            raise ConfigError(words)
    if not foreign:
        raise ConfigError("compare: there must be a set of foreign samples; got none.")
    learnt = learnt or {}
    for label, arrays in foreign.items():
        _refuse_another_width(known, label, arrays)
    for side, arrays in {"of known samples": known, **{f"of the set {n!r}": a for n, a in foreign.items()}}.items():
        _refuse_another_head(side, arrays, learnt)
    _refuse_another_head("of the training data", learnt, learnt)
    left_out, found, ours, theirs = {}, {}, {}, {}
    for name in names or shipped:
        absent = _absent(shipped[name], known, foreign, learnt)
        if absent:
            left_out[name] = absent
            continue
        score = shipped[name].make(learnt)
        ours[name] = _scored(score, known, "the known samples")
        theirs[name] = {label: _scored(score, arrays, f"the set {label!r}") for label, arrays in foreign.items()}
        found[name] = {
            label: detect(ours[name], values, seed=seed, num_bootstrap=num_bootstrap)
            for label, values in theirs[name].items()
        }
    wanting = {name: why for name, why in left_out.items() if name in names}
    if wanting or not found:
        name, why = next(iter((wanting or left_out).items()))
        raise ConfigError(f"{name} must have the arrays that it needs; {why}.")
    return Comparison(found, ours, theirs, left_out)


def _scored(score: Scorer, arrays: Arrays, side: str) -> np.ndarray:
    """The score of one side; what it refuses is said with the side."""
    try:
        return score(arrays)
    except ValueError as error:
        raise ValueError(f"{side}: {error}") from None


def _refuse_another_width(known: Arrays, label: str, arrays: Arrays) -> None:
    """Raises ValueError where a foreign set is of another number of classes or features than the known samples."""
    for name, what in _WIDE.items():
        widths = [np.shape(side[name]) for side in (known, arrays) if name in side]
        if len(widths) == 2 and all(len(shape) == 2 for shape in widths) and widths[0][1] != widths[1][1]:
            raise ValueError(
                f"compare: {name} of the set {label!r} must have as many {what} as those of the known samples, "
                f"{widths[0][1]}; got {widths[1][1]}."
            )


def _absent(detector: Detector, known: Arrays, foreign: Mapping[str, Arrays], learnt: Arrays) -> str:
    """What a detector lacks, in words; empty where it lacks nothing."""
    sides = {"the known samples": known, **{f"the set {label!r}": arrays for label, arrays in foreign.items()}}
    for side, arrays in sides.items():
        missing = [name for name in detector.reads if name not in arrays]
        if missing:
            return (
                f"{side} have no {' and no '.join(missing)}"
                if side == "the known samples"
                else (f"{side} has no {' and no '.join(missing)}")
            )
    missing = [name for name in detector.learns if name not in learnt]
    return f"the training data have no {' and no '.join(missing)}" if missing else ""


def _refuse_another_head(side: str, arrays: Arrays, learnt: Arrays) -> None:
    """Raises ValueError unless weight @ features + bias are the logits, wherever all four are at hand."""
    if not all(name in arrays for name in ("logits", "features")) or not all(n in learnt for n in ("weight", "bias")):
        return
    weight, bias = as_head("compare", learnt["weight"], learnt["bias"])
    features, logits = as_features("compare", arrays["features"]), as_logits("compare", arrays["logits"])
    wanted = (len(features), len(weight))
    if (features.shape[1], logits.shape) != (weight.shape[1], wanted):
        raise ValueError(
            f"compare: weight [classes, dim] must make logits [n, classes] of features [n, dim] {side}; got shapes "
            f"{weight.shape}, {logits.shape} and {features.shape}."
        )
    off = np.abs(features @ weight.T + bias - logits).max()
    if off > _OFF * max(1.0, np.abs(logits).max()):
        raise ValueError(
            f"compare: weight @ features + bias must be the logits {side}; got a difference of up to {off:.4g} among "
            f"logits of up to {np.abs(logits).max():.4g}. The head may be transposed or its classes in another order."
        )
