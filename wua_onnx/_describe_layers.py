"""The JSON of the layers of an audit: what they are, what they cost, what their weights and neurons do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx import importance
from wua_onnx._text import clean
from wua_onnx.cost import CostReport
from wua_onnx.cost.nodes import Path
from wua_onnx.importance.measured import MEMORY, Measured, Memory, measured
from wua_onnx.importance.score import can_score, combined_mean
from wua_onnx.layers import Layer, Layers
from wua_onnx.layers.kinds.recurrent import GATES
from wua_onnx.model.dim_json import to_json
from wua_onnx.model.dims import Dim, product, total
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView
from wua_onnx.model.scopes import folded_normalization, module_classes, source_line
from wua_onnx.recording import NeuronStatistics

Array: TypeAlias = np.ndarray[Any, Any]
Json: TypeAlias = dict[str, Any]

SHOWN_NEURONS = 64
LISTED_DEAD = 100_000
_THREADS = 4
_LARGE = 1 << 17  # weights; below, threads would wait for each other's Python longer than they compute


def describe_layers(
    layers: Layers,
    statistics: Mapping[str, tuple[NeuronStatistics, ...]],
    criteria: Sequence[str],
    cost: CostReport,
    memory: int = MEMORY,
    modules: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> list[Json]:
    """Return the JSON of every layer: large layers in parallel, the largest first, while small ones are done here.

    `memory`: bytes for the layers that are in memory at the same time; larger ones are read in slabs.
    `modules`: what a converter knows of each module by its path, as in `model.modules`.
    """
    shared = Memory(memory)
    models = {id(layer.model): layer.model for layer in layers.by_name.values()}
    by_node = {node: macs for model in models.values() for node, macs in _macs(model, cost)}

    def describe(name: str) -> Json:
        layer = layers.by_name[name]
        # The steps of a recurrent layer may read one product.
        nodes = {node.node: node for use in layer.uses for node in use.operators}
        known = [_share(by_node[node], view, layer) for node, view in nodes.items() if node in by_node]
        macs = to_json(total(known)) if len(known) == len(nodes) else None
        return {**_head(layer, modules), "macs": macs, **_scored(layer, statistics.get(name, ()), criteria, shared)}

    size = {name: layer.size for name, layer in layers.by_name.items()}
    with ThreadPoolExecutor(_THREADS) as pool:
        largest_first = sorted((name for name in size if size[name] >= _LARGE), key=lambda name: -size[name])
        large = {name: pool.submit(describe, name) for name in largest_first}
        small = {name: describe(name) for name in size if name not in large}
    return [small[name] if name in small else large[name].result() for name in size]


def _macs(model: Model, cost: CostReport) -> Iterator[tuple[ir.Node, Dim]]:
    """Yield what every node does, those inside of others times how often they run."""
    for node, own in zip(model.nodes, cost.by_node, strict=True):
        yield node.node, own.cost.macs
        inner = dict(own.inner)
        pending: list[tuple[ir.Node, Path]] = [(node.node, ())] if inner else []
        while pending:
            outer, path = pending.pop()
            for name, graph in NodeView(outer, model).graphs().items():
                for number, inside in enumerate(graph):
                    place = (*path, (name, number))
                    if place in inner:
                        yield inside, inner[place].macs
                        pending.append((inside, place))


def _share(macs: Dim, node: NodeView, layer: Layer) -> Dim:
    """Return the MACs of `node` that are products with the weight of `layer`: an LSTM, GRU or RNN has two weights."""
    if node.op_type not in GATES:
        return macs
    if layer.uses[0].parameter == "P":
        return 0  # convention 3
    return macs * layer.size // total(product(node.shape(index)) for index in (1, 2))


def _head(layer: Layer, modules: Mapping[str, Mapping[str, str]] = MappingProxyType({})) -> Json:
    function = layer.activations[0].function
    return {
        "name": layer.name,
        "kind": layer.kind,
        "op": layer.uses[0].node.op_type,
        "nodes": list(dict.fromkeys(node.name for use in layer.uses for node in use.operators)),
        **_authored(layer.uses[0].node, modules),
        "uses": len(layer.uses),
        "weight": clean(layer.weight_name),
        "dtype": layer.dtype.name,
        "weight_shape": list(layer.shape),
        "neuron_axis": layer.neuron_axis,
        "neurons": layer.neurons,
        "weights": layer.size,
        "activation": function.name if function else None,
    }


def _authored(node: NodeView, modules: Mapping[str, Mapping[str, str]]) -> Json:
    """Return where the author's code has the layer: the path, the class and the line of its module; None if unknown.

    And the batch normalisation that was folded into it, where one was.
    """
    path = node.module_name
    known = modules.get(path, {})
    name = known.get("class") or module_classes(node.node).get(path)
    folded = known.get("folded") or folded_normalization(node.node)
    return {
        "module": path or None,
        "module_class": clean(name) if name else None,
        "source": known.get("line") or source_line(node.node),
        **({"folded": clean(folded)} if folded else {}),
    }


def describe_unread(layer: Layer) -> Json:
    """Return the JSON of a layer without anything that its weights would have to be read for."""
    return {**_head(layer), "dead_neurons": None, "criteria": {}}


def _scored(layer: Layer, statistics: tuple[NeuronStatistics, ...], criteria: Sequence[str], memory: Memory) -> Json:
    means = combined_mean(layer, statistics) if statistics else None
    found = {name: measured(layer, name, statistics, memory) for name in criteria if can_score(layer, name, statistics)}
    first = next(iter(found.values()), None)
    dead = None if first is None else _dead(layer, statistics, first.neurons)
    beyond = max((each.beyond_memory or 0 for each in found.values()), default=0)
    return {
        "mean_activation": _summary(means, statistics),
        "dead": None if dead is None else dead[:LISTED_DEAD],
        "dead_neurons": None if dead is None else len(dead),
        "always_on": _always_on(layer, statistics),
        "non_finite": max((each.metrics.non_finite for each in found.values()), default=0),
        "criteria": {name: _criterion(layer, each) for name, each in found.items()},
        **({"beyond_memory": beyond} if beyond else {}),
    }


def _criterion(layer: Layer, found: Measured) -> Json:
    metrics, (edges, counts) = found.metrics, found.histogram
    strongest = np.argsort(-found.neurons, kind="stable")[:SHOWN_NEURONS]
    data: Json = {
        "metrics": metrics.to_dict(),
        "baseline": None if metrics.baseline is None else metrics.baseline.to_dict(),
        "bands": importance.bands(metrics),
        "between_neurons": metrics.between_neurons,
        "within_neurons": metrics.within_neurons,
        "histogram": {"edges": [float(x) for x in edges], "counts": [int(x) for x in counts]},
        "lorenz": list(found.lorenz),
        "neuron_importance": [float(x) for x in found.neurons[strongest]],
        "strongest": [int(i) for i in strongest],
        "heat_map": None if found.heat_map is None else found.heat_map.to_dict(),
    }
    if found.gates:
        data["gates"] = [gate.to_dict() for gate in found.gates]
    return data


def _dead(layer: Layer, statistics: tuple[NeuronStatistics, ...], sums: Array) -> list[int]:
    """Return the dead neurons: silent in every use; without data, those whose incoming weights are all 0."""
    fitting = [
        part.dead(activation.function is not None and activation.function.smooth)
        for part, activation in zip(statistics, layer.activations, strict=False)
        if part.positions and part.mean.size == layer.neurons
    ]
    silent = np.logical_and.reduce(fitting) if fitting else sums == 0
    return [int(i) for i in np.flatnonzero(silent)]


def _always_on(layer: Layer, statistics: tuple[NeuronStatistics, ...]) -> int | None:
    """Return how many neurons are above 0 for every sample, in every use; None where firing was not recorded."""
    rates = [part.firing_rate for part in statistics if part.firing_rate is not None]
    fitting = [rate >= 1 for rate in rates if rate.size == layer.neurons]
    return int(np.logical_and.reduce(fitting).sum()) if fitting else None


def _summary(means: Array | None, statistics: tuple[NeuronStatistics, ...]) -> Json | None:
    if means is None or not np.isfinite(means).any():
        return None
    finite = means[np.isfinite(means)]
    errors = next((part for part in statistics if part.positions), statistics[0]).standard_error
    error = float(np.nanmean(errors)) if np.isfinite(errors).any() else None
    return {
        "min": float(finite.min()),
        "mean": float(finite.mean()),
        "max": float(finite.max()),
        "standard_error": error,
    }
