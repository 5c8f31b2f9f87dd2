"""`wua-onnx convert`: a framework's model as ONNX."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from wua_onnx.cli.codes import FINE
from wua_onnx.cli.shared import command


def add(commands: Any) -> None:
    """Add `convert` to the commands."""
    parser = command(commands, "convert", run, "turn a framework's model into ONNX")
    parser.add_argument("model", help="a .pt2, .keras or .h5 file, or a SavedModel folder")
    parser.add_argument("output", help="the .onnx file to write")
    parser.add_argument("--data", metavar="FILE", help="data to compare both models on: a .npy or .npz file")


def run(options: argparse.Namespace) -> int:
    """Convert the model and return the exit code."""
    import wua_onnx as wua

    path = wua.convert(options.model, options.output, options.data)
    if not options.quiet:
        print(f"wrote {path.resolve()}", file=sys.stderr)
    return FINE
