"""More com.microsoft operators against their parts and against loops on counting numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from wua_onnx.cost.value import Verdict

from .counting import Scalar, counted, scalars
from .nodes import INT8, INT64, UINT8, Given, cost_of, figures, typed
from .primitives import dot, flattened, sigmoid, softmax
from .test_microsoft import HEAD, HEADS, INT32, MS, NORM, B, H, S, X, attention, fused, part

T = 7  # keys of another sequence
ONE = np.array(0.5, np.float32)


def times(counts: Counter[str], factor: int) -> Counter[str]:
    return Counter({kind: n * factor for kind, n in counts.items()})


def in_integers(counts: Counter[str]) -> Counter[str]:
    """The macs of `counts` done in integers."""
    macs = counts["macs"]
    return counts + Counter(int_macs=macs, int_ops=2 * macs)


def test_dynamically_quantised_lstm_quantises_what_it_multiplies() -> None:
    steps, batch, inputs, hidden = 5, 2, 3, 4
    settings: dict[str, Any] = {"hidden_size": hidden, "outputs": 1}
    bias = np.ones((1, 8 * hidden), np.float32)
    weights = np.ones((1, inputs, 4 * hidden), np.int8), np.ones((1, hidden, 4 * hidden), np.int8)
    scale, zero = np.ones(1, np.float32), np.zeros(1, np.int8)
    found = figures(
        cost_of(
            "DynamicQuantizeLSTM",
            *((steps, batch, inputs), *weights, bias, None, None, None, None, scale, zero, scale, zero),
            **MS,
            **settings,
        )
    )
    floating = figures(
        cost_of("LSTM", (steps, batch, inputs), (1, 4 * hidden, inputs), (1, 4 * hidden, hidden), bias, **settings)
    )
    products = Counter({key: found.pop(key) for key in ("macs", "int_macs", "int_ops")})
    assert products["macs"] == products["int_macs"] == floating.pop("macs")
    assert products["int_ops"] == 2 * products["macs"] + steps * batch * (inputs + hidden)  # the zero points
    quantised = part("DynamicQuantizeLinear", (steps, batch, inputs), opset=11, outputs=3)
    quantised += times(part("DynamicQuantizeLinear", (batch, hidden), opset=11, outputs=3), steps)
    scaled = Counter(mul=2 * 4 * hidden * steps * batch)
    assert found == floating + quantised + scaled


def test_decoder_attention_of_one_token() -> None:
    past = 11
    found = fused(
        "DecoderMaskedSelfAttention",
        *((B, 1, H), (H, 3 * H), (3 * H,), None, (2, B, HEADS, past, HEAD)),
        num_heads=HEADS,
        outputs=2,
    )
    projection = part("MatMul", (B, 1, H), (H, 3 * H)) + part("Add", (B, 1, 3 * H), (3 * H,))
    assert found == projection + attention(1, past + 1, HEADS, adds=0)
    shared = fused(
        "DecoderMaskedMultiHeadAttention",
        *((B, 1, H), (B, 1, H), (B, 1, H), None, None, (B, HEADS, past, HEAD), (B, HEADS, past, HEAD)),
        num_heads=HEADS,
        past_present_share_buffer=1,
        outputs=3,
    )
    assert shared == attention(1, past, HEADS, adds=0)


def test_sparse_and_paged_attention_are_estimates_of_the_whole() -> None:
    cache = (B, 1, 20, HEAD)
    qkv: list[Given] = [X, (B, S, HEAD), (B, S, HEAD)]
    rows: list[Given] = [typed(INT32, 1, 3), typed(INT32, 1, 5)]
    total: list[Given] = [np.array(17, np.int32), typed(INT32, B)]
    settings: dict[str, Any] = {"num_heads": HEADS, "kv_num_heads": 1}
    sparse = cost_of("SparseAttention", *qkv, cache, cache, *rows, *total, **MS, **settings, outputs=3)
    assert sparse.verdict is Verdict.ESTIMATE
    assert figures(sparse) == attention(S, 17, HEADS, adds=1)
    tokens, blocks, block = B * S, 4, 5
    flat: list[Given] = [(tokens, H), (tokens, HEAD), (tokens, HEAD)]
    pages: list[Given] = [(32, block, 1, HEAD), (32, block, 1, HEAD), typed(INT32, B + 1), typed(INT32, B)]
    paged = cost_of("PagedAttention", *flat, *pages, typed(INT32, B, blocks), **MS, **settings, outputs=3)
    assert paged.verdict is Verdict.ESTIMATE
    assert figures(paged) == attention(S, blocks * block, HEADS, adds=1)


def test_longformer_attends_to_a_window() -> None:
    window, length = 2, 8
    inputs: list[Given] = [
        (B, length, H),
        (H, 3 * H),
        (3 * H,),
        (B, length),
        (H, 3 * H),
        (3 * H,),
        typed(INT32, B, length),
    ]
    node = cost_of("LongformerAttention", *inputs, num_heads=HEADS, window=window, **MS)
    projections = times(part("MatMul", (B, length, H), (H, 3 * H)) + part("Add", (B, length, 3 * H), (3 * H,)), 2)

    def attend() -> None:
        for _ in range(B * HEADS * length):
            query, keys = scalars(np.ones(HEAD)), scalars(np.ones((2 * window + 1, HEAD)))
            weights = softmax([dot(query, key) * 0.5 + 0.1 for key in keys])
            for at in range(HEAD):
                dot(weights, keys[:, at])

    assert node.verdict is Verdict.ESTIMATE
    assert flattened(node) == counted(attend) + Counter(
        mul=projections["macs"], add=projections["macs"] + projections["add"]
    )


def test_gated_relative_position_bias() -> None:
    gates = 8

    def run() -> None:
        weight, bias = scalars(np.ones((HEAD, gates))), scalars(np.ones(gates))
        for _ in range(B * S * HEADS):
            query = scalars(np.ones(HEAD)) + scalars(np.ones(HEAD))
            row = [dot(query, weight[:, at]) + bias[at] for at in range(gates)]
            halves = []
            for half in (row[: gates // 2], row[gates // 2 :]):
                total = half[0]
                for value in half[1:]:
                    total = total + value
                halves.append(sigmoid(total))
            gate = halves[0] * (halves[1] * Scalar(0.3) - 1.0) + 2.0
            for _ in range(S):
                gate * 0.7

    node = cost_of(
        "GatedRelativePositionBias",
        *(X, (H,), (1, HEADS, S, S), (HEAD, gates), (gates,), (1, HEADS, 1, 1)),
        num_heads=HEADS,
        out=[(B, HEADS, S, S)],
        **MS,
    )
    assert flattened(node) == counted(run)


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_distances(metric: str) -> None:
    def run() -> None:
        for a in scalars(np.ones((5, 7))):
            for b in scalars(np.ones((3, 7))):
                squares = [(x - y) * (x - y) for x, y in zip(a, b, strict=True)]  # the difference is computed once
                total = squares[0]
                for square in squares[1:]:
                    total = total + square
                if metric == "euclidean":
                    total.sqrt()

    ticks = counted(run)
    ticks["add"] -= 5 * 3 * 7
    assert fused("CDist", (5, 7), (3, 7), metric=metric, out=[(5, 3)]) == ticks


def test_an_inverse_by_elimination() -> None:
    def invert() -> None:
        a, n = scalars(np.eye(5) * 3 + 1), 5
        for k in range(n):
            inverse = 1 / a[k, k]
            for j in range(n):
                if j != k:
                    a[k, j] = a[k, j] * inverse
            for i in range(n):
                if i == k:
                    continue
                for j in range(n):
                    if j != k:
                        a[i, j] = a[i, j] - a[i, k] * a[k, j]
                a[i, k] = -a[i, k] * inverse
            a[k, k] = inverse

    node = cost_of("Inverse", (2, 5, 5), **MS)
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == times(counted(invert), 2)


ORDERED = Counter(mul=1, compare=3)  # of one value: scaled, rounded, cut on both sides


SIX_BY_FOUR = Counter(int_ops=6 * 4 * 3 * 3)  # positions × channels, the largest of 4


@pytest.mark.parametrize(
    ("op", "inputs", "settings", "parts"),
    [
        ("QuantizeWithOrder", [(5, 7), ONE], {}, [Counter(div=35, compare=3 * 35)]),
        ("DequantizeWithOrder", [typed(INT8, 5, 7), ONE], {"out": [(5, 7)]}, [Counter(mul=35)]),
        (
            "QOrderedGelu",
            [typed(INT8, *X), ONE, ONE],
            {"out": [X]},
            [part("Mul", X, ()), part("Gelu", X), times(ORDERED, B * S * H)],
        ),
        (
            "QOrderedLayerNormalization",
            [typed(INT8, *X), ONE, (H,), (H,), ONE],
            {"out": [X]},
            [part("Mul", X, ()), NORM, times(ORDERED, B * S * H)],
        ),
        (
            "QOrderedMatMul",
            [typed(INT8, *X), ONE, typed(INT8, H, 7), ONE, ONE, (7,)],
            {"out": [(B, S, 7)], "order_A": 1, "order_B": 1, "order_Y": 1},
            [in_integers(part("MatMul", X, (H, 7))), part("Add", (B, S, 7), (7,)), times(ORDERED, B * S * 7)],
        ),
        ("MulInteger", [typed(UINT8, 5, 7), None, typed(UINT8, 7), None], {"out": [(5, 7)]}, [Counter(int_ops=35)]),
        ("ReduceSumInteger", [typed(UINT8, 5, 7)], {"out": [(5,)], "axes": [1]}, [Counter(int_ops=5 * 6)]),
        ("MatMulInteger16", [typed(5, 5, 7), typed(5, 7, 3)], {"out": [(5, 3)]}, [in_integers(Counter(macs=105))]),
        ("ComplexMul", [(5, 2), (5, 2)], {"out": [(5, 2)]}, [times(Counter(mul=4, add=2), 5)]),
        ("IsAllFinite", [(5, 7), (3,)], {"out": [()]}, [Counter(compare=38)]),
        ("ScaledSiLU", [X], {"out": [X]}, [part("Mul", X, ()), part("Sigmoid", X), part("Mul", X, X)]),
        ("GatedAdd", [X, X, (B, S, 1)], {"out": [X]}, [part("Mul", X, (B, S, 1)), part("Add", X, X)]),
        (
            "GatedRMSNorm",
            [(B, S, 3 * H), (H,), (B, S, 3 * H)],
            {"out": [(B, S, 3 * H)]},
            [
                part("RMSNormalization", (B, S, 3, H), (H,)),
                part("Sigmoid", (B, S, 3 * H)),
                times(part("Mul", (B, S, 3 * H), (B, S, 3 * H)), 2),
            ],
        ),
        (
            "LinearAttentionGate",
            [X, (H,), (H,), X],
            {"outputs": 2, "out": [X, X]},
            [part("Add", X, (H,)), part("Softplus", X), part("Mul", X, (H,)), part("Sigmoid", X)],
        ),
        (
            "HyperConnectionPreMix",
            [(B, S, 4, H), (B, S, 4, 1)],
            {"out": [X]},
            [part("Mul", (B, S, 4, H), (B, S, 4, 1)), part("ReduceSum", (B, S, 4, H), np.array([2]))],
        ),
        (
            "HyperConnectionPostMix",
            [(B, S, 4, H), X, (B, S, 4, 1), (B, S, 4, 4)],
            {"out": [(B, S, 4, H)]},
            [
                part("MatMul", (B, S, 4, 4), (B, S, 4, H)),
                part("Mul", (B, S, 4, 1), (B, S, 1, H)),
                part("Add", (B, S, 4, H), (B, S, 4, H)),
            ],
        ),
        (
            "GemmFloat8",
            [(5, 7), (7, 3), (3,)],
            {"out": [(5, 3)]},
            [part("Gemm", (5, 7), (7, 3), (3,))],
        ),
        (
            "FusedMatMulActivation",
            [(5, 7), (7, 3)],
            {"out": [(5, 3)], "activation": "Relu"},
            [part("MatMul", (5, 7), (7, 3)), part("Relu", (5, 3))],
        ),
        (
            "ConvTransposeWithDynamicPads",
            [(1, 3, 7, 5), (3, 4, 3, 2), typed(INT64, 4), (4,)],
            {"out": [(1, 4, 9, 6)]},
            [part("ConvTranspose", (1, 3, 7, 5), (3, 4, 3, 2), (4,))],
        ),
        (
            "CropAndResize",
            [(1, 3, 11, 13), (5, 4), typed(INT32, 5), np.array([2, 4], np.int32)],
            {"out": [(5, 3, 2, 4)]},
            [times(Counter(mul=6, add=3), 5 * 3 * 2 * 4)],
        ),
        (
            "GemmaRotaryEmbedding",
            [(B, S, HEAD), *[(B, HEADS, S, HEAD)] * 4],
            {"outputs": 2, "out": [(B, HEADS, S, HEAD)] * 2},
            [
                part("Sin", (B, S, HEAD)),
                part("Cos", (B, S, HEAD)),
                times(part("Mul", (B, HEADS, S, HEAD), (B, 1, S, HEAD)), 4),
                times(part("Add", (B, HEADS, S, HEAD), (B, HEADS, S, HEAD)), 2),
            ],
        ),
        (
            "NhwcMaxPool",
            [typed(INT8, 1, 7, 5, 3)],
            {"kernel_shape": [2, 2], "out": [(1, 6, 4, 3)]},
            [Counter(int_ops=216)],
        ),
        (
            "MatMulNBitsMlp",
            [X, X, (H,), typed(UINT8, 7, 1, 8), (7,), (7,), typed(UINT8, 7, 1, 8), (7,), (7,)],
            {"K": H, "N": 7, "activation": "silu", "out": [(B, S, 7)]},
            [
                part("Add", X, X),
                part("RMSNormalization", X, (H,)),
                times(part("MatMul", X, (H, 7)) + part("Add", (B, S, 7), (7,)), 2),
                part("Sigmoid", (B, S, 7)),
                times(part("Mul", (B, S, 7), (B, S, 7)), 2),
            ],
        ),
        (
            "MatMulNBitsQkv",
            [X, None, (H,), typed(UINT8, 7, 1, 8), (7,), None, *[typed(UINT8, 3, 1, 8), (3,), None] * 2],
            {"K": H, "Nq": 7, "Nkv": 3, "outputs": 3, "out": [(B, S, 7), (B, S, 3), (B, S, 3)]},
            [
                part("RMSNormalization", X, (H,)),
                part("MatMul", X, (H, 7)),
                times(part("MatMul", X, (H, 3)), 2),
            ],
        ),
        (
            "MatMulBlockQuantizedFp8Weight",
            [X, typed(17, 7, H), (7, 1), None, (7,)],
            {"out": [(B, S, 7)]},
            [part("MatMul", X, (H, 7)), part("Add", (B, S, 7), (7,))],
        ),
        (
            "GridSample",
            [(2, 3, 5, 7), (2, 4, 6, 2)],
            {"out": [(2, 3, 4, 6)]},
            [part("GridSample", (2, 3, 5, 7), (2, 4, 6, 2), opset=22)],
        ),
        (
            "BranchwiseRMSNorm",
            [(B, S, 3, H), (H,)],
            {"out": [(B, S, 3, H)]},
            [part("RMSNormalization", (B, S, 3, H), (H,))],
        ),
        (
            "BranchwiseRMSNorm",
            [(B, S, 3 * H)],
            {"out": [(B, S, 3 * H)], "num_branches": 3},
            [part("LpNormalization", (B * S * 3, H)), Counter(add=B * S * 3, div=B * S * 3)],
        ),
        (
            "QEmbedLayerNormalization",
            [typed(INT32, B, S), None, typed(INT8, 99, H), typed(INT8, 50, H), None, typed(INT8, H), typed(INT8, H)],
            {"outputs": 2, "out": [X, (B,)]},
            [part("Add", X, X), NORM, Counter(mul=2 * B * S * H, int_ops=2 * B * S * H)],
        ),
        ("TorchEmbedding", [(11, 7), typed(INT64, 5)], {"out": [(5, 7)]}, []),
    ],
)
def test_parts(op: str, inputs: list[Given], settings: dict[str, Any], parts: list[Counter[str]]) -> None:
    assert fused(op, *inputs, **settings) == sum(parts, Counter())


def test_attention_in_integers() -> None:
    scales: list[Given] = [ONE] * 4
    matrices: list[Given] = [typed(INT8, H, H)] * 3
    found = fused(
        "QOrderedAttention",
        *(typed(INT8, *X), *scales, *matrices, *[ONE] * 3, (H,), (H,), (H,), ONE, ONE, ONE),
        num_heads=HEADS,
        out=[X],
    )
    scores = (B, HEADS, S, S)
    products = times(part("MatMul", X, (H, H)), 3) + times(part("MatMul", (B, HEADS, S, HEAD), (B, HEADS, HEAD, S)), 2)
    rounded = 4 * B * S * H + 2 * B * HEADS * S * S
    expected = (
        in_integers(products) + times(part("Add", X, (H,)), 3) + part("Softmax", scores) + times(ORDERED, rounded)
    )
    assert found == expected


def test_attention_across_sequences_without_a_cache() -> None:
    node = cost_of(
        "DecoderAttention",
        *((S, B, H), (T, B, H), (H, H), (H, 2 * H), (3 * H,)),
        num_heads=HEADS,
        out=[(S, B, H)],
        **MS,
    )
    projections = part("MatMul", (S, B, H), (H, H)) + part("MatMul", (T, B, H), (H, 2 * H))
    biases = part("Add", (S, B, H), (H,)) + part("Add", (T, B, 2 * H), (2 * H,))
    assert node.verdict is Verdict.ESTIMATE
    assert figures(node) == projections + biases + attention(S, T, HEADS, adds=0)
