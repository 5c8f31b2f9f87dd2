"""`wua-onnx cost`: what a model costs, as a table or a file."""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

from wua_onnx.cli.codes import FAILED, FINE
from wua_onnx.cli.shared import (
    Output,
    command,
    dims_of,
    model_arguments,
    one_on_stdout,
    positive,
    profile_arguments,
    profile_of,
    write_outputs,
)

_COLUMNS = ("params", "macs", "share", "flops", "int_ops", "bytes", "intensity")


def add(commands: Any) -> None:
    """Add `cost` to the commands."""
    parser = command(
        commands,
        "cost",
        run,
        "count what a model costs, without running it",
        "model.onnx --dim batch=1 --by module --depth 2",
    )
    model_arguments(parser)
    profile_arguments(parser)
    parser.add_argument(
        "--observe", action="store_true", help="run the first sample of --data: its trips, branches and shapes count"
    )
    parser.add_argument(
        "--time-limit", type=positive, metavar="SECONDS", help="with --observe: the longest run (default 600)"
    )
    parser.add_argument("--by", choices=("operator", "module", "node"), default="operator", help="rows of the table")
    parser.add_argument("--depth", type=positive, metavar="N", help="deepest module level of --by module")
    parser.add_argument(
        "--sort", choices=("macs", "flops", "bytes", "params", "name"), help="order of the rows, the largest first"
    )
    parser.add_argument(
        "--columns",
        metavar="NAME,NAME",
        type=_columns,
        default=(),
        help="the figures of the table in the terminal: " + ", ".join(_COLUMNS) + " (default: those that fit)",
    )
    for name, what in (("json", "the count as JSON"), ("csv", "the table as CSV"), ("markdown", "it as Markdown")):
        parser.add_argument(f"--{name}", metavar="FILE", nargs="?", const="-", help=f"write {what}; stdout by default")


def _columns(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(_COLUMNS)}, each once, got {text!r}")
    return names


def run(options: argparse.Namespace) -> int:
    """Count the model and return the exit code."""
    from wua_onnx._profiled import cost_and_profile

    one_on_stdout(options, "json", "csv", "markdown")
    report, profile = cost_and_profile(
        options.model,
        options.data,
        dims=dims_of(options),
        batch_axis=options.batch_axis,
        profile=profile_of(options),
        isolate=True,
        observe=options.observe,
        time_limit=options.time_limit,
    )
    cost = report.to_dict() if profile is None else {**report.to_dict(), "profile": profile}
    if not _write_cost(cost, options):
        _show_cost(cost, options)
    unobserved = report.observed is not None and report.observed.error is not None
    return FAILED if unobserved or (profile is not None and profile.get("error")) else FINE


def _write_cost(cost: dict[str, Any], options: argparse.Namespace) -> bool:
    """Write the files that were asked for; return whether stdout got one of them."""
    from wua_onnx.report.cost_tables import cost_csv, cost_markdown

    table = (cost, options.by, options.depth, options.sort)
    outputs = (
        Output(options.json, partial(json.dumps, cost, ensure_ascii=False, indent=1)),
        Output(options.csv, partial(cost_csv, *table)),
        Output(options.markdown, partial(cost_markdown, *table)),
    )
    return write_outputs(outputs, quiet=options.quiet)


def _show_cost(cost: dict[str, Any], options: argparse.Namespace) -> None:
    from wua_onnx.report.cost_terminal import print_cost

    print_cost(cost, by=options.by, depth=options.depth, sort=options.sort, only=options.columns)
    if "profile" in cost:
        from wua_onnx.report.profile import print_profile

        print_profile(cost["profile"], by=options.by)
