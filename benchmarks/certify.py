"""Certifies every kernel that ships, and plants bugs in them that their certificates must find.

    python benchmarks/certify.py certified.jsonl              all kernels, continuous ones over five seeds (30 CPU minutes)
    python benchmarks/certify.py planted.jsonl --planted      the bugs of tests/planted_kernels.py, one at a time
    python benchmarks/certify.py certified.jsonl --only wolff those whose name holds this word
    python benchmarks/certify.py certified.jsonl planted.jsonl --write     the tables of docs/certified.md

A log has one line a kernel or bug; those that it holds already are not run again, so that a run may be cut off.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from results import put

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "certified.md"
SEEDS = (0, 1, 2, 3, 4)
sys.path.insert(0, str(ROOT / "tests"))


def read(path: Path) -> list[dict]:
    """The lines of a log; none where there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def certify_all(path: Path, only: str) -> None:
    """Appends one certificate a kernel."""
    from energax.evaluation import SHIPPED, certify_shipped
    from energax.report.certificate import as_dict

    done = {line["kernel"] for line in read(path)}
    for name in SHIPPED:
        if only in name and name not in done:
            began = time.process_time()
            found = certify_shipped(name, SEEDS)
            append(path, as_dict(found), began)
            print(found.sentence(), flush=True)


def plant_all(path: Path, only: str) -> None:
    """Appends one certificate a planted bug."""
    from energax.evaluation import certify_shipped
    from energax.report.certificate import as_dict
    from planted_kernels import PLANTED, planted

    done = {(line["kernel"], line["bug"]) for line in read(path)}
    for bug in PLANTED:
        if only in bug.kernel and (bug.kernel, bug.name) not in done:
            began = time.process_time()
            with planted(bug):
                found = certify_shipped(bug.kernel)
            caught = bug.check in {row.check for row in found.failed}
            append(path, {"bug": bug.name, "check": bug.check, "caught": caught, **as_dict(found)}, began)
            print(f"{'caught' if caught else 'MISSED'}  {bug.name}; {found.sentence()}", flush=True)


def append(path: Path, line: dict, began: float) -> None:
    """One more line of the log, with the CPU seconds it took."""
    line["cpu_seconds"] = round(time.process_time() - began, 1)
    with path.open("a") as log:
        log.write(json.dumps(line) + "\n")


def certificate(line: dict):
    """A certificate out of its line."""
    from energax.evaluation import Certificate, Row

    rows = tuple(Row(**row) for row in line["rows"])
    return Certificate(line["kernel"], line["exact"], tuple(line["seeds"]), rows)


def certified_table(lines: list[dict]) -> str:
    """The kernels and their verdicts in Markdown."""
    from energax.evaluation import SHIPPED
    from energax.report.certificate import markdown

    by_name = {line["kernel"]: certificate(line) for line in lines}
    found = [by_name[name] for name in SHIPPED if name in by_name]
    count = {word: sum(each.verdict == word for each in found) for word in ("passed", "inexact", "failed")}
    judged = sum(len(each.rows) * max(len(each.seeds), 1) for each in found)
    told = (
        f"**{len(found)} kernels, {count['failed']} failed**: {count['passed']} passed, and {count['inexact']} have, as "
        f"they say themselves, a law of their own; {judged:,} checks in {sum(x['cpu_seconds'] for x in lines) / 60:.0f} "
        f"CPU minutes, on {time.strftime('%Y-%m-%d')}."
    )
    missing = [name for name in SHIPPED if name not in by_name]
    left = f" Not taken over five seeds: {', '.join(f'`{name}`' for name in missing)}." if missing else ""
    return f"{markdown(found)}\n\n{told}{left}"


def planted_table(lines: list[dict]) -> str:
    """The planted bugs and how far off each was, in Markdown."""
    from energax.evaluation.certificate import figure
    from planted_kernels import PLANTED

    rows = ["| planted bug | kernel | found by | worst | where |", "|---|---|---|---|---|"]
    for line in lines:
        found = certificate(line)
        checks = dict.fromkeys(row.check for row in found.failed)
        mark = ", ".join(checks) if line["caught"] else "**missed**"
        worst = found.worst if found.failed else None
        where = ["-", "-"] if worst is None else [figure(worst), f"{worst.check}, {worst.target}"]
        rows.append("| " + " | ".join([line["bug"], f"`{line['kernel']}`", mark, *where]) + " |")
    caught = sum(line["caught"] for line in lines)
    left = f" {len(PLANTED) - len(lines)} more are in the list and were not taken." if len(PLANTED) > len(lines) else ""
    return "\n".join([*rows, "", f"**{caught} of {len(lines)} found**, from one seed.{left}"])


def write(lines: list[dict]) -> None:
    """The tables that there are lines for into the page, between their marks."""
    certified, bugs = ([line for line in lines if ("bug" in line) is planted] for planted in (False, True))
    if certified:
        put(PAGE, "certified", certified_table(certified))
    if bugs:
        put(PAGE, "planted", planted_table(bugs))


def main() -> None:
    """Runs or writes what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if asked.write:
        lines = [line for log in asked.logs for line in read(log)]
        write(lines)
        if any(line["verdict"] == "failed" for line in lines if "bug" not in line) or not all(
            line["caught"] for line in lines if "bug" in line
        ):
            raise SystemExit(1)
    else:
        (plant_all if asked.planted else certify_all)(asked.logs[0], asked.only)


if __name__ == "__main__":
    main()
