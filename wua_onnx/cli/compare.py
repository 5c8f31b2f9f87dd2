"""`wua-onnx compare`: two models side by side."""

from __future__ import annotations

import argparse
from typing import Any

from wua_onnx.cli.codes import FAILED, FINE
from wua_onnx.cli.model_argument import verbose_argument
from wua_onnx.cli.shared import Output, command, dims_of, one_on_stdout, positive, write_outputs


def add(commands: Any) -> None:
    """Add `compare` to the commands."""
    parser = command(
        commands, "compare", run, "two models side by side", "before.onnx after.onnx --data X.npz --html diff.html"
    )
    parser.add_argument("before", help="a model as for analyze, or the JSON of an audit")
    parser.add_argument("after", help="a model as for analyze, or the JSON of an audit")
    parser.add_argument(
        "--data", metavar="FILE", help="data: a .npy or .npz file; outputs are compared on it, and accuracy with labels"
    )
    parser.add_argument(
        "--dim", metavar="NAME=SIZE", action="append", default=[], help="size of a symbolic dimension; repeatable"
    )
    parser.add_argument("--batch-axis", type=int, default=0, metavar="AXIS", help="axis of the samples (default 0)")
    parser.add_argument("--criterion", default="activation", help="criterion of importance (default activation)")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="samples in a batch")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    verbose_argument(parser)
    parser.add_argument("--html", metavar="FILE", help="write the comparison as one HTML page")
    parser.add_argument("--json", metavar="FILE", nargs="?", const="-", help="write it as JSON; stdout by default")
    parser.add_argument("--markdown", metavar="FILE", nargs="?", const="-", help="write it as Markdown")


def run(options: argparse.Namespace) -> int:
    """Compare the models and return the exit code."""
    import wua_onnx as wua

    one_on_stdout(options, "json", "markdown")
    comparison = wua.compare(
        options.before,
        options.after,
        options.data,
        dims=dims_of(options),
        batch_axis=options.batch_axis,
        criterion=options.criterion,
        batch_size=options.batch_size,
        device=options.device,
        isolate=True,
        progress=None if options.quiet else True,
    )
    outputs = (
        Output(options.json, comparison.to_json),
        Output(options.markdown, comparison.to_markdown),
        Output(options.html, comparison.to_html),
    )
    write_outputs(outputs, quiet=options.quiet, show=comparison.show)
    return FAILED if comparison.failed else FINE
