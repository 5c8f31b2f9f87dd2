"""Closed forms, bands, JSON and histogram: what a reader sees of the metrics."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from wua_onnx.errors import WuaError
from wua_onnx.importance import LayerMetrics, bands, histogram, layer_metrics, rank, untrained

N = 99_991
MIDDLES = (np.arange(N) + 0.5) / N
HALF_NORMAL = np.array([NormalDist().inv_cdf((1 + u) / 2) for u in MIDDLES.tolist()])


@pytest.mark.parametrize("size", [2, 7, 101, 10_007])
def test_all_equal(size: int) -> None:
    metrics = layer_metrics(np.full((size, 1), 0.1, dtype=np.float32), 0)
    assert metrics.entropy == math.log(size)
    assert (metrics.effective, metrics.utilization, metrics.redundancy) == (size, 1, 0)
    assert metrics.gini == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("size", [2, 7, 101, 10_007])
def test_one_hot(size: int) -> None:
    metrics = layer_metrics(np.eye(1, size)[0], 0)
    assert (metrics.entropy, metrics.effective, metrics.redundancy) == (0, 1, 1)
    assert metrics.gini == pytest.approx(1 - 1 / size, abs=1e-15)
    assert metrics.coverage == {0.5: 1 / size, 0.8: 1 / size, 0.9: 1 / size}


@pytest.mark.parametrize(
    ("name", "quantiles", "utilization", "gini", "tolerance"),
    [
        ("uniform", MIDDLES, math.exp(0.5) / 2, 1 / 3, 1e-8),
        ("half-normal", HALF_NORMAL, math.exp(np.euler_gamma / 2) / math.sqrt(math.pi), math.sqrt(2) - 1, 1e-4),
        ("exponential", -np.log1p(-MIDDLES), math.exp(np.euler_gamma - 1), 1 / 2, 1e-4),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distributions(
    name: str, quantiles: Any, utilization: float, gini: float, tolerance: float, dtype: Any
) -> None:
    """On a grid of quantiles, where only the tail beyond the last of them is missing."""
    metrics = layer_metrics(quantiles.astype(dtype), 0)
    assert metrics.utilization == pytest.approx(utilization, abs=tolerance)
    assert metrics.gini == pytest.approx(gini, abs=tolerance)
    digits = {"uniform": 0.8244, "half-normal": 0.7530, "exponential": 0.6552}
    assert metrics.utilization == pytest.approx(digits[name], abs=1.5e-4)


def test_coverage_of_a_uniform_distribution() -> None:
    """The largest share x of the values holds 1 - (1 - x)² of the sum."""
    metrics = layer_metrics(MIDDLES, 0)
    for share, found in metrics.coverage.items():
        assert found == pytest.approx(1 - math.sqrt(1 - share), abs=1.5 / N)
    assert metrics.relative_sparsity[1e-2] == pytest.approx(0.00999, abs=1.5 / N)


@pytest.mark.parametrize(
    ("utilization", "gini", "redundancy", "words"),
    [
        (0.71, 0.39, 0.1, ("efficient", "uniform", "ordinary")),
        (0.7, 0.4, 0.7, ("ordinary", "ordinary", "ordinary")),
        (0.3, 0.6, 0.71, ("ordinary", "ordinary", "severe")),
        (0.29, 0.61, 1.0, ("redundant", "concentrated", "severe")),
    ],
)
def test_bands(utilization: float, gini: float, redundancy: float, words: tuple[str, ...]) -> None:
    metrics = replace(layer_metrics(MIDDLES, 0), utilization=utilization, gini=gini, redundancy=redundancy)
    assert bands(metrics) == dict(zip(("utilization", "gini", "redundancy"), words, strict=True))


def test_json_gives_the_same_metrics_back() -> None:
    metrics = layer_metrics(np.random.default_rng(7).random((5, 7)), 0)
    text = json.dumps(metrics.to_dict(), allow_nan=False)
    assert LayerMetrics.from_dict(json.loads(text)) == metrics
    baseline = untrained((5, 7), 0, scale=0.1)
    assert LayerMetrics.from_dict(json.loads(text), baseline).baseline == baseline
    assert '"sparsity": {"0.01": ' in text
    assert '"coverage": {"0.5": ' in text


def test_json_holds_unknown_values_as_null() -> None:
    text = json.dumps(untrained((5, 7), 0).to_dict(), allow_nan=False)
    assert json.loads(text)["sparsity"] == {"0.01": None, "0.001": None}
    assert math.isnan(LayerMetrics.from_dict(json.loads(text)).sum)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"gini": "high"}, "high"), ({"coverage": 0.5}, "numbers"), ({"total": None}, "numbers"), (None, "no gini")],
)
def test_json_that_is_not_ours_is_refused(change: dict[str, Any] | None, message: str) -> None:
    data = layer_metrics(np.ones((2, 3)), 0).to_dict()
    if change is None:
        del data["gini"]
    with pytest.raises(WuaError, match=message):
        LayerMetrics.from_dict(data | (change or {}))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_histogram_agrees_with_numpy(dtype: Any, scale: float) -> None:
    rng = np.random.default_rng(9)
    importance = (rng.lognormal(sigma=2, size=(97, 31)) * (rng.random((97, 31)) > 0.1) * scale).astype(dtype)
    edges, counts = histogram(importance, bins=23)
    assert edges.shape == (24,)
    assert float(edges[0]).is_integer()
    assert float(edges[-1]).is_integer()
    values = importance.astype(np.float64)
    logs = np.log10(values[values > 0] / values.mean())
    np.testing.assert_array_equal(counts, np.histogram(np.maximum(logs, edges[0]), edges)[0])
    assert importance.size - counts.sum() == (importance == 0).sum()


def test_histogram_leaves_at_most_a_thousandth_below_its_first_edge() -> None:
    importance = np.r_[np.full(9999, 1.0), 1e-7]
    edges, counts = histogram(importance)
    assert (edges[0], edges[-1]) == (0, 1)
    assert counts[0] == counts.sum() == 10_000


@pytest.mark.parametrize("importance", [np.full(7, 0.3), np.r_[np.zeros(6), 5e-324], np.r_[1.7e308, 1e-300, 1.0]])
def test_histogram_of_degenerate_layers(importance: Any) -> None:
    edges, counts = histogram(importance, ranking=rank(importance))
    assert (np.diff(edges) > 0).all()
    assert counts.sum() == (importance > 0).sum()


@pytest.mark.parametrize("importance", [np.zeros(5), np.zeros((0, 3)), np.full(3, np.nan)])
def test_histogram_of_dead_layers_is_empty(importance: Any) -> None:
    edges, counts = histogram(importance, bins=7)
    assert (edges.size, counts.tolist()) == (8, [0] * 7)


def test_histogram_without_bins_is_refused() -> None:
    with pytest.raises(WuaError, match="got 0"):
        histogram(MIDDLES, bins=0)
