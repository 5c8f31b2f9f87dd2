"""An audit between the style rules that JupyterLab has for every table."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.pages import open_page, sample
from wua_onnx._result import Audit
from wua_onnx.report import notebook

# As jupyterlab 4.6 has them, packages/rendermime/style/base.css.
RULES = """
.jp-RenderedHTMLCommon table { border-collapse: collapse; table-layout: fixed; }
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th, .jp-RenderedHTMLCommon tr { vertical-align: middle;
  padding: 0.5em; line-height: normal; white-space: normal; max-width: none; border: none; }
.jp-RenderedHTMLCommon:not(.jp-RenderedMarkdown) td, .jp-RenderedHTMLCommon:not(.jp-RenderedMarkdown) th {
  text-align: right; }
"""


def opened(browser: webdriver.Chrome, folder: Path, output: str) -> None:
    page = folder / "notebook.html"
    body = f'<div class="jp-RenderedHTMLCommon" style="overflow: auto; width: 900px">{output}</div>'
    page.write_text(f"<!doctype html><meta charset=utf-8><style>{RULES}</style>{body}", encoding="utf-8")
    open_page(browser, page)


def test_texts_stand_left_and_numbers_right_and_no_number_breaks(browser: webdriver.Chrome, tmp_path: Path) -> None:
    opened(browser, tmp_path, Audit(sample("digits"))._repr_html_())
    aligned = browser.execute_script(
        "return [...document.querySelectorAll('td, th')]"
        ".map(cell => [cell.className, getComputedStyle(cell).textAlign])"
    )
    assert {tuple(pair) for pair in aligned} == {("", "left"), ("wua-right", "right")}
    lines = browser.execute_script(
        "return [...document.querySelectorAll('td.wua-right')].map(cell => {"
        " const range = document.createRange(); range.selectNodeContents(cell);"
        " return new Set([...range.getClientRects()].map(box => box.top)).size })"
    )
    assert max(lines) == 1


@pytest.mark.parametrize("width", [480, 1280])
def test_the_frame_is_no_wider_than_the_cell(browser: webdriver.Chrome, tmp_path: Path, width: int) -> None:
    opened(browser, tmp_path, notebook.frame("<!doctype html>", "a title"))
    browser.execute_script(f"document.querySelector('div').style.width = '{width}px'")
    wide = browser.execute_script("const box = document.body.children[0]; return [box.scrollWidth, box.clientWidth]")
    assert wide == [width, width]
