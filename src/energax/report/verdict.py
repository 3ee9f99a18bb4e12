"""The verdict on a run in plain words: each line has its figure, its threshold and a level.

Pure: dictionaries in, sentences out. The thresholds are the constants of `judgement`; the judges stand in `judge_run`
and `judge_model`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import judge_model, judge_run
from .judgement import LEVELS, Facts, Verdict

_JUDGES: tuple[Callable[[Facts], Verdict | None], ...] = (
    judge_run.finished,
    judge_run.alarms,
    judge_run.rejected,
    judge_run.settled,
    judge_run.acceptance,
    judge_run.temperature,
    judge_run.radius,
    judge_model.rhat,
    judge_model.ess,
    judge_model.log_z,
    judge_model.ais_ess,
    judge_model.baselines,
    judge_model.overfit,
    judge_model.quality,
    judge_model.ood,
    judge_model.density,
)


def verdicts(
    evaluation: Mapping[str, Any],
    run: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    alarms: Sequence[Mapping[str, Any]],
) -> list[Verdict]:
    """Judges a run.

    Args:
        evaluation: evaluation.json.
        run: run.json.
        metrics: Rows of metrics.jsonl by rising step.
        alarms: Rows of alarms.jsonl.

    Returns:
        The lines in reading order; a thing that does not apply to the run has no line.

    Example:
        >>> [v.level for v in verdicts({"chains": {"rhat_max": 1.2}}, {}, [], []) if v.title == "Agreement of chains"]
        ['bad']
    """
    facts = Facts(evaluation, run, metrics, alarms)
    lines = (judge(facts) for judge in _JUDGES)
    return [line for line in lines if line is not None]


def overall(lines: Sequence[Verdict]) -> Verdict:
    """The verdict of all lines in one."""
    counts = Counter(line.level for line in lines)
    names = {
        level: ", ".join(line.title[:1].lower() + line.title[1:] for line in lines if line.level == level)
        for level in LEVELS
    }
    unmeasured = f" Not measured: {names['unknown']}." if counts["unknown"] else ""
    if counts["bad"]:
        also = f" Also to be looked at: {names['warn']}." if counts["warn"] else ""
        return Verdict("bad", "Do not rely on this run", f"It fails on: {names['bad']}.{also}{unmeasured}")
    if counts["warn"]:
        return Verdict("warn", "Usable with care", f"To be looked at: {names['warn']}.{unmeasured}")
    if counts["ok"] and counts["unknown"] <= counts["ok"]:
        return Verdict("ok", "All that was checked is in order", f"{counts['ok']} checks passed.{unmeasured}")
    return Verdict("unknown", "Too little was measured to judge", unmeasured.strip() or "Nothing was measured.")
