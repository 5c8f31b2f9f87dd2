"""What an audit knows of dense layers -> the JSON of its neuron diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.diagrams.neurons import DenseLayer, network_json
from wua_onnx.importance.score import combined_mean
from wua_onnx.layers import Layer, Layers
from wua_onnx.recording import NeuronStatistics

Json: TypeAlias = dict[str, Any]

MAX_NETWORK_WEIGHTS = 200_000  # a neuron diagram reads its weights; beyond this it would show too little of them
MAX_NETWORK_LAYERS = 12
_MOVES, _MAX_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout"}), 8


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
