"""From the graph to its layers, and an account of every parameter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost.memory import is_parameter, parameter_values
from wua_onnx.layers.activations import Activation, follow, follow_on
from wua_onnx.layers.fixed_numbers import with_fixed_numbers
from wua_onnx.layers.inside import values_inside
from wua_onnx.layers.layer import Layer, Use
from wua_onnx.layers.loop_weights import with_loop_weights
from wua_onnx.layers.naming import layer_name, unique
from wua_onnx.layers.parts import Part, conflict
from wua_onnx.layers.recurrence import recurrences
from wua_onnx.layers.registry import recognise
from wua_onnx.layers.roles import is_unknown, role, role_of
from wua_onnx.layers.sources import beside
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

_Owned: TypeAlias = tuple[ir.Value, Part | None]  # an initializer and what of it
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, slots=True)
class Declined:
    """Parameters that are not analysed, and why; `weight` where they are some layer's, which could not be analysed."""

    name: str
    elements: int
    reason: str
    weight: bool = False


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


def find_layers(model: Model, *, activation: str = "post", normalization: bool = False) -> Layers:
    """Return the layers of `model`, those inside of branches and loops too; no weight is read.

    Args:
        model: the model.
        activation: "post" reads a neuron after its activation function, "pre" at the layer's own output.
        normalization: the scales of normalisations are layers, too.
    """
    uses: dict[_Owned, list[Use]] = {}
    reasons: dict[ir.Value, str] = {}
    computing = set[ir.Value]()  # what weights are computed from, beside them
    model = with_fixed_numbers(with_loop_weights(model))
    nodes = list(_living(model))
    written_out = recurrences(model, nodes)
    for node in nodes:
        replaced = written_out.get(node.node)
        for found in recognise(node, normalization=normalization) if replaced is None else replaced:
            if isinstance(found, str):
                reasons |= dict.fromkeys(_weights_of(node), f"{clean(node.op_type)}: {found}")
            elif is_parameter(found.source.root):
                why = f"part of what the weight of {found.node.where} is computed from"
                others = dict.fromkeys(beside(found.source, model), why)
                reasons |= others
                computing |= others.keys()
                uses.setdefault((found.source.root, found.source.part), []).append(found)
    contested = _contested(uses)
    groups = [group for (root, _), group in uses.items() if root not in contested]
    names = unique(layer_name(group[0], model) for group in groups)
    by_name = {name: _layer(name, group, model, activation) for name, group in zip(names, groups, strict=True)}
    values, owned = parameter_values(model), Counter[ir.Value]()
    for first, *_ in groups:
        owned[first.source.root] += first.source.stored
    reasons |= contested
    declined = tuple(
        _declined(value, owned[value], reasons, model, is_weight=value in reasons and value not in computing)
        for value in values
        if value not in owned or owned[value] < _elements(value)
    )
    return Layers(by_name, declined, sum(map(_elements, values)))


def _contested(uses: Iterable[_Owned]) -> dict[ir.Value, str]:
    """Return the initializers whose parts cannot be layers of their own, and why."""
    parts: dict[ir.Value, list[Part | None]] = {}
    for root, part in uses:
        parts.setdefault(root, []).append(part)
    found = {root: conflict(own) for root, own in parts.items()}
    return {root: problem for root, problem in found.items() if problem is not None}


def _weights_of(node: NodeView) -> Iterator[ir.Value]:
    """Yield what the constant inputs of `node` are computed from, biases and parameters of quantization left out."""
    told = ("bias", "quantization parameter")
    pending = [
        value
        for index, value in enumerate(node.node.inputs)
        if value is not None and value in node.model.constants and not role_of(node.node, index).endswith(told)
    ]
    seen = set(pending)
    while pending:
        value = pending.pop()
        producer = value.producer()
        yield value
        operands = () if producer is None else producer.inputs
        operands = operands[:1] if producer is not None and producer.op_type in _QUANTIZING else operands
        behind = [operand for operand in operands if operand is not None and operand not in seen]
        seen.update(behind)
        pending.extend(behind)


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
    if use.side is not None and not hidden:
        return Activation(
            value=use.side.value,
            axes=use.side.axes,
            factor=np.ones((), np.float64),
            function=use.function,
            valid=use.valid,
            lookups=use.reads == "lookups",
            side=use.side,
        )
    reading = Activation(
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
    values = values_inside(use.node) if use.function is not None and not hidden else None
    return reading if values is None else follow_on(reading, model, values)


def _declined(
    value: ir.Value, owned: int, reasons: Mapping[ir.Value, str], model: Model, *, is_weight: bool
) -> Declined:
    """Return what is left of `value` beside the `owned` elements that are in layers."""
    if owned:
        reason = reasons.get(value, "no layer uses this part of it")
        return Declined(f"{clean(value.name)} (the rest)", _elements(value) - owned, reason, is_weight)
    reason = reasons.get(value) or role(value, model)
    return Declined(clean(value.name), _elements(value), reason, is_weight or is_unknown(reason))


def _elements(value: ir.Value) -> int:
    return int(value.const_value.size) if value.const_value is not None else 0
