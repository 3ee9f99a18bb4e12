"""The page in headless Chromium: every figure is drawn, nothing is fetched, no error, and a phone's width is enough."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from energax.evaluation.calibration import compare as compare_scalings
from energax.evaluation.ood import compare as compare_scores, detectors
from energax.report import write_report
from energax.report.calibration import write_calibration
from energax.report.ood import write_ood

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine; Debian: apt-get install chromium"),
    pytest.mark.skipif(
        DRIVER is None, reason="no chromedriver on this machine; Debian: apt-get install chromium-driver"
    ),
]

FIGURES = """
return Array.from(document.querySelectorAll('figure')).map(figure => {
  const picture = figure.querySelector('svg, img'), box = picture.getBoundingClientRect();
  const drawn = picture.tagName === 'IMG' ? picture.naturalWidth : picture.querySelectorAll('path, text, image').length;
  return [figure.id, box.width, box.height, drawn, box.right];
});
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


def look(browser, page: Path, width: int) -> int:
    """Opens the page at a width and checks all that a reader's eyes would -> how many figures it holds."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("performance")
    browser.get(page.as_uri())
    assert browser.execute_script("return document.compatMode") == "CSS1Compat"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return window.innerWidth") == width
    figures = browser.execute_script(FIGURES)
    for name, wide, tall, drawn, right in figures:
        assert wide > 200, name
        assert tall > 80, name
        assert drawn > 0, name
        assert right <= width, name
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}
    return len(figures)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("which", ["image_run", "plane_run", "failed_run"])
def test_page_in_a_browser(browser, request, which, width):
    folder = request.getfixturevalue(which)
    page = folder / "report.html"
    shown = look(browser, page if page.exists() else write_report(folder), width)
    assert shown == len(list((folder / "figures").iterdir()))
    assert shown >= (10 if which != "failed_run" else 1)


def test_contents_lead_to_their_sections(browser, image_run):
    page = image_run / "report.html"
    browser.get((page if page.exists() else write_report(image_run)).as_uri())
    targets = browser.execute_script(
        "return Array.from(document.querySelectorAll('nav a'))"
        ".map(a => document.querySelector(a.getAttribute('href')).tagName)"
    )
    assert len(targets) >= 10
    assert set(targets) == {"SECTION"}


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    """Pages that are about no run: scores of foreign samples, and calibration."""
    rng = np.random.default_rng(0)
    logits, labels = 3.0 * rng.normal(size=(100, 3)), rng.integers(3, size=100)
    shipped = detectors()
    scored = compare_scores(shipped, {"logits": logits}, {"odd": {"logits": 0.1 * logits}}, num_bootstrap=10)
    found, refused = compare_scalings(logits[:50], labels[:50], logits[50:], labels[50:])
    facts = {"rows_fit": 100, "rows_test": 100}
    return {
        "ood": write_ood(tmp_path_factory.mktemp("ood"), scored, shipped, {}, "energax ood")["html"],
        "calibration": write_calibration(
            tmp_path_factory.mktemp("calibration"), found, refused, facts, "energax calibrate"
        )["html"],
    }


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("which", "figures"), [("ood", 5), ("calibration", 2)])
def test_a_sheet_in_a_browser(browser, sheets, which, figures, width):
    assert look(browser, sheets[which], width) >= figures


def test_a_planted_overflow_and_a_planted_request_are_caught(browser, tmp_path):
    """The judge of this file judges: a page that is too wide, and one that fetches, both fail."""
    wide = tmp_path / "wide.html"
    wide.write_text(
        "<!DOCTYPE html><meta name=viewport content='width=device-width'><div style='width:900px'>wide</div>"
    )
    with pytest.raises(AssertionError):
        look(browser, wide, 390)
    fetches = tmp_path / "fetches.html"
    fetches.write_text("<!DOCTYPE html><meta name=viewport content='width=device-width'><img src='other.png'>")
    with pytest.raises(AssertionError):
        look(browser, fetches, 390)
