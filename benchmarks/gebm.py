"""The tables of docs/gebm.md, from a folder of cells as `energax gebm` keeps them.

energax gebm cora citeseer --splits 5 --out runs/gebm       trains and scores; hours on two busy cores
python benchmarks/gebm.py runs/gebm                         writes the tables between the marks of the page
"""

import sys
from pathlib import Path

from energax.report.gebm import markdown
from energax.systems.gebm import listing
from energax.systems.gebm.study import read
from energax.systems.gebm.table import tables

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gebm.md"
BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"


def main(folder: Path) -> None:
    """Rewrites what lies between the marks."""
    rows = [read(path) for path in sorted(folder.glob("*--*--*--*--*.json"))]
    lines = []
    for table in tables(rows):
        title = listing.backbones()[table.backbone].TITLE
        lines += [f"### {table.graph.capitalize()}, {title}", "", *markdown(table)]
        seconds = table.seconds["fit and score"]
        lines += [f"Fit and score of GEBM: {seconds:.2f} s of the wall clock on a busy machine.", ""]
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + END + after)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
