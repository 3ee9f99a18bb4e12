"""Every threshold of the verdict, from both sides."""

import json

import numpy as np
import pytest

from energax.report import Verdict, judgement as j, overall, verdicts
from report.conftest import image_evaluation, metric_rows


def level(title: str, evaluation=None, run=None, metrics=(), alarms=()) -> str:
    lines = {v.title: v for v in verdicts(evaluation or {}, run or {}, list(metrics), list(alarms))}
    return lines[title].level


def constant(**values: float) -> list[dict]:
    return [{"step": 50 * (i + 1), **values} for i in range(20)]


@pytest.mark.parametrize(("value", "wanted"), [(1.01, "ok"), (1.011, "warn"), (1.1, "warn"), (1.101, "bad")])
def test_rhat(value, wanted):
    assert level("Agreement of chains", {"chains": {"rhat_max": value}}) == wanted


def test_stuck_chains_are_bad_even_without_rhat():
    assert level("Agreement of chains", {"chains": {"rhat_max": "nan", "stuck": {"energy": [2, 5]}}}) == "bad"
    assert level("Agreement of chains", {"chains": {"rhat_max": "nan", "stuck": {}}}) == "unknown"


@pytest.mark.parametrize(("value", "wanted"), [(100.0, "ok"), (99.9, "warn"), (10.0, "warn"), (9.0, "bad")])
@pytest.mark.parametrize("kind", ["bulk", "tail"])
def test_effective_sample_size(value, wanted, kind):
    sizes = {"ess_bulk_min": 500.0, "ess_tail_min": 500.0, f"ess_{kind}_min": value}
    assert level("Independent draws", {"chains": sizes}) == wanted


def routes(low: float, high: float, **more: object) -> dict:
    def run(estimate: float) -> dict:
        return {"label": "x", "estimate": estimate, "se": 0.05, "ess": 50.0, "num_chains": 100, "num_temperatures": 800}

    return {"log_z": {"forward": [run(low)], "reverse": [run(high)], "agree_within": 1.0, **more}}


@pytest.mark.parametrize(
    ("apart", "wanted"), [(0.99, "ok"), (-0.99, "ok"), (1.01, "warn"), (-1.01, "warn"), (3.1, "bad")]
)
def test_two_routes_to_log_z(apart, wanted):
    assert level("Two routes to log Z", routes(50.0, 50.0 + apart)) == wanted


def test_log_z_without_second_route_or_at_all():
    one = routes(50.0, 50.2)
    del one["log_z"]["reverse"]
    assert level("Two routes to log Z", one) == "warn"
    assert level("Two routes to log Z", {}) == "unknown"
    assert level("Two routes to log Z", routes(50.0, 50.2, spread=2.0)) == "warn"


def test_reverse_below_forward_is_said_to_be_no_bound():
    sentence = {v.title: v for v in verdicts(routes(50.0, 49.5), {}, [], [])}["Two routes to log Z"].sentence
    assert "no strict upper bound" in sentence


def test_longest_run_is_the_one_that_is_judged():
    evaluation = routes(50.0, 50.3)
    evaluation["log_z"]["forward"].insert(0, {"estimate": 40.0, "num_temperatures": 100, "num_chains": 100, "ess": 1.0})
    assert level("Two routes to log Z", evaluation) == "ok"
    assert level("Weight of the annealed chains", evaluation) == "ok"


@pytest.mark.parametrize(("ess", "wanted"), [(5.0, "ok"), (4.9, "warn"), (1.0, "warn"), (0.9, "bad")])
def test_annealed_ess_is_a_share_of_the_chains(ess, wanted):
    evaluation = routes(50.0, 50.0)
    evaluation["log_z"]["forward"][0]["ess"] = ess
    assert level("Weight of the annealed chains", evaluation) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.04, "bad"), (0.39, "warn"), (0.41, "ok"), (0.94, "ok"), (0.96, "warn"), (0.996, "bad"), (1.0, "warn")],
)
def test_acceptance(value, wanted):
    assert level("Acceptance", metrics=constant(acceptance=value)) == wanted


def test_acceptance_is_judged_at_the_end_of_the_run():
    rows = constant(acceptance=0.75)
    for row in rows[:10]:
        row["acceptance"] = 0.01
    assert level("Acceptance", metrics=rows) == "ok"


@pytest.mark.parametrize(("value", "wanted"), [(1.0, "ok"), (1.005, "ok"), (0.9, "warn"), (0.01, "bad"), (1.6, "bad")])
def test_temperature(value, wanted):
    assert level("Temperature", metrics=constant(temperature=value)) == wanted


def test_walkers_far_from_the_data():
    assert level("Range of the walkers", metrics=constant(walker_radius=4.9)) == "ok"
    assert level("Range of the walkers", metrics=constant(walker_radius=5.0)) == "bad"


@pytest.mark.parametrize(
    ("run", "wanted"),
    [
        ({"status": "done", "steps_done": 100, "steps_asked": 100}, "ok"),
        ({"status": "done", "steps_done": 99, "steps_asked": 100}, "warn"),
        ({"status": "stopped", "steps_done": 550, "steps_asked": 2500}, "warn"),
        ({"status": "running", "steps_done": 10, "steps_asked": 100}, "warn"),
        ({"status": "done", "steps_done": 100, "steps_asked": 100, "rollbacks": 2}, "warn"),
        ({"status": "diverged", "steps_done": 10, "steps_asked": 100}, "bad"),
        ({"status": "failed"}, "bad"),
        ({}, "unknown"),
    ],
)
def test_completeness(run, wanted):
    assert level("Completeness", run=run) == wanted


def test_steps_of_a_broken_run_are_those_that_were_logged():
    run = {"status": "failed", "steps_done": 0, "steps_asked": 2500}
    line = next(v for v in verdicts({}, run, [{"step": 550, "gap": 0.1}], []) if v.title == "Completeness")
    assert "550 of 2,500 steps" in line.sentence


def test_alarms_are_counted_and_give_their_advice():
    alarm = {"step": 7, "name": "sticking", "message": "acceptance 0.01", "advice": "lower the step size."}
    rows = constant(gap=0.0)
    lines = {v.title: v for v in verdicts({}, {}, rows, [alarm, {**alarm, "step": 9}])}
    assert lines["Alarms"].level == "warn"
    assert "step 7, 2 times: acceptance 0.01. Advice: lower the step size." in lines["Alarms"].sentence
    assert level("Alarms", metrics=rows, alarms=[{**alarm, "severity": "stop"}]) == "bad"
    assert level("Alarms", run={"status": "diverged"}, metrics=rows, alarms=[alarm]) == "bad"
    assert level("Alarms", metrics=rows) == "ok"
    assert level("Alarms") == "unknown"


@pytest.mark.parametrize(("share", "wanted"), [(0.0, "ok"), (0.01, "warn"), (0.011, "bad")])
def test_rejected_steps(share, wanted):
    assert level("Finite numbers", metrics=constant(rejected=share)) == wanted


def test_a_logged_nan_is_a_warning_of_its_own():
    rows = constant(gap=0.0, rejected=0.0)
    rows[3]["grad_norm"] = float("nan")
    line = next(v for v in verdicts({}, {}, rows, []) if v.title == "Finite numbers")
    assert (line.level, "grad_norm" in line.sentence) == ("warn", True)


def test_convergence_of_the_gap():
    assert level("Convergence", metrics=metric_rows()) == "ok"
    falling = [{"step": i, "gap": -20.0 + 0.5 * i} for i in range(1, 41)]
    assert level("Convergence", metrics=falling) == "warn"
    gone = [{"step": i, "gap": 0.1 if i < 36 else 1e5} for i in range(1, 41)]
    assert level("Convergence", metrics=gone) == "bad"
    assert level("Convergence", metrics=falling[:7]) == "unknown"
    slow = [{"step": i, "gap": 0.02 * i} for i in range(1, 41)]  # 0.2 nats a quarter: little in 64 dimensions, not in 2
    assert level("Convergence", {"dataset": {"shape": [64]}}, metrics=slow) == "ok"
    assert level("Convergence", {"dataset": {"shape": [2]}}, metrics=slow) == "warn"
    assert level("Convergence", metrics=[{"step": i, "loss": 10.0 / i} for i in range(1, 41)]) == "warn"
    assert level("Convergence", metrics=[{"step": i, "loss": 3.0} for i in range(1, 41)]) == "ok"


def test_overfitting_without_a_shape_is_not_judged():
    assert level("Overfitting", {"likelihood": {"nll_test": 18.0, "nll_train": 1.0}}) == "unknown"


def likelihood(**more: object) -> dict:
    base = {
        "nll_test": 18.0,
        "nll_test_se": 0.2,
        "nll_train": 17.5,
        "baselines": {"gmm10": {"nll_test": 23.0}, "kde": {"nll_test": 27.0}},
    }
    return {"dataset": {"shape": [64]}, "likelihood": {**base, **more}}


def test_likelihood_beside_baselines():
    title = "Likelihood beside baselines"
    assert level(title, likelihood()) == "ok"
    assert level(title, likelihood(nll_test=23.1)) == "warn"  # a baseline wins
    assert level(title, likelihood(nll_test=22.7)) == "warn"  # within two standard errors
    assert level(title, likelihood(nll_bracket=[17.0, 24.0])) == "warn"  # the bracket gives the lead away
    assert level(title, likelihood(baselines={})) == "unknown"
    assert level(title, {}) == "unknown"
    lines = {v.title: v for v in verdicts(likelihood(nll_test=25.0), {}, [], [])}
    assert "GMM-10" in lines[title].sentence
    assert "The baseline wins" in lines[title].sentence


@pytest.mark.parametrize(("gap", "wanted"), [(-1.0, "ok"), (1.9, "ok"), (2.0, "warn"), (9.5, "warn"), (9.7, "bad")])
def test_overfitting_by_dimension(gap, wanted):
    assert j.OVERFIT_WARN * 64 == pytest.approx(1.92)
    assert level("Overfitting", likelihood(nll_test=18.0, nll_train=18.0 - gap)) == wanted


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"value": 2.9, "floor": 2.0}, "ok"),
        ({"value": 3.1, "floor": 2.0}, "warn"),
        ({"value": 10.1, "floor": 2.0}, "bad"),
        ({"value": 3.1, "floor": 2.0, "se": 0.56}, "ok"),
        ({"value": 3.1, "floor": 2.0, "se": 0.4, "floor_se": 0.4}, "ok"),
        ({"value": 3.1, "floor": 2.0, "se": 0.5}, "warn"),
        ({"value": 0.0009, "floor": -0.001, "se": 0.001}, "ok"),
        ({"value": 0.0011, "floor": -0.001, "se": 0.001}, "warn"),
    ],
)
def test_sample_quality_beside_its_floor(entry, wanted):
    assert level("Sample quality", {"sample_quality": {"frechet": entry}}) == wanted


@pytest.mark.parametrize(("value", "wanted"), [(0.54, "ok"), (0.56, "warn"), (0.91, "bad")])
def test_accuracy_of_the_two_sample_test_starts_at_one_half(value, wanted):
    assert level("Sample quality", {"sample_quality": {"c2st": {"value": value, "floor": 0.5, "se": 0.025}}}) == wanted


def test_samples_too_near_to_the_training_data():
    assert (
        level("Sample quality", {"sample_quality": {"nearest_neighbour": {"samples": 1.0, "heldout": 2.0}}}) == "warn"
    )


def test_outsiders():
    title = "Out-of-distribution data"

    def scored(**scores: float) -> dict:
        return {"ood": {"blends": {name: {"auroc": value} for name, value in scores.items()}}}

    assert level(title, scored(energy=0.8, kde=0.7)) == "ok"
    assert level(title, scored(energy=0.8, kde=0.81)) == "warn"
    assert level(title, scored(energy=0.45, kde=0.4)) == "warn"
    assert level(title, scored(energy=1.0, kde=1.0)) == "unknown"


def test_density_of_the_plane():
    title = "Density against the truth"
    assert level(title, {"density2d": {"kl_true_model": 0.01, "kde_kl": 0.02}}) == "ok"
    assert level(title, {"density2d": {"kl_true_model": 0.03, "kde_kl": 0.02}}) == "warn"
    assert level(title, {"density2d": {"kl_true_model": "inf"}}) == "bad"
    masses = {"mode_masses_true": [0.8, 0.2], "mode_masses_model": [1.0, 0.0]}
    assert level(title, {"density2d": {"kl_true_model": 0.01, "kde_kl": 0.02, **masses}}) == "warn"


def test_overall_says_the_worst_and_names_it():
    ok, warn, bad = (Verdict(name, f"Thing {name}", "") for name in ("ok", "warn", "bad"))
    assert overall([ok]).level == "ok"
    assert overall([ok, warn]).level == "warn"
    verdict = overall([ok, warn, bad])
    assert verdict.level == "bad"
    assert "thing bad" in verdict.sentence
    assert overall([]).level == "unknown"


def test_pure_and_deterministic():
    evaluation, rows = image_evaluation(), metric_rows()
    before = json.dumps([evaluation, rows])
    assert verdicts(evaluation, {}, rows, []) == verdicts(evaluation, {}, rows, [])
    assert json.dumps([evaluation, rows]) == before
    assert not np.isnan([row["gap"] for row in rows]).any()
