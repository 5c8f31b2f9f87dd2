"""The metrics of a layer as a value, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wua_onnx.errors import WuaError

_OPTIONAL = ("baseline", "error_bound")


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
        error_bound: by name of a metric, how far it can be off where the layer was too large to be sorted (see
            `wua_onnx.importance.streaming`); all others are exact.
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
    error_bound: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: thresholds as text, NaN and inf as null, no baseline; `error_bound` where it holds any."""
        data = {name: _plain(getattr(self, name)) for name in self.__slots__ if name not in _OPTIONAL}
        return data | ({"error_bound": dict(self.error_bound)} if self.error_bound else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], baseline: LayerMetrics | None = None) -> LayerMetrics:
        """The metrics that `to_dict` wrote; null reads as NaN. WuaError where a value is missing or no number."""
        names = [name for name in cls.__slots__ if name not in _OPTIONAL]
        missing = [name for name in names if name not in data]
        if missing:
            raise WuaError(f"layer metrics: expected the keys {', '.join(names)}, got no {', '.join(missing)}")
        try:
            values = {name: _parsed(name, data[name]) for name in names}
            values["error_bound"] = {str(key): float(item) for key, item in data.get("error_bound", {}).items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise WuaError(f"layer metrics: expected numbers, got something else ({error})") from error
        return cls(**values, baseline=baseline)


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
