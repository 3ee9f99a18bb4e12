"""What stands on the page, that it stands alone, and that nothing in a run folder can break out of its place."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest

from energax.report import write_report
from energax.report.training import training_panels, what_leads
from report.conftest import metric_rows, write_json, write_lines

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects tags, ids and text, and checks that every tag is closed where it was opened."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def image_page(image_run):
    return Page(write_report(image_run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plane_page(plane_run):
    return Page(write_report(plane_run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def failed_page(failed_run):
    return Page(write_report(failed_run).read_text(encoding="utf-8"))


def test_image_run_in_order(image_page):
    parts = [attrs["id"] for tag, attrs in image_page.tags if tag == "section"]
    assert parts == [
        "verdict", "training", "samples", "energies", "likelihood", "outsiders", "quality", "chains", "settings",
        "again", "terms",
    ]  # fmt: skip
    for said in (
        "trained by persistent contrastive divergence on digits: 1,437 training and 360 held-out items",
        "1 March 2026, 10:00 UTC",
        "2 min 41 s",
        "5,000 of 5,000",
        "Usable with care",
        "“low-acceptance” at step 150",
        "lower the learning rate or the step size",
        "Held-out NLL 18.6 against 23.0 nats per image for the best baseline, GMM-10",
        "A baseline wins on blends (KDE 0.815 against 0.773)",
        "the loss of contrastive training is no measure of progress",
        "14.0 effective chains of 300",
        "energax train digits seed=3",
        "jaxlib",
        "f90f2e6",
    ):
        assert said in image_page.text, said
    assert "could not be made" not in image_page.text
    assert "Missing from this run folder" not in image_page.text


def test_image_run_has_all_its_figures(image_page, image_run):
    names = (
        "energy-gap energies-of-data-and-walkers acceptance step-size grad-norm temperature buffer-age "
        "walker-radius loss samples data neighbours energies energies-ood-1 energies-ood-2 energies-ood-3 log-z "
        "likelihood ood classes trace autocorrelation ranks"
    )
    wanted = set(names.split())
    figures = {attrs["id"].removeprefix("figure-") for tag, attrs in image_page.tags if tag == "figure"}
    assert figures == wanted
    assert {path.stem for path in (image_run / "figures").iterdir()} == wanted
    for tag, attrs in image_page.tags:
        if tag == "img":
            assert attrs["src"].startswith("data:image/png;base64,")
            assert attrs["alt"]
            assert int(attrs["width"]) > 0
            assert int(attrs["height"]) > 0
        if tag == "svg" and attrs.get("class") == "plot":
            assert attrs["aria-label"]


def test_best_of_each_row_is_marked_also_when_a_baseline_wins(image_run):
    page = write_report(image_run).read_text(encoding="utf-8")
    row = re.search(r'<th scope="row">blends</th>(.*?)</tr>', page)[1]
    assert '<td class="best">0.815</td>' in row
    assert row.count("best") == 1


def test_plane_run(plane_page, plane_run):
    stems = {path.stem for path in (plane_run / "figures").iterdir()}
    assert {"landscape", "true-density", "model-density", "mode-masses", "samples", "data"} <= stems
    assert "KL(true ‖ model) is 0.0093 nats, exactly" in plane_page.text
    assert "a kernel density of the same data has 0.017" in plane_page.text
    assert "The exact value is −3" in plane_page.text
    assert "could not be made" not in plane_page.text


def test_failed_run_says_what_is_missing(failed_page):
    for said in (
        "Do not rely on this run",
        "The run diverged after 150 of 5,000 steps",
        "gradient of layers[0].weight is NaN",
        "evaluation.json is missing",
        "1 of 4 lines could not be read",
        "No samples are stored in this run folder.",
        "Neither log Z nor a likelihood was estimated.",
        "energax train digits seed=3",
    ):
        assert said in failed_page.text, said


def test_empty_run(tmp_path):
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "Too little was measured to judge" in page.text
    assert page.count("figure") == 0


@pytest.mark.parametrize("which", ["image_page", "plane_page", "failed_page"])
def test_page_stands_alone(which, request):
    page = request.getfixturevalue(which)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert page.count("script") == 0
    assert page.count("h1") == 1
    for _, attrs in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:")), attrs[name][:60]
            if attrs.get(name, "").startswith("#") and len(attrs[name]) > 1:
                assert attrs[name][1:] in ids
        for used in re.findall(r"url\(#([^)]+)\)", " ".join(value or "" for value in attrs.values())):
            assert used in ids


def test_same_run_same_bytes_and_no_trace_in_matplotlib(plane_run, tmp_path):
    before = dict(mpl.rcParams)
    again = tmp_path / plane_run.name
    shutil.copytree(plane_run, again, ignore=shutil.ignore_patterns("figures", "report.html"))
    first, second = write_report(plane_run), write_report(again)
    assert first.read_bytes() == second.read_bytes()
    for figure in (plane_run / "figures").iterdir():
        assert figure.read_bytes() == (again / "figures" / figure.name).read_bytes()
    assert dict(mpl.rcParams) == before
    assert not [path for path in again.rglob("*") if path.name.startswith(".")]


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'$x_{$ &amp; #20262e {{ 7*7 }}"


def hostile(value):
    """Every text of a tree, and every key that is a name, turned into markup."""
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return EVIL if isinstance(value, str) else value


def test_hostile_names_stay_text(image_run, tmp_path):
    folder = tmp_path / "run<b>x"
    shutil.copytree(image_run, folder, ignore=shutil.ignore_patterns("figures", "report.html"))
    evaluation = hostile(json.loads((folder / "evaluation.json").read_text()))
    evaluation["dataset"]["shape"] = [8, 8]
    for part in (evaluation["ood"], evaluation["likelihood"]["baselines"], evaluation["sample_quality"]):
        part[EVIL] = next(iter(part.values()))
    evaluation["sample_quality"]["class_shares"] = {EVIL: [0.5, 0.4], "b": [0.5, 0.6]}
    evaluation["ood"]["blends"][EVIL] = {"auroc": 0.7}
    write_json(folder / "evaluation.json", evaluation)
    write_json(folder / "run.json", hostile(json.loads((folder / "run.json").read_text())) | {"argv": [EVIL]})
    (folder / "config.yaml").write_text(f"name: {json.dumps(EVIL)}\ndescription: {json.dumps(EVIL)}\n</pre>{EVIL}: 1\n")
    write_lines(folder / "alarms.jsonl", [{"step": 3, "name": EVIL, "phase": EVIL, "message": EVIL, "advice": EVIL}])
    write_lines(folder / "metrics.jsonl", [{**row, EVIL: 1.0} for row in metric_rows(600)])
    with np.load(folder / "arrays.npz") as stored:
        np.savez(folder / "arrays.npz", **dict(stored), **{f"energy_ood__{EVIL.replace('/', '')}": np.arange(50.0)})
    text = write_report(folder).read_text(encoding="utf-8")
    page = Page(text)
    assert page.count("script") == 0
    assert page.count("b") == 4  # the tiles' own
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert all(attrs["src"].startswith("data:") for tag, attrs in page.tags if tag == "img")
    assert "could not be made" not in text
    assert EVIL in " ".join(page.words)  # shown, word for word
    assert "49" not in re.findall(r"\{\{ (\S+) \}\}", text)
    for figure in (folder / "figures").glob("*.svg"):
        ET.parse(figure)  # still well-formed


def test_arrays_of_the_wrong_shape_cost_one_figure_not_the_page(image_run, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(image_run, folder, ignore=shutil.ignore_patterns("figures", "report.html"))
    rng = np.random.default_rng(0)
    holes = rng.normal(size=(20, 64))
    holes[3, 5] = np.nan
    np.savez(
        folder / "arrays.npz",
        samples=holes,
        neighbours=rng.normal(size=(3, 7)),
        data_test=np.float32(3.0),
        energy_test=np.full(10, np.inf),
        energy_train=np.r_[np.arange(9.0), np.nan],
        trace=np.full((4, 50), 2.0),
        grid_x=np.arange(3.0),
        grid_y=np.arange(4.0),
        grid_energy=np.zeros((3, 4)),
        chains_xy=np.zeros(3),
    )
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    assert "1 of 1,280 values are not finite and are left out" in page.text
    assert "1 of 10 values are not finite and are left out" in page.text
    assert "4 chains never moved" in page.text


def test_vectors_get_histograms(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "arrays.npz", samples=rng.normal(size=(50, 3)), data_test=rng.normal(size=(40, 3)))
    write_json(tmp_path / "evaluation.json", {"dataset": {"name": "wine", "shape": [3]}})
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert {f"figure-coordinate-{i}" for i in (1, 2, 3)} == {a["id"] for t, a in page.tags if t == "figure"}
    assert "could not be made" not in page.text


def test_the_loss_of_a_rule_without_walkers_is_called_an_objective(tmp_path):
    write_lines(tmp_path / "metrics.jsonl", [{"step": i, "loss": 5.0 / i, "score_norm": 1.0} for i in range(1, 700)])
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "A rule without walkers has a true objective" in page.text
    assert "its loss tells how training goes" in page.text
    assert "no progress signal" not in page.text
    assert "energy gap comes first" not in page.text


LEADS = {
    "Energy gap": ({"gap": 0.1}, "The energy gap comes first"),
    "Log-likelihood": ({"gap": 0.1, "log_likelihood": -2.0}, "The auditors' log-likelihood comes first"),
}


@pytest.mark.parametrize("title", LEADS)
def test_what_is_said_to_lead_is_the_first_curve(title):
    metrics, sentence = LEADS[title]
    rows = [{"step": i, "loss": 1.0, **metrics} for i in (50, 100)]
    assert what_leads(rows).startswith(sentence)
    assert training_panels(rows)[0].title == title


def test_what_weighted_and_tempered_walkers_tell_is_drawn():
    names = ("log_z_error", "ess_audit", "self_influence", "swap_rate")
    rows = [{"step": step, "gap": 0.1, "loss": 0.1} | dict.fromkeys(names, 0.5) for step in (1, 2, 3)]
    titles = [panel.title for panel in training_panels(rows)]
    assert {"Error of log Z", "Auditors that count", "Self-influence", "Swap rate"} < set(titles)
    assert titles[-1] == "Loss (no progress signal)"
    bare = [{"step": step, "gap": 0.1, "loss": 0.1} for step in (1, 2, 3)]
    assert [panel.title for panel in training_panels(bare)] == ["Energy gap", "Loss (no progress signal)"]
