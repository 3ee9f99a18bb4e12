"""Detection figures: scikit-learn to 1e-6, closed forms, and intervals that cover."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from energax.evaluation import aupr, auroc, detect, detect_labelled, fpr95


def sides(seed, n=80, m=50, shift=1.0, digits=None):
    rng = np.random.default_rng(seed)
    known, foreign = rng.standard_normal(n), shift + rng.standard_normal(m)
    return (known, foreign) if digits is None else (known.round(digits), foreign.round(digits))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("digits", [None, 1, 0], ids=["continuous", "ties", "many ties"])
def test_agrees_with_scikit_learn(seed, digits):
    known, foreign = sides(seed, n=40 + seed, m=30 + 2 * seed, shift=0.3 * (seed % 5) - 0.3, digits=digits)
    scores = np.concatenate([known, foreign])
    labels = np.repeat([0, 1], [len(known), len(foreign)])
    assert auroc(known, foreign) == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    assert aupr(known, foreign) == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
    # Known samples positive, low energy first: the first threshold whose true-positive rate reaches 0.95.
    fpr, tpr, _ = roc_curve(1 - labels, -scores, drop_intermediate=False)
    assert fpr95(known, foreign) == pytest.approx(fpr[np.argmax(tpr >= 0.95 - 1e-12)], abs=1e-6)


def test_gaussian_scores_have_the_closed_form():
    known, foreign = sides(0, n=20000, m=20000, shift=1.5)
    found = detect(known, foreign, num_bootstrap=20)
    assert found.auroc == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.012)  # 5 s.e., Hanley-McNeil 0.0022
    assert found.fpr95 == pytest.approx(norm.cdf(norm.ppf(0.95) - 1.5), abs=0.03)


def test_direction_high_is_foreign():
    assert detect(np.zeros(5), np.ones(5)).auroc == 1.0
    assert detect(np.ones(5), np.zeros(5)).auroc == 0.0
    assert detect(np.zeros(5), np.ones(5)).fpr95 == 0.0
    assert detect(np.ones(5), np.ones(5)).auroc == 0.5
    assert detect(np.ones(5), np.ones(5)).aupr == 0.5


def test_bootstrap_intervals_cover():
    truth = norm.cdf(1.0 / np.sqrt(2))
    inside = 0
    for seed in range(100):
        low, high = detect(*sides(seed, 60, 60), seed=seed, num_bootstrap=100).auroc_interval
        inside += low <= truth <= high
    # Binomial(100, 0.95): P(< 82) = 1e-6; percentile intervals undercover by a little.
    assert inside >= 82
    low, high = detect(*sides(0, 60, 60)).auroc_interval
    assert 0.05 < high - low < 0.3


def test_labelled_form_is_the_same():
    known, foreign = sides(3)
    scores = np.concatenate([foreign, known])
    labels = np.repeat([1, 0], [len(foreign), len(known)])
    same = detect_labelled(scores, labels).as_dict()
    assert same == detect(known, foreign).as_dict()
    assert same == detect_labelled(scores, labels.astype(bool)).as_dict()
    assert {"auroc", "aupr", "fpr95"} <= set(same)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: detect(np.array([0.0, np.nan]), np.ones(3)), "known must be finite"),
        (lambda: detect(np.zeros(3), np.array([np.inf])), "foreign must be finite"),
        (lambda: detect(np.zeros(0), np.ones(3)), "known must hold at least 1"),
        (lambda: detect(np.zeros((3, 2)), np.ones(3)), "rank 1"),
        (lambda: detect([0.0, 1.0], np.ones(3)), "must be an array"),
        (lambda: detect(np.zeros(3), np.ones(3), num_bootstrap=0), "num_bootstrap"),
        (lambda: detect_labelled(np.ones(3), np.array([0, 1])), "as long as scores"),
        (lambda: detect_labelled(np.ones(3), np.array([1, 1, 1])), "only foreign"),
        (lambda: detect_labelled(np.ones(3), np.array([0, 0, 0])), "only known"),
        (lambda: detect_labelled(np.ones(3), np.array([0, 1, 2])), "0 and 1"),
        (lambda: detect_labelled(np.array([1.0, np.nan, 0.0]), np.array([0, 1, 1])), "must be finite"),
        (lambda: auroc(np.array([0.0, np.nan]), np.ones(3)), "auroc: known must be finite"),
        (lambda: aupr(np.zeros(3), np.array([1.0, np.nan])), "aupr: foreign must be finite"),
        (lambda: fpr95(np.array([0.0, np.nan, 1.0]), np.ones(3)), "fpr95: known must be finite"),
        (lambda: fpr95(np.zeros(3), np.zeros(0)), "foreign must hold at least 1"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
