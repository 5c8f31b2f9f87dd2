"""An export that folds scales into the weights and one that leaves them agree in everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wua_onnx as wua

from .graphs import Array, jacobian, model, rand, run

CONTINUOUS = ("entropy", "normalized_entropy", "effective", "utilization", "redundancy", "gini")
X = rand(97, 5, seed=1)
IMAGES = rand(23, 3, 7, 7, seed=2)

DENSE: dict[str, tuple[str, dict[str, Any]]] = {
    "Mul and Add": ("m = Mul(a, c) h = Add(m, d)", {"c": rand(11, seed=3), "d": rand(11, seed=4)}),
    "Div": ("h = Div(a, c)", {"c": 1 + np.abs(rand(11, seed=3))}),
    "BatchNormalization": (
        "h = BatchNormalization(a, c, d, m, v)",
        {"c": rand(11, seed=3), "d": rand(11, seed=4), "m": rand(11, seed=5), "v": np.abs(rand(11, seed=6))},
    ),
}


def agree(unfolded: wua.Audit, folded: wua.Audit) -> None:
    (one,), (other,) = unfolded.layers.values(), folded.layers.values()
    for metric in CONTINUOUS:
        assert getattr(one.metrics, metric) == pytest.approx(getattr(other.metrics, metric), rel=1e-5, abs=1e-7)
    for metric in ("sparsity", "relative_sparsity", "coverage"):
        ours, theirs = getattr(one.metrics, metric), getattr(other.metrics, metric)
        assert ours == pytest.approx(theirs, abs=1.01 / one.metrics.total)  # within one weight
    if one.mean_activation is not None and other.mean_activation is not None:
        np.testing.assert_allclose(one.mean_activation, other.mean_activation, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.importance, other.importance, rtol=1e-4, atol=1e-6)
    assert one.dead_neurons == other.dead_neurons


def bias_of(affine: Any, shape: tuple[int, ...]) -> Array:

    return np.asarray(run(affine, {"x": np.zeros(shape, np.float32)})[0])


@pytest.mark.parametrize("case", DENSE)
def test_dense(case: str) -> None:
    nodes, constants = DENSE[case]
    weights = {"w": rand(5, 11), **constants}
    whole = model(f"(float[N, 5] x) => (float[] y) {{ a = MatMul(x, w) {nodes} y = Relu(h) }}", weights)
    affine = model(f"(float[1, 5] x) => (float[] y) {{ a = MatMul(x, w) {nodes} y = Identity(h) }}", weights)
    w, b = jacobian(affine, (1, 5)).astype(np.float32), bias_of(affine, (1, 5)).reshape(-1)
    folded = model("(float[N, 5] x) => (float[] y) { h = Gemm(x, w, b) y = Relu(h) }", {"w": w, "b": b})
    agree(wua.analyze(whole, X), wua.analyze(folded, X))
    agree(wua.analyze(whole), wua.analyze(folded))


def test_convolution() -> None:
    scale, shift, mean, variance = rand(5, seed=3), rand(5, seed=4), rand(5, seed=5), np.abs(rand(5, seed=6)) + 0.1
    filters = rand(5, 3, 3, 3)
    whole = model(
        """(float[N, 3, 7, 7] x) => (float[] y) {
            a = Conv(x, w) h = BatchNormalization<epsilon = 0.001>(a, s, b, m, v) y = Relu(h) }""",
        {"w": filters, "s": scale, "b": shift, "m": mean, "v": variance},
    )
    factor = scale / np.sqrt(variance + np.float32(0.001))
    folded = model(
        "(float[N, 3, 7, 7] x) => (float[] y) { h = Conv(x, w, b) y = Relu(h) }",
        {"w": filters * factor.reshape(5, 1, 1, 1), "b": shift - mean * factor},
    )
    agree(wua.analyze(whole, IMAGES), wua.analyze(folded, IMAGES))


def test_quantized_weights_count_in_real_units() -> None:
    integers = np.random.default_rng(0).integers(-127, 128, (5, 11)).astype(np.int8)
    scale = np.abs(rand(11, seed=3))
    whole = model(
        "(float[N, 5] x) => (float[] y) { w = DequantizeLinear<axis = 1>(q, s) a = MatMul(x, w) y = Relu(a) }",
        {"q": integers, "s": scale},
    )
    plain = model("(float[N, 5] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": integers * scale})
    agree(wua.analyze(whole), wua.analyze(plain))  # onnxruntime rounds what it multiplies with 8-bit weights
