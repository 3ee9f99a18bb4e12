"""Scores of the unusual: laws that every one of them obeys, closed forms, limits, and planted bugs that are caught."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import chi2

from energax.core import ConfigError, FunctionEnergy
from energax.energies import standard_normal
from energax.evaluation import auroc, energy_values
from energax.evaluation.ood import (
    ash_b,
    ash_p,
    ash_s,
    compare,
    detectors,
    energy_score,
    entropy,
    fit_knn,
    fit_mahalanobis,
    fit_react,
    fit_relative_mahalanobis,
    fit_typicality,
    gradient_norm,
    likelihood_ratio,
    max_logit,
    max_softmax,
)

SCORES = detectors()
OF_LOGITS = {"energy": energy_score, "max-softmax": max_softmax, "entropy": entropy, "max-logit": max_logit}
TEMPERED = {name: score for name, score in OF_LOGITS.items() if name != "max-logit"}
CENTRES = 6.0 * np.eye(3, 8)


def arrays(seed, centres, num=60, spread=1.0):
    """Features after a ReLU around centres, with all that a model would say of them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(centres), size=num)
    features = np.abs(centres[labels] + spread * rng.normal(size=(num, centres.shape[1])))
    energy = 0.5 * np.sum((features[:, None] - CENTRES) ** 2, axis=2).min(axis=1)
    return {
        "features": features,
        "logits": features @ CENTRES.T - 18.0,
        "labels": labels,
        "energy": energy,
        "background": 0.05 * energy,
        "score": energy,
    }


LEARNT = {**arrays(0, CENTRES, 400), "weight": CENTRES, "bias": np.full(3, -18.0)}
KNOWN = arrays(1, CENTRES)
FOREIGN = arrays(2, 4.0 * np.eye(8)[5:6], spread=0.3)  # excites a unit that no class knows


def same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-6)  # neighbours come from scikit-learn's dot products


@pytest.fixture(params=list(SCORES))
def scorer(request):
    return SCORES[request.param].make(LEARNT)


def test_one_finite_number_a_row(scorer):
    found = scorer(KNOWN)
    assert found.shape == (60,)
    assert found.dtype == np.float64
    assert np.all(np.isfinite(found))


def test_rows_are_scored_alone_and_in_their_order(scorer):
    order = np.random.default_rng(0).permutation(60)
    found = scorer(KNOWN)
    same(scorer({name: rows[order] for name, rows in KNOWN.items()}), found[order])
    same(scorer({name: rows[3:4] for name, rows in KNOWN.items()}), found[3:4])


def test_high_is_unusual(scorer):
    assert auroc(scorer(KNOWN), scorer(FOREIGN)) > 0.9


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_arrays_of_every_library_score_alike(scorer, library):
    make = jnp.asarray if library == "jax" else pytest.importorskip("torch").tensor
    rows = {name: values.astype(np.float32) for name, values in KNOWN.items() if name != "labels"}
    same(scorer({name: make(values) for name, values in rows.items()}), scorer(rows))


@pytest.mark.parametrize("name", SCORES)
def test_what_is_learnt_may_come_from_any_library_too(name):
    given = {n: v if n == "labels" else v.astype(np.float32) for n, v in LEARNT.items()}
    torch = pytest.importorskip("torch")
    wanted = SCORES[name].make(given)(KNOWN)
    same(SCORES[name].make({n: jnp.asarray(v) for n, v in given.items()})(KNOWN), wanted)
    same(SCORES[name].make({n: torch.tensor(v) for n, v in given.items()})(KNOWN), wanted)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_refuses_what_is_no_row_of_numbers(name):
    scorer, reads = SCORES[name].make(LEARNT), SCORES[name].reads
    for bad, words in (
        (lambda v: np.where(np.arange(v.size).reshape(v.shape) == 1, np.nan, v), "must be finite; got nan"),
        (lambda v: v[None], r"(rank|\[n\])"),
        (lambda v: v[:0], "at least 1 sample"),
        (lambda v: v.astype(str), "real numbers"),
        (lambda v: v.tolist(), "must be an array"),
    ):
        if name in ("typicality",) and bad(np.zeros(3)) is not None and words.startswith("(rank"):
            continue  # a batch of samples is one of its forms
        with pytest.raises(ValueError, match=words):
            scorer({**KNOWN, **{each: bad(KNOWN[each]) for each in reads}})


# ---- closed forms and limits -----------------------------------------------------------------------------------------


@pytest.fixture
def logits():
    return np.random.default_rng(5).normal(size=(40, 7)) * 4.0


@pytest.mark.parametrize("name", OF_LOGITS)
def test_the_order_of_the_classes_does_not_matter(name, logits):
    same(OF_LOGITS[name](logits[:, ::-1]), OF_LOGITS[name](logits))


@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_shift_of_all_logits_moves_energies_and_no_probabilities(name, logits):
    moved = OF_LOGITS[name](logits + 3.0) - OF_LOGITS[name](logits)
    same(moved, -3.0 if name in ("energy", "max-logit") else 0.0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_probabilities_give_the_textbook_forms(logits, temperature):
    p = softmax(logits / temperature, axis=1)
    same(np.exp(-max_softmax(logits, temperature=temperature)), p.max(axis=1))
    same(entropy(logits, temperature=temperature), -np.sum(p * np.log(p), axis=1))
    same(energy_score(logits, temperature=temperature), -temperature * np.log(np.exp(logits / temperature).sum(axis=1)))


def test_equal_logits(logits):
    flat = np.full((1, 7), 2.5)
    same(max_softmax(flat), np.log(7))
    same(entropy(flat), np.log(7))
    same(energy_score(flat, temperature=2.0), -2.5 - 2.0 * np.log(7))
    same(max_logit(flat), -2.5)


def test_limits_of_the_temperature(logits):
    cold, hot = 1e-3, 1e6
    np.testing.assert_allclose(energy_score(logits, temperature=cold), max_logit(logits), atol=cold * np.log(7))
    np.testing.assert_allclose(energy_score(logits, temperature=hot) + hot * np.log(7), -logits.mean(axis=1), atol=1e-4)
    for score in (max_softmax, entropy):
        np.testing.assert_allclose(score(logits, temperature=hot), np.log(7), atol=1e-4)
        assert np.all(score(logits, temperature=cold) < 1e-6)


def test_sure_rows_keep_their_order_where_one_minus_p_is_zero():
    sure = np.array([[0.0, 50.0], [0.0, 60.0], [0.0, 1e300]])
    assert np.all(1 - softmax(sure, axis=1).max(axis=1) == 0.0)
    for score in (max_softmax, entropy):
        found = score(sure)
        assert found[0] > found[1] > found[2] == 0.0


def test_mahalanobis_is_chi_squared_on_its_own_gaussian():
    rng = np.random.default_rng(0)
    factor = np.array([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 3.0, 1.0]])
    rows = rng.normal(size=(50_000, 3)) @ factor.T
    found = fit_mahalanobis(rows, np.zeros(len(rows), int), shrinkage=0.0)
    fresh = found.score(rng.normal(size=(50_000, 3)) @ factor.T)
    assert abs(fresh.mean() - 3.0) < 5 * np.sqrt(6 / 50_000) * 1.5  # mean 3, variance 6; half as much again for the fit
    assert abs(np.mean(fresh < chi2.ppf(0.9, 3)) - 0.9) < 5 * np.sqrt(0.09 / 50_000) * 1.5


def test_mahalanobis_does_not_see_a_linear_map_of_the_features():
    turn = np.random.default_rng(3).normal(size=(8, 8))
    for fit in (fit_mahalanobis, fit_relative_mahalanobis):
        plain = fit(LEARNT["features"], LEARNT["labels"], shrinkage=0.0).score(KNOWN["features"])
        turned = fit(LEARNT["features"] @ turn, LEARNT["labels"], shrinkage=0.0).score(KNOWN["features"] @ turn)
        np.testing.assert_allclose(turned, plain, rtol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_both_mahalanobis_scores_are_their_formulas(share):
    """Inverse covariances by hand, a row and a class at a time."""
    train, labels, rows = LEARNT["features"], LEARNT["labels"], KNOWN["features"]

    def inverse(centred):
        spread = sum(np.outer(z, z) for z in centred) / len(centred)
        return np.linalg.inv((1 - share) * spread + share * np.mean(np.diag(spread)) * np.eye(8))

    means = [train[labels == c].mean(axis=0) for c in range(3)]
    shared = inverse([z - means[c] for z, c in zip(train, labels, strict=True)])
    near = np.array([min((z - mean) @ shared @ (z - mean) for mean in means) for z in rows])
    middle = train.mean(axis=0)
    whole = inverse(train - middle)
    far = np.array([(z - middle) @ whole @ (z - middle) for z in rows])
    np.testing.assert_allclose(fit_mahalanobis(train, labels, shrinkage=share).score(rows), near, rtol=1e-9)
    relative = fit_relative_mahalanobis(train, labels, shrinkage=share).score(rows)
    np.testing.assert_allclose(relative, near - far, rtol=1e-9, atol=1e-9)


def test_relative_mahalanobis_of_one_class_is_zero():
    one = np.zeros(400, int)
    found = fit_relative_mahalanobis(LEARNT["features"], one).score(KNOWN["features"])
    np.testing.assert_allclose(found, 0.0, atol=1e-9)


def test_shrinkage_makes_dead_features_fit_to_use():
    dead = np.hstack([LEARNT["features"], np.zeros((400, 2))])
    found = fit_mahalanobis(dead, LEARNT["labels"])
    assert 0 < found.shrinkage < 1
    quiet, loud = found.score(np.array([[*CENTRES[0], 0.0, 0.0], [*CENTRES[0], 9.0, 0.0]]))
    assert loud > quiet + 1.0


def test_knn_is_what_all_distances_say():
    train, rows = LEARNT["features"], KNOWN["features"]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, train)]
    distances = np.sort(np.linalg.norm(unit[0][:, None] - unit[1], axis=2), axis=1)
    same(fit_knn(train, k=7).score(rows), distances[:, 6])
    same(fit_knn(train, k=7).score(3.0 * rows), distances[:, 6])
    assert fit_knn(train, k=1).score(np.zeros((1, 8)))[0] == pytest.approx(1.0)


def test_react_that_cuts_nothing_is_the_energy():
    found = fit_react(LEARNT["features"], LEARNT["weight"], LEARNT["bias"], percentile=100)
    rows = np.minimum(KNOWN["features"], found.cut)
    same(found.score(rows), energy_score(rows @ CENTRES.T - 18.0))
    wild = np.full((1, 8), 1e6)
    same(found.score(wild), energy_score(np.full((1, 8), found.cut) @ CENTRES.T - 18.0))


def test_ash_that_removes_nothing():
    rows, head = KNOWN["features"], (LEARNT["weight"], LEARNT["bias"])
    same(ash_p(rows, *head, percentile=0), energy_score(KNOWN["logits"]))
    same(ash_s(rows, *head, percentile=0), energy_score(np.e * rows @ CENTRES.T - 18.0))
    level = rows.mean(axis=1, keepdims=True) * np.ones((1, 8))
    same(ash_b(rows, *head, percentile=0), energy_score(level @ CENTRES.T - 18.0))


def test_ash_keeps_the_number_that_it_says():
    rows, identity = np.array([[5.0, 1.0, 4.0, 2.0, 3.0]]), (np.eye(5), np.zeros(5))
    kept = np.array([[5.0, 0.0, 4.0, 0.0, 3.0]])
    same(ash_p(rows, *identity, percentile=40), energy_score(kept))
    same(ash_b(rows, *identity, percentile=40), energy_score(5.0 * (kept > 0)))
    same(ash_s(rows, *identity, percentile=40), energy_score(kept * np.exp(15 / 12)))
    same(ash_s(0.0 * rows, *identity, percentile=40), -np.log(5))


# ---- of a trained energy ---------------------------------------------------------------------------------------------


def test_the_gradient_norm_of_a_gaussian_is_the_radius():
    xs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.testing.assert_allclose(gradient_norm(standard_normal(3), xs), np.linalg.norm(xs, axis=1), rtol=1e-5)
    same(gradient_norm(standard_normal(3), xs, batch_size=7), gradient_norm(standard_normal(3), xs))
    images = xs.reshape(25, 2, 3)
    quartic = FunctionEnergy(lambda x: jnp.sum(x**4))
    wanted = np.linalg.norm(4 * images.reshape(25, -1).astype(np.float64) ** 3, axis=1)
    np.testing.assert_allclose(gradient_norm(quartic, images), wanted, rtol=1e-4)


def test_the_gradient_norm_takes_integers():
    for kind in (np.int64, np.uint8):
        assert gradient_norm(standard_normal(2), np.array([[3, 4], [0, 2]], kind)).tolist() == [5.0, 2.0]
    assert gradient_norm(standard_normal(2), jnp.array([[3, 4]])).tolist() == [5.0]


def test_the_gradient_norm_refuses_what_is_no_sample():
    for bad, words in ((np.array([[np.nan]], np.float32), "xs must be finite"), (np.zeros((0, 1)), "at least 1")):
        with pytest.raises(ValueError, match=words):
            gradient_norm(standard_normal(1), bad)
    with pytest.raises(ValueError, match="ONE sample to a scalar"):
        gradient_norm(lambda x: x, np.zeros((3, 1), np.float32))


def test_a_shift_that_no_likelihood_sees_is_no_typical_one():
    """A Gaussian in 100 dimensions: its centre is the likeliest point, and no sample ever lies there."""
    energy, rng = standard_normal(100), np.random.default_rng(0)
    train, known = (energy_values(energy, rng.normal(size=(400, 100)).astype(np.float32)) for _ in range(2))
    centre = energy_values(energy, 0.1 * rng.normal(size=(50, 100)).astype(np.float32))
    assert auroc(known, centre) == 0.0
    found = fit_typicality(train)
    assert auroc(found.score(known), found.score(centre)) > 0.99
    same(found.usual, train.mean())
    batches = known.reshape(40, 10)
    same(found.score(batches), np.abs(batches.mean(axis=1) - train.mean()))


def test_likelihood_ratio_of_a_model_with_itself_says_nothing():
    same(likelihood_ratio(KNOWN["energy"], KNOWN["energy"]), 0.0)
    same(likelihood_ratio(KNOWN["energy"] + 5.0, KNOWN["background"]), 0.95 * KNOWN["energy"] + 5.0)


# ---- the table -------------------------------------------------------------------------------------------------------


def test_every_score_that_the_arrays_allow_is_in_the_table():
    whole = compare(SCORES, KNOWN, {"far": FOREIGN, "same": arrays(9, CENTRES)}, LEARNT, num_bootstrap=20)
    assert list(whole.found) == list(SCORES)
    assert not whole.left_out
    for name, row in whole.found.items():
        wanted = auroc(SCORES[name].make(LEARNT)(KNOWN), SCORES[name].make(LEARNT)(FOREIGN))
        assert row["far"].auroc == pytest.approx(wanted)
        low, high = row["same"].auroc_interval
        assert low - 0.1 < 0.5 < high + 0.1
    bare = compare(SCORES, {"logits": KNOWN["logits"]}, {"far": {"logits": FOREIGN["logits"]}}, num_bootstrap=10)
    assert set(bare.found) == set(OF_LOGITS)
    assert bare.left_out["knn"] == "the known samples have no features"
    some = compare(SCORES, KNOWN, {"far": FOREIGN}, {"features": LEARNT["features"]}, num_bootstrap=10)
    assert some.left_out["mahalanobis"] == "the training data have no labels"
    assert some.left_out["react"] == "the training data have no weight and no bias"


def test_a_head_of_other_logits_is_refused():
    square = {**LEARNT, "weight": CENTRES[:, :3] + np.arange(3.0), "features": LEARNT["features"][:, :3]}
    said = {n: {"features": a["features"][:, :3]} for n, a in (("known", KNOWN), ("far", FOREIGN))}
    for arrays in (square, *said.values()):
        arrays["logits"] = (arrays["features"] @ square["weight"].T + square["bias"]).astype(np.float32)
    far = {"far": said["far"]}
    assert "react" in compare(SCORES, said["known"], far, square, names=["react"], num_bootstrap=10).found
    for planted in ({"weight": square["weight"].T}, {"bias": np.array([-18.0, -17.0, -18.0])}):
        with pytest.raises(ValueError, match="must be the logits of known samples; got a difference of up to"):
            compare(SCORES, said["known"], far, {**square, **planted}, num_bootstrap=10)
    turned = {**said["far"], "logits": said["far"]["logits"][:, [1, 2, 0]]}  # classes in another order
    with pytest.raises(ValueError, match="must be the logits of the set 'far'; got a difference"):
        compare(SCORES, said["known"], {"far": turned}, square, num_bootstrap=10)
    with pytest.raises(ValueError, match="must be the logits of the training data"):
        compare(SCORES, said["known"], far, {**square, "logits": square["logits"] + 1}, num_bootstrap=10)
    with pytest.raises(ValueError, match=r"must make logits .* of features .*; got shapes \(3, 8\), \(60, 3\) and"):
        compare(SCORES, said["known"], far, LEARNT, num_bootstrap=10)


def test_a_head_in_bfloat16_is_taken():
    rng = np.random.default_rng(0)
    narrow = lambda x: np.asarray(jnp.asarray(x, jnp.bfloat16).astype(jnp.float32))  # noqa: E731
    weight, bias = rng.normal(size=(5, 64)), rng.normal(size=5)
    sides = {}
    for name in ("known", "far"):
        features = narrow(np.maximum(rng.normal(size=(200, 64)), 0.0))
        sides[name] = {"features": features, "logits": narrow(features @ narrow(weight).T + narrow(bias))}
    head = {"weight": weight, "bias": bias}
    assert "ash-p" in compare(SCORES, sides["known"], {"far": sides["far"]}, head, num_bootstrap=10).found


def test_a_set_of_another_width_is_refused_and_a_bad_row_is_said_with_its_set():
    three, four, bad = np.zeros((9, 3)), np.zeros((9, 4)), np.full((9, 3), np.nan)
    with pytest.raises(ValueError, match=r"logits of the set 'b' must have as many classes as .* samples, 3; got 4"):
        compare(SCORES, {"logits": three}, {"a": {"logits": three}, "b": {"logits": four}}, num_bootstrap=10)
    with pytest.raises(ValueError, match="features of the set 'b' must have as many columns"):
        compare(SCORES, {"features": three}, {"b": {"features": four}}, {"features": three}, num_bootstrap=10)
    for known, foreign, said in ((three, bad, "the set 'b': max_softmax: logits must be finite; got nan at index"),
                                 (bad, three, "the known samples: max_softmax: logits must be finite")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            compare(SCORES, {"logits": known}, {"a": {"logits": three}, "b": {"logits": foreign}}, num_bootstrap=10)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: compare(SCORES, KNOWN, {"far": FOREIGN}, names=["enrgy"]), "Did you mean 'energy'"),
        (lambda: compare(SCORES, KNOWN, {"far": FOREIGN}, names=["knn"]), "the training data have no features"),
        (lambda: compare(SCORES, {}, {"far": FOREIGN}), "the known samples have no logits"),
        (lambda: compare(SCORES, KNOWN, {"far": {}}), "the set 'far' has no logits"),
        (lambda: compare(SCORES, KNOWN, {}), "got none"),
        (lambda: detectors(temperature=0.0), "temperature must be > 0"),
        (lambda: detectors(k=0), "k must be an integer >= 1"),
        (lambda: energy_score(np.zeros((2, 1))), "at least 2 columns"),
        (lambda: max_softmax(np.zeros((2, 2)), temperature=-1.0), "temperature must be > 0"),
        (lambda: entropy(np.zeros((2, 2)), temperature=np.nan), "temperature must be > 0"),
        (lambda: fit_mahalanobis(KNOWN["features"], np.zeros(3, int)), "labels must be one a row"),
        (lambda: fit_mahalanobis(KNOWN["features"], np.zeros(60)), "labels must be integers"),
        (lambda: fit_mahalanobis(np.zeros((9, 2)), np.zeros(9, int)), "vary in every direction"),
        (lambda: fit_mahalanobis(np.ones((9, 2)), np.zeros(9, int), shrinkage=1.0), r"shrinkage must be in \[0, 1\)"),
        (lambda: fit_mahalanobis(KNOWN["features"][:5], np.zeros(5, int), shrinkage=0.0), "singular covariance of 5"),
        (lambda: SCORES["mahalanobis"].make(LEARNT)({"features": np.zeros((2, 3))}), "must have 8 columns"),
        (lambda: fit_knn(np.zeros((5, 2)), k=6), "at most the number of training rows, 5; got 6"),
        (lambda: fit_react(KNOWN["features"], np.zeros((3, 7)), np.zeros(3)), "must have 7 columns"),
        (lambda: fit_react(KNOWN["features"], CENTRES, np.zeros(4)), "weight must have one row a class"),
        (lambda: fit_react(KNOWN["features"], CENTRES, np.zeros(3), percentile=101), r"must be in \[0, 100\]"),
        (lambda: ash_p(-KNOWN["features"], CENTRES, np.zeros(3)), "must be >= 0, as after a ReLU"),
        (lambda: ash_s(KNOWN["features"], CENTRES, np.zeros(3), percentile=100), "must leave one of 8"),
        (lambda: likelihood_ratio(np.zeros(3), np.zeros(2)), "as long as energies, 3; got 2"),
        (lambda: fit_typicality(np.zeros((2, 2))), "rank 1"),
        (lambda: fit_typicality(np.zeros(2)).score(np.zeros((2, 2, 2))), r"\[n\] or \[n, batch\]"),
    ],
)
def test_refuses(call, words):
    with pytest.raises((ValueError, ConfigError), match=words):
        call()
