"""Time and size of a whole report: static audit, JSON and page; how fast Chromium opens it and sorts its table.

`python -m benchmarks --only report`; each model in a process of its own: `python -m benchmarks.report FILE FOLDER`.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.large_graphs import LARGE
from benchmarks.tasks import peak

REPORTED = ("resnet50", "bert_base", *LARGE)
_REPETITIONS = 3
_LIMIT = 600  # seconds for a model
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
_READY = "const tools = document.getElementById('layer-tools'); return !tools.hidden"
_SORT = """
const taken = [], button = document.querySelector('#layer-table th[data-key=weights] button');
for (let i = 0; i < 15; i++) {
  const start = performance.now();
  button.click();
  document.body.offsetHeight;  // what is shown is laid out too
  taken.push(performance.now() - start);
}
return taken.sort((a, b) => a - b)[7];
"""


def files(folder: Path, exported: dict[str, Path]) -> dict[str, Path]:
    """Return the models, writing those that are made up; `exported` are the others."""
    for name, write in LARGE.items():
        if not (folder / f"{name}.onnx").exists():
            write(folder / f"{name}.onnx")
    made = {name: folder / f"{name}.onnx" for name in LARGE}
    return {name: {**exported, **made}[name] for name in REPORTED if name in exported or name in made}


def table(models: dict[str, Path], folder: Path) -> Table:
    """Return seconds and sizes for each model; opening and sorting in milliseconds, where there is a Chromium."""
    shown = Table(title="whole reports", title_justify="left", box=None, pad_edge=False)
    for head in ("model", "nodes", "layers", "audit s", "JSON s", "page s", "all s", "peak MiB", "JSON MB", "page MB",
                 "opens ms", "sorts ms"):  # fmt: skip
        shown.add_column(head, justify="left" if head == "model" else "right")
    for name, file in models.items():
        command = [sys.executable, "-m", "benchmarks.report", str(file), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
        if done.returncode:
            shown.add_row(name, (done.stderr.strip().splitlines() or ["failed"])[-1][:60])
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        seconds = [found[part] for part in ("audit", "json", "page")]
        opened = in_browser(folder / f"{file.stem}.html")
        shown.add_row(
            name, f"{found['nodes']:,}", f"{found['layers']:,}", *(f"{s:.2f}" for s in (*seconds, sum(seconds))),
            f"{found['peak'] / 2**20:,.0f}", *(f"{found[part] / 1e6:.2f}" for part in ("json_bytes", "page_bytes")),
            *(["–", "–"] if opened is None else [f"{ms:.0f}" for ms in opened]),
        )  # fmt: skip
    return shown


def measure(file: Path, folder: Path) -> dict[str, Any]:
    """Write the report of a model; return the medians of what its parts took, and its sizes in bytes."""
    import wua_onnx

    taken: dict[str, list[float]] = {"audit": [], "json": [], "page": []}

    def timed(part: str, run: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = run()
        taken[part].append(time.perf_counter() - start)
        return result

    paths = folder / f"{file.stem}.json", folder / f"{file.stem}.html"
    for _ in range(_REPETITIONS + 1):
        audit = timed("audit", partial(wua_onnx.analyze, file))
        timed("json", partial(audit.to_json, paths[0]))
        timed("page", partial(audit.to_html, paths[1]))
    sizes = {"json_bytes": paths[0].stat().st_size, "page_bytes": paths[1].stat().st_size}
    medians = {part: statistics.median(seconds[1:]) for part, seconds in taken.items()}
    nodes = audit.to_dict()["model"]["nodes"]
    return {**medians, **sizes, "peak": peak(), "nodes": nodes, "layers": len(audit.layers)}


def in_browser(page: Path) -> tuple[float, float] | None:
    """Return the milliseconds until a page is ready and those of a sort of its layers; None without a browser."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        return None
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in _FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        opened = statistics.median(_opened(browser, page) for _ in range(_REPETITIONS))
        return opened, float(browser.execute_script(_SORT))
    finally:
        browser.quit()


def _opened(browser: Any, page: Path) -> float:
    browser.get("about:blank")
    start = time.perf_counter()
    browser.get(page.as_uri())
    while not browser.execute_script(_READY):
        time.sleep(0.005)
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps(measure(*map(Path, sys.argv[1:]))))
