"""Finding a weight through constant-only chains, and reading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.errors import ModelError
from wua_onnx.model.graph import Model, NodeView
from wua_onnx.model.limits import clean

Array: TypeAlias = np.ndarray[Any, Any]
_MAX_CHAIN = 16


@dataclass(frozen=True, slots=True, eq=False)
class WeightSource:
    """Where the elements of an operand lie.

    Attributes:
        root: the initializer or Constant that holds them.
        chain: the constant-only operators between it and the operand, first to last.
        shape: of the operand.
    """

    root: ir.Value
    chain: tuple[ir.Node, ...]
    shape: tuple[int, ...]


def resolve(value: ir.Value | None, model: Model) -> WeightSource | str:
    """Return where the constant operand `value` comes from, or why it is no weight that can be read."""
    if value is None or value not in model.constants:
        return "no constant operand"
    chain: list[ir.Node] = []
    current = value
    while ir.convenience.get_const_tensor(current) is None or current.producer() is not None:
        node = current.producer()
        if node is None or len(chain) > _MAX_CHAIN:
            return "a constant without elements"
        if node.op_type == "Constant":
            break
        if node.op_type not in _STEPS or not node.inputs or node.inputs[0] is None:
            return f"computed from constants by {clean(node.op_type)}"
        chain.append(node)
        current = node.inputs[0]
    shape = model.shape(value)
    tensor = ir.convenience.get_const_tensor(current)
    if current.const_value is None:
        current.const_value = tensor
    if tensor is None or shape is None or not all(isinstance(dim, int) for dim in shape):
        return "its shape is unknown"
    return WeightSource(current, tuple(reversed(chain)), tuple(dim for dim in shape if isinstance(dim, int)))


def read(source: WeightSource, model: Model) -> Array:
    """Return the operand's elements, in real units; a view of the file where nothing is computed.

    Raises:
        ExternalDataError: the elements are missing.
        ModelError: the chain's constants contradict each other.
    """
    array = model.weight(source.root)
    for node in source.chain:
        step = _STEPS[node.op_type]
        try:
            array = step(array, NodeView(node, model))
        except (ValueError, TypeError, IndexError) as error:
            raise ModelError(f"{NodeView(node, model).where}: expected constants that fit, got {error}") from error
    return array.reshape(source.shape)


def _constant(node: NodeView, index: int) -> Array:
    value = node.input(index)
    if value is None or ir.convenience.get_const_tensor(value) is None:
        raise ModelError(f"{node.where}: expected a constant input {index}, got a computed one")
    if value.const_value is None:
        value.const_value = ir.convenience.get_const_tensor(value)
    return node.model.weight(value)


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


def _dequantized(array: Array, node: NodeView) -> Array:
    """`(x − zero point)·scale`, per tensor, per axis or in blocks along the axis."""
    scale = _constant(node, 1).astype(np.float32)
    zero = _constant(node, 2).astype(np.float32) if node.has(2) else np.zeros((), np.float32)
    axis = node.attr("axis", 1)
    return (array.astype(np.float32) - _spread(zero, array, axis)) * _spread(scale, array, axis)


def _spread(parameter: Array, array: Array, axis: int) -> Array:
    """Return a quantization parameter broadcast against `array`."""
    if parameter.size == 1:
        return parameter.reshape(())
    if parameter.ndim == 1 and array.ndim != 1:
        shape = [1] * array.ndim
        shape[axis] = -1
        return parameter.reshape(shape)
    block = -(-array.shape[axis] // parameter.shape[axis])
    return np.repeat(parameter, block, axis=axis).take(range(array.shape[axis]), axis=axis)


def _identity(array: Array, node: NodeView) -> Array:
    return array


_STEPS: dict[str, Callable[[Array, NodeView], Array]] = {
    "Cast": _cast,
    "DequantizeLinear": _dequantized,
    "Flatten": _reshaped,
    "Identity": _identity,
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Transpose": _transposed,
    "Unsqueeze": _reshaped,
}
