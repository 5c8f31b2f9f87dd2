"""Following a tensor, and one axis of it, through operators that only rearrange elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from wua_onnx.model.dims import Shape, product
from wua_onnx.model.graph import NodeView

if TYPE_CHECKING:
    from onnx_ir._core import Usage


def readers(value: ir.Value) -> list[Usage]:
    """Return the uses of `value` that read its elements, not only its shape."""
    return [use for use in value.uses() if use.node.op_type not in ("Shape", "Size") or use.node.domain]


def moved_axis(node: NodeView, index: int, axis: int) -> int | None:
    """Return where `axis` of input `index` of `node` lies in its output.

    None where the operator is not one that only rearranges elements, or does not keep the axis whole.
    """
    source = node.input(0)
    if index != 0 or source is None:
        return None
    if node.op_type == "Transpose":
        rank = len(source.shape or ())
        permutation = list(node.attr("perm") or reversed(range(rank)))
        return permutation.index(axis) if axis in permutation else None
    if node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        before, after = node.model.shape(source), node.model.shape(node.node.outputs[0])
        return None if before is None or after is None else kept_axis(before, after, axis)
    return None


def kept_axis(before: Shape, after: Shape, axis: int) -> int | None:
    """Return the axis of `after` that holds the same elements as `axis` of `before`, row-major; None if none does."""
    inner = product(before[axis + 1 :])
    size = before[axis]
    for candidate in range(len(after)):
        if after[candidate] == size and product(after[candidate + 1 :]) == inner:
            return candidate
    return None
