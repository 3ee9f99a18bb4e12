"""Plants bugs in a copy of energax, one at a time, and asks whether the test that is named for each catches it.

    python benchmarks/mutants.py                     all of them, two at a time
    python benchmarks/mutants.py --only "lost root"  those whose name holds these words
    python benchmarks/mutants.py --keep seen.jsonl   and not again those judged before on the same code and test
    python benchmarks/mutants.py --write             and put the table into docs/reliability.md
    python benchmarks/mutants.py --new --write       those that the page does not tell yet; its other rows stay

The bugs are in tests/mutants.py: a file, the words that are replaced, what replaces them, and the test. Every named test
is also run on the sound code and must pass there. A bug is caught if the test fails, and not if it errs while collecting.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from results import put

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
CACHE = Path(tempfile.gettempdir()) / "energax-mutants-cache"  # what a bug does not change is compiled once


def load():
    """The list of tests/mutants.py."""
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tests" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module
    spec.loader.exec_module(module)
    return module.MUTANTS


def copied(folder: Path) -> Path:
    """What a test needs of the repository, in a folder of its own."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    CACHE.mkdir(exist_ok=True)
    (folder / ".pytest_cache").symlink_to(CACHE)
    return folder


def run(folder: Path, tests: list[str]) -> tuple[int, str]:
    """pytest's exit code and last words: 0 passed, 1 failed, 2 to 5 never got so far."""
    environment = dict(os.environ, PYTHONPATH=str(folder / "src"), PYTHONDONTWRITEBYTECODE="1")
    words = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "no:cacheprovider"]
    words += [f"tests/{test}" for test in tests]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout[-2500:]


def judge(mutant) -> dict:
    """Plants one bug and runs its test -> what came of it."""
    with tempfile.TemporaryDirectory(prefix="energax-mutant-") as folder:
        place = copied(Path(folder))
        path = place / "src" / "energax" / mutant.file
        text = path.read_text()
        if text.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.name}: {mutant.old!r} must stand once in {mutant.file}.")
        path.write_text(text.replace(mutant.old, mutant.new))
        began = time.monotonic()
        code, said = run(place, [mutant.test])
    return {"name": mutant.name, "caught": code == 1, "seconds": round(time.monotonic() - began, 1), "said": said}


def mark(mutant) -> str:
    """A digest of the bug, of the file it is planted in, and of the file of its test."""
    parts = [*mutant, (ROOT / "src" / "energax" / mutant.file).read_text()]
    parts.append((ROOT / "tests" / mutant.test.partition("::")[0]).read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def line(mutant, caught: bool) -> str:
    """One bug and its test in Markdown."""
    test = mutant.test.replace("|", "\\|")
    return f"| {mutant.name} | `{mutant.file}` | `{test}` | {'caught' if caught else '**missed**'} |"


def told() -> set[str]:
    """The lines of the page's table: a bug that is planted elsewhere now, or tested by another test, has none."""
    return set(PAGE.read_text().splitlines())


def table(mutants: list, rows: dict[str, dict]) -> str:
    """All bugs and their tests in Markdown; those that were not judged now as the page tells them."""
    before = told()
    caught = {m.name: rows[m.name]["caught"] if m.name in rows else line(m, True) in before for m in mutants}
    lines = ["| planted bug | file | caught by | |", "|---|---|---|---|"]
    lines += [line(m, caught[m.name]) for m in mutants]
    count = f"**{sum(caught.values())} of {len(mutants)} caught**"
    now = "" if len(rows) == len(mutants) else f", {len(rows)} of them judged"
    return "\n".join([*lines, "", f"{count}{now} on {time.strftime('%Y-%m-%d')}."])


def known(path: Path | None) -> dict[str, dict]:
    """What was judged before, by its mark."""
    if path is None or not path.exists():
        return {}
    return {row["mark"]: row for row in map(json.loads, path.read_text().splitlines())}


def sound(mutants: list) -> None:
    """Every named test passes where nothing is planted."""
    with tempfile.TemporaryDirectory(prefix="energax-sound-") as folder:
        code, said = run(copied(Path(folder)), sorted({m.test for m in mutants}))
    if code:
        raise SystemExit(f"A named test fails on the sound code:\n{said}")


def main() -> None:
    """Plants what was asked and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="those whose name holds these words")
    parser.add_argument("--new", action="store_true", help="those that the page does not tell yet")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a file of what was judged before, to which this run adds")
    parser.add_argument("--write", action="store_true", help="refresh the table of docs/reliability.md")
    asked = parser.parse_args()
    every = load()
    chosen = [m for m in every if asked.only in m.name and not (asked.new and line(m, True) in told())]
    if asked.write and asked.only:
        parser.error("--write needs all of them, or --new")
    before = known(asked.keep)
    rows = {m.name: before[mark(m)] for m in chosen if mark(m) in before}
    left = [m for m in chosen if m.name not in rows]
    if left:
        sound(left)
    with ThreadPoolExecutor(asked.jobs) as pool:
        for m, row in zip(left, pool.map(judge, left), strict=True):
            rows[m.name] = row | {"mark": mark(m)}
            print(f"{'caught' if row['caught'] else 'MISSED'}  {row['seconds']:6.1f} s  {m.name}", flush=True)
            if not row["caught"]:
                print(row["said"], flush=True)
            elif asked.keep:
                with asked.keep.open("a") as file:
                    file.write(json.dumps(rows[m.name]) + "\n")
    print("\n".join(line(m, rows[m.name]["caught"]) for m in chosen))
    if asked.write:
        put(PAGE, "mutants", table(every, rows))
    if not all(rows[m.name]["caught"] for m in chosen):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
