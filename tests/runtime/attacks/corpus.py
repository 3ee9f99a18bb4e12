"""Files that try to do harm: each is built here in code, named after what it attempts.

Most of them carry right digests, as an attacker would write them: a digest tells damage from intent, it does not
stop intent.
"""

import gzip
import hashlib
import io
import json
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from energax.runtime import checkpoint
from energax.runtime.container import MAGIC

CANARY = "energax_attack_executed"


def template() -> dict[str, np.ndarray]:
    """The state that every attack is loaded into."""
    return {"w": np.zeros(3, np.float32), "n": np.zeros((), np.int32)}


def honest(folder: Path) -> bytes:
    """A sound checkpoint of such a state."""
    state = {"w": np.array([1.0, 2.0, 3.0], np.float32), "n": np.int32(7)}
    path = checkpoint.save(folder, state, 7, meta={"note": "sound"})
    return path.read_bytes()


def parts(data: bytes) -> tuple[dict, bytes]:
    """Header and payload of a sound file."""
    start = len(MAGIC) + 8
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    return json.loads(data[start : start + length]), data[start + length : -32]


def seal(header: dict | bytes, payload: bytes, *, length: int | None = None, fix: bool = True) -> bytes:
    """A file of right digests around any header and payload."""
    if isinstance(header, dict):
        if fix:
            header = {**header, "payload_bytes": len(payload), "payload_sha256": hashlib.sha256(payload).hexdigest()}
        header = json.dumps(header).encode()
    body = MAGIC + (len(header) if length is None else length).to_bytes(8, "little") + header + payload
    return body + hashlib.sha256(body).digest()


def tensors(table: dict | bytes, data: bytes, *, length: int | None = None) -> bytes:
    """A safetensors payload with any table."""
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


class Bomb:
    """Unpickling it leaves a mark in the environment."""

    def __reduce__(self):
        return exec, (f"import os; os.environ[{CANARY!r}] = '1'",)


def _pickled() -> bytes:
    import pickle

    return pickle.dumps(Bomb())


def _npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _object_npz() -> bytes:
    bomb = np.empty(1, object)
    bomb[0] = Bomb()
    return _npz(w=bomb)


def _zip(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _tar(name: str, *, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member)
    return buffer.getvalue()


def foreign(folder: Path) -> dict[str, bytes]:
    """Whole files of other kinds under a checkpoint's name."""
    sound = honest(folder)
    return {
        "empty file": b"",
        "one byte": b"e",
        "magic alone": MAGIC,
        "magic of another version": sound.replace(b"checkpoint 1", b"checkpoint 2", 1),
        "pickle that executes": _pickled(),
        "pickle behind the magic": MAGIC + _pickled(),
        "npz of plain arrays": _npz(w=np.zeros(3, np.float32)),
        "npz with a pickled object": _object_npz(),
        "npy of objects": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "zip bomb": _zip({"w.npy": bytes(50_000_000)}),
        "zip that climbs": _zip({"../../escaped.txt": b"x"}),
        "zip of an absolute path": _zip({"/energax-escaped.txt": b"x"}),
        "tar that climbs": _tar("../escaped.txt"),
        "tar with a link out": _tar("inner", link="/etc/passwd"),
        "gzip bomb": gzip.compress(bytes(50_000_000)),
        "bare safetensors": parts(sound)[1],
        "torch archive": _zip({"archive/data.pkl": _pickled(), "archive/version": b"3"}),
        "keras archive": _zip({"config.json": b'{"module": "os", "class_name": "system", "config": {}}'}),
    }


def headers(folder: Path) -> dict[str, bytes]:
    """Right digests around headers that are not right."""
    header, payload = parts(honest(folder))
    text = json.dumps(header).encode()

    def leaf(**changes) -> dict:
        entry = {**header["leaves"]["['w']"], **changes}
        return {**header, "leaves": {**header["leaves"], "['w']": entry}}

    def changed(**fields) -> bytes:
        return seal({**header, **fields}, payload, fix=not {"payload_bytes", "payload_sha256"} & set(fields))

    return {
        "header length of 2^64 - 1": seal(header, payload, length=2**64 - 1),
        "header length of 2^63": seal(header, payload, length=2**63),
        "header length beyond the file": seal(header, payload, length=len(text) + len(payload) + 10_000),
        "header length of zero": seal(header, payload, length=0),
        "header of two mebibytes": seal(text[:-1] + b" " * (2 << 20) + b"}", payload),
        "nesting of 100 000": seal(b"[" * 100_000 + b"]" * 100_000, payload),
        "nesting inside meta": seal(text[:-1] + b', "x": ' + b'{"a":' * 500 + b"1" + b"}" * 501, payload),
        "a string that never ends": seal(b'{"' + b'\\"' * 300_000, payload),
        "no JSON": seal(b"\x00" * 64, payload),
        "no UTF-8": seal(b'{"\xff\xfe": 1}', payload),
        "UTF-16": seal(json.dumps(header).encode("utf-16"), payload),
        "a list": seal(b"[1, 2]", payload),
        "null": seal(b"null", payload),
        "duplicate keys": seal(b'{"step": 1, ' + text[1:], payload),
        "duplicate leaves": seal(text.replace(b"\"['n']\"", b"\"['w']\""), payload),
        "NaN": seal(text.replace(b'"score": null', b'"score": NaN'), payload),
        "infinity": seal(text.replace(b'"score": null', b'"score": Infinity'), payload),
        "a float that overflows": seal(text.replace(b'"score": null', b'"score": 1e999'), payload),
        "an integer of 100 000 digits": seal(text.replace(b'"step": 7', b'"step": ' + b"9" * 100_000), payload),
        "step beyond 2^63": changed(step=2**63),
        "negative step": changed(step=-1),
        "boolean step": changed(step=True),
        "format of the future": changed(format=99),
        "format by text": changed(format="1"),
        "missing field": seal({k: v for k, v in header.items() if k != "versions"}, payload),
        "extra field naming code": changed(__reduce__=["os", "system", "true"]),
        "leaves as a list": changed(leaves=[]),
        "negative shape": seal(leaf(shape=[-3]), payload),
        "shape that overflows": seal(leaf(shape=[2**62, 2**62]), payload),
        "shape of zero and huge": seal(leaf(shape=[0, 2**62]), payload),
        "shape of floats": seal(leaf(shape=[3.0]), payload),
        "shape of booleans": seal(leaf(shape=[True]), payload),
        "shape of 1000 axes": seal(leaf(shape=[1] * 1000), payload),
        "another shape": seal(leaf(shape=[1, 3]), payload),
        "object dtype": seal(leaf(dtype="object"), payload),
        "dtype that names code": seal(leaf(dtype="os.system"), payload),
        "structured dtype": seal(leaf(dtype="f4,f4,(2,)O"), payload),
        "text dtype": seal(leaf(dtype="U1000000000"), payload),
        "huge leaf, small file": seal(leaf(shape=[2**40]), payload),
        "raw type over plain bytes": seal(leaf(dtype="bfloat16", shape=[6]), payload),
        "keys of an unknown generator": seal(leaf(prng="os.system"), payload),
        "keys where none belong": seal(leaf(prng="threefry2x32"), payload),
        "payload size too large": changed(payload_bytes=2**62),
        "payload size negative": changed(payload_bytes=-1),
        "payload digest of another": changed(payload_sha256="0" * 64),
        "payload digest as a list": changed(payload_sha256=["0"] * 64),
        "path that climbs": seal({**header, "leaves": {"../../w": header["leaves"]["['w']"]}}, payload),
        "meta that shadows the step": seal({**header, "meta": {"step": [1]}, "step": "7"}, payload),
    }


def payloads(folder: Path) -> dict[str, bytes]:
    """Right headers and digests around payloads that are not right."""
    header, payload = parts(honest(folder))
    data = payload[-16:]
    w, n = "['w']", "['n']"
    size = len(payload)

    def table(**entries) -> dict:
        sound = {
            w: {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
            n: {"dtype": "I32", "shape": [], "data_offsets": [12, 16]},
        }
        return {**sound, **{{"w": w, "n": n}.get(name, name): entry for name, entry in entries.items()}}

    def entry(dtype, shape, *offsets) -> dict:
        return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}

    cases = {
        "payload empty": b"",
        "payload of zeros": bytes(size),
        "payload a pickle": _pickled().ljust(size, b"."),
        "table length of 2^64 - 1": tensors(table(), data, length=2**64 - 1),
        "table length of 100 MB": tensors(table(), data, length=100_000_000),
        "overlapping arrays": tensors(table(n=entry("I32", [], 8, 12)), data[:12]),
        "holes between arrays": tensors(table(n=entry("I32", [], 16, 20)), data + b"1234"),
        "offsets backwards": tensors(table(n=entry("I32", [], 16, 12)), data),
        "offsets beyond the end": tensors(table(n=entry("I32", [], 2**40, 2**40 + 4)), data),
        "offsets negative": tensors(table(n=entry("I32", [], -4, 0)), data),
        "offsets of 2^64": tensors(table(n=entry("I32", [], 2**64, 2**64 + 4)), data),
        "shape overflows in the payload": tensors(table(w=entry("F32", [2**62, 4], 0, 12)), data),
        "shape negative in the payload": tensors(table(w=entry("F32", [-3], 0, 12)), data),
        "another type in the payload": tensors(table(w=entry("I32", [3], 0, 12)), data),
        "unknown type in the payload": tensors(table(w=entry("PYOBJ", [3], 0, 12)), data),
        "type that NumPy lacks": tensors(table(w=entry("F8_E4M3", [12], 0, 12)), data),
        "an array too many": tensors({**table(), "z": entry("U8", [4], 16, 20)}, data + b"1234"),
        "an array too few": tensors({w: table()[w]}, data[:12]),
        "a tail after the arrays": tensors(table(), data + b"tail"),
        "duplicate names in the payload": tensors(json.dumps(table()).encode()[:-1] + b", \"['w']\": {}}", data),
        "deep table": tensors(b'{"a":' * 20_000 + b"1" + b"}" * 20_000, data),
        "table of NaN": tensors(b'{"a": NaN}', data),
    }
    return {name: seal(header, bad) for name, bad in cases.items()}


def special(folder: Path) -> dict[str, Callable[[Path], None]]:
    """Paths that are no plain files: each maker puts one under the given name."""
    sound = honest(folder)

    def link_to_itself(path: Path) -> None:
        path.symlink_to(path.name)

    def sparse(path: Path) -> None:
        with open(path, "wb") as file:
            file.write(sound[: len(MAGIC)] + (2**40).to_bytes(8, "little"))
            file.truncate(2**33)

    def described(path: Path) -> None:
        """A right header over a hole in the file: it costs the attacker nothing, and the loader must not pay for it."""
        size = 2**28
        header, _ = parts(sound)
        leaves = {"['w']": {"dtype": "uint8", "shape": [size - 100], "prng": ""}}
        text = json.dumps({**header, "leaves": leaves, "payload_bytes": size}).encode()
        with open(path, "wb") as file:
            file.write(MAGIC + len(text).to_bytes(8, "little") + text)
            file.truncate(file.tell() + size + 32)

    return {
        "a folder": Path.mkdir,
        "a pipe": os.mkfifo,
        "a link to itself": link_to_itself,
        "a link to nothing": lambda path: path.symlink_to("nothing-there"),
        "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a link to /dev/full": lambda path: path.symlink_to("/dev/full"),
        "eight gibibytes of nothing": sparse,
        "a quarter of a gibibyte of nothing, well described": described,
    }


def write_all(folder: Path) -> dict[str, Path]:
    """The whole corpus on disk: name -> path."""
    source, target = folder / "sound", folder / "corpus"
    target.mkdir(parents=True)
    files = {**foreign(source), **headers(source), **payloads(source)}
    paths = {}
    for number, (name, data) in enumerate(files.items()):
        paths[name] = target / f"step-{number:09d}.ckpt"
        paths[name].write_bytes(data)
    for number, (name, make) in enumerate(special(source).items(), start=len(files)):
        paths[name] = target / f"step-{number:09d}.ckpt"
        make(paths[name])
    return paths
