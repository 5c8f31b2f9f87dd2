"""How the importance of a recurrent layer is spread over its gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wua_onnx.importance.metric_values import LayerMetrics
from wua_onnx.importance.metrics import layer_metrics, metric_ranges, metrics_of
from wua_onnx.importance.ranking import Array
from wua_onnx.importance.streaming import Chunks, distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate of a recurrent layer.

    Attributes:
        name: as the specification of ONNX calls it: input, output, forget, cell; update, reset, hidden.
        share: its part of the layer's importance, 0 to 1.
        utilization, redundancy, gini: the metrics of its weights alone, see `LayerMetrics`.
    """

    name: str
    share: float
    utilization: float
    redundancy: float
    gini: float

    def to_dict(self) -> dict[str, Any]:
        """Return the gate in JSON's own types."""
        return asdict(self)


def gates(scores: Array, names: Sequence[str], neuron_axis: int = 1) -> tuple[Gate, ...]:
    """Return each gate of the importances `scores`, shape (gates, ...), neurons along `neuron_axis`."""
    return _of([layer_metrics(part, neuron_axis - 1) for part in scores], names)


def gates_in_slabs(chunks: Chunks, names: Sequence[str]) -> tuple[Gate, ...]:
    """Return each gate of importances that come in pieces of shape (gates, ...), every gate in each."""
    return _of([_of_gate(chunks, index) for index in range(len(names))], names)


def _of_gate(chunks: Chunks, index: int) -> LayerMetrics:
    cells = distribution(lambda: (piece[index] for piece in chunks()), metric_ranges)
    return metrics_of(cells, np.ones(1))  # sums of neurons decide nothing that is told of a gate


def _of(each: Sequence[LayerMetrics], names: Sequence[str]) -> tuple[Gate, ...]:
    whole = float(np.sum([metrics.sum for metrics in each]))
    return tuple(
        Gate(
            name=name,
            share=metrics.sum / whole if whole > 0 else 0.0,
            utilization=metrics.utilization,
            redundancy=metrics.redundancy,
            gini=metrics.gini,
        )
        for name, metrics in zip(names, each, strict=True)
    )
