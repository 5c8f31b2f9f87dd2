"""From a layer, its recording and a criterion to scores and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wua_onnx.importance import baseline, criteria
from wua_onnx.importance.histogram import histogram
from wua_onnx.importance.metrics import LayerMetrics, layer_metrics
from wua_onnx.importance.ranking import Array, rank
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
        recorded = {"mean": statistics[index].mean} if statistics else {}
        scores = rule(layer.weight(index), use.neuron_axis, recorded)
        if len(layer.uses) == 1:
            return scores
        part = layer.aligned(scores, index).astype(np.float64) * (weights[index] / (sum(weights) or 1.0))
        total = part if total is None else total + part
    assert total is not None
    return total


def combined_mean(layer: Layer, statistics: Sequence[NeuronStatistics]) -> Array:
    """Return mean |a| of each neuron over all uses, shape (neurons,)."""
    counts = np.array([part.positions for part in statistics], dtype=np.float64)
    fitting = [i for i, part in enumerate(statistics) if part.mean.size == layer.neurons]
    shares = counts[fitting] / (counts[fitting].sum() or 1.0)
    return np.asarray(sum(share * statistics[i].mean for share, i in zip(shares, fitting, strict=True)))


def measure(layer: Layer, scores: Array, means: Array | None) -> tuple[LayerMetrics, tuple[Array, Array]]:
    """Return the metrics of `scores` beside those of an untrained layer, and their histogram; one sort in all.

    Args:
        layer: the layer.
        scores: importances, in the shape of the canonical weight.
        means: mean |a| of each neuron where the criterion uses it.
    """
    ranking = rank(scores)
    metrics = layer_metrics(scores, layer.neuron_axis, ranking=ranking)
    untrained = baseline.untrained(layer.shape, layer.neuron_axis, means)
    return replace(metrics, baseline=untrained), histogram(scores, ranking=ranking)
