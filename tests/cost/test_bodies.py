"""Operators that have a rule and a function in their specification: both count the same, or the reason is written."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from wua_onnx.cost import CostReport, count
from wua_onnx.cost.bodies import body_of
from wua_onnx.cost.value import KINDS, Verdict
from wua_onnx.model import load

from .nodes import INT64, Given, figures, one_node, typed, whole

X = (2, 3, 5, 7)
AXIS = np.array([1])
PREVIEW: dict[str, Any] = {"domain": "ai.onnx.preview", "opset": 1}
B, H, Q, K, D, V = 2, 3, 5, 7, 8, 11  # batch, heads, queries, keys, head size, value head size


def both(op: str, *inputs: Given, **settings: Any) -> tuple[Counter[str], CostReport]:
    """Return what the rule says, and the count of the function's body."""
    model = load(one_node(op, *inputs, **settings))
    (node,) = model.nodes
    body = body_of(node)
    assert body is not None
    return figures(count(model).by_node[0]), count(body)


def of_body(report: CostReport) -> Counter[str]:
    return +Counter({kind: whole(getattr(report.cost, kind)) for kind in KINDS})


SAME: list[tuple[str, list[Given], dict[str, Any]]] = [
    ("CausalConvWithState", [(2, 3, 7), (3, 1, 4), (3,)], {"opset": 27, "activation": "silu", "outputs": 2}),
    ("Clip", [X, np.array(0, np.float32), np.array(6, np.float32)], {"opset": 13}),
    ("DynamicQuantizeLinear", [X], {"opset": 11, "outputs": 3}),
    ("Elu", [X], {"opset": 22}),
    ("HardSigmoid", [X], {"opset": 22}),
    ("HardSwish", [X], {"opset": 14}),
    ("HardSwish", [X], {"opset": 22}),
    ("LeakyRelu", [X], {"opset": 16}),
    ("LogSoftmax", [X], {"opset": 13, "axis": 1}),
    ("Mish", [X], {"opset": 22}),
    ("PRelu", [X, (7,)], {"opset": 16}),
    ("NegativeLogLikelihoodLoss", [(3, 5, 7), typed(INT64, 3, 7)], {"opset": 22, "reduction": "none"}),
    ("NegativeLogLikelihoodLoss", [(3, 5, 7), typed(INT64, 3, 7)], {"opset": 22, "reduction": "mean"}),
    ("NegativeLogLikelihoodLoss", [(3, 5, 7), typed(INT64, 3, 7), (5,)], {"opset": 22, "reduction": "sum"}),
    ("NegativeLogLikelihoodLoss", [(3, 5, 7), typed(INT64, 3, 7), (5,)], {"opset": 22, "reduction": "mean"}),
    ("ReduceL1", [X, AXIS], {"opset": 18}),
    ("ReduceL2", [X, AXIS], {"opset": 18}),
    ("ReduceLogSum", [X, AXIS], {"opset": 18}),
    ("ReduceLogSumExp", [X, AXIS], {"opset": 18}),
    ("ReduceSumSquare", [X, AXIS], {"opset": 18}),
    ("Relu", [X], {"opset": 14}),
    ("RotaryEmbedding", [(2, 3, 5, 8), (2, 5, 4), (2, 5, 4)], {"opset": 23}),
    ("RotaryEmbedding", [(2, 3, 5, 8), (2, 5, 2), (2, 5, 2)], {"opset": 23, "rotary_embedding_dim": 4}),
    ("Softmax", [X], {"opset": 13, "axis": 1}),
    ("SoftmaxCrossEntropyLoss", [(3, 5, 7), typed(INT64, 3, 7)], {"opset": 13, "reduction": "none"}),
    ("SoftmaxCrossEntropyLoss", [(3, 5, 7), typed(INT64, 3, 7)], {"opset": 13, "reduction": "sum"}),
    ("SoftmaxCrossEntropyLoss", [(3, 5, 7), typed(INT64, 3, 7)], {"opset": 13, "reduction": "mean"}),
    ("Softplus", [X], {"opset": 22}),
    ("Softsign", [X], {"opset": 22}),
    ("SwiGLU", [X, X], {"opset": 28}),
    ("Swish", [X], {"opset": 24}),
    ("ThresholdedRelu", [X], {"opset": 22}),
]


@pytest.mark.parametrize(("op", "inputs", "settings"), SAME)
def test_the_rule_and_the_function_count_the_same(op: str, inputs: list[Given], settings: dict[str, Any]) -> None:
    rule, body = both(op, *inputs, **settings)
    assert body.bound == "exact"
    assert rule == of_body(body)
    assert rule


N, ROWS, CHANNELS = 210, 30, 3  # of X: its elements, its rows, its channels
SCORES = B * H * Q * K
# What the function does more (and, below 0, less) than the rule, and why.
OTHER: list[tuple[str, list[Given], dict[str, Any], dict[str, int], str]] = [
    ("Gelu", [X], {"opset": 20}, {"special": 1}, "the function computes √2 in each run"),
    ("Gelu", [X], {"opset": 20, "approximate": "tanh"}, {"special": 1}, "the function computes √(2/π) in each run"),
    (
        "LayerNormalization",
        [X, (7,), (7,)],
        {"opset": 17},
        {"add": ROWS, "mul": ROWS - N, "div": N - ROWS},
        "variance as mean(x²) − mean(x)², and a division of every element instead of one for each group",
    ),
    (
        "GroupNormalization",
        [(2, 6, 5, 7), (6,), (6,)],
        {"opset": 21, "num_groups": 3},
        {"mul": 6, "add": 6},
        "variance as mean(x²) − mean(x)²",
    ),
    (
        "Celu",
        [X],
        {"opset": 12},
        {"mul": N, "add": -N, "compare": -N},
        "alpha · Elu(x / alpha), where the specification's formula takes a maximum and a minimum",
    ),
    (
        "MeanVarianceNormalization",
        [X],
        {"opset": 13},
        {"add": 2 * CHANNELS, "mul": -N, "special": N + CHANNELS},
        "powers for squares, sqrt(mean(x²) − mean(x)²), and 1e-9 added",
    ),
    ("Selu", [X], {"opset": 22}, {"mul": N}, "the function multiplies by gamma on either side of the distinction"),
    ("Shrink", [X], {"opset": 9}, {"add": N + 1}, "the function computes both shifts of every element, and −lambd"),
    (
        "GreaterOrEqual",
        [X, (7,)],
        {"opset": 16},
        {"compare": N, "int_ops": N},
        "the function compares twice and takes either",
    ),
    ("Bernoulli", [X], {"opset": 22}, {"mul": N, "add": N}, "the function scales the uniform numbers it draws"),
    (
        "LinearAttention",
        [(2, 3, 20), (2, 3, 10), (2, 3, 14)],
        {"opset": 27, "q_num_heads": 4, "kv_num_heads": 2, "update_rule": "linear", "outputs": 2},
        {"add": 2 * 3 * 2 * 5 * 7, "div": 1},
        "the function makes k ⊗ v by itself and adds it to the state, where the rule accumulates onto the state",
    ),
    (
        "Attention",
        [(B, H, Q, D), (B, H, K, D), (B, H, K, V)],
        {"opset": 23},
        {"add": SCORES, "compare": Q * K},
        "without a mask the function makes one of zeros and adds it",
    ),
    (
        "Attention",
        [(B, H, Q, D), (B, H, K, D), (B, H, K, V), (Q, K)],
        {"opset": 23, "softcap": 2.0},
        {"compare": Q * K},
        "the function looks for −inf in the mask",
    ),
    (
        "Attention",
        [(B, Q, H * D), (B, K, D), (B, K, V)],
        {"opset": 23, "q_num_heads": H, "kv_num_heads": 1},
        {"add": SCORES, "compare": Q * K, "mul": B * (H - 1) * K * D},
        "as without groups, and the function scales the keys after repeating them for every query head",
    ),
]


@pytest.mark.parametrize(("op", "inputs", "settings", "more", "reason"), OTHER)
def test_a_stated_difference(
    op: str, inputs: list[Given], settings: dict[str, Any], more: dict[str, int], reason: str
) -> None:
    rule, body = both(op, *inputs, **settings)
    found = of_body(body)
    found.subtract(rule)
    assert {kind: figure for kind, figure in found.items() if figure} == more, reason


def modified(name: str, op: str) -> onnx.GraphProto:
    """A modifier of scores: one operator of two equal operands."""
    node = helper.make_node(op, ["s", "s"], ["t"])
    ends = [helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, None) for end in "st"]
    return helper.make_graph([node], name, ends[:1], ends[1:])


def test_an_operator_without_a_rule_is_counted_through_its_function() -> None:
    qkv: list[Given] = [(B, H, Q, D), (B, H, K, D), (B, H, K, V)]
    plain = count(load(one_node("FlexAttention", *qkv, **PREVIEW)))
    (node,) = plain.by_node
    assert node.verdict is Verdict.COUNTED
    assert node.reason == "through the function that its specification defines it by"
    attention = figures(count(load(one_node("Attention", *qkv, opset=23))).by_node[0])
    assert figures(node) == attention
    graphs = {"score_mod": modified("score", "Add"), "prob_mod": modified("prob", "Mul")}
    changed = count(load(one_node("FlexAttention", *qkv, **graphs, **PREVIEW)))
    assert figures(changed.by_node[0]) == attention + Counter(add=SCORES, mul=SCORES)


def test_symbols_go_through_the_function() -> None:
    qkv: list[Given] = [("b", H, "q", D), ("b", H, "k", D), ("b", H, "k", V)]
    report = count(load(one_node("FlexAttention", *qkv, **PREVIEW)))
    assert report.symbols == ("b", "k", "q")
    fixed: list[Given] = [(B, H, Q, D), (B, H, K, D), (B, H, K, V)]
    assert report.at(b=B, q=Q, k=K).cost == count(load(one_node("FlexAttention", *fixed, **PREVIEW))).cost


def test_what_cannot_be_told_inside_is_unknown_by_name() -> None:
    qkv: list[Given] = [typed(1, B, H, Q, D), (B, H, K, D), None]
    report = count(load(one_node("FlexAttention", *qkv, **PREVIEW)))
    (node,) = report.by_node
    assert node.verdict is Verdict.UNKNOWN
    assert report.bound == "lower"


def test_a_malformed_graph_inside_a_node_is_unknown_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = modified("score", "Add")
    nowhere.node[0].input[1] = "nowhere"
    qkv: list[Given] = [(B, H, Q, D), (B, H, K, D), (B, H, K, V)]
    report = count(load(one_node("FlexAttention", *qkv, score_mod=nowhere, **PREVIEW)))
    assert report.unsupported
    assert caplog.records == []


def test_operators_without_a_function_have_no_body() -> None:
    (conv,) = load(one_node("Conv", (1, 3, 7, 5), (4, 3, 3, 2))).nodes
    (strange,) = load(one_node("Strange", (1,), domain="com.acme", opset=1)).nodes
    assert body_of(conv) is None
    assert body_of(strange) is None
