"""The figures of cost, structure and memory: the switch without scripts, and text that stays in its drawing."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from wua_onnx.report.html import render

from .pages import open_page, sample

OUTSIDE = """
const shown = [...document.querySelectorAll('.chart-box svg')].filter(svg => svg.getBoundingClientRect().width);
return shown.flatMap(svg => {
  const {width, height} = svg.viewBox.baseVal;
  return [...svg.querySelectorAll('text')].filter(text => {
    const box = text.getBBox();
    return box.x < -1 || box.y < -1 || box.x + box.width > width + 1 || box.y + box.height > height + 1;
  }).map(text => text.textContent);
});
"""


@pytest.fixture(scope="module", params=["digits", "hostile"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    audit = sample(request.param)
    alive = [{"name": f"tensor {'W' * 40}", "bytes": 60}, {"name": "x", "bytes": 50}]
    audit["cost"]["live_bytes"] = {
        "moments": 5, "at": [0, 1, 2, 3, 4], "bytes": [10, 30, 60, 110, 5], "made": ["x"], "alive": alive, "dims": {},
    }  # fmt: skip
    file = tmp_path_factory.mktemp("figures") / "page.html"
    file.write_text(render(audit), encoding="utf-8")
    return file


def test_the_measure_is_switched_without_scripts(browser: webdriver.Chrome, page: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        for chosen in ("macs", "seconds", "bytes"):
            browser.find_element(By.ID, f"measure-{chosen}").click()
            panels = browser.find_elements(By.CSS_SELECTOR, "#cost .panel")
            shown = [panel for panel in panels if panel.is_displayed()]
            assert [panel.get_attribute("class") for panel in shown] == [f"panel {chosen}"]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize(("width", "shown"), [(360, ".narrow"), (1280, ".wide")])
def test_text_stays_inside_its_drawing(browser: webdriver.Chrome, page: Path, width: int, shown: str) -> None:
    open_page(browser, page, width=width)
    drawings = browser.find_elements(By.CSS_SELECTOR, f"#memory {shown} svg")
    assert len(drawings) == 2
    assert all(drawing.is_displayed() for drawing in drawings)
    assert browser.execute_script(OUTSIDE) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
