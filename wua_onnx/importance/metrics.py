"""Metrics of a layer: how evenly its importance is spread over its weights (definitions of DESIGN §3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wua_onnx.errors import WuaError
from wua_onnx.importance.criteria import axis_of
from wua_onnx.importance.ranking import Array, Ranking, Sums, count_covering, rank, sums

SPARSITY_THRESHOLDS = (1e-2, 1e-3)
COVERAGE_SHARES = (0.5, 0.8, 0.9)
REFERENCE_PERCENTILE = 99.9

# Importances above this are divided by their peak before they are added up per neuron.
_SAFE_PEAK = 1e280
# Rows added one after another before partial sums are joined: bounds the rounding of tall matrices.
_ROWS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMetrics:
    """How the importance I of a layer is spread over its N weights; S = ΣI, p = I/S, natural logarithms.

    NaN and infinite importances are counted in `non_finite` and left out of everything but `total`: N is the number
    of finite ones. A dead layer (S = 0) has entropy, effective, utilization, gini and coverage 0, redundancy 1.

    Attributes:
        total: number of weights, with the non-finite ones.
        non_finite: number of NaN or infinite importances.
        sum: S, in units of the importance; inf where it exceeds float64.
        entropy: H = -Σ p ln p, in nats, 0 … ln N.
        between_neurons: H(q), nats, entropy of the neurons' shares q_j.
        within_neurons: Σ q_j H_j, nats; with `between_neurons` it adds up to `entropy`.
        normalized_entropy: H / ln N, 0 … 1; 1 when N = 1 and S > 0.
        effective: N_eff = e^H, number of equally important weights with the same entropy, 1 … N.
        utilization: N_eff / N, 0 … 1.
        redundancy: 1 - normalized_entropy.
        gini: Gini coefficient of I, 0 … 1 - 1/N.
        sparsity: share of weights with I < t, by t; depends on the scale of I. 1 for a dead layer.
        relative_sparsity: share with I < t · (99.9th percentile of I), by t; 1 when S = 0.
        coverage: smallest share of weights that holds the share c of S, by c.
        baseline: the same metrics of an untrained layer of that shape, when they were asked for.
    """

    total: int
    non_finite: int
    sum: float
    entropy: float
    between_neurons: float
    within_neurons: float
    normalized_entropy: float
    effective: float
    utilization: float
    redundancy: float
    gini: float
    sparsity: Mapping[float, float]
    relative_sparsity: Mapping[float, float]
    coverage: Mapping[float, float]
    baseline: LayerMetrics | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: thresholds as text, NaN and inf as null, without the baseline."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__ if name != "baseline"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], baseline: LayerMetrics | None = None) -> LayerMetrics:
        """The metrics that `to_dict` wrote; null reads as NaN. WuaError where a value is missing or no number."""
        names = [name for name in cls.__slots__ if name != "baseline"]
        missing = [name for name in names if name not in data]
        if missing:
            raise WuaError(f"layer metrics: expected the keys {', '.join(names)}, got no {', '.join(missing)}")
        try:
            values = {name: _parsed(name, data[name]) for name in names}
        except (AttributeError, TypeError, ValueError) as error:
            raise WuaError(f"layer metrics: expected numbers, got something else ({error})") from error
        return cls(**values, baseline=baseline)


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
    size, peak = ranking.values.size, ranking.peak
    sparsity = {t: ranking.count_below(t) / size if size else 1.0 for t in SPARSITY_THRESHOLDS}
    if peak == 0.0:
        return _dead(importance.size, ranking.non_finite, sparsity)
    totals = sums(ranking)
    # With x = I/peak: H = ln Σx - Σ x ln x / Σx, and e^H = Σx · exp(-Σ x ln x / Σx) is exactly N when all are equal.
    spread = -totals.x_log_x / totals.total
    entropy = _clip(math.log(totals.total) + spread, 0.0, math.log(size))
    effective = _clip(totals.total * math.exp(spread), 1.0, float(size))
    normalized = _clip(entropy / math.log(size), 0.0, 1.0) if size > 1 else 1.0
    between = _clip(share_entropy(_neuron_sums(importance, axis, ranking)), 0.0, entropy)
    return LayerMetrics(
        total=importance.size,
        non_finite=ranking.non_finite,
        sum=totals.total * peak,
        entropy=entropy,
        between_neurons=between,
        within_neurons=entropy - between,
        normalized_entropy=normalized,
        effective=effective,
        utilization=effective / size,
        redundancy=1.0 - normalized,
        gini=_clip(totals.ranked / (size * totals.total), 0.0, 1.0 - 1.0 / size),
        sparsity=sparsity,
        relative_sparsity=_relative_sparsity(ranking),
        coverage=_coverage(ranking, totals),
    )


def neuron_importance(importance: Array, neuron_axis: int) -> Array:
    """Sum of the finite importances of each neuron, float64, shape `(neurons,)`; WuaError as in `layer_metrics`."""
    importance = np.asarray(importance)
    axis = axis_of(importance, neuron_axis, "neuron importance")
    finite = np.isfinite(importance)
    kept = importance if finite.all() else np.where(finite, importance, 0)
    with np.errstate(over="ignore"):
        return _sums_along(kept, axis)


def bands(metrics: LayerMetrics) -> dict[str, str]:
    """How to read the metrics, with the bands of DESIGN §3: names of metrics to one word each."""
    return {
        "utilization": _band(metrics.utilization, (0.3, 0.7), ("redundant", "ordinary", "efficient")),
        "gini": _band(metrics.gini, (0.4, 0.6), ("uniform", "ordinary", "concentrated")),
        "redundancy": "severe" if metrics.redundancy > 0.7 else "ordinary",
    }


def _coverage(ranking: Ranking, totals: Sums) -> dict[float, float]:
    return {c: count_covering(ranking, totals, c) / ranking.values.size for c in COVERAGE_SHARES}


def _relative_sparsity(ranking: Ranking) -> dict[float, float]:
    reference = ranking.percentile(REFERENCE_PERCENTILE)
    return {t: ranking.count_below(t * reference) / ranking.values.size for t in SPARSITY_THRESHOLDS}


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


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {repr(key): _plain(item) for key, item in value.items()}
    return value if isinstance(value, int) or math.isfinite(value) else None


def _parsed(name: str, value: Any) -> Any:
    number: Callable[[Any], Any] = int if name in ("total", "non_finite") else _number
    if name in ("sparsity", "relative_sparsity", "coverage"):
        return {float(key): _number(item) for key, item in value.items()}
    return number(value)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
