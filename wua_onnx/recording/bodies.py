"""Results from inside of branches and loops, brought out to the graph around them.

A branch that has none returns a neutral element; a Loop carries the sum (or the extreme) from trip to trip, starting
at a neutral scalar that takes the shape of what is added to it; a Scan stacks what its trips return.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.side import graph_of
from wua_onnx.recording.builder import Builder, Results
from wua_onnx.recording.taps import Tap


class CannotLift(Exception):  # noqa: N818 - a signal to the plan, not an error of the user's
    """What is inside of an operator cannot be brought out."""


@dataclass(frozen=True, slots=True)
class _Joining:
    """How results of several runs of a graph become one."""

    op: str
    neutral: float
    stacked: str


_SUM = _Joining("Add", 0.0, "ReduceSum")
_LARGEST = _Joining("Max", -np.inf, "ReduceMax")
_SMALLEST = _Joining("Min", np.inf, "ReduceMin")


class Bodies:
    """The branches and loops of a model, and the way out of them.

    Args:
        model: the model that is built on.
    """

    def __init__(self, model: ir.Model) -> None:
        self._main = model.graph
        self._owner = {graph: node for node in model.graph.all_nodes() for graph in _graphs(node)}
        self._moved: dict[ir.Value, ir.Value] = {}

    def current(self, value: ir.Value) -> ir.Value:
        """Return what became of `value`: bringing results out puts a new operator in the place of a loop."""
        while value in self._moved:
            value = self._moved[value]
        return value

    def around(self, value: ir.Value) -> list[ir.Node]:
        """Return the operators that `value` lies inside of, innermost first; none for the main graph."""
        found: list[ir.Node] = []
        graph = graph_of(value)
        while graph is not None and graph in self._owner:
            found.append(self._owner[graph])
            graph = found[-1].graph if isinstance(found[-1].graph, ir.Graph) else None
        return found

    def check(self, value: ir.Value) -> None:
        """Raise CannotLift where `value` lies inside of an operator from which nothing can be brought out."""
        around = self.around(value)
        for place, node in enumerate(around):
            if node.op_type not in _THROUGH or node.domain not in ("", "ai.onnx"):
                raise CannotLift(f"its activation is inside of {node.op_type}")
            if node.op_type == "Scan" and any(inner.op_type == "If" for inner in around[:place]):
                raise CannotLift("its activation is inside of a branch inside of a Scan")

    def lifted(self, builder: Builder, tap: Tap, results: Results) -> Results:
        """Return the `results` of a tap inside of a branch or a loop as sums and extremes in the main graph."""
        positions = _positions(builder, tap, results)
        counts = positions if results.counts is None else results.counts

        def outside(value: ir.Value | None, joining: _Joining) -> ir.Value | None:
            return None if value is None else self._outside(builder, value, joining)

        def total(mean: ir.Value | None) -> ir.Value | None:
            if mean is None:
                return None
            many = builder.cast(positions, ir.DataType.DOUBLE)
            return outside(builder.op("Mul", [builder.cast(mean, ir.DataType.DOUBLE), many]), _SUM)

        return Results(
            means=tuple(value for value in map(total, results.means) if value is not None),
            square=total(results.square),
            firing=total(results.firing),
            largest=outside(results.largest, _LARGEST),
            smallest=outside(results.smallest, _SMALLEST),
            counts=outside(builder.cast(counts, ir.DataType.DOUBLE), _SUM),
            summed=True,
        )

    def _outside(self, builder: Builder, value: ir.Value, joining: _Joining) -> ir.Value:
        while (graph := graph_of(value)) in self._owner:
            node = self._owner[graph]
            place, stacked = _THROUGH[node.op_type](builder, node, graph, value, joining)
            value = self._new_output(builder, node, place, value.dtype)
            if stacked:
                value = builder.reduction(joining.stacked, value, [0])
        return value

    def _new_output(self, builder: Builder, node: ir.Node, index: int, dtype: ir.DataType | None) -> ir.Value:
        """Put a node with one more output, `index`, in the place of `node`, and return that output."""
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        more = ir.Node(
            node.domain,
            node.op_type,
            node.inputs,
            node.attributes.values(),
            num_outputs=len(node.outputs) + 1,
            version=node.version,
            name=node.name,
        )
        added = more.outputs[index]
        added.name, added.type = builder.name(), ir.TensorType(dtype or ir.DataType.DOUBLE)
        for old, new in zip(node.outputs, (value for value in more.outputs if value is not added), strict=True):
            name, new.type, new.shape = old.name, old.type, old.shape
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            old.name, new.name = None, name
            self._moved[old] = new
        graph.insert_before(node, more)
        graph.remove(node, safe=True)
        self._owner |= dict.fromkeys(_graphs(more), more)
        return added


def _positions(builder: Builder, tap: Tap, results: Results) -> ir.Value:
    """Return how many values were averaged."""
    anchor = next(value for value in (*results.means, results.square, results.firing, results.largest) if value)
    if tap.fixed_positions is not None or results.shape is None:
        return builder.integers([tap.fixed_positions or 1], graph_of(anchor))
    sizes = builder.op("Gather", [results.shape, builder.integers(tap.reduced, graph_of(anchor))])
    return builder.reduction("ReduceProd", sizes, [0], keepdims=1)


def _neutral(builder: Builder, joining: _Joining, like: ir.Value, graph: ir.Graph) -> ir.Value:
    dtype = (like.dtype or ir.DataType.DOUBLE).numpy()
    return builder.constant(np.array(joining.neutral, dtype=dtype), graph)


# Each puts `value` among the results of `graph` inside of `node` and returns which output of the node it becomes, and
# whether that output holds one result for every trip.
def _through_if(
    builder: Builder, node: ir.Node, graph: ir.Graph, value: ir.Value, joining: _Joining
) -> tuple[int, bool]:
    for branch in _graphs(node):
        branch.outputs.append(value if branch is graph else _neutral(builder, joining, value, branch))
    return len(node.outputs), False


def _through_loop(
    builder: Builder, node: ir.Node, graph: ir.Graph, value: ir.Value, joining: _Joining
) -> tuple[int, bool]:
    outer, carried = node.graph, len(graph.inputs) - 2
    assert isinstance(outer, ir.Graph)
    start = _neutral(builder, joining, value, outer)
    _move_before(start, node)
    node.resize_inputs(carried + 3)
    node.replace_input_with(carried + 2, start)
    state = ir.Value(name=builder.name(), type=ir.TensorType(value.dtype or ir.DataType.DOUBLE))
    graph.inputs.append(state)
    graph.outputs.insert(1 + carried, builder.op(joining.op, [value, state], graph))
    return carried, False


def _through_scan(
    builder: Builder, node: ir.Node, graph: ir.Graph, value: ir.Value, joining: _Joining
) -> tuple[int, bool]:
    graph.outputs.append(value)
    for name in ("scan_output_axes", "scan_output_directions"):
        if name in node.attributes:
            node.attributes[name] = ir.AttrInt64s(name, [*node.attributes[name].as_ints(), 0])
    return len(node.outputs), True


_THROUGH = {"If": _through_if, "Loop": _through_loop, "Scan": _through_scan}


def _graphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()


def _move_before(value: ir.Value, node: ir.Node) -> None:
    producer = value.producer()
    assert producer is not None
    assert isinstance(node.graph, ir.Graph)
    node.graph.remove(producer)
    node.graph.insert_before(node, producer)
