"""Arrays out of pickles: what is read, and that nothing is ever run."""

import io
import os
import pickle
import struct

import numpy as np
import pytest

from energax.data.array_pickle import read_arrays
from energax.errors import DataError

ARRAYS = (
    (np.arange(12, dtype=np.float32).reshape(3, 4), np.array([1, 2, 3])),
    (np.zeros((2, 4), np.uint8), np.array([-1, 5])),
)
LIMIT = 10_000


def read(raw: bytes, limit: int = LIMIT):
    return read_arrays(io.BytesIO(raw), limit)


def old_style(shape: tuple[int, int], data: bytes) -> bytes:
    """A float32 array as Python 2's protocol 2 wrote it, memo and latin-1 text included."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        + b"(K\x01"
        + bytes([ord("K"), shape[0], ord("K"), shape[1]])
        + b"\x86cnumpy\ndtype\nq\x04U\x02f4K\x00K\x01\x87Rq\x05"
        + b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(data))
        + data
        + b"tb."
    )


def test_reads_nested_tuples_of_arrays():
    got = read(pickle.dumps(ARRAYS, protocol=3))
    for pair, expected in zip(got, ARRAYS, strict=True):
        for a, b in zip(pair, expected, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


def test_reads_what_python_2_wrote():
    x = np.arange(6, dtype="<f4").reshape(2, 3) * -3.7
    np.testing.assert_array_equal(read(old_style((2, 3), x.tobytes())), x)


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "among arrays"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol, hidden):
    mark = tmp_path / "executed"
    payload = Payload(str(mark))
    raw = pickle.dumps((ARRAYS[0][0], payload) if hidden else payload, protocol=protocol)
    with pytest.raises(DataError, match="pickle"):
        read(raw)
    assert not mark.exists()
    pickle.loads(raw)  # the judge: it does go off where pickles are run
    assert mark.exists()


GOOD = pickle.dumps(ARRAYS[0][0], protocol=3)
BAD = {
    "empty": b"",
    "no pickle": b"hello, world",
    "cut off": GOOD[:-20],
    "protocol 4 names": pickle.dumps(ARRAYS[0][0], protocol=4),
    "a list": pickle.dumps([ARRAYS[0][0]], protocol=3),
    "a dict": pickle.dumps({"x": ARRAYS[0][0]}, protocol=3),
    "a number": b"\x80\x02K\x01.",
    "a text": pickle.dumps("x", protocol=3),
    "objects": pickle.dumps(np.array([None, 1], dtype=object), protocol=3),
    "big endian": pickle.dumps(np.arange(3, dtype=">f4"), protocol=3),
    "structured": pickle.dumps(np.zeros(2, dtype=[("a", "<f4")]), protocol=3),
    "fortran order": pickle.dumps(np.asfortranarray(np.zeros((2, 3))), protocol=3),
    "complex": pickle.dumps(np.zeros(2, complex), protocol=3),
    "shape larger than the bytes": old_style((200, 200), b"\0" * 24),
    "shape smaller than the bytes": old_style((1, 1), b"\0" * 24),
    "negative length": old_style((2, 3), b"").replace(b"T" + struct.pack("<i", 0), b"T" + struct.pack("<i", -5)),
    "length of 2 GiB": old_style((2, 3), b"").replace(b"T" + struct.pack("<i", 0), b"T" + struct.pack("<i", 2**31 - 1)),
    "another name": b"\x80\x02cos\nsystem\n.",
    "a name of numpy": b"\x80\x02cnumpy\nload\nU\x01x\x85R.",
    "eval by a name": b"\x80\x02cbuiltins\neval\nU\x011\x85R.",
    "calling ndarray": b"\x80\x02cnumpy\nndarray\nK\x05\x85R.",
    "calling a tuple": b"\x80\x02))R.",
    "building a tuple": b"\x80\x02))b.",
    "nothing to call": b"\x80\x02R.",
    "memo not set": b"\x80\x02h\x07.",
    "memo of nothing": b"\x80\x02q\x01.",
    "tuple without its mark": b"\x80\x02t.",
    "only a mark": b"\x80\x02(.",
    "two values": b"\x80\x02)).",
    "an array never built": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent name": b"\x80\x02Ux\x01Q.",
    "an out-of-band buffer": b"\x80\x05\x97.",
    "endless instructions": b"\x80\x02" + b"N" * 20_000 + b".",
    "a number of text": b"\x80\x02I" + b"9" * 5000 + b"\n.",
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_refuses(raw):
    with pytest.raises(DataError, match=r"[Pp]ickle.* must ") as caught:
        read(raw, 30_000)
    assert "\n" not in str(caught.value)


def test_refuses_more_bytes_than_its_limit():
    with pytest.raises(DataError, match="within its limit"):
        read(GOOD, 60)


def test_no_mutation_escapes():
    rng = np.random.default_rng(0)
    raw = pickle.dumps(ARRAYS, protocol=3)
    refused = 0
    for _ in range(1000):
        mutated = bytearray(raw)
        for _ in range(rng.integers(1, 4)):
            mutated[int(rng.integers(len(mutated)))] = int(rng.integers(256))
        try:
            read(bytes(mutated))
        except DataError:
            refused += 1
    assert refused > 300
