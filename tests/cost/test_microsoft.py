"""com.microsoft operators against the sum of the parts they fuse, whose counts other tests check by execution."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from .nodes import INT64, UINT8, Given, cost_of, figures, typed

MS: dict[str, Any] = {"domain": "com.microsoft", "opset": 1}
INT32 = 6
B, S, H, HEADS = 2, 5, 12, 3
HEAD = H // HEADS


def part(op: str, *inputs: Given, **settings: Any) -> Counter[str]:
    return figures(cost_of(op, *inputs, **settings))


def fused(op: str, *inputs: Given, **settings: Any) -> Counter[str]:
    return figures(cost_of(op, *inputs, **MS, **settings))


X = (B, S, H)
FLAT = (B * S, H)
NORM = part("LayerNormalization", X, (H,), (H,))


@pytest.mark.parametrize(
    ("op", "inputs", "settings", "parts"),
    [
        ("BiasGelu", [X, (H,)], {}, [part("Add", X, (H,)), part("Gelu", X)]),
        ("Gelu", [X], {}, [part("Gelu", X)]),
        ("QuickGelu", [X], {}, [part("Mul", X, ()), part("Sigmoid", X), part("Mul", X, X)]),
        ("SkipLayerNormalization", [X, X, (H,), (H,)], {}, [part("Add", X, X), NORM]),
        ("SkipLayerNormalization", [X, X, (H,), (H,), (H,)], {}, [part("Add", X, X), part("Add", X, (H,)), NORM]),
        ("SkipSimplifiedLayerNormalization", [X, X, (H,)], {}, [part("Add", X, X), part("RMSNormalization", X, (H,))]),
        ("FusedMatMul", [(7, 5), (7, 11)], {"transA": 1}, [part("MatMul", (5, 7), (7, 11))]),
        (
            "FusedMatMul",
            [(2, 5, 7), (2, 7, 11)],
            {"alpha": 0.5},
            [part("MatMul", (2, 5, 7), (2, 7, 11)), part("Mul", (2, 5, 11), ())],
        ),
        (
            "FusedGemm",
            [(5, 7), (7, 11), (11,)],
            {"activation": "Relu"},
            [part("Gemm", (5, 7), (7, 11), (11,)), part("Relu", (5, 11))],
        ),
        (
            "FusedConv",
            [(1, 3, 7, 5), (4, 3, 3, 2), (4,), (1, 4, 5, 4)],
            {"activation": "Relu", "out": [(1, 4, 5, 4)]},
            [
                part("Conv", (1, 3, 7, 5), (4, 3, 3, 2), (4,)),
                part("Add", (1, 4, 5, 4), (1, 4, 5, 4)),
                part("Relu", (1, 4, 5, 4)),
            ],
        ),
    ],
)
def test_fused(op: str, inputs: list[Given], settings: dict[str, Any], parts: list[Counter[str]]) -> None:
    assert fused(op, *inputs, **settings) == sum(parts, Counter())


def test_simplified_layer_normalization_stands_in_the_main_domain() -> None:
    found = part("SimplifiedLayerNormalization", X, (H,), opset=1, out=[X])
    assert found == part("RMSNormalization", X, (H,))


def attention(queries: int, keys: int, heads: int, *, adds: int) -> Counter[str]:
    """Q·Kᵀ, its scale, `adds` additions to the scores, softmax, and the product with V."""
    scores = (B, heads, queries, keys)
    products = part("MatMul", (B, heads, queries, HEAD), (B, heads, HEAD, keys))
    result = (
        products + part("MatMul", scores, (B, heads, keys, HEAD)) + part("Mul", scores, ()) + part("Softmax", scores)
    )
    for _ in range(adds):
        result += part("Add", scores, scores)
    return result


@pytest.mark.parametrize(("past", "causal", "mask"), [(0, 0, False), (7, 1, False), (0, 0, True), (7, 1, True)])
def test_attention(past: int, causal: int, mask: bool) -> None:
    inputs: list[Given] = [X, (H, 3 * H), (3 * H,), typed(INT32, B) if mask else None]
    inputs.append((2, B, HEADS, past, HEAD) if past else None)
    found = fused("Attention", *inputs, num_heads=HEADS, unidirectional=causal, outputs=2 if past else 1)
    projection = part("MatMul", X, (H, 3 * H)) + part("Add", (B, S, 3 * H), (3 * H,))
    assert found == projection + attention(S, S + past, HEADS, adds=causal + mask)


@pytest.mark.parametrize("form", ["apart", "packed", "4-D keys"])
def test_multi_head_attention(form: str) -> None:
    keys = {"apart": 7, "packed": S, "4-D keys": 7}[form]
    forms: dict[str, list[Given]] = {
        "apart": [X, (B, keys, H), (B, keys, H)],
        "packed": [(B, S, HEADS, 3, HEAD)],
        "4-D keys": [X, (B, HEADS, keys, HEAD), (B, HEADS, keys, HEAD)],
    }
    inputs = forms[form]
    assert fused("MultiHeadAttention", *inputs, num_heads=HEADS) == attention(S, keys, HEADS, adds=0)


@pytest.mark.parametrize("rotary", [0, 1])
def test_group_query_attention(rotary: int) -> None:
    past, kv_heads = 7, 1
    cache = (B, kv_heads, past, HEAD)
    angles = (99, HEAD // 2)
    found = fused(
        "GroupQueryAttention",
        *(X, (B, S, kv_heads * HEAD), (B, S, kv_heads * HEAD), cache, cache),
        *(typed(INT32, B), np.array(S + past, np.int32), angles, angles),
        num_heads=HEADS,
        kv_num_heads=kv_heads,
        do_rotary=rotary,
        outputs=3,
        out=[X, (B, kv_heads, S + past, HEAD), (B, kv_heads, S + past, HEAD)],
    )
    turned = Counter(mul=2, add=1)
    pairs = B * S * (HEADS + kv_heads) * HEAD * rotary
    expected = attention(S, S + past, HEADS, adds=1) + Counter({kind: n * pairs for kind, n in turned.items()})
    assert found == expected


def test_rotary_embedding_turns_the_part_the_cosines_cover() -> None:
    found = fused("RotaryEmbedding", (B, HEADS, S, 8), typed(INT64, B, S), (99, 3), (99, 3))
    elements = B * HEADS * S * 6
    assert found == Counter(mul=2 * elements, add=elements)


def test_matmul_with_packed_weights_is_a_matmul() -> None:
    packed = np.ones((11, 2, 16), np.uint8)
    found = fused("MatMulNBits", (B, S, 64), packed, np.ones(22, np.float32), K=64, N=11, bits=4, block_size=32)
    assert found == part("MatMul", (B, S, 64), (64, 11))


def test_quantised_addition() -> None:
    scale, zero = np.array(0.1, np.float32), np.array(3, np.uint8)
    a, b = typed(UINT8, 7, 11), typed(UINT8, 11)
    found = fused("QLinearAdd", a, scale, zero, b, scale, zero, scale, zero)
    outside = (
        part("DequantizeLinear", a, scale, zero)
        + part("DequantizeLinear", b, scale, zero)
        + part("Add", (7, 11), (11,))
    )
    back = found - outside
    assert back == Counter(mul=77, compare=3 * 77, add=77)  # round, zero point, two bounds


def test_integer_matmul_with_a_float_result() -> None:
    scale, zero = np.array(0.1, np.float32), np.array(3, np.uint8)
    found = fused(
        "MatMulIntegerToFloat", typed(UINT8, 5, 7), np.ones((7, 11), np.uint8), scale, scale, zero, zero, (11,)
    )
    integers = part("MatMulInteger", typed(UINT8, 5, 7), np.ones((7, 11), np.uint8), zero, zero, opset=21)
    assert found == integers + part("Mul", (5, 11), ()) + part("Add", (5, 11), (11,))


def test_mixture_of_experts_counts_the_experts_chosen() -> None:
    rows, experts, inner = 10, 4, 20
    found = fused(
        "MoE",
        *((rows, H), (rows, experts), (experts, inner, H), (experts, inner), (experts, H, inner), (experts, H)),
        k=2,
        activation_type="relu",
    )
    chosen = 2 * rows
    expected = (
        part("Softmax", (rows, experts))
        + part("MatMul", (chosen, H), (H, inner))
        + part("Add", (chosen, inner), (inner,))
    )
    expected += (
        part("Relu", (chosen, inner)) + part("MatMul", (chosen, inner), (inner, H)) + part("Add", (chosen, H), (H,))
    )
    expected += part("Mul", (chosen, H), (chosen, 1)) + part("Add", (chosen, H), (chosen, H))
    assert found == expected


def test_embedding_with_layer_normalization() -> None:
    ids = typed(INT32, B, S)
    found = fused(
        "EmbedLayerNormalization", ids, ids, (99, H), (50, H), (2, H), (H,), (H,), typed(INT32, B, S), outputs=2
    )
    assert found == part("Add", X, X) + part("Add", X, X) + NORM + Counter(int_ops=B * S)
