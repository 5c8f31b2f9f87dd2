"""Costs against execution: onnx's node cases run on numbers that count what is done to them (see counting.py)."""

from __future__ import annotations

from collections import Counter

import pytest

from wua_onnx.cost import NodeCost
from wua_onnx.cost.value import Verdict

from .evaluation import Case, executed, ruled
from .nodes import figures, whole

# Operators whose every case executes exactly what the rule says.
# fmt: off
AGREE = (
    "Abs", "Acos", "Acosh", "Add", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "Ceil",
    "Cos", "Cosh", "CumProd", "Div", "Exp", "Floor", "GlobalAveragePool", "GlobalMaxPool", "Greater",
    "GreaterOrEqual", "HardSwish", "Hardmax", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max",
    "Mean", "Min", "Mod", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "RotaryEmbedding", "Round",
    "Sin", "Sinh", "Softmax", "Softsign", "Sqrt", "Sub", "Tan", "Tanh",
)
# Operators that are free, and that the evaluator executes without any arithmetic.
FREE = (
    "CenterCropPad", "Compress", "Concat", "DepthToSpace", "Dropout", "Flatten", "Gather", "GatherElements", "GatherND",
    "Identity", "MaxUnpool", "Reshape", "ReverseSequence", "Shape", "Size", "Slice", "SpaceToDepth", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where",
)
# fmt: on

# Where execution differs from the rule, and why; the formulas of these stand in test_activations.py and its neighbours.
DIFFER = {
    "AveragePool": "the evaluator leaves out padded positions, which count as computed (convention 8)",
    "Expand": "the evaluator multiplies by ones to broadcast",
    "GRU": "the evaluator computes both forms of the reset gate and drops one",
    "HardSigmoid": "Python's max and min over a list skip a comparison that the formula has",
    "LRN": "the evaluator squares each element once for every window it lies in",
    "LogSoftmax": "the evaluator takes the logarithm of Softmax instead of subtracting the logarithm of the sum",
    "LpNormalization": "the evaluator uses powers for squares and absolute values, and guards against 0",
    "MaxPool": "the evaluator leaves out padded positions, which count as computed (convention 8)",
    "RMSNormalization": "the evaluator squares with pow, takes the reciprocal of the root and multiplies by it",
    "Shrink": "the evaluator computes both branches for every element",
    "Sigmoid": "the evaluator picks one of two forms by the sign of x and computes both",
    "Sign": "the evaluator compares twice where x is not positive",
    "Sum": "the evaluator adds the first input to 0",
    "SwiGLU": "the evaluator negates alpha instead of each element",
    "Swish": "the evaluator negates alpha instead of each element",
    "ReduceLogSum": "the evaluator knows the result of an empty set without a logarithm",
    "ReduceLogSumExp": "the evaluator guards the sum of an empty set",
}


def rule_ticks(node: NodeCost) -> Counter[str]:
    """Return the rule's figures as ticks of kinds; operators with multiply-accumulates do not come here."""
    ticks = figures(node)
    assert ticks["macs"] == 0
    return ticks


def runs(cases: list[Case]) -> list[tuple[Case, Counter[str]]]:
    """Return the cases that the evaluator executes on counting numbers."""
    return [(case, ticks) for case in cases if (ticks := executed(case)) is not None]


@pytest.mark.parametrize("op", AGREE)
def test_execution_does_what_the_rule_says(op: str, node_cases: dict[str, list[Case]]) -> None:
    ran = runs(node_cases[op])
    assert any(ticks for _, ticks in ran)
    for case, ticks in ran:
        assert (case.name, rule_ticks(ruled(case))) == (case.name, ticks)


@pytest.mark.parametrize("op", FREE)
def test_what_is_free_executes_no_arithmetic(op: str, node_cases: dict[str, list[Case]]) -> None:
    ran = runs(node_cases[op])
    assert ran
    for case, ticks in ran:
        node = ruled(case)
        assert (case.name, ticks, node.cost.flops, node.cost.int_ops) == (case.name, Counter(), 0, 0)
        assert node.verdict in (Verdict.FREE, Verdict.COUNTED)


@pytest.mark.parametrize("op", DIFFER)
def test_a_stated_difference_is_still_there(op: str, node_cases: dict[str, list[Case]]) -> None:
    ran = runs(node_cases[op])
    assert ran
    if op != "GRU":
        assert any(rule_ticks(ruled(case)) != ticks for case, ticks in ran)


def test_matmul(node_cases: dict[str, list[Case]]) -> None:
    ran = runs(node_cases["MatMul"])
    assert len(ran) >= 6
    for case, ticks in ran:
        node = ruled(case)
        assert (case.name, node.cost.macs) == (case.name, ticks["mul"])
        assert node.cost.flops == 2 * ticks["mul"]  # the evaluator's K − 1 adds and the first onto zero


def test_conv(node_cases: dict[str, list[Case]]) -> None:
    ran = runs(node_cases["Conv"])
    assert len(ran) >= 6
    for case, ticks in ran:
        node = ruled(case)
        outputs = ticks["mul"] - ticks["add"]  # K products take K − 1 adds
        assert (case.name, node.cost.macs) == (case.name, ticks["mul"])
        assert outputs > 0
        assert node.cost.flops == 2 * ticks["mul"]


def test_gemm_less_what_alpha_and_beta_multiply(node_cases: dict[str, list[Case]]) -> None:
    """The evaluator multiplies by alpha and beta even where they are 1 (convention 3 does not count those)."""
    ran = runs(node_cases["Gemm"])
    assert len(ran) >= 10
    for case, ticks in ran:
        node = ruled(case)
        attributes = {a.name: a.f for a in case.model.graph.node[0].attribute}
        (shape,) = node.outputs
        assert shape is not None
        outputs = whole(shape[0]) * whole(shape[1])
        bias = case.inputs[2].size if len(case.inputs) > 2 else 0
        assert (case.name, node.cost.macs) == (case.name, ticks["mul"] - outputs - bias)
        by_alpha = outputs if attributes.get("alpha", 1.0) != 1.0 else 0
        by_beta = bias if attributes.get("beta", 1.0) != 1.0 else 0
        assert node.cost.mul == by_alpha + by_beta
        assert node.cost.add == ticks["add"] - (whole(node.cost.macs) - outputs)  # K − 1 of the products, then the bias


def test_conv_transpose(node_cases: dict[str, list[Case]]) -> None:
    ran = runs(node_cases["ConvTranspose"])
    assert len(ran) >= 8
    for case, ticks in ran:
        assert (case.name, ruled(case).cost.macs) == (case.name, ticks["mul"])


def test_einsum(node_cases: dict[str, list[Case]]) -> None:
    ran = runs(node_cases["Einsum"])
    assert len(ran) >= 4
    for case, ticks in ran:
        node = figures(ruled(case))
        assert (case.name, node["macs"] + node["mul"]) == (case.name, ticks["mul"])


def test_batch_normalization(node_cases: dict[str, list[Case]]) -> None:
    ran = [(case, ticks) for case, ticks in runs(node_cases["BatchNormalization"]) if "training" not in case.name]
    assert len(ran) == 2
    for case, ticks in ran:
        assert rule_ticks(ruled(case)) == ticks


@pytest.mark.parametrize("op", ["RNN", "LSTM"])
def test_recurrent_products(op: str, node_cases: dict[str, list[Case]]) -> None:
    """The evaluator multiplies by peepholes that are not there: their products are left out of the comparison."""
    ran = runs(node_cases[op])
    assert len(ran) >= 6
    for case, ticks in ran:
        node = figures(ruled(case))
        extra = ticks["mul"] - node["macs"] - node["mul"]
        has_peepholes = op == "LSTM" and len(case.inputs) > 7
        if op == "RNN" or has_peepholes:
            assert (case.name, extra) == (case.name, 0)
        else:
            assert 0 < extra < node["mul"] * 2
        assert (case.name, node["special"]) == (case.name, ticks["special"])
        assert (case.name, node["div"]) == (case.name, ticks["div"])
