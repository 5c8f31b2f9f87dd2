"""Sampling, losses, running states, signals, trees and optimizers against loops and against their parts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from wua_onnx.cost.value import Verdict

from .counting import Scalar, counted, scalars
from .nodes import INT64, Given, cost_of, figures, typed
from .primitives import dot, flattened, sigmoid
from .test_activations import log_softmax


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_negative_log_likelihood(reduction: str, weighted: bool) -> None:
    def loss() -> None:
        picked, weights = scalars(np.ones(21)), scalars(np.ones(21))
        losses = [-x * w if weighted else -x for x, w in zip(picked, weights, strict=True)]
        if reduction != "none":
            whole = sum(losses[1:], start=losses[0])
            if reduction == "mean":
                whole / (sum(weights[1:], start=weights[0]) if weighted else 21)

    inputs: list[Given] = [(3, 5, 7), typed(INT64, 3, 7), *([(5,)] if weighted else [])]
    found = cost_of("NegativeLogLikelihoodLoss", *inputs, reduction=reduction, opset=22)
    assert figures(found) == counted(loss)


def test_softmax_cross_entropy_is_a_log_softmax_and_a_loss() -> None:
    inputs: list[Given] = [(3, 5, 7), typed(INT64, 3, 7)]
    found = figures(cost_of("SoftmaxCrossEntropyLoss", *inputs, opset=22))
    softmax = counted(lambda: [log_softmax(list(scalars(np.arange(5)))) for _ in range(21)])
    assert found == softmax + figures(cost_of("NegativeLogLikelihoodLoss", *inputs, opset=22))


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_linear_attention(rule: str) -> None:
    batch, tokens, heads, kv_heads, key, value = 2, 3, 4, 2, 5, 7

    def token() -> None:
        for _ in range(kv_heads):
            state = scalars(np.ones((key, value)))
            k, v = scalars(np.ones(key)), list(scalars(np.ones(value)))
            if "gated" in rule:
                state = state * Scalar(0.1).exp()
            if "delta" in rule:
                v = [(x - dot(state[:, at], k)) * 0.3 for at, x in enumerate(v)]
            for i in range(key):
                for j in range(value):
                    k[i] * v[j] + state[i, j]
        for _ in range(heads):
            state, q = scalars(np.ones((key, value))), scalars(np.ones(key))
            for at in range(value):
                dot(state[:, at], q) * 0.5

    def run() -> None:
        for _ in range(batch * tokens):
            token()

    ticks = counted(run)
    node = cost_of(
        "LinearAttention",
        *((batch, tokens, heads * key), (batch, tokens, kv_heads * key), (batch, tokens, kv_heads * value)),
        *(None, (batch, tokens, kv_heads) if "gated" in rule else None),
        (batch, tokens, kv_heads) if "delta" in rule else None,
        q_num_heads=heads,
        kv_num_heads=kv_heads,
        update_rule=rule,
        outputs=2,
        opset=27,
    )
    assert flattened(node) == ticks


def test_causal_convolution_with_silu() -> None:
    def run() -> None:
        for _ in range(2 * 3 * 7):
            total = dot(scalars(np.ones(4)), scalars(np.ones(4))) + 0.5
            total * sigmoid(total)

    node = cost_of("CausalConvWithState", (2, 3, 7), (3, 1, 4), (3,), activation="silu", outputs=2, opset=27)
    assert flattened(node) == counted(run)


@pytest.mark.parametrize(("mode", "products"), [("linear", 3 * 2), ("nearest", 0), ("cubic", 5 * 4)])
def test_grid_sample(mode: str, products: int) -> None:
    node = figures(cost_of("GridSample", (2, 3, 5, 7), (2, 4, 6, 2), mode=mode, opset=22))
    coordinates, outputs = 2 * 4 * 6 * 2, 2 * 3 * 4 * 6
    assert node["mul"] == products * outputs + coordinates
    assert node["div"] == node["compare"] == coordinates


def test_affine_grid_is_a_matmul() -> None:
    node = cost_of("AffineGrid", (2, 2, 3), np.array([2, 3, 5, 7]), opset=22)
    assert node.cost.macs == figures(cost_of("MatMul", (2, 5 * 7, 3), (2, 3, 2)))["macs"]


def test_regions_of_interest() -> None:
    inputs: list[Given] = [(1, 3, 11, 13), (5, 4), typed(INT64, 5)]
    node = figures(cost_of("RoiAlign", *inputs, output_height=2, output_width=4, sampling_ratio=2, opset=22))
    outputs, samples = 5 * 3 * 2 * 4, 5 * 3 * 2 * 4 * 4
    assert node == Counter(mul=6 * samples, add=3 * samples + 3 * outputs, div=outputs)
    whole = cost_of("RoiAlign", *inputs, output_height=2, output_width=4, opset=22)
    assert whole.verdict is Verdict.ESTIMATE
    assert whole.reason == "sampling_ratio 0: every region as large as the whole image"
    rows, columns = [len(range(at, 11, 2)) for at in range(2)], [len(range(at, 13, 4)) for at in range(4)]
    assert figures(whole)["mul"] == 6 * 5 * 3 * 8 * max(rows) * max(columns)


def test_deformable_convolution_is_a_convolution_over_sampled_values() -> None:
    x, weight, output = (2, 3, 7, 5), (4, 3, 3, 2), (2, 4, 5, 4)
    node = figures(cost_of("DeformConv", x, weight, (2, 12, 5, 4), (4,), (2, 6, 5, 4), opset=22, out=[output]))
    plain = figures(cost_of("Conv", x, weight, (4,)))
    sampled = 2 * 3 * 5 * 4 * 6
    assert node == plain + Counter(mul=(6 + 1) * sampled, add=3 * sampled + 2 * 12 * 20)


def test_fourier_transforms_are_estimates() -> None:
    node = cost_of("DFT", (3, 8, 1), None, np.array(1), opset=20, out=[(3, 8, 2)])
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == Counter(mul=3 * 4 * 3 * 4, add=3 * 4 * 3 * 6)  # 12 butterflies a line


def test_linear_models() -> None:
    settings = {"domain": "ai.onnx.ml", "opset": 1}
    coefficients: list[float] = [0.5] * 15
    found = figures(
        cost_of("LinearRegressor", (7, 5), coefficients=coefficients, intercepts=[0.1] * 3, targets=3, **settings)
    )
    assert found == figures(cost_of("Gemm", (7, 5), (5, 3), (3,)))
    scaled = figures(cost_of("Scaler", (7, 5), offset=[0.1], scale=[2.0], **settings))
    assert scaled == Counter(add=35, mul=35)


def test_trees_are_estimates_of_their_depth() -> None:
    node = cost_of(
        "TreeEnsembleRegressor",
        (11, 3),
        domain="ai.onnx.ml",
        opset=3,
        nodes_treeids=[0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
        n_targets=1,
    )
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == Counter(compare=11 * (1 + 2), add=11 * 2)  # trees of 3 and of 7 nodes


def adam(x: Any, g: Any, v: Any, h: Any) -> Any:
    g = 0.1 * x + g
    v, h = 0.9 * v + 0.1 * g, 0.9 * h + 0.1 * g * g
    return 0.99 * (x - 0.3 * v / (h.sqrt() + 1e-6))


def adagrad(x: Any, g: Any, h: Any) -> Any:
    g = 0.1 * x + g
    h = h + g * g
    return x - 0.3 * g / (h.sqrt() + 1e-6)


def momentum(x: Any, g: Any, v: Any) -> Any:
    g = 0.1 * x + g
    v = 0.9 * v + 0.1 * g
    return x - 0.3 * v


@pytest.mark.parametrize(
    ("op", "step", "kinds"), [("Adam", adam, 4), ("Adagrad", adagrad, 3), ("Momentum", momentum, 3)]
)
def test_optimizers(op: str, step: Any, kinds: int) -> None:
    shapes: list[tuple[int, ...]] = [(3, 5), (7,)]
    settings = {"Momentum": {"alpha": 0.9, "beta": 0.1, "mode": "standard", "norm_coefficient": 0.1}}.get(op, {})
    ticks = counted(lambda: [step(*[Scalar(0.5)] * kinds) for _ in range(22)])
    inputs: list[Given] = [(), typed(INT64), *shapes * kinds]
    node = cost_of(
        op,
        *inputs,
        domain="ai.onnx.preview.training",
        opset=1,
        outputs=2 * (kinds - 1),
        **settings,
    )
    assert figures(node) == ticks


def test_suppression_compares_every_pair() -> None:
    node = cost_of("NonMaxSuppression", (2, 7, 4), (2, 3, 7))
    pairs = 2 * 3 * sum(1 for a in range(7) for b in range(a))
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == Counter(compare=7 * pairs + 42, add=7 * pairs, mul=pairs, div=pairs)


def test_a_determinant_by_elimination() -> None:
    def eliminate() -> None:
        matrix = scalars(np.eye(5) + 1)
        for k in range(5):
            for i in range(k + 1, 5):
                factor = matrix[i, k] / matrix[k, k]
                for j in range(k + 1, 5):
                    matrix[i, j] = matrix[i, j] - factor * matrix[k, j]
        result = matrix[0, 0]
        for k in range(1, 5):
            result = result * matrix[k, k]

    assert figures(cost_of("Det", (1, 5, 5), opset=22)) == counted(eliminate)


def test_topk_is_an_estimate() -> None:
    node = cost_of("TopK", (3, 100), np.array([7]), outputs=2)
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == Counter(compare=300 * 3)


def test_malformed_nodes_raise_with_where_expected_and_got() -> None:
    from wua_onnx.errors import ShapeError

    with pytest.raises(ShapeError, match=r"MatMul \(node 'the_node'\): inner dimensions: expected 5, got 7"):
        cost_of("MatMul", (3, 5), (7, 2), out=[(3, 2)])
    with pytest.raises(ShapeError, match=r"Einsum \(node 'the_node'\): equation: expected 2 terms"):
        cost_of("Einsum", (3, 5), (5, 2), equation="ij->i")
    with pytest.raises(
        ShapeError, match=r"Softmax \(node 'the_node'\): axis: expected one of a tensor of rank 2, got 5"
    ):
        cost_of("Softmax", (3, 5), axis=5)


@pytest.mark.parametrize("mode", ["TF", "IDF"])
def test_ngrams_are_counted_with_every_skip(mode: str) -> None:
    """Every way to pick 1 to 3 of 7 words with equal gaps of 1 or 2; a single word has no gap."""
    picked = {tuple(range(at, at + n * gap, gap)) for n in (1, 2, 3) for gap in (1, 2) for at in range(7)}
    grams = sum(max(words) < 7 for words in picked)
    settings: dict[str, Any] = {"min_gram_length": 1, "max_gram_length": 3, "max_skip_count": 1, "mode": mode}
    settings |= {"ngram_counts": [0, 2, 4], "ngram_indexes": [0, 1, 2], "pool_int64s": [1, 2, 1, 2, 1, 2, 3]}
    node = cost_of("TfIdfVectorizer", typed(INT64, 5, 7), **settings, out=[(5, 3)])
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == Counter(add=5 * grams, mul=0 if mode == "TF" else 15)


def test_mel_filters_are_an_estimate() -> None:
    def run() -> None:
        ten, step, low = Scalar(10.0), Scalar(0.5), Scalar(1.0)
        edges = [(ten ** ((step * m + low) / 2595) - 1) * 700 * 33 / 16000 for m in range(4 + 2)]
        widths = [(b - a, c - b) for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)]
        for frequency in scalars(np.arange(17)):  # on the rising slope of one filter and the falling one of another
            (frequency - edges[1]) / widths[1][0], (edges[2] - frequency) / widths[0][1]

    node = cost_of("MelWeightMatrix", typed(INT64), typed(INT64), typed(INT64), (), (), out=[(17, 4)])
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == counted(run)
