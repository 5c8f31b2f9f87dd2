"""`python -m benchmarks [--cache FOLDER] [--only counts]`: ratios of time and peak memory, all from this run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.large_graphs import LARGE
from benchmarks.models import INPUTS, build

COUNTS = ("count onnxsim", "count onnx-tool", "count onnx-opcounter", "onnx.load")
RECORDED = {"resnet50": 8, "mobilenet_v3": 32, "vit_b_16": 8, "bert_base": 8, "lstm": 32}
WEIGHED = ("resnet50", "bert_base")
AUDITED = ("weights_1.5GiB",)
LIMIT = 600  # seconds for one task, all its repetitions together


@dataclass(frozen=True, slots=True)
class Measured:
    """The median seconds of a task and the peak memory of its process, or why there are none."""

    seconds: float | None
    peak: float | None
    note: str = ""


def measure(task: str, file: Path, batch: int = 1) -> Measured:
    """Run a task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tasks", task, str(file), str(batch)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return Measured(None, None, f"over {LIMIT} s")
    if done.returncode:
        return Measured(None, None, (done.stderr.strip().splitlines() or ["failed"])[-1][:60])
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Measured(found["seconds"], found["peak"])


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "wua_onnx_benchmarks")
    parts = ("counts", "recording", "weights", "audits", "report")
    parser.add_argument("--only", choices=parts, help="one part of the tables")
    models = [*INPUTS, *LARGE]
    parser.add_argument("--models", nargs="+", choices=models, default=models, help="some of the models")
    arguments = parser.parse_args()
    files = {name: file for name, file in build(arguments.cache).items() if name in arguments.models}
    table = Table(title="ratios from this run", title_justify="left", box=None, pad_edge=False)
    for name in ("model", "task", "seconds", "peak MiB", "against", "time ratio", "memory ratio"):
        table.add_column(name, justify="left" if name in ("model", "task", "against") else "right")
    for name, file in files.items() if arguments.only in (None, "counts") else ():
        if name in AUDITED:
            continue
        own = measure("count wua_onnx", file)
        _row(table, name, "count wua_onnx", own, "", None)
        for task in COUNTS:
            _row(table, name, task, measure(task, file), "count wua_onnx", own)
    for name, batch in RECORDED.items() if arguments.only in (None, "recording") else ():
        if name not in files:
            continue
        plain = measure("plain onnxruntime", files[name], batch)
        _row(table, f"{name} × {batch}", "plain onnxruntime", plain, "", None)
        for task in ("recording", "PyTorch, hooks"):
            _row(table, f"{name} × {batch}", task, measure(task, files[name], batch), "plain", plain)
    for name in WEIGHED if arguments.only in (None, "weights") else ():
        if name in files:
            _row(table, name, "weight metrics", measure("weight metrics", files[name]), "", None)
    for name in AUDITED if arguments.only in (None, "audits") else ():
        if name in files:
            _row(table, name, "audit", measure("audit", files[name]), "", None)
    if table.row_count:
        Console(width=120).print(table)
    if arguments.only in (None, "report"):
        chosen = {n: f for n, f in report.files(arguments.cache, files).items() if n in arguments.models}
        Console(width=140).print(report.table(chosen, arguments.cache))


def _row(table: Table, model: str, task: str, found: Measured, against: str, base: Measured | None) -> None:
    if found.seconds is None or found.peak is None:
        table.add_row(model, task, "-", "-", found.note, "", "")
        return
    ratios = ("", "")
    if base is not None and base.seconds is not None and base.peak is not None:
        ratios = (f"{found.seconds / base.seconds:.2f}", f"{found.peak / base.peak:.2f}")
    table.add_row(model, task, f"{found.seconds:.3f}", f"{found.peak / 2**20:,.0f}", against, *ratios)


if __name__ == "__main__":
    main()
