"""What goes with a neuron when it is removed: its bias, and the weights that read it and nothing else.

A neuron is followed from the layer to its activation, and from there through what treats every neuron alike to the
layers that read it. What is not known for certain is not counted: a neuron that is added to something else, that is an
output of the model, or that an operator reads which is no layer, frees no weight behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx.cost.memory import is_parameter
from wua_onnx.layers.axes import kept_axes, readers
from wua_onnx.layers.layer import Layer, Use
from wua_onnx.layers.weights import WeightSource, resolve
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

_MOST = 40  # operators followed
_ALIKE = frozenset(
    {"Cast", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear"}
    | {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool"}
)
_MOVES = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class Freed:
    """What one neuron of a layer frees beside its incoming weights.

    Attributes:
        parameters: biases, and scales and shifts of normalisations, that belong to it alone.
        weights: how many weights of each layer read it, by the layer's name; empty where that is not known.
    """

    parameters: int
    weights: Mapping[str, int]


NOTHING_ELSE = Freed(0, {})


def freed_by_neurons(layers: Mapping[str, Layer]) -> dict[str, Freed]:
    """Return what a neuron of each dense layer and convolution frees, by the layer's name."""
    reading: dict[ir.Node, list[tuple[str, Use]]] = {}
    for name, layer in layers.items():
        for use in layer.uses:
            for node in use.operators:
                reading.setdefault(node.node, []).append((name, use))
    fitting = {name: layer for name, layer in layers.items() if _is_fitting(layer)}
    return {name: _freed(layer, reading, layers) for name, layer in fitting.items()}


def _is_fitting(layer: Layer) -> bool:
    use, activation = layer.uses[0], layer.activations[0]
    return (
        len(layer.uses) == 1
        and layer.kind in ("dense", "convolution")
        and not (use.side or activation.unread or activation.lookups)
    )


def _freed(layer: Layer, reading: Mapping[ir.Node, list[tuple[str, Use]]], layers: Mapping[str, Layer]) -> Freed:
    own, activation = _own(layer), layer.activations[0]
    if activation.value.is_graph_output():
        return Freed(own, {})
    found: dict[str, int] = {}
    for node, value, axes in _readers(activation.value, activation.axes, layer.model):
        fitting = [
            (name, use)
            for name, use in reading.get(node, ())
            if use.features is not None and use.features.value is value and use.features.axes == axes
        ]
        if len(fitting) != 1 or len(layers[fitting[0][0]].uses) != 1 or layers[fitting[0][0]].size % layer.neurons:
            return Freed(own, {})
        name = fitting[0][0]
        found[name] = layers[name].size // layer.neurons
    return Freed(own, found)


def _readers(
    start: ir.Value, axes: tuple[int, ...], model: Model
) -> Iterator[tuple[ir.Node, ir.Value, tuple[int, ...]]]:
    """Yield who reads neurons that lie along `axes`, which tensor, and its axes; an output of the model likewise."""
    pending, steps = [(start, axes)], 0
    while pending:
        value, along = pending.pop()
        for use in readers(value):
            steps += 1
            result = use.node.outputs[0] if use.node.outputs else None
            moved = _moved(NodeView(use.node, model), value, along) if use.idx == 0 and steps < _MOST else None
            if moved is None or result is None or result.is_graph_output() or value.is_graph_output():
                yield use.node, value, along
            else:
                pending.append((result, moved))


def _moved(node: NodeView, value: ir.Value, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return along which axes of a result the neurons lie, with positions merged in; None where that is not known."""
    if node.domain or node.op_type not in _ALIKE | _MOVES:
        return None
    if node.op_type in _ALIKE:
        return axes if "Pool" not in node.op_type or axes == (1,) else None
    before, after = node.model.shape(value), node.model.shape(node.node.outputs[0])
    if node.op_type == "Transpose":
        permutation: Sequence[int] = node.attr("perm") or tuple(reversed(range(len(before or ()))))
        return tuple(permutation.index(axis) for axis in axes)
    if before is None or after is None:
        return None
    found = kept_axes(before, after, axes)
    return kept_axes(before, after, range(axes[0], len(before))) if found is None and len(axes) == 1 else found


def _own(layer: Layer) -> int:
    """Return how many parameters each neuron has beside its weights."""
    weight, model = layer.uses[0].source.root, layer.model
    found = [source for value in _constants(layer) if not isinstance(source := _alone(value, model), str)]
    return sum(source.stored == layer.neurons and source.root is not weight for source in found)


def _constants(layer: Layer) -> Iterator[ir.Value]:
    """Yield the constants of the layer's operator and of those between it and the activation."""
    use, end = layer.uses[0], layer.activations[0].value
    nodes, pending = [use.node.node], [use.output] if use.output is not end else []
    while pending and len(nodes) < _MOST:
        for reader in readers(pending.pop()):
            if reader.node not in nodes:
                nodes.append(reader.node)
                pending.extend(value for value in reader.node.outputs if value is not end)
    for node in nodes:
        yield from (value for value in node.inputs if value is not None and value in layer.model.constants)


def _alone(value: ir.Value, model: Model) -> WeightSource | str:
    """Return where a constant comes from that one operator alone reads, or why it is none that is a parameter."""
    source = resolve(value, model)
    if isinstance(source, str) or source.part is not None or not is_parameter(source.root):
        return "no parameter"
    return source if len(source.root.uses()) == len(value.uses()) == 1 else "used elsewhere, too"
