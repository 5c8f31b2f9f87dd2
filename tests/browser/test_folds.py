"""What is folded: opened by a link into it, and on paper; and the switch between light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from wua_onnx.report.html import render

from .pages import many, open_page, write_pages

ROWS = 211


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pages(tmp_path_factory.mktemp("folds"), ROWS)


def is_open(browser: webdriver.Chrome, anchor: str) -> bool:
    detail = browser.find_element(By.ID, anchor)
    top = browser.execute_script("return arguments[0].closest('details').getBoundingClientRect().top", detail)
    return detail.is_displayed() and -1 <= top <= 800


@pytest.mark.parametrize("index", [0, 99, 100, 150, 200, 210])
def test_deep_links_open_the_layer(browser: webdriver.Chrome, folder: Path, index: int) -> None:
    open_page(browser, folder / "many.html", at=f"#layer-{index}")
    assert is_open(browser, f"layer-{index}")
    part = browser.find_element(By.CSS_SELECTOR, f"details.layer:has(#layer-{index})")
    name = f"block.{index // 7}.part{index % 7}"
    assert part.find_element(By.TAG_NAME, "summary").text.startswith(name)
    assert len(part.find_elements(By.CSS_SELECTOR, "svg.chart")) >= 1
    facts = part.find_element(By.CSS_SELECTOR, ".facts").text
    assert f"net.Part{index % 7}" in facts
    assert f"net/part.py:{index}" in facts
    assert "/home" not in facts


def test_a_name_in_the_table_leads_to_its_details_again_and_again(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "digits.html")
    for _ in range(2):
        link = browser.find_element(By.CSS_SELECTOR, "#layer-table tbody tr:nth-child(3) a.name")
        browser.execute_script("arguments[0].click()", link)
        assert is_open(browser, "layer-2")
        browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = false")


@pytest.mark.parametrize("anchor", ["layer-999", "layer-x", "no-such-part", "%E0%A4%A", ""])
def test_links_to_nothing_do_no_harm(browser: webdriver.Chrome, folder: Path, anchor: str) -> None:
    browser.get_log("browser")  # type: ignore[no-untyped-call] # selenium's gap
    open_page(browser, folder / "digits.html", at=f"#{anchor}")
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call] # selenium's gap
    assert browser.find_element(By.ID, "layer-tools").is_displayed()


@pytest.mark.parametrize("event", ["beforeprint"])
def test_printing_opens_what_is_folded_and_closes_it_again(browser: webdriver.Chrome, folder: Path, event: str) -> None:
    open_page(browser, folder / "digits.html")
    count = "return document.querySelectorAll('details:not([open])').length"
    closed = browser.execute_script(count)
    behind = browser.execute_script("return document.querySelectorAll('figure details:not([open])').length")
    assert closed > behind > 4
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(count) == behind, "what a drawing shows is not printed again as a table"
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(count) == closed


def test_printing_shows_more_rows_than_the_window(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "many.html")
    count = "return document.querySelectorAll('#layer-table tbody .name').length"
    before = browser.execute_script(count)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(count) == 200 > before
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(count) == before


@pytest.fixture
def forgetting(browser: webdriver.Chrome) -> Iterator[None]:
    yield
    browser.execute_script("localStorage.clear()")


@pytest.mark.usefixtures("forgetting")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_switch_between_light_and_dark_is_kept(browser: webdriver.Chrome, folder: Path, scheme: str) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    open_page(browser, folder / "digits.html", scheme=scheme)
    before, button = browser.execute_script(ground), browser.find_element(By.ID, "theme")
    assert button.text == {"light": "Dark", "dark": "Light"}[scheme]
    button.click()
    switched = browser.execute_script(ground)
    assert switched != before
    browser.refresh()
    assert browser.execute_script(ground) == switched
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script(ground) == before


def test_focus_is_visible(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "digits.html")
    widths = browser.execute_script(
        "return ['nav a', '#theme', '#layer-tools input', '#layer-tools select', '#layer-tools button',"
        "'#layer-table th button', '#layer-table a.name', 'summary', '#layers .scroll'].map(each => {"
        "const e = document.querySelector(each); e.focus({focusVisible: true});"
        "return [each, getComputedStyle(e).outlineStyle, parseFloat(getComputedStyle(e).outlineWidth)]; })"
    )
    assert [part for part in widths if part[1] == "none" or part[2] < 2] == []


def test_details_escape_names_in_the_script_as_well(browser: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    audit = many(103)
    audit["layers"][102]["name"] = "<img src=x onerror=\"document.title='hit'\">"
    page = tmp_path / "hostile.html"
    page.write_text(render(audit), encoding="utf-8")
    open_page(browser, page, at="#layer-102")
    summary = browser.find_element(By.CSS_SELECTOR, "details.layer:has(#layer-102) summary")
    assert summary.text.startswith("<img src=x onerror")
    assert "hit" not in browser.title.split()
    assert browser.find_elements(By.TAG_NAME, "img") == []
