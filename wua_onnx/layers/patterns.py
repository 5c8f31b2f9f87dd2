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
_KEPT = _ROUNDINGS | {"Expand"}
MOST_NEURONS = 64  # neurons whose function is looked at
_OF_ONE = frozenset({"Exp", "Neg"})  # what is computed of numbers made at run time
# Operators that make one number of those of all neurons.
REDUCED: dict[str, Callable[[Array], Array]] = {
    "ReduceL1": lambda x: np.abs(x).sum(axis=1, keepdims=True),
    "ReduceL2": lambda x: np.sqrt(np.square(x).sum(axis=1, keepdims=True)),
    "ReduceLogSumExp": lambda x: np.log(np.exp(x).sum(axis=1, keepdims=True)),
    "ReduceMax": lambda x: x.max(axis=1, keepdims=True),
    "ReduceMean": lambda x: x.mean(axis=1, keepdims=True),
    "ReduceSum": lambda x: x.sum(axis=1, keepdims=True),
    "ReduceSumSquare": lambda x: np.square(x).sum(axis=1, keepdims=True),
}
_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(slots=True, eq=False)
class _Region:
    """Operators that part at one value; what each of their results is on the grid, None where it is not known."""

    start: ir.Value
    graph: ir.Graph | ir.Function | None
    values: dict[ir.Value, Array | None]
    nodes: dict[ir.Node, None] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """How many neurons are looked at; 1 where all are the same."""
        values = self.values[self.start]
        return 1 if values is None else int(values.shape[1])

    @property
    def operators(self) -> list[str]:
        """What the region is made of."""
        return [node.op_type for node in self.nodes if node.op_type not in _ROUNDINGS]

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
    tolerance = ROUGH_TOLERANCE if start.dtype is ir.DataType.BFLOAT16 else TOLERANCE
    named: tuple[ir.Value, Function, bool] | None = None
    other: tuple[ir.Value, Function, bool] | None = None
    for result, known, operators in results(start, model, along, values):
        function = identify(known, tolerance) if known is not None else None
        if function is not None:
            named = result, function, True
        elif other is None and len(readers(start)) > 1:
            other = result, unnamed(operators), False
    return named or other


def results(
    start: ir.Value, model: Model, along: Along, values: Array, reduces: Callable[[NodeView], bool] | None = None
) -> Iterator[tuple[ir.Value, Array | None, list[str]]]:
    """Yield (a value, what it is, by which operators) wherever a single value is all that is used of a growing region.

    Args:
        start: see `find_pattern`.
        model: likewise.
        along: likewise.
        values: what `start` is at some points, shape (points, neurons) or (points, 1).
        reduces: whether an operator, one of `REDUCED`, reduces over the neurons; None where none is part of a region.
    """
    if start.is_graph_output():
        return
    producer = start.producer()
    region = _Region(start, producer.graph if producer is not None else None, {start: values})
    while len(region.operators) < MAX_OPERATORS:
        found = next(_candidates(region, model, along, reduces), None)
        if found is None:
            break
        node, constants = found
        region.nodes[node.node] = None
        region.values[node.node.outputs[0]] = _evaluated(node, region, constants)
        result = region.result()
        if result is not None:
            yield result, region.values[result], region.operators


def _candidates(
    region: _Region, model: Model, along: Along, reduces: Callable[[NodeView], bool] | None
) -> Iterator[tuple[NodeView, dict[int, Array]]]:
    rank = len(region.start.shape or ())
    for value in list(region.values):
        for use in readers(value):
            node = NodeView(use.node, model)
            if node.node in region.nodes or node.node.graph is not region.graph:
                continue
            if node.domain in _DOMAINS and node.op_type in _ROUNDINGS and use.idx == 0:
                yield node, {}
            over_all = reduces is not None and not node.domain and node.op_type in REDUCED and reduces(node)
            if over_all or (node.op_type == "Expand" and _spreads(node, region)):
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
    """Return a constant operand, also one made at run time."""
    number = _made(node.input(index), region, node.model)
    constant = along(node, index) if number is None else number
    return constant if constant is None or node.op_type not in INTEGERS else real(node, index, constant)


def _made(value: ir.Value | None, region: _Region, model: Model) -> Array | None:
    """Return a number that tf2onnx (`zeros_like`) or PyTorch (also CastLike) has made at run time, shape ()."""
    maker = _maker(value, model)
    if maker is None or maker.op_type not in _OF_ONE:
        return _filled(maker, region)
    number = _filled(_maker(maker.input(0), model), region)
    return None if number is None else EVALUATE[maker.op_type](maker, [number])


def _maker(value: ir.Value | None, model: Model) -> NodeView | None:
    producer = value.producer() if value is not None else None
    return NodeView(producer, model) if producer is not None and not producer.domain else None


def _filled(maker: NodeView | None, region: _Region) -> Array | None:
    """Return the number that `maker` fills a tensor with, shape ()."""
    if maker is None:
        return None
    if maker.op_type == "ConstantOfShape" and _measures(maker.input(0), region):
        fill = maker.attr("value")
        return np.asarray(0.0 if fill is None else fill.numpy(), np.float64).reshape(())
    if maker.op_type == "CastLike" or (maker.op_type == "Expand" and _spreads(maker, region)):
        number = maker.const(0)
        return np.asarray(number, np.float64).reshape(()) if number is not None and number.size == 1 else None
    return None


def _spreads(node: NodeView, region: _Region) -> bool:
    """Return whether an Expand makes a tensor of the shape of the region's."""
    shape, wanted = (node.model.shape(value) for value in (node.node.outputs[0], region.start))
    return _measures(node.input(1), region) or (shape is not None and shape == wanted)


def _measures(value: ir.Value | None, region: _Region) -> bool:
    """Return whether `value` is the shape of one of the region's values."""
    producer = value.producer() if value is not None else None
    return producer is not None and producer.op_type == "Shape" and producer.inputs[0] in region.values


def _evaluated(node: NodeView, region: _Region, constants: dict[int, Array]) -> Array | None:
    """Return the values of `node`'s result on the grid, shape (points, neurons) or (points, 1)."""
    first = node.node.inputs[0]
    if first is not None and (node.op_type in _KEPT or node.op_type in REDUCED):
        known = region.values[first]
        with np.errstate(all="ignore"):
            return REDUCED[node.op_type](known) if known is not None and node.op_type in REDUCED else known
    arguments: list[Array | None] = []
    for index in operands_of(node):
        value = node.input(index)
        if index in constants:
            width = max(MOST_NEURONS, region.width)
            arguments.append(constants[index].reshape(1, -1)[:, :width])
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
