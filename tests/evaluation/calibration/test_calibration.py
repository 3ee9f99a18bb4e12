"""Calibration: closed forms, known calibrated and miscalibrated classifiers, parts that sum, and planted bugs."""

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import binom, binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss as sklearn_log_loss

from energax.core import ConfigError
from energax.evaluation.calibration import (
    brier,
    classwise_ece,
    compare,
    debiased_ece,
    ece,
    fit_isotonic,
    fit_temperature,
    fit_vector,
    log_loss,
    reliability,
)
from energax.evaluation.calibration.compare import SCALINGS


def classifier(seed, n=400, classes=4, sharpness=1.0, scale=2.0):
    """(logits that say sharpness times what they should, labels drawn from the right probabilities)."""
    rng = np.random.default_rng(seed)
    truth = scale * rng.normal(size=(n, classes))
    labels = (softmax(truth, axis=1).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return sharpness * truth, np.minimum(labels, classes - 1)


def says(seed, **how):
    logits, labels = classifier(seed, **how)
    return softmax(logits, axis=1), labels


MEASURES = {
    "ece": ece,
    "ece mass": lambda p, y: ece(p, y, spacing="mass"),
    "debiased": lambda p, y: debiased_ece(p, y).squared,
    "classwise": classwise_ece,
    "brier": lambda p, y: brier(p, y).total,
    "log loss": lambda p, y: log_loss(p, y).total,
}


@pytest.fixture(params=list(MEASURES))
def measure(request):
    return MEASURES[request.param]


# ---- laws of all -----------------------------------------------------------------------------------------------------


def test_the_order_of_rows_and_of_classes_does_not_matter(measure):
    p, y = says(0)
    order, names = np.random.default_rng(1).permutation(len(y)), np.array([2, 0, 3, 1])
    assert measure(p[order], y[order]) == pytest.approx(measure(p, y), abs=1e-13)
    assert measure(p[:, names], np.argsort(names)[y]) == pytest.approx(measure(p, y), abs=1e-13)


def test_a_classifier_that_is_sure_and_right_is_perfect(measure):
    y = np.arange(40) % 4
    assert measure(np.eye(4)[y], y) == 0.0


def test_too_sure_is_worse_than_right(measure):
    p, y = says(0, n=4000)
    sure, _ = says(0, n=4000, sharpness=3.0)
    assert measure(sure, y) > measure(p, y) + 0.01


def test_arrays_of_every_library_are_taken(measure):
    p, y = says(0)
    p = p.astype(np.float32)
    assert measure(jnp.asarray(p), jnp.asarray(y)) == measure(p, y)
    torch = pytest.importorskip("torch")
    assert measure(torch.tensor(p), torch.tensor(y)) == measure(p, y)


@pytest.mark.parametrize(
    ("p", "y", "words"),
    [
        (np.array([[np.nan, 1.0]]), np.array([0]), "probabilities must be finite; got nan"),
        (np.array([[0.6, 0.6]]), np.array([0]), "must sum to 1; got 1.2 in row 0"),
        (np.array([[-0.5, 1.5]]), np.array([0]), "must be >= 0; got -0.5"),
        (np.array([0.5, 0.5]), np.array([0, 1]), "rank 2"),
        (np.array([[1.0]]), np.array([0]), "at least 2 columns"),
        (np.zeros((0, 2)), np.zeros(0, int), "at least 1 sample"),
        (np.array([[0.5, 0.5]]), np.array([0, 1]), r"labels must be one a row, shape \(1,\)"),
        (np.array([[0.5, 0.5]]), np.array([2]), r"labels must be in 0\.\.1; got 2"),
        (np.array([[0.5, 0.5]]), np.array([0.0]), "labels must be integers"),
        ([[0.5, 0.5]], np.array([0]), "must be an array"),
    ],
)
def test_refuses(measure, p, y, words):
    with pytest.raises(ValueError, match=words):
        measure(p, y)


@pytest.mark.parametrize("of", [ece, debiased_ece, classwise_ece, reliability])
def test_refuses_bins_that_are_none(of):
    p, y = says(0, n=10)
    with pytest.raises(ValueError, match="bins must be an integer >= 1; got 0"):
        of(p, y, bins=0)
    with pytest.raises(ConfigError, match="Did you mean 'width'"):
        of(p, y, spacing="widht")


# ---- calibration errors ----------------------------------------------------------------------------------------------


def by_hand(confidence, happened, edges):
    """The expected calibration error by a loop over intervals (a, b], nothing shared with the code."""
    total = 0.0
    for a, b in pairwise(edges):
        inside = [(c, h) for c, h in zip(confidence, happened, strict=True) if a < c <= b]
        if inside:
            total += abs(sum(h for _, h in inside) - sum(c for c, _ in inside))
    return total / len(confidence)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bins", [1, 7, 15])
def test_ece_agrees_with_a_loop_and_with_scikit_learn(seed, bins):
    p, y = says(seed, sharpness=1.0 + 0.5 * seed, n=402)  # 401 is prime: no row lies on a quantile
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    grid, quantiles = np.linspace(0, 1, bins + 1), np.quantile(confidence, np.linspace(0, 1, bins + 1))
    quantiles[0] = -1.0
    assert ece(p, y, bins=bins) == pytest.approx(by_hand(confidence, right, grid), abs=1e-12)
    assert ece(p, y, bins=bins, spacing="mass") == pytest.approx(by_hand(confidence, right, quantiles), abs=1e-12)
    for spacing, strategy in (("width", "uniform"), ("mass", "quantile")):
        truth, said = calibration_curve(right, confidence, n_bins=bins, strategy=strategy)
        found = reliability(p, y, bins=bins, spacing=spacing)
        assert len(truth) == len(found.num)
        np.testing.assert_allclose(found.accuracy, truth, atol=1e-6)
        np.testing.assert_allclose(found.confidence, said, atol=1e-6)
        assert found.num @ np.abs(truth - said) / len(y) == pytest.approx(ece(p, y, bins=bins, spacing=spacing))
    classes = [by_hand(p[:, k], y == k, np.concatenate([[-1.0], grid[1:]])) for k in range(4)]
    assert classwise_ece(p, y, bins=bins) == pytest.approx(np.mean(classes), abs=1e-12)


def test_one_confidence_has_the_closed_form():
    p = np.tile([0.9, 0.1], (20, 1))
    y = np.repeat([0, 1], [14, 6])
    assert ece(p, y) == pytest.approx(0.2)
    assert classwise_ece(p, y) == pytest.approx(0.2)
    found = debiased_ece(p, y)
    assert found.squared == pytest.approx(0.04 - 0.7 * 0.3 / 19)
    assert found.null_error == pytest.approx(0.09 * np.sqrt(2 / (20 * 19)))


def test_the_debiased_error_of_a_calibrated_classifier_has_mean_zero_and_its_plain_one_has_not():
    found = [debiased_ece(*says(seed, n=200), bins=10) for seed in range(400)]
    plain = [ece(*says(seed, n=200), bins=10) for seed in range(400)]
    values = np.array([each.squared for each in found])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(400)
    assert values.std() == pytest.approx(np.mean([each.null_error for each in found]), rel=0.2)
    assert np.mean(plain) > 0.03  # all of it is bias
    assert 0.3 < np.mean(values > 0) < 0.6
    assert np.std([each.sigma for each in found]) == pytest.approx(1.0, rel=0.2)


def test_a_debiasing_that_takes_the_variance_of_the_label_alone_is_caught():
    """Kumar et al. take it away; in one wide bin it is too large by the spread of confidences, and the mean falls."""
    wrong, exact = [], []
    for seed in range(1500):
        p, y = says(seed, n=50)
        right = (p.argmax(axis=1) == y) * 1.0
        gap = np.mean(right - p.max(axis=1))
        wrong.append(gap**2 - right.mean() * (1 - right.mean()) / 49)
        exact.append(debiased_ece(p, y, bins=1).squared)
    assert abs(np.mean(exact)) < 4 * np.std(exact) / np.sqrt(1500)
    assert np.mean(wrong) < -4 * np.std(wrong) / np.sqrt(1500)


def test_the_debiased_error_finds_the_squared_error():
    """0.8 is said and 0.7 is true: 0.01, without bias at 20 rows, where the plain square is about twice that."""
    rng = np.random.default_rng(0)
    p = np.tile([0.8, 0.2], (20, 1))
    values, plain = [], []
    for _ in range(2000):
        y = (rng.random(20) > 0.7).astype(int)
        values.append(debiased_ece(p, y).squared)
        plain.append(ece(p, y) ** 2)
    assert abs(np.mean(values) - 0.01) < 4 * np.std(values) / np.sqrt(2000)
    assert np.mean(plain) > 0.018


def test_bins_of_one_row_say_nothing():
    p, y = says(0, n=5)
    found = debiased_ece(p, y, bins=5)
    assert found.squared == 0.0
    assert np.isnan(found.sigma)


def test_bins_of_equal_mass_hold_equal_ones_together():
    p = np.repeat([[0.9, 0.1], [0.6, 0.4]], [30, 10], axis=0)
    found = reliability(p, np.zeros(40, int), bins=8, spacing="mass")
    assert sorted(found.num) == [10, 30]


# ---- proper scores ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bins", [1, 5, 400])
def test_the_parts_sum_to_the_whole(seed, bins):
    p, y = says(seed, sharpness=0.5 + seed, n=300)
    for of in (brier, log_loss):
        found = of(p, y, bins=bins)
        parts = found.reliability - found.resolution + found.uncertainty + found.within
        assert abs(parts - found.total) < 1e-12
        assert found.reliability >= 0 <= found.resolution


def test_a_part_that_is_left_out_is_caught():
    p, y = says(0, sharpness=2.0)
    for of in (brier, log_loss):
        found = of(p, y)
        assert abs(found.reliability - found.resolution + found.uncertainty - found.total) > 1e-5


def test_totals_are_those_of_scikit_learn_and_of_the_definition():
    p, y = says(2)
    assert log_loss(p, y).total == pytest.approx(sklearn_log_loss(y, p), abs=1e-12)
    assert brier(p, y).total == pytest.approx(np.mean(np.sum((p - np.eye(4)[y]) ** 2, axis=1)), abs=1e-14)
    two = p[:, :2] / p[:, :2].sum(axis=1, keepdims=True)
    event = (y > 1).astype(int)
    assert brier(two, event).total == pytest.approx(2 * brier_score_loss(event, two[:, 1]), abs=1e-12)


def test_one_forecast_for_all_has_no_resolution_and_its_error_is_the_reliability():
    p, y = np.tile([0.5, 0.3, 0.2], (10, 1)), np.repeat([0, 1, 2], [2, 4, 4])
    frequency = np.array([0.2, 0.4, 0.4])
    squares, logs = brier(p, y), log_loss(p, y)
    assert squares.num_groups == logs.num_groups == 1
    assert squares.reliability == pytest.approx(np.sum((p[0] - frequency) ** 2))
    assert logs.reliability == pytest.approx(np.sum(frequency * np.log(frequency / p[0])))
    assert squares.uncertainty == pytest.approx(1 - np.sum(frequency**2))
    assert logs.uncertainty == pytest.approx(-np.sum(frequency * np.log(frequency)))
    for found in (squares, logs):
        assert found.resolution == pytest.approx(0.0, abs=1e-15)
        assert found.within == pytest.approx(0.0, abs=1e-15)


def test_scaling_a_calibrated_classifier_moves_reliability_and_leaves_resolution():
    right, y = says(0, n=40_000)
    sure, _ = says(0, n=40_000, sharpness=2.0)
    for of in (brier, log_loss):
        calm, loud = of(right, y), of(sure, y)
        assert calm.reliability < 0.003 < 0.02 < loud.reliability
        assert loud.resolution == pytest.approx(calm.resolution, rel=0.02)


def test_a_class_that_came_with_probability_zero_costs_infinitely_much():
    found = log_loss(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0]))
    assert found.total == np.inf
    assert np.isfinite(brier(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])).total)


# ---- the diagram -----------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_the_binomial_test():
    p, y = says(1, n=100)
    found = reliability(p, y, bins=5, level=0.9)
    assert found.num.sum() == 100
    for accuracy, low, high, num in zip(found.accuracy, found.low, found.high, found.num, strict=True):
        wanted = binomtest(round(accuracy * num), int(num)).proportion_ci(0.9, method="exact")
        assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert reliability(np.eye(2), np.array([1, 0])).low[0] == 0.0
    assert reliability(np.eye(2), np.array([0, 1])).high[0] == 1.0
    with pytest.raises(ValueError, match="level must lie in"):
        reliability(p, y, level=1.0)


def test_intervals_cover():
    hits, total = 0, 0
    for seed in range(200):
        found = reliability(*says(seed, n=300), bins=5, spacing="mass")
        hits += int(np.sum((found.low <= found.confidence) & (found.confidence <= found.high)))
        total += len(found.num)
    assert hits >= binom.ppf(1e-6, total, 0.95)


# ---- scaling ---------------------------------------------------------------------------------------------------------


def test_temperature_scaling_is_stationary_and_finds_what_was_done():
    logits, y = classifier(0, n=20_000, sharpness=2.5)
    found = fit_temperature(logits, y)
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    p = found.probabilities(logits)
    own = np.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    assert np.mean(np.sum(p * logits, axis=1)) == pytest.approx(own.mean(), abs=1e-9)  # the likelihood's slope is 0
    assert np.all(p.argmax(axis=1) == logits.argmax(axis=1))
    for other in (0.99, 1.01):
        worse = log_softmax(logits / (other * found.temperature), axis=1)
        assert -np.mean(worse[np.arange(len(y)), y]) > log_loss(p, y).total


def test_vector_scaling_makes_every_class_as_frequent_as_it_is_and_finds_what_was_done():
    logits, y = classifier(0, n=20_000, classes=3)
    moved = (logits - np.array([0.5, 0.0, -0.5])) / np.array([0.5, 1.0, 2.0])
    found = fit_vector(moved, y)
    np.testing.assert_allclose(found.probabilities(moved).mean(axis=0), np.bincount(y) / len(y), atol=1e-5)
    np.testing.assert_allclose(found.weight, [0.5, 1.0, 2.0], rtol=0.1)
    np.testing.assert_allclose(found.bias, [0.5, 0.0, -0.5], atol=0.1)


def test_isotonic_scaling_keeps_the_order_of_a_class_and_mends_what_it_was_fitted_to():
    logits, y = classifier(0, n=5000, classes=3, sharpness=3.0)
    found = fit_isotonic(logits, y)
    p = softmax(logits, axis=1)
    for k, stair in enumerate(found.stairs):
        raised = stair.predict(np.sort(p[:, k]))
        assert np.all(np.diff(raised) >= 0)
        assert stair.predict(p[:, k]).mean() == pytest.approx(np.mean(y == k), abs=1e-9)  # least squares keeps means
    q = found.probabilities(logits)
    np.testing.assert_allclose(q.sum(axis=1), 1.0)
    assert ece(q, y) < 0.03 < 0.1 < ece(p, y)
    odd = fit_isotonic(np.array([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]), np.array([2, 2]))
    np.testing.assert_allclose(odd.probabilities(np.array([[0.0, 0.0, -9.0]])).sum(axis=1), 1.0)


def tied(size):
    """Logits that tell the class of every row but of some at 0, of both classes: no weight is large enough."""
    x = size * np.random.default_rng(0).normal(size=40) * (np.arange(40) > 3)
    return np.stack([x, -x], axis=1), np.where(np.arange(40) > 3, x < 0, np.arange(40) % 2).astype(int)


def test_vector_scaling_takes_what_is_nearly_separated_or_of_any_size():
    logits, y = tied(1.0)
    y[10] = 1 - y[10]  # one row against all others
    assert 1.0 < fit_vector(logits, y).weight.sum() < 20.0
    for size in (1e-3, 1.0, 1e3):
        plain, labels = classifier(0, n=3000, classes=5)
        found = fit_vector(plain * size, labels)
        np.testing.assert_allclose(found.weight * size, fit_vector(plain, labels).weight, rtol=1e-3)
    rare, y = classifier(3, n=5000, classes=3)
    rare[:, 2] -= 8.0
    y[y == 2] = 0
    y[:2] = 2
    assert np.isfinite(fit_vector(rare, y).weight).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_temperature(9.0 * np.eye(3), np.arange(3)), "must be wrong on some row, or T would be 0"),
        (lambda: fit_temperature(9.0 * np.eye(3), np.array([1, 2, 0])), "more of the labels than chance"),
        (lambda: fit_temperature(np.zeros((3, 2)), np.zeros(2, int)), r"labels must be one a row, shape \(3,\)"),
        (lambda: fit_temperature(np.full((3, 2), np.inf), np.zeros(3, int)), "logits must be finite"),
        (lambda: fit_vector(9.0 * np.eye(3), np.array([0, 1, 1])), "must hold every class"),
        (lambda: fit_vector(9.0 * np.eye(3), np.arange(3)), "some row must stay wrong"),
        (lambda: fit_vector(*tied(1.0)), "rows must bound every weight; got some that may grow"),
        (lambda: fit_vector(*tied(100.0)), "rows must bound every weight; got some that may grow"),
        (lambda: fit_vector(*tied(0.01)), "rows must bound every weight; got some that may grow"),
        (lambda: fit_vector(*classifier(0)).probabilities(np.zeros((2, 3))), "must have 4 columns"),
        (lambda: fit_isotonic(*classifier(0)).probabilities(np.zeros((2, 3))), "must have 4 columns"),
        (lambda: fit_isotonic(np.zeros((0, 2)), np.zeros(0, int)), "at least 1 sample"),
        (lambda: compare(*classifier(0), *classifier(0, classes=3)), "as many classes; got 4 to fit and 3 to test"),
        (lambda: compare(*classifier(0), *classifier(0, n=19)), r"compare \(test side\): logits must hold at least 20"),
        (lambda: compare(*classifier(0), *classifier(0), methods=["vectr"]), "Did you mean 'vector'"),
    ],
)
def test_scaling_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---- before and after ------------------------------------------------------------------------------------------------


def test_before_and_after():
    found, refused = compare(*classifier(0, n=2000, sharpness=3.0), *classifier(1, n=2000, sharpness=3.0))
    assert list(found) == ["before", "temperature", "vector", "isotonic"]
    assert not refused
    before, after = found["before"], found["temperature"]
    assert after.figures["accuracy"] == before.figures["accuracy"]
    assert after.change["accuracy"] == (0.0, 0.0)
    for name in ("nll", "brier", "ece", "ece_mass", "ece_classwise", "ece2_debiased"):
        change, error = after.change[name]
        assert change == pytest.approx(after.figures[name][0] - before.figures[name][0])
        assert change < -4 * error
    assert before.null_sigma > 20
    assert abs(after.null_sigma) < 4
    assert before.reliability.num.sum() == 2000
    assert after.parts["nll"].total == after.figures["nll"][0]


def test_an_error_bar_is_the_spread_over_new_rows():
    errors, values = [], []
    for seed in range(30):
        found, _ = compare(*classifier(1000, n=300), *classifier(seed, n=300), methods=["temperature"])
        values.append(found["before"].figures["nll"][0])
        errors.append(found["before"].figures["nll"][1])
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.4)  # of 30: 13 %, three of them


def test_what_cannot_be_fitted_is_said():
    right = 9.0 * np.eye(3)[np.arange(30) % 3]
    found, refused = compare(right, np.arange(30) % 3, *classifier(0, classes=3))
    assert list(found) == ["before", "isotonic"]
    assert "T would be 0" in refused["temperature"]
    assert "some row must stay wrong" in refused["vector"]


def test_rows_that_were_fitted_to_do_not_judge():
    logits, labels = classifier(0)
    with pytest.raises(ValueError, match="test rows must be others than those to fit; got the same logits"):
        compare(logits, labels, logits.astype(np.float64), labels)


def test_only_what_has_no_finite_optimum_is_written_down(monkeypatch):
    def broken(logits, labels):
        raise ValueError("a mistake of ours")

    monkeypatch.setitem(SCALINGS, "vector", broken)
    with pytest.raises(ValueError, match="a mistake of ours"):
        compare(*classifier(0), *classifier(1))
