"""The watchdog's rules: what each one reads and concludes from one step, and the words it uses."""

import math
from collections.abc import Callable
from typing import NamedTuple

from .limits import Finding, Memory, Settings


class Rule(NamedTuple):
    """One rule: the metrics it needs (any of them), its judgement of one step, and its advice."""

    reads: tuple[str, ...]
    judge: Callable[[dict[str, float], Memory, Settings], Finding | None]
    advice: str


Row = dict[str, float]
_NUMBERS = ("loss", "gap", "grad_norm", "energy_data", "energy_model", "score_norm")


def _refused(row: Row) -> bool:
    return row.get("rejected", 0.0) > 0 or row.get("refused_elsewhere", 0.0) > 0


def _known(row: Row, name: str) -> float | None:
    value = row.get(name, math.nan)
    return value if math.isfinite(value) else None


def rejected(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """Training steps that were refused because something was not finite."""
    streak = memory.count(row["rejected"] > 0)
    if not streak:
        return None
    if streak >= settings.rejected_in_a_row:
        return Finding("stop", f"{streak:.0f} training steps in a row were refused: something in them was not finite.")
    return Finding("warn", "A training step was refused: something in it was not finite. Nothing of it was kept.")


def non_finite(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """A non-finite number in a step that was not refused."""
    del memory, settings
    bad = [name for name in _NUMBERS if name in row and not math.isfinite(row[name])]
    if not bad or _refused(row):
        return None
    return Finding("stop", f"{bad[0]} is {row[bad[0]]} in a step that was taken.")


def gradient(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """A gradient far above its running median; while that is not known yet, ten times as far above the first."""
    value = _known(row, "grad_norm")
    if value is None or _refused(row):
        return None
    trusted = memory.total >= settings.warm_up
    median = memory.scale(value, 0.5)
    if memory.last is None:
        memory.last = value
    limit = settings.gradient_ratio * (median if trusted else 10.0 * memory.last)
    streak = memory.count(value > limit > 0)
    if not streak:
        return None
    if not trusted:
        return Finding(
            "warn", f"The gradient norm is {value:.3g}, {value / memory.last:.3g} times that of the first step."
        )
    said = f"The gradient norm is {value:.3g}, {value / median:.3g} times its median so far ({median:.3g})"
    if streak >= max(3, settings.patience // 5):
        return Finding("stop", f"{said}, for {streak:.0f} steps in a row.")
    return Finding("warn", f"{said}.")


def acceptance_low(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """Walkers that hardly ever accept a move."""
    value = _known(row, "acceptance")
    if value is None:
        return None
    size, before = _known(row, "step_size"), memory.last
    adapting = size is not None and before is not None and size < 0.99 * before
    memory.last = size
    # While the step size is still coming down the walkers may be about to move again: wait three times as long.
    streak = memory.count(value < settings.acceptance_low, 1 / 3 if adapting else 1.0)
    if streak < settings.patience - 1e-6:
        return None
    message = f"Walkers accept {value:.2g} of their moves, under {settings.acceptance_low:g} for {streak:.0f} steps."
    return Finding("stop" if streak >= 4 * settings.patience else "warn", message)


def acceptance_high(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """Walkers whose moves are so small that all are accepted."""
    value = _known(row, "acceptance")
    if value is None:
        return None
    size, before = _known(row, "step_size"), memory.last
    memory.last = size
    adapting = size is not None and before is not None and size > 1.001 * before
    # Exactly 1 is the mark of a kernel without a test; it says nothing about how far walkers move. A little above the
    # bound is also what a flat young energy gives at a sound step size: there it must last five times as long.
    weight = 1.0 if 1 - value < 0.2 * (1 - settings.acceptance_high) else 0.2
    streak = memory.count(settings.acceptance_high < value < 1.0 and not adapting, weight)
    if streak < 2 * settings.patience - 1e-6:
        return None
    return Finding("warn", f"Walkers accept {value:.6f} of their moves, and have for long: they hardly move.")


def gap_blow_up(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """An energy gap (or loss) far beyond what it was."""
    name = "gap" if "gap" in row else "loss"
    value = _known(row, name)
    if value is None or _refused(row):
        return None
    trusted = memory.total >= max(settings.warm_up, settings.patience)
    typical = memory.scale(abs(value), 0.9)
    large = abs(value) > settings.gap_ratio * typical > 0 and (name == "loss" or abs(value) > settings.gap_floor)
    streak = memory.count(trusted and large)
    if streak < 3:
        return None
    what, unit = ("energy gap", " nats") if name == "gap" else ("loss", "")
    message = f"The {what} is {value:.3g}{unit}; it was within {typical:.3g} for nine tenths of the run."
    return Finding("stop" if streak >= max(10, settings.patience) else "warn", message)


def walkers_away(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """Walkers far outside the box that holds the data."""
    value = row["walker_radius"]
    if math.isnan(value):
        return None
    streak = memory.count(value > settings.walker_radius)
    if streak < 5:
        return None
    message = f"A walker is {value:.3g} times as far out as the farthest data of its batch."
    far = value > 10 * settings.walker_radius or streak >= 4 * settings.patience
    return Finding("stop" if far else "warn", message)


def temperature(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """A chain that samples another temperature than the energy's."""
    del memory
    value = _known(row, "temperature")
    declared = settings.temperature
    if value is None:
        return None
    if declared is not None and abs(value - declared) > 0.05 * declared:
        return Finding("stop", f"Walkers are at temperature {value:.3g}; the recipe declares {declared:.3g}.")
    if abs(value - 1) > 0.05:
        return Finding("warn", f"Walkers are at temperature {value:.3g}, not 1.")
    return None


def evicted(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """Walkers that stopped being finite and were replaced."""
    value = row["evicted"]
    streak = memory.count(value > 0)
    if not streak:
        return None
    severity = "stop" if streak >= settings.patience else "warn"
    said = f"{value:g} walker(s) stopped being finite and were replaced ({streak:.0f} steps in a row)."
    return Finding(severity, said)


def divergent(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """Chains whose proposals meet non-finite energies."""
    value = _known(row, "divergent")
    if value is None:
        return None
    streak = memory.count(value > settings.divergent)
    if streak < max(5, settings.patience // 5):
        return None
    severity = "stop" if value > 0.5 and streak >= settings.patience else "warn"
    said = f"{100 * value:.0f} % of chains meet energies that are not finite, for {streak:.0f} steps."
    return Finding(severity, said)


def step_collapse(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """A step size that adaptation has driven to nothing."""
    value = _known(row, "step_size")
    if value is None:
        return None
    memory.largest = max(memory.largest, value)
    if memory.count(value < settings.step_collapse * memory.largest) < max(5, settings.patience // 5):
        return None
    return Finding("warn", f"The step size has fallen to {value:.3g}; it was {memory.largest:.3g}.")


def self_influence(row: Row, memory: Memory, settings: Settings) -> Finding | None:
    """Walkers that drive the gradient and walkers that never do tell two values of log Z, for longer than a spike."""
    value = _known(row, "self_influence")
    streak = memory.count(value is not None and abs(value) > settings.self_influence)
    if value is None or streak < settings.patience:
        return None
    return Finding(
        "warn",
        f"Walkers that drive the gradient tell a log Z {value:+.2g} nats off that of the held-out ones, for "
        f"{streak:.0f} steps (> {settings.self_influence:g}).",
    )


def beyond(
    name: str, limit: str, said: str, *, under: bool = False
) -> Callable[[Row, Memory, Settings], Finding | None]:
    """A rule for what is measured now and then: one measured value beyond its limit is enough for a warning."""

    def judge(row: Row, memory: Memory, settings: Settings) -> Finding | None:
        value, bound = _known(row, name), float(getattr(settings, limit))
        if value is not None:
            memory.count((value < bound) if under else (value > bound))
            memory.last = value
        # Between two measurements the last one holds, so that one bad stretch is one episode.
        if not memory.streak or memory.last is None:
            return None
        return Finding("warn", said.format(value=memory.last, bound=bound))

    return judge


def too_few(name: str, limit: str, said: str) -> Callable[[Row, Memory, Settings], Finding | None]:
    """A rule for effective fractions that are told in every step: under its limit for longer than a dip."""

    def judge(row: Row, memory: Memory, settings: Settings) -> Finding | None:
        value, bound = _known(row, name), float(getattr(settings, limit))
        streak = memory.count(value is not None and value < bound)
        if value is None or streak < settings.patience:
            return None
        return Finding("warn", said.format(value=value, bound=bound, streak=streak))

    return judge


_SMALLER = "Lower the learning rate or the sampler's step size; clip the gradient (1.0)."

RULES: dict[str, Rule] = {
    "rejected-step": Rule(
        ("rejected",), rejected,
        f"Look for extreme values in the data and for an energy that can overflow. {_SMALLER}",
    ),
    "non-finite": Rule(_NUMBERS, non_finite, f"The run cannot be trusted from here on. {_SMALLER}"),
    "gradient": Rule(
        ("grad_norm",), gradient,
        "The energy is being driven away, most often by walkers that stick where they are or by an unstable "
        f"sampler. Use MALA rather than ULA, do not restart walkers at random. {_SMALLER}",
    ),
    "acceptance-low": Rule(
        ("acceptance",), acceptance_low,
        "Walkers stick: the energy under them is pushed up for ever while the model elsewhere is not seen. Lower "
        "or adapt the step size (adapt_target 0.75), set restart to 0, lower the learning rate.",
    ),
    "acceptance-high": Rule(
        ("acceptance",), acceptance_high,
        "The walkers lag behind the model. Raise the step size or adapt it (adapt_target 0.75).",
    ),
    "gap": Rule(
        ("gap", "loss"), gap_blow_up,
        f"The negatives no longer resemble the model's samples. {_SMALLER} Take more sampler steps, or a base "
        "energy.",
    ),
    "walkers-away": Rule(
        ("walker_radius",), walkers_away,
        "The energy may not grow at infinity, or the sampler is unstable. Give the energy a base (Gaussian), use "
        "MALA rather than ULA, lower the step size.",
    ),
    "temperature": Rule(
        ("temperature",), temperature,
        "Curves look stable, but the density learned is too flat or too sharp by this factor. Use noise of "
        "standard deviation sqrt(2 step_size), or declare the temperature and divide the energy by it.",
    ),
    "evicted": Rule(
        ("evicted",), evicted,
        "The sampler overflows: lower its step size, use MALA rather than ULA, scale the data.",
    ),
    "divergent": Rule(
        ("divergent",), divergent,
        "The step size is too large for the energy's curvature, or the energy overflows: lower it.",
    ),
    "step-collapse": Rule(
        ("step_size",), step_collapse,
        "Adaptation finds no step that is accepted: the energy has become too rough under the walkers. Lower the "
        "learning rate, clip the gradient, go back to an earlier checkpoint.",
    ),
    "held-out": Rule(
        ("held_out_gap",),
        beyond("held_out_gap", "held_out_gap", "Held-out data lie {value:.3g} nats above training data (> {bound:g})."),
        "The model learns the training set by heart. Stop earlier, raise the weight decay or the noise, use a "
        "smaller net.",
    ),
    "modes": Rule(
        ("mode_tv",),
        beyond("mode_tv", "mode_tv", "Walkers and data differ by {value:.2g} in the masses of modes (> {bound:g})."),
        "Walkers do not cross between modes, so their masses are not learned. Use more walkers, tempering, or "
        "weights with resampling; check the masses by annealed importance sampling.",
    ),
    "clones": Rule(
        ("clone_correlation",),
        beyond("clone_correlation", "clone_correlation",
               "Walkers resemble themselves at the last refresh: energies correlate by {value:.2g} (> {bound:g})."),
        "Refreshed walkers are still copies of the held-out ones, so that log Z and the gradient are biased again: "
        "raise refresh (100 to 150 steps is usual), or move the walkers further in a step.",
    ),
    "self-influence": Rule(
        ("self_influence",), self_influence,
        "The model flatters its own walkers, and the gradient is biased by as much: refresh the drivers more often "
        "(refresh 100), take more walkers, lower the learning rate or let it rise slowly (warmup).",
    ),
    "log-z": Rule(
        ("log_z_spread",),
        beyond("log_z_spread", "log_z_spread", "Two routes to log Z differ by {value:.3g} nats (> {bound:g})."),
        "The likelihood is not known to better than that. Anneal over more temperatures, with more chains.",
    ),
    "ess": Rule(
        ("ess_fraction",),
        beyond("ess_fraction", "ess_fraction", "The effective sample size is {value:.2g} of the actual (< {bound:g}).",
               under=True),
        "A few samples carry all the weight: anneal over more temperatures, from a base nearer to the model.",
    ),
    "weights": Rule(
        ("ess_audit",),
        too_few("ess_audit", "ess_walkers", "The walkers that never drive count as {value:.2g} of their number, for "
                "{streak:.0f} steps (< {bound:g})."),
        "A few walkers carry all the weight, so that log Z and the likelihood are theirs alone. Lower the learning "
        "rate or let it rise slowly (warmup), take more sampler steps or walkers, resample (resample_below 0.5).",
    ),
    "noise": Rule(
        ("noise_ess",),
        too_few("noise_ess", "ess_noise", "The noise counts as {value:.2g} of its number as draws of the model, for "
                "{streak:.0f} steps (< {bound:g})."),
        "Noise is told from the data by a glance, and little is learned from it: take noise nearer to the data, more "
        "of it (ratio), or levels between the two (telescoping_nce).",
    ),
    "rhat": Rule(
        ("rhat",), beyond("rhat", "rhat", "Split R-hat is {value:.4g} (> {bound:g})."),
        "Chains have not mixed: run them longer, adapt the step size, start them farther apart.",
    ),
}  # fmt: skip
