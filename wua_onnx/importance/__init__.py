"""How important each weight of a layer is, and how that importance is spread over the layer.

Arrays in, numbers out; nothing here knows of ONNX. A new criterion goes into `criteria`.
"""

from __future__ import annotations

from wua_onnx.importance.baseline import untrained
from wua_onnx.importance.criteria import Criterion, Statistics, criterion, criterion_names, get, recorded_for
from wua_onnx.importance.histogram import histogram
from wua_onnx.importance.metric_values import LayerMetrics
from wua_onnx.importance.metrics import bands, layer_metrics, neuron_importance
from wua_onnx.importance.ranking import Ranking, rank

__all__ = [
    "Criterion",
    "LayerMetrics",
    "Ranking",
    "Statistics",
    "bands",
    "criterion",
    "criterion_names",
    "get",
    "histogram",
    "layer_metrics",
    "neuron_importance",
    "rank",
    "recorded_for",
    "untrained",
]
