"""Plants bugs in a copy of energax, one at a time, and asks whether the test that is named for each catches it.

    python benchmarks/mutants.py                     all of them, a few at a time
    python benchmarks/mutants.py --only "lost root"  those whose name holds these words
    python benchmarks/mutants.py --write             and put the table into docs/reliability.md

The bugs are in tests/mutants.py: a file, the words that are replaced, what replaces them, and the test. Every named test
is also run on the sound code and must pass there. A bug is caught if the test fails, and not if it errs while collecting.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"


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
    return folder


def run(folder: Path, test: str) -> tuple[int, str]:
    """pytest's exit code and last words: 0 passed, 1 failed, 2 to 5 never got so far."""
    environment = dict(os.environ, PYTHONPATH=str(folder / "src"), PYTHONDONTWRITEBYTECODE="1")
    words = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", test]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout[-2000:]


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
        code, said = run(place, mutant.test)
    caught = code == 1
    return {"mutant": mutant, "caught": caught, "seconds": round(time.monotonic() - began, 1), "said": said}


def table(rows: list[dict]) -> str:
    """The bugs and their tests in Markdown."""
    lines = ["| planted bug | file | caught by | |", "|---|---|---|---|"]
    for row in rows:
        m = row["mutant"]
        test = m.test.removeprefix("tests/").replace("|", "\\|")
        lines.append(f"| {m.name} | `{m.file}` | `{test}` | {'caught' if row['caught'] else '**missed**'} |")
    caught = sum(row["caught"] for row in rows)
    return "\n".join([*lines, "", f"**{caught} of {len(rows)} caught**, on {time.strftime('%Y-%m-%d')}."])


def main() -> None:
    """Plants what was asked and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="those whose name holds these words")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="refresh the table of docs/reliability.md")
    asked = parser.parse_args()
    chosen = [m for m in load() if asked.only in m.name]
    if asked.write and asked.only:
        parser.error("--write needs all of them")
    with tempfile.TemporaryDirectory(prefix="energax-sound-") as folder:
        code, said = run_all(copied(Path(folder)), sorted({m.test for m in chosen}))
        if code:
            raise SystemExit(f"A named test fails on the sound code:\n{said}")
    rows = []
    with ThreadPoolExecutor(asked.jobs) as pool:
        for row in pool.map(judge, chosen):
            rows.append(row)
            print(
                f"{'caught' if row['caught'] else 'MISSED'}  {row['seconds']:6.1f} s  {row['mutant'].name}", flush=True
            )
            if not row["caught"]:
                print(row["said"], flush=True)
    print(table(rows))
    if asked.write:
        text = re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{table(rows)}\n{END}", PAGE.read_text(), flags=re.DOTALL)
        PAGE.write_text(text)
    if not all(row["caught"] for row in rows):
        raise SystemExit(1)


def run_all(folder: Path, tests: list[str]) -> tuple[int, str]:
    """The named tests on sound code, in one process."""
    environment = dict(os.environ, PYTHONPATH=str(folder / "src"), PYTHONDONTWRITEBYTECODE="1")
    words = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout[-4000:]


if __name__ == "__main__":
    main()
