"""The rules of WCAG 2.2 A and AA, and good practice, as axe-core checks them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from tests.npm import npm_file
from tests.report.sample import rich
from tests.report.test_detail_figures import blocks
from wua_onnx.report.html import render

from .pages import checked, many, open_page, sample

AXE = "axe-core@4.14.1"
DIGEST = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"  # SHA-256 of its axe.min.js


@pytest.fixture(scope="module")
def axe(pytestconfig: pytest.Config) -> str:
    assert pytestconfig.cache is not None
    return npm_file(AXE, "axe.min.js", DIGEST, pytestconfig.cache.mkdir("axe-core"))


RUN = """
const done = arguments[0];
for (const folded of [...document.querySelectorAll('details')].slice(0, 40)) folded.open = true;
const told = rule => [rule.id, rule.nodes.map(node => node.html.slice(0, 200))];
axe.run(document, {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}})
  .then(found => done(found.violations.map(told)), error => done(String(error)));
"""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("name", ["digits", "transformer", "hostile", "many", "checked", "blocks", "rich"])
def test_axe_finds_nothing(
    browser: webdriver.Chrome, tmp_path: Path, axe: str, name: str, scheme: str, width: int
) -> None:
    page = tmp_path / "page.html"
    made: dict[str, Callable[[], dict[str, Any]]] = {
        "many": lambda: many(211), "checked": checked, "blocks": lambda: blocks([3, 3, 3]), "rich": rich,
    }  # fmt: skip
    page.write_text(render(made[name]() if name in made else sample(name)), encoding="utf-8")
    open_page(browser, page, scheme=scheme, width=width)
    browser.execute_script(axe)
    browser.set_script_timeout(120)
    assert browser.execute_async_script(RUN) == []


def test_axe_finds_what_is_wrong(browser: webdriver.Chrome, tmp_path: Path, axe: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(render(sample("digits")), encoding="utf-8")
    open_page(browser, page)
    browser.execute_script("document.body.append(document.createElement('button'))")
    browser.execute_script(axe)
    assert "button-name" in [rule for rule, _ in browser.execute_async_script(RUN)]
