"""Hostile checkpoint files: none is executed, only CheckpointError escapes, memory stays flat."""

import ast
import os
import pickle
import re
import resource
from pathlib import Path

import pytest

import energax
from energax.errors import CheckpointError
from energax.runtime import checkpoint
from runtime.attacks import corpus, damage

SOURCE = Path(energax.__file__).parent


@pytest.fixture(scope="module")
def attacks(tmp_path_factory):
    return corpus.write_all(tmp_path_factory.mktemp("attacks"))


def test_no_attack_gets_through(attacks):
    os.environ.pop(corpus.CANARY, None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    template, accepted, said = corpus.template(), [], {}
    for name, path in attacks.items():
        try:
            checkpoint.load(path, template)
        except CheckpointError as error:
            said[name] = str(error)
        else:
            accepted.append(name)
    assert len(attacks) >= 40
    assert accepted == []
    assert [name for name, words in said.items() if not words.endswith(".") or "; got " not in words] == []
    assert corpus.CANARY not in os.environ
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_listing_and_falling_back_survive_them_all(attacks):
    folder = next(iter(attacks.values())).parent
    assert len(checkpoint.list_checkpoints(folder)) == len(attacks)
    with pytest.raises(CheckpointError):
        checkpoint.latest(folder, corpus.template())


def test_the_bomb_is_live():
    """The judge itself: unpickling what the corpus holds does leave the mark."""
    os.environ.pop(corpus.CANARY, None)
    pickle.loads(pickle.dumps(corpus.Bomb()))
    assert os.environ.pop(corpus.CANARY) == "1"


def test_the_corpus_starts_from_a_sound_file(tmp_path):
    """Resealing alone must not be what is refused: an unchanged header and payload load."""
    path = tmp_path / "step-000000007.ckpt"
    path.write_bytes(corpus.seal(*corpus.parts(corpus.honest(tmp_path / "sound"))))
    assert checkpoint.load(path, corpus.template())[0]["w"].tolist() == [1.0, 2.0, 3.0]


def test_mutations_raise_nothing_else(tmp_path):
    tally = damage.mutations(tmp_path, 2500, seed=1)
    assert (tally.injected, tally.lost, tally.silent) == (2500, 0, 0)


# Planetoid's own files, by an unpickler whose every name is a stand-in of that module (tests/data/test_graphs.py)
STANDS_IN = ("planetoid.py", "pickle")
FORBIDDEN = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def test_no_module_reads_pickles():
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [(path.name, name) for name in names if name.split(".")[0] in FORBIDDEN]
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                allowed = not (isinstance(node.value, ast.Constant) and node.value.value is False)
                found += [(path.name, "allow_pickle")] * allowed
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                found.append((path.name, node.func.id))
    assert found == [STANDS_IN]
    reader = (SOURCE / "data" / "planetoid.py").read_text()
    assert set(re.findall(r"pickle\.\w+", reader)) == {"pickle.Unpickler", "pickle.UnpicklingError"}
    assert reader.count("pickle.Unpickler)") == 1  # the base of the one class, whose find_class knows six names
