"""One step of the walk from a layer to its activation: what only moves, shifts or scales the neurons."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.axes import moved_axes
from wua_onnx.layers.integer_functions import real
from wua_onnx.layers.over_neurons import written_normalisation
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.registry import recognise
from wua_onnx.layers.sizes import Sizes
from wua_onnx.layers.walk import Walk, all_users, along_neurons, constant_of, only_user
from wua_onnx.model.node import NodeView

_VALUES_KEPT = frozenset({"Identity", "Dropout", "QuantizeLinear", "DequantizeLinear"})
_NORMALISATIONS = frozenset({"InstanceNormalization", "GroupNormalization"})
_OVER_NEURONS = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


def pass_step(walk: Walk) -> bool | None:
    """Take one step that moves (True), shifts or scales (False) the neurons; None where the walk ends."""
    user = only_user(walk)
    if user is None:
        return None
    node, index = user
    result = node.node.outputs[0]
    if node.op_type in _VALUES_KEPT or (node.op_type == "Cast" and result.dtype in FLOATS):
        if index == 0:
            walk.step(result, walk.axes)
            walk.quantization = _after(node, walk.quantization)
            return True
        return None
    axes = walk.axes if index == 0 and _leaves_neurons(node, walk.axes) else moved_axes(node, index, walk.axes)
    if axes is not None:
        walk.step(result, axes)
        return True
    return _through_scale(walk, node, index)


def _leaves_neurons(node: NodeView, axes: tuple[int, ...]) -> bool:
    """Return whether a Slice takes some positions of every neuron, or a Pad adds none.

    So tf2onnx fits a transposed convolution to the size that it is to have.
    """
    data = node.input(0)
    shape = node.model.shape(data) if data is not None else None
    if shape is None or node.domain or node.op_type not in ("Pad", "Slice"):
        return False
    numbers = Sizes(node.model, 1).numbers_of(node)
    if node.op_type == "Pad":
        pads = numbers(1)
        return pads is not None and not pads.any() and shape == node.model.shape(node.node.outputs[0])
    cut = numbers(3)
    return cut is not None and not {int(axis) % len(shape) for axis in cut.reshape(-1)} & {0, *axes}


def pass_normalisation(walk: Walk) -> bool:
    """Take a normalisation over the neurons, an operator or written out; whether there is one.

    Its constant scale is a factor, as that of a normalisation by group.
    """
    written = written_normalisation(walk)
    if written is not None:
        walk.step(written[0], walk.axes, written[1])
        return True
    user = only_user(walk)
    rank = len(walk.value.shape or ())
    if user is None or user[0].op_type not in _OVER_NEURONS or user[1] != 0 or not rank:
        return False
    node = user[0]
    scale = along_neurons(node, 1, walk)
    if tuple(range(node.attr("axis", -1) % rank, rank)) != walk.axes or scale is None:
        return False
    walk.step(node.node.outputs[0], walk.axes, scale)
    return True


def _after(node: NodeView, before: Quantization | None) -> Quantization | None:
    """Return what the integers that `node` makes stand for."""
    if node.op_type == "QuantizeLinear":
        return Quantization.of(node, 1, 2)
    return None if node.op_type in ("DequantizeLinear", "Cast") else before


def _through_scale(walk: Walk, node: NodeView, index: int) -> bool | None:
    if node.op_type == "Neg":
        walk.step(node.node.outputs[0], walk.axes, -1.0)
        return False
    if node.op_type in ("Add", "Sub", "Mul", "Div"):
        constant = along_neurons(node, 1 - index, walk)
        if constant is None or (node.op_type == "Div" and index == 1) or recognise(node):  # a layer of its own
            return None
        if node.op_type == "Div":
            constant = 1 / constant
        walk.step(node.node.outputs[0], walk.axes, constant if node.op_type in ("Mul", "Div") else 1.0)
        return False
    if node.op_type in ("QLinearAdd", "QLinearMul") and index in (0, 3):
        return _through_integers(walk, node, 3 - index)
    if node.op_type == "BatchNormalization" and index == 0 and walk.axes == (1,):
        scale, variance = (constant_of(node, i) for i in (1, 4))
        if scale is None or variance is None or node.attr("training_mode", 0) or scale.ndim != 1:
            return None
        walk.step(node.node.outputs[0], (1,), scale / np.sqrt(variance + node.attr("epsilon", 1e-5)))
        return False
    if node.op_type in _NORMALISATIONS and index == 0 and walk.axes == (1,):
        return _through_normalisation(walk, node)
    return _through_group_normalisation(walk, node) if index == 0 else None


def _through_integers(walk: Walk, node: NodeView, other: int) -> bool | None:
    """Take a constant shift or scale of integers, which stand for real numbers."""
    stored = along_neurons(node, other, walk)
    constant = None if stored is None else real(node, other, stored)
    if constant is None:
        return None
    walk.step(node.node.outputs[0], walk.axes, constant if node.op_type == "QLinearMul" else 1.0)
    walk.quantization = Quantization.of(node, 6, 7)
    return False


def _through_normalisation(walk: Walk, node: NodeView) -> bool | None:
    """Take a normalisation by instance or group; its constant scale per neuron is a factor."""
    scale, shape = constant_of(node, 1), node.model.shape(walk.value)
    neurons = shape[1] if shape is not None else None
    if scale is None or not isinstance(neurons, int) or scale.size == 0 or neurons % scale.size:
        return None
    walk.step(node.node.outputs[0], (1,), np.repeat(scale.reshape(-1), neurons // scale.size))
    return False


def _through_group_normalisation(walk: Walk, node: NodeView) -> bool | None:
    """Take Reshape, InstanceNormalization, Reshape back: what group normalisation was before it was an operator."""
    inner = _next(node, "InstanceNormalization") if node.op_type == "Reshape" else None
    back = _next(inner, "Reshape") if inner is not None else None
    if inner is None or back is None:
        return None
    result, before, scale = back.node.outputs[0], walk.model.shape(walk.value), constant_of(inner, 1)
    if before is None or before != walk.model.shape(result) or scale is None or np.ptp(scale) != 0:
        return None
    walk.step(result, walk.axes, np.asarray(scale.reshape(-1)[0]))
    return False


def _next(node: NodeView, op: str) -> NodeView | None:
    """Return the only user of `node`'s result where it is an operator `op` that takes it as its first input."""
    users = all_users(node.node.outputs[0], op, node.node.graph)
    return NodeView(users[0], node.model) if len(users) == 1 else None
