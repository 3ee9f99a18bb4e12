"""Writes docs/methods.md: the atlas of methods, from the docstring of every file that has a `Source:` line.

Nothing is kept twice: what a method computes, whom it follows, what differs, what it leaves invariant, its cost and
where it fails are read where the code is.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "energax"
ROOMS = {
    "energies": "Energies",
    "samplers": "Samplers",
    "objectives": "Objectives",
    "free_energy": "Free energies",
    "evaluation": "Evaluation",
    "evaluation/ood": "Out-of-distribution scores",
    "evaluation/calibration": "Calibration",
    "training": "Training",
    "networks": "Networks",
    "systems/gebm": "Systems: GEBM",
}
HEAD = """# Methods

Every method, whom it follows, and where it fails. Written by `docs/generate_methods.py` from the docstrings of the
files; to add one, add a file with a `Source:` line.
"""
# where a new remark begins: at the start of a sentence, by these words
LABELS = {
    "source": r"Source:",
    "differs": r"(?:What|Two\s+things|Three\s+things)\s+differs?[^.:]*:|[Dd]iffers:",
    "cost": r"Cost[^.:]{0,20}:",
    "fails": r"Fails\b|(?:Where|When)\s[^.:]{0,40}fails?[^.:]{0,20}:",
    "holds": r"Exact\b|Leaves\b|Estimates\b|In expectation\b|Convention\b|\0",
}
ORDER = ("source", "differs", "holds", "cost", "fails")
ANY = "|".join(LABELS.values())


def remarks(doc: str) -> dict[str, str]:
    """The remarks of a file's docstring by name, in its own words; empty where there is no `Source:` line."""
    found = re.search(r"^Source:.*\Z", doc, re.DOTALL | re.MULTILINE)
    if not found:
        return {}
    # a source ends with the line that ends its last sentence, unless the next one is indented; then \0 opens a remark
    source, *rest = re.split(r"(?<=\.)\n(?=\S)", found.group(), maxsplit=1)
    text = "\n".join([source, *(line if re.match(ANY, line) else "\0" + line for line in rest)])
    kept: dict[str, str] = {}
    for piece in re.split(rf"(?<=[.;)])\s+(?={ANY})", text):
        name = next(n for n, label in LABELS.items() if re.match(label, piece))
        words = " ".join(piece.replace("\0", "").split()).rstrip(";")
        words = words[0].upper() + words[1:] + ("" if words.endswith(".") else ".")
        kept[name] = f"{kept[name]} {words}" if name in kept else words
    return kept


def shown(remark: str) -> str:
    """A remark with its label set apart."""
    label = re.match(rf"(?:{ANY})", remark)
    text = linked(remark)
    return f"*{label[0]}*{text[label.end() :]}" if label and label[0].endswith(":") else text


def linked(text: str) -> str:
    """Markdown in which every DOI and arXiv number is a link and every formula is left alone."""
    text = re.sub(r"([|<])", r"\\\1", text)
    text = re.sub(r"doi:(10\.\d+/[^\s;,]*[^\s;,.)]|10\.\d+/\S+?\([^)]*\)[^\s;,]*[^\s;,.])", _doi, text)
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def _doi(match: re.Match) -> str:
    return f"[doi:{match[1]}](<https://doi.org/{match[1]}>)"


def face(room: str) -> list[str]:
    """What a room's face offers."""
    body = ast.parse((SOURCE / room / "__init__.py").read_text()).body
    return [alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]


def public(path: Path, offered: list[str]) -> list[str]:
    """The classes and functions of a file that its room offers, States and Infos left out."""
    body = ast.parse(path.read_text()).body
    names = [n.name for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    return [n for n in names if n in offered and not n.endswith(("State", "Info"))]


def heading(path: Path, names: list[str]) -> str:
    """The method's own name where a class or function bears it; the file's otherwise."""
    stem = path.stem.replace("_", "")
    same = [name for name in names if name.lower().replace("_", "") == stem]
    body = ast.parse(path.read_text()).body
    classes = [n.name for n in body if isinstance(n, ast.ClassDef) and "NamedTuple" not in map(ast.unparse, n.bases)]
    own = [name for name in names if name in classes]
    if same:
        return same[0]
    return ", ".join(own) if 0 < len(own) <= 2 else path.stem.replace("_", " ").capitalize()


def tests(room: str, stem: str, names: list[str]) -> str:
    """The test file of the same name, or else those of the room and of the contracts that speak of the method."""
    own = ROOT / "tests" / room / f"test_{stem}.py"
    if own.exists():
        return f"`{own.relative_to(ROOT)}`"
    near = [
        *sorted((ROOT / "tests" / room).glob("test_*.py")),
        *sorted((ROOT / "tests" / "contracts").glob(f"*{room}.py")),
    ]
    word = re.compile(r"\b(" + "|".join(names or [stem]) + r")\b")
    return ", ".join(f"`{p.relative_to(ROOT)}`" for p in near if word.search(p.read_text()))


def entry(room: str, path: Path, offered: list[str]) -> list[str]:
    """The lines of one method; none where the docstring names no source or the room offers nothing of the file."""
    doc = ast.get_docstring(ast.parse(path.read_text())) or ""
    found, names = remarks(doc), public(path, offered)
    if not found or not names:
        return []
    links = ", ".join(f"{{py:obj}}`~energax.{room.replace('/', '.')}.{name}`" for name in names)
    lines = [f"### {heading(path, names)}", "", linked(" ".join(doc.split("\n\n")[0].split())), ""]
    lines += [f"*Names:* {links}", ""]
    for name in ORDER:
        lines += [shown(found[name]), ""] if name in found else []
    judged = tests(room, path.stem, names)
    return [*lines, f"*File:* `{room}/{path.name}`" + (f", judged in {judged}" if judged else ""), ""]


def page() -> str:
    """The atlas as Markdown."""
    lines = [HEAD]
    for room, title in ROOMS.items():
        offered = face(room)
        entries = [entry(room, path, offered) for path in sorted((SOURCE / room).glob("*.py"))]
        if any(entries):
            lines += [f"## {title}", "", *(line for one in entries for line in one)]
    return "\n".join(lines)


if __name__ == "__main__":
    (ROOT / "docs" / "methods.md").write_text(page())
