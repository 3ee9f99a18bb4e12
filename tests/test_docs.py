"""What the documentation says runs: pages, examples, docstrings, links, and 'add a sampler in one page', literally."""

import doctest
import importlib
import importlib.util
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "energax"
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").glob("*.md") if p.stem != "methods"),
    *sorted((ROOT / "docs" / "ideas").glob("*.md")),
]
OTHERS = [
    *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "docs/api").glob("*.md"),
]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_CODE = [page for page in PAGES if PYTHON.search(page.read_text())]
MODULES = [
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    for path in sorted(SOURCE.rglob("*.py"))
    if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE)
]


LINK = re.compile(r"\]\(<?([^)<>\s#]+)(?:#[^)]*)?>?\)")
HEAVY = ("02_train_moons", "04_ood_digits")  # they compute more than they compile
SLOW = (
    "physicists",
    "03_log_z",
    "06_ising_transition",
    "07_free_energy_five_ways",
    "08_mode_masses",
    "09_rbm_likelihood",
)


def weighed(paths) -> list:
    """Each with its marks: what computes more than it compiles, and what takes a minute."""
    marks = {path: [pytest.mark.optimised] * (path.stem in HEAVY) for path in paths}
    return [pytest.param(p, id=p.stem, marks=[*marks[p], *[pytest.mark.slow] * (p.stem in SLOW)]) for p in marks]


def copied(tmp_path: Path) -> Path:
    """What a contributor edits, in a folder of its own; compiled programs are shared with this run."""
    for name in ("src", "tests/contracts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/conftest.py", "tests/judges.py", "tests/quick_xla.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (ROOT / ".pytest_cache").mkdir(exist_ok=True)
    (tmp_path / ".pytest_cache").symlink_to(ROOT / ".pytest_cache", target_is_directory=True)
    return tmp_path


def pytest_of(folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = dict(os.environ, PYTHONPATH=str(folder / "src"), PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def runs_its_commands(page: Path, not_run: str = "") -> int:
    """What the page types is typed, on the files that its code has written -> how many commands.

    A command is left out only if its files are named in `not_run`, the code that an extra is missing for.
    """
    promised = [re.sub(r"\{.*?\}", "*", name) for name in re.findall(r"[\w{}-]+\.npz", not_run)]
    from typer.testing import CliRunner

    from energax.cli.main import app

    count = 0
    for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for command in re.findall(r"^energax (.*)$", block, re.MULTILINE):
            words = shlex.split(command, comments=True)
            absent = [word for word in words if word.endswith(".npz") and not Path(word).exists()]
            wrong = [word for word in absent if not any(fnmatch(word, name) for name in promised)]
            assert not wrong, f"{page.name}: no code writes {wrong[0]}, which `energax {command}` reads"
            if not absent:
                done = CliRunner().invoke(app, words)
                assert done.exit_code == 0, done.output
                count += 1
    return count


@pytest.mark.parametrize("page", weighed(WITH_CODE))
def test_the_code_of_a_page_runs_as_printed(page, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    not_run = ""
    for block in PYTHON.findall(page.read_text()):
        if page.stem == "is_my_model_sure":
            names = {"__name__": "page"}  # a block is copied alone: what it reads of others are their files
        if re.search(r"^import torch", block, re.MULTILINE) and importlib.util.find_spec("torch_geometric") is None:
            not_run += block  # an extra
            continue
        exec(compile(block, str(page), "exec"), names)
    if page.stem == "is_my_model_sure":
        assert runs_its_commands(page, not_run) >= 2
    if page.stem == "README":
        low, high, exact = map(float, re.findall(r"-?\d+\.\d+", capsys.readouterr().out))
        assert low < exact < high < low + 0.3
        assert len(PYTHON.findall(page.read_text())[0].strip().splitlines()) <= 18


def test_a_mistyped_file_of_a_command_is_caught(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```bash\nenergax ood --id knwon.npz --ood far.npz\n```\n")
    with pytest.raises(AssertionError, match=r"no code writes knwon.npz, which `energax ood"):
        runs_its_commands(page, "np.savez('known.npz'); np.savez('far.npz')")
    assert runs_its_commands(page, "np.savez('knwon.npz'); np.savez(f'{name}r.npz')") == 0


@pytest.mark.parametrize("example", weighed(sorted((ROOT / "examples").glob("*.py"))))
def test_an_example_reaches_its_number(example, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = example.read_text()
    if "import torch" in text and importlib.util.find_spec("torch_geometric") is None:
        pytest.skip("torch-geometric is not installed: pip install 'energax[graphs]'")
    assert "## Take away" in text
    assert "assert " in text.split("## Take away")[1]
    runpy.run_path(str(example))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_page_points_at_exists(page):
    text = re.sub(r"^```(?:python|bash|console|yaml).*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = [link for link in LINK.findall(text) if not re.match(r"\w+:", link)]
    targets += [name + ".md" for name in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)]
    targets += re.findall(r"^```\{(?:literal)?include\} (\S+)", text, re.MULTILINE)
    for tree in re.findall(r"toctree\}?(?:::)?\n(.*?)```", text, re.DOTALL):
        targets += [name + ".md" for name in re.findall(r"^\s*([a-z][\w/-]*)\s*$", tree, re.MULTILINE)]
    for target in targets:
        assert (page.parent / target).exists() or Path(target).name == "methods.md", f"{page.name} points at {target}"


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_names_of_a_page_are_names_of_the_api(page):
    for name in re.findall(r"\{py:obj\}`~?(energax[\w.]*)`", page.read_text()):
        room, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(room), member), f"{page.name}: {name}"


def test_every_model_is_in_the_table_of_models_with_its_exact_answer():
    from energax import energies
    from energax.core import AbstractEnergy

    text = (ROOT / "docs" / "models.md").read_text()
    named = set(re.findall(r"\{py:obj\}`~energax\.energies\.(\w+)`", text))
    models = {
        n for n in dir(energies) if isinstance(kind := getattr(energies, n), type) and issubclass(kind, AbstractEnergy)
    }
    answers = {
        n
        for n in dir(energies)
        if re.search(r"_exact$|_limit$|^ising_|^potts_|^sk_|^rem_", n) and callable(getattr(energies, n))
    }
    missing = sorted((models | answers) - named - {"AbstractHiddenBits"})
    assert not missing, f"docs/models.md does not name {missing}"
    for row in re.findall(r"^\| .+ \|$", text, re.MULTILINE):
        assert all(cell.strip() for cell in row.strip("|").split("|")[2:]), f"no exact answer in {row}"


def test_the_tables_of_which_sampler_are_those_of_its_script():
    page, script = (ROOT / name for name in ("docs/which_sampler.md", "benchmarks/which_sampler.py"))
    tables = dict(re.findall(r"<!-- (\w+): begin -->\n(.*?)\n?<!-- \1: end -->", page.read_text(), re.DOTALL))
    studies = re.search(r"^ORDER = \((.*?)\)", script.read_text(), re.DOTALL | re.MULTILINE)
    assert studies
    assert set(tables) <= set(studies[1].split(", "))
    assert len(tables) >= 5
    assert all(table.count("\n") >= 5 for table in tables.values())


def test_the_tables_of_which_training_are_those_of_the_audit():
    page, rows = (ROOT / name for name in ("docs/which_training.md", "benchmarks/audit.json"))
    text = re.search(r"<!-- audit: begin -->\n(.*?)<!-- audit: end -->", page.read_text(), re.DOTALL)
    assert text
    groups: dict[str, set[str]] = {}
    for row in json.loads(rows.read_text()):
        groups.setdefault(row["problem"], set()).add(row["method"])
    told = re.split(r"^### `(\w+)`.*$", text[1], flags=re.MULTILINE)[1:]
    assert {
        problem: set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
        for problem, table in zip(told[::2], told[1::2], strict=True)
    } == groups


def test_every_command_in_the_pages_is_one():
    from typer.main import get_command

    from energax.cli.main import app
    from energax.runtime.config import resolve

    verbs, seen = set(get_command(app).commands), 0
    for page in [*PAGES, *OTHERS]:
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            for command in re.findall(r"^(?:\S*/)?energax (.*)$", block, re.MULTILINE):
                words = shlex.split(command, comments=True)
                assert words[0] in verbs, f"{page.name}: energax {command}"
                if words[0] == "train":
                    resolve(words[1], words[2:])
                seen += 1
    assert seen >= 10


def test_what_the_command_line_is_quoted_with_is_what_it_says():
    quoted = 0
    for page in PAGES:
        for command, said in re.findall(
            r"^```console\n\$ energax (.*)\n((?:.*\n)+?)```", page.read_text(), re.MULTILINE
        ):
            words = [sys.executable, "-m", "energax", *shlex.split(command)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.stdout + done.stderr == said
            quoted += 1
    assert quoted


def test_every_method_is_in_the_atlas_with_its_source_whole():
    atlas = runpy.run_path(str(ROOT / "docs" / "generate_methods.py"))["page"]()
    shown = re.split(r"^### ", atlas, flags=re.MULTILINE)[1:]
    assert len(shown) >= 20
    for part in shown:
        source = re.search(r"^\*Source:\* (.+)$", part, re.MULTILINE)
        assert source, part
        assert re.search(r"[12]\d{3}", source[1]), f"no year: {source[1]}"
        assert source[1].endswith((".", ")")), source[1]
        assert "*File:* `" in part


def test_a_sampler_is_added_as_contributing_says_and_a_wrong_one_is_caught(tmp_path):
    module, face, member = PYTHON.findall((ROOT / "CONTRIBUTING.md").read_text())[:3]
    folder = copied(tmp_path)
    rooms, contracts = folder / "src/energax/samplers", folder / "tests/contracts/samplers.py"
    # planted beside it: the energy difference with its sign turned
    wrong = module.replace("state.energy - new.energy", "new.energy - state.energy").replace("BoxWalk", "WrongWalk")
    assert "new.energy - state.energy" in wrong
    (rooms / "box_walk.py").write_text(module)
    (rooms / "wrong.py").write_text(wrong)
    with (rooms / "__init__.py").open("a") as faces:
        faces.write(face + "from .wrong import WrongWalk as WrongWalk\n")
    both = f"MEMBERS = {{\n    {member}" + member.replace("box", "wrong").replace("BoxWalk", "WrongWalk")
    text = contracts.read_text()
    assert "MEMBERS = {\n" in text
    text = text.replace("MEMBERS = {\n", both)
    text, imports = re.subn(r"(from energax\.samplers import \(?)", r"\1BoxWalk, WrongWalk, ", text)
    assert imports == 1
    contracts.write_text(text)
    laws = "(box or wrong) and (skewed or scan_is or renews or gradient)"
    done = pytest_of(folder, "tests/contracts/test_samplers.py", "-k", laws, "-rA", "--tb=line")
    passed, failed = (re.findall(rf"^{word} \S+\[(.*)\]", done.stdout, re.MULTILINE) for word in ("PASSED", "FAILED"))
    assert sum("box" in name for name in passed) >= 5, done.stdout[-3000:]
    assert not any("box" in name for name in failed), done.stdout[-3000:]
    assert any("wrong" in name for name in failed)
