"""Following a tensor, and some axes of it, through operators that only rearrange elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from wua_onnx.model.dims import Shape, product
from wua_onnx.model.node import NodeView

if TYPE_CHECKING:
    from onnx_ir._core import Usage


def readers(value: ir.Value) -> list[Usage]:
    """Return the uses of `value` that read its elements, not only its shape or its type."""
    return [use for use in value.uses() if use.node.domain or not _reads_no_element(use)]


def _reads_no_element(use: Usage) -> bool:
    return use.node.op_type in ("Shape", "Size") or (use.node.op_type == "CastLike" and use.idx == 1)


def moved_axes(node: NodeView, index: int, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return where the `axes` of input `index` of `node` lie in its output, in the same order.

    None where the operator is not one that only rearranges elements, or does not keep the axes whole.
    """
    source = node.input(0)
    if index != 0 or source is None:
        return None
    if node.op_type == "Transpose":
        rank = len(source.shape or ())
        permutation = list(node.attr("perm") or reversed(range(rank)))
        return tuple(permutation.index(axis) for axis in axes) if set(axes) <= set(permutation) else None
    if node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        before, after = node.model.shape(source), node.model.shape(node.node.outputs[0])
        return None if before is None or after is None else kept_axes(before, after, axes)
    return None


def kept_axes(before: Shape, after: Shape, axes: Sequence[int]) -> tuple[int, ...] | None:
    """Return the axes of `after` that hold the same elements as `axes` of `before`, row-major; None if none do.

    Neighbouring axes may be merged into one, and one may be split into several.
    """
    kept: list[int] = []
    for run in _runs(axes):
        found = _same_elements(before, after, run)
        if found is None:
            return None
        kept += found
    return tuple(kept)


def _runs(axes: Sequence[int]) -> Iterator[range]:
    """Yield the stretches of neighbouring axes."""
    start = 0
    for stop in range(1, len(axes) + 1):
        if stop == len(axes) or axes[stop] != axes[stop - 1] + 1:
            yield range(axes[start], axes[stop - 1] + 1)
            start = stop


def _same_elements(before: Shape, after: Shape, run: range) -> range | None:
    """Return the shortest stretch of axes of `after` with as many elements as `run`, and as many inside of it."""
    size, inner = product(before[run.start : run.stop]), product(before[run.stop :])
    for length in range(1, len(after) + 1):
        for start in range(len(after) - length + 1):
            stop = start + length
            if product(after[start:stop]) == size and product(after[stop:]) == inner:
                return range(start, stop)
    return None
