"""MBAR: BAR where two states are, pymbar's figures, exact Gaussian answers, honest errors, gauge, bugs caught."""

import importlib
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from energax.free_energy import bar, mbar
from free_energy.targets import gaussian_works
from judges import REPEATS, judge_error_bars, reach

MODULE = importlib.import_module("energax.free_energy.mbar")  # whose name its function shadows
STIFF = np.array([1.0, 2.0, 4.0, 6.0])  # E_k = stiff (x - centre)^2 / 2
CENTRE = np.array([0.0, 0.3, -0.4, 0.2])
EXACT = 0.5 * np.log(STIFF / STIFF[0])  # F_k - F_0


def drawn(rng, counts):
    x = np.concatenate(
        [c + rng.normal(size=n) / np.sqrt(k) for k, c, n in zip(STIFF, CENTRE, counts, strict=True)]
    )  # fmt: skip
    return x, 0.5 * STIFF[:, None] * (x - CENTRE[:, None]) ** 2


def test_two_states_are_bar():
    for k, n_f, n_r in ((4.0, 300, 300), (0.3, 100, 900), (50.0, 1000, 20), (2.0, 2, 7)):
        forward, reverse, _ = gaussian_works(np.random.default_rng(0), k, n_f, n_r)
        both = np.concatenate([forward, -reverse])  # E_1 - E_0 at all samples
        found, two = mbar(np.stack([np.zeros_like(both), both]), [n_f, n_r]), bar(forward, reverse)
        assert found.delta_f[1] == pytest.approx(two.delta_f, abs=1e-10)
        assert found.std_errors[1] == pytest.approx(two.std_error, abs=1e-10)
        assert found.overlap[0, 1] / n_r == pytest.approx(two.overlap / (n_f + n_r), rel=1e-6)


def test_it_solves_the_self_consistent_equations():
    _, energies = drawn(np.random.default_rng(1), [50, 0, 200, 30])
    found = mbar(energies, [50, 0, 200, 30])
    mixture = logsumexp(found.delta_f[:, None] - energies, b=np.array([50, 0, 200, 30])[:, None], axis=0)
    again = -logsumexp(-energies - mixture, axis=1)
    np.testing.assert_allclose(again - again[0], found.delta_f, atol=1e-12)
    np.testing.assert_allclose(np.exp(found.log_weights).sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(found.overlap.sum(axis=1), 1.0, atol=1e-10)
    assert found.num_steps < 12


def test_gauge_and_order():
    rng = np.random.default_rng(2)
    counts = np.array([40, 60, 0, 80])
    _, energies = drawn(rng, counts)
    found = mbar(energies, counts)
    # energies raised by a constant a state raise that state's free energy; by one a sample, nothing
    lift = np.array([0.0, 1e4, -3e3, 7.0])
    raised = mbar(energies + lift[:, None] + rng.normal(size=energies.shape[1]) * 50, counts)
    np.testing.assert_allclose(raised.delta_f - lift, found.delta_f, atol=1e-10)
    np.testing.assert_allclose(raised.covariance, found.covariance, atol=1e-9)
    # states in another order, with their samples
    order = [3, 0, 2, 1]
    state = np.repeat(np.arange(4), counts)
    moved = np.concatenate([np.flatnonzero(state == k) for k in order])
    turned = mbar(energies[order][:, moved], counts[order])
    np.testing.assert_allclose(turned.delta_f - turned.delta_f[1], found.delta_f[order], atol=1e-11)
    assert turned.difference(1, 0)[1] == pytest.approx(found.std_errors[3], rel=1e-9)
    assert found.difference(1, 1) == (0.0, 0.0)


PEER = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import numpy as np
from pymbar import MBAR
given = json.load(sys.stdin)
u, x, out = np.array(given["u"]), np.array(given["x"]), []
for counts in given["counts"]:
    found = MBAR(u, np.array(counts), solver_protocol="robust", relative_tolerance=1e-13, initialize="BAR")
    free = found.compute_free_energy_differences()
    mean = found.compute_expectations(x**2)
    out.append({"f": free["Delta_f"][0].tolist(), "df": free["dDelta_f"][0].tolist(),
                "mean": mean["mu"].tolist(), "dmean": mean["sigma"].tolist(),
                "overlap": found.compute_overlap()["matrix"].tolist()})
print(json.dumps(out))
"""


def test_equals_pymbar_and_leaves_the_float_flag_alone():
    # in a process of its own: pymbar turns on 64-bit floats for all of JAX
    counts = [[100, 150, 50, 60], [200, 0, 160, 0]]
    x, energies = drawn(np.random.default_rng(3), counts[0])
    given = json.dumps({"u": energies.tolist(), "x": x.tolist(), "counts": counts})
    done = subprocess.run(
        [sys.executable, "-c", PEER], input=given, capture_output=True, text=True, check=False,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for n, peer in zip(counts, json.loads(done.stdout.splitlines()[-1]), strict=True):
        found = mbar(energies, n)
        np.testing.assert_allclose(found.delta_f, peer["f"], atol=1e-8)
        np.testing.assert_allclose(found.std_errors, peer["df"], atol=1e-8)
        np.testing.assert_allclose(found.overlap, peer["overlap"], atol=1e-8)
        for k in range(4):
            mean, error = found.expectation(x**2, k)
            assert mean == pytest.approx(peer["mean"][k], abs=1e-8)
            assert error == pytest.approx(peer["dmean"][k], abs=1e-7)
    assert not jax.config.jax_enable_x64


def z_values(counts, change=lambda energies, counts: (energies, counts), groups=None, steps=1):
    """z of (F_3 - F_0) and of E_1[x^2], over repeats; every draw repeated `steps` times in a row."""
    rng, z = np.random.default_rng(4), []
    for _ in range(REPEATS):
        x, energies = drawn(rng, counts)
        found = mbar(*change(np.repeat(energies, steps, axis=1), np.array(counts) * steps), groups=groups)
        delta, error = found.difference(0, 3)
        mean, spread = found.expectation(np.repeat(x, steps)[: found.log_weights.shape[1]] ** 2, 1)
        z.append([(delta - EXACT[3]) / error, (mean - 1 / STIFF[1] - CENTRE[1] ** 2) / spread])
    return np.array(z)


@pytest.mark.parametrize("counts", [[60, 60, 60, 60], [100, 0, 40, 80]])
def test_error_bars_are_honest(counts):
    for scores in z_values(counts).T:  # of a free energy and of a mean
        judge_error_bars(scores)


def test_between_equal_states_a_mean_is_the_plain_one():
    """Nothing of these values is told by the states' weights: their error is the standard error of the sample."""
    values = np.random.default_rng(6).exponential(size=100)
    mean, error = mbar(np.zeros((2, 100)), [40, 60]).expectation(values, 1)
    assert mean == pytest.approx(values.mean(), abs=1e-12)
    assert error == pytest.approx(values.std() / 10.0, rel=1e-9)


def test_error_bars_over_groups_know_dependent_draws():
    counts = [40, 40, 40, 40]
    chain = np.repeat(np.tile(np.arange(40), 4), 4)
    for scores in z_values(counts, groups=chain, steps=4).T:  # each draw four times over
        judge_error_bars(scores)
    assert np.all(z_values(counts, steps=4).std(axis=0, ddof=1) > 1.7)  # taken for independent, they are twice too sure


def test_groups_of_one_agree_with_the_formula():
    _, energies = drawn(np.random.default_rng(5), [2000] * 4)
    plain, grouped = mbar(energies, [2000] * 4), mbar(energies, [2000] * 4, groups=np.arange(8000))
    np.testing.assert_allclose(grouped.std_errors[1:], plain.std_errors[1:], rtol=0.05)
    assert np.array_equal(grouped.delta_f, plain.delta_f)


def test_the_judges_catch_planted_bugs():
    counts = [60, 30, 90, 60]

    def miscounted(energies, n):  # N_k forgotten: all states take the same share
        return energies, np.full(4, n.sum() // 4)

    def flipped(energies, n):
        return energies * np.array([1.0, 1.0, 1.0, -1.0])[:, None] + 4 * (np.arange(4) == 3)[:, None], n

    for change in (miscounted, flipped):
        with pytest.raises(AssertionError, match="judge_error_bars"):
            judge_error_bars(z_values(counts, change)[:, 0])


def fisher_alone(weights, counts, pulls, groups):
    """The inverse curvature without the 1 / N_k that fixed numbers of draws take off."""
    n = np.diag(counts.astype(float))
    inverse = np.linalg.pinv(n - n @ weights @ weights.T @ n)
    turn = np.eye(4) - np.eye(4)[:1]
    return turn @ inverse @ turn.T


def test_an_error_bar_from_the_curvature_alone_is_caught(monkeypatch):
    monkeypatch.setattr(MODULE, "_covariance", fisher_alone)
    rng, z = np.random.default_rng(4), []
    for _ in range(REPEATS):
        delta, error = mbar(drawn(rng, [60] * 4)[1], [60] * 4).difference(0, 3)
        z.append((delta - EXACT[3]) / error)
    with pytest.raises(AssertionError, match="scatter"):
        judge_error_bars(np.array(z))


def test_newton_ends_however_the_terms_of_its_loss_cancel():
    # a constant in all energies moves the loss through 0, where a tolerance relative to it is no tolerance
    rng, widths, counts = np.random.default_rng(0), np.linspace(1.0, 0.4, 12), np.full(12, 400)
    x = np.concatenate([width * rng.normal(size=400) for width in widths])
    energies = 0.5 * (x / widths[:, None]) ** 2
    plain = mbar(energies, counts)
    loss = float(
        np.sum(logsumexp((np.log(400) + plain.delta_f)[:, None] - energies, axis=0)) - 400 * plain.delta_f.sum()
    )
    for shift in range(20):
        shifted = mbar(energies + loss / 4800 + 1e-9 * shift, counts)
        np.testing.assert_allclose(shifted.delta_f, plain.delta_f, atol=1e-12)
        assert shifted.num_steps <= 8


def judge_stuck():
    """Chains stuck on a wall, where the energy is 50,000, draw the first guess away from where the states overlap."""
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(size=640), 0.7 * rng.normal(size=630), np.full(10, 4.0)])
    energies = np.stack([0.5 * x**2, x**2 + np.where(x > 3.9, 5e4, 0.0)])
    found = mbar(energies, [640, 640])
    mixture = logsumexp(np.log(640.0) + found.delta_f[:, None] - energies, axis=0)
    again = -logsumexp(-energies - mixture, axis=1)  # eq. (11) holds at the answer
    np.testing.assert_allclose(again - again[0], found.delta_f, atol=1e-8)
    return found


@pytest.mark.parametrize("start", [np.median, np.mean])
def test_a_flat_slope_is_no_minimum(start, monkeypatch):
    monkeypatch.setattr(np, "median", start)
    assert abs(judge_stuck().delta_f[1] - 0.5 * np.log(2.0)) < 0.5


def test_an_end_on_the_flat_slope_is_caught(monkeypatch):
    monkeypatch.setattr(np, "median", np.mean)
    monkeypatch.setattr(MODULE, "_LEVEL", np.inf)
    with pytest.raises(AssertionError):
        judge_stuck()


def test_hard_cases():
    # uniform on (0, 1) and on (0, 1/4): points outside a support are +inf
    rng = np.random.default_rng(6)
    x = np.concatenate([rng.uniform(size=4000), 0.25 * rng.uniform(size=1000)])
    found = mbar(np.stack([np.zeros(5000), np.where(x < 0.25, 0.0, np.inf)]), [4000, 1000])
    assert abs(found.delta_f[1] - np.log(4)) < reach() * found.std_errors[1]
    # the same state three times has no error; states that never meet have a huge one
    same = mbar(np.zeros((3, 30)), [10, 10, 10])
    assert np.all(np.abs(same.delta_f) < 1e-12)
    assert np.all(same.std_errors < 1e-6)
    y = np.concatenate([rng.normal(size=50), 40 + rng.normal(size=50)])
    apart = mbar(0.5 * (y - np.array([[0.0], [40.0]])) ** 2, [50, 50])
    assert apart.std_errors[1] > 1e3
    assert apart.overlap[0, 1] < 1e-8
    # a state far off the others, reached through a ladder
    ladder = np.linspace(0, 20, 21)
    z = np.concatenate([c + rng.normal(size=40) for c in ladder])
    far = mbar(0.5 * (z - ladder[:, None]) ** 2 + 100.0 * ladder[:, None], [40] * 21)
    assert abs(far.delta_f[20] - 2000.0) < reach() * far.std_errors[20]
    assert far.std_errors[20] < 2.0


@pytest.mark.parametrize(
    ("energies", "counts", "groups", "words"),
    [
        (np.zeros(4), [4], None, "mbar.energies must be a floating matrix of >= 2 states by samples"),
        (np.zeros((2, 4)), [4], None, r"mbar.counts must be 2 integers >= 0, one for each state; got \[4\]"),
        (np.zeros((2, 4)), [2, 3], None, "mbar.counts must sum to the 4 >= 2 samples; got a sum of 5"),
        (np.array([[0.0, np.nan], [0.0, 0.0]]), [1, 1], None, r"must be finite or \+inf; got nan at \(0, 1\)"),
        (np.array([[np.inf, 0.0], [0.0, 0.0]]), [1, 1], None, r"own state; got \+inf at sample 0"),
        (np.array([[0.0, 0.0], [np.inf, np.inf]]), [2, 0], None, "a finite energy of every state; got none of state 1"),
        (np.zeros((2, 4)), [2, 2], np.zeros(4, int), "mbar.groups must name at least 2 groups; got 1"),
        (np.zeros((2, 4)), [2, 2], np.zeros(3, int), r"mbar.groups must be integers of shape \(4,\)"),
    ],
)
def test_bad_input_is_refused(energies, counts, groups, words):
    with pytest.raises(ValueError, match=words):
        mbar(energies, counts, groups=groups)


def test_bad_questions_are_refused():
    found = mbar(np.zeros((2, 4)), [2, 2])
    with pytest.raises(ValueError, match=r"MBAR.state must be 0 to 1; got 2\."):
        found.difference(0, 2)
    with pytest.raises(ValueError, match=r"MBAR.values must hold 4 numbers; got 3\."):
        found.expectation(np.zeros(3), 0)
