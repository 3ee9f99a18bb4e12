"""The house rules that a script can see: floors, sizes, sources, and no pickle."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "energax"
FILES = sorted(SOURCE.rglob("*.py"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    environment = dict(os.environ, PYTHONPATH=str(folder / "src"))
    tool = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [str(tool), "--config", str(folder / "pyproject.toml"), "--no-cache"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_floors_hold_and_a_planted_wrong_import_is_caught(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    clean = lint_imports(tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    planted = tmp_path / "src" / "energax" / "core" / "energy.py"
    planted.write_text(planted.read_text() + "\nfrom energax.samplers import chains\n")
    caught = lint_imports(tmp_path)
    assert caught.returncode != 0
    assert "energax.core" in caught.stdout
    assert "energax.samplers" in caught.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_file_is_small_and_its_functions_are(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # the signature and the docstring are for readers; the body is what must be small
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 60, f"{path.name}:{node.name}"


@pytest.mark.parametrize(
    "room", ["energies", "samplers", "objectives", "free_energy", "evaluation/ood", "evaluation/calibration"]
)
def test_every_method_file_names_its_source(room):
    plain = ("__init__.py", "compare.py", "detectors.py", "bins.py", "decomposition.py")
    bare = [p.name for p in (SOURCE / room).glob("*.py") if p.name not in plain and "Source:" not in p.read_text()]
    assert not bare


RESULTS = {"AISResult", "PopulationAnnealingResult", "SMCResult", "WangLandauResult", "Works", "ContinuousNoise"}
"""Modules that functions return, and an error: like other records, made by functions whose examples show them."""


def exported(room):
    """(name, its class or function) of everything that the face of a floor hands on."""
    for node in ast.parse((SOURCE / room / "__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            tree = ast.parse((SOURCE / room / f"{node.module}.py").read_text())
            found = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef | ast.ClassDef)}
            yield from ((alias.name, found[alias.name]) for alias in node.names if alias.name in found)


def is_record(node):
    """A class that the user reads and does not make."""
    if isinstance(node, ast.FunctionDef):
        return False
    marks = [ast.unparse(mark) for mark in (*node.decorator_list, *node.bases)]
    return any(mark.startswith(("dataclass", "NamedTuple")) for mark in marks) or node.name in RESULTS


@pytest.mark.parametrize(
    "room", ["energies", "samplers", "free_energy", "evaluation", "evaluation/ood", "evaluation/calibration"]
)
def test_what_a_face_exports_has_an_example(room):
    public = {name: node for name, node in exported(room) if not is_record(node) and not name.startswith("Abstract")}
    assert len(public) > 8
    bare = [name for name, node in public.items() if ">>> " not in (ast.get_docstring(node) or "")]
    assert not bare


def test_only_placement_and_hosts_know_devices():
    allowed = {"placement.py", "hosts.py"}
    knows = {p.name for p in FILES if "jax.sharding" in p.read_text() or "jax.distributed" in p.read_text()}
    assert knows <= allowed


def test_importing_the_face_imports_neither_jax_nor_torch():
    code = (
        "import sys, energax; sys.exit(any(m in sys.modules for m in ('jax', 'torch', 'tensorboardX', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
