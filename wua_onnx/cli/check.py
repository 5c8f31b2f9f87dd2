"""`wua-onnx check`: a model against its budgets; exit code 1 where one breaks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.budget import all_metrics
from wua_onnx.cli.codes import BROKEN, FAILED, FINE, USAGE
from wua_onnx.cli.shared import Output, command, dims_of, model_arguments, positive, write_outputs

if TYPE_CHECKING:
    from wua_onnx import CheckResult

_BUDGETS = """amounts such as 2G, 64MiB, 60%, 5ms;
they may stand in [tool.wua-onnx] of pyproject.toml, too, the command line wins"""


def add(commands: Any) -> None:
    """Add `check` to the commands."""
    parser = command(
        commands,
        "check",
        run,
        "compare a model with its budgets, for continuous integration",
        "model.onnx --max-params 5M --max-flops 2G --dim batch=1",
    )
    model_arguments(parser, optional=True, what="as for analyze, or the JSON of an audit")
    budgets = parser.add_argument_group("budgets", _BUDGETS)
    for one in all_metrics():
        most = "most" if one.side == "max" else "least"
        budgets.add_argument(f"--{one.option}", metavar="AMOUNT", help=f"{one.label}, at {most}")
    budgets.add_argument(
        "--baseline", metavar="FILE", help="a model or the JSON of an audit or a cost report that nothing may exceed"
    )
    budgets.add_argument("--allow-increase", metavar="SHARE", help="over the baseline, such as 2%% (default 0)")
    parser.add_argument("--criterion", help="criterion of importance (default activation)")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="samples in a batch")
    parser.add_argument("--device", help="cpu or cuda")
    parser.add_argument("--html", metavar="FILE", help="write the whole audit as one HTML page, the limits at its top")
    parser.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write JSON; stdout by default")
    parser.add_argument("--markdown", metavar="FILE", nargs="?", const="-", help="write Markdown; stdout by default")
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--sarif", metavar="FILE", help="write SARIF 2.1.0, for code scanning")
    parser.add_argument("--github", action="store_true", help="also print what broke as annotations of GitHub")


def run(options: argparse.Namespace) -> int:
    """Check the model and return the exit code."""
    from wua_onnx._configured import check_with
    from wua_onnx.budget.config import settings_from

    there = [f"--{name}" for name in ("json", "markdown") if getattr(options, name) == "-"]
    there += ["--github"] if options.github else []
    if len(there) > 1:
        print(f"wua-onnx: expected one output on stdout, got {' and '.join(there)}: name a file", file=sys.stderr)
        return USAGE
    settings = settings_from(Path.cwd())
    result = check_with(settings, options.model, options.data, **_given(options))
    if settings.file is not None and not options.quiet:
        print(f"settings of {settings.file}", file=sys.stderr)
    return _report(result, options)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line says, and nothing that it leaves to the settings."""
    names = [one.key for one in all_metrics()] + ["baseline", "allow_increase", "criterion", "batch_size", "device"]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.dim:
        given["dims"] = dims_of(options)
    given["whole"] = options.html is not None
    return {**given, "batch_axis": options.batch_axis, "isolate": True, "progress": None if options.quiet else True}


def _report(result: CheckResult, options: argparse.Namespace) -> int:
    outputs = (
        Output(options.junit, result.to_junit),
        Output(options.sarif, result.to_sarif),
        Output(options.markdown, result.to_markdown),
        Output(options.json, result.to_json),
        Output(options.html, result.to_html),
    )
    if not write_outputs(outputs, quiet=options.quiet):
        result.show()
        annotations = result.to_github() if options.github else ""
        if annotations:
            print(annotations)
    if not result.ok:
        return BROKEN
    return FAILED if result.failed else FINE
