"""Following numbers, one for each element of a tensor, in the direction of the graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.axes import readers
from wua_onnx.layers.columns import DOMAINS, ELEMENTWISE, FIRST, NONE, SUMS
from wua_onnx.layers.moves import MOVES, Unmoved, moved
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_MAX_VALUES = 100
# Returns whether a reader of the tensor, by its input number, is where the numbers are wanted.
Stop: TypeAlias = Callable[[ir.Node, int], bool]


def pushed(
    start: ir.Value, numbers: Array, stop: Stop, sizes: Sizes, *, through: frozenset[str] = frozenset()
) -> tuple[ir.Node, int, Array]:
    """Follow `numbers`, one for each element of `start`, to the first reader for which `stop` says so.

    Args:
        start: the tensor they belong to.
        numbers: shape of `start`.
        stop: of (node, number of the input) whether they are wanted there.
        sizes: the sizes they were computed at.
        through: operators that leave elements in their places, beside those that always do.

    Returns:
        The reader, the number of its input, and the numbers in the shape of that input.

    Raises:
        Unmoved: none is reached.
    """
    pending, seen, ends = deque([(start, numbers)]), {start}, ""
    while pending and len(seen) < _MAX_VALUES:
        value, current = pending.popleft()
        sizes.known[value] = current.shape
        for use in readers(value):
            if stop(use.node, use.idx):
                return use.node, use.idx, current
            node = NodeView(use.node, sizes.model)
            try:
                results = _forward(node, use.idx, current, sizes, through)
            except Unmoved as why:
                ends = str(why)
                continue
            pending.extend((result, array) for result, array in results if result not in seen)
            seen.update(result for result, _ in results)
    raise Unmoved(ends or "no layer reads it")


def _forward(
    node: NodeView, index: int, current: Array, sizes: Sizes, through: frozenset[str]
) -> list[tuple[ir.Value, Array]]:
    """Return the results of `node` with their numbers."""
    outputs = list(node.node.outputs)
    if node.domain in DOMAINS and outputs:
        if (node.op_type in FIRST or node.op_type in through) and index == 0:
            return [(outputs[0], current)]
        if node.op_type in ELEMENTWISE and index >= ELEMENTWISE[node.op_type]:
            return [(outputs[0], _broadcast(node, index, current, sizes, through))]
        if node.op_type == "Concat":
            return [(outputs[0], moved(node, 0, _joined(node, index, current, sizes), sizes.numbers_of(node)))]
        if node.op_type in MOVES and index == 0:
            return [
                (result, moved(node, number, [current], sizes.numbers_of(node)))
                for number, result in enumerate(outputs)
            ]
    raise Unmoved(f"it is read by {node.where}, which is no layer")


def _broadcast(node: NodeView, index: int, current: Array, sizes: Sizes, through: frozenset[str]) -> Array:
    others = [value for i, value in enumerate(node.node.inputs) if value is not None and i != index]
    constant = all(value in node.model.constants for value in others)
    if node.op_type in SUMS and not constant and "Softmax" not in through:
        raise Unmoved(f"{node.where} adds it to something else before a layer reads it")
    shape = current.shape
    for value in others:
        try:
            shape = np.broadcast_shapes(shape, sizes.shape(value) or ())
        except ValueError:
            continue
    return np.broadcast_to(current, shape)


def _joined(node: NodeView, index: int, current: Array, sizes: Sizes) -> list[Array]:
    parts = []
    for number, value in enumerate(node.node.inputs):
        shape = current.shape if number == index else sizes.shape(value) if value is not None else None
        if shape is None:
            raise Unmoved(f"the shape of input {number} of {node.where} is unknown")
        parts.append(current if number == index else np.broadcast_to(np.int32(NONE), shape))
    return parts
