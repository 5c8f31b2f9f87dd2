"""`wua-onnx convert`: a framework's model as ONNX."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from wua_onnx.cli.codes import FINE, USAGE
from wua_onnx.cli.model_argument import model_argument
from wua_onnx.cli.shared import command

_MODEL = (
    "a .pt2, .pt, .safetensors, .keras, .h5, .tflite or frozen .pb file, a SavedModel folder, or mypkg.models:build, "
    "a function that makes a model"
)


def add(commands: Any) -> None:
    """Add `convert` to the commands."""
    parser = command(commands, "convert", run, "turn a framework's model into ONNX", "model.keras model.onnx")
    model_argument(parser, False, _MODEL)
    parser.add_argument("output", help="the .onnx file to write; weights beyond 1 GiB go beside it")
    parser.add_argument("--data", metavar="FILE", help="data to compare both models on: a .npy or .npz file")
    parser.add_argument(
        "--shape",
        metavar="INPUT=SIZES",
        action="append",
        default=[],
        help="shape of an input, sizes or names of free dimensions: ids=batch,seq; repeatable",
    )
    parser.add_argument("--batch-axis", type=int, default=0, metavar="AXIS", help="axis of the samples (default 0)")


def run(options: argparse.Namespace) -> int:
    """Convert the model and return the exit code."""
    from wua_onnx.converters import to_onnx

    shapes = _shapes(options.shape)
    converted = to_onnx(options.model, options.output, options.data, dims=shapes, batch_axis=options.batch_axis)
    if not options.quiet:
        for warning in converted.warnings:
            print(f"note: {warning}", file=sys.stderr)
        difference = converted.max_difference
        checked = f", at most {difference:.2g} from {converted.framework}'s outputs" if difference is not None else ""
        print(f"wrote {converted.path.resolve()}{checked}", file=sys.stderr)
    return FINE


def _shapes(texts: list[str]) -> dict[str, tuple[int | str, ...]]:
    """Return the shapes by input; exits where one is no INPUT=SIZES."""
    shapes = {}
    for text in texts:
        name, _, sizes = text.partition("=")
        parts = sizes.split(",")
        if not name or not all(part.isidentifier() or part.isdecimal() for part in parts):
            print(f"wua-onnx: --shape: expected INPUT=SIZES such as ids=batch,128, got {text!r}", file=sys.stderr)
            raise SystemExit(USAGE)
        shapes[name] = tuple(int(part) if part.isdecimal() else part for part in parts)
    return shapes
