"""Softmax and what is made of it: N elements in G groups, each normalised by itself."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import axis_of, minus, without
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView


def softmax_of(elements: Dim, groups: Dim) -> Cost:
    """Return the cost of a softmax over `elements` elements in `groups` groups."""
    inside = minus(elements, groups)
    return Cost(compare=inside, add=elements + inside, special=elements, div=elements)


def log_softmax_of(elements: Dim, groups: Dim) -> Cost:
    """Return the cost of a logarithmic softmax over `elements` elements in `groups` groups."""
    inside = minus(elements, groups)
    return Cost(compare=inside, add=elements * 2 + inside, special=elements + groups)


def _groups(node: NodeView) -> Dim:
    """Return the number of groups: lines along the axis; below opset 13 rows of the input as a matrix."""
    if node.opset >= 13:
        return without(node, 0, node.attr("axis", -1))
    shape, axis = node.shape(0), node.attr("axis", 1)
    return product(shape[: axis if axis == len(shape) else axis_of(node, axis, len(shape))])


@rule("Softmax")
def softmax(node: NodeView) -> Cost:
    """compare = N − G; add = 2·N − G; special = N; div = N.

    e = exp(x − max(x)), then e / sum(e), over each of G groups.
    https://onnx.ai/onnx/operators/onnx__Softmax.html
    """
    return softmax_of(node.size(0), _groups(node))


@rule("LogSoftmax")
def log_softmax(node: NodeView) -> Cost:
    """compare = N − G; add = 3·N − G; special = N + G.

    d = x − max(x), then d − log(sum(exp(d))), over each of G groups.
    https://onnx.ai/onnx/operators/onnx__LogSoftmax.html
    """
    return log_softmax_of(node.size(0), _groups(node))


@rule("Hardmax")
def hardmax(node: NodeView) -> Cost:
    """compare = N − G.

    The largest of each of G groups. https://onnx.ai/onnx/operators/onnx__Hardmax.html
    """
    return Cost(compare=minus(node.size(0), _groups(node)))
