"""Columns and rows of weights that are read in slabs only."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from wua_onnx.importance.circuits import taking
from wua_onnx.layers import find_layers
from wua_onnx.layers.layer import Layer
from wua_onnx.model import load

from ..layers.graphs import Array, model, rand  # noqa: TID252 - tests are not installed

SCALES = np.linspace(0.1, 0.7, 7, dtype=np.float32)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "columns outermost": ("y = Gemm<transB = 1>(x, w)", {"w": rand(7, 13)}),
    "rows outermost": ("y = MatMul(x, w)", {"w": rand(13, 7)}),
    "scaled behind": ("a = MatMul(x, w) b = Mul(a, s) y = Relu(b)", {"w": rand(13, 7), "s": SCALES}),
    "half precision": ("c = Cast<to = 1>(w) y = MatMul(x, c)", {"w": rand(13, 7).astype(ml_dtypes.bfloat16)}),
    "integers": (
        "d = DequantizeLinear<axis = 1>(w, s) y = MatMul(x, d)",
        {"w": np.arange(-45, 46, dtype=np.int8).reshape(13, 7), "s": SCALES},
    ),
}
CHOSEN = {0: np.array([12, 3, 3, 0]), 1: np.array([6, 0, 2])}


def layer_of(nodes: str, weights: dict[str, Any]) -> Layer:
    (layer,) = find_layers(load(model(f"(float[N, 13] x) => (float[] y) {{ {nodes} }}", weights))).by_name.values()
    return layer


@pytest.mark.parametrize("axis", CHOSEN)
@pytest.mark.parametrize("most", [1, 20, 60])
@pytest.mark.parametrize("case", CASES)
def test_they_are_those_of_the_whole(case: str, most: int, axis: int) -> None:
    layer = layer_of(*CASES[case])
    whole, parts = taking(layer, 10**6), taking(layer, most)
    assert whole is not None
    assert parts is not None
    expected: Array = layer.weight().take(CHOSEN[axis], axis)
    np.testing.assert_array_equal(whole(CHOSEN[axis], axis), expected)
    np.testing.assert_allclose(parts(CHOSEN[axis], axis), expected, rtol=1e-6)


def test_a_weight_that_is_only_read_whole_is_left_out() -> None:
    layer = layer_of("p = Abs(w) y = MatMul(x, p)", {"w": rand(13, 7)})
    assert taking(layer, 20) is None
    assert taking(layer, 91) is not None
