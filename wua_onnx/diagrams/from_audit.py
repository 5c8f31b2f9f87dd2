"""What an audit knows -> the JSON of its diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.cost import CostReport, NodeCost
from wua_onnx.cost.nodes import CONSTANT, SHAPE_ARITHMETIC, UNUSED
from wua_onnx.diagrams.neurons import DenseLayer, network_json
from wua_onnx.diagrams.overview import Box, Edge, Node, fold
from wua_onnx.importance.score import combined_mean
from wua_onnx.layers import Layer, Layers
from wua_onnx.layers.activation_functions import OPERATORS
from wua_onnx.model.dim_json import to_json
from wua_onnx.model.dims import symbols, total
from wua_onnx.model.graph import Model
from wua_onnx.model.limits import clean
from wua_onnx.recording import NeuronStatistics

Json: TypeAlias = dict[str, Any]

MAX_NETWORK_WEIGHTS = 200_000  # a neuron diagram reads its weights; beyond this it would show too little of them
MAX_NETWORK_LAYERS = 12
_MOVES, _MAX_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout"}), 8
_HIDDEN = (CONSTANT, UNUSED, SHAPE_ARITHMETIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A node that the graph diagram shows."""

    id: str
    cost: NodeCost | None
    layer: Mapping[str, Any] | None
    kind: str


def graph_json(model: Model, report: CostReport, layers: Sequence[Mapping[str, Any]], criterion: str) -> Json:
    """Return `diagrams.graph`: the graph folded to at most 60 boxes; constants and shape arithmetic are not drawn."""
    shown, nodes = _nodes(model, report, layers)
    overview = fold(nodes, _edges(model, shown))
    whole = sum(_size(node.cost) for node in shown.values())
    boxes = [_box(f"b{i}", box, shown, whole, criterion) for i, box in enumerate(overview.boxes)]
    return {
        "boxes": boxes,
        "edges": [{"from": f"b{edge.source}", "to": f"b{edge.target}", "label": edge.label} for edge in overview.edges],
        "folded": overview.folded,
        "left_out": overview.left_out,
    }


def _nodes(
    model: Model, report: CostReport, layers: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, _Shown], list[Node]]:
    by_node = {node: layer for layer in layers for node in layer["nodes"]}
    shown: dict[str, _Shown] = {}
    nodes: list[Node] = []
    for kind, values in (("input", model.inputs), ("output", model.ir_model.graph.outputs)):
        for position, value in enumerate(values):
            key = f"{kind}{position}"
            shown[key] = _Shown(id=key, cost=None, layer=None, kind=kind)
            nodes.append(Node(id=key, path=(), op=kind, label=clean(value.name)))
    outputs = nodes[len(model.inputs) :]
    del nodes[len(model.inputs) :]
    for position, (node, cost) in enumerate(zip(model.nodes, report.by_node, strict=True)):
        if cost.reason in _HIDDEN:
            continue
        layer = by_node.get(cost.name)
        kind = layer["kind"] if layer else "activation" if node.op_type in OPERATORS else "other"
        key = f"n{position}"
        shown[key] = _Shown(id=key, cost=cost, layer=layer, kind=kind)
        label = layer["name"] if layer else node.op_type
        nodes.append(Node(id=key, path=cost.module, op=node.op_type, label=label, cost=_size(cost)))
    return shown, nodes + outputs


def _edges(model: Model, shown: Mapping[str, _Shown]) -> list[Edge]:
    producer: dict[ir.Value, str] = {value: f"input{i}" for i, value in enumerate(model.inputs)}
    edges: list[Edge] = []

    def connect(value: ir.Value | None, target: str) -> None:
        source = producer.get(value) if value is not None else None
        if source is not None and value is not None:
            edges.append(Edge(source=source, target=target, label=_shape_text(model, value)))

    for position, node in enumerate(model.nodes):
        key = f"n{position}"
        if key in shown:
            for value in dict.fromkeys(node.node.inputs):
                connect(value, key)
            producer.update(dict.fromkeys(node.node.outputs, key))
    for position, value in enumerate(model.ir_model.graph.outputs):
        connect(value, f"output{position}")
    return edges


def _shape_text(model: Model, value: ir.Value) -> str:
    if value.shape is None:
        return "?"
    dims = [model.dim(dim) for dim in value.shape]
    return " × ".join("?" if dim is None else model.text(dim) for dim in dims)


def _size(cost: NodeCost | None) -> int:
    """Return the MACs of a node, free dimensions as 1: for shares alone."""
    if cost is None:
        return 0
    from wua_onnx.model.dims import substitute

    value = substitute(cost.cost.macs, dict.fromkeys(symbols(cost.cost.macs), 1))
    return value if isinstance(value, int) else 0


def _box(key: str, box: Box, shown: Mapping[str, _Shown], whole: int, criterion: str) -> Json:
    members = [shown[node] for node in box.nodes]
    first = members[0]
    layers = [member.layer for member in members if member.layer is not None]
    redundancies = [
        layer["criteria"][criterion]["metrics"]["redundancy"] for layer in layers if criterion in layer["criteria"]
    ]
    known = [value for value in redundancies if value is not None]
    costs = [member.cost for member in members if member.cost is not None]
    return {
        "id": key,
        "label": box.label or first.kind,
        "detail": _detail(members),
        "count": box.count,
        "macs": to_json(total(cost.cost.macs for cost in costs)),
        "share": sum(map(_size, costs)) / whole if whole else None,
        "redundancy": fsum(known) / len(known) if known else None,
        "kind": first.kind if len(members) == 1 else layers[0]["kind"] if layers else "other",
    }


def _detail(members: Sequence[_Shown]) -> str:
    if len(members) > 1:
        return f"{len(members):,} nodes"
    [member] = members
    if member.layer is not None:
        return f"{member.layer['op']} {'×'.join(map(str, member.layer['weight_shape']))}"
    return member.cost.op if member.cost is not None else ""


def neurons_json(
    layers: Layers, statistics: Mapping[str, tuple[NeuronStatistics, ...]], parts: Sequence[Mapping[str, Any]]
) -> Json | None:
    """Return `diagrams.network` where the model is a stack of small dense layers; None otherwise."""
    found = list(layers.by_name.values())
    return stack_json(found, statistics, parts) if found and _is_stack(found) else None


def _is_stack(layers: Sequence[Layer]) -> bool:
    fit = all(a.kind == b.kind and a.shape[1] == b.shape[0] and feeds(a, b) for a, b in pairwise(layers))
    small = sum(layer.size for layer in layers) <= MAX_NETWORK_WEIGHTS and len(layers) <= MAX_NETWORK_LAYERS
    return fit and small and all(layer.kind == "dense" and len(layer.uses) == 1 for layer in layers)


def feeds(before: Layer, after: Layer) -> bool:
    """Return whether the neurons of `before` are the inputs of `after`, nothing but rearrangements in between."""
    use = after.uses[0]
    value = next((v for v in use.node.node.inputs[:2] if v is not None and v not in after.model.constants), None)
    for _ in range(_MAX_MOVES):
        if value is None or value is before.activations[0].value:
            return value is not None
        node = value.producer()
        value = node.inputs[0] if node is not None and node.op_type in _MOVES and node.inputs else None
    return False


def stack_json(
    layers: Sequence[Layer],
    statistics: Mapping[str, tuple[NeuronStatistics, ...]],
    parts: Sequence[Mapping[str, Any]],
    threshold: float = 0.1,
) -> Json:
    """Return the neuron diagram of `layers`, dense ones that follow each other."""
    by_name = {part["name"]: part for part in parts}
    stack: list[DenseLayer] = []
    for layer in layers:
        recorded = statistics.get(layer.name, ())
        dead = np.zeros(layer.neurons, dtype=bool)
        dead[by_name[layer.name]["dead"] or []] = True
        values = combined_mean(layer, recorded) if recorded else None
        stack.append((layer.name, layer.weight(), values, dead))
    return network_json(stack, threshold=threshold)
