"""Stored integers as the real numbers that they stand for, where the operator holds the scales itself."""

from __future__ import annotations

import numpy as np

from wua_onnx.errors import ModelError
from wua_onnx.layers.layer import Array
from wua_onnx.layers.weights import read, resolve
from wua_onnx.model.graph import NodeView


def parameter(node: NodeView, index: int, default: float | None = None) -> Array:
    """Return constant input `index` as float32; `default` where it is left out.

    Raises:
        ModelError: it is no constant that can be read, or left out with no default.
    """
    if not node.has(index) and default is not None:
        return np.asarray(default, np.float32)
    source = resolve(node.input(index), node.model)
    if isinstance(source, str):
        raise ModelError(f"{node.where}: expected a constant input {index}, got {source}")
    return np.asarray(read(source, node.model)).astype(np.float32)


def along(values: Array, rank: int, axis: int) -> Array:
    """Return a single value, or one for each index along `axis`, in a shape that broadcasts."""
    if values.size == 1:
        return values.reshape(())
    if values.ndim != 1:
        return values  # one for each matrix and column: it has the axes of the weight
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def affine(stored: Array, node: NodeView, *, scale: int | Array, zero: int, axis: int) -> Array:
    """Return `(q - zero) * scale`, both of the whole or along `axis`.

    Args:
        stored: the integers q.
        node: the operator.
        scale: the number of an input, or numbers.
        zero: the number of an input, which may be left out.
        axis: of `stored`.
    """
    offset = parameter(node, zero, 0.0)
    steps = parameter(node, scale) if isinstance(scale, int) else scale
    return np.asarray((stored.astype(np.float32) - along(offset, stored.ndim, axis)) * along(steps, stored.ndim, axis))


def unpacked(stored: Array, bits: int) -> Array:
    """Return the unsigned numbers of `bits` bits along the last axis, the lowest bits first."""
    shown = np.unpackbits(np.ascontiguousarray(stored).view(np.uint8), axis=-1, bitorder="little")
    whole = shown.shape[-1] // bits
    groups = shown[..., : whole * bits].reshape(*stored.shape[:-1], whole, bits)
    return np.packbits(groups, axis=-1, bitorder="little").reshape(*stored.shape[:-1], whole)


def unreadable(node: NodeView, *inputs: int) -> str | None:
    """Return why one of the scales cannot be read; None where all can, or are left out."""
    for index in inputs:
        if node.has(index):
            source = resolve(node.input(index), node.model)
            if isinstance(source, str):
                return f"its scales are not constant ({source})"
    return None


def in_blocks(array: Array, factors: Array, axis: int, block: int) -> Array:
    """Return `array` times `factors`, one of which `block` elements along `axis` share."""
    repeated = np.repeat(factors, block, axis=axis).take(range(array.shape[axis]), axis=axis)
    return np.asarray(array * repeated)
