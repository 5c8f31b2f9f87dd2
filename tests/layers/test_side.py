"""What operators keep to themselves is recorded as NumPy computes it, and their outputs stay what they are."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

import wua_onnx as wua
from wua_onnx.recording import Recorder

from .graphs import MICROSOFT, Array, model, rand, run

N, S, IN, SIZE = 13, 5, 12, 12
X = rand(N, S, IN, seed=1)
W, B, OUT = rand(IN, 3 * SIZE), rand(3 * SIZE), rand(SIZE, 7)
ATTENTION = "c = com.microsoft.Attention<num_heads = 3>(x, w, b) y = MatMul(c, o)"


def audited(proto: onnx.ModelProto, feeds: Any, **options: Any) -> wua.Audit:
    audit = wua.analyze(proto, feeds, **options)
    covered = audit.coverage
    assert covered["unrecorded"] == []
    assert covered["analysed"] + sum(each["elements"] for each in covered["declined"]) == covered["parameters"]
    return audit


def assert_means(found: Any, activation: Array, within: float = 1e-5) -> None:
    expected = np.abs(activation.astype(np.float64)).reshape(-1, activation.shape[-1]).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=within * expected.max())


def assert_outputs_stay(proto: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    recorder = Recorder(proto, keep_outputs=True)
    recorder.update(feeds)
    for (name, got), wanted in zip(recorder.result().outputs.items(), run(proto, feeds), strict=True):
        np.testing.assert_array_equal(got, wanted, err_msg=name)


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("tokens", ["5", "tokens"])
def test_packed_projections_of_attention(tokens: str, size: int) -> None:
    proto = model(
        f"(float[N, {tokens}, 12] x) => (float[] y) {{ {ATTENTION} }}", {"w": W, "b": B, "o": OUT}, also=MICROSOFT
    )
    layer = audited(proto, X, batch_size=size).layers["w"]
    assert_means(layer.mean_activation, X.astype(np.float64) @ W + B)
    expected = np.abs(W) * np.abs(X.astype(np.float64) @ W + B).mean(axis=(0, 1))
    np.testing.assert_allclose(layer.importance, expected, rtol=1e-5)


def test_outputs_of_the_model_stay_what_they_are() -> None:
    proto = model(f"(float[N, 5, 12] x) => (float[] y) {{ {ATTENTION} }}", {"w": W, "b": B, "o": OUT}, also=MICROSOFT)
    assert_outputs_stay(proto, {"x": X})


def test_projections_of_halves() -> None:
    weights = {name: array.astype(np.float16) for name, array in {"w": W, "b": B, "o": OUT}.items()}
    halves = X.astype(np.float16)
    proto = model(f"(float16[N, 5, 12] x) => (float16[] y) {{ {ATTENTION} }}", weights, also=MICROSOFT)
    layer = audited(proto, halves).layers["w"]
    assert_means(layer.mean_activation, halves.astype(np.float64) @ weights["w"] + weights["b"], 1e-3)


def test_projections_of_a_half_without_kernels() -> None:
    weights = {name: array.astype(ml_dtypes.bfloat16) for name, array in {"w": W, "b": B, "o": OUT}.items()}
    graph = f"(bfloat16[N, 5, 12] x) => (bfloat16[] y) {{ {ATTENTION} }}"
    layer = audited(model(graph, weights, also=MICROSOFT), X).layers["w"]
    real = X.astype(ml_dtypes.bfloat16).astype(np.float64)
    assert_means(layer.mean_activation, real @ weights["w"].astype(np.float64) + weights["b"].astype(np.float64), 1e-4)


def test_projections_inside_of_a_branch() -> None:
    graph = f"""(float[N, 5, 12] x, bool yes) => (float[] y) {{
        y = If(yes) <then_branch = g () => (float[] t) {{ {ATTENTION.replace("y =", "t =")} }},
                     else_branch = h () => (float[] e) {{ e = MatMul(x, other) }}>
    }}"""
    proto = model(graph, {"w": W, "b": B, "o": OUT, "other": rand(IN, 7)}, also=MICROSOFT)
    recorder = Recorder(proto)
    recorder.update({"x": X, "yes": np.array(True)})
    (found,) = recorder.result().layers["w"]
    assert_means(found.mean, X.astype(np.float64) @ W + B)


def test_padded_positions_count_in_no_mean() -> None:
    graph = f"(float[N, tokens, 12] x, int32[N, tokens] attention_mask) => (float[] y) {{ {ATTENTION} }}"
    proto = model(graph.replace("w, b)", "w, b, attention_mask)"), {"w": W, "b": B, "o": OUT}, also=MICROSOFT)
    mask = (np.arange(S) < np.random.default_rng(3).integers(1, S + 1, (N, 1))).astype(np.int32)
    layer = audited(proto, {"x": X, "attention_mask": mask}).layers["w"]
    assert_means(layer.mean_activation, (X.astype(np.float64) @ W + B)[mask == 1])


@pytest.mark.parametrize("by_column", [False, True])
def test_projections_of_integers(by_column: bool) -> None:
    step = np.abs(rand(3 * SIZE)) / 50 if by_column else np.float32(0.02)
    stored = np.random.default_rng(2).integers(-90, 90, (IN, 3 * SIZE)).astype(np.int8)
    constants = {"w": stored, "b": B, "o": OUT, "ws": step, "s": np.float32(0.03), "z": np.uint8(120)}
    zero = np.full(3 * SIZE, 2, np.int8) if by_column else np.int8(2)
    nodes = """q = QuantizeLinear(x, s, z)
        c = com.microsoft.QAttention<num_heads = 3>(q, w, b, s, ws, , z, wz) y = MatMul(c, o)"""
    proto = model(f"(float[N, 5, 12] x) => (float[] y) {{ {nodes} }}", {**constants, "wz": zero}, also=MICROSOFT)
    layer = audited(proto, X, criterion=["activation", "wanda"]).layers["w"]
    real = (np.clip(np.rint(X / np.float32(0.03)) + 120, 0, 255) - 120) * 0.03
    weight = (stored - np.float64(2)) * step
    assert_means(layer.mean_activation, real @ weight + B)
    norms = np.sqrt(np.square(real).sum(axis=(0, 1)))
    np.testing.assert_allclose(layer.scores["wanda"], np.abs(weight) * norms[:, None], rtol=1e-4)
    assert_outputs_stay(proto, {"x": X})


def test_positions_that_the_operator_counts() -> None:
    nodes = "y, m = com.microsoft.EmbedLayerNormalization(i, s, words, places, kinds, g, b)"
    weights = {"words": rand(11, 6), "places": rand(9, 6), "kinds": rand(2, 6), "g": rand(6), "b": rand(6)}
    graph = f"(int32[N, tokens] i, int32[N, tokens] s) => (float[] y) {{ {nodes} }}"
    ids = np.random.default_rng(4).integers(0, 11, (N, S)).astype(np.int32)
    feeds = {"i": ids, "s": ids % 2}
    proto = model(graph, weights, also=MICROSOFT)
    layers = audited(proto, feeds, batch_size=4).layers
    assert_means(layers["places"].mean_activation, np.tile(np.eye(9)[:S], (N, 1)))
    assert_means(layers["words"].mean_activation, np.eye(11)[ids])
    assert layers["places"].dead_neurons == tuple(range(S, 9))
    assert_outputs_stay(proto, feeds)
