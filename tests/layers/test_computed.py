"""Weights that the graph computes from constants: what is read of them is what onnxruntime multiplies with."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import wua_onnx as wua
from wua_onnx.layers import find_layers
from wua_onnx.model import load

from .graphs import Array, model, rand, run

N = 11
# How the operand p is computed, from what, and whose elements are its own.
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "weight normalisation": (
        "n = ReduceL2<keepdims = 1>(w, one) d = Div(w, n) p = Mul(d, g)",
        {"w": rand(5, 3), "g": rand(5, 1, seed=1), "one": np.array([1])},
        "w",
    ),
    "weight standardisation": (
        "m = ReduceMean(w, zero) c = Sub(w, m) q = Mul(c, c) v = ReduceMean(q, zero) e = Add(v, small) s = Sqrt(e) "
        "p = Div(c, s)",
        {"w": rand(5, 3), "zero": np.array([0]), "small": np.float32(1e-5)},
        "w",
    ),
    "rows of length one": (
        "n = ReduceL2<keepdims = 1>(w, one) l = Clip(n, small) f = Expand(l, size) p = Div(w, f)",
        {"w": rand(5, 3), "one": np.array([1]), "small": np.float32(1e-12), "size": np.array([5, 3])},
        "w",
    ),
    "an adapter": (
        "r = MatMul(b, a) s = Mul(r, half) p = Add(w, s)",
        {"w": rand(5, 3), "a": rand(2, 3, seed=1), "b": rand(5, 2, seed=2), "half": np.float32(0.5)},
        "w",
    ),
    "an adapter before it, transposed": (
        "r = MatMul(b, a) s = Add(r, w) p = Transpose(s)",
        {"w": rand(3, 5), "a": rand(2, 5, seed=1), "b": rand(3, 2, seed=2)},
        "w",
    ),
    "a mask named first": (
        "p = Mul(mask, fc_weight)",
        {"fc_weight": rand(5, 3), "mask": (rand(5, 3, seed=4) > 0).astype(np.float32)},
        "fc_weight",
    ),
    "positive": ("p = Softplus(w)", {"w": rand(5, 3)}, "w"),
    "exponentials": ("e = Exp(w) p = Neg(e)", {"w": rand(5, 3)}, "w"),
    "a mask that is computed": (
        "a = Abs(w) k = Greater(a, t) p = Where(k, w, zero)",
        {"w": rand(5, 3), "t": np.float32(0.6), "zero": np.float32(0)},
        "w",
    ),
    "three values": (
        "a = Abs(w) m = ReduceMean<keepdims = 0>(a) d = Div(w, m) r = Round(d) c = Clip(r, low, high) p = Mul(c, m)",
        {"w": rand(5, 3), "low": np.float32(-1), "high": np.float32(1)},
        "w",
    ),
    "half precision": (
        "c = Cast<to = 1>(h) p = Mul(c, g)",
        {"h": rand(5, 3).astype(np.float16), "g": rand(1, 3, seed=1)},
        "h",
    ),
}


def proto_of(case: str) -> onnx.ModelProto:
    nodes, weights, _ = CASES[case]
    return model(f"(float[N, 5] x) => (float[] y, float[] p) {{ {nodes} o = MatMul(x, p) y = Relu(o) }}", weights)


def audited(case: str) -> tuple[wua.Audit, Array, Array]:
    x = rand(N, 5, seed=7)
    y, p = run(proto_of(case), {"x": x})
    return wua.analyze(proto_of(case), x, criterion=["activation", "wanda"]), y, p


@pytest.mark.parametrize("case", CASES)
def test_the_weight_is_what_the_operator_multiplies_with(case: str) -> None:
    proto = proto_of(case)
    _, p = run(proto, {"x": rand(N, 5)})
    (layer,) = find_layers(load(proto)).by_name.values()
    assert layer.weight_name == CASES[case][2]
    np.testing.assert_allclose(layer.weight(), p, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_it_is_scored(case: str) -> None:
    audit, y, p = audited(case)
    (layer,) = audit.layers.values()
    np.testing.assert_allclose(layer.scores["activation"], np.abs(p) * np.abs(y).mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_is_accounted_for(case: str) -> None:
    coverage = audited(case)[0].coverage
    declined = {item["name"]: item["reason"] for item in coverage["declined"]}
    sizes = {name: np.size(value) for name, value in CASES[case][1].items()}
    assert coverage["analysed"] == sizes[CASES[case][2]]
    assert coverage["analysed"] + sum(item["elements"] for item in coverage["declined"]) == coverage["parameters"]
    assert all("is computed from" in reason for reason in declined.values())


def test_two_uses_of_one_weight_with_other_masks() -> None:
    w, m = rand(5, 3), (rand(5, 3, seed=4) > 0).astype(np.float32)
    proto = model(
        "(float[N, 5] x) => (float[] y, float[] z) { p = Mul(w, m) y = MatMul(x, p) t = Transpose(w) u = Transpose(t) "
        "z = MatMul(x, u) }",
        {"w": w, "m": m},
    )
    (layer,) = find_layers(load(proto)).by_name.values()
    np.testing.assert_array_equal(layer.weight(0), w * m)
    np.testing.assert_array_equal(layer.aligned(layer.weight(1), 1), w)


BY_SOFTMAX = "MatMul: computed from constants by Softmax"


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        ("p = Softmax(w)", {"w": rand(5, 3)}, BY_SOFTMAX),
        (
            "c = Softmax(g) p = Mul(w, c)",
            {"w": rand(5, 3), "g": rand(5, 1)},
            BY_SOFTMAX,
        ),
        ("p = Mul(g, h)", {"g": rand(5, 1), "h": rand(1, 3)}, "MatMul: computed from constants by Mul"),
    ],
)
def test_what_is_computed_otherwise_is_declined(nodes: str, weights: dict[str, Any], reason: str) -> None:
    found = find_layers(load(model(f"(float[N, 5] x) => (float[] y) {{ {nodes} y = MatMul(x, p) }}", weights)))
    assert not found.by_name
    assert {item.name: item.reason for item in found.declined} == dict.fromkeys(weights, reason)


def test_a_product_far_larger_than_the_weight_is_not_computed() -> None:
    weights = {"w": rand(5, 3), "a": rand(9000, 1), "b": rand(1, 9000), "zero": np.array([0, 1])}
    nodes = "r = MatMul(a, b) s = ReduceMean(r, zero) p = Add(w, s)"
    found = find_layers(load(model(f"(float[N, 5] x) => (float[] y) {{ {nodes} y = MatMul(x, p) }}", weights)))
    assert not found.by_name
    assert "more elements than the weight has" in {item.name: item.reason for item in found.declined}["w"]
