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


TOKENS, EXPERTS, HIDDEN, OUTPUTS = 19, 4, 5, 7
SCORES = rand(TOKENS, EXPERTS, seed=2)
EXPERT_WEIGHTS = {
    "w": rand(EXPERTS, HIDDEN, 7), "b": rand(EXPERTS, HIDDEN), "v": rand(EXPERTS, OUTPUTS, HIDDEN),
    "c": rand(EXPERTS, OUTPUTS),
}  # fmt: skip


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def gelu(x: Array) -> Array:
    return np.asarray(x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2)


def swiglu(x: Array) -> Array:
    gate, linear = np.minimum(x[..., 0::2], 0.9), np.clip(x[..., 1::2], -0.9, 0.9)
    return np.asarray(gate * sigmoid(1.7 * gate) * (linear + 0.5))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * sigmoid(x), "gelu": gelu, "identity": lambda x: x,
    "swiglu": swiglu,
}  # fmt: skip
SWIGLU = ", swiglu_fusion = 1, swiglu_limit = 0.9, activation_alpha = 1.7, activation_beta = 0.5"


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_experts_inside_of_an_operator(name: str, k: int) -> None:
    """A token that is not routed to an expert counts as 0; what NumPy makes of all is what the operator returns."""
    halves = {"w": rand(EXPERTS, 2 * HIDDEN, 7), "b": rand(EXPERTS, 2 * HIDDEN)}
    more, weights = (SWIGLU, EXPERT_WEIGHTS | halves) if name == "swiglu" else ("", EXPERT_WEIGHTS)
    nodes = f'y = com.microsoft.MoE<k = {k}, activation_type = "{name}"{more}>(x, r, w, b, v, c)'
    proto = model(f"(float[N, 7] x, float[N, {EXPERTS}] r) => (float[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    x = rand(TOKENS, 7, seed=1)
    feeds = {"x": x, "r": SCORES}
    routed = np.zeros((TOKENS, EXPERTS, 1))
    np.put_along_axis(routed[:, :, 0], np.argsort(-SCORES, axis=1)[:, :k], 1, axis=1)
    before = np.einsum("ti,eoi->teo", x.astype(np.float64), weights["w"]) + weights["b"]
    after = ACTIVATIONS[name](before)
    result = np.einsum("tei,eoi->teo", after, weights["v"]) + weights["c"]
    shares = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    expected = (result * shares[:, :, None] * routed).sum(axis=1)
    np.testing.assert_allclose(run(proto, feeds)[0], expected, rtol=1e-4, atol=1e-5)

    layers = audited(proto, feeds, batch_size=6).layers
    shown = before if name == "swiglu" else after
    assert_means(layers["w"].mean_activation, (shown * routed).reshape(TOKENS, -1))
    assert_means(layers["v"].mean_activation, (result * routed).reshape(TOKENS, -1))
    assert_outputs_stay(proto, feeds)


def test_an_expert_that_is_never_asked_is_dead() -> None:
    nodes = 'y = com.microsoft.MoE<k = 1, activation_type = "silu">(x, r, w, b, v, c)'
    graph = f"(float[N, tokens, 7] x, float[all, {EXPERTS}] r) => (float[] y) {{ {nodes} }}"
    proto = model(graph, EXPERT_WEIGHTS, also=MICROSOFT)
    scores = rand(18, EXPERTS) - 99 * (np.arange(EXPERTS) == 2).astype(np.float32)
    dead = wua.analyze(proto, {"x": rand(18, 1, 7), "r": scores}).layers["w"].dead_neurons
    assert dead == tuple(range(2 * HIDDEN, 3 * HIDDEN))


def test_experts_that_are_not_computed_beside_their_operator_are_told() -> None:
    nodes = 'y = com.microsoft.MoE<k = 1, activation_type = "silu">(x, r, w, , v)'
    proto = model(
        f"(float[N, 3] x, float[N, {EXPERTS}] r) => (float[] y) {{ {nodes} }}",
        {"w": rand(EXPERTS, 2**14 + 1, 3), "v": rand(EXPERTS, 3, 2**14 + 1)},
        also=MICROSOFT,
    )
    audit = wua.analyze(proto, {"x": rand(TOKENS, 3), "r": SCORES})
    reasons = {each["name"]: each["reason"] for each in audit.coverage["unrecorded"]}
    assert reasons.keys() == {"w", "v"}
    assert all(
        reason.endswith("its 65,540 neurons are too many to compute all of them for every token")
        for reason in reasons.values()
    )
