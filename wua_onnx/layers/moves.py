"""Operators that only rearrange elements, on NumPy arrays of any element type.

What is moved may be the numbers of columns as well as the numbers of a shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._text import clean
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
# Returns the integers of an input, None where they are not known.
Numbers: TypeAlias = Callable[[int], Array | None]
Move: TypeAlias = "Callable[[NodeView, int, Sequence[Array], Numbers], Array]"

LIMIT = 2**24  # elements


class Unmoved(Exception):  # noqa: N818 - says why, and is caught by whoever asked
    """The elements cannot be followed, and why."""


def moved(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    """Return output number `output` of `node` for the data `arrays` (several for Concat and ScatterND).

    Raises:
        Unmoved: the operator's integers are unknown, do not fit, or make more than `LIMIT` elements.
    """
    try:
        result = MOVES[node.op_type](node, output, arrays, numbers)
    except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError) as error:
        raise Unmoved(f"{node.where} does not fit its input of shape {arrays[0].shape}") from error
    _check(result.size, node)
    return result


def _check(size: int, node: NodeView) -> None:
    if size > LIMIT:
        raise Unmoved(f"{node.where} makes more than {LIMIT:,} elements")


def _ints(node: NodeView, attribute: str, index: int, numbers: Numbers) -> list[int] | None:
    """Return integers that older versions hold as an attribute and later ones read as an input; None if absent."""
    if attribute in node.node.attributes:
        return [int(x) for x in np.ravel(node.attr(attribute))]
    if not node.has(index):
        return None
    found = numbers(index)
    if found is None:
        raise Unmoved(f"{clean(attribute)} of {node.where} cannot be computed from shapes and constants")
    return [int(x) for x in found.ravel()]


def _reshape(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    target = _ints(node, "shape", 1, numbers) or []
    if not node.attr("allowzero", 0):
        target = [arrays[0].shape[axis] if size == 0 else size for axis, size in enumerate(target)]
    return arrays[0].reshape(target)


def _flatten(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    shape = arrays[0].shape
    return arrays[0].reshape(math.prod(shape[: node.attr("axis", 1)]), -1)


def _squeeze(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    axes = _ints(node, "axes", 1, numbers)
    return np.squeeze(arrays[0], None if axes is None else tuple(axes))


def _unsqueeze(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    return np.expand_dims(arrays[0], tuple(_ints(node, "axes", 1, numbers) or ()))


def _transpose(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    return np.transpose(arrays[0], node.attr("perm"))


def _split(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    axis, parts = node.attr("axis", 0), len(node.node.outputs)
    sizes = _ints(node, "split", 1, numbers)
    if sizes is None:
        each = -(-arrays[0].shape[axis] // parts)
        sizes = [each] * parts
    start = sum(sizes[:output])
    chosen: list[slice] = [slice(None)] * arrays[0].ndim
    chosen[axis] = slice(start, start + sizes[output])
    return arrays[0][tuple(chosen)]


def _slice(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    starts, ends = (_ints(node, name, index, numbers) or [] for index, name in ((1, "starts"), (2, "ends")))
    axes = _ints(node, "axes", 3, numbers) or list(range(len(starts)))
    steps = _ints(node, "steps", 4, numbers) or [1] * len(starts)
    result = arrays[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = result.shape[axis]
        stop = None if step < 0 and end < -size else end
        chosen: list[slice] = [slice(None)] * result.ndim
        chosen[axis] = slice(start, stop, step)
        result = result[tuple(chosen)]
    return result


def _gather(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    axis, indices = node.attr("axis", 0), numbers(1)
    if indices is None:
        return _gather_any(node, arrays[0], axis)
    _check(arrays[0].size * max(indices.size, 1) // max(arrays[0].shape[axis], 1), node)
    return np.take(arrays[0], indices.astype(np.int64), axis)


def _gather_any(node: NodeView, array: Array, axis: int) -> Array:
    """Return what is gathered, whichever it is, where all of it is alike (the order of beams, say)."""
    first, indices = np.take(array, [0], axis), node.input(1)
    if not (array == first).all() or indices is None or indices.shape is None or len(indices.shape) != 1:
        raise Unmoved(f"the indices of {node.where} cannot be computed from shapes and constants")
    return first


def _concat(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    return np.concatenate(arrays, node.attr("axis", 1))


def _expand(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(_ints(node, "shape", 1, numbers) or ()))
    _check(math.prod(shape), node)
    return np.broadcast_to(arrays[0], shape)


def _tile(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    repeats = _ints(node, "repeats", 1, numbers) or []
    _check(arrays[0].size * math.prod(repeats), node)
    return np.tile(arrays[0], repeats)


def _gather_nd(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    indices = numbers(1)
    if indices is None or node.attr("batch_dims", 0):
        raise Unmoved(f"the indices of {node.where} cannot be computed from shapes and constants")
    result = arrays[0][tuple(np.moveaxis(indices.astype(np.int64), -1, 0))]
    return np.asarray(result)


def _scatter_nd(node: NodeView, output: int, arrays: Sequence[Array], numbers: Numbers) -> Array:
    indices = numbers(1)
    if indices is None or node.attr("reduction", b"none") not in (b"none", "none"):
        raise Unmoved(f"the indices of {node.where} cannot be computed from shapes and constants")
    result = np.array(arrays[0])
    result[tuple(np.moveaxis(indices.astype(np.int64), -1, 0))] = arrays[1]
    return result


def data_inputs(node: NodeView) -> tuple[int, ...]:
    """Return the numbers of the inputs whose elements `node` moves."""
    if node.op_type == "Concat":
        return tuple(range(len(node.node.inputs)))
    return (0, 2) if node.op_type == "ScatterND" else (0,)


MOVES: dict[str, Move] = {
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Reshape": _reshape,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
