"""The attack corpus in a process of its own, so that memory can be measured: `python hostile.py corpus FOLDER 0 0`."""

import dataclasses
import json
import os
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from energax.errors import CheckpointError
from energax.runtime import checkpoint
from runtime.attacks import corpus
from runtime.attacks.tally import Tally


def load_all(folder: Path) -> Tally:
    """Loads every hostile file; executed or accepted counts as silent, another error than CheckpointError as lost."""
    attacks, template, tally = corpus.write_all(folder), corpus.template(), Tally()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, path in attacks.items():
        tally.injected += 1
        try:
            checkpoint.load(path, template)
        except CheckpointError:
            continue
        except BaseException as error:
            tally.lost += 1
            tally.note(f"{name}: {type(error).__name__}: {error}")
        else:
            tally.silent += 1
            tally.note(f"{name}: accepted")
    tally.silent += corpus.CANARY in os.environ
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    tally.figures = {"MiB of memory grown by": round(grown, 1)}
    tally.lost += grown >= 64
    return tally


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(load_all(Path(sys.argv[2])))))
