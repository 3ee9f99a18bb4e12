"""Damage to checkpoint files: flipped bits, zeroed blocks, truncation, and random mutations under right digests."""

import json
import random
import struct
from pathlib import Path

from energax.errors import CheckpointError
from energax.runtime import checkpoint
from runtime.attacks import corpus
from runtime.attacks.tally import Tally, same, state_of, template


def damages(folder: Path, num: int, seed: int, kind: str, size: int = 2000) -> Tally:
    """`kind` of damage to the newest of two checkpoints: it must be passed over, aloud, for the one before."""
    rng, tally = random.Random(seed), Tally()
    checkpoint.save(folder, state_of(1, size), 1)
    path = checkpoint.save(folder, state_of(2, size), 2)
    sound = path.read_bytes()
    places = range(len(sound)) if kind == "every truncation" else range(num)
    for place in places:
        data = bytearray(sound)
        if kind == "bit":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == "block":
            start = rng.randrange(len(data))
            data[start : start + 4096] = bytes(len(data[start : start + 4096]))
        else:
            del data[place if kind == "every truncation" else rng.randrange(len(data)) :]
        if bytes(data) == sound:
            continue
        path.write_bytes(data)
        tally.injected += 1
        try:
            found = checkpoint.latest(folder, template(size))
        except CheckpointError as error:
            tally.lost += 1
            tally.note(str(error))
            continue
        if len(found.notes) != 1 or path.name not in found.notes[0] or not same(found.state, 1, size):
            tally.silent += 1
            tally.note(f"{kind}: {found.notes}")
    return tally


def mutations(folder: Path, num: int, seed: int) -> Tally:
    """Random changes to a small file, two thirds of them with the digests made right again."""
    rng, tally = random.Random(seed), Tally()
    sound = corpus.honest(folder)
    path, wanted = folder / "step-000000007.ckpt", corpus.template()
    right = checkpoint.load(path, wanted)[0]
    accepted = 0
    for _ in range(num):
        resealed = rng.random() < 2 / 3
        data = _mutate_parts(rng, sound) if resealed else _mutate(rng, sound)
        path.write_bytes(data)
        tally.injected += 1
        try:
            found = checkpoint.load(path, wanted)[0]
        except CheckpointError:
            continue
        except BaseException as error:
            tally.lost += 1
            tally.note(f"{type(error).__name__}: {error}")
            continue
        accepted += 1  # changed numbers under digests made right again are another sound file
        if not resealed and any(found[name].tobytes() != right[name].tobytes() for name in right):
            tally.silent += 1
    tally.figures["sound after resealing"] = accepted
    return tally


def _mutate(rng: random.Random, data: bytes) -> bytes:
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(5)
        if what == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif what == 1:
            data[at:at] = rng.randbytes(rng.choice([1, 2, 8, 64]))
        elif what == 2:
            del data[at : at + rng.choice([1, 2, 8, 64])]
        elif what == 3:
            token = rng.choice(
                [b"-1", b"1e999", b"NaN", b"null", b"[[", b"}}", b'"', b"99999999999999999999", b"\\u0000"]
            )
            data[at : at + len(token)] = token
        else:
            data[at : at + 8] = struct.pack("<Q", rng.choice([0, 2**31, 2**63, 2**64 - 1, rng.randrange(10**6)]))
    return bytes(data)


def _mutate_parts(rng: random.Random, sound: bytes) -> bytes:
    header, payload = corpus.parts(sound)
    if rng.random() < 0.5:
        return corpus.seal(header, _mutate(rng, payload))
    return corpus.seal(_mutate(rng, json.dumps(header).encode()), payload)
