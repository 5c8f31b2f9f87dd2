"""`wua-onnx analyze`: an audit in the terminal, and as files."""

from __future__ import annotations

import argparse
from typing import Any

from wua_onnx.cli.codes import FAILED, FINE
from wua_onnx.cli.shared import (
    Output,
    command,
    dims_of,
    model_arguments,
    one_on_stdout,
    profile_arguments,
    profile_of,
    write_outputs,
)


def add(commands: Any) -> None:
    """Add `analyze` to the commands."""
    parser = command(commands, "analyze", run, "audit a model", "model.onnx --data X.npz --html audit.html")
    model_arguments(parser)
    parser.add_argument("--html", metavar="FILE", help="write the audit as one HTML page")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the audit as JSON; stdout by default"
    )
    parser.add_argument("--markdown", metavar="FILE", nargs="?", const="-", help="write it as Markdown")
    parser.add_argument(
        "--arrays", metavar="FILE", type=_file, help="write the importance of every weight and neuron as .npz"
    )
    parser.add_argument("--criterion", action="append", help="criterion of importance (default activation); repeatable")
    parser.add_argument("--activation", choices=("post", "pre"), default="post", help="where neurons are read")
    parser.add_argument("--static", action="store_true", help="record nothing: weights alone")
    parser.add_argument("--recording", metavar="FILE", help="a recording that Recorder.save wrote, in place of data")
    parser.add_argument(
        "--statistic",
        action="append",
        default=[],
        choices=("square", "firing", "range", "histogram", "map"),
        help="what to record of each neuron beside mean |a|; repeatable",
    )
    parser.add_argument("--mask", metavar="INPUT", help="the input that is 0 at padded positions, which do not count")
    parser.add_argument("--normalization", action="store_true", help="scales of normalisations are layers, too")
    parser.add_argument("--batch-size", type=int, metavar="N", help="samples in a batch")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    profile_arguments(parser)
    parser.add_argument(
        "--no-isolate", action="store_true", help="run onnxruntime in this process rather than in a child"
    )


def _file(text: str) -> str:
    """Return the path that `text` is; arrays are no text for stdout."""
    if text == "-":
        raise argparse.ArgumentTypeError("expected a path, got -")
    return text


def run(options: argparse.Namespace) -> int:
    """Audit the model and return the exit code."""
    import wua_onnx as wua

    one_on_stdout(options, "json", "markdown")
    audit = wua.analyze(
        options.model,
        options.data,
        dims=dims_of(options),
        batch_axis=options.batch_axis,
        criterion=options.criterion or "activation",
        activation=options.activation,
        compute_activations=not options.static,
        recording=options.recording,
        statistics=options.statistic,
        mask=options.mask,
        normalization=options.normalization,
        batch_size=options.batch_size,
        device=options.device,
        isolate=not options.no_isolate,
        profile=profile_of(options),
        progress=None if options.quiet else True,
    )
    outputs = (
        Output(options.arrays, write=audit.to_npz),
        Output(options.json, audit.to_json),
        Output(options.markdown, audit.to_markdown),
        Output(options.html, audit.to_html),  # last, so that its path is the last thing said
    )
    write_outputs(outputs, quiet=options.quiet, show=audit.show)
    runs = [audit.to_dict()["recording"], audit.profile]
    return FAILED if any(run is not None and run.get("error") for run in runs) else FINE
