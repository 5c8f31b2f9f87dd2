"""Finding a weight through constant-only chains, and reading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.errors import ModelError
from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.parts import CUTS, Part, cut, part_of
from wua_onnx.model.graph import Model
from wua_onnx.model.limits import clean
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_Step: TypeAlias = Callable[[Array, NodeView], Array]
_MAX_CHAIN = 16


@dataclass(frozen=True, slots=True, eq=False)
class WeightSource:
    """Where the elements of an operand lie.

    Attributes:
        root: the initializer or Constant that holds them.
        chain: the constant-only operators between it and the operand, first to last.
        outputs: for each of them, the number of the output that the next one reads.
        shape: of the operand.
        part: what of the root is in the operand; None where all is.
    """

    root: ir.Value
    chain: tuple[ir.Node, ...]
    outputs: tuple[int, ...]
    shape: tuple[int, ...]
    part: Part | None = None

    @property
    def stored(self) -> int:
        """The number of elements of the root that are in the operand."""
        tensor = self.root.const_value
        return self.part.size if self.part is not None else 0 if tensor is None else int(tensor.size)


def resolve(value: ir.Value | None, model: Model) -> WeightSource | str:
    """Return where the constant operand `value` comes from, or why it is no weight that can be read."""
    if value is None or value not in model.constants:
        return "no constant operand"
    found = _followed(model.carried.get(value, value), model)
    if isinstance(found, str):
        return found
    root, steps = found
    shape = model.shape(value)
    if shape is None and all(node.op_type in _SHAPE_KEPT for node, _ in steps):
        shape = model.shape(root)
    tensor = ir.convenience.get_const_tensor(root)
    if root.const_value is None:
        root.const_value = tensor
    if tensor is None or shape is None or not all(isinstance(dim, int) for dim in shape):
        return "its shape is unknown"
    try:
        part = _part(root, steps, model)
    except Unmoved as problem:
        return str(problem)
    chain, outputs = tuple(node for node, _ in steps), tuple(output for _, output in steps)
    return WeightSource(root, chain, outputs, tuple(dim for dim in shape if isinstance(dim, int)), part)


def _followed(value: ir.Value, model: Model) -> tuple[ir.Value, list[tuple[ir.Node, int]]] | str:
    """Return what `value` is computed from, and by which operators and outputs of them, the first one first."""
    steps: list[tuple[ir.Node, int]] = []
    while ir.convenience.get_const_tensor(value) is None or value.producer() is not None:
        node = value.producer()
        if node is None or len(steps) > _MAX_CHAIN:
            return "a constant without elements"
        if node.op_type == "Constant":
            break
        if (_step(node) is None and not _is_cut(node)) or not node.inputs or node.inputs[0] is None:
            return f"computed from constants by {clean(node.op_type)}"
        if any(isinstance(resolve(side, model), str) for side in node.inputs[1:] if side and node.op_type in _SIDES):
            return f"{clean(node.op_type)} with computed scales"
        steps.insert(0, (node, node.outputs.index(value)))
        value = model.carried.get(node.inputs[0], node.inputs[0])
    return value, steps


def _part(root: ir.Value, steps: list[tuple[ir.Node, int]], model: Model) -> Part | None:
    shape = model.shape(root)
    if shape is None or all(not _is_cut(node) for node, _ in steps):
        return None
    sizes = tuple(dim for dim in shape if isinstance(dim, int))
    return part_of(sizes, [(NodeView(node, model), output) for node, output in steps])


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


def _through(source: WeightSource, array: Array, model: Model, steps: Mapping[str, _Step]) -> Array:
    for node, output in zip(source.chain, source.outputs, strict=True):
        view = NodeView(node, model)
        try:
            array = cut(array, view, output) if _is_cut(node) else steps[node.op_type](array, view)
        except (ValueError, TypeError, IndexError, Unmoved) as error:
            raise ModelError(f"{NodeView(node, model).where}: expected constants that fit, got {error}") from error
    return array.reshape(source.shape)


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

    def of(self, parameter: Array, rank: int, axis: int) -> Array:
        """Return the scales of this part: one for all, one for each index along `axis`, or with all axes."""
        if parameter.size == 1:
            return parameter
        if parameter.ndim == 1 and rank != 1:
            return parameter[self.part] if axis % rank == self.axis else parameter
        if parameter.shape[self.axis] == 1:
            return parameter
        return parameter[(slice(None),) * self.axis + (self.part,)]


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
        scale, zero = (cut.of(each, array.ndim, axis) for each in (scale, zero))
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


def _is_cut(node: ir.Node) -> bool:
    return node.op_type in CUTS and node.domain in ("", "ai.onnx")


def _step(node: ir.Node) -> _Step | None:
    """Return how `node` changes an array; None where it is no step of a chain."""
    if node.op_type == "QuantizeLinear" and not _is_whole(node):
        return None
    if node.domain in ("", "ai.onnx") or (node.domain == "com.microsoft" and node.op_type in _SIDES):
        return _STEPS.get(node.op_type)
    return None


def _is_whole(node: ir.Node) -> bool:
    """Return whether a QuantizeLinear makes integers of 8 or 16 bits."""
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    return "output_dtype" not in node.attributes if zero is None else zero.dtype in _WHOLE


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
_SHAPE_KEPT = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"})
_SIDES = frozenset({"DequantizeLinear", "QuantizeLinear"})
_WHOLE = frozenset({ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16})
