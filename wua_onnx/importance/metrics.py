"""Metrics of a layer from its importances: how evenly these are spread over its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from wua_onnx.importance.cells import Cells
from wua_onnx.importance.criteria import axis_of
from wua_onnx.importance.metric_values import LayerMetrics
from wua_onnx.importance.ranking import Array, Distribution, Ranking, neighbours, percentile, rank

SPARSITY_THRESHOLDS = (1e-2, 1e-3)
COVERAGE_SHARES = (0.5, 0.8, 0.9)
REFERENCE_PERCENTILE = 99.9

# Importances above this are divided by their peak before they are added up per neuron.
_SAFE_PEAK = 1e280
# Rows added one after another before partial sums are joined: bounds the rounding of tall matrices.
_ROWS = 1024


def layer_metrics(importance: Array, neuron_axis: int, *, ranking: Ranking | None = None) -> LayerMetrics:
    """Metrics of one layer from its importances (>= 0, any shape and real type), with one sort.

    `neuron_axis` is the axis whose index names the neuron; it matters for the split of the entropy alone.
    `ranking`: `rank(importance)`, where the caller has it already.

    Raises:
        WuaError: an importance is negative or no real number, or `neuron_axis` is no axis of the array.
    """
    importance = np.asarray(importance)
    axis = axis_of(importance, neuron_axis, "layer metrics")
    ranking = rank(importance) if ranking is None else ranking
    sums = _neuron_sums(importance, axis, ranking) if ranking.peak else np.zeros(0)
    return metrics_of(ranking, sums)


def metrics_of(spread: Distribution, neuron_sums: Array) -> LayerMetrics:
    """Metrics of a layer from the distribution of its importances and their sums per neuron, up to a common factor."""
    size, peak = spread.size, spread.peak
    sparsity = {t: spread.count_below(t) / size if size else 1.0 for t in SPARSITY_THRESHOLDS}
    if peak == 0.0:
        return _dead(size + spread.non_finite, spread.non_finite, sparsity)
    # With x = I/peak: H = ln Σx - Σ x ln x / Σx, and e^H = Σx · exp(-Σ x ln x / Σx) is exactly N when all are equal.
    inner = -spread.x_log_x / spread.total
    entropy = _clip(math.log(spread.total) + inner, 0.0, math.log(size))
    effective = _clip(spread.total * math.exp(inner), 1.0, float(size))
    normalized = _clip(entropy / math.log(size), 0.0, 1.0) if size > 1 else 1.0
    between = _clip(share_entropy(neuron_sums), 0.0, entropy)
    return LayerMetrics(
        total=size + spread.non_finite,
        non_finite=spread.non_finite,
        sum=spread.total * peak,
        entropy=entropy,
        between_neurons=between,
        within_neurons=entropy - between,
        normalized_entropy=normalized,
        effective=effective,
        utilization=effective / size,
        redundancy=1.0 - normalized,
        gini=_clip(spread.ranked / (size * spread.total), 0.0, 1.0 - 1.0 / size),
        sparsity=sparsity,
        relative_sparsity=_relative_sparsity(spread),
        coverage={c: spread.count_covering(c) / size for c in COVERAGE_SHARES},
        error_bound=_error_bound(spread) if isinstance(spread, Cells) else {},
    )


def metric_ranges(cells: Cells) -> list[tuple[float, float]]:
    """The ranges of importances that have to be told apart for the metrics."""
    ranges = [cells.value_bounds(cells.size - count) for c in COVERAGE_SHARES for count in cells.covering_bounds(c)]
    reference = _reference_bounds(cells)
    ranges += [cells.value_bounds(index) for index in neighbours(cells.size, REFERENCE_PERCENTILE)[:2]]
    ranges += [(t, t) for t in SPARSITY_THRESHOLDS]
    return ranges + [(t * reference[0], t * reference[1]) for t in SPARSITY_THRESHOLDS]


def _reference_bounds(cells: Cells) -> tuple[float, float]:
    """Between which values the reference of the relative sparsity lies."""
    lower, upper, _ = neighbours(cells.size, REFERENCE_PERCENTILE)
    return cells.value_bounds(lower)[0], cells.value_bounds(upper)[1]


def _error_bound(cells: Cells) -> dict[str, float]:
    """How far metrics of `cells` can be off; those that cannot are left out."""
    reference = percentile(cells, REFERENCE_PERCENTILE)
    lower, upper, _ = neighbours(cells.size, REFERENCE_PERCENTILE)
    exact = cells.value_bounds(lower)[0] == cells.value_bounds(lower)[1]
    exact = exact and cells.value_bounds(upper)[0] == cells.value_bounds(upper)[1]
    lowest, highest = (reference, reference) if exact else _reference_bounds(cells)
    bounds = {
        "gini": cells.gini_bound,
        "sparsity": max(_count_error(cells, t, t) for t in SPARSITY_THRESHOLDS),
        "relative_sparsity": max(_count_error(cells, t * lowest, t * highest) for t in SPARSITY_THRESHOLDS),
        "coverage": max(most - fewest for fewest, most in map(cells.covering_bounds, COVERAGE_SHARES)) / cells.size,
    }
    return {name: bound for name, bound in bounds.items() if bound > 0.0}


def _count_error(cells: Cells, lowest: float, highest: float) -> float:
    """How far the share below a threshold between these two can be off."""
    fewest, most = cells.count_below_bounds(lowest, highest)
    return (most - fewest) / cells.size


def neuron_importance(importance: Array, neuron_axis: int) -> Array:
    """Sum of the finite importances of each neuron, float64, shape `(neurons,)`; WuaError as in `layer_metrics`."""
    importance = np.asarray(importance)
    axis = axis_of(importance, neuron_axis, "neuron importance")
    finite = np.isfinite(importance)
    kept = importance if finite.all() else np.where(finite, importance, 0)
    with np.errstate(over="ignore"):
        return _sums_along(kept, axis)


def bands(metrics: LayerMetrics) -> dict[str, str]:
    """How to read the metrics, by metric, one word each: utilization, gini, redundancy."""
    return {
        "utilization": _band(metrics.utilization, (0.3, 0.7), ("redundant", "ordinary", "efficient")),
        "gini": _band(metrics.gini, (0.4, 0.6), ("uniform", "ordinary", "concentrated")),
        "redundancy": "severe" if metrics.redundancy > 0.7 else "ordinary",
    }


def _relative_sparsity(spread: Distribution) -> dict[float, float]:
    reference = percentile(spread, REFERENCE_PERCENTILE)
    return {t: spread.count_below(t * reference) / spread.size for t in SPARSITY_THRESHOLDS}


def _neuron_sums(importance: Array, axis: int, ranking: Ranking) -> Array:
    """Sums per neuron up to a common factor, without overflow."""
    if ranking.peak > _SAFE_PEAK:
        with np.errstate(invalid="ignore"):
            importance = importance / ranking.peak
    if ranking.non_finite:
        importance = np.where(np.isfinite(importance), importance, 0)
    return _sums_along(importance, axis)


def _sums_along(array: Array, axis: int) -> Array:
    """Sums over all axes but one, accumulated in float64."""
    neurons = array.shape[axis]
    inner = math.prod(array.shape[axis + 1 :])
    rows: Array = array.reshape(math.prod(array.shape[:axis]), neurons, inner)
    rows = rows[:, :, 0] if inner == 1 else rows.sum(axis=2, dtype=np.float64)
    parts = [rows[i : i + _ROWS].sum(axis=0, dtype=np.float64) for i in range(0, len(rows), _ROWS)]
    return np.sum(parts, axis=0) if parts else np.zeros(neurons)


def share_entropy(parts: Array) -> float:
    """Entropy in nats of shares proportional to `parts` (>= 0, finite, not all 0)."""
    x = parts / parts.max()
    x = x[x > 0]
    total = float(x.sum())
    return math.log(total) - float(np.sum(x * np.log(x))) / total


def _dead(total: int, non_finite: int, sparsity: Mapping[float, float]) -> LayerMetrics:
    """The metrics of a layer whose finite importances are all 0, or that has none."""
    return LayerMetrics(
        total=total,
        non_finite=non_finite,
        sum=0.0,
        entropy=0.0,
        between_neurons=0.0,
        within_neurons=0.0,
        normalized_entropy=0.0,
        effective=0.0,
        utilization=0.0,
        redundancy=1.0,
        gini=0.0,
        sparsity=sparsity,
        relative_sparsity=dict.fromkeys(SPARSITY_THRESHOLDS, 1.0),
        coverage=dict.fromkeys(COVERAGE_SHARES, 0.0),
    )


def _clip(value: float, low: float, high: float) -> float:
    """`value` with its rounding errors kept from leaving the range that the definition guarantees."""
    return min(max(value, low), high)


def _band(value: float, limits: tuple[float, float], words: tuple[str, str, str]) -> str:
    below, above = limits
    return words[0] if value < below else words[2] if value > above else words[1]
