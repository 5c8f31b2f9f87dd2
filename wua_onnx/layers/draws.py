"""Arrays of random numbers that differ along one axis only and are broadcast along all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
# One array for each draw of random numbers.
Draws: TypeAlias = tuple[Array, ...]


def compact(array: Array) -> Array:
    """Return `array` without the copies that it is broadcast to."""
    return array[tuple(slice(None) if stride else slice(0, 1) for stride in array.strides)]


def line_of(draws: Draws) -> tuple[int, Array] | None:
    """Return the axis along which values vary, and the values along it, shape (draws, length); None where not one."""
    first = compact(draws[0])
    varying = [axis for axis in range(first.ndim) if first.shape[axis] > 1 and np.ptp(first, axis=axis).max() > 0]
    if len(varying) != 1:
        return None
    axis = varying[0]
    at = tuple(slice(None) if place == axis else 0 for place in range(first.ndim))
    return axis, np.array([draw[at] for draw in draws])


def elementwise(node: NodeView, operands: Sequence[Array]) -> Array:
    """Return the result of an operator, computed once for what is broadcast."""
    with np.errstate(all="ignore"):
        result = EVALUATE[node.op_type](node, [compact(operand) for operand in operands])
    whole = np.broadcast_shapes(*(operand.shape for operand in operands))
    return np.broadcast_to(np.asarray(result, np.float64), whole)
