"""The page of a comparison, opened from disk with nothing to reach for."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.pages import assert_quiet, keep_screenshot, open_page
from tests.browser.test_accessibility import RUN, axe
from tests.browser.test_page import CONTRAST, PAPER
from tests.comparison.made import harmful, made

__all__ = ["axe"]  # a fixture


@pytest.fixture(scope="module", params=["made", "harmful"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("comparison") / f"comparison-{request.param}.html"
    file.write_text((made if request.param == "made" else harmful)().to_html(), encoding="utf-8")
    return file


def test_no_request_no_error_and_no_script(browser: webdriver.Chrome, page: Path) -> None:
    assert_quiet(browser, page)
    assert browser.execute_script("return document.scripts.length") == 0


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
