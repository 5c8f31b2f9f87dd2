"""Pictures of weights, drawings of repeated modules and the budget, as the browser shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.report.test_detail_figures import blocks
from wua_onnx.report.html import render

from .pages import checked, log, open_page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "page.html"
    file.write_text(render(checked()), encoding="utf-8")
    return file


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pictures_load_under_the_policy_and_fit(browser: webdriver.Chrome, page: Path, width: int, scheme: str) -> None:
    log(browser, "browser")
    open_page(browser, page, width=width, scheme=scheme, at="#layer-2")
    pictures = browser.find_elements(By.CSS_SELECTOR, "#layer-2 img.heat")
    assert len(pictures) == 1
    sizes = browser.execute_async_script(
        "const done = arguments[0], all = [...document.querySelectorAll('img.heat')];"
        "Promise.all(all.map(i => i.decode())).then(() => done(all.map(i => i.naturalWidth)), e => done(String(e)));"
    )
    assert len(sizes) >= 4
    assert min(sizes) > 1
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert log(browser, "browser") == []


def test_a_picture_has_its_words_and_its_table(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page, at="#layer-2")
    figure = browser.find_element(By.CSS_SELECTOR, "#layer-2 figure:has(img.heat)")
    assert "512 inputs down, 96 neurons across" in (figure.find_element(By.TAG_NAME, "img").get_attribute("alt") or "")
    figure.find_element(By.TAG_NAME, "summary").click()
    table = figure.find_element(By.TAG_NAME, "table")
    assert table.is_displayed()
    assert len(table.find_elements(By.CSS_SELECTOR, "tbody tr")) == 4


def test_the_chip_leads_to_the_budget(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page)
    browser.find_element(By.LINK_TEXT, "1 of 2 limits broken").click()
    words = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, ".budget td .chip")]
    assert words == ["broken", "kept"]


def test_modules_that_repeat_open_without_a_script(browser: webdriver.Chrome, tmp_path: Path) -> None:
    file = tmp_path / "blocks.html"
    file.write_text(render(blocks([3, 3, 3])), encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(file.as_uri())
        inside = browser.find_element(By.CSS_SELECTOR, "details.inside")
        assert inside.text == "Inside net.block.0 … 2 (× 3): the first of them in detail"
        inside.find_element(By.TAG_NAME, "summary").click()
        assert inside.find_element(By.TAG_NAME, "svg").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
