"""Checkpoints: what is saved comes back, byte for byte; faults lose nothing and never pass in silence."""

import os
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.errors import CheckpointError
from energax.runtime import checkpoint
from energax.runtime.container import MAX_HEADER
from energax.runtime.disk import folder_lock
from energax.runtime.strict import strict_json
from runtime.attacks import damage, faults


class Walkers(NamedTuple):
    x: jax.Array
    energy: jax.Array | None


class State(eqx.Module):
    """Every kind of leaf that a training state may hold."""

    weights: jax.Array
    half: jax.Array
    mask: jax.Array
    counts: tuple[jax.Array, ...]
    walkers: Walkers
    keys: dict[str, jax.Array]
    host: np.ndarray
    scalar: np.float64
    weak: jax.Array
    rate: float
    activation: object = jax.nn.silu
    name: str = eqx.field(static=True, default="net")


def make(seed: int = 0, rate: float = 0.1) -> State:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(3, 4)).astype(np.float32)
    weights[0, 0] = [np.nan, -0.0, np.inf][seed % 3]
    return State(
        weights=jnp.asarray(weights),
        half=jnp.asarray(rng.normal(size=5), jnp.bfloat16),
        mask=jnp.asarray(rng.integers(0, 2, 6).astype(bool)),
        counts=(jnp.asarray(seed, jnp.int32), jnp.zeros((0, 3), jnp.uint8)),
        walkers=Walkers(jnp.asarray(rng.normal(size=(7, 2)).astype(np.float32)), None),
        keys={"one": jax.random.key(seed), "many": jax.random.split(jax.random.key(seed + 1, impl="rbg"), 3)},
        host=np.asfortranarray(rng.normal(size=(4, 3))),
        scalar=np.float64(seed + 0.1),
        weak=jnp.asarray(float(seed)),
        rate=rate,
    )


def raw(tree) -> list[bytes]:
    """Every array leaf as bytes."""
    arrays = [leaf for leaf in jax.tree.leaves(tree) if eqx.is_array(leaf) or isinstance(leaf, np.generic)]
    plain = [jax.random.key_data(a) if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key) else a for a in arrays]
    return [np.asarray(a).tobytes() for a in plain]


def test_everything_comes_back(tmp_path):
    state = make(1)
    path = checkpoint.save(tmp_path, state, 12, meta={"seed": 3, "nested": {"a": [1, 2.5, None]}}, config="abc")
    found, meta = checkpoint.load(path, make(2), config="abc")
    assert raw(found) == raw(state)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    for new, old in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
        assert type(new) is type(old)
        assert getattr(new, "dtype", None) == getattr(old, "dtype", None)
        assert getattr(new, "weak_type", None) == getattr(old, "weak_type", None)
    assert jax.random.key_impl(found.keys["many"]) == "rbg"
    assert found.activation is jax.nn.silu
    assert (meta["step"], meta["seed"], meta["nested"], meta["config"]) == (12, 3, {"a": [1, 2.5, None]}, "abc")
    assert (meta["jax"], meta["prng"]) == (jax.__version__, "threefry2x32")


def test_a_shape_is_template_enough(tmp_path):
    state = {"w": jnp.arange(3.0), "key": jax.random.key(5)}
    path = checkpoint.save(tmp_path, state, 0)
    found, _ = checkpoint.load(path, jax.eval_shape(lambda: state))
    assert raw(found) == raw(state)


def test_the_same_state_gives_the_same_bytes(tmp_path):
    one, two = (checkpoint.save(tmp_path / name, make(4), 3, meta={"a": 1, "b": 2}) for name in "xy")
    assert one.read_bytes() == two.read_bytes()


def test_a_sharded_state_is_saved_whole_and_loads_anywhere(tmp_path):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.device_put(jnp.arange(32.0), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    found, _ = checkpoint.load(checkpoint.save(tmp_path, {"x": spread}, 0), {"x": np.zeros(32, np.float32)})
    np.testing.assert_array_equal(found["x"], np.arange(32.0))


MISFITS = {
    "a leaf too many": (lambda s: {**s, "extra": jnp.zeros(2)}, r"leaf \['extra'\] must be float32\[2\]; got nothing"),
    "a leaf too few": (lambda s: {"key": s["key"], "rate": 0.1}, r"leaf \['w'\] must be absent; got float32\[3\]"),
    "another shape": (lambda s: {**s, "w": jnp.zeros(4)}, r"leaf \['w'\] must be float32\[4\]; got float32\[3\]"),
    "another type": (lambda s: {**s, "w": jnp.zeros(3, jnp.int32)}, r"must be int32\[3\]; got float32\[3\]"),
    "an array for a key": (lambda s: {**s, "key": jnp.zeros(2, jnp.uint32)}, r"must be uint32\[2\]; got threefry2x32"),
    "another generator": (lambda s: {**s, "key": jax.random.key(0, impl="rbg")}, "must be rbg keys .*; got threefry"),
    "another number": (lambda s: {**s, "rate": 0.2}, r"leaf \['rate'\] must be 0.2; got 0.1"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_another_model_is_refused_leaf_by_leaf(tmp_path, name):
    state = {"w": jnp.zeros(3), "key": jax.random.key(0), "rate": 0.1}
    change, message = MISFITS[name]
    path = checkpoint.save(tmp_path, state, 1)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path, change(state))
    with pytest.raises(CheckpointError, match=message):  # no silent return to an older one
        checkpoint.latest(tmp_path, change(state))


def test_another_runs_checkpoint_is_refused(tmp_path):
    path = checkpoint.save(tmp_path, {"w": jnp.zeros(2)}, 1, config=checkpoint.digest_of({"seed": 1}))
    with pytest.raises(CheckpointError, match="config must have the digest"):
        checkpoint.load(path, {"w": jnp.zeros(2)}, config=checkpoint.digest_of({"seed": 2}))


def _deleted():
    array = jnp.zeros(3)
    array.delete()
    return array


REFUSED = {
    "object array": ({"state": {"a": np.array([None])}}, r"leaf \['a'\] must be an array of numbers"),
    "text array": ({"state": {"a": np.array(["x"])}}, "must be an array of numbers"),
    "donated array": ({"state": {"a": _deleted}}, r"leaf \['a'\] must be readable"),
    "negative step": ({"step": -1}, "step must be an integer >= 0; got -1"),
    "fractional step": ({"step": 1.5}, "step must be an integer >= 0; got 1.5"),
    "keep none": ({"keep": 0}, "keep must be an integer >= 1; got 0"),
    "NaN score": ({"score": float("nan")}, "score must be finite, or None; got nan"),
    "NaN in meta": ({"meta": {"a": float("nan")}}, "meta must be finite plain JSON"),
    "object in meta": ({"meta": {"a": object()}}, "meta must be finite plain JSON"),
    "reserved name": ({"meta": {"step": 3}}, "must not use the reserved names"),
    "huge meta": ({"meta": {"a": "x" * MAX_HEADER}}, "the header must fit in 1048576 bytes"),
    "deep meta": ({"meta": {"a": eval("[" * 60 + "]" * 60)}}, "nesting deeper than 32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_saved_is_refused_and_harms_nothing(tmp_path, name):
    words, message = REFUSED[name]
    good = checkpoint.save(tmp_path, {"a": jnp.zeros(1)}, 5)
    call = {"state": {"a": jnp.zeros(1)}, "step": 6, **words}
    call["state"] = {k: v() if callable(v) else v for k, v in call["state"].items()}
    with pytest.raises(CheckpointError, match=message):
        checkpoint.save(tmp_path, **call)
    assert checkpoint.list_checkpoints(tmp_path) == [good]


def _save_steps(folder, steps, **words):
    for step in steps:
        checkpoint.save(folder, {"n": np.int64(step)}, step, **words)
    return [int(path.stem[5:]) for path in checkpoint.list_checkpoints(folder)]


def test_the_last_few_are_kept(tmp_path):
    assert _save_steps(tmp_path / "two", range(5)) == [3, 4]
    assert _save_steps(tmp_path / "one", range(5), keep=1) == [4]
    assert _save_steps(tmp_path / "back", [10, 20, 30, 15]) == [15, 30]  # what was just acknowledged always stays


def test_the_best_is_kept(tmp_path):
    for step, score in enumerate([3.0, 1.0, 2.0, 2.5, 2.7]):
        checkpoint.save(tmp_path, {"n": np.int64(step)}, step, score=score)
    assert [path.name for path in checkpoint.list_checkpoints(tmp_path)] == [
        f"step-{step:09d}.ckpt" for step in (1, 3, 4)
    ]
    assert checkpoint.load(checkpoint.list_checkpoints(tmp_path)[0], {"n": np.int64(0)})[1]["score"] == 1.0


def test_nothing_there_is_said(tmp_path):
    assert checkpoint.list_checkpoints(tmp_path / "none") == []
    with pytest.raises(CheckpointError, match="must hold a checkpoint; got none"):
        checkpoint.latest(tmp_path / "none", {})
    with pytest.raises(CheckpointError, match="must be a readable checkpoint"):
        checkpoint.load(tmp_path / "none", {})


def test_other_files_are_left_alone(tmp_path):
    for name in ("notes.txt", "step-1.ckpt", "step-000000001.ckpt.bak", ".step-x.tmp"):
        (tmp_path / name).write_text("mine")
    _save_steps(tmp_path, range(4))
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".ckpt" or p.name == "step-1.ckpt") == [
        ".lock", ".step-x.tmp", "notes.txt", "step-000000001.ckpt.bak", "step-1.ckpt",
    ]  # fmt: skip


def test_a_lock_is_waited_for_and_given_up_on(tmp_path):
    def hold():
        with folder_lock(tmp_path):
            held.set()
            time.sleep(0.3)

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with pytest.raises(CheckpointError, match=f"got a lock held by process {os.getpid()}"), folder_lock(tmp_path, 0.05):
        pass
    checkpoint.save(tmp_path, {"n": np.int64(1)}, 1)
    thread.join()
    assert checkpoint.latest(tmp_path, {"n": np.int64(0)}).meta["step"] == 1


def test_strict_json_reads_what_json_reads():
    assert strict_json(b'{"a": [1, 2.5, "x]\\"[{", null, true]}') == {"a": [1, 2.5, 'x]"[{', None, True]}
    assert strict_json(b"[" * 32 + b"]" * 32)
    with pytest.raises(ValueError, match="deeper than 32"):
        strict_json(b"[" * 33 + b"]" * 33)


GOLDEN = (
    "656e657267617820636865636b706f696e7420310a18020000000000007b22636f6e666967223a22222c22666f726d6174223a312c226c65"
    "61766573223a7b225b2762275d223a7b226474797065223a2262666c6f61743136222c2270726e67223a22222c227368617065223a5b325d"
    "7d2c225b276b6579275d223a7b226474797065223a2275696e743332222c2270726e67223a22746872656566727932783332222c22736861"
    "7065223a5b325d7d2c225b276e275d223a7b226474797065223a22696e743634222c2270726e67223a22222c227368617065223a5b5d7d2c"
    "225b2777275d223a7b226474797065223a22666c6f61743332222c2270726e67223a22222c227368617065223a5b322c325d7d7d2c226d65"
    "7461223a7b226e6f7465223a22676f6c64656e227d2c227061796c6f61645f6279746573223a3238342c227061796c6f61645f7368613235"
    "36223a2263643638356336663435623830386238373131353437316630626437393366656630316566623336643334656532643465653464"
    "356136313133353264643066222c22706c61696e223a7b7d2c2273636f7265223a6e756c6c2c2273746570223a31372c2276657273696f6e"
    "73223a7b22656e6572676178223a22302e312e30222c226a6178223a22302e31302e32222c226a61786c6962223a22302e31302e32222c22"
    "6e756d7079223a22322e342e36222c22706172746974696f6e61626c65223a2254727565222c2270726e67223a2274687265656672793278"
    "3332227d7df0000000000000007b225b276e275d223a7b226474797065223a22493634222c227368617065223a5b5d2c22646174615f6f66"
    "6673657473223a5b302c385d7d2c225b2777275d223a7b226474797065223a22463332222c227368617065223a5b322c325d2c2264617461"
    "5f6f666673657473223a5b382c32345d7d2c225b276b6579275d223a7b226474797065223a22553332222c227368617065223a5b325d2c22"
    "646174615f6f666673657473223a5b32342c33325d7d2c225b2762275d223a7b226474797065223a225538222c227368617065223a5b345d"
    "2c22646174615f6f666673657473223a5b33322c33365d7d7d2020202000000000000100000000803f000000c00000003f00005040000000"
    "002a000000c03f80beeca5c69ef8c75c37d013f9d6bfaf9400f022226ba7bfda2b7ae15f68f54d193c"
)


def test_format_1_stays_readable(tmp_path):
    """A file written when format 1 was new; every later energax must read it."""
    path = tmp_path / "golden.ckpt"
    path.write_bytes(bytes.fromhex(GOLDEN))
    template = {"b": jnp.zeros(2, jnp.bfloat16), "key": jax.random.key(0), "w": jnp.zeros((2, 2)), "n": np.int64(0)}
    state, meta = checkpoint.load(path, template)
    np.testing.assert_array_equal(state["w"], [[1.0, -2.0], [0.5, 3.25]])
    np.testing.assert_array_equal(state["b"].astype(jnp.float32), [1.5, -0.25])
    np.testing.assert_array_equal(jax.random.key_data(state["key"]), jax.random.key_data(jax.random.key(42)))
    assert (int(state["n"]), meta["step"], meta["note"]) == (2**40, 17, "golden")


# ---- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bit", "truncation", "block"])
def test_damage_is_found_and_said(tmp_path, kind):
    tally = damage.damages(tmp_path, 50, seed=2, kind=kind)
    assert tally.injected >= 45
    assert (tally.lost, tally.silent) == (0, 0), tally.examples


def test_a_careless_loader_would_be_caught(tmp_path, monkeypatch):
    """The judge itself: without the digest, flipped bits come back as numbers."""
    monkeypatch.setattr("energax.runtime.container._compare", lambda *_: None)
    monkeypatch.setattr("energax.runtime.container._same_digest", lambda *_: True)
    assert damage.damages(tmp_path, 30, seed=2, kind="bit").silent > 0


FAULTS = {"kills": 25, "refusals": 30, "writers": 5, "dead holders": 3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="faults are injected into forked processes")
@pytest.mark.parametrize("name", FAULTS)
def test_faults_lose_nothing(tmp_path, name):
    tally = faults.in_process_of_its_own(name, tmp_path, FAULTS[name], seed=3)
    assert tally.injected == FAULTS[name]
    assert (tally.lost, tally.silent) == (0, 0), tally.examples


def test_damaged_files_are_found_without_a_device(tmp_path):
    """A checkpoint of NumPy arrays is loaded without starting a JAX backend."""
    checkpoint.save(tmp_path, {"w": np.arange(3.0)}, 1)
    code = (
        "import sys, numpy as np\nfrom energax.runtime import checkpoint\n"
        "checkpoint.latest(sys.argv[1], {'w': np.zeros(3)})\n"
        "from jax._src import xla_bridge\nassert not xla_bridge.backends_are_initialized()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
