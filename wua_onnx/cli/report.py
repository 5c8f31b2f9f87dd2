"""`wua-onnx report`: everything that can be made from the JSON of an audit, without the model."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from wua_onnx.cli.codes import FINE
from wua_onnx.cli.shared import Output, command, one_on_stdout, write_outputs

if TYPE_CHECKING:
    from wua_onnx import Audit

_ROWS = ("layer", "operator", "module", "node")


def add(commands: Any) -> None:
    """Add `report` to the commands."""
    parser = command(commands, "report", run, "render the JSON of an audit, without the model")
    parser.add_argument("audit", help="a JSON file that `wua-onnx analyze --json` wrote")
    parser.add_argument("--html", metavar="FILE", help="write it as one HTML page")
    parser.add_argument("--markdown", metavar="FILE", nargs="?", const="-", help="as Markdown; stdout by default")
    parser.add_argument("--csv", metavar="FILE", nargs="?", const="-", help="a table as CSV; stdout by default")
    parser.add_argument("--by", choices=_ROWS, default="layer", help="rows of the CSV (default layer)")
    parser.add_argument("--json", metavar="FILE", nargs="?", const="-", help="as JSON of the present schema version")


def run(options: argparse.Namespace) -> int:
    """Render the audit and return the exit code; with no output named, it goes to the terminal."""
    from wua_onnx import Audit
    from wua_onnx._audit_json import well_formed

    one_on_stdout(options, "markdown", "csv", "json")
    audit = Audit.from_json(options.audit)
    outputs = (
        Output(options.json, audit.to_json),
        Output(options.csv, partial(_csv, audit, options.by)),
        Output(options.markdown, audit.to_markdown),
        Output(options.html, audit.to_html),
    )
    with well_formed(options.audit):
        written = write_outputs(outputs, quiet=options.quiet)
        if not written and not any(output.target for output in outputs):
            audit.show()
    return FINE


def _csv(audit: Audit, by: str) -> str:
    from wua_onnx.report.cost_tables import cost_csv
    from wua_onnx.report.layer_csv import layer_csv

    data = audit.to_dict()
    return layer_csv(data) if by == "layer" else cost_csv(data["cost"], by)  # type: ignore[arg-type]  # argparse checked it
