"""Shapes of what a loop carries, where its body does not declare them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.model import Model, load

F, B, INT = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64


def value(name: str, dtype: int = F, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def loop(step: onnx.NodeProto, *, shape: Any, declared: Any = None, condition: bool = True) -> Model:
    """A Loop of 7 trips that carries h through `step` (to h_out), and stacks it up; then a Relu of each result."""
    body = helper.make_graph(
        [step, helper.make_node("Identity", ["c"], ["c_out"]), helper.make_node("Relu", ["h_out"], ["stacked"])],
        "body",
        [value("i", INT, []), value("c", B, []), value("h", shape=declared)],
        [value("c_out", B), value("h_out"), value("stacked")],
    )
    nodes = [
        helper.make_node("Loop", ["trips", "go" if condition else "", "x"], ["y", "ys"], body=body),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Relu", ["ys"], ["zs"]),
    ]
    weights = {"w": np.ones((5, 5), np.float32), "trips": np.array(7), "go": np.array(True), "axes": np.array([0])}
    graph = helper.make_graph(
        nodes,
        "loops",
        [value("x", shape=shape)],
        [value("z"), value("zs")],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


def shapes(model: Model) -> tuple[Any, Any, Any]:
    """Return the shapes of h in the body, of y and of ys, in the names that are shown."""
    body = model.nodes[0].graphs()["body"]
    values = (body.inputs[2], *model.nodes[0].node.outputs)
    found = [model.shape(value) for value in values]
    texts = [None if shape is None else [model.text(dim) for dim in shape] for shape in found]
    return texts[0], texts[1], texts[2]


MATMUL = helper.make_node("MatMul", ["h", "w"], ["h_out"])
GROW = helper.make_node("Concat", ["h", "w"], ["h_out"], axis=0)
DEEPER = helper.make_node("Unsqueeze", ["h", "axes"], ["h_out"])


@pytest.mark.parametrize("condition", [True, False])
def test_a_carried_value_that_keeps_its_shape(condition: bool) -> None:
    model = loop(MATMUL, shape=["n", 5], condition=condition)
    assert model.problems == ()
    assert shapes(model) == (["n", "5"], ["n", "5"], ["7", "n", "5"])


def test_an_axis_that_grows_cannot_be_told() -> None:
    """Not the 3 rows that it has before the first trip."""
    inside, after, stacked = shapes(loop(GROW, shape=[3, 5]))
    assert inside[1] == after[1] == stacked[2] == "5"
    assert inside[0].startswith("_d")
    assert after[0] == f"{inside[0]} + 5"


def test_a_rank_that_grows_leaves_no_shape() -> None:
    model = loop(DEEPER, shape=[3, 5])
    assert shapes(model) == (None, None, None)
    relu = list(model.nodes[0].graphs()["body"])[2]
    assert model.shape(relu.outputs[0]) is None
    assert [model.shape(node.node.outputs[0]) for node in model.nodes[1:]] == [None, None]


def test_what_the_body_declares_is_kept() -> None:
    assert shapes(loop(MATMUL, shape=[3, 5], declared=["m", 5]))[0] == ["m", "5"]
