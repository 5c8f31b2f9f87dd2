"""Sorting, suppression, determinants: what depends on the data or on the algorithm."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import floordiv, product
from wua_onnx.model.node import NodeView, ShapeUnknown


@rule("NonMaxSuppression", estimate="every pair of boxes of a class is compared once")
def non_max_suppression(node: NodeView) -> Cost:
    """For each pair of boxes: compare = 7, add = 7, mul = 1, div = 1; compare = scores.

    The overlap of two boxes: 4 bounds, 2 sides cut at 0, their product, the union, the quotient, the threshold.
    https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html
    """
    batch, classes, boxes = node.shape(1)
    pairs = batch * classes * floordiv(boxes * (boxes - 1), 2)
    return Cost(compare=7, add=7, mul=1, div=1) * pairs + Cost(compare=node.size(1))


@rule("Unique", estimate="a sort: ceil(log2 N) comparisons for each of N elements")
def unique(node: NodeView) -> Cost:
    """compare = N × ceil(log2 N).

    https://onnx.ai/onnx/operators/onnx__Unique.html
    """
    elements = node.size(0)
    if not isinstance(elements, int):
        raise ShapeUnknown("the number of elements is unknown")
    return Cost(compare=elements * max(elements - 1, 0).bit_length())


@rule("Det", estimate="elimination without pivoting")
def det(node: NodeView) -> Cost:
    """For each M × M matrix: mul = add = (M − 1)·M·(2·M − 1)/6; div = M·(M − 1)/2; mul = M − 1 more.

    https://onnx.ai/onnx/operators/onnx__Det.html
    """
    size = square_of(node)
    inner = (size - 1) * size * (2 * size - 1) // 6
    cost = Cost(mul=inner + max(size - 1, 0), add=inner, div=size * (size - 1) // 2)
    return cost * product(node.shape(0)[:-2])


def square_of(node: NodeView) -> int:
    """Return how many rows and columns the matrices of the input have."""
    shape = node.shape(0)
    size = shape[-1]
    if not isinstance(size, int):
        raise ShapeUnknown("the size of the matrices is unknown")
    if len(shape) < 2 or shape[-2] != size:
        raise ShapeError(f"{node.where}: input: expected square matrices, got shape {shape}")
    return size
