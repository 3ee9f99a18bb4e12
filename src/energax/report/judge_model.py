"""Judges of the model: do chains mix, is log Z known, does it beat the baselines, its floors and the outsiders."""

import math

from .gather import number, section
from .judgement import (
    AIS_ESS_BAD,
    AIS_ESS_WARN,
    COPY_WARN,
    EASY_OOD,
    ESS_BAD,
    ESS_WARN,
    FLOOR_WARN,
    KL_BAD,
    LEVELS,
    LOG_Z_AGREE,
    LOG_Z_BAD,
    MASS_BAD,
    MASS_WARN,
    OVERFIT_BAD,
    OVERFIT_WARN,
    RHAT_BAD,
    RHAT_WARN,
    Facts,
    Verdict,
    aurocs,
    dimensions,
    ess_share,
    floor_level,
    label,
    longest,
    nats,
    say,
)


def rhat(facts: Facts) -> Verdict:
    """Whether the chains describe one distribution."""
    value = number(section(facts.evaluation, "chains").get("rhat_max"))
    title = "Agreement of chains"
    stuck = section(facts.evaluation, "chains", "stuck")
    if any(stuck.values()):
        never = max(len(which) if isinstance(which, list) else 1 for which in stuck.values())
        return Verdict("bad", title, f"{never} chain(s) never moved in {', '.join(stuck)}: R-hat cannot be computed.")
    if value is None or math.isnan(value):
        return Verdict("unknown", title, "R-hat was not measured, so nothing is known of mixing between chains.")
    sentence = f"The largest split R-hat is {say(value, 4)} (above {RHAT_WARN} is a warning, above {RHAT_BAD} is bad)."
    if value > RHAT_WARN:
        meaning = (
            " The chains do not describe one distribution yet; run them longer or look for modes they do not share."
        )
        return Verdict("bad" if value > RHAT_BAD else "warn", title, sentence + meaning)
    return Verdict("ok", title, sentence)


def ess(facts: Facts) -> Verdict | None:
    """Whether the chains hold enough independent draws."""
    chains = section(facts.evaluation, "chains")
    sizes = {name: number(chains.get(f"ess_{name}_min")) for name in ("bulk", "tail")}
    known = {name: size for name, size in sizes.items() if size is not None and not math.isnan(size)}
    if not known:
        return None
    least = min(known.values())
    said = " and ".join(f"{say(size)} in the {name}" for name, size in known.items())
    draws, count = number(chains.get("num_draws")), number(chains.get("num_chains"))
    total = f" out of {say(draws * count, 12)} draws" if draws and count else ""
    sentence = f"Smallest effective sample size: {said}{total} (below {ESS_WARN:.0f} is a warning)."
    level = "ok" if least >= ESS_WARN else "warn" if least >= ESS_BAD else "bad"
    return Verdict(level, "Independent draws", sentence)


def log_z(facts: Facts) -> Verdict:
    """Whether the forward and the reverse route to log Z agree."""
    title = "Two routes to log Z"
    log_z = section(facts.evaluation, "log_z")
    forward, reverse = longest(log_z.get("forward")), longest(log_z.get("reverse"))
    if forward is None and reverse is None:
        return Verdict("unknown", title, "log Z was not estimated, so the likelihood has no check.")
    if forward is None or reverse is None:
        one = "forward" if reverse is None else "reverse"
        return Verdict(
            "warn", title, f"Only the {one} route was run: an estimate of log Z without a second route has no check."
        )
    within = number(log_z.get("agree_within")) or LOG_Z_AGREE
    low, high = number(forward["estimate"]) or 0.0, number(reverse["estimate"]) or 0.0
    apart = abs(high - low)
    sentence = (
        f"Forward {say(low, 5)} and reverse {say(high, 5)} nats differ by {say(apart)} "
        f"(up to {say(within)} counts as agreement)."
    )
    exact = number(log_z.get("exact"))
    if exact is not None:
        sentence += f" The exact value is {say(exact, 5)}; the forward route misses it by {say(low - exact)}."
    error = math.hypot(number(forward.get("se")) or 0.0, number(reverse.get("se")) or 0.0)
    if low - high > max(3 * error, 0.1):
        sentence += (
            " Reverse lies below forward, so it did not start from exact model samples and is no strict upper bound."
        )
    if not math.isfinite(apart) or apart > LOG_Z_BAD * within:
        return Verdict("bad", title, f"{sentence} Do not quote a likelihood from it.")
    spread = number(log_z.get("spread"))
    if apart <= within and spread is not None and spread > within:
        sentence += f" With the shorter runs the spread is {say(spread)}: their length still moves the estimate."
        return Verdict("warn", title, sentence)
    return Verdict("warn" if apart > within else "ok", title, sentence)


def ais_ess(facts: Facts) -> Verdict | None:
    """Whether enough annealed chains carry the weight."""
    runs = section(facts.evaluation, "log_z").get("forward")
    best = longest(runs)
    share = ess_share(best) if best else None
    if share is None:
        return None
    sentence = (
        f"The longest annealed run keeps {say(100 * share, 2)} % of its chains as effective (below "
        f"{100 * AIS_ESS_WARN:.0f} % is a warning): with fewer, a handful of chains decides log Z and its error bar "
        "is too small."
    )
    level = "ok" if share >= AIS_ESS_WARN else "warn" if share >= AIS_ESS_BAD else "bad"
    return Verdict(level, "Weight of the annealed chains", sentence)


def baselines(facts: Facts) -> Verdict | None:
    """Whether the held-out likelihood beats the best baseline beyond its error."""
    likelihood = section(facts.evaluation, "likelihood")
    ours = number(likelihood.get("nll_test"))
    others = {
        name: number(section(likelihood, "baselines", name).get("nll_test"))
        for name in section(likelihood, "baselines")
    }
    others = {name: value for name, value in others.items() if value is not None and math.isfinite(value)}
    title = "Likelihood beside baselines"
    if ours is None or not math.isfinite(ours):
        return Verdict("unknown", title, "No held-out likelihood was measured.")
    if not others:
        return Verdict("unknown", title, f"Held-out NLL {nats(ours)}, but no baseline to hold it against.")
    name = min(others, key=lambda key: others[key] or 0.0)
    best = others[name] or 0.0
    error = number(likelihood.get("nll_test_se")) or 0.0
    units = likelihood.get("units") or "nats"
    sentence = (
        f"Held-out NLL {nats(ours)} against {nats(best)} {units} for the best baseline, {label(name)} "
        "(lower is better)."
    )
    if ours > best:
        return Verdict("warn", title, f"{sentence} The baseline wins.")
    if best - ours < 2 * error:
        return Verdict(
            "warn", title, f"{sentence} The lead is within two standard errors ({say(error)}): call it a tie."
        )
    bracket = likelihood.get("nll_bracket")
    careful = number(bracket[1]) if isinstance(bracket, list) and len(bracket) == 2 else None
    if careful is not None and not careful < best:
        return Verdict(
            "warn", title, f"{sentence} The careful end of the bracket, {nats(careful)}, gives the lead away."
        )
    return Verdict("ok", title, sentence)


def overfit(facts: Facts) -> Verdict | None:
    """How far the held-out likelihood lies above that of the training data."""
    likelihood = section(facts.evaluation, "likelihood")
    test, train = number(likelihood.get("nll_test")), number(likelihood.get("nll_train"))
    if test is None or train is None or not math.isfinite(test - train):
        return None
    gap, dim = test - train, dimensions(facts.evaluation)
    if dim is None:
        said = f"Held-out NLL is {say(gap)} nats above that of the training data; the bar needs the shape of the data."
        return Verdict("unknown", "Overfitting", said)
    warn, bad = OVERFIT_WARN * dim, OVERFIT_BAD * dim
    error = number(likelihood.get("nll_test_se")) or 0.0
    sentence = (
        f"Held-out NLL is {say(gap)} nats {'above' if gap >= 0 else 'below'} that of the training data "
        f"(above {say(warn)}, or {OVERFIT_WARN} a dimension, is a warning)."
    )
    if gap <= max(warn, 2 * error):
        return Verdict("ok", "Overfitting", sentence)
    advice = " The model has begun to memorise: stop earlier or decay the weights."
    return Verdict("bad" if gap > bad else "warn", "Overfitting", sentence + advice)


def quality(facts: Facts) -> Verdict | None:
    """Whether the samples reach the floor that real data reach."""
    quality = section(facts.evaluation, "sample_quality")
    if not quality:
        return None
    title = "Sample quality"
    worst, far = "ok", []
    for name in quality:
        entry = section(quality, name)
        level = floor_level(name, entry)
        if level in ("warn", "bad"):
            far.append(f"{label(name)} {say(number(entry['value']))} (floor {say(number(entry['floor']))})")
            worst = max(worst, level, key=LEVELS.index)
    near = section(quality, "nearest_neighbour")
    ours, held = number(near.get("samples")), number(near.get("heldout"))
    if ours is not None and held and ours < COPY_WARN * held:
        far.append(
            f"samples lie {say(ours)} from their nearest training item, held-out data {say(held)}: they may be copies"
        )
        worst = max(worst, "warn", key=LEVELS.index)
    if far:
        return Verdict(worst, title, f"Above the train-versus-held-out floor: {'; '.join(far)}.")
    return Verdict(
        "ok",
        title,
        f"Every distance is at most {FLOOR_WARN} times its train-versus-held-out floor, or within its error.",
    )


def ood(facts: Facts) -> Verdict | None:
    """Whether the energy knows outsiders better than the baselines do, on sets that are hard."""
    table = aurocs(section(facts.evaluation, "ood"))
    hard = {name: row for name, row in table.items() if "energy" in row and min(row.values()) < EASY_OOD}
    if not table:
        return None
    title = "Out-of-distribution data"
    if not hard:
        return Verdict("unknown", title, f"Every score reaches {EASY_OOD} on every set: such sets prove nothing.")
    fooled = [name for name, row in hard.items() if row["energy"] < 0.5]
    lost = {name: max(row, key=lambda s: row[s]) for name, row in hard.items() if max(row.values()) > row["energy"]}
    sentence = (
        f"The energy has the best AUROC on {len(hard) - len(lost)} of {len(hard)} hard set{'s' * (len(hard) > 1)}."
    )
    if lost:
        sentence += (
            " A baseline wins on "
            + ", ".join(
                f"{name} ({label(s)} {say(hard[name][s])} against {say(hard[name]['energy'])})"
                for name, s in lost.items()
            )
            + "."
        )
    if fooled:
        sentence += f" Below 0.5 (outsiders look likelier than the data): {', '.join(fooled)}."
    return Verdict("warn" if lost or fooled else "ok", title, sentence)


def density(facts: Facts) -> Verdict | None:
    """How far the model is from the true density of the plane, or from the true law of few states."""
    density = section(facts.evaluation, "density2d") or section(facts.evaluation, "states")
    divergence, kde = number(density.get("kl_true_model")), number(density.get("kde_kl"))
    if divergence is None:
        return None
    title = "Density against the truth"
    sentence = f"KL(true ‖ model) is {say(divergence)} nats, exactly"
    sentence += f"; a kernel density of the same data has {say(kde)}." if kde is not None else "."
    true, model = density.get("mode_masses_true"), density.get("mode_masses_model")
    level = "bad" if not divergence <= KL_BAD else "warn" if kde is not None and divergence > kde else "ok"
    if isinstance(true, list) and isinstance(model, list) and len(true) == len(model) and true:
        off = max(abs((number(a) or 0.0) - (number(b) or 0.0)) for a, b in zip(true, model, strict=True))
        sentence += f" The mass of a mode is wrong by at most {say(off)} (above {MASS_WARN} is a warning)."
        masses = "bad" if off > MASS_BAD else "warn" if off > MASS_WARN else "ok"
        level = max(level, masses, key=LEVELS.index)
    return Verdict(level, title, sentence)
