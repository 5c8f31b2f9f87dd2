"""com.microsoft operators that generate text: a decoder, run once a token (convention 9).

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import onnx_ir as ir

from wua_onnx.cost import control
from wua_onnx.cost.nodes import NodeCost
from wua_onnx.cost.trips import Trips
from wua_onnx.cost.value import Verdict
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, total
from wua_onnx.model.node import NodeView

DOMAIN = "com.microsoft"
SEARCHES = frozenset({"BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"})
_ONCE = ("encoder", "init_decoder")  # they read the prompt
_REASON = "trips × the decoder, at the sizes that its graph declares; choosing the tokens is not counted"


def is_search(node: NodeView) -> bool:
    """Return whether `node` generates text by a decoder inside it."""
    return node.domain == DOMAIN and node.op_type in SEARCHES


def count(node: NodeView, empty: NodeCost, body: control.Body, trips: Trips) -> NodeCost:
    """Return the cost of `node`: the graphs that read the prompt once, the decoder as often as a symbol says.

    Args:
        node: one that `is_search`.
        empty: its cost with nothing counted, to fill in.
        body: counts the nodes of a graph.
        trips: names the trips.

    Raises:
        ShapeError: it has no decoder.
    """
    graphs = node.graphs()
    if "decoder" not in graphs:
        raise ShapeError(f"{node.where}: expected a graph as its attribute 'decoder', got none")
    parts = list(_parts(graphs, body, trips.new(node)))
    counted = control.through(empty, parts)
    return replace(
        counted,
        bytes_read=total(part.bytes_read for part in parts),
        bytes_written=total(part.bytes_written for part in parts),
        verdict=Verdict.UNKNOWN if counted.verdict is Verdict.UNKNOWN else Verdict.ESTIMATE,
        reason=_REASON,
    )


def _parts(graphs: dict[str, ir.Graph], body: control.Body, steps: Dim) -> Iterator[NodeCost]:
    for name in _ONCE:
        if name in graphs:
            yield from body(graphs[name])
    for part in body(graphs["decoder"]):
        read, written = part.bytes_read * steps, part.bytes_written * steps
        yield replace(part, cost=part.cost * steps, bytes_read=read, bytes_written=written)


__all__ = ["DOMAIN", "SEARCHES", "count", "is_search"]
