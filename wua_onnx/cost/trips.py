"""How often the graphs inside nodes run, as far as constants and shapes tell (convention 9)."""

from __future__ import annotations

import onnx_ir as ir

from wua_onnx.cost.conditions import may_stop, trips_until
from wua_onnx.cost.known import known_value
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, maximum, symbol
from wua_onnx.model.node import NodeView

_UNBOUNDED = 2**31  # exporters write the largest integer where a loop has no limit of its own


class Trips:
    """Gives loops whose trips are unknown a symbol, and remembers what to call it: `trips(<node>)`."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}

    def new(self, node: NodeView) -> Dim:
        """Return the symbol for the trips of `node`."""
        generated, name = f"t{len(self.shown)}", f"trips({node.name})"
        taken = sum(other == name or other.startswith(f"{name}#") for other in self.shown.values())
        self.shown[generated] = f"{name}#{taken + 1}" if taken else name
        return symbol(generated)


def graph_of(node: NodeView, name: str) -> ir.Graph:
    """Return the graph that is the attribute `name` of `node`; raises ShapeError where there is none."""
    graph = node.graphs().get(name)
    if graph is None:
        raise ShapeError(f"{node.where}: expected a graph as its attribute {name!r}, got none")
    return graph


def trips_of(node: NodeView) -> tuple[Dim | None, bool]:
    """Return the trips of a Loop, Scan or SequenceMap, None where nothing tells, and whether they may be fewer."""
    return {"Loop": _loop_trips, "Scan": _scan_trips}.get(node.op_type, _no_trips)(node)


def shapes_may_change(node: NodeView) -> bool:
    """Return whether what a Loop carries may have another shape on every trip: one that the first does not tell."""
    graph, shape = graph_of(node, "body"), node.model.shape
    for first, inside, result in zip(node.node.inputs[2:], graph.inputs[2:], graph.outputs[1:], strict=False):
        shapes = {shape(value) if value is not None else None for value in (first, inside, result)}
        if None in shapes or len(shapes) > 1:
            return True
    return False


def _no_trips(node: NodeView) -> tuple[Dim | None, bool]:
    return None, False


def _loop_trips(node: NodeView) -> tuple[Dim | None, bool]:
    """Return (most trips, whether the body's own condition may end the loop sooner)."""
    most = known_value(node, node.input(0))
    body = graph_of(node, "body")
    if not node.has(0) or (isinstance(most, int) and most >= _UNBOUNDED):
        return trips_until(node, body), False
    if most is None:
        return None, False
    if isinstance(most, int) or any(factor < 0 for factor in most.terms.values()):
        most = maximum(0, most)
    return most, may_stop(node, body, most)


def _scan_trips(node: NodeView) -> tuple[Dim | None, bool]:
    """Return the length of the scanned axis; below opset 9, times the batch."""
    scanned = int(node.attr("num_scan_inputs", 0))
    first = len(node.node.inputs) - scanned
    if scanned < 1 or first < 0:
        raise ShapeError(f"{node.where}: num_scan_inputs: expected 1 to {len(node.node.inputs)}, got {scanned}")
    value = node.input(first)
    shape = node.model.shape(value) if value is not None else None
    if shape is None:
        return None, False
    if node.opset < 9:
        return shape[0] * shape[1], False
    axes = node.attr("scan_input_axes")
    return shape[axes[0] if axes else 0], False
