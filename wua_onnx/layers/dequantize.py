"""Stored integers as the real numbers that they stand for, where the operator holds the scales itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from wua_onnx.errors import ModelError
from wua_onnx.layers.layer import Array
from wua_onnx.layers.weights import Cut, read, resolve
from wua_onnx.model.node import NodeView

_Decode = TypeVar("_Decode", bound=Callable[..., Array])


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


CUTTABLE: set[Callable[..., Array]] = set()  # what decodes part of a weight too, given which part


def cuttable(decode: _Decode) -> _Decode:
    """Register a function that takes `cut`, which part of the weight it is given."""
    CUTTABLE.add(decode)
    return decode


@cuttable
def affine(stored: Array, node: NodeView, *, scale: int | Array, zero: int, axis: int, cut: Cut | None = None) -> Array:
    """Return `(q - zero) * scale`, both of the whole or along `axis`.

    Args:
        stored: the integers q.
        node: the operator.
        scale: the number of an input, or numbers.
        zero: the number of an input, which may be left out.
        axis: of `stored`.
        cut: which part of the weight is stored; None where it is all of it.
    """
    offset = parameter(node, zero, 0.0)
    steps = parameter(node, scale) if isinstance(scale, int) else scale
    if cut is not None:
        offset, steps = (cut.of(each, stored.ndim, axis) for each in (offset, steps))
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
        shape = shape_of(node, index)
        if isinstance(shape, str):
            return f"its scales are not constant ({shape})"
    return None


def shape_of(node: NodeView, index: int) -> tuple[int, ...] | str | None:
    """Return the shape of constant input `index`, or why it cannot be read; None where it is left out."""
    if not node.has(index):
        return None
    source = resolve(node.input(index), node.model)
    return source if isinstance(source, str) else source.shape


def unfit(node: NodeView, scale: int | None, zero: int, shape: tuple[int, ...], axis: int) -> str | None:
    """Return why a scale or zero point cannot be read, or does not fit a weight of `shape`; None where both do.

    Args:
        node: the operator.
        scale: the number of an input that has to be there; None where the operator has no scale.
        zero: the number of an input that may be left out.
        shape: of the weight.
        axis: along which they may lie, where they are not of the whole.
    """
    if scale is not None and not node.has(scale):
        return "its scale is missing"
    inputs = (zero,) if scale is None else (scale, zero)
    problem = unreadable(node, *inputs)
    if problem is not None:
        return problem
    for index in inputs:
        given = shape_of(node, index)
        if not isinstance(given, tuple) or math.prod(given) == 1:
            continue
        along_axis = len(given) == 1 and -len(shape) <= axis < len(shape) and given[0] == shape[axis]
        each = len(given) == len(shape) and all(g in (1, s) for g, s in zip(given, shape, strict=True))
        if not along_axis and not each:
            return f"expected scales for a weight of shape {list(shape)}, got {list(given)}"
    return None


def in_blocks(array: Array, factors: Array, axis: int, block: int) -> Array:
    """Return `array` times `factors`, one of which `block` elements along `axis` share."""
    repeated = np.repeat(factors, block, axis=axis).take(range(array.shape[axis]), axis=axis)
    return np.asarray(array * repeated)
