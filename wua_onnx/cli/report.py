"""`wua-onnx report`: everything that can be made from the JSON of an audit or a comparison, without the models."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from wua_onnx.cli.codes import FINE
from wua_onnx.cli.shared import Output, command, one_on_stdout, write_outputs

if TYPE_CHECKING:
    from wua_onnx import Audit

_ROWS = ("layer", "operator", "module", "node")

_Parts: TypeAlias = tuple[str, tuple[Output, ...], Callable[[], object]]


def add(commands: Any) -> None:
    """Add `report` to the commands."""
    parser = command(
        commands,
        "report",
        run,
        "render the JSON of an audit or a comparison, without the models",
        "audit.json --html audit.html",
    )
    parser.add_argument("audit", help="a JSON file that `analyze --json` or `compare --json` wrote")
    parser.add_argument("--html", metavar="FILE", help="write it as one HTML page")
    parser.add_argument("--markdown", metavar="FILE", nargs="?", const="-", help="as Markdown; stdout by default")
    parser.add_argument("--csv", metavar="FILE", nargs="?", const="-", help="a table as CSV; stdout by default")
    parser.add_argument("--by", choices=_ROWS, default="layer", help="rows of the CSV of an audit (default layer)")
    parser.add_argument("--json", metavar="FILE", nargs="?", const="-", help="as JSON of the present schema version")


def run(options: argparse.Namespace) -> int:
    """Render the file and return the exit code; with no output named, it goes to the terminal."""
    from wua_onnx._audit_json import is_comparison, read_report, well_formed

    one_on_stdout(options, "markdown", "csv", "json")
    data = read_report(options.audit)
    what, outputs, show = (_comparison if is_comparison(data) else _audit)(options, data)
    with well_formed(options.audit, what):
        written = write_outputs(outputs, quiet=options.quiet)
        if not written and not any(output.target for output in outputs):
            show()
    return FINE


def _audit(options: argparse.Namespace, data: dict[str, Any]) -> _Parts:
    from wua_onnx import Audit

    audit = Audit(data)
    outputs = (
        Output(options.json, audit.to_json),
        Output(options.csv, partial(_csv, audit, options.by)),
        Output(options.markdown, audit.to_markdown),
        Output(options.html, audit.to_html),
    )
    return "audit", outputs, audit.show


def _csv(audit: Audit, by: str) -> str:
    from wua_onnx.report.cost_tables import cost_csv
    from wua_onnx.report.layer_csv import layer_csv

    data = audit.to_dict()
    return layer_csv(data) if by == "layer" else cost_csv(data["cost"], by)  # type: ignore[arg-type]  # argparse checked it


def _comparison(options: argparse.Namespace, data: dict[str, Any]) -> _Parts:
    from wua_onnx.report.comparison import comparison_markdown, print_comparison
    from wua_onnx.report.comparison_frame import comparison_csv
    from wua_onnx.report.comparison_page import render_comparison

    outputs = (
        Output(options.json, partial(json.dumps, data, ensure_ascii=False, allow_nan=False, indent=1)),
        Output(options.csv, partial(comparison_csv, data)),
        Output(options.markdown, partial(comparison_markdown, data)),
        Output(options.html, partial(render_comparison, data)),
    )
    return "comparison", outputs, partial(print_comparison, data)
