"""`wua-onnx compare`: two models side by side."""

from __future__ import annotations

import argparse
from typing import Any

from wua_onnx.cli.codes import FINE
from wua_onnx.cli.shared import command


def add(commands: Any) -> None:
    """Add `compare` to the commands."""
    parser = command(commands, "compare", run, "two models side by side")
    parser.add_argument("before", help="a model, or the JSON of an audit")
    parser.add_argument("after", help="a model, or the JSON of an audit")
    parser.add_argument("--data", metavar="FILE", help="data: a .npy or .npz file")


def run(options: argparse.Namespace) -> int:
    """Compare the models and return the exit code."""
    import wua_onnx as wua

    wua.compare(options.before, options.after, options.data).show()
    return FINE
