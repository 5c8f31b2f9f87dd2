"""Reading a weight through the constant-only chain that `sources` found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.errors import ModelError
from wua_onnx.layers import computed
from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.parts import cut
from wua_onnx.layers.sources import WeightSource, is_cut, is_step, resolve
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_Step: TypeAlias = Callable[[Array, NodeView], Array]


def read(source: WeightSource, model: Model) -> Array:
    """Return the operand's elements, in real units; a view of the file where nothing is computed.

    Raises:
        ExternalDataError: the elements are missing.
        ModelError: the chain's constants contradict each other.
    """
    return _through(source, model.weight(source.root), model, _STEPS)


def positions(source: WeightSource, model: Model) -> Array:
    """Return, for every element of the operand, where it lies among the root's elements; shape of the operand."""
    shape = [dim for dim in source.root.shape or () if isinstance(dim, int)]
    first = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    return _through(source, first, model, _MOVES)


def indices(source: WeightSource, axis: int, model: Model) -> Array:
    """Return, for every element of the operand, its index along `axis` of the root; a view where axes only move."""
    shape = [dim for dim in source.root.shape or () if isinstance(dim, int)]
    along = [-1 if place == axis else 1 for place in range(len(shape))]
    return _through(source, np.broadcast_to(np.arange(shape[axis]).reshape(along), shape), model, _MOVES)


def _through(source: WeightSource, array: Array, model: Model, steps: Mapping[str, _Step]) -> Array:
    for node, output in zip(source.chain, source.outputs, strict=True):
        view = NodeView(node, model)
        try:
            array = cut(array, view, output) if is_cut(node) else _stepped(array, view, steps)
        except (ValueError, TypeError, IndexError, Unmoved) as error:
            raise ModelError(f"{NodeView(node, model).where}: expected constants that fit, got {error}") from error
    return array.reshape(source.shape)


def _stepped(array: Array, node: NodeView, steps: Mapping[str, _Step]) -> Array:
    if is_step(node.node):
        return steps[node.op_type](array, node)
    main = computed.main_operand(node)
    if main is None or steps is _MOVES:  # values change, and stay where they are
        return array
    return computed.applied(array, node, main, _STEPS)


def _constant(node: NodeView, index: int) -> Array:
    source = resolve(node.input(index), node.model)
    if isinstance(source, str):
        raise ModelError(f"{node.where}: expected a constant input {index}, got {source}")
    return read(source, node.model)


def _reshaped(array: Array, node: NodeView) -> Array:
    shape = node.model.shape(node.node.outputs[0])
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        raise ModelError(f"{node.where}: expected a known shape, got {shape}")
    return array.reshape([dim for dim in shape if isinstance(dim, int)])


def _transposed(array: Array, node: NodeView) -> Array:
    permutation = node.attr("perm")
    return np.transpose(array, permutation if permutation is not None else None)


def _cast(array: Array, node: NodeView) -> Array:
    return array.astype(ir.DataType(node.attr("to")).numpy())


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a weight, cut out along one axis.

    Attributes:
        axis: of the weight as it is where it is made real numbers.
        part: which part of it.
    """

    axis: int
    part: slice

    def of(self, parameter: Array, rank: int, axis: int, block: int = 0) -> Array:
        """Return the scales of this part: one for all, one for each index along `axis`, or with all axes.

        Where `block` is not 0 that many elements along `axis` share one, and the part begins with a block.
        """
        if parameter.size == 1:
            return parameter
        if parameter.ndim == 1 and rank != 1:
            return parameter[self.part] if axis % rank == self.axis else parameter
        if parameter.shape[self.axis] == 1:
            return parameter
        part = self.part
        if block and axis % rank == self.axis:
            part = slice(part.start // block, -(-part.stop // block))
        return parameter[(slice(None),) * self.axis + (part,)]


def dequantized(array: Array, node: NodeView, cut: Cut | None = None) -> Array:
    """Return `(x − zero point)·scale`, per tensor, per axis or in blocks along the axis.

    Args:
        array: the integers x.
        node: the DequantizeLinear.
        cut: which part of its input they are; None where they are all of it.
    """
    scale = _constant(node, 1).astype(np.float32)
    zero = _constant(node, 2).astype(np.float32) if node.has(2) else np.zeros((), np.float32)
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    if cut is not None:
        scale, zero = (cut.of(each, array.ndim, axis, block) for each in (scale, zero))
    return (array.astype(np.float32) - _spread(zero, array, axis, block)) * _spread(scale, array, axis, block)


def _quantized(array: Array, node: NodeView) -> Array:
    """`saturate(round(x / scale) + zero point)`: what training with quantization in mind leaves on weights."""
    scale = _constant(node, 1).astype(np.float32)
    zero = _constant(node, 2) if node.has(2) else np.zeros((), np.uint8)
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    steps = np.rint(array.astype(np.float32) / _spread(scale, array, axis, block))
    limits = np.iinfo(zero.dtype)
    shifted = steps + _spread(zero.astype(np.float32), array, axis, block)
    return np.asarray(np.clip(shifted, limits.min, limits.max).astype(zero.dtype))


def _spread(parameter: Array, array: Array, axis: int, block: int) -> Array:
    """Return a quantization parameter broadcast against `array`; `block` elements share one where it is not 0."""
    if parameter.size == 1:
        return parameter.reshape(())
    if parameter.ndim == 1 and array.ndim != 1:
        shape = [1] * array.ndim
        shape[axis] = -1
        return parameter.reshape(shape)
    block = block or -(-array.shape[axis] // parameter.shape[axis])
    return np.repeat(parameter, block, axis=axis).take(range(array.shape[axis]), axis=axis)


def _identity(array: Array, node: NodeView) -> Array:
    return array


_STEPS: dict[str, _Step] = {
    "Cast": _cast,
    "DequantizeLinear": dequantized,
    "Flatten": _reshaped,
    "Identity": _identity,
    "QuantizeLinear": _quantized,
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Transpose": _transposed,
    "Unsqueeze": _reshaped,
}
# The same where elements only move; values stay.
_MOVES: dict[str, _Step] = {**_STEPS, "Cast": _identity, "DequantizeLinear": _identity, "QuantizeLinear": _identity}

__all__ = ["Cut", "WeightSource", "dequantized", "indices", "positions", "read", "resolve"]
