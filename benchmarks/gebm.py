"""The tables of docs/gebm.md, from a folder of cells as `energax gebm` keeps them.

energax gebm cora citeseer --splits 5 --out runs/gebm       trains and scores: MINUTES
python benchmarks/gebm.py runs/gebm                         writes the tables of its graphs; those of others stay
"""

import sys
from pathlib import Path

from results import put

from energax.report.gebm import markdown
from energax.systems.gebm import listing
from energax.systems.gebm.study import read
from energax.systems.gebm.table import tables

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gebm.md"


def main(folder: Path) -> None:
    """Rewrites what lies between the marks of each graph."""
    rows = [read(path) for path in sorted(folder.glob("*--gcn--*--*--*.json"))]
    if not rows:
        raise SystemExit(f"{folder} must hold cells of `energax gebm`; got none.")
    for table in tables(rows):
        title = listing.backbones()[table.backbone].TITLE
        seconds = table.seconds["fit and score"]
        told = f"Fit and score of GEBM: {seconds:.2f} s of the wall clock on a busy machine."
        put(PAGE, table.graph, "\n".join([f"### {table.graph.capitalize()}, {title}", "", *markdown(table), told]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
