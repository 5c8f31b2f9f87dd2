"""Where the activation of a neuron is read.

`follow` starts at a layer's output and walks through what only moves, shifts or scales the neurons (`passing`), then
through one activation function, as long as nothing outside that path uses the values on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from wua_onnx.layers import activation_functions as functions
from wua_onnx.layers.activation_functions import Function
from wua_onnx.layers.function_values import identify
from wua_onnx.layers.integer_functions import quantization_of
from wua_onnx.layers.over_neurons import written_function
from wua_onnx.layers.passing import pass_normalisation, pass_step
from wua_onnx.layers.patterns import find_pattern
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.side import Side
from wua_onnx.layers.sparsemax_pattern import written_sparsemax
from wua_onnx.layers.walk import Array, Walk, all_users, along_neurons, only_user
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

_MAX_STEPS = 64
_PRODUCTS = frozenset({"MatMul", "FusedMatMul"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """Where the neurons of one use of a weight are read.

    Attributes:
        value, axes: the tensor, and its axes along which the neurons lie.
        factor: the product of the constant scales on the way, shape (neurons,) or ().
        function: the activation function; None where the layer is linear.
        valid: how many positions of each sample are valid, and the axis that they lie along, None where the whole of a
            sample is valid or not; None where all are.
        lookups: the values are the rows that are looked up, and a neuron is a row.
        unread: why nothing can be read, empty where it can.
        quantization: what the integers of the tensor stand for; None where it holds real numbers.
        side: computes `value`, which is then no value of the model; None where the model does.
    """

    value: ir.Value
    axes: tuple[int, ...]
    factor: Array
    function: Function | None
    valid: tuple[ir.Value, int | None] | None = None
    lookups: bool = False
    unread: str = ""
    quantization: Quantization | None = None
    side: Side | None = None


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
    walk = Walk(model, graph, output, axes, np.ones((), np.float64), quantization)
    if activation == "pre":
        return Activation(value=output, axes=axes, factor=walk.factor, function=None, quantization=quantization)
    reading = unscaled = _read_at(walk)
    normalised = False
    for _ in range(_MAX_STEPS):
        function = _through_function(walk)
        if function is not None:
            return _read_at(walk, function)
        moves_only = pass_step(walk)
        if moves_only is None:
            if normalised or not pass_normalisation(walk):
                break
            normalised = True
        elif not moves_only and not normalised:
            reading = _read_at(walk)
            unscaled = unscaled if walk.scaled_alike else reading
    return unscaled if not normalised and _ends_in_a_product(walk) else reading


def _ends_in_a_product(walk: Walk) -> bool:
    """Return whether what reads the neurons multiplies them with something that is computed, too.

    A number that scales all of them is then part of that product: `1 / sqrt(size)` of attention, which one exporter
    writes before the product of queries and keys and another one after it.
    """
    user = only_user(walk)
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
    walk = Walk(model, graph, activation.value, activation.axes, activation.factor, activation.quantization)
    found = find_pattern(walk.value, model, lambda node, index: along_neurons(node, index, walk), values)
    if found is None or not found[2]:
        return replace(activation, function=identify(values) or activation.function)
    walk.step(found[0], walk.axes)
    return _read_at(walk, found[1])


def _read_at(walk: Walk, function: Function | None = None) -> Activation:
    """Return an activation read where the walk stands."""
    stored = _stored(walk.value, walk.graph)
    return Activation(
        value=stored,
        axes=walk.axes,
        factor=walk.factor,
        function=function,
        quantization=walk.quantization if stored is walk.value else None,
    )


def _stored(value: ir.Value, graph: ir.Graph | ir.Function | None) -> ir.Value:
    """Return `value` as the network stores it: behind the pair that quantizes it, where there is one.

    A quantized network never holds the value before it, and onnxruntime joins the pair with the layer.
    """
    quantized = all_users(value, "QuantizeLinear", graph)
    back = all_users(quantized[0].outputs[0], "DequantizeLinear", graph) if len(quantized) == 1 else []
    return back[0].outputs[0] if back else value


def _through_function(walk: Walk) -> Function | None:
    """Take one activation function, a single operator or the pattern of one; None where none follows."""
    written = written_function(walk) or written_sparsemax(walk)
    if written is not None:
        walk.step(written[0], walk.axes)
        return written[1]
    found = find_pattern(walk.value, walk.model, lambda node, index: along_neurons(node, index, walk))
    user = only_user(walk)
    if found is not None and (found[2] or user is None):
        walk.step(found[0], walk.axes)
        walk.quantization = quantization_of(found[0], walk.model)
        return found[1]
    if user is None:
        return None
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
