"""Weights that a graph computes from constants: normalised weights, masks, adapters added to what they adapt.

`g · v / ‖v‖` or `W + B·A` is the weight of a layer, and its elements are, one by one, those of v or W: the operand of
arithmetic that has the shape of the result. What else takes part is computed with NumPy when the weight is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.layers.moves import MOVES, moved
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
Steps: TypeAlias = Mapping[str, Callable[[Array, NodeView], Array]]

ARITHMETIC = frozenset(
    {"Abs", "Add", "Clip", "Div", "Exp", "Log", "Max", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sigmoid", "Sign"}
    | {"Softplus", "Sqrt", "Sub", "Tanh", "Where", "Ceil", "Floor", "Round"}
)
_ROUNDINGS: dict[str, Callable[..., Array]] = {"Ceil": np.ceil, "Floor": np.floor, "Round": np.rint}
_REDUCTIONS: dict[str, Callable[..., Array]] = {
    "ReduceL1": lambda x, **axes: np.sum(np.abs(x), **axes),
    "ReduceL2": lambda x, **axes: np.sqrt(np.sum(np.square(x), **axes)),
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceSum": np.sum,
    "ReduceSumSquare": lambda x, **axes: np.sum(np.square(x), **axes),
}
_MOST_NODES = 48
_MOST_ELEMENTS = 2**26  # of a result on the way, where it is larger than the weight


def main_operand(node: NodeView) -> int | None:
    """Return which operand of arithmetic the elements of the result are, one by one; None where that is none."""
    if node.op_type not in ARITHMETIC or node.domain or len(node.node.outputs) != 1:
        return None
    shape = node.model.shape(node.node.outputs[0])
    operands = range(1 if node.op_type == "Where" else 0, 1 if node.op_type == "Clip" else len(node.node.inputs))
    given = {index: value for index in operands if (value := node.input(index)) is not None}
    fitting = [index for index, value in given.items() if shape is not None and node.model.shape(value) == shape]
    return min(fitting, key=lambda index: _rank(node.input(index))) if fitting else None


def _rank(value: ir.Value | None) -> int:
    """Return 0 for a weight by its name, 1 for another parameter, 2 for what is computed, 3 for a Constant."""
    steps = 0
    while value is not None and (producer := value.producer()) is not None and steps < _MOST_NODES:
        if producer.op_type not in MOVES and producer.op_type not in ("Cast", "Div", "Identity", "Mul", "Sub"):
            return 2 if producer.inputs else 3
        value, steps = producer.inputs[0] if producer.inputs else None, steps + 1
    name = "" if value is None else value.name or ""
    return 0 if name.lower().endswith(("weight", "kernel", "original", "original1", "weight_v")) else 1


def problem(node: NodeView, main: int, steps: Container[str]) -> str | None:
    """Return why what `node` computes from its operands cannot be computed here; None where it can."""
    whole = node.model.shape(node.node.outputs[0]) or ()
    most = max(math.prod(dim for dim in whole if isinstance(dim, int)), _MOST_ELEMENTS)
    for count, value in enumerate(_behind(node, main)):
        shape, producer = node.model.shape(value), value.producer()
        if count > _MOST_NODES or shape is None or not all(isinstance(dim, int) for dim in shape):
            return f"computed from constants by {node.op_type} in more steps than are followed"
        if math.prod(dim for dim in shape if isinstance(dim, int)) > most:
            return f"computed from constants by {node.op_type} with more elements than the weight has"
        if producer is not None and not _known(NodeView(producer, node.model), steps):
            return f"computed from constants by {clean(producer.op_type)}"
    return None


def parameters(node: NodeView, main: int) -> Iterator[ir.Value]:
    """Yield the initializers that take part in `node` beside its main operand."""
    yield from (value for value in _behind(node, main) if value.is_initializer())


def applied(array: Array, node: NodeView, main: int, steps: Steps) -> Array:
    """Return the result of `node` where its operand number `main` is `array`.

    Raises:
        TypeError, ValueError: the constants contradict each other.
        Unmoved: likewise.
    """
    own = node.input(main)
    known: dict[ir.Value, Array] = {} if own is None else {own: array}
    return _computed(node, known, steps)


def _behind(node: NodeView, main: int) -> Iterator[ir.Value]:
    """Yield what the operands of `node` beside the main one are computed from, themselves included, each once."""
    own = node.input(main)
    pending = [value for value in node.node.inputs if value is not None and value is not own]
    seen = set(pending)
    while pending:
        value = pending.pop()
        yield value
        producer = value.producer()
        operands = [] if producer is None or producer.op_type == "Constant" else producer.inputs
        new = [each for each in operands if each is not None and each not in seen and each is not own]
        seen.update(new)
        pending.extend(new)


def _known(node: NodeView, steps: Container[str]) -> bool:
    ops = (EVALUATE, _REDUCTIONS, _ROUNDINGS, MOVES, steps, ("Constant", "MatMul"))
    return not node.domain and len(node.node.outputs) == 1 and any(node.op_type in each for each in ops)


def _evaluated(value: ir.Value, model: Model, known: dict[ir.Value, Array], steps: Steps) -> Array:
    if value not in known:
        tensor = ir.convenience.get_const_tensor(value)
        producer = value.producer()
        if producer is None or producer.op_type == "Constant":
            known[value] = model.weight(value) if value.const_value is not None else np.asarray(tensor)
        else:
            known[value] = _computed(NodeView(producer, model), known, steps)
    return known[value]


def _computed(node: NodeView, known: dict[ir.Value, Array], steps: Steps) -> Array:
    given = [None if value is None else _evaluated(value, node.model, known, steps) for value in node.node.inputs]
    first, op = given[0], node.op_type
    if first is None:
        raise ValueError(f"{node.where} has no first operand")
    if op in steps:
        return np.asarray(steps[op](first, node))
    if op in MOVES:
        numbers = Sizes(node.model, 1).numbers_of(node)
        return moved(node, 0, [each for each in given if each is not None] if op == "Concat" else [first], numbers)
    if op in _ROUNDINGS:
        return _ROUNDINGS[op](first)
    if op == "MatMul":
        return np.asarray(np.matmul(first, np.asarray(given[1])))
    if op in _REDUCTIONS:
        return _reduced(node, first, given[1] if len(given) > 1 else None)
    return np.asarray(EVALUATE[op](node, given))


def _reduced(node: NodeView, array: Array, given: Array | None) -> Array:
    axes = node.attr("axes") if given is None else given.reshape(-1).tolist()
    if not axes and node.attr("noop_with_empty_axes", 0):
        return array
    over = tuple(int(axis) for axis in axes) if axes else None
    return np.asarray(_REDUCTIONS[node.op_type](array, axis=over, keepdims=bool(node.attr("keepdims", 1))))
