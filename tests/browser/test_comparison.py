"""The page of a comparison, opened from disk with nothing to reach for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.pages import assert_quiet, choose, copied, keep_screenshot, open_page
from tests.browser.test_accessibility import RUN, axe
from tests.browser.test_layer_table import TEXTS, click, names
from tests.browser.test_page import CONTRAST, PAPER
from tests.comparison.made import harmful, made
from wua_onnx.report.comparison_page import render_comparison

__all__ = ["axe"]  # a fixture


@pytest.fixture(scope="module", params=["made", "harmful"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("comparison") / f"comparison-{request.param}.html"
    file.write_text((made if request.param == "made" else harmful)().to_html(), encoding="utf-8")
    return file


def test_no_request_and_no_error(browser: webdriver.Chrome, page: Path) -> None:
    assert_quiet(browser, page)


def test_rows_of_the_script_read_like_those_of_the_page(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page)
    before = browser.execute_script(TEXTS)
    choose(browser, "filter", "no layer has this")
    assert names(browser) == []
    choose(browser, "filter", "")
    assert browser.execute_script(TEXTS) == before
    assert len(before) >= 4 * 10


def test_layers_sort_by_what_changed_and_are_filtered(browser: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "made.html").write_text(made().to_html(), encoding="utf-8")
    open_page(browser, tmp_path / "made.html")
    click(browser, "weights")
    assert names(browser) == ["stem", "conv2 → features.second", "conv1", "fc2", "fc1"]
    rows = json.loads(copied(browser, "JSON"))
    assert [row["weights_before"] for row in rows] == [None, 4608, 144, 320, 16384]
    assert [row["weights_after"] for row in rows] == [21, 4608, None, 160, 8192]
    click(browser, "utilization")
    assert names(browser)[:3] == ["fc1", "fc2", "conv2 → features.second"]
    choose(browser, "pick", "removed")
    assert names(browser) == ["conv1"]


def test_a_thousand_layers_are_all_in_the_page(browser: webdriver.Chrome, tmp_path: Path) -> None:
    comparison = made().to_dict()
    comparison["added"] = [{**comparison["added"][0], "name": f"new.{i}", "weights": 1000 - i} for i in range(997)]
    (tmp_path / "many.html").write_text(render_comparison(comparison), encoding="utf-8")
    open_page(browser, tmp_path / "many.html")
    assert not browser.find_element("id", "layer-rest").is_displayed()
    choose(browser, "filter", "new.99")
    assert names(browser) == ["new.99", *(f"new.{i}" for i in range(990, 997))]
    click(browser, "weights")
    click(browser, "weights")
    assert names(browser) == [*(f"new.{i}" for i in range(996, 989, -1)), "new.99"]


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_sideways_scroll(browser: webdriver.Chrome, page: Path, width: int) -> None:
    open_page(browser, page, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_screenshots_are_kept(
    browser: webdriver.Chrome, page: Path, pytestconfig: pytest.Config, width: int, scheme: str
) -> None:
    """What they must show, the other tests say."""
    keep_screenshot(browser, page, pytestconfig, width=width, scheme=scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(browser: webdriver.Chrome, page: Path, scheme: str) -> None:
    open_page(browser, page, scheme=scheme)
    measured = browser.execute_script(CONTRAST)
    assert len(measured) > 100
    assert [(round(ratio, 2), where) for ratio, where in measured if ratio < 4.5] == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(browser: webdriver.Chrome, page: Path, axe: str, scheme: str, width: int) -> None:
    open_page(browser, page, scheme=scheme, width=width)
    browser.execute_script(axe)
    browser.set_script_timeout(120)
    assert browser.execute_async_script(RUN) == []


def test_no_table_is_cut_off_on_paper(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page, width=PAPER)
    browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    ends = browser.execute_script(
        "return [...document.querySelectorAll('table')].map(e => [e.className, e.getBoundingClientRect().right])"
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert len(ends) > 3
    assert [(name, end) for name, end in ends if end > PAPER + 1] == []
