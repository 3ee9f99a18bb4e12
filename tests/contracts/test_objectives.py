"""Laws of every trainer: one compile, scan = loop, resume = uninterrupted, 8 devices = 1, only the finite gets in."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energax.training.trainer as trainer_module
from contracts.objectives import CHAINS, MEMBERS, STEPS, arrays, at, batches, through_numpy
from energax import objectives
from energax.core import AbstractObjective, Chains
from energax.runtime.placement import Placement
from energax.training import explain, run_steps

CHUNK = batches(STEPS)
ALIKE = (
    "improved_cd",
    "telescoping_nce",
    "jem",
    "pcd_spins",
    "pcd_categories",
    "fast_weights_bits",
    "tempered_bits",
    "jarzynski_bits",
    "jarzynski_spins",
)
"""The laws of scans and devices run over these with the slow tests only."""
_STEPS: dict = {}

each = pytest.mark.parametrize("name", MEMBERS)
each_layout = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in MEMBERS]
)


def chunk(name):
    """The batches of a member."""
    return MEMBERS[name].batches(STEPS)


def counted(name):
    """One jitted step a member, shared by all laws, with the number of times it was traced."""
    if name not in _STEPS:
        traces = []

        @eqx.filter_jit
        def step(state, batch):
            traces.append(1)
            return MEMBERS[name].trainer.step(state, batch)

        _STEPS[name] = (step, traces)
    return _STEPS[name]


def start(name):
    return MEMBERS[name].trainer.init(jax.random.key(3), MEMBERS[name].model(), at(chunk(name), 0))


def looped(name, state, steps):
    step, _ = counted(name)
    metrics = []
    for i in steps:
        state, seen = step(state, at(chunk(name), i))
        metrics.append(seen)
    return state, metrics


# --- judges: each raises AssertionError -----------------------------------------------------------------------------


def judge_same_bits(a, b):
    for x, y in zip(arrays(a), arrays(b), strict=True):
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes()


def judge_close(a, b, tolerance):
    for x, y in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_allclose(x.astype(np.float64), y.astype(np.float64), rtol=tolerance, atol=tolerance)


def judge_split(state):
    """Every array with one entry a chain lies in slices on 8 devices, and there is one if the state has walkers."""
    split = [
        leaf
        for leaf in jax.tree.leaves(eqx.filter(state.objectives, eqx.is_array))
        if leaf.ndim and leaf.shape[0] % CHAINS == 0
    ]
    for leaf in split:
        assert len(leaf.sharding.device_set) == 8
        assert not leaf.sharding.is_fully_replicated, leaf.sharding
    assert split or not walkers(state), "no array has one entry a chain"


def judge_finite(state):
    for x in arrays(state):
        assert np.all(np.isfinite(x)) if np.issubdtype(x.dtype, np.floating) else True


def judge_contained(planted, new, rejected):
    """A refused step keeps every bit; one that went on has no fault but where it was planted."""
    if rejected:
        judge_same_bits(eqx.tree_at(lambda s: s.step, new, planted.step), planted)
    for x, y in zip(arrays(planted), arrays(new), strict=True):
        if np.issubdtype(x.dtype, np.floating):
            assert np.all(np.isfinite(y) | ~np.isfinite(x))


def judge_complete(members):
    """Every objective that the face exports is the rule of a phase of some member."""
    found = {type(phase.objective) for member in members.values() for phase in member.trainer.phases}
    rules = [value for value in vars(objectives).values() if isinstance(value, type)]
    missing = [rule.__name__ for rule in rules if issubclass(rule, AbstractObjective) and rule not in found]
    assert not missing, f"{missing} are no members"


# --- laws -----------------------------------------------------------------------------------------------------------


def test_every_rule_is_a_member():
    judge_complete(MEMBERS)
    for missing in ("short_run", "learned_stein", "weighted"):
        with pytest.raises(AssertionError, match="are no members"):  # planted: a rule that nobody entered
            judge_complete({name: member for name, member in MEMBERS.items() if name != missing})


@each
def test_one_compile_and_resume_is_exact(name):
    begin = start(name)
    _, traces = counted(name)
    half, _ = looped(name, begin, range(2))
    whole, metrics = looped(name, half, range(2, STEPS))
    resumed, _ = looped(name, through_numpy(half), range(2, STEPS))
    judge_same_bits(resumed, whole)
    assert len(traces) == 1
    assert int(whole.step) == STEPS
    assert float(metrics[-1]["rejected"]) == 0.0
    assert all(np.isfinite(float(value)) and jnp.shape(value) == () for value in metrics[-1].values())
    for x, y in zip(arrays(begin.model), arrays(whole.model), strict=True):
        assert x.shape == y.shape
    with pytest.raises(AssertionError):
        judge_same_bits(begin.model, whole.model)  # it did train


@each_layout
def test_scan_is_a_loop(name):
    whole, metrics = looped(name, start(name), range(STEPS))
    scanned, stacked = run_steps(MEMBERS[name].trainer, start(name), chunk(name))
    judge_close(scanned, whole, 2e-5)
    assert set(stacked) == set(metrics[-1])
    assert all(value.shape == (STEPS,) for value in stacked.values())


@each_layout
def test_eight_devices_give_the_numbers_of_one(name):
    step, _ = counted(name)
    place = Placement.auto()
    assert place.num_devices == 8
    one, eight = start(name), place.state(start(name))
    for i in range(2):
        batch = at(chunk(name), i)
        one, seen_one = step(one, batch)
        eight, seen_eight = step(eight, place.batch(batch))
    judge_close(place.fetch(eight), one, 2e-5)
    judge_close(place.fetch(seen_eight), seen_one, 2e-4)
    judge_split(eight)


@pytest.mark.parametrize("name", ["cd_ula", "pcd_mala", "dsm", "weighted"])
def test_nothing_that_is_not_finite_gets_in(name):
    """NaN and infinity planted at random in data, energy, gradient, walkers: 0 reach model, optimiser or buffer."""
    rng = np.random.default_rng(1)
    state, refused, tried = start(name), 0, 0
    for trial in range(40):
        where = ("data", "energy", "gradient", "walkers", "none")[trial % 5]
        bad = [np.nan, np.inf, -np.inf][rng.integers(3)]
        planted, batch = plant(state, at(CHUNK, trial % STEPS), where, bad, rng)
        new, metrics = counted(name)[0](planted, batch)
        code, rejected = int(metrics["first_bad"]), float(metrics["rejected"])
        assert rejected == float(code != 0)
        if where == "none":
            assert code == 0
        elif where == "walkers":  # healed: born anew, counted, and the step goes on
            assert code == 0
            assert float(metrics.get("evicted", 0.0)) == float(planted is not state)
        else:
            tried, refused = tried + 1, refused + int(rejected)
            expected = {"data": ("batch",), "energy": ("loss",), "gradient": ("gradient",)}[where]
            assert explain(MEMBERS[name].trainer, state, code).part in expected
            judge_same_bits(eqx.tree_at(lambda s: s.step, new, planted.step), planted)
            new = eqx.tree_at(lambda s: s.step, state, new.step)  # the planted fault is taken out again
        judge_finite(new)
        state = new
    assert refused == tried == 24


@each
def test_a_fault_spreads_nowhere(name):
    """NaN in a batch, or in any one array of the model or the walkers: refused or healed, and never passed on."""
    state, batch = start(name), at(chunk(name), 0)
    step, _ = counted(name)
    for key, value in batch.items():
        if jnp.issubdtype(value.dtype, jnp.floating):
            new, metrics = step(state, batch | {key: value.at[(0,) * value.ndim].set(jnp.nan)})
            assert float(metrics["rejected"]) == 1.0
            judge_same_bits(eqx.tree_at(lambda s: s.step, new, state.step), state)
    refused = 0
    for planted in each_spoiled(state):
        new, metrics = step(planted, batch)
        refused += int(metrics["rejected"])
        judge_contained(planted, new, float(metrics["rejected"]))
    assert refused > 0


def test_the_guard_is_what_keeps_them_out(monkeypatch):
    """Planted bug: a step that takes whatever it computed. The judge of the law above must see it."""
    monkeypatch.setattr(trainer_module, "select", lambda good, new, old: new)
    trainer = MEMBERS["dsm"].trainer
    batch = {"x": at(CHUNK, 0)["x"].at[0, 0].set(jnp.nan)}
    state, _ = eqx.filter_jit(lambda s, b: trainer.step(s, b))(start("dsm"), batch)
    with pytest.raises(AssertionError):
        judge_finite(state)
    with pytest.raises(AssertionError):
        judge_contained(start("dsm"), state, 0.0)
    with pytest.raises(AssertionError):
        judge_contained(start("dsm"), state, 1.0)


def test_judges_see_planted_bugs():
    begin = start("pcd_ula")
    step, _ = counted("pcd_ula")
    half, _ = looped("pcd_ula", begin, range(2))
    whole, _ = looped("pcd_ula", half, range(2, STEPS))
    forgotten_key = eqx.tree_at(
        lambda s: s.key, through_numpy(half), jax.random.key(0)
    )  # resumed without its random state
    with pytest.raises(AssertionError):
        judge_same_bits(looped("pcd_ula", forgotten_key, range(2, STEPS))[0].model, whole.model)
    forgotten_chains = eqx.tree_at(lambda s: s.objectives, half, begin.objectives)  # resumed without its walkers
    with pytest.raises(AssertionError):
        judge_same_bits(looped("pcd_ula", forgotten_chains, range(2, STEPS))[0].model, whole.model)
    with pytest.raises(AssertionError):
        judge_close(looped("pcd_ula", begin, [1, 0, 2, 3])[0], whole, 2e-5)  # batches in another order
    copied = jax.tree.map(
        lambda n: Placement.auto().state(n.states) if isinstance(n, Chains) else n,
        begin.objectives,
        is_leaf=lambda n: isinstance(n, Chains),
    )
    with pytest.raises(AssertionError):
        judge_split(eqx.tree_at(lambda s: s.objectives, begin, copied))  # walkers without their mark
    odd = jax.tree.map(lambda leaf: leaf[:-1] if leaf.ndim else leaf, eqx.filter(begin.objectives, eqx.is_array))
    with pytest.raises(AssertionError, match="no array has one entry a chain"):
        judge_split(eqx.tree_at(lambda s: s.objectives, begin, odd))  # walkers that no law would look at
    retraced = eqx.tree_at(lambda s: s.model.gain, begin, jnp.asarray(1.0))  # a weak type: compiles again
    before = len(counted("pcd_ula")[1])
    step(retraced, at(CHUNK, 0))
    assert len(counted("pcd_ula")[1]) == before + 1
    counted("pcd_ula")[1].pop()


def plant(state, batch, where, bad, rng):
    """A state or batch with one fault; the seat is random."""
    if where == "data":
        row, column = rng.integers(batch["x"].shape[0]), rng.integers(batch["x"].shape[1])
        return state, {"x": batch["x"].at[row, column].set(bad)}
    if where == "energy":
        return eqx.tree_at(lambda s: s.model.fault, state, jnp.array([bad, 0.0], jnp.float32)), batch
    if where == "gradient":
        return eqx.tree_at(lambda s: s.model.fault, state, jnp.array([0.0, 1.0])), batch
    if where == "walkers" and walkers(state):
        lost = walkers(state)[0].states.at[rng.integers(CHAINS), 0].set(bad)
        return eqx.tree_at(lambda s: walkers(s)[0].states, state, lost), batch
    return state, batch


def each_spoiled(state):
    """The state with a NaN in one array of its model (and of the model's average) or its walkers, for each of them."""
    leaves, tree = jax.tree.flatten((state.model, state.objectives))
    for place, leaf in enumerate(leaves):
        if eqx.is_inexact_array(leaf) and leaf.size:
            spoiled = [*leaves[:place], leaf.at[(0,) * leaf.ndim].set(jnp.nan), *leaves[place + 1 :]]
            model, rest = jax.tree.unflatten(tree, spoiled)
            yield eqx.tree_at(lambda s: (s.model, s.ema, s.objectives), state, (model, model, rest))


def walkers(state):
    """The stacks of chains in a state whose every walker moves in every step: positions, then ages."""
    nodes = jax.tree.leaves(state.objectives, is_leaf=lambda n: isinstance(n, Chains))
    return [node for node in nodes if isinstance(node, Chains)]
