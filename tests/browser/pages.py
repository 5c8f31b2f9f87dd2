"""What the tests of pages share: pages of the sample audits, and how the browser opens them."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from wua_onnx.report.html import render

SAMPLES = Path(__file__).parents[1] / "report" / "samples"
HOSTILE = (
    '<img src="http://x.invalid/a.png" onerror=document.title="hit">',
    '"&onload=document.title="hit"',
    "</script><script>document.title='hit'</script>",
    "\u202etxt",
)


def sample(name: str) -> dict[str, Any]:
    """Return the audit of that name; `hostile` is digits with hostile names."""
    file = SAMPLES / f"{'digits' if name == 'hostile' else name}.json"
    audit: Any = json.loads(file.read_text(encoding="utf-8"))
    found: dict[str, Any] = poisoned(audit) if name == "hostile" else audit
    return found


def checked() -> dict[str, Any]:
    """Return an audit made now, of everything that there is a section for, with limits that break and that hold."""
    import wua_onnx as wua

    examples = Path(__file__).parents[2] / "examples"
    audit = wua.analyze(examples / "digits.onnx", examples / "digits.npz", criterion=["activation", "magnitude"])
    result = wua.check(audit, max_params=7, max_flops="1G")
    return {**audit.to_dict(), "check": result.shown()}


def poisoned(value: Any) -> Any:
    """Return `value` with a hostile name put before every label and name."""
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = ("name", "label", "detail", "where", "evidence", "path", "op", "file", "producer", "module", "activation")
    return {
        key: " ".join([*HOSTILE, item]) if key in names and isinstance(item, str) else poisoned(item)
        for key, item in value.items()
    }


def many(rows: int) -> dict[str, Any]:
    """Return an audit of that many layers, in modules of 7, every figure its own."""
    audit, draw = sample("digits"), random.Random(7)
    models, node = audit["layers"], audit["cost"]["by_node"][0]
    audit["layers"], audit["cost"]["by_node"] = [], []
    for index in range(rows):
        layer = json.loads(json.dumps(models[index % len(models)]))
        name = f"block.{index // 7}.part{index % 7}"
        layer.update(name=name, module_class=f"net.Part{index % 7}", source=f"/home/me/net/part.py:{index}")
        layer.update(nodes=[f"n{index}"], weights=draw.randrange(1000, 10**7), macs=draw.randrange(10**9))
        metrics = next(iter(layer["criteria"].values()))["metrics"]
        metrics.update(utilization=draw.random(), gini=draw.random(), effective=layer["weights"] * draw.random())
        audit["layers"].append(layer)
        audit["cost"]["by_node"].append({**node, "name": f"n{index}", "module": name})
    return audit


def write_pages(folder: Path, rows: int) -> Path:
    """Write `digits.html`, `hostile.html`, and `many.html` of that many layers; return the folder."""
    for name, audit in (("digits", sample("digits")), ("hostile", sample("hostile")), ("many", many(rows))):
        (folder / f"{name}.html").write_text(render(audit), encoding="utf-8")
    return folder


READY = "const tools = document.getElementById('layer-tools'); return !tools || !tools.hidden"


def open_page(browser: webdriver.Chrome, page: Path, *, width: int = 1280, scheme: str = "light", at: str = "") -> None:
    """Open a page anew, without what another test left behind."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get("about:blank")  # a change of the fragment alone would not load the page again
    browser.get(page.as_uri() + at)
    browser.execute_script("try { localStorage.clear() } catch {}")
    ready(browser)


def ready(browser: webdriver.Chrome) -> None:
    """Wait until the script has unpacked the layers, which takes a moment."""
    WebDriverWait(browser, 10, 0.01).until(lambda page: page.execute_script(READY))


def log(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """Return what was logged since the last call."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call] # selenium's gap
    return entries


def choose(browser: webdriver.Chrome, name: str, value: str) -> None:
    """Choose what a tool of the layer table shows."""
    browser.execute_script(
        "const e = document.querySelector('#layer-tools').elements[arguments[0]]; e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true}))",
        name,
        value,
    )


def copied(browser: webdriver.Chrome, form: str) -> str:
    """Return what the button Copy hands to the clipboard."""
    choose(browser, "format", form)
    browser.execute_script(
        "Object.defineProperty(navigator, 'clipboard',"
        "{configurable: true, value: {writeText: text => { window.copied = text; return Promise.resolve(); }}})"
    )
    browser.find_element(By.NAME, "copy").click()
    text: str = browser.execute_script("return window.copied")
    return text


def keep_screenshot(browser: webdriver.Chrome, page: Path, config: pytest.Config, *, width: int, scheme: str) -> None:
    """Keep a picture of the whole page in .pytest_cache/d/screenshots, to be looked at."""
    open_page(browser, page, width=width, scheme=scheme)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 8000), "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    image = base64.b64decode(taken["data"])
    assert image.startswith(b"\x89PNG")
    assert config.cache is not None
    (config.cache.mkdir("screenshots") / f"{page.stem}-{width}-{scheme}.png").write_bytes(image)


def assert_quiet(browser: webdriver.Chrome, page: Path) -> None:
    """Check that a page that is opened asks for nothing but itself, and logs nothing."""
    log(browser, "performance")
    log(browser, "browser")
    open_page(browser, page)
    messages = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in sent, "the log must show at least the page itself"
    assert [url for url in sent if url not in (page.as_uri(), "data:,", "about:blank")] == []
    assert log(browser, "browser") == []
