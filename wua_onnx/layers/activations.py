"""Where the activation of a neuron is read.

`follow` starts at a layer's output and walks through what only moves, shifts or scales the neurons, then through
one activation function, as long as nothing outside that path uses the values on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers import activation_functions as functions
from wua_onnx.layers.activation_functions import Function
from wua_onnx.layers.axes import moved_axes, readers
from wua_onnx.layers.function_values import identify
from wua_onnx.layers.patterns import find_pattern
from wua_onnx.layers.side import Side
from wua_onnx.layers.weights import read, resolve
from wua_onnx.model.graph import Model, NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_MAX_STEPS = 64
_DOMAINS = frozenset({"", "com.microsoft"})
_VALUES_KEPT = frozenset({"Identity", "Dropout", "QuantizeLinear", "DequantizeLinear"})
_PRODUCTS = frozenset({"MatMul", "FusedMatMul"})
_NORMALISATIONS = frozenset({"InstanceNormalization", "GroupNormalization"})
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True, slots=True, eq=False)
class Quantization:
    """How stored integers q stand for real numbers: (q - zero) * scale, one of each for a whole tensor.

    Attributes:
        scale: of one step.
        zero: the integer that stands for 0; None for 0 itself.
    """

    scale: ir.Value
    zero: ir.Value | None

    @classmethod
    def of(cls, node: NodeView, scale: int, zero: int) -> Quantization | None:
        """Return that of which `node` holds the scale and the zero point as inputs; None where it has no scale."""
        value = node.input(scale)
        return None if value is None else cls(value, node.input(zero))


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """Where the neurons of one use of a weight are read.

    Attributes:
        value, axes: the tensor, and its axes along which the neurons lie.
        factor: the product of the constant scales on the way, shape (neurons,) or ().
        function: the activation function; None where the layer is linear.
        valid: how many positions of each sample are valid, and the axis that they lie along; None where all are.
        lookups: the values are the rows that are looked up, and a neuron is a row.
        unread: why nothing can be read, empty where it can.
        quantization: what the integers of the tensor stand for; None where it holds real numbers.
        side: computes `value`, which is then no value of the model; None where the model does.
    """

    value: ir.Value
    axes: tuple[int, ...]
    factor: Array
    function: Function | None
    valid: tuple[ir.Value, int] | None = None
    lookups: bool = False
    unread: str = ""
    quantization: Quantization | None = None
    side: Side | None = None


@dataclass(eq=False)
class _Walk:
    model: Model
    graph: ir.Graph | ir.Function | None
    value: ir.Value
    axes: tuple[int, ...]
    factor: Array
    quantization: Quantization | None = None
    scaled_alike: bool = False  # whether the last step multiplied every neuron by the same number

    def step(self, value: ir.Value, axes: tuple[int, ...], factor: Array | float = 1.0) -> None:
        self.value, self.axes, self.factor = value, axes, self.factor * factor
        self.scaled_alike = np.ndim(factor) == 0 and bool(factor != 1)

    def here(self, function: Function | None = None) -> Activation:
        """Return an activation read where the walk stands."""
        stored = _stored(self.value, self.graph)
        return Activation(
            value=stored,
            axes=self.axes,
            factor=self.factor,
            function=function,
            quantization=self.quantization if stored is self.value else None,
        )


def follow(
    output: ir.Value,
    axes: tuple[int, ...],
    model: Model,
    activation: str = "post",
    quantization: Quantization | None = None,
) -> Activation:
    """Return where the neurons along `axes` of `output` are read.

    Args:
        output: a layer's output.
        axes: the axes of `output` along which the neurons lie.
        model: the model.
        activation: "post" for after the activation function, "pre" for `output` itself.
        quantization: what the integers of `output` stand for; None where it holds real numbers.
    """
    producer = output.producer()
    graph = producer.graph if producer is not None else None
    walk = _Walk(model, graph, output, axes, np.ones((), np.float64), quantization)
    if activation == "pre":
        return Activation(value=output, axes=axes, factor=walk.factor, function=None, quantization=quantization)
    reading = unscaled = walk.here()
    for _ in range(_MAX_STEPS):
        function = _through_function(walk)
        if function is not None:
            return walk.here(function)
        moves_only = _through_step(walk)
        if moves_only is None:
            break
        if not moves_only:
            reading = walk.here()
            unscaled = unscaled if walk.scaled_alike else reading
    return unscaled if _ends_in_a_product(walk) else reading


def _ends_in_a_product(walk: _Walk) -> bool:
    """Return whether what reads the neurons multiplies them with something that is computed, too.

    A number that scales all of them is then part of that product: `1 / sqrt(size)` of attention, which one exporter
    writes before the product of queries and keys and another one after it.
    """
    user = _only_user(walk)
    if user is None or user[0].op_type not in _PRODUCTS:
        return False
    node, index = user
    return node.input(1 - index) not in node.model.constants


def follow_on(activation: Activation, model: Model, values: Array) -> Activation:
    """Return where the neurons are read whose operator applies the beginning of an activation function itself.

    Args:
        activation: read at the operator's result.
        model: the model.
        values: what the operator's own function is on the grid that decompositions are looked at.
    """
    producer = activation.value.producer()
    graph = producer.graph if producer is not None else None
    walk = _Walk(model, graph, activation.value, activation.axes, activation.factor, activation.quantization)
    found = find_pattern(walk.value, model, lambda node, index: _along_neurons(node, index, walk), values)
    if found is None or not found[2]:
        return replace(activation, function=identify(values) or activation.function)
    walk.step(found[0], walk.axes)
    return walk.here(found[1])


def _stored(value: ir.Value, graph: ir.Graph | ir.Function | None) -> ir.Value:
    """Return `value` as the network stores it: behind the pair that quantizes it, where there is one.

    A quantized network never holds the value before it, and onnxruntime joins the pair with the layer.
    """
    quantized = _all_users(value, "QuantizeLinear", graph)
    back = _all_users(quantized[0].outputs[0], "DequantizeLinear", graph) if len(quantized) == 1 else []
    return back[0].outputs[0] if back else value


def _all_users(value: ir.Value, op: str, graph: ir.Graph | ir.Function | None) -> list[ir.Node]:
    """Return what reads `value` where all of that are operators `op` of `graph` that take it as their first input."""
    uses = readers(value)
    fit = all(use.node.op_type == op and use.idx == 0 and use.node.graph is graph for use in uses)
    return [use.node for use in uses] if fit and not value.is_graph_output() else []


def _only_user(walk: _Walk) -> tuple[NodeView, int] | None:
    uses = readers(walk.value)
    if len(uses) != 1 or walk.value.is_graph_output() or uses[0].node.graph is not walk.graph:
        return None
    node = NodeView(uses[0].node, walk.model)
    return (node, uses[0].idx) if node.domain in _DOMAINS and node.node.outputs else None


def _through_step(walk: _Walk) -> bool | None:
    """Take one step that moves (True), shifts or scales (False) the neurons; None where the walk ends."""
    user = _only_user(walk)
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
    axes = moved_axes(node, index, walk.axes)
    if axes is not None:
        walk.step(result, axes)
        return True
    return _through_scale(walk, node, index)


def _after(node: NodeView, before: Quantization | None) -> Quantization | None:
    """Return what the integers that `node` makes stand for."""
    if node.op_type == "QuantizeLinear":
        return Quantization.of(node, 1, 2)
    return None if node.op_type in ("DequantizeLinear", "Cast") else before


def _through_scale(walk: _Walk, node: NodeView, index: int) -> bool | None:
    if node.op_type == "Neg":
        walk.step(node.node.outputs[0], walk.axes, -1.0)
        return False
    if node.op_type in ("Add", "Sub", "Mul", "Div"):
        constant = _along_neurons(node, 1 - index, walk)
        if constant is None or (node.op_type == "Div" and index == 1):
            return None
        if node.op_type == "Div":
            constant = 1 / constant
        walk.step(node.node.outputs[0], walk.axes, constant if node.op_type in ("Mul", "Div") else 1.0)
        return False
    if node.op_type in ("QLinearAdd", "QLinearMul") and index in (0, 3):
        return _through_integers(walk, node, 3 - index)
    if node.op_type == "BatchNormalization" and index == 0 and walk.axes == (1,):
        scale, variance = (_constant(node, i) for i in (1, 4))
        if scale is None or variance is None or node.attr("training_mode", 0) or scale.ndim != 1:
            return None
        walk.step(node.node.outputs[0], (1,), scale / np.sqrt(variance + node.attr("epsilon", 1e-5)))
        return False
    if node.op_type in _NORMALISATIONS and index == 0 and walk.axes == (1,):
        return _through_normalisation(walk, node)
    return _through_group_normalisation(walk, node) if index == 0 else None


def _through_integers(walk: _Walk, node: NodeView, other: int) -> bool | None:
    """Take a constant shift or scale of integers, which stand for real numbers."""
    stored, scale = _along_neurons(node, other, walk), _constant(node, other + 1)
    zero = _constant(node, other + 2) if node.has(other + 2) else np.zeros(())
    if stored is None or scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None
    real = (stored - zero.reshape(())) * scale.reshape(())
    walk.step(node.node.outputs[0], walk.axes, real if node.op_type == "QLinearMul" else 1.0)
    walk.quantization = Quantization.of(node, 6, 7)
    return False


def _through_normalisation(walk: _Walk, node: NodeView) -> bool | None:
    """Take a normalisation by instance or group; its constant scale per neuron is a factor."""
    scale, shape = _constant(node, 1), node.model.shape(walk.value)
    neurons = shape[1] if shape is not None else None
    if scale is None or not isinstance(neurons, int) or scale.size == 0 or neurons % scale.size:
        return None
    walk.step(node.node.outputs[0], (1,), np.repeat(scale.reshape(-1), neurons // scale.size))
    return False


def _through_group_normalisation(walk: _Walk, node: NodeView) -> bool | None:
    """Take Reshape, InstanceNormalization, Reshape back: what group normalisation was before it was an operator."""
    inner = _next(node, "InstanceNormalization") if node.op_type == "Reshape" else None
    back = _next(inner, "Reshape") if inner is not None else None
    if inner is None or back is None:
        return None
    result, before, scale = back.node.outputs[0], walk.model.shape(walk.value), _constant(inner, 1)
    if before is None or before != walk.model.shape(result) or scale is None or np.ptp(scale) != 0:
        return None
    walk.step(result, walk.axes, np.asarray(scale.reshape(-1)[0]))
    return False


def _next(node: NodeView, op: str) -> NodeView | None:
    """Return the only user of `node`'s result where it is an operator `op` that takes it as its first input."""
    users = _all_users(node.node.outputs[0], op, node.node.graph)
    return NodeView(users[0], node.model) if len(users) == 1 else None


def _constant(node: NodeView, index: int) -> Array | None:
    source = resolve(node.input(index), node.model)
    return None if isinstance(source, str) else np.asarray(read(source, node.model), dtype=np.float64)


def _along_neurons(node: NodeView, index: int, walk: _Walk) -> Array | None:
    """Return the constant operand as one number per neuron, or a single one; None where it varies otherwise."""
    value, rank = node.input(index), len(node.node.outputs[0].shape or ())
    if value is None or value.shape is None or rank != len(walk.value.shape or ()):
        return None
    shape = [1] * (rank - len(value.shape)) + list(value.shape)
    if len(shape) != rank or any(size != 1 for axis, size in enumerate(shape) if axis not in walk.axes):
        return None
    constant = _constant(node, index)
    if constant is None or constant.size <= 1:
        return None if constant is None else constant.reshape(())
    if len(walk.axes) == 1:
        return constant.reshape(-1)
    whole = walk.model.shape(walk.value)
    sizes = [whole[axis] for axis in walk.axes] if whole is not None else [None]
    if not all(isinstance(size, int) for size in sizes):
        return None
    others = tuple(axis for axis in range(rank) if axis not in walk.axes)
    per_neuron = np.transpose(constant.reshape((1,) * (rank - constant.ndim) + constant.shape), (*walk.axes, *others))
    known = [size for size in sizes if isinstance(size, int)]
    return np.broadcast_to(per_neuron.reshape(per_neuron.shape[: len(known)]), known).reshape(-1)


def _through_function(walk: _Walk) -> Function | None:
    """Take one activation function, a single operator or the pattern of one; None where none follows."""
    found = find_pattern(walk.value, walk.model, lambda node, index: _along_neurons(node, index, walk))
    if found is not None and found[2]:
        walk.step(found[0], walk.axes)
        walk.quantization = None  # a pattern ends in real numbers
        return found[1]
    user = _only_user(walk)
    if user is None:
        if found is not None:
            walk.step(found[0], walk.axes)
            walk.quantization = None
        return found[1] if found is not None else None
    node, index = user
    function = functions.OPERATORS.get(node.op_type) or functions.QUANTIZED.get(node.op_type)
    if function is None or index != 0:
        return None
    if node.op_type in functions.ALONG_AXIS and not _is_along(node, walk.axes):
        return None
    walk.step(node.node.outputs[0], walk.axes)
    if node.op_type in functions.QUANTIZED:
        walk.quantization = Quantization.of(node, 3, 4)
    return _clipped(node) if node.op_type == "Clip" else function


def _is_along(node: NodeView, axes: tuple[int, ...]) -> bool:
    rank = len(node.node.outputs[0].shape or ())
    given = node.attr("axis", -1)
    return rank > 0 and ((given % rank,) == axes or (node.opset < 13 and given <= min(axes)))


def _clipped(node: NodeView) -> Function:
    low = node.attr("min") if node.opset < 11 else node.const(1)
    return functions.clip(None if low is None else float(np.asarray(low).reshape(-1)[0]))
