"""Makes the pictures of the README from a real audit: `python docs/pictures.py`, with Chromium and its driver there.

The shipped network is audited on its data; the page is opened at the width of a desktop and of a telephone, light and
dark, and the part named in `PICTURES` is cut out. Look at every picture before it goes in.
"""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import wua_onnx

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"
WIDTHS = {"desktop": 1080, "phone": 390}
COLORS = 160
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A part of the page.

    Attributes:
        name: of the file, before the scheme.
        anchor: the section that it begins at, or the name of a layer.
        width: a key of `WIDTHS`.
        height: in CSS pixels; None for the whole of the element.
    """

    name: str
    anchor: str
    width: str = "desktop"
    height: int | None = None


PICTURES = (
    Picture(name="audit", anchor="verdict", height=590),
    Picture(name="layer", anchor="fc1", height=545),
    Picture(name="phone", anchor="verdict", width="phone", height=780),
)


def main() -> None:
    """Write every picture, light and dark, to docs/screenshots."""
    (DOCS / "screenshots").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "audit.html"
        audit = wua_onnx.analyze(EXAMPLES / "digits.onnx", EXAMPLES / "digits.npz", statistics=["firing"])
        audit.to_html(page)
        anchors = {name: f"layer-{i}" for i, name in enumerate(audit.layers)}
        browser = _browser()
        try:
            for picture in PICTURES:
                for scheme in ("light", "dark"):
                    target = DOCS / "screenshots" / f"{picture.name}-{scheme}.png"
                    anchor = anchors.get(picture.anchor, picture.anchor)
                    target.write_bytes(_taken(browser, page, replace(picture, anchor=anchor), scheme))
                    print(f"{target.relative_to(DOCS.parent)}: {target.stat().st_size:,} bytes")
        finally:
            browser.quit()


def _browser() -> webdriver.Chrome:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise SystemExit("docs/pictures.py needs chromium and chromedriver: apt-get install -y chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(driver))


def _taken(browser: webdriver.Chrome, page: Path, picture: Picture, scheme: str) -> bytes:
    """Return the PNG of a part of the page."""
    browser.set_window_size(WIDTHS[picture.width], 1000)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    metrics = {"width": WIDTHS[picture.width], "height": 1000, "deviceScaleFactor": 1.5, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(f"{page.as_uri()}#{picture.anchor}")
    time.sleep(0.5)  # the table of layers is laid out by the page's script
    box = browser.execute_script(
        """const part = document.getElementById(arguments[0]);
        for (let around = part; around; around = around.parentElement) around.open = true;
        const box = (part.closest('details') ?? part).getBoundingClientRect();
        return {y: box.top + window.scrollY, height: box.height};""",
        picture.anchor,
    )
    top = max(0, box["y"] - 12) if picture.anchor != "verdict" else 0
    clip = {
        "x": 0,
        "y": top,
        "width": WIDTHS[picture.width],
        "height": picture.height or box["height"],
        "scale": 1,
    }
    options = {"format": "png", "clip": clip, "captureBeyondViewport": True}
    return _small(base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"]))


def _small(png: bytes) -> bytes:
    """Return a PNG with a palette, a third as large."""
    packed = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    main()
