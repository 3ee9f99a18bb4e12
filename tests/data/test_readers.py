"""A user's own files: what is understood, and a corpus of files that must be refused in one sentence."""

import io
import os
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from energax.data import load
from energax.errors import DataError

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(6, 3))
PICTURES = RNG.integers(0, 256, size=(4, 5, 6, 3), dtype=np.uint8)


# ---- what is understood ----------------------------------------------------------------------------------------------


def npy(array: np.ndarray, **rest) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **rest)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_npy_table(tmp_path):
    np.save(tmp_path / "a.npy", TABLE)
    data = load(tmp_path / "a.npy")
    np.testing.assert_allclose(data.x, TABLE, rtol=1e-6)
    assert (data.low, data.high) == (data.x.min(), data.x.max())
    assert data.y is None


@pytest.mark.parametrize("array", [np.asfortranarray(TABLE), TABLE.astype(">f8"), TABLE.astype(np.float16)])
def test_npy_layouts(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_allclose(load(tmp_path / "a.npy").x, TABLE, atol=2e-3)


def test_unsigned_bytes_are_pictures(tmp_path):
    np.save(tmp_path / "colour.npy", PICTURES)
    np.save(tmp_path / "grey.npy", PICTURES[..., 0])
    colour, grey = load(tmp_path / "colour.npy"), load(tmp_path / "grey.npy", layout="flat")
    np.testing.assert_allclose(colour.x, PICTURES / 127.5 - 1.0, atol=1e-6)
    assert (colour.low, colour.high) == (-1.0, 1.0)
    assert grey.x.shape == (4, 30)
    assert grey.image_shape == (5, 6, 1)


def test_npz_with_labels(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(x=TABLE, y=np.array([0, 1, 2, 0, 1, 2])))
    assert load(tmp_path / "a.npz").y.tolist() == [0, 1, 2, 0, 1, 2]
    assert load(tmp_path / "a.npz", classes=(0, 2)).y.tolist() == [0, 2, 0, 2]
    (tmp_path / "b.npz").write_bytes(npz(points=TABLE, kind=np.array(["b", "a", "b", "a", "c", "c"])))
    assert load(tmp_path / "b.npz", labels="kind").y.tolist() == [1, 0, 1, 0, 2, 2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("head", ["", "a,b,c\n"])
def test_csv(tmp_path, delimiter, head):
    text = head + "\n".join(",".join(f"{v:.9g}" for v in row) for row in TABLE) + "\n\n"
    (tmp_path / "a.csv").write_text("\ufeff" + text.replace(",", delimiter), encoding="utf-8")
    np.testing.assert_allclose(load(tmp_path / "a.csv").x, TABLE, rtol=1e-6)


def test_csv_labels_and_standardise(tmp_path):
    (tmp_path / "a.csv").write_text("u,kind,v\n1,red,5\n2,blue,7\n4,red,3\n")
    data = load(str(tmp_path / "a.csv"), labels="kind", standardise=True)
    assert data.y.tolist() == [1, 0, 1]
    np.testing.assert_allclose(data.x.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(data.x.std(axis=0), 1.0, atol=1e-6)


def test_folder_of_classes(tmp_path):
    for i, picture in enumerate(PICTURES):
        folder = tmp_path / ("cats" if i % 2 else "ants")
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"{i}.png")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    data = load(tmp_path)
    assert data.y.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(data.x, PICTURES[[0, 2, 1, 3]] / 127.5 - 1.0, atol=1e-6)


def test_folder_of_grey_pictures(tmp_path):
    for i, picture in enumerate(PICTURES):
        Image.fromarray(picture[..., 0]).save(tmp_path / f"{i}.pgm")
    data = load(tmp_path, layout="flat")
    assert data.x.shape == (4, 30)
    assert data.y is None


def test_constant_column_is_taken_when_asked(tmp_path):
    np.save(tmp_path / "a.npy", np.column_stack([TABLE, np.ones(6)]))
    assert load(tmp_path / "a.npy", allow_constant=True).dim == 4


# ---- what is refused -------------------------------------------------------------------------------------------------


class Bomb:
    """Makes a file when it is unpickled; it must never be."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.makedirs, (self.mark, 0o777, True)


def header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An .npy file with a header of one's own."""
    raw = text.encode("latin-1")
    length = struct.pack("<H", len(raw)) if version[0] == 1 else struct.pack("<I", len(raw))
    return b"\x93NUMPY" + version + length + raw + data


def described(shape: object, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", data)


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return file.getvalue()


def bomb() -> bytes:
    """64 MiB of zeros in 65 kB, as one honest array."""
    return archive({"x.npy": described((8, 2**20), data=bytes(2**26))})


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]


def encrypted() -> bytes:
    raw = bytearray(npz(x=TABLE))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def with_entry(index: tuple[int, ...], value: float) -> np.ndarray:
    x = TABLE.copy()
    x[index] = value
    return x


GOOD_NPY, GOOD_NPZ = npy(TABLE), npz(x=TABLE)
NPY = {
    "empty file": b"",
    "no magic": b"hello, world",
    "a pickle": b"\x80\x04]\x94.",
    "magic only": b"\x93NUMPY",
    "version 9": b"\x93NUMPY\x09\x00" + GOOD_NPY[8:],
    "header cut off": GOOD_NPY[:40],
    "data cut off": GOOD_NPY[:-1],
    "data too long": GOOD_NPY + b"\0",
    "huge shape": described((2**40, 3)),
    "overflowing shape": described((2**62, 2**62)),
    "shape just beyond the file": described((6, 4), data=TABLE.tobytes()),
    "negative shape": described((-6, -3), data=TABLE.tobytes()),
    "shape of floats": described((6.0, 3.0), data=TABLE.tobytes()),
    "huge header declared": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{}",
    "long header": header("{" + " " * 20_000 + "}", version=b"\x02\x00"),
    "header no dict": header("[1, 2]\n"),
    "header runs code": header("__import__('os').mkdir('executed')\n"),
    "header deep": header("(" * 3000 + ")" * 3000),
    "header of another key": header("{'descr': '<f8', 'fortran_order': False, 'shape': (6, 3), 'x': 1}\n"),
    "unknown dtype": described((6, 3), "'<q99'"),
    "objects": npy(np.array([[None, 1], [2, 3]], dtype=object), allow_pickle=True),
    "structured": npy(np.zeros(4, dtype=[("a", "<f4"), ("b", "<i4")])),
    "structured objects": described((2, 2), "[('a', '|O')]"),
    "texts": npy(np.array([["a", "b"], ["c", "d"]])),
    "bytes": npy(np.array([[b"a", b"b"], [b"c", b"d"]])),
    "dates": npy(np.array([["2020-01-01"], ["2020-01-02"]], dtype="datetime64[D]")),
    "complex": npy(TABLE.astype(complex)),
    "one number": npy(np.array(1.0)),
    "a line": npy(np.arange(5.0)),
    "rank 5": npy(np.zeros((2, 2, 2, 2, 2))),
    "no rows": npy(np.zeros((0, 3))),
    "no columns": npy(np.zeros((3, 0))),
    "one row": npy(TABLE[:1]),
    "nan": npy(with_entry((2, 1), np.nan)),
    "infinite": npy(with_entry((0, 0), np.inf)),
    "beyond float32": npy(with_entry((0, 0), 1e300)),
    "big integers": npy(np.array([[2**40, 1], [3, 4]])),
    "smallest integer": npy(np.array([[-(2**63), 1], [3, 4]])),
    "constant column": npy(np.column_stack([TABLE, np.ones(6)])),
    "channels first": npy(PICTURES.transpose(0, 3, 1, 2)),
}
NPZ = {
    "empty file": b"",
    "no zip": GOOD_NPY,
    "cut off": GOOD_NPZ[:-30],
    "a bit flipped in the data": flipped(GOOD_NPZ, 120),
    "no members": archive({}),
    "two sample arrays": npz(a=TABLE, b=TABLE),
    "only labels missing": npz(a=TABLE, b=TABLE, y=np.arange(6)),
    "labels of another length": npz(x=TABLE, y=np.arange(5)),
    "labels broken": npz(x=TABLE, y=np.arange(6) + 0.5),
    "labels nan": npz(x=TABLE, y=np.full(6, np.nan)),
    "labels huge": npz(x=TABLE, y=np.full(6, 2**62)),
    "zip bomb": bomb(),
    "path upward": archive({"../x.npy": GOOD_NPY}),
    "absolute path": archive({"/x.npy": GOOD_NPY}),
    "drive": archive({"C:x.npy": GOOD_NPY}),
    "folder inside": archive({"a/x.npy": GOOD_NPY}),
    "a script": archive({"x.npy": GOOD_NPY, "run.py": b"print(1)"}),
    "a pickle": archive({"x.pkl": b"\x80\x04]\x94."}),
    "encrypted": encrypted(),
    "objects": npz(x=TABLE) and archive({"x.npy": npy(np.array([[None]] * 2, dtype=object), allow_pickle=True)}),
    "header beyond the member": archive({"x.npy": described((2**30, 4))}),
    "member longer than its header": archive({"x.npy": GOOD_NPY + b"12345678"}),
    "many members": archive({f"a{i}.npy": GOOD_NPY for i in range(100)}),
}
CSV = {
    "empty file": b"",
    "blank lines": b"\n\n  \n",
    "names only": b"a,b\n",
    "one line": b"1,2\n",
    "ragged": b"1,2\n3,4,5\n",
    "short line": b"1,2\n3\n",
    "empty cell": b"1,2\n3,\n",
    "text cell": b"1,2\n3,x\n",
    "nan": b"1,2\nnan,4\n",
    "infinite": b"1,2\n1e999,4\n",
    "underscore": b"1,2\n1_0,4\n",
    "half names": b"a,2\n3,4\n5,6\n",
    "name twice": b"a,a\n3,4\n5,6\n",
    "constant column": b"1,2\n1,3\n1,4\n",
    "zero byte": b"1,2\n\x00,3\n",
    "no utf-8": b"1,2\n\xff\xfe,3\n",
    "utf-16": "1,2\n3,4\n".encode("utf-16"),
    "open quote": b'1,2\n"3,4\n5,6\n',
    "long cell": b"1,2\n" + b"1" * 200_000 + b",4\n",
    "beyond float32": b"1,2\n1e300,4\n",
}
FILES = {
    **{f"npy: {name}": ("bad.npy", raw) for name, raw in NPY.items()},
    **{f"npz: {name}": ("bad.npz", raw) for name, raw in NPZ.items()},
    **{f"csv: {name}": ("bad.csv", raw) for name, raw in CSV.items()},
}


def refused(path: Path | str, **options) -> str:
    """The sentence with which a file is refused; anything but a refusal fails."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is looked at here
        load(path, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence, sentence
    assert "must" in sentence or "could not" in sentence, sentence
    assert len(sentence) < 600, sentence
    return sentence


@pytest.mark.parametrize(("name", "raw"), FILES.values(), ids=FILES)
def test_refuses_file(tmp_path, monkeypatch, name, raw):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(raw)
    tracemalloc.start()
    began = time.perf_counter()
    sentence = refused(tmp_path / name)
    seconds, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert name in sentence
    assert peak < 4 * 2**20, f"{peak} bytes were taken before the refusal"
    assert seconds < 2.0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_pickled_payload_is_never_run(tmp_path):
    mark = tmp_path / "executed"
    payload = np.array([[Bomb(str(mark))], [Bomb(str(mark))]], dtype=object)
    (tmp_path / "a.npy").write_bytes(npy(payload, allow_pickle=True))
    (tmp_path / "a.npz").write_bytes(archive({"x.npy": npy(payload, allow_pickle=True)}))
    for name in ("a.npy", "a.npz"):
        assert "plain numbers" in refused(tmp_path / name)
    assert not mark.exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)  # the judge: the payload does go off where pickles are run
    assert mark.exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_refuses_an_array_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as made:
        made.writestr("x.npy", GOOD_NPY)
        made.writestr("x.npy", GOOD_NPY)
    assert "once" in refused(tmp_path / "a.npz")


def png(mode: str = "RGB", size: tuple[int, int] = (6, 5)) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, "png")
    return file.getvalue()


def declared(width: int, height: int) -> bytes:
    """A PNG whose header declares another size (with the right checksum)."""
    import zlib

    raw = png()
    ihdr = b"IHDR" + struct.pack(">II", width, height) + raw[24:29]
    return raw[:12] + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + raw[33:]


FOLDERS = {
    "nothing inside": {},
    "one picture": {"a.png": png()},
    "two sizes": {"a.png": png(), "b.png": png(size=(7, 5))},
    "grey beside colour": {"a.png": png(), "b.png": png("L")},
    "transparent": {"a.png": png("RGBA"), "b.png": png("RGBA")},
    "palette": {"a.png": png("P"), "b.png": png("P")},
    "16 bits": {"a.png": png("I;16"), "b.png": png("I;16")},
    "no picture": {"a.png": b"hello", "b.png": b"hello"},
    "an .npy called .png": {"a.png": GOOD_NPY, "b.png": GOOD_NPY},
    "cut off": {"a.png": png()[:50], "b.png": png()[:50]},
    "a note beside": {"a.png": png(), "b.png": png(), "note.txt": b"x"},
    "a picture beside folders": {"c/a.png": png(), "c/b.png": png(), "d.png": png()},
    "a folder in a class": {"c/a.png": png(), "c/d/b.png": png()},
    "header declares a bomb": {"a.png": declared(50_000, 50_000), "b.png": png()},
    "header declares no pixels": {"a.png": declared(0, 5), "b.png": png()},
}


@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS)
def test_refuses_folder(tmp_path, files):
    for name, raw in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(raw)
    tracemalloc.start()
    refused(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_refuses_a_link_that_leads_out(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(png())
    (folder / "b.png").symlink_to(tmp_path / "secret.png")
    assert "link" in refused(folder)


CALLS = {
    "missing": ("nothing.npy", {}),
    "ending": ("good.txt", {}),
    "layout": ("good.npy", {"layout": "nchw"}),
    "classes without labels": ("good.npy", {"classes": (1,)}),
    "classes unknown": ("good.npz", {"classes": (9,)}),
    "classes empty": ("good.npz", {"classes": ()}),
    "classes a text": ("good.npz", {"classes": "1"}),
    "labels in a plain array": ("good.npy", {"labels": "y"}),
    "labels unknown in an archive": ("good.npz", {"labels": "kind"}),
    "labels unknown in a table": ("good.csv", {"labels": "kind"}),
    "labels a number": ("good.csv", {"labels": 1}),
    "labels of a folder": (".", {"labels": "y"}),
    "standardise a text": ("good.npy", {"standardise": "yes"}),
    "standardise a number": ("good.npy", {"standardise": 1}),
    "standardise pictures": ("pictures.npy", {"standardise": True}),
    "allow a number": ("good.npy", {"allow_constant": 1}),
    "standardise a constant": ("constant.npy", {"standardise": True, "allow_constant": True}),
}


@pytest.mark.parametrize(("name", "options"), CALLS.values(), ids=CALLS)
def test_refuses_call(tmp_path, name, options):
    (tmp_path / "good.npy").write_bytes(GOOD_NPY)
    (tmp_path / "good.npz").write_bytes(npz(x=TABLE, y=np.array([0, 1, 2, 0, 1, 2])))
    (tmp_path / "good.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "good.txt").write_text("1,2\n3,4\n")
    (tmp_path / "pictures.npy").write_bytes(npy(PICTURES))
    (tmp_path / "constant.npy").write_bytes(npy(np.column_stack([TABLE, np.ones(6)])))
    refused(tmp_path / name, **options)


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "png"])
def test_no_mutation_escapes(tmp_path, ending):
    """300 random mutations of each kind of file: a data set or a refusal, never another error."""
    rng = np.random.default_rng(5)
    csv = b"a,b\n1,2\n3.5,4\n-1e3,7\n"
    raw = {"npy": GOOD_NPY, "npz": GOOD_NPZ, "csv": csv, "png": png()}[ending]
    path = tmp_path / f"a.{ending}"
    if ending == "png":
        (tmp_path / "b.png").write_bytes(png())
    refusals = []
    for _ in range(300):
        mutated = bytearray(raw)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(mutated)))
            mutated[at : at + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(0, 3)))
        path.write_bytes(bytes(mutated))
        try:
            assert np.all(np.isfinite(load(tmp_path if ending == "png" else path).x))
        except DataError as refusal:
            refusals.append(str(refusal))
    assert len(refusals) > 30
    assert not any("\n" in sentence for sentence in refusals)
