"""Phases, players, names of bad leaves, averages, prepared batches; the laws of all trainers are in contracts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest

from energax.core import AbstractObjective
from energax.training import Dequantise, Phase, Trainer, averaged, explain, guard, run_steps, scan_steps, split

KEY = jax.random.key(0)
BATCH = {"x": jnp.ones((4, 3))}


class Pull(AbstractObjective):
    """Pulls `model[pulls]` to the batch's mean; its loss sees every player: only `trains` keeps others still."""

    pulls: str = eqx.field(static=True)

    def init(self, key, model, batch):
        return None

    def __call__(self, key, model, state, batch):
        pull = jnp.sum((model[self.pulls] - jnp.mean(batch["x"], axis=0)) ** 2)
        rest = sum(jnp.sum(value**2) for name, value in model.items() if name != self.pulls)
        return pull + rest, (state, {"rest": rest})


def players():
    return {"energy": jnp.full(3, 2.0), "generator": jnp.full(3, -2.0), "frozen": jnp.full(3, 5.0)}


def game():
    return Trainer(
        (
            Phase(Pull("energy"), optax.adamw(0.1, weight_decay=0.5), lambda m: m["energy"], "energy"),
            Phase(Pull("generator"), optax.sgd(0.1), lambda m: (m["generator"],), "generator"),
        ),
        ema_decay=0.5,
    )


def judge_only_moves(trainer, moving):
    state = trainer.init(KEY, players(), BATCH)
    new, _ = eqx.filter_jit(lambda s, b: trainer.step(s, b))(state, BATCH)
    moved = {name for name in state.model if not np.array_equal(state.model[name], new.model[name])}
    assert moved == moving, moved
    assert {n for n in state.ema if not np.array_equal(state.ema[n], new.ema[n])} == moving


def test_only_named_players_move():
    judge_only_moves(game(), {"energy", "generator"})
    judge_only_moves(Trainer(game().phases[:1]), {"energy"})  # weight decay does not reach what rests
    with pytest.raises(AssertionError):  # planted: a phase that forgot to name its player
        judge_only_moves(Trainer((Phase(Pull("energy"), optax.sgd(0.1)),)), {"energy"})


def test_phases_take_turns_and_prefix_their_metrics():
    trainer = game()
    state, metrics = trainer.step(trainer.init(KEY, players(), BATCH), BATCH)
    both = {f"{p}/{n}" for p in ("energy", "generator") for n in ("loss", "rest", "grad_norm", "first_bad")}
    assert set(metrics) == both | {"rejected"}
    moved = float(jnp.sum(state.model["energy"] ** 2))  # the second phase sees the energy that the first one left
    assert float(metrics["generator/rest"]) == pytest.approx(moved + 75.0, rel=1e-6)


def test_one_bad_phase_refuses_the_whole_step_and_is_named():
    trainer = game()
    state = trainer.init(KEY, players(), BATCH)
    bad = eqx.tree_at(lambda s: s.model["generator"], state, jnp.array([1e30, 1.0, 1.0]))  # its square is infinite
    new, metrics = trainer.step(bad, BATCH)
    assert float(metrics["rejected"]) == 1.0
    np.testing.assert_array_equal(new.model["energy"], bad.model["energy"])
    assert int(new.step) == 1
    code = int(metrics["energy/first_bad"])
    assert str(explain(trainer, state, code)) == "loss of phase 'energy'"  # first phase: its loss saw the generator
    slow = eqx.tree_at(lambda s: s.optimizers[0][0].mu["energy"], state, jnp.full(3, jnp.inf))
    _, metrics = trainer.step(slow, BATCH)
    culprit = explain(trainer, state, int(metrics["energy/first_bad"]))
    assert (culprit.phase, culprit.part, culprit.path) == ("energy", "parameters", "['energy']")


def test_large_but_finite_numbers_are_not_refused():
    class Steep(AbstractObjective):
        def init(self, key, model, batch):
            return None

        def __call__(self, key, model, state, batch):
            return jnp.sum(model) * 1e25, (state, {})  # its gradient cannot be squared in float32

    trainer = Trainer((Phase(Steep(), optax.sgd(1e-25)),))
    state, metrics = trainer.step(trainer.init(KEY, jnp.ones(3), BATCH), BATCH)
    assert float(metrics["rejected"]) == 0.0
    np.testing.assert_allclose(state.model, 0.0, atol=1e-6)


def test_finiteness_by_one_sum_is_exact():
    finite = jax.jit(guard.finite)
    assert finite(jnp.full(100_000, 3.3e38))
    assert finite(jnp.full(4, 1e-44))
    assert finite(jnp.full(5, 3e38, jnp.bfloat16))
    for bad in ([jnp.inf], [-jnp.inf], [jnp.nan], [jnp.inf, -jnp.inf]):
        assert not finite(jnp.concatenate([jnp.full(1000, -3.3e38), jnp.array(bad)]))


def test_every_leaf_has_its_code():
    trainer, names = game(), set()
    state = trainer.init(KEY, players(), BATCH)
    code = 1
    while True:
        try:
            names.add(explain(trainer, state, code))
        except ValueError:
            break
        code += 1
    # phase one: loss, gradient, parameter, Adam's two moments; phase two: loss, gradient, parameter
    assert len(names) == code - 1 == 8
    assert explain(trainer, state, -1, BATCH).path == "['x']"
    with pytest.raises(ValueError, match="code"):
        explain(trainer, state, 0)


def test_chunks_of_any_length_give_the_same_bits_and_donation_too():
    trainer = game()
    chunk = {"x": jax.random.normal(KEY, (4, 4, 3))}
    begin = trainer.init(KEY, players(), BATCH)
    whole, _ = run_steps(trainer, begin, chunk)
    half, _ = run_steps(trainer, begin, {"x": chunk["x"][:2]})
    half, _ = run_steps(trainer, half, {"x": chunk["x"][2:]})
    for a, b in zip(jax.tree.leaves(whole.model), jax.tree.leaves(half.model), strict=True):
        np.testing.assert_array_equal(a, b)
    copied, _ = run_steps(trainer, trainer.init(KEY, players(), BATCH), chunk, donate=True)
    np.testing.assert_array_equal(copied.model["energy"], whole.model["energy"])
    again, metrics = scan_steps(trainer, begin, chunk)
    assert metrics["rejected"].shape == (4,)
    np.testing.assert_allclose(again.model["energy"], whole.model["energy"], rtol=1e-6)


def test_average_follows_and_rests():
    old, new = {"a": jnp.zeros(2), "b": jnp.full(2, 0.1)}, {"a": jnp.ones(2), "b": jnp.full(2, 0.1)}
    first = averaged(old, new, 0.995, jnp.array(0))
    np.testing.assert_allclose(first["a"], 0.9)  # the first decay is 1 / 10
    late = averaged(old, new, 0.995, jnp.array(10**6))
    np.testing.assert_allclose(late["a"], 0.005, rtol=1e-4)
    np.testing.assert_array_equal(late["b"], new["b"])
    np.testing.assert_array_equal(averaged(old, new, 0.0, jnp.array(5))["a"], new["a"])


def test_randomness_depends_on_seed_and_step_alone():
    class Noise(AbstractObjective):
        def init(self, key, model, batch):
            return None

        def __call__(self, key, model, state, batch):
            return jnp.sum(model**2), (state, {"draw": jax.random.normal(key), "data": jnp.mean(batch["x"])})

    trainer = Trainer((Phase(Noise(), optax.sgd(0.0)),), prepare=Dequantise(1.0))
    state = trainer.init(KEY, jnp.ones(1), BATCH)
    _, first = run_steps(trainer, state, {"x": jnp.ones((3, 4, 3))})
    later = eqx.tree_at(lambda s: s.step, state, jnp.array(2, jnp.int32))
    _, third = trainer.step(later, BATCH)
    assert float(third["draw"]) == float(first["draw"][2])
    assert float(third["data"]) == pytest.approx(float(first["data"][2]), rel=1e-6)
    assert len(np.unique(np.asarray(first["draw"]))) == len(np.unique(np.asarray(first["data"]))) == 3


class Plane:
    """x = mean + factor z."""

    def __init__(self, mean, factor):
        self.mean, self.factor = np.asarray(mean), np.asarray(factor)


def test_dequantise_adds_its_noise_then_whitens():
    rng = np.random.default_rng(0)
    factor = np.array([[2.0, 0.0], [1.0, 0.5]])
    x = (np.array([3.0, -1.0]) + rng.normal(size=(2000, 2)) @ factor.T).astype(np.float32)
    z = Dequantise(0.0, Plane([3.0, -1.0], factor))(KEY, {"x": jnp.asarray(x), "y": jnp.zeros(2000)})
    assert set(z) == {"x", "y"}
    np.testing.assert_allclose(np.cov(np.asarray(z["x"]).T), np.eye(2), atol=0.15)
    np.testing.assert_allclose(np.asarray(z["x"]) @ factor.T + [3.0, -1.0], x, atol=1e-4)
    diagonal = Dequantise(0.5, Plane(np.zeros(2), [2.0, 4.0]))(KEY, {"x": jnp.zeros((4000, 2, 1))})["x"]
    np.testing.assert_allclose(jnp.std(diagonal, axis=0), [0.25, 0.125], rtol=0.06)


def test_damping_lives_in_the_state_and_brakes():
    from energax.training import brake, damping

    trainer = Trainer((Phase(Pull("energy"), optax.chain(optax.sgd(0.1), damping()), lambda m: m["energy"]),))
    state = trainer.init(KEY, players(), BATCH)
    whole, _ = trainer.step(state, BATCH)
    half, _ = trainer.step(eqx.tree_at(lambda s: s.optimizers, state, brake(state.optimizers, 0.5)), BATCH)
    moved = np.asarray(whole.model["energy"] - state.model["energy"])
    np.testing.assert_allclose(np.asarray(half.model["energy"] - state.model["energy"]), 0.5 * moved, rtol=1e-5)


def begun():
    return game().init(KEY, players(), BATCH)


PULL = Phase(Pull("energy"), optax.sgd(0.1))
BAD = {
    "no_phase": (lambda: Trainer(()), "phases"),
    "same_names": (lambda: Trainer((PULL, PULL)), "phases"),
    "decay": (lambda: Trainer((PULL,), ema_decay=1.0), "ema_decay"),
    "optimizer": (lambda: Phase(Pull("energy"), 0.1), "optimizer"),
    "name": (lambda: Phase(Pull("energy"), optax.sgd(0.1), name="a/b"), "name"),
    "key": (lambda: Trainer((PULL,)).init(jax.random.PRNGKey(0), players(), BATCH), "key"),
    "no_x": (lambda: Trainer((PULL,)).init(KEY, players(), {"z": jnp.ones(3)}), "'x'"),
    "not_dict": (lambda: Trainer((PULL,)).init(KEY, players(), jnp.ones(3)), "dict"),
    "nan": (lambda: Trainer((PULL,)).init(KEY, players(), {"x": np.array([[np.nan]])}), "finite"),
    "empty": (lambda: Trainer((PULL,)).init(KEY, players(), {"x": np.zeros((0, 3))}), "sample"),
    "trains_nothing": (lambda: split({"a": jnp.arange(3)}, lambda m: m["a"]), "at least one array of floats"),
    "trains_elsewhere": (lambda: split({"a": jnp.ones(3)}, lambda m: jnp.ones(2)), "parts of the model"),
    "chunk": (lambda: run_steps(game(), begun(), {"x": jnp.ones((0, 4, 3))}), "steps"),
    "ragged": (lambda: run_steps(game(), begun(), {"x": jnp.ones((2, 4, 3)), "y": jnp.ones((3, 4))}), "steps"),
    "sigma": (lambda: Dequantise(-0.1), "sigma"),
    "singular": (lambda: Dequantise(0.1, Plane(np.zeros(2), [1.0, 0.0])), "zeros"),
    "shape": (lambda: Dequantise(0.1, Plane(np.zeros(2), np.ones((3, 3)))), "factor"),
    "dim": (lambda: Dequantise(0.1, Plane(np.zeros(2), np.ones(2)))(KEY, BATCH), "2 numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name, monkeypatch):
    make, word = BAD[name]
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as a user runs it: no checker speaks first
    with pytest.raises(ValueError, match=word):
        make()
