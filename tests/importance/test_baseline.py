"""Baselines against closed forms and against brute-force draws of whole untrained layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from wua_onnx.errors import WuaError
from wua_onnx.importance import LayerMetrics, layer_metrics, untrained

HALF_NORMAL = math.exp(np.euler_gamma / 2) / math.sqrt(math.pi)  # 0.7530
CHECKED = ("utilization", "gini", "redundancy")


def drawn(shape: tuple[int, int], means: Any, repeats: int, scale: float = 1.0) -> list[LayerMetrics]:
    rng = np.random.default_rng(1234)
    return [layer_metrics(np.abs(rng.normal(0, scale, shape)) * means[:, None], 0) for _ in range(repeats)]


def average(draws: list[LayerMetrics], name: str) -> float:
    return float(np.mean([getattr(draw, name) for draw in draws]))


@pytest.mark.parametrize("shape", [(67, 331), (500, 1000), (64, 64, 3, 3), (30_011, 97), (2, 3_000_017)])
def test_large_layers_read_as_the_closed_forms(shape: tuple[int, ...]) -> None:
    baseline = untrained(shape, 0)
    n, neurons = math.prod(shape), shape[0]
    assert baseline.total == n
    assert baseline.utilization == pytest.approx(HALF_NORMAL, abs=1e-3)
    assert baseline.gini == pytest.approx(math.sqrt(2) - 1, abs=1e-3)
    assert baseline.effective == pytest.approx(HALF_NORMAL * n, rel=2e-3)
    assert baseline.redundancy == pytest.approx(-math.log(HALF_NORMAL) / math.log(n), abs=1e-4)
    assert baseline.between_neurons == pytest.approx(math.log(neurons), abs=0.3 * neurons / n + 1e-4)
    assert baseline.between_neurons + baseline.within_neurons == pytest.approx(baseline.entropy)


@pytest.mark.parametrize("shape", [(10, 2), (13, 1), (3, 7), (37, 29), (961, 9), (7, 10_007)])
def test_equal_means_against_brute_force(shape: tuple[int, int]) -> None:
    size = math.prod(shape)
    draws = drawn(shape, np.ones(shape[0]), max(5, min(2000, 10**6 // size)))
    baseline, bound = untrained(shape, 0), 0.002 if size >= 1000 else 0.01
    for name in CHECKED:
        assert getattr(baseline, name) == pytest.approx(average(draws, name), abs=bound), name
    assert baseline.between_neurons == pytest.approx(average(draws, "between_neurons"), abs=2 * bound)
    for share in (0.5, 0.8, 0.9):
        covered = float(np.mean([draw.coverage[share] for draw in draws]))
        assert baseline.coverage[share] == pytest.approx(covered, abs=bound)


SPREAD = np.exp(2 * np.random.default_rng(8).standard_normal(601))
RELU = np.maximum(np.random.default_rng(9).standard_normal(601), 0)


@pytest.mark.parametrize("means", [SPREAD, RELU, np.r_[1e4, np.ones(600)]], ids=["spread", "half dead", "outlier"])
@pytest.mark.parametrize("inputs", [5, 89, 1009])
def test_unequal_means_against_brute_force(means: Any, inputs: int) -> None:
    draws = drawn((601, inputs), means, max(5, 2 * 10**6 // (601 * inputs)))
    baseline, bound = untrained((601, inputs), 0, means), 0.03 if means.max() == 1e4 else 0.005
    for name in CHECKED:
        assert getattr(baseline, name) == pytest.approx(average(draws, name), abs=bound), name
    for share in (0.5, 0.8, 0.9):
        covered = float(np.mean([draw.coverage[share] for draw in draws]))
        assert baseline.coverage[share] == pytest.approx(covered, abs=bound)


def test_small_layers_have_the_bias_of_small_samples() -> None:
    """Two weights: E[H] by numerical integration over their ratio tan(φ), φ uniform on a quarter circle."""
    angles = (np.arange(10**5) + 0.5) / 10**5 * math.pi / 2
    p = np.sin(angles) / (np.sin(angles) + np.cos(angles))
    expected = float(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))
    assert untrained((2, 1), 0).entropy == pytest.approx(expected, abs=0.005)
    assert untrained((1, 1), 0).utilization == 1


def test_sum_and_sparsity_take_the_scale() -> None:
    means = np.array([0.0, 0.5, 2.0])
    draws = drawn((3, 1009), means, 200, scale=0.02)
    baseline = untrained((3, 1009), 0, means, scale=0.02)
    assert baseline.sum == pytest.approx(average(draws, "sum"), rel=0.005)
    for threshold in (1e-2, 1e-3):
        expected = float(np.mean([draw.sparsity[threshold] for draw in draws]))
        assert baseline.sparsity[threshold] == pytest.approx(expected, abs=0.002)
    without = untrained((3, 1009), 0, means)
    assert math.isnan(without.sum)
    assert all(math.isnan(share) for share in without.sparsity.values())
    assert without.utilization == baseline.utilization


def test_only_neurons_and_inputs_count() -> None:
    means = np.arange(1.0, 8.0)
    by_row, by_column = untrained((7, 5, 3, 3), 0, means, scale=1), untrained((45, 7), -1, means, scale=1)
    assert by_row == by_column


def test_scale_of_the_means_does_not_matter() -> None:
    means = np.arange(1.0, 8.0)
    for factor in (2.0**-1000, 2.0**1000):
        small, scaled = untrained((7, 11), 0, means), untrained((7, 11), 0, means * factor)
        assert small.to_dict() == scaled.to_dict()


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again = (untrained((3, 5), 0, [1, 2, 3], seed=5, scale=1) for _ in range(2))
    assert first == again
    assert first != untrained((3, 5), 0, [1, 2, 3], seed=6, scale=1)


def test_means_that_are_not_finite_are_left_out() -> None:
    baseline = untrained((4, 11), 0, [1.0, math.nan, 2.0, math.inf], scale=1)
    clean = untrained((2, 11), 0, [1.0, 2.0], scale=1)
    assert (baseline.total, baseline.non_finite) == (44, 22)
    assert (baseline.entropy, baseline.utilization) == (clean.entropy, clean.utilization)


@pytest.mark.parametrize(("shape", "means"), [((2, 3), [0, 0]), ((0, 3), None), ((2, 0), None), ((1, 3), [math.nan])])
def test_dead_layers(shape: tuple[int, int], means: Any) -> None:
    baseline = untrained(shape, 0, means, scale=1)
    assert baseline.total == math.prod(shape)
    assert (baseline.utilization, baseline.redundancy, baseline.sum) == (0, 1, 0)


@pytest.mark.parametrize(
    ("shape", "axis", "means", "message"),
    [
        ((2, 3), 2, None, "got 2"),
        ((), 0, None, "got 0"),
        ((2, -3), 0, None, "got"),
        ((2, 3), 0, [1, 2, 3], r"\(2,\), got \(3,\)"),
        ((2, 3), 0, [1, -2], "got -2"),
    ],
)
def test_what_does_not_fit_is_named(shape: Any, axis: int, means: Any, message: str) -> None:
    with pytest.raises(WuaError, match=message):
        untrained(shape, axis, means)
