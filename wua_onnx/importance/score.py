"""From a layer, its recording and a criterion to scores and metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wua_onnx.importance import baseline, criteria
from wua_onnx.importance.metric_values import LayerMetrics
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
    for index, share in shares_of(layer, statistics).items():
        recorded = recorded_of(layer, index, statistics[index]) if statistics else {}
        scores = rule(layer.weight(index), layer.uses[index].neuron_axis, recorded)
        if len(layer.uses) == 1:
            return scores
        part = layer.aligned(scores, index).astype(np.float64) * share
        total = part if total is None else total + part
    assert total is not None
    return total


def shares_of(layer: Layer, statistics: Sequence[NeuronStatistics]) -> dict[int, float]:
    """Return the uses of a layer that are scored, by number, and the weight of each in the average.

    Where some uses never ran, in a branch that was not taken, only those that did count.
    """
    counts = [float(part.positions) for part in statistics] or [1.0] * len(layer.uses)
    whole = sum(counts)
    return {index: count / whole if whole else 0.0 for index, count in enumerate(counts) if count or not whole}


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
    if len(statistics) != len(layer.uses):
        return False
    return all(needs <= set(recorded_of(layer, index, statistics[index])) for index in shares_of(layer, statistics))


def combined_mean(layer: Layer, statistics: Sequence[NeuronStatistics]) -> Array:
    """Return mean |a| of each neuron over all uses that see the weight as the first does, shape (neurons,).

    NaN where none of these was recorded.
    """
    fitting = _as_the_first(layer, statistics)
    whole = sum(statistics[index].positions for index in fitting) or 1
    means = [statistics[index].mean * (statistics[index].positions / whole) for index in fitting]
    return np.sum(means, axis=0) if means else np.full(layer.neurons, np.nan)


def _as_the_first(layer: Layer, statistics: Sequence[NeuronStatistics]) -> list[int]:
    """Return the recorded uses that see the weight as the first does, by number."""
    return [index for index in shares_of(layer, statistics) if layer.uses[index].order == layer.uses[0].order]


def scales_of(layer: Layer, name: str, statistics: Sequence[NeuronStatistics]) -> Array | None:
    """Return what criterion `name` multiplies |w| with, as an array that broadcasts.

    None where it takes |w| alone, or where no use was recorded that sees the weight as the first does.
    """
    needs = criteria.get(name).needs
    fitting = _as_the_first(layer, statistics) if needs else []
    if not fitting:
        return None
    if "input" in needs:
        return recorded_of(layer, fitting[0], statistics[fitting[0]])["input"]
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
