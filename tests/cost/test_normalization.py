"""Normalisation, pooling, running sums and resizing against loops on counting numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from wua_onnx.cost.value import Verdict

from .counting import Scalar, counted, scalars
from .nodes import cost_of, figures
from .primitives import larger, mean


def normalised(values: Sequence[Any]) -> list[Any]:
    """(x − mean) / sqrt(var + eps) · scale + bias."""
    middle = mean(values)
    differences = [value - middle for value in values]
    variance = mean([d * d for d in differences])
    root = (variance + 1e-5).sqrt()
    return [d / root * 1.7 + 0.3 for d in differences]


@pytest.mark.parametrize(
    ("op", "groups", "inputs", "settings"),
    [
        ("InstanceNormalization", 2 * 6, ((2, 6, 5), (6,), (6,)), {}),
        ("GroupNormalization", 2 * 3, ((2, 6, 5), (6,), (6,)), {"num_groups": 3}),
    ],
)
def test_normalisations(op: str, groups: int, inputs: Any, settings: Any) -> None:
    ticks = counted(lambda: [normalised(list(scalars(np.arange(60 // groups)))) for _ in range(groups)])
    assert figures(cost_of(op, *inputs, **settings)) == ticks


def test_rms_normalization() -> None:
    def group(values: Sequence[Any]) -> list[Any]:
        root = (mean([v * v for v in values]) + 1e-5).sqrt()
        return [v / root * 1.7 for v in values]

    ticks = counted(lambda: [group(list(scalars(np.arange(15)))) for _ in range(2)])
    assert figures(cost_of("RMSNormalization", (2, 3, 5), (3, 5), axis=1)) == ticks


def test_mean_variance_normalization() -> None:
    def group(values: Sequence[Any]) -> list[Any]:
        middle = mean(values)
        differences = [v - middle for v in values]
        root = mean([d * d for d in differences]).sqrt()
        return [d / root for d in differences]

    ticks = counted(lambda: [group(list(scalars(np.arange(2 * 5 * 7)))) for _ in range(3)])
    assert figures(cost_of("MeanVarianceNormalization", (2, 3, 5, 7))) == ticks


@pytest.mark.parametrize(("p", "axis", "groups"), [(1, 1, 10), (2, 1, 10), (2, -1, 6), (1, 0, 15)])
def test_lp_normalization(p: int, axis: int, groups: int) -> None:
    def line(values: Sequence[Any]) -> list[Any]:
        parts = [abs(v) if p == 1 else v * v for v in values]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        norm = total if p == 1 else total.sqrt()
        return [v / norm for v in values]

    ticks = counted(lambda: [line(list(scalars(np.arange(30 // groups)))) for _ in range(groups)])
    assert figures(cost_of("LpNormalization", (2, 3, 5), p=p, axis=axis)) == ticks


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_lrn(size: int) -> None:
    def lrn() -> None:
        x = scalars(np.arange(2 * 7 * 3).reshape(2, 7, 3))
        squares = x * x
        for n, c, i in np.ndindex(2, 7, 3):
            low, high = max(0, c - (size - 1) // 2), min(6, c + -((1 - size) // 2))
            total = squares[n, low, i]
            for other in range(low + 1, high + 1):
                total = total + squares[n, other, i]
            x[n, c, i] / (1.0 + (1e-4 / size) * total) ** 0.75

    assert figures(cost_of("LRN", (2, 7, 3), size=size)) == counted(lrn)


@pytest.mark.parametrize(
    ("op", "fold", "end"),
    [
        ("MaxPool", larger, lambda x, n: x),
        ("AveragePool", lambda a, b: a + b, lambda x, n: x / n),
    ],
)
def test_pooling_counts_every_position_of_the_kernel(op: str, fold: Any, end: Any) -> None:
    def pool() -> None:
        padded = scalars(np.pad(np.ones((2, 3, 7, 5)), ((0, 0), (0, 0), (1, 1), (0, 1))))
        for n, c, i, j in np.ndindex(2, 3, 4, 5):
            window = list(padded[n, c, 2 * i : 2 * i + 3, j : j + 2].flat)
            total = window[0]
            for value in window[1:]:
                total = fold(total, value)
            end(total, len(window))

    node = cost_of(op, (2, 3, 7, 5), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    assert node.outputs == ((2, 3, 4, 5),)
    assert figures(node) == counted(pool)


@pytest.mark.parametrize("exclusive", [0, 1])
def test_cumulative_sum(exclusive: int) -> None:
    def run() -> None:
        x = scalars(np.ones((2, 7, 3)))
        for n, i in np.ndindex(2, 3):
            total = x[n, 0, i]
            for t in range(1, 7 - exclusive):
                total = total + x[n, t, i]

    assert figures(cost_of("CumSum", (2, 7, 3), np.array(1), exclusive=exclusive)) == counted(run)


def interpolated(neighbours: int, axes: int, outputs: int) -> None:
    """Interpolate over one axis after the other: every value of the next axis needs `neighbours` of this one."""

    def value(axis: int) -> Any:
        parts = [Scalar(1) if axis == 0 else value(axis - 1) for _ in range(neighbours)]
        total = parts[0] * 0.3
        for part in parts[1:]:
            total = total + part * 0.3
        return total

    for _ in range(outputs):
        value(axes - 1)


@pytest.mark.parametrize(("mode", "neighbours"), [("nearest", 0), ("linear", 2), ("cubic", 4)])
@pytest.mark.parametrize(("sizes", "axes"), [((1, 2, 6, 10), 2), ((1, 2, 6, 5), 1)])
def test_resize(mode: str, neighbours: int, sizes: tuple[int, ...], axes: int) -> None:
    node = cost_of("Resize", (1, 2, 3, 5), None, None, np.array(sizes), mode=mode)
    ticks = counted(lambda: interpolated(neighbours, axes, int(np.prod(sizes)))) if neighbours else Counter()
    assert figures(node) == ticks


def test_a_free_size_that_meets_a_fixed_one_is_an_estimate() -> None:
    """Height and width are taken to change, batch and channels are not."""
    free = cost_of("Resize", ("batch", "c", "h", 5), None, None, np.array((1, 2, 6, 10)), mode="linear")
    bound = cost_of("Resize", (1, 2, 3, 5), None, None, np.array((1, 2, 6, 10)), mode="linear")
    assert figures(free) == figures(bound)
    assert (free.verdict, bound.verdict) == (Verdict.ESTIMATE, Verdict.COUNTED)
    twice = cost_of("Resize", ("batch", 2, "h", 5), None, np.array((1, 1, 2, 1), np.float32), mode="linear")
    assert twice.verdict is Verdict.COUNTED, "twice the height is another one"
    computed = cost_of("Resize", ("batch", 2, "h", 5), None, (4,), mode="linear")
    assert computed.verdict is Verdict.ESTIMATE, "scales that come as data"


def test_a_kernel_that_antialias_stretches_is_an_estimate() -> None:
    """Half the height: 4 neighbours along it instead of 2; twice the width: 2 as ever."""

    def run() -> None:
        for _ in range(1 * 2 * 3 * 10):
            along = [Scalar(1) * 0.3 + Scalar(1) * 0.3 for _ in range(4)]
            total = along[0] * 0.25
            for value in along[1:]:
                total = total + value * 0.25

    node = cost_of("Resize", (1, 2, 6, 5), None, None, np.array((1, 2, 3, 10)), mode="linear", antialias=1)
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == counted(run)


def test_dropout_in_training_is_an_estimate() -> None:
    node = cost_of("Dropout", (3, 5), np.array(0.5, np.float32), np.array(True))
    assert (node.verdict, figures(node)) == (Verdict.ESTIMATE, Counter(compare=15, mul=30))
    assert cost_of("Dropout", (3, 5), np.array(0.5, np.float32), np.array(False)).cost.flops == 0
