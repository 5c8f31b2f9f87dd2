"""The layer table as the page's script shows it, and as it stands without."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from wua_onnx.report.html import render, script

from .pages import HOSTILE, choose, copied, log, many, open_page, sample, write_pages

ROWS = 10_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pages(tmp_path_factory.mktemp("tables"), ROWS)


@pytest.fixture
def without_script(browser: webdriver.Chrome) -> Iterator[None]:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    yield
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def names(browser: webdriver.Chrome) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#layer-table tbody .name')].map(e => e.textContent)"
    )
    return found


def click(browser: webdriver.Chrome, key: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"#layer-table th[data-key={key}] button").click()


@pytest.mark.parametrize("own", ["audit.js", "comparison.js"])
def test_the_script_of_a_page_is_small(own: str) -> None:
    assert len(script(own)["script"].encode()) <= 25_000


@pytest.mark.usefixtures("without_script")
def test_without_script_the_first_rows_stand_in_the_page(browser: webdriver.Chrome, folder: Path) -> None:
    browser.get("about:blank")
    browser.get((folder / "many.html").as_uri())
    assert len(browser.find_elements(By.CSS_SELECTOR, "#layer-table tbody tr")) == 200
    assert "200 of 10,000 layers" in browser.find_element(By.ID, "layer-rest").text
    assert not browser.find_element(By.ID, "layer-tools").is_displayed()
    assert browser.find_elements(By.CSS_SELECTOR, "#layer-table button") == []


@pytest.fixture
def without_decompression(browser: webdriver.Chrome) -> Iterator[None]:
    source = {"source": "delete window.DecompressionStream"}
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    yield
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.usefixtures("without_decompression")
def test_a_browser_that_cannot_unpack_shows_what_stands_in_the_page(browser: webdriver.Chrome, folder: Path) -> None:
    log(browser, "browser")
    browser.get("about:blank")
    browser.get((folder / "many.html").as_uri() + "#layer-5")
    assert browser.execute_script("return 'DecompressionStream' in window") is False
    assert len(browser.find_elements(By.CSS_SELECTOR, "#layer-table tbody tr")) == 200
    assert not browser.find_element(By.ID, "layer-tools").is_displayed()
    assert browser.find_element(By.ID, "theme").is_displayed()
    assert browser.find_element(By.ID, "layer-5").is_displayed(), "links into what is folded still open it"
    assert log(browser, "browser") == []


TEXTS = "return [...document.querySelectorAll('#layer-table tbody td, #layer-table tbody th')].map(e => e.innerText)"


@pytest.mark.parametrize("name", ["digits", "hostile"])
def test_rows_of_the_script_read_like_those_of_the_page(browser: webdriver.Chrome, folder: Path, name: str) -> None:
    open_page(browser, folder / f"{name}.html")
    before = browser.execute_script(TEXTS)
    choose(browser, "filter", "no layer has this")
    assert names(browser) == []
    choose(browser, "filter", "")
    assert browser.execute_script(TEXTS) == before
    assert len(before) == 4 * 11


def test_sorts_up_down_and_back_by_keyboard(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "digits.html")
    in_file = names(browser)
    weights = {layer["name"]: layer["weights"] for layer in sample("digits")["layers"]}
    button = browser.find_element(By.CSS_SELECTOR, "#layer-table th[data-key=weights] button")
    head = browser.find_element(By.CSS_SELECTOR, "#layer-table th[data-key=weights]")
    for order, down in (("descending", True), ("ascending", False)):
        button.send_keys(Keys.ENTER)
        assert head.get_attribute("aria-sort") == order
        assert names(browser) == sorted(weights, key=lambda name: weights[name], reverse=down)
    button.send_keys(Keys.SPACE)
    assert head.get_attribute("aria-sort") is None
    assert names(browser) == in_file


@pytest.mark.parametrize("key", ["name", "weights", "effective", "macs", "utilization", "redundancy", "gini", "dead"])
def test_every_column_sorts(browser: webdriver.Chrome, folder: Path, key: str) -> None:
    open_page(browser, folder / "many.html")
    click(browser, key)
    rows = json.loads(copied(browser, "JSON"))
    assert len(rows) == ROWS
    known = [row[key] for row in rows if row[key] is not None]
    if key == "name":
        assert [row["name"] for row in rows[:3]] == ["block.0.part0", "block.0.part1", "block.0.part2"]
        assert rows[-1]["name"] == "block.1428.part3", "numbers in names sort by size"
    else:
        assert known == sorted(known, reverse=True)
        assert rows[len(known) :] == [row for row in rows if row[key] is None]


SORT = """
let least = 1e9;
for (let i = 0; i < 15; i++) {
  const start = performance.now();
  arguments[0].click();
  document.body.offsetHeight;  // what is shown is laid out too
  least = Math.min(least, performance.now() - start);
}
return least;
"""


BUSY = 3  # times the 50 ms that are aimed at: other work on the machine; `python -m benchmarks --only report` measures


def test_ten_thousand_rows_sort_in_50_ms(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "many.html")
    buttons = browser.find_elements(By.CSS_SELECTOR, "#layer-table th[data-key] button")
    assert len(buttons) == 10
    assert {button.text: ms for button in buttons if (ms := browser.execute_script(SORT, button)) >= BUSY * 50} == {}


def test_a_long_table_shows_a_window_that_follows_scrolling(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "many.html")
    assert len(names(browser)) < 60
    box = browser.find_element(By.CSS_SELECTOR, ".scroll.window")
    browser.execute_async_script(
        "arguments[0].scrollTop = 1e9; const done = arguments[1];"
        "requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))",
        box,
    )
    assert names(browser)[-1] == "block.1428.part3"
    table = browser.find_element(By.ID, "layer-table")
    assert table.get_attribute("aria-rowcount") == str(ROWS + 1)
    last = browser.find_elements(By.CSS_SELECTOR, "#layer-table tr[aria-rowindex]")[-1]
    assert last.get_attribute("aria-rowindex") == str(ROWS + 1)


def test_filters_by_text_and_kind(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "many.html")
    choose(browser, "filter", "PART3 block.142")
    choose(browser, "pick", "dense")
    rows = json.loads(copied(browser, "JSON"))
    expected = [
        layer["name"]
        for layer in many(ROWS)["layers"]
        if "block.142" in layer["name"] and "part3" in layer["name"] and layer["kind"] == "dense"
    ]
    assert [row["name"] for row in rows] == expected
    assert len(expected) > 2
    open_page(browser, folder / "digits.html")
    choose(browser, "pick", "convolution")
    assert browser.find_element(By.NAME, "count").text == "2 of 4 layers"


@pytest.mark.parametrize("what", ["macs", "weights", "effective"])
def test_cumulated_shares_reach_all(browser: webdriver.Chrome, folder: Path, what: str) -> None:
    open_page(browser, folder / "many.html")
    choose(browser, "cumulate", what)
    click(browser, "cumulative")
    rows = json.loads(copied(browser, "JSON"))
    shares = [row["cumulative"] for row in rows]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    total = sum(row[what] for row in rows)
    half = next(i for i, share in enumerate(shares) if share >= 0.5)
    assert sum(row[what] for row in rows[: half + 1]) == pytest.approx(shares[half] * total, rel=1e-3)
    assert half < ROWS // 3, "the largest come first"


def test_groups_have_subtotals_and_fold(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "digits.html")
    choose(browser, "group", "kind")
    groups = browser.find_elements(By.CSS_SELECTOR, "tr.group")
    layers = sample("digits")["layers"]
    for group, kind in zip(groups, dict.fromkeys(layer["kind"] for layer in layers), strict=True):
        weights = sum(layer["weights"] for layer in layers if layer["kind"] == kind)
        assert [kind, f"{weights:,}"] == [group.find_element(By.TAG_NAME, tag).text for tag in ("button", "td")]
    count = len(names(browser))
    groups[0].find_element(By.TAG_NAME, "button").click()
    button = browser.find_element(By.CSS_SELECTOR, "tr.group button")
    assert button.get_attribute("aria-expanded") == "false"
    assert browser.switch_to.active_element == button, "the keyboard stays where it was"
    assert len(names(browser)) == count - 2


def test_groups_by_level_of_module(browser: webdriver.Chrome, folder: Path) -> None:
    open_page(browser, folder / "many.html")
    choose(browser, "group", "2")
    assert browser.find_element(By.CSS_SELECTOR, "tr.group button").text == "block.0"
    assert browser.find_element(By.CSS_SELECTOR, "tr.group .sub").text == "7 layers"


def test_copied_csv_reads_back_and_holds_no_formula(browser: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    audit = sample("hostile")
    for layer, start in zip(audit["layers"], ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)"), strict=True):
        layer["name"] = f'{start} "quoted", {HOSTILE[2]}'
    page = tmp_path / "formulas.html"
    page.write_text(render(audit), encoding="utf-8")
    open_page(browser, page)
    rows = list(csv.DictReader(io.StringIO(copied(browser, "CSV"))))
    assert [row["name"] for row in rows] == [f"'{layer['name']}" for layer in audit["layers"]]
    assert [int(row["weights"]) for row in rows] == [layer["weights"] for layer in audit["layers"]]
    cells = [cell for row in rows for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))] == []


def test_copied_markdown_and_latex_escape(browser: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    audit = sample("digits")
    audit["layers"][0]["name"] = r"a|b_c \input{x} $y$ 50% & <b> ~^ #1 @me"
    page = tmp_path / "signs.html"
    page.write_text(render(audit), encoding="utf-8")
    open_page(browser, page)
    line = copied(browser, "Markdown").splitlines()[2]
    assert line.startswith(r"| a\|b\_c \\input\{x\} \$y\$ 50% \& \<b\> \~^ &#35;1 &#64;me | convolution |")
    line = copied(browser, "LaTeX").splitlines()[3]
    assert line.startswith(
        r"a|b\_c \textbackslash{}input\{x\} \$y\$ 50\% \& <b> \textasciitilde{}\textasciicircum{} \#1 @me & convolution"
    )


@pytest.mark.parametrize(("form", "ending"), [("CSV", "csv"), ("JSON", "json"), ("Markdown", "md"), ("LaTeX", "tex")])
def test_downloads_what_it_copies(
    browser: webdriver.Chrome, folder: Path, tmp_path: Path, form: str, ending: str
) -> None:
    settings = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Page.setDownloadBehavior", settings)
    open_page(browser, folder / "digits.html")
    choose(browser, "pick", "dense")
    text = copied(browser, form)
    browser.find_element(By.NAME, "download").click()
    file = tmp_path / f"digits-layers.{ending}"
    arrived: Any = "const done = arguments[0]; setTimeout(done, 50)"
    for _ in range(100):
        if file.exists():
            break
        browser.execute_async_script(arrived)
    assert file.read_text(encoding="utf-8") == text


def test_pages_of_many_layers_stay_small() -> None:
    sizes = {rows: len(render(many(rows)).encode()) for rows in (100, 1_500)}
    assert sizes[100] < 1_500_000
    assert sizes[1_500] < 3_000_000
