"""Activation functions that an exporter wrote out as several elementwise operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import Function, unnamed
from wua_onnx.layers.axes import readers
from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.layers.fitted import TOLERANCE
from wua_onnx.layers.function_values import GRID, ROUGH_TOLERANCE, identify
from wua_onnx.layers.integer_functions import INTEGERS, computed_by, operands_of, real
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
# Returns operand `index` of a node as one number per neuron, or a single one; None where it is anything else.
Along: TypeAlias = "Callable[[NodeView, int], Array | None]"

MAX_OPERATORS = 24
_DOMAINS = frozenset({"", "com.microsoft"})
# Between the operators of a quantized network: they change a value by its rounding only.
_ROUNDINGS = frozenset({"QuantizeLinear", "DequantizeLinear"})
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
        producer = last.producer()
        integers = producer is not None and producer.op_type in INTEGERS
        is_known = (last.dtype in _FLOATS or integers) and last.shape is not None
        return last if exposed == [last] and is_known else None


def find_pattern(
    start: ir.Value, model: Model, along: Along, values: Array = GRID
) -> tuple[ir.Value, Function, bool] | None:
    """Return (where it ends, which it is, whether it is known by name) for the function that begins at `start`.

    The region grows from `start` in graph order by elementwise operators whose other operands are constants along
    the neurons. Wherever a single value is all that is used outside of it, it is a function; which one is told by
    its values on a grid. The longest that has a name wins; else the shortest that `start` enters more than once.

    Args:
        start: a layer's output, or what only moves, shifts or scales it.
        model: the model.
        along: tells the constant operands of a node.
        values: what `start` is on the grid, where the layer's operator applies a function itself.
    """
    if start.is_graph_output():
        return None
    producer = start.producer()
    region = _Region(start, producer.graph if producer is not None else None, {start: values})
    tolerance = ROUGH_TOLERANCE if start.dtype is ir.DataType.BFLOAT16 else TOLERANCE
    named: tuple[ir.Value, Function, bool] | None = None
    other: tuple[ir.Value, Function, bool] | None = None
    while sum(node.op_type not in _ROUNDINGS for node in region.nodes) < MAX_OPERATORS:
        found = next(_candidates(region, model, along), None)
        if found is None:
            break
        node, constants = found
        region.nodes[node.node] = None
        region.values[node.node.outputs[0]] = _evaluated(node, region, constants)
        result = region.result()
        if result is None:
            continue
        known = region.values[result]
        function = identify(known, tolerance) if known is not None else None
        if function is not None:
            named = result, function, True
        elif other is None and len(readers(start)) > 1:
            other = result, unnamed(each.op_type for each in region.nodes if each.op_type not in _ROUNDINGS), False
    return named or other


def _candidates(region: _Region, model: Model, along: Along) -> Iterator[tuple[NodeView, dict[int, Array]]]:
    rank = len(region.start.shape or ())
    for value in list(region.values):
        for use in readers(value):
            node = NodeView(use.node, model)
            if node.node in region.nodes or node.node.graph is not region.graph:
                continue
            if node.domain in _DOMAINS and node.op_type in _ROUNDINGS and use.idx == 0:
                yield node, {}
            if node.domain not in _DOMAINS or computed_by(node) not in EVALUATE or len(node.node.outputs) != 1:
                continue
            shape = node.node.outputs[0].shape
            if shape is not None and len(shape) != rank:
                continue
            outside = [i for i in operands_of(node) if node.has(i) and node.input(i) not in region.values]
            constants = {i: constant for i in outside if (constant := _operand(node, i, region, along)) is not None}
            if len(constants) == len(outside) and use.idx in operands_of(node):
                yield node, constants


def _operand(node: NodeView, index: int, region: _Region, along: Along) -> Array | None:
    """Return a constant operand, also one made at run time by tf2onnx (`zeros_like`) or PyTorch (CastLike)."""
    operand = node.node.inputs[index]
    producer = operand.producer() if operand is not None else None
    maker = NodeView(producer, node.model) if producer is not None and not producer.domain else None
    if maker is not None and maker.op_type == "ConstantOfShape" and _measures(maker.input(0), region):
        fill = maker.attr("value")
        return np.asarray(0.0 if fill is None else fill.numpy(), np.float64).reshape(())
    if maker is not None and maker.op_type == "CastLike":
        number = maker.const(0)
        return np.asarray(number, np.float64).reshape(()) if number is not None and number.size == 1 else None
    constant = along(node, index)
    return constant if constant is None or node.op_type not in INTEGERS else real(node, index, constant)


def _measures(value: ir.Value | None, region: _Region) -> bool:
    """Return whether `value` is the shape of one of the region's values."""
    producer = value.producer() if value is not None else None
    return producer is not None and producer.op_type == "Shape" and producer.inputs[0] in region.values


def _evaluated(node: NodeView, region: _Region, constants: dict[int, Array]) -> Array | None:
    """Return the values of `node`'s result on the grid, shape (points, neurons) or (points, 1)."""
    first = node.node.inputs[0]
    if node.op_type in _ROUNDINGS and first is not None:
        return region.values[first]
    arguments: list[Array | None] = []
    for index in operands_of(node):
        value = node.input(index)
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
            return EVALUATE[computed_by(node)](node, arguments)
        except (TypeError, ValueError):  # attributes or operands that the operator does not allow
            return None
