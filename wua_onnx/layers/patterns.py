"""Activation functions that an exporter wrote out as several elementwise operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers import activation_functions as functions
from wua_onnx.layers.activation_functions import Function
from wua_onnx.layers.axes import readers
from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.model.graph import Model, NodeView

Array: TypeAlias = np.ndarray[Any, Any]
# Returns operand `index` of a node as one number per neuron, or a single one; None where it is anything else.
Along: TypeAlias = "Callable[[NodeView, int], Array | None]"

_MAX_OPERATORS = 16
_MAX_NEURONS = 64  # neurons whose function is looked at
_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(slots=True, eq=False)
class _Region:
    """Operators that part at one value; what each of their results is on the grid, None where it is not known."""

    start: ir.Value
    graph: ir.Graph | ir.Function | None
    values: dict[ir.Value, Array | None]
    nodes: dict[ir.Node, None] = field(default_factory=dict)

    def is_open(self, value: ir.Value) -> bool:
        """Return whether `value` is used outside of the region."""
        return value.is_graph_output() or any(use.node not in self.nodes for use in readers(value))

    def result(self) -> ir.Value | None:
        """Return the last value where it is the only one that is used outside."""
        last = next(reversed(self.values))
        exposed = [value for value in self.values if self.is_open(value)]
        return last if exposed == [last] and last.dtype in _FLOATS else None


def find_pattern(start: ir.Value, model: Model, along: Along) -> tuple[ir.Value, Function, bool] | None:
    """Return (where it ends, which it is, whether it is known by name) for the function that begins at `start`.

    The region grows from `start` in graph order by elementwise operators whose other operands are constants along
    the neurons. Wherever a single value is all that is used outside of it, it is a function; which one is told by
    its values on a grid. The longest that has a name wins; else the shortest that `start` enters more than once.
    """
    if start.is_graph_output():
        return None
    producer = start.producer()
    region = _Region(start, producer.graph if producer is not None else None, {start: functions.GRID})
    named: tuple[ir.Value, Function, bool] | None = None
    other: tuple[ir.Value, Function, bool] | None = None
    for _ in range(_MAX_OPERATORS):
        found = next(_candidates(region, model, along), None)
        if found is None:
            break
        node, constants = found
        region.nodes[node.node] = None
        region.values[node.node.outputs[0]] = _evaluated(node, region, constants)
        result = region.result()
        if result is None:
            continue
        values = region.values[result]
        function = functions.identify(values) if values is not None else None
        if function is not None:
            named = result, function, True
        elif other is None and len(readers(start)) > 1:
            other = result, functions.unnamed(member.op_type for member in region.nodes), False
    return named or other


def _candidates(region: _Region, model: Model, along: Along) -> Iterator[tuple[NodeView, dict[int, Array]]]:
    rank = len(region.start.shape or ())
    for value in list(region.values):
        for use in readers(value):
            node = NodeView(use.node, model)
            if node.node in region.nodes or node.node.graph is not region.graph:
                continue
            if node.domain or node.op_type not in EVALUATE or len(node.node.outputs) != 1:
                continue
            if len(node.node.outputs[0].shape or ()) != rank:
                continue
            others = {i: along(node, i) for i, v in enumerate(node.node.inputs) if v and v not in region.values}
            constants = {i: constant for i, constant in others.items() if constant is not None}
            if len(constants) == len(others):
                yield node, constants


def _evaluated(node: NodeView, region: _Region, constants: dict[int, Array]) -> Array | None:
    """Return the values of `node`'s result on the grid, shape (points, neurons) or (points, 1)."""
    arguments: list[Array | None] = []
    for index, value in enumerate(node.node.inputs):
        if index in constants:
            arguments.append(constants[index].reshape(1, -1)[:, :_MAX_NEURONS])
        elif value is None:
            arguments.append(None)
        else:
            known = region.values[value]
            if known is None:
                return None
            arguments.append(known)
    with np.errstate(all="ignore"):
        try:
            return EVALUATE[node.op_type](node, arguments)
        except (TypeError, ValueError):  # attributes or operands that the operator does not allow
            return None
