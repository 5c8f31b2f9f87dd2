"""Sizes that several families need: differences, axes, groups of a reduction."""

from __future__ import annotations

from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView


def minus(a: Dim, b: Dim) -> Dim:
    """Return `a − b`, and 0 where both are integers and `b` is the larger (a reduction over nothing)."""
    difference = a - b
    return max(difference, 0) if isinstance(difference, int) else difference


def axis_of(node: NodeView, axis: int, rank: int) -> int:
    """Return `axis` counted from the front.

    Raises:
        ShapeError: the tensor of rank `rank` has no such axis.
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"{node.where}: axis: expected one of a tensor of rank {rank}, got {axis}")
    return axis % rank


def without(node: NodeView, index: int, axis: int) -> Dim:
    """Return the number of elements of input `index` with `axis` left out: how many lines lie along it."""
    shape = node.shape(index)
    kept = axis_of(node, axis, len(shape))
    return product(dim for at, dim in enumerate(shape) if at != kept)
