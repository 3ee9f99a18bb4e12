"""Writes docs/methods.md: the atlas of methods, from the `Source:` line of every method file."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "energies": "Energies",
    "samplers": "Samplers",
    "free_energy": "Free energies",
    "objectives": "Objectives",
    "evaluation": "Evaluation",
}


def entry(path: Path) -> tuple[str, str] | None:
    """(what the file computes, its source), or None for a file without a `Source:` line."""
    doc = ast.get_docstring(ast.parse(path.read_text())) or ""
    found = re.search(r"^Source:\s*(.*?)(?=\n\s*\n|\n[A-Z][a-z]+[^\n]*:|\Z)", doc, re.DOTALL | re.MULTILINE)
    if not found:
        return None
    return doc.split("\n")[0].rstrip("."), " ".join(found.group(1).split())


def classes(path: Path) -> str:
    """The public classes and functions a file defines."""
    body = ast.parse(path.read_text()).body
    names = [n.name for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef) and not n.name.startswith("_")]
    keep = [n for n in names if not n.endswith(("State", "Info"))]
    return ", ".join(f"`{n}`" for n in keep)


def page() -> str:
    """The atlas as Markdown."""
    lines = [
        "# Methods",
        "",
        "Every method, the paper it follows and the file it lives in. Generated from the `Source:` lines of the files.",
        "",
    ]
    for room, title in ROOMS.items():
        rows = []
        for path in sorted((ROOT / "src" / "energax" / room).glob("*.py")):
            found = None if path.name == "__init__.py" else entry(path)
            if found:
                what, source = (text.replace("|", "\\|") for text in found)
                tests = ROOT / "tests" / room / f"test_{path.stem}.py"
                tested = f"`tests/{room}/test_{path.stem}.py`" if tests.exists() else "contracts"
                rows.append(f"| {what} | {classes(path)} | {source} | `{room}/{path.name}` | {tested} |")
        if rows:
            lines += [f"## {title}", "", "| what | names | source | file | test |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


if __name__ == "__main__":
    (ROOT / "docs" / "methods.md").write_text(page())
