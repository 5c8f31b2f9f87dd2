"""Where the activation of a neuron is read (DESIGN: "Activation of a neuron").

`follow` starts at a layer's output and walks through what only moves, shifts or scales the neurons, then through
one activation function, as long as nothing outside that path uses the values on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers import activation_functions as functions
from wua_onnx.layers.activation_functions import Function
from wua_onnx.layers.axes import moved_axis
from wua_onnx.model.graph import Model, NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_MAX_STEPS = 64
_MAX_PATTERN = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """Where the neurons of one use of a weight are read.

    Attributes:
        value, axis: the tensor, and its axis along which the neurons lie.
        factor: the product of the constant scales on the way, shape (neurons,) or ().
        function: the activation function; None where the layer is linear.
    """

    value: ir.Value
    axis: int
    factor: Array
    function: Function | None


@dataclass(eq=False)
class _Walk:
    model: Model
    value: ir.Value
    axis: int
    factor: Array

    def step(self, value: ir.Value, axis: int, factor: Array | float = 1.0) -> None:
        self.value, self.axis, self.factor = value, axis, self.factor * factor


def follow(output: ir.Value, axis: int, model: Model, activation: str = "post") -> Activation:
    """Return where the neurons along `axis` of `output` are read.

    Args:
        output: a layer's output.
        axis: the axis of `output` along which the neurons lie.
        model: the model.
        activation: "post" for after the activation function, "pre" for `output` itself.
    """
    walk = _Walk(model, output, axis, np.ones((), np.float64))
    reading = (output, axis)
    if activation == "pre":
        return Activation(value=output, axis=axis, factor=walk.factor, function=None)
    for _ in range(_MAX_STEPS):
        function = _through_function(walk)
        if function is not None:
            return Activation(value=walk.value, axis=walk.axis, factor=walk.factor, function=function)
        moves_only = _through_step(walk)
        if moves_only is None:
            break
        if not moves_only:
            reading = (walk.value, walk.axis)
    return Activation(value=reading[0], axis=reading[1], factor=walk.factor, function=None)


def _only_user(walk: _Walk) -> tuple[NodeView, int] | None:
    uses = list(walk.value.uses())
    if len(uses) != 1 or walk.value.is_graph_output() or uses[0].node.graph is not walk.model.ir_model.graph:
        return None
    return NodeView(uses[0].node, walk.model), uses[0].idx


def _through_step(walk: _Walk) -> bool | None:
    """Take one step that moves (True), shifts or scales (False) the neurons; None where the walk ends."""
    user = _only_user(walk)
    if user is None:
        return None
    node, index = user
    if node.op_type in ("Cast", "Identity", "Dropout", "QuantizeLinear", "DequantizeLinear"):
        if index == 0:
            walk.step(node.node.outputs[0], walk.axis)
            return True
        return None
    axis = moved_axis(node, index, walk.axis)
    if axis is not None:
        walk.step(node.node.outputs[0], axis)
        return True
    return _through_scale(walk, node, index)


def _through_scale(walk: _Walk, node: NodeView, index: int) -> bool | None:
    if node.op_type in ("Add", "Sub", "Mul", "Div"):
        constant = _along_neurons(node, 1 - index, walk)
        if constant is None or (node.op_type == "Div" and index == 1):
            return None
        if node.op_type == "Div":
            constant = 1 / constant
        walk.step(node.node.outputs[0], walk.axis, constant if node.op_type in ("Mul", "Div") else 1.0)
        return False
    if node.op_type == "BatchNormalization" and index == 0 and walk.axis == 1:
        scale, variance = (_constant(node, i) for i in (1, 4))
        if scale is None or variance is None:
            return None
        walk.step(node.node.outputs[0], 1, scale / np.sqrt(variance + node.attr("epsilon", 1e-5)))
        return False
    if node.op_type in ("InstanceNormalization", "GroupNormalization") and index == 0 and walk.axis == 1:
        walk.step(node.node.outputs[0], 1)
        return False
    return None


def _constant(node: NodeView, index: int) -> Array | None:
    value = node.input(index)
    if value is None or value not in node.model.constants:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None:
        return None
    if value.const_value is None:
        value.const_value = tensor
    return np.asarray(node.model.weight(value), dtype=np.float64)


def _along_neurons(node: NodeView, index: int, walk: _Walk) -> Array | None:
    """Return the constant operand as one number per neuron, or a single one; None where it varies otherwise."""
    value, rank = node.input(index), len(node.node.outputs[0].shape or ())
    if value is None or value.shape is None or rank != len(walk.value.shape or ()):
        return None
    shape = [1] * (rank - len(value.shape)) + list(value.shape)
    if len(shape) != rank or any(size != 1 for axis, size in enumerate(shape) if axis != walk.axis):
        return None
    constant = _constant(node, index)
    return None if constant is None else constant.reshape(-1) if constant.size > 1 else constant.reshape(())


def _through_function(walk: _Walk) -> Function | None:
    """Take one activation function; None where none follows."""
    user = _only_user(walk)
    if user is not None:
        node, index = user
        function = functions.OPERATORS.get(node.op_type)
        if function is None or index != 0:
            return None
        if node.op_type in functions.ALONG_AXIS and not _is_along(node, walk.axis):
            return None
        walk.step(node.node.outputs[0], walk.axis)
        return _clipped(node) if node.op_type == "Clip" else function
    return _through_pattern(walk)


def _is_along(node: NodeView, axis: int) -> bool:
    rank = len(node.node.outputs[0].shape or ())
    given = node.attr("axis", -1)
    return rank > 0 and (given % rank == axis or (node.opset < 13 and given <= axis))


def _clipped(node: NodeView) -> Function:
    low = node.attr("min") if node.opset < 11 else node.const(1)
    above_zero = low is not None and float(np.asarray(low).reshape(-1)[0]) >= 0
    high = node.attr("max") if node.opset < 11 else node.const(2)
    is_relu6 = above_zero and high is not None and float(np.asarray(high).reshape(-1)[0]) == 6
    return Function("ReLU6" if is_relu6 else "Clip", non_negative=above_zero, smooth=False)


def _through_pattern(walk: _Walk) -> Function | None:
    """Take an activation function that was decomposed: elementwise operators that part at one value and meet again.

    The region grows from the walk's value in graph order by elementwise operators whose other operands are
    constants; it is the function as soon as a single value is all that is used outside of it.
    """
    start = walk.value
    if start.is_graph_output() or len(start.uses()) < 2:
        return None
    inside: dict[ir.Value, None] = {start: None}
    region: dict[ir.Node, None] = {}
    for _ in range(_MAX_PATTERN):
        node = next(_candidates(inside, region, walk), None)
        if node is None:
            return None
        region[node] = None
        inside[node.outputs[0]] = None
        exposed = [value for value in inside if _is_used_outside(value, region)]
        if len(exposed) == 1 and exposed[0] is node.outputs[0]:
            walk.step(node.outputs[0], walk.axis)
            return functions.of_pattern([member.op_type for member in region])
    return None


def _candidates(inside: dict[ir.Value, None], region: dict[ir.Node, None], walk: _Walk) -> Iterator[ir.Node]:
    graph = walk.model.ir_model.graph
    for value in inside:
        for use in value.uses():
            node = use.node
            if node in region or node.graph is not graph or node.op_type not in functions.ELEMENTWISE:
                continue
            if len(node.outputs) != 1 or len(node.outputs[0].shape or ()) != len(walk.value.shape or ()):
                continue
            others = [i for i, v in enumerate(node.inputs) if v is not None and v not in inside]
            if all(_along_neurons(NodeView(node, walk.model), i, walk) is not None for i in others):
                yield node


def _is_used_outside(value: ir.Value, region: dict[ir.Node, None]) -> bool:
    return value.is_graph_output() or any(use.node not in region for use in value.uses())
