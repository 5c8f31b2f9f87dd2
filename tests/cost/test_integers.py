"""Quantised, integer and boolean work against loops on counting numbers, and where it is listed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from .counting import counted, scalars
from .nodes import BOOL, INT8, INT64, UINT8, cost_of, figures, typed
from .primitives import dot, larger, smaller


def integer_matmul(a: tuple[int, int], b: tuple[int, int], *, centre: bool) -> None:
    left, right = scalars(np.ones(a)), scalars(np.ones(b))
    if centre:
        left, right = left - 3, right - 4
    for i, j in np.ndindex(a[0], b[1]):
        dot(left[i], right[:, j])


@pytest.mark.parametrize("centre", [False, True])
def test_integer_matmul_is_all_integer_work(centre: bool) -> None:
    zero = typed(UINT8) if centre else None
    node = cost_of("MatMulInteger", typed(UINT8, 2, 3), typed(UINT8, 3, 5), zero, zero, opset=21)
    ticks = counted(lambda: integer_matmul((2, 3), (3, 5), centre=centre))
    assert (node.cost.int_macs, node.cost.int_ops, node.cost.flops) == (ticks["mul"], ticks.total(), 0)


def test_a_constant_quantised_weight_is_centred_at_load() -> None:
    scale, zero = np.float32(0.1), np.uint8(3)
    weight = np.ones((3, 5), np.uint8)
    inputs: list[Any] = [
        typed(UINT8, 2, 3),
        np.array(scale),
        np.array(zero),
        weight,
        *map(np.array, (scale, zero, scale, zero)),
    ]
    node = cost_of("QLinearMatMul", *inputs, opset=21)
    outputs, macs = 2 * 5, 2 * 3 * 5
    assert (node.cost.int_macs, node.cost.int_ops) == (macs, 2 * macs + 2 * 3)
    assert figures(node)["mul"] == figures(node)["add"] == outputs


def test_quantize_and_dequantize() -> None:
    def quantize() -> None:
        for x in scalars(np.ones(30)):
            smaller(larger((x / 0.1).rint() + 3, 0), 255)

    scale, zero = np.array(0.1, np.float32), np.array(3, np.uint8)
    assert figures(cost_of("QuantizeLinear", (2, 3, 5), scale, zero)) == counted(quantize)
    node = cost_of("DequantizeLinear", typed(UINT8, 2, 3, 5), scale, zero)
    assert figures(node) == Counter(int_ops=30, mul=30)
    assert figures(cost_of("DequantizeLinear", typed(UINT8, 2, 3, 5), scale)) == Counter(mul=30)


def test_integer_and_boolean_work_is_kept_apart() -> None:
    assert figures(cost_of("Add", typed(INT64, 2, 3, 5), typed(INT64, 5))) == Counter(int_ops=30)
    assert figures(cost_of("And", typed(BOOL, 2, 3, 5), typed(BOOL, 5))) == Counter(int_ops=30)
    assert figures(cost_of("ReduceMax", typed(INT8, 2, 3, 5), np.array([1]))) == Counter(int_ops=30 - 10)
