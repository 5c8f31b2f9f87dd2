"""Layers too large to be sorted: the same figures from chunks, and bounds that hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from wua_onnx.errors import WuaError
from wua_onnx.importance import LayerMetrics, histogram, layer_metrics
from wua_onnx.importance.histogram import histogram_ranges
from wua_onnx.importance.metrics import metric_ranges, metrics_of
from wua_onnx.importance.streaming import distribution

Array = np.ndarray[Any, Any]
_SHAPE = (101, 331)
_RNG = np.random.default_rng(3)
_NORMAL = _RNG.standard_normal(_SHAPE)
LAYERS: dict[str, Array] = {
    "Gaussian": np.abs(_NORMAL).astype(np.float32),
    "heavy-tailed": np.exp(5 * _NORMAL).astype(np.float32),
    "three quarters zeros": (np.abs(_NORMAL) * (_RNG.random(_SHAPE) < 0.25)).astype(np.float32),
    "half precision": np.abs(_NORMAL).astype(np.float16).astype(np.float32),
    "eight bits": np.round(np.abs(_NORMAL) * 30).astype(np.float32) * np.float32(0.0173),
    "all equal": np.full(_SHAPE, 0.3, dtype=np.float32),
    "one weight": np.eye(*_SHAPE, dtype=np.float32) * (np.arange(_SHAPE[1]) == 7),
    "subnormal": (np.abs(_NORMAL) * 1e-42).astype(np.float32),
    "with NaN and inf": np.where(_NORMAL > 2, np.nan, np.where(_NORMAL < -2, np.inf, np.abs(_NORMAL))).astype(
        np.float32
    ),
    "dead": np.zeros(_SHAPE, dtype=np.float32),
    "double": np.abs(_NORMAL),
    "double, heavy-tailed": np.exp(40 * _NORMAL),
    "double, near overflow": np.abs(_NORMAL) * 4e307,
}


def streamed(importance: Array, rows: int) -> tuple[LayerMetrics, tuple[Array, Array]]:
    """The metrics from chunks of some rows; one neuron a column."""

    def chunks() -> Iterator[Array]:
        return (importance[at : at + rows] for at in range(0, len(importance), rows))

    cells = distribution(chunks, lambda found: [*metric_ranges(found), *histogram_ranges(found)])
    finite = np.where(np.isfinite(importance), importance, 0).astype(np.float64) / (cells.peak or 1.0)
    return metrics_of(cells, finite.sum(axis=0)), histogram(importance, ranking=cells)


@pytest.mark.parametrize("rows", [7, 101])
@pytest.mark.parametrize("name", LAYERS)
def test_chunks_agree_with_the_sort(name: str, rows: int) -> None:
    importance = LAYERS[name]
    expected, (got, _) = layer_metrics(importance, 1), streamed(importance, rows)
    for field in fields(LayerMetrics):
        bound = got.error_bound.get(field.name, 0.0)
        if field.name not in ("baseline", "error_bound"):
            wanted = getattr(expected, field.name)
            assert getattr(got, field.name) == pytest.approx(wanted, rel=1e-11, abs=bound + 1e-11), field.name


@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if layer.dtype == np.float32])
def test_single_precision_is_exact_but_for_gini(name: str) -> None:
    importance = LAYERS[name]
    got, (edges, counts) = streamed(importance, 13)
    assert set(got.error_bound) <= {"gini"}
    assert got.error_bound.get("gini", 0.0) < 1e-5
    expected_edges, expected_counts = histogram(importance)
    np.testing.assert_array_equal(edges, expected_edges)
    np.testing.assert_array_equal(counts, expected_counts)


@pytest.mark.parametrize("name", ["Gaussian", "heavy-tailed", "double"])
def test_against_brute_force(name: str) -> None:
    """The mean difference of all pairs, and running sums, in float64."""
    values = LAYERS[name][:11].astype(np.float64)
    flat = np.sort(values.reshape(-1))[::-1]
    got, _ = streamed(LAYERS[name][:11], 3)
    pairs = np.abs(flat[:, None] - flat[None, :]).mean() / (2 * flat.mean())
    assert got.gini == pytest.approx(pairs, abs=got.error_bound.get("gini", 0.0) + 1e-12)
    running = np.cumsum(flat) / flat.sum()
    for share, covered in got.coverage.items():
        needed = (np.argmax(running >= share * (1 - 1e-12)) + 1) / flat.size
        assert covered == pytest.approx(needed, abs=got.error_bound.get("coverage", 0.0) + 1e-12)


def test_wider_numbers_may_come_late() -> None:
    narrow, wide = LAYERS["Gaussian"], LAYERS["double"] * 1e40
    cells = distribution(lambda: iter([narrow, wide]), metric_ranges)
    both = np.concatenate([narrow.astype(np.float64).ravel(), wide.ravel()])
    assert cells.size == both.size
    assert cells.total * cells.peak == pytest.approx(both.sum(), rel=1e-12)


def test_bounds_are_in_the_json() -> None:
    metrics, _ = streamed(LAYERS["double"], 13)
    data = metrics.to_dict()
    assert data["error_bound"]["gini"] > 0
    assert LayerMetrics.from_dict(data).error_bound == metrics.error_bound
    assert "error_bound" not in layer_metrics(LAYERS["double"], 1).to_dict()


def test_negative_importance_is_refused() -> None:
    with pytest.raises(WuaError, match=r"expected values >= 0, got -0\.5"):
        distribution(lambda: iter([np.array([1, -0.5], dtype=np.float32)]), metric_ranges)
