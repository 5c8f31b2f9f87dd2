"""From a layer, its recording and a criterion to scores and metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wua_onnx.importance import baseline, criteria
from wua_onnx.importance.metrics import LayerMetrics
from wua_onnx.importance.ranking import Array
from wua_onnx.layers import Layer
from wua_onnx.recording.statistics import NeuronStatistics


def score(layer: Layer, name: str, statistics: Sequence[NeuronStatistics]) -> Array:
    """Return the importance of every weight of `layer` by criterion `name`, in the shape of the canonical weight.

    Several uses of one weight are scored one by one and averaged, each weighted by how many values its neurons had.

    Args:
        layer: the layer; its weight is read.
        name: a registered criterion.
        statistics: one for each use; empty where the criterion needs none.
    """
    rule = criteria.get(name)
    total: Array | None = None
    weights = [1.0] * len(layer.uses) if not statistics else [float(part.positions) for part in statistics]
    for index, use in enumerate(layer.uses):
        recorded = recorded_of(layer, index, statistics[index]) if statistics else {}
        scores = rule(layer.weight(index), use.neuron_axis, recorded)
        if len(layer.uses) == 1:
            return scores
        part = layer.aligned(scores, index).astype(np.float64) * (weights[index] / (sum(weights) or 1.0))
        total = part if total is None else total + part
    assert total is not None
    return total


def recorded_of(layer: Layer, index: int, statistics: NeuronStatistics) -> dict[str, Array]:
    """Return what was recorded of one use of a layer as criteria take it, see `wua_onnx.importance.criteria`."""
    use, recorded = layer.uses[index], {"mean": statistics.mean}
    if layer.activations[index].lookups:  # a row is multiplied with 1 in every lookup
        norms = np.sqrt(statistics.mean * statistics.positions)
        return recorded | {"input": norms.reshape(-1, *[1] * (len(layer.shape) - 1))}
    if statistics.input_norms is not None and use.features is not None:
        return recorded | {"input": use.features.spread(statistics.input_norms)}
    return recorded


def can_score(layer: Layer, name: str, statistics: Sequence[NeuronStatistics]) -> bool:
    """Return whether everything that criterion `name` needs was recorded of `layer`."""
    needs = set(criteria.get(name).needs)
    if not needs:
        return True
    known = [set(recorded_of(layer, i, part)) for i, part in enumerate(statistics)]
    return len(known) == len(layer.uses) and all(needs <= each for each in known)


def combined_mean(layer: Layer, statistics: Sequence[NeuronStatistics]) -> Array:
    """Return mean |a| of each neuron over all uses that see the weight as the first does, shape (neurons,)."""
    counts = np.array([part.positions for part in statistics], dtype=np.float64)
    fitting = [i for i in range(len(statistics)) if layer.uses[i].order == layer.uses[0].order]
    shares = counts[fitting] / (counts[fitting].sum() or 1.0)
    return np.asarray(sum(share * statistics[i].mean for share, i in zip(shares, fitting, strict=True)))


def scales_of(layer: Layer, name: str, statistics: Sequence[NeuronStatistics]) -> Array | None:
    """Return what criterion `name` multiplies |w| with, as an array that broadcasts; None where it takes |w| alone."""
    needs = criteria.get(name).needs
    if not needs:
        return None
    if "input" in needs:
        return recorded_of(layer, 0, statistics[0])["input"]
    return combined_mean(layer, statistics).reshape(
        [-1 if i == layer.neuron_axis else 1 for i in range(len(layer.shape))]
    )


def untrained(layer: Layer, scales: Array | None) -> LayerMetrics:
    """Return the metrics of an untrained layer like `layer`; `scales`: see `scales_of`."""
    varying = [axis for axis, size in enumerate(scales.shape) if size != 1] if scales is not None else []
    if scales is None or not set(varying) - {layer.neuron_axis}:
        return baseline.untrained(
            layer.shape, layer.neuron_axis, None if scales is None else _per_neuron(layer, scales)
        )
    groups = math.prod(layer.shape[axis] for axis in varying)
    drawn = baseline.untrained((groups, layer.size // groups), 0, scales.reshape(-1))
    return replace(drawn, between_neurons=math.nan, within_neurons=math.nan)  # groups are no neurons


def _per_neuron(layer: Layer, scales: Array) -> Array:
    return np.asarray(np.broadcast_to(scales.reshape(-1), layer.neurons))
