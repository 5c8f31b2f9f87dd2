"""`wua-onnx diagram`: a picture of a model's graph, or of its neurons."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.cli.codes import FINE, USAGE
from wua_onnx.cli.shared import command, dims_of, model_arguments, positive, profile_of

if TYPE_CHECKING:
    from wua_onnx.diagrams.diagram import Diagram


def add(commands: Any) -> None:
    """Add `diagram` to the commands."""
    from wua_onnx.diagrams.metrics import METRICS

    parser = command(
        commands, "diagram", run, "draw the graph of a model, or its neurons", "model.onnx -o graph.svg --color flops"
    )
    model_arguments(parser, what="as for analyze, or the JSON of an audit")
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help=".svg, .png, .dot or .gv; - for DOT text on stdout"
    )
    parser.add_argument("--color", choices=tuple(METRICS), help="what decides the colours (default: the kind of layer)")
    parser.add_argument("--detail", metavar="MODULE", help="draw one module (encoder/layer/0) or layer")
    parser.add_argument("--depth", type=positive, metavar="N", help="module scopes that are opened")
    parser.add_argument("--network", action="store_true", help="draw the neurons of dense layers instead of the graph")
    parser.add_argument("--criterion", help="criterion of importance (default activation)")
    parser.add_argument("--unoptimised", action="store_true", help="with --color time: onnxruntime's optimisations off")
    parser.add_argument(
        "--time-limit",
        type=positive,
        default=20,
        metavar="SECONDS",
        help="then a simpler one is drawn (default 20)",
    )


def run(options: argparse.Namespace) -> int:
    """Draw the model and return the exit code."""
    from wua_onnx._files import check_writable
    from wua_onnx.diagrams.diagram import form_of

    if options.network and (options.color or options.detail or options.depth):
        print("wua-onnx: expected --network alone, got --color, --detail or --depth beside it", file=sys.stderr)
        return USAGE
    if options.output != "-":
        form_of(Path(options.output))
        check_writable(Path(options.output))
    diagram = _network(options) if options.network else _graph(options)
    if options.output == "-":
        print(diagram.source, end="")
    else:
        _write(diagram, Path(options.output), options)
    return FINE


def _write(diagram: Diagram, path: Path, options: argparse.Namespace) -> None:
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        diagram.write(path, timeout=options.time_limit)
    for note in notes:
        print(f"note: {note.message}", file=sys.stderr)
    if not options.quiet:
        print(f"wrote {path.resolve()}", file=sys.stderr)


def _network(options: argparse.Namespace) -> Diagram:
    import wua_onnx as wua

    if _is_audit(options.model):
        return wua.Audit.from_json(options.model).network()
    return wua.show(options.model, options.data)


def _graph(options: argparse.Namespace) -> Diagram:
    """Return the graph; weights are read and data are run only where the colour asks for it."""
    import wua_onnx as wua
    from wua_onnx._drawing import structure
    from wua_onnx.diagrams.metrics import COSTS
    from wua_onnx.diagrams.of_audit import graph_of

    where = {"detail": options.detail, "depth": options.depth}
    if _is_audit(options.model):
        return wua.Audit.from_json(options.model).graph(options.color, **where)
    given = {"dims": dims_of(options), "batch_axis": options.batch_axis, "isolate": True}
    if options.color in (None, *COSTS):
        options.profile = options.color == "time"
        found = structure(options.model, options.data, profile=profile_of(options), **given)
        return graph_of(found, options.color, **where)
    audit = wua.analyze(
        options.model,
        options.data,
        criterion=options.criterion or "activation",
        progress=None if options.quiet else True,
        **given,
    )
    return audit.graph(options.color, **where)


def _is_audit(model: Any) -> bool:
    return isinstance(model, str) and Path(model).suffix == ".json"
