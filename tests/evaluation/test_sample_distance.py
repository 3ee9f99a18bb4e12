"""Distances of samples: closed forms, the null, what each must see, and floors of equal size."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance_nd

from energax.evaluation import c2st, class_total_variation, mmd, nearest_neighbour, sliced_wasserstein
from energax.evaluation.rows import jackknife_error
from energax.evaluation.sample_distance import _permutation_p, kernel, unbiased_mmd2
from judges import reach


def gaussians(seed, n=120, dim=3, shift=0.0, scale=1.0):
    return shift + scale * np.random.default_rng(seed).standard_normal((n, dim))


def naive_mmd2(x, y, widths):
    """The textbook double sum."""
    total = 0.0
    for h in widths:
        k = lambda a, b, h=h: np.exp(-np.sum((a - b) ** 2) / (2 * h * h))  # noqa: E731
        n, m = len(x), len(y)
        xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
        yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
        total += xx + yy - 2 * np.mean([[k(a, b) for b in y] for a in x])
    return total / len(widths)


def test_mmd_is_the_textbook_double_sum():
    x, y, widths = gaussians(0, 12), gaussians(1, 9, shift=0.5), np.array([0.7, 1.4])
    got = unbiased_mmd2(kernel(x, x, widths), kernel(y, y, widths), kernel(x, y, widths))
    assert got == pytest.approx(naive_mmd2(x, y, widths), rel=1e-10)


def test_mmd_of_gaussians_matches_the_closed_form():
    # One width h, N(0, 1) against N(m, 1): 2 h / sqrt(h^2 + 2) (1 - exp(-m^2 / (2 (h^2 + 2)))), mean over 200 repeats.
    h, shift = 1.0, 0.8
    exact = 2 * h / np.sqrt(h * h + 2) * (1 - np.exp(-(shift**2) / (2 * (h * h + 2))))
    rng = np.random.default_rng(3)
    values = []
    for _ in range(200):
        x, y, w = rng.standard_normal((40, 1)), shift + rng.standard_normal((40, 1)), np.array([h])
        values.append(unbiased_mmd2(kernel(x, x, w), kernel(y, y, w), kernel(x, y, w)))
    z = (np.mean(values) - exact) / (np.std(values) / np.sqrt(200))
    assert abs(z) < reach()  # false-fail rate 6e-7
    biased = [v + 2 * (1 - exact) / 40 for v in values]  # planted: diagonals left in
    assert abs(np.mean(biased) - exact) / (np.std(values) / np.sqrt(200)) > 5.0


def test_mmd_under_the_null_is_zero_on_average_and_p_values_are_flat():
    found = [mmd(gaussians(3 * s, 40), gaussians(3 * s + 1, 40), gaussians(3 * s + 2, 40), seed=s) for s in range(60)]
    values = np.array([f.value for f in found])
    assert abs(values.mean()) < reach() * values.std(ddof=1) / np.sqrt(60)
    p = np.array([f.p_value for f in found])
    # Mean of 60 uniforms: sd 0.037; 5 sd either side.
    assert abs(p.mean() - 0.5) < 0.19
    assert (values < 0).any()
    # The stated error is of the order of the true spread (degenerate U-statistic: within a factor of 2.5).
    assert 0.4 < np.median([f.se for f in found]) / values.std(ddof=1) < 2.5


def test_permutation_p_is_the_count_over_relabellings():
    x, y = gaussians(0, 12), gaussians(1, 9, shift=0.4)
    widths, both = np.array([1.0]), np.concatenate([gaussians(0, 12), gaussians(1, 9, shift=0.4)])
    parts = kernel(x, x, widths), kernel(y, y, widths), kernel(x, y, widths)
    value = unbiased_mmd2(*parts)
    rng, count = np.random.default_rng([7, 1]), 1
    for _ in range(50):
        order = rng.permutation(21)
        a, b = both[np.sort(order[:12])], both[np.sort(order[12:])]
        count += unbiased_mmd2(kernel(a, a, widths), kernel(b, b, widths), kernel(a, b, widths)) >= value
    assert _permutation_p(*parts, value, 50, 7) == pytest.approx(count / 51)
    strong = mmd(gaussians(0, 60, shift=2.0), gaussians(2, 60), gaussians(1, 60), num_permutations=200)
    assert strong.p_value == pytest.approx(1 / 201)


@pytest.mark.parametrize("distance", [mmd, sliced_wasserstein, c2st], ids=lambda d: d.__name__)
def test_wrong_samples_stand_out_of_the_floor_and_right_ones_do_not(distance):
    train, test = gaussians(1, 400, 4), gaussians(2, 300, 4)
    right = distance(gaussians(3, 350, 4), train, test)
    wrong = distance(gaussians(4, 350, 4, scale=1.6), train, test)
    assert abs(right.value - right.floor) < reach() * np.hypot(right.se, right.floor_se)
    assert wrong.value - wrong.floor > 5 * np.hypot(wrong.se, wrong.floor_se)
    assert right.num == 300
    assert right.floor == pytest.approx(wrong.floor)  # the floor does not depend on the model
    assert set(right.as_dict()) == {"value", "floor", "se", "floor_se", "p_value", "num"}


def test_sliced_wasserstein_of_a_shift_is_its_projection():
    # y = x + a: every projection moves by a.u, so the root mean square over directions is |a| / sqrt(dim) on average.
    x = gaussians(0, 200, 4)
    shift = np.array([3.0, 0.0, 0.0, 0.0])
    found = sliced_wasserstein(x + shift, x, x, num_projections=4000, seed=1)
    # sd of the mean of (a.u)^2 over 4000 directions: 9 * sqrt(2 * 3 / (16 * 6) ...) < 0.04 relative to 2.25
    assert found.value == pytest.approx(1.5, rel=0.15)
    line = sliced_wasserstein(x[:, :1] ** 2, x[:, :1], x[:, :1], num_projections=3)
    order = np.sqrt(np.mean((np.sort(x[:, 0] ** 2) - np.sort(x[:, 0])) ** 2))
    assert line.value == pytest.approx(order, rel=1e-12)
    assert wasserstein_distance_nd(x[:20] + shift, x[:20]) >= 0  # scipy's multivariate distance bounds it from above


def test_c2st_accuracy_is_half_under_the_null_and_one_when_apart():
    far = c2st(gaussians(0, 100, shift=20.0), gaussians(1, 100), gaussians(2, 100), classifier="logistic")
    assert far.value == 1.0
    rights = [c2st(gaussians(s, 100), gaussians(s + 50, 100), gaussians(s + 99, 100)).value for s in range(20)]
    # Binomial: sd 0.035 each; folds correlate guesses, so 5 s.e. of the mean are judged by the spread itself.
    assert abs(np.mean(rights) - 0.5) < reach() * max(np.std(rights, ddof=1), 0.035) / np.sqrt(20)
    # The linear rule cannot see a scale, the neighbours can: why there are two.
    wide, train, test = gaussians(0, 400, 4, scale=2.0), gaussians(1, 400, 4), gaussians(2, 400, 4)
    assert c2st(wide, train, test, classifier="logistic").value < 0.6 < c2st(wide, train, test).value


def test_class_total_variation():
    a = np.repeat([0, 1, 2], [50, 30, 20])
    b = np.repeat([0, 1, 2], [20, 30, 50])
    found = class_total_variation(a, b, b, num_classes=3)
    assert found.value == pytest.approx(0.3)
    assert found.floor == 0.0
    # delta method for |p0 - q0| + |p2 - q2| over 2 = p0 - q0 + ... ; multinomial sd about sqrt(2 * .37 * .63 / 100)
    assert 0.03 < found.se < 0.1


def test_nearest_neighbour_sees_copies():
    train, test = gaussians(0, 300), gaussians(1, 200)
    copied = nearest_neighbour(train[:50] + 1e-3, train, test)
    assert copied.samples < 0.1 * copied.heldout
    np.testing.assert_array_equal(copied.index, np.arange(50))
    fresh = nearest_neighbour(gaussians(2, 100), train, test)
    exact = cdist(gaussians(2, 100), train).min(axis=1)
    np.testing.assert_allclose(fresh.distance, exact)
    assert abs(fresh.samples - fresh.heldout) < reach() * np.hypot(fresh.samples_se, fresh.heldout_se)
    assert set(fresh.as_dict()) == {"samples", "heldout", "samples_se", "heldout_se"}


def test_jackknife_error_of_a_mean_is_the_textbook_error():
    x = gaussians(0, 400, 1)
    ratio = jackknife_error(lambda a: float(a.mean()), x, groups=400) / (x.std(ddof=1) / 20)
    assert ratio == pytest.approx(1.0, rel=1e-9)
    grouped = jackknife_error(lambda a: float(a.mean()), x, groups=10) / (x.std(ddof=1) / 20)
    assert 0.4 < grouped < 1.8  # chi with 9 degrees of freedom, 1e-3 tails


def test_images_are_taken_as_they_are():
    x = gaussians(0, 40, 12).reshape(40, 2, 3, 2)
    assert np.isfinite(sliced_wasserstein(x, x[::-1], x + 1.0).value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mmd(gaussians(0), gaussians(1), gaussians(2, dim=2)), "one width"),
        (lambda: mmd(np.full((9, 2), np.nan), gaussians(1, dim=2), gaussians(2, dim=2)), "must be finite"),
        (lambda: mmd(gaussians(0, 3), gaussians(1), gaussians(2)), "at least 4"),
        (lambda: c2st(gaussians(0), gaussians(1), gaussians(2), classifier="forest"), "knn"),
        (
            lambda: class_total_variation(np.array([0, 3]), np.array([0, 1]), np.array([0, 1]), num_classes=3),
            "in .0, 3",
        ),
        (lambda: class_total_variation(np.ones(2), np.array([0, 1]), np.array([0, 1]), num_classes=3), "integers"),
        (lambda: sliced_wasserstein(gaussians(0), gaussians(1), gaussians(2), num_projections=0), ">= 1"),
        (lambda: nearest_neighbour(gaussians(0), gaussians(1), gaussians(2, dim=1)), "one width"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
