from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from selenium import webdriver

from wua_onnx.report.html import render

from .pages import assert_quiet, keep_screenshot, log, open_page, sample


@pytest.fixture(scope="module", params=["digits", "transformer", "hostile"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    file.write_text(render(sample(request.param)), encoding="utf-8")
    return file


def test_no_request_no_error_and_no_script_of_the_model(browser: webdriver.Chrome, page: Path) -> None:
    assert_quiet(browser, page)
    assert "hit" not in browser.title.split()
    assert browser.execute_script("return document.scripts.length") == 2, "data, and the project's own"


def test_the_policy_of_the_page_forbids_requests_and_other_scripts(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page)
    tried = """
    const done = arguments[0], refused = [];
    document.addEventListener("securitypolicyviolation", event => refused.push(event.effectiveDirective));
    const add = (tag, values) => document.body.append(Object.assign(document.createElement(tag), values));
    add("script", {textContent: "document.title = 'hit'"});
    add("img", {src: "http://x.invalid/a.png"});
    add("link", {rel: "stylesheet", href: "http://x.invalid/a.css"});
    add("iframe", {src: "http://x.invalid/"});
    fetch("http://x.invalid/").catch(() => {});
    const told = () => refused.length < 5 && performance.now() < 20000 ? setTimeout(told, 20) : done(refused.sort());
    told();
    """
    refused = browser.execute_async_script(tried)
    assert refused == ["connect-src", "frame-src", "img-src", "script-src-elem", "style-src-elem"]
    assert browser.title != "hit"
    log(browser, "browser")  # says so too


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_sideways_scroll(browser: webdriver.Chrome, page: Path, width: int) -> None:
    open_page(browser, page, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_tables_scroll_inside_their_own_box(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page, width=360)
    wide = "return [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert browser.execute_script(wide) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_screenshots_are_kept(
    browser: webdriver.Chrome, page: Path, pytestconfig: pytest.Config, width: int, scheme: str
) -> None:
    """What they must show, the other tests say."""
    keep_screenshot(browser, page, pytestconfig, width=width, scheme=scheme)


CONTRAST = """
const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const lum = c => { const [r, g, b] = c.map(v => linear(v / 255));
                   return .2126 * r + .7152 * g + .0722 * b; };
const rgb = s => s.match(/[\\d.]+/g).map(Number);
const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                      if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
const boxes = [...document.querySelectorAll('body *')].filter(
  e => !e.closest('svg') && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
return boxes.map(e => { const [a, b] = [lum(rgb(getComputedStyle(e).color).slice(0, 3)), lum(ground(e))];
  return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName + '.' + e.className]; });
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(browser: webdriver.Chrome, page: Path, scheme: str) -> None:
    open_page(browser, page, scheme=scheme)
    measured = browser.execute_script(CONTRAST)
    assert len(measured) > 100
    assert [(round(ratio, 2), where) for ratio, where in measured if ratio < 4.5] == []


SVG_CONTRAST = """
const lum = s => { const c = s.match(/[\\d.]+/g).map(Number).slice(0, 3).map(v => v / 255)
                     .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                   return .2126 * c[0] + .7152 * c[1] + .0722 * c[2]; };
return [...document.querySelectorAll('svg g.node')].filter(g => g.querySelector('text') && g.querySelector('path'))
  .map(g => [lum(getComputedStyle(g.querySelector('text')).fill), lum(getComputedStyle(g.querySelector('path')).fill)])
  .map(([a, b]) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boxes_of_the_diagram_are_readable(browser: webdriver.Chrome, page: Path, scheme: str) -> None:
    open_page(browser, page, scheme=scheme)
    measured = browser.execute_script(SVG_CONTRAST)
    assert measured
    assert min(measured) >= 4.5


def test_light_and_dark_differ(browser: webdriver.Chrome, page: Path) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        open_page(browser, page, scheme=scheme)
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        grounds.append(sum(map(int, re.findall(r"\d+", colour))))
    assert grounds[0] > 600
    assert grounds[1] < 150


def test_sections_are_reached_by_their_anchors(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page)
    for section in (
        "verdict",
        "findings",
        "layers",
        "importance",
        "cost",
        "training",
        "latency",
        "structure",
        "method",
    ):
        browser.execute_script(f"location.hash = '{section}'")
        top = browser.execute_script(f"return document.getElementById('{section}').getBoundingClientRect().top")
        assert -1 <= top <= 800, section


PAPER = 718  # pixels between the margins of A4


def test_no_table_is_cut_off_on_paper(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page, width=PAPER)
    browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    ends = browser.execute_script(
        "return [...document.querySelectorAll('table')].map(e => [e.className, e.getBoundingClientRect().right])"
    )
    assert len(ends) > 10
    assert [(name, end) for name, end in ends if end > PAPER + 1] == []


def test_prints_with_what_is_folded(browser: webdriver.Chrome, page: Path) -> None:
    open_page(browser, page)
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    heights = browser.execute_script(
        "return [...document.querySelectorAll('details')].filter(d => !d.closest('figure'))"
        ".map(d => [d.clientHeight, d.children[0].clientHeight])"
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert all(whole > head for whole, head in heights)
