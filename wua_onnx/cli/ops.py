"""`wua-onnx ops`: the operators that are counted, and how."""

from __future__ import annotations

import argparse
import json
from typing import Any

from wua_onnx.cli.codes import FINE
from wua_onnx.cli.shared import command


def add(commands: Any) -> None:
    """Add `ops` to the commands."""
    parser = command(commands, "ops", run, "list the operators that are counted, and how", "--markdown")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="as Markdown")


def run(options: argparse.Namespace) -> int:
    """List the operators and return the exit code."""
    from wua_onnx.cost.listing import listed
    from wua_onnx.report.operators import print_rules, rules_json, rules_markdown

    rules = listed()
    if options.json:
        print(json.dumps(rules_json(rules), indent=1, ensure_ascii=False))
    elif options.markdown:
        print(rules_markdown(rules), end="")
    else:
        print_rules(rules)
    return FINE
