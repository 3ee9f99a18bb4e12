"""Real runs, good and bad, under the watchdog: which alarm each bad one raises and when, and that good ones raise none.

    python benchmarks/alarms.py                   all of them, some ten minutes
    python benchmarks/alarms.py --only "moons"    those whose words hold this
    python benchmarks/alarms.py --write           and put the tables into docs/reliability.md

Every run is a recipe and `key=value` words, as `energax train` takes them. Bad ones are run for a tenth of their length:
what has not been called by then counts as missed. Good ones are run to their end.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
from results import put

from energax.runtime.alarms import Watchdog
from energax.runtime.build import build
from energax.runtime.config import resolve
from energax.runtime.limits import Settings
from energax.runtime.loop import Look, fit

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
LENGTH = 1500

ULA, WILD = "sampler.kind=ula", ("optimizer.clip=null", "optimizer.schedule=constant")
BAD = {
    "unstable Langevin": ("moons-pcd", ULA, "sampler.step_size=1.5"),
    "unstable Langevin from the data": ("moons-cd", ULA, "sampler.step_size=2"),
    "unstable Langevin, replay buffer": ("pinwheel-pcd", "objective=replay_sgld", "objective.step_size=3"),
    "proposals that are never taken": ("moons-pcd", "sampler.kind=mala", "sampler.step_size=30", "sampler.adapt_target=null"),
    "a trajectory far too long": ("rings-pcd", "sampler.kind=hmc", "sampler.step_size=5", "sampler.adapt_target=null"),
    "steps that go nowhere": ("moons-pcd", "sampler.kind=mala", "sampler.step_size=1e-7", "sampler.adapt_target=null"),
    "a rate far too high": ("moons-pcd", "optimizer.learning_rate=0.3", *WILD),
    "a rate far too high, data's own chains": ("spirals-pcd", "objective=contrastive_divergence", "optimizer.learning_rate=1", *WILD),
    "a rate far too high, score matching": ("moons-dsm", "objective=score_matching", "optimizer.learning_rate=1", *WILD),
    "a rate far too high, denoising": ("moons-dsm", "optimizer.learning_rate=3", *WILD),
    "a rate far too high, noise-contrastive": ("moons-pcd", "objective=nce", "optimizer.learning_rate=3", *WILD),
    "an energy that does not grow at infinity": ("moons-pcd", "energy.base=none", ULA, "sampler.step_size=0.3"),
    "auditors that are copies": (
        "moons-pcd", "objective=jarzynski", "objective.refresh=5", "objective.refresh_moves=0",
        "sampler.step_size=1e-4", "sampler.adapt_target=null",
    ),
    "weighted walkers that cannot follow": (
        "moons-pcd", "objective=jarzynski", "objective.refresh=null", "sampler.step_size=1e-5",
        "sampler.adapt_target=null", "optimizer.learning_rate=0.03", "optimizer.clip=null",
    ),
    "weighted walkers that drive what they are judged by": (
        "moons-pcd", "objective=jarzynski", "objective.refresh=null", "objective.num_chains=64", "objective.num_steps=1",
        "sampler.step_size=1e-3", "sampler.adapt_target=null", "optimizer.learning_rate=0.03",
    ),
    "walkers born anew that get stuck": (
        "gaussians25-pcd", "objective.restart=0.05", "objective.num_steps=1", "sampler.adapt_target=null",
        "optimizer.learning_rate=0.01", "optimizer.clip=null",
    ),
    "cold Langevin": ("moons-pcd", "objective=replay_sgld", "objective.temperature=0.1"),
    "a few digits by heart": (
        "digits", "data.holdout=0.9", "training.evaluate_every=50", "optimizer.weight_decay=0", "optimizer.learning_rate=3e-3",
    ),
    "short runs that explode": ("moons-pcd", "objective=short_run", ULA, "sampler.step_size=1.5"),
}  # fmt: skip
GOOD = [
    *((f"{toy}-pcd",) for toy in ("moons", "rings", "pinwheel", "spirals", "gaussians25", "checkerboard", "swissroll")),
    *((f"{toy}-dsm",) for toy in ("moons", "rings", "pinwheel", "gaussians25", "checkerboard")),
    ("moons-cd",),
    ("moons-dsm-multiscale",),
    *(("moons-pcd", f"objective={kind}") for kind in (
        "nce", "jarzynski", "short_run", "tempered_pcd", "fast_weights_pcd", "sliced_score_matching",
        "energy_discrepancy", "ranking_nce", "self_normalised", "replay_sgld", "kernel_stein",
    )),
    ("pinwheel-pcd", "objective=jarzynski"),
    ("rings-pcd", "objective=nce"),
]  # fmt: skip


def alarms_of(words: tuple[str, ...], steps: int):
    """The alarms of the first `steps` steps of a run of LENGTH."""
    config = resolve(words[0], [*words[1:], f"training.steps={LENGTH}", "seed=1"])
    problem = build(config)
    dog, found = Watchdog(Settings.for_run(LENGTH)), []
    gap = problem.held_out_gap()

    def watch(look: Look) -> None:
        seldom = {name: np.append(np.full(len(look.steps) - 1, np.nan), value) for name, value in gap(look).items()}
        found.extend(dog.look(look.steps, {**look.metrics, **seldom}))

    fit(problem.trainer, problem.initial_state(), problem.stream, steps, steps_per_call=50, hooks=(watch,))
    return found


def main() -> None:
    """Runs what was asked and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="those whose name or words hold this")
    parser.add_argument("--write", action="store_true", help="refresh the tables of docs/reliability.md")
    asked = parser.parse_args()
    if asked.write and asked.only:
        parser.error("--write needs all of them")
    bad, good, wrong = [], [], 0
    for name, words in BAD.items():
        if asked.only in f"{name} {' '.join(words)}":
            found = alarms_of(words, LENGTH // 10)
            said = f"`{found[0].name}` at step {found[0].step}" if found else "**nothing**"
            wrong += not found
            bad.append(f"| {name} | `energax train {' '.join(words)}` | {said} |")
            print(bad[-1], flush=True)
    for words in GOOD:
        if asked.only in " ".join(words):
            found = alarms_of(words, LENGTH)
            said = ", ".join(f"**`{alarm.name}` at step {alarm.step}**" for alarm in found) or "nothing"
            wrong += bool(found)
            good.append(f"| `energax train {' '.join(words)}` | {said} |")
            print(good[-1], flush=True)
    if asked.write:
        lines = ["| what is wrong | run | called by |", "|---|---|---|", *bad, ""]
        lines += ["| good run | called |", "|---|---|", *good, ""]
        lines += [f"Runs of {LENGTH:,} steps, on {time.strftime('%Y-%m-%d')}."]
        put(PAGE, "alarms", "\n".join(lines))
    if wrong:
        raise SystemExit(f"{wrong} of {len(bad) + len(good)} runs were judged wrongly.")


if __name__ == "__main__":
    main()
