"""From the graph to its layers, and an account of every parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from wua_onnx.cost.memory import is_parameter, parameter_values
from wua_onnx.layers.activations import Activation, follow
from wua_onnx.layers.layer import Layer, Use
from wua_onnx.layers.naming import layer_name, unique
from wua_onnx.layers.registry import recognise
from wua_onnx.model.graph import Model, NodeView
from wua_onnx.model.limits import clean


@dataclass(frozen=True, slots=True)
class Declined:
    """Parameters that are not analysed, and why."""

    name: str
    elements: int
    reason: str


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a model by name, and the parameters outside them.

    Attributes:
        by_name: the layers, in file order of their first use.
        declined: every other parameter; with the layers' elements they sum to `parameters`.
        parameters: the number of parameter elements of the model.
    """

    by_name: Mapping[str, Layer]
    declined: tuple[Declined, ...]
    parameters: int


def find_layers(model: Model, *, activation: str = "post") -> Layers:
    """Return the layers of `model`, those inside of branches and loops too; no weight is read.

    Args:
        model: the model.
        activation: "post" reads a neuron after its activation function, "pre" at the layer's own output.
    """
    uses: dict[ir.Value, list[Use]] = {}
    reasons: dict[ir.Value, str] = {}
    for node in _living(model):
        for found in recognise(node):
            if isinstance(found, str):
                reasons |= {value: f"{clean(node.op_type)}: {found}" for value in node.node.inputs if value is not None}
            elif is_parameter(found.source.root):
                uses.setdefault(found.source.root, []).append(found)
    names = unique(layer_name(group[0], model) for group in uses.values())
    by_name = {name: _layer(name, group, model, activation) for name, group in zip(names, uses.values(), strict=True)}
    values = parameter_values(model)
    declined = tuple(_declined(value, reasons, model) for value in values if value not in uses)
    total = sum(int(value.const_value.size) for value in values if value.const_value is not None)
    return Layers(by_name, declined, total)


def _living(model: Model) -> Iterator[NodeView]:
    """Yield the nodes that some output depends on, each before those of the graphs inside it."""
    pending = [iter(node for node in model.nodes if node.node in model.reachable)]
    while pending:
        node = next(pending[-1], None)
        if node is None:
            pending.pop()
            continue
        yield node
        pending.extend(iter(NodeView(inner, model) for inner in graph) for graph in node.graphs().values())


def _layer(name: str, uses: list[Use], model: Model, activation: str) -> Layer:
    first = uses[0]
    tensor = first.source.root.const_value
    assert tensor is not None
    return Layer(
        name=name,
        model=model,
        uses=tuple(uses),
        activations=tuple(_activation(use, model, activation) for use in uses),
        shape=first.arrangement.shape,
        dtype=tensor.dtype,
    )


def _activation(use: Use, model: Model, activation: str) -> Activation:
    if use.reads == "after":
        return follow(use.output, use.output_axes, model, activation, use.quantization)
    hidden = activation == "pre" and use.function is not None
    return Activation(
        value=use.output,
        axes=use.output_axes,
        factor=np.ones((), np.float64),
        function=use.function,
        valid=use.valid,
        lookups=use.reads == "lookups",
        unread=f"{clean(use.node.op_type)} shows its result only behind the activation function"
        if hidden
        else use.unread,
        quantization=use.quantization,
    )


_BIASES = frozenset(
    {("Conv", 2), ("Gemm", 2), ("ConvTranspose", 2), ("DeformConv", 3), ("LSTM", 3), ("GRU", 3), ("RNN", 3)}
)
_ROLES = {
    "BatchNormalization": "scale, shift or statistics of a normalisation",
    "InstanceNormalization": "scale or shift of a normalisation",
    "GroupNormalization": "scale or shift of a normalisation",
    "LayerNormalization": "scale or shift of a normalisation",
    "RMSNormalization": "scale of a normalisation",
    "Add": "bias or constant shift",
    "Sub": "bias or constant shift",
    "Mul": "constant scale",
    "Div": "constant scale",
    "Gather": "table of constants",
    "PRelu": "slope of an activation function",
    "Clip": "bound",
    "Concat": "constant part of an activation",
    "Expand": "constant part of an activation",
    "Max": "bound",
    "Min": "bound",
    "Pad": "padding value",
    "Pow": "exponent",
    "QuantizeLinear": "quantization parameter",
    "Resize": "scales or region of a Resize",
    "Where": "constant alternative",
    "DequantizeLinear": "quantization parameter",
}


def _declined(value: ir.Value, reasons: Mapping[ir.Value, str], model: Model) -> Declined:
    tensor = value.const_value
    elements = int(tensor.size) if tensor is not None else 0
    return Declined(clean(value.name), elements, reasons.get(value) or _role(value, model))


def _role(value: ir.Value, model: Model) -> str:
    """Return what a parameter that no layer owns is for."""
    use = next(iter(value.uses()))
    op = clean(use.node.op_type)
    inner = [other for other in value.uses() if other.node.graph is not model.ir_model.graph]
    if not inner and not any(other.node in model.reachable for other in value.uses()):
        return "used only by nodes that reach no output"
    if (use.node.op_type, use.idx) in _BIASES:
        return "bias"
    return _ROLES.get(use.node.op_type, f"weight of {op}: this kind of layer is not analysed yet")
