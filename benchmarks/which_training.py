"""The audit of training methods: the tables and the figure of docs/which_training.md.

    python benchmarks/which_training.py                              every cell that is not there yet
    python benchmarks/which_training.py --only moons two_modes_50d/pcd,nce   some of them
    python benchmarks/which_training.py --only none --write          no cell; the page from what there is

Cells are those of `energax audit` (`--out` is its folder). Rows of earlier runs lie in benchmarks/audit.json and are not run again;
`--write` puts all rows there and their tables into the page. Seconds are process CPU seconds on one thread of a busy machine,
compilation excluded.
"""

import argparse
import datetime
import json
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

from results import put

from energax.audit import Cell, audit, cells, rows_of, summarise
from energax.report.audit import grouped, markdown, titles, write_audit, write_blindness

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "audit.json", HERE.parent / "docs" / "which_training.md"
FIGURE = PAGE.with_name("which_training.svg")


def restore(folder: Path) -> None:
    """Puts the rows of earlier runs where `energax audit` looks for them."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in json.loads(ROWS.read_text()) if ROWS.is_file() else []:
        path = folder / f"{row['problem']}--{row['method']}--{row['seed']}.json"
        if not path.exists():
            path.write_text(json.dumps(row))


def write(folder: Path) -> None:
    """The rows into one file, their tables and the figure into the page."""
    found = rows_of(folder)
    raw = [json.loads(path.read_text()) for path in sorted(folder.glob("*--*--*.json"))]
    ROWS.write_text("[\n" + ",\n".join(json.dumps(row) for row in raw) + "\n]\n")
    summaries = summarise(found)
    FIGURE.write_bytes(write_audit(folder, summaries, {})["svg"].read_bytes())
    PAGE.with_name("blindness.svg").write_bytes(write_blindness(folder)["svg"].read_bytes())
    groups = grouped(summaries)
    seeds = sorted({each.seeds for each in summaries})
    head = [
        f"Written on {datetime.date.today()}: {len(found)} runs of {len(groups)} problems, {seeds[0]} to {seeds[-1]} seeds.",
        "",
    ]
    text = "\n".join([*head, *markdown(summaries), "### Methods", "", *titles(each.method for each in summaries)])
    put(PAGE, "audit", text)


def main() -> None:
    """Runs the cells that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="*", default=[""], help="problem/method/seed, as in `energax audit`; none for none"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/audit"))
    parser.add_argument("--write", action="store_true", help="refresh docs/which_training.md")
    asked = parser.parse_args()
    restore(asked.out)
    for only in asked.only:
        if only != "none":
            wanted = [Cell(*each) for each in cells(only)]
            audit(
                asked.out,
                wanted,
                tell=lambda cell, row, is_new: print(cell.name, row.why or dict(row.figures), flush=True),
            )
    if asked.write:
        write(asked.out)


if __name__ == "__main__":
    main()
