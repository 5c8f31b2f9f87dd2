"""Functions over all neurons of a layer that are written out, and functions on integers: where neurons are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.layers import find_layers
from wua_onnx.layers.activations import Activation
from wua_onnx.model import load

from .graphs import MICROSOFT, model, rand, run

N = 29
X = rand(N, 3, 5, seed=4)
WEIGHTS: dict[str, Any] = {"w": rand(5, 7), "b": rand(7), "last": np.array([-1]), "other": np.array([1])}
WEIGHTS |= {"unit": np.float32(1), "two": np.float32(2), "head": rand(7, 2), "both": rand(3, 7)}
SUM = "s = ReduceSum<keepdims = 1>(e, last)"
TOP = "m = ReduceMax<keepdims = 1>(z, last) d = Sub(z, m) e = Exp(d)"
# what follows z, where the neurons are read, the name of the function
WRITTEN: dict[str, tuple[str, str, str | None]] = {
    "softmax": (f"e = Exp(z) {SUM} y = Div(e, s)", "y", "Softmax"),
    "without the largest": (f"{TOP} {SUM} y = Div(e, s)", "y", "Softmax"),
    "its logarithm": (f"{TOP} {SUM} l = Log(s) y = Sub(d, l)", "y", "LogSoftmax"),
    "its logarithm, nothing taken off": (f"e = Exp(z) {SUM} l = Log(s) y = Sub(z, l)", "y", "LogSoftmax"),
    "by the logarithm of the sum": (
        "l = ReduceLogSumExp<keepdims = 1>(z, last) d = Sub(z, l) y = Exp(d)", "y", "Softmax"
    ),
    "off by one": (f"e = Exp(z) {SUM} t = Add(s, unit) y = Div(e, t)", "y", "Softmax, off by one"),
    "off by two": (f"e = Exp(z) {SUM} t = Add(s, two) y = Div(e, t)", "e", "Exp"),
    "a layer norm, then a function": ("n = LayerNormalization(z, b) y = Relu(n)", "y", "ReLU"),
    "a layer norm alone": ("n = LayerNormalization(z, b) y = MatMul(n, head)", "z", None),
    "over two axes": ("n = LayerNormalization<axis = -2>(z, both) y = Relu(n)", "z", None),
    "by the root of the mean square": (
        "q = Mul(z, z) m = ReduceMean<keepdims = 1>(q, last) r = Sqrt(m) n = Div(z, r) k = Mul(n, b) y = Tanh(k)",
        "y", "Tanh",
    ),
    "what is not finite far from 0": (
        f"e = Exp(z) {SUM} l = ReduceLogSumExp<keepdims = 1>(z, last) t = Mul(l, s) y = Add(z, t)", "z", None
    ),
    "a mean over another axis": ("m = ReduceMean<keepdims = 1>(z, other) n = Sub(z, m) y = Relu(n)", "z", None),
    "by less than its mean": (
        "m = ReduceMean<keepdims = 1>(z, last) h = Div(m, two) n = Sub(z, h) y = Relu(n)", "z", None
    ),
    "over another axis": ("e = Exp(z) s = ReduceSum<keepdims = 1>(e, other) y = Div(e, s)", "e", "Exp"),
    "another sum": (f"e = Exp(z) {SUM} t = Sqrt(s) y = Div(e, t)", "e", "Exp"),
    "upside down": (f"e = Exp(z) {SUM} y = Div(s, e)", "e", "Exp"),
    "the exponentials are used elsewhere": (f"e = Exp(z) {SUM} q = Div(e, s) y = Add(q, e)", "e", "Exp"),
}  # fmt: skip


def read(graph: str, weights: dict[str, Any]) -> Activation:
    used = {name: value for name, value in weights.items() if f"{name})" in graph or f"{name}," in graph}
    layers = find_layers(load(model(graph, used, also=MICROSOFT))).by_name
    return next(layer for layer in layers.values() if layer.weight_name == "w").activations[0]


@pytest.mark.parametrize("case", WRITTEN)
def test_softmax_written_out(case: str) -> None:
    nodes, place, function = WRITTEN[case]
    found = read(f"(float[N, 3, 5] x) => (float[] y) {{ a = MatMul(x, w) z = Add(a, b) {nodes} }}", WEIGHTS)
    assert (found.value.name, found.function.name if found.function else None) == (place, function)


@pytest.mark.parametrize("case", ["softmax", "without the largest", "its logarithm"])
def test_the_mean_is_that_of_the_operator(case: str) -> None:
    nodes, _, function = WRITTEN[case]
    before = "(float[N, 3, 5] x) => (float[] y) { a = MatMul(x, w) z = Add(a, b)"
    used = {name: WEIGHTS[name] for name in ("w", "b", "last")}
    written = wua.analyze(model(f"{before} {nodes} }}", used), X).layers["w"]
    whole = {name: WEIGHTS[name] for name in ("w", "b")}
    operator = wua.analyze(model(f"{before} y = {function}<axis = -1>(z) }}", whole), X).layers["w"]
    assert written.mean_activation is not None
    assert operator.mean_activation is not None
    np.testing.assert_allclose(written.mean_activation, operator.mean_activation, rtol=1e-6)


ORDER = "v, i = TopK<axis = -1>(z, seven) c = CumSum(v, end)"
THRESHOLD = "t = ReduceMax<keepdims = 1>(c, last)"  # of its kind, not that of sparsemax
SORTED: dict[str, tuple[str, str | None]] = {
    "from the order alone": (f"{ORDER} {THRESHOLD} d = Sub(z, t) y = Relu(d)", "Sparsemax"),
    "squared": (f"{ORDER} {THRESHOLD} d = Sub(z, t) r = Relu(d) y = Mul(r, r)", "1.5-entmax"),
    "without sums": (
        "v, i = TopK<axis = -1>(z, seven) t = ReduceMax<keepdims = 1>(v, last) d = Sub(z, t) y = Relu(d)",
        None,
    ),
    "from other data, too": (f"{ORDER} {THRESHOLD} u = Add(t, o) d = Sub(z, u) y = Relu(d)", None),
    "along another axis": (
        f"v, i = TopK<axis = 1>(z, three) c = CumSum(v, end) {THRESHOLD} d = Sub(z, t) y = Relu(d)",
        None,
    ),
    "not cut at 0": (f"{ORDER} {THRESHOLD} d = Sub(z, t) y = Max(d, b)", None),
}


@pytest.mark.parametrize("case", SORTED)
def test_sparsemax_is_told_by_where_its_threshold_comes_from(case: str) -> None:
    nodes, function = SORTED[case]
    numbers = {"seven": np.array([7]), "three": np.array([3]), "end": np.array(-1)}
    text = f"(float[N, 3, 5] x, float[N, 3, 1] o) => (float[] y) {{ a = MatMul(x, w) z = Add(a, b) {nodes} }}"
    found = read(text, {**WEIGHTS, **numbers})
    assert (found.function.name if found.function else None) == function
    assert found.value.name == ("y" if function else "z")


INTEGERS: dict[str, Any] = {
    "w": np.random.default_rng(1).integers(-99, 99, (5, 7)).astype(np.int8),
    "ws": np.float32(0.02), "wz": np.int8(0), "s": np.float32(0.03), "z": np.uint8(120),
    "hs": np.float32(0.1), "hz": np.uint8(128), "es": np.float32(1 / 128), "ez": np.uint8(128),
    "one": np.uint8(255), "ones": np.float32(1 / 255), "half": np.uint8(128), "halves": np.float32(1 / 256),
    "none": np.uint8(0), "us": np.float32(2 / 255), "gs": np.float32(0.06), "gz": np.uint8(9), "r": np.float32(2**0.5),
}  # fmt: skip
QUANTIZED = "q = QuantizeLinear(x, s, z) h = QLinearMatMul(q, s, z, w, ws, wz, hs, hz)"
ON_INTEGERS: dict[str, tuple[str, str]] = {
    "SiLU": (
        "e = com.microsoft.QLinearSigmoid(h, hs, hz, ones, none) "
        "y = com.microsoft.QLinearMul(h, hs, hz, e, ones, none, gs, gz)",
        "SiLU",
    ),
    "GELU": (
        "f = DequantizeLinear(h, hs, hz) d = Div(f, r) k = Erf(d) e = QuantizeLinear(k, es, ez) "
        "u = com.microsoft.QLinearAdd(e, es, ez, one, ones, none, us, none) "
        "m = com.microsoft.QLinearMul(h, hs, hz, u, us, none, hs, hz) "
        "y = com.microsoft.QLinearMul(m, hs, hz, half, halves, none, gs, gz)",
        "GELU",
    ),
}


@pytest.mark.parametrize("case", ON_INTEGERS)
def test_functions_written_out_on_integers(case: str) -> None:
    nodes, function = ON_INTEGERS[case]
    graph = f"(float[N, 3, 5] x) => (uint8[] y) {{ {QUANTIZED} {nodes} }}"
    used = {name: value for name, value in INTEGERS.items() if f" {name}," in graph or f" {name})" in graph}
    proto = model(graph, used, also=MICROSOFT)
    found = read(graph, INTEGERS)
    assert (found.value.name, found.function.name if found.function else None) == ("y", function)
    layer = wua.analyze(proto, X).layers["w"]
    real = (run(proto, {"x": X})[0].astype(np.float64) - 9) * 0.06
    expected = np.abs(real).mean(axis=(0, 1))
    assert layer.mean_activation is not None
    np.testing.assert_allclose(layer.mean_activation, expected, rtol=0, atol=1e-5 * expected.max())


LAYER_NORM = (  # as Keras and tf2onnx write it: the scale is multiplied with what is divided by before the neurons are
    "m = ReduceMean<keepdims = 1>(z, last) d = Sub(z, m) q = Mul(d, d) v = ReduceMean<keepdims = 1>(q, last) "
    "u = Add(v, small) r = Sqrt(u) i = Reciprocal(r) k = Mul(i, scale) g = Mul(z, k) p = Mul(m, k) "
    "o = Sub(shift, p) n = Add(g, o) y = Relu(n)"
)


def test_the_scale_of_a_normalisation_is_a_factor_however_it_is_written() -> None:
    numbers: dict[str, Any] = {
        "scale": rand(7, seed=1),
        "shift": rand(7, seed=2),
        "small": np.float32(1e-3),
        "last": np.array([-1]),
    }
    before = "(float[N, 3, 5] x) => (float[] y) { a = MatMul(x, w) z = Add(a, b)"
    operator = read(f"{before} n = LayerNormalization(z, scale, shift) y = Relu(n) }}", WEIGHTS | numbers)
    written = read(f"{before} {LAYER_NORM} }}", WEIGHTS | numbers)
    for found in (operator, written):
        assert (found.value.name, found.function.name if found.function else None) == ("y", "ReLU")
        np.testing.assert_allclose(found.factor, numbers["scale"], rtol=1e-6)
