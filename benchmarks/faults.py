"""Reruns every fault injection at full size and prints what was lost and what passed in silence.

    python benchmarks/faults.py                  all of it, about a quarter of an hour on two cores
    python benchmarks/faults.py --only kills     one of them
    python benchmarks/faults.py --quick          a twentieth of the numbers
    python benchmarks/faults.py --write          and put the table into docs/reliability.md

The injections themselves are in tests/runtime/attacks; the test suite runs them in small.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import put

ROOT = Path(__file__).resolve().parents[1]
ATTACKS = ROOT / "tests" / "runtime" / "attacks"
PAGE = ROOT / "docs" / "reliability.md"

# name -> (script, its word, how many, what is done, in a reader's words)
FAULTS = {
    "kills": ("faults.py", "kills", 1000, "SIGKILL at a random moment of a loop that saves"),
    "bits": ("faults.py", "bits", 1000, "one bit of the newest file flipped"),
    "truncations": ("faults.py", "truncations", 1000, "the newest file cut at a random byte"),
    "blocks": ("faults.py", "blocks", 1000, "4 KiB of the newest file zeroed"),
    "every truncation": ("faults.py", "every truncation", 0, "a small file cut at every single byte"),
    "refusals": ("faults.py", "refusals", 500, "the disk refuses: size limit, read-only folder, no space left"),
    "signals": ("faults.py", "signals", 200, "SIGINT or SIGTERM at a random moment of a training loop"),
    "second signals": ("faults.py", "second signals", 20, "a second signal inside a chunk of many seconds"),
    "writers": ("faults.py", "writers", 100, "races of 4 processes that save into one folder"),
    "dead holders": ("faults.py", "dead holders", 50, "a process killed while it holds the folder's lock"),
    "corpus": ("hostile.py", "corpus", 0, "hostile files (the attack corpus)"),
    "mutations": ("faults.py", "mutations", 100_000, "random mutations, two thirds with right digests"),
    "resume pcd": ("resume.py", "pcd", 20, "training by PCD killed and resumed"),
    "resume cd": ("resume.py", "cd", 20, "training by CD killed and resumed"),
    "resume dsm": ("resume.py", "dsm", 20, "training by denoising score matching killed and resumed"),
}


def measure(name: str, num: int, seed: int) -> dict[str, Any]:
    """One injection in a process and a folder of its own."""
    script, word, _, _ = FAULTS[name]
    with tempfile.TemporaryDirectory(prefix="energax-faults-") as folder:
        words = [sys.executable, str(ATTACKS / script), word, str(Path(folder) / "place"), str(num), str(seed)]
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
        began = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-3000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "name": name, "seconds": round(time.monotonic() - began, 1)}


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table, with a sum and where they were taken."""
    lines = ["| fault | N | lost | silent | besides |", "|---|---:|---:|---:|---|"]
    for row in rows:
        besides = ", ".join(f"{name}: {value:g}" for name, value in row["figures"].items())
        what = FAULTS[row["name"]][3]
        lines.append(f"| {what} | {row['injected']:,} | {row['lost']} | {row['silent']} | {besides} |")
    total = {key: sum(row[key] for row in rows) for key in ("injected", "lost", "silent")}
    lines.append(f"| **all** | **{total['injected']:,}** | **{total['lost']}** | **{total['silent']}** | |")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "safetensors", "numpy"))
    where = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
    return "\n".join([*lines, "", f"Taken on {time.strftime('%Y-%m-%d')}: {where}."])


def main() -> None:
    """Runs what was asked and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(FAULTS), help="one injection")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the numbers")
    parser.add_argument("--write", action="store_true", help="refresh the table of docs/reliability.md")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.write and (asked.only or asked.quick):
        parser.error("--write needs all injections at full size")
    rows = []
    for name in [asked.only] if asked.only else list(FAULTS):
        num = FAULTS[name][2]
        rows.append(measure(name, max(1, num // 20) if asked.quick else num, asked.seed))
        print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    if asked.write:
        put(PAGE, "faults", table(rows))
    if any(row["lost"] or row["silent"] for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
