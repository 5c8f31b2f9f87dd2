"""Finding attention that is written out: a softmax, the scores before it, the product with the values after it.

A function of each score by itself may stand in place of the softmax (sigmoid attention, arXiv:2409.04431; squared ReLU,
arXiv:2104.07012; SiLU, arXiv:2402.17152). Such a function is common elsewhere, so that only what can be mapped counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx.layers.axes import readers
from wua_onnx.layers.columns import DOMAINS, ELEMENTWISE, FIRST, Columns
from wua_onnx.layers.moves import MOVES, data_inputs
from wua_onnx.layers.products import is_product
from wua_onnx.model.node import NodeView

_MAX_STEPS = 64
_SOFTMAX = frozenset({("", "Softmax"), ("com.microsoft", "BiasSoftmax")})
OF_ONE_SCORE = frozenset({"Relu", "Sigmoid", "Swish"})


@dataclass(frozen=True, slots=True, eq=False)
class Weighting:
    """A softmax whose result is multiplied with a computed tensor.

    Attributes:
        node: the softmax, or the last operator of one that is written out.
        scores: what goes in.
        axis: the axis of the keys, counted from the end.
        context: the product with the values.
        index: the number of its input that the softmax leads to.
        sure: whether it is attention at all; only where it can be mapped, otherwise.
    """

    node: NodeView
    scores: ir.Value
    axis: int
    context: NodeView
    index: int
    sure: bool = True


def anchor(node: NodeView) -> Weighting | None:
    """Return the attention that is anchored on `node`; None where it is nothing that weighs a computed tensor."""
    alone = not node.domain and node.op_type in OF_ONE_SCORE
    scores = node.input(0) if alone else _softmax_input(node)
    if scores is None:
        return None
    axis = int(node.attr("axis", -1))
    rank = len(scores.shape) if scores.shape is not None else 0
    found = _weighted(node)
    axis = axis - rank if axis >= 0 and rank else axis
    return None if found is None else Weighting(node, scores, axis, *found, sure=not alone)


def _softmax_input(node: NodeView) -> ir.Value | None:
    """Return what the softmax that ends in `node` is taken of."""
    if (node.domain, node.op_type) in _SOFTMAX:
        return node.input(0)
    if node.domain or node.op_type != "Div" or not (node.has(0) and node.has(1)):
        return None
    top, bottom = (value.producer() for value in node.node.inputs if value is not None)
    if top is None or bottom is None or (top.op_type, bottom.op_type) != ("Exp", "ReduceSum"):
        return None
    return top.inputs[0] if bottom.inputs[0] is top.outputs[0] else None


def _weighted(node: NodeView) -> tuple[NodeView, int] | None:
    """Return the product of the softmax's result with a computed tensor, and the number of its input."""
    pending, seen = deque([node.node.outputs[0]]), 0
    while pending and seen < _MAX_STEPS:
        value = pending.popleft()
        for use in readers(value):
            seen += 1
            reader = NodeView(use.node, node.model)
            if is_product(reader):
                return reader, use.idx
            if reader.domain in DOMAINS and _passes(reader, use.idx):
                pending.extend(reader.node.outputs)
    return None


def _passes(node: NodeView, index: int) -> bool:
    first = node.op_type in FIRST or (node.op_type in MOVES and node.op_type != "Concat")
    return (first and index == 0) or index >= ELEMENTWISE.get(node.op_type, index + 1)


def scored(anchor: Weighting, columns: Columns) -> Iterator[tuple[NodeView, int]]:
    """Yield the products that the scores may be, nearest first, with the axis of the keys counted from the end."""
    pending, seen = deque([(anchor.scores, anchor.axis)]), 0
    while pending and seen < _MAX_STEPS:
        value, axis = pending.popleft()
        seen += 1
        producer = value.producer()
        if producer is None:
            continue
        node = NodeView(producer, anchor.node.model)
        if is_product(node, constant=True) and not columns.is_projection(node):
            yield node, axis
        elif node.domain in DOMAINS and node.op_type == "Transpose":
            order = list(node.attr("perm") or ())
            source = order[axis] - len(order) if order else axis
            pending.extend((operand, source) for operand in producer.inputs if operand is not None)
        elif node.domain in DOMAINS and (node.op_type in FIRST or node.op_type in MOVES):
            operands = (node.input(index) for index in data_inputs(node))
            pending.extend((operand, axis) for operand in operands if operand is not None)
        elif node.domain in DOMAINS and node.op_type in ELEMENTWISE:
            pending.extend((v, axis) for v in producer.inputs[ELEMENTWISE[node.op_type] :] if v is not None)
