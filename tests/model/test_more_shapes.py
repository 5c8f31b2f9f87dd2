"""Shapes of old operator versions, against onnx's own shape inference."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from wua_onnx.model import load

F = TensorProto.FLOAT

CASES: list[tuple[str, int, list[tuple[int, ...]], dict[str, Any]]] = [
    ("Slice", 9, [(7, 11, 13)], {"starts": [1, 0], "ends": [5, -2], "axes": [0, 2]}),
    ("Slice", 7, [(7, 11)], {"starts": [-3, 2], "ends": [2**31, 100]}),
    ("Slice", 8, [(7, 11)], {"starts": [5], "ends": [2], "axes": [1]}),
    ("TopK", 9, [(7, 11, 13)], {"k": 3, "axis": 1}),
    ("TopK", 7, [(7, 11, 13)], {"k": 5}),
    ("Sum", 7, [(7, 11), (7, 11)], {}),
    ("Max", 7, [(7, 11), (7, 11), (7, 11)], {}),
    ("Mean", 6, [(7, 11)], {}),
    ("Add", 6, [(7, 11, 13), (11,)], {"broadcast": 1, "axis": 1}),
    ("Mul", 6, [(7, 11), (7, 11)], {}),
    ("Dropout", 6, [(7, 11)], {}),
    ("GroupNormalization", 18, [(2, 6, 5), (3,), (3,)], {"num_groups": 3}),
]


@pytest.mark.parametrize(("op", "opset", "shapes", "attributes"), CASES)
def test_shapes(op: str, opset: int, shapes: list[tuple[int, ...]], attributes: dict[str, Any]) -> None:
    names = [f"x{index}" for index in range(len(shapes))]
    outputs = ["y", "indices"] if op == "TopK" else ["y"]
    graph = helper.make_graph(
        [helper.make_node(op, names, outputs, **attributes)],
        "old",
        [helper.make_tensor_value_info(name, F, shape) for name, shape in zip(names, shapes, strict=True)],
        [helper.make_tensor_value_info("y", F, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    expected = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape
    found = load(model)
    shape = found.shape(found.ir_model.graph.outputs[0])
    if op == "GroupNormalization":  # onnx infers nothing for it
        assert shape == shapes[0]
    else:
        assert shape == tuple(dim.dim_value for dim in expected.dim)


def test_a_slice_of_a_symbolic_axis_keeps_the_others() -> None:
    graph = helper.make_graph(
        [helper.make_node("Slice", ["x"], ["y"], starts=[0, 2], ends=[2**31, 5], axes=[0, 1])],
        "old",
        [helper.make_tensor_value_info("x", F, ["batch", 11, 13])],
        [helper.make_tensor_value_info("y", F, None)],
    )
    model = load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=8))
    shape = model.shape(model.ir_model.graph.outputs[0])
    assert shape is not None
    assert [model.text(dim) for dim in shape] == ["batch", "3", "13"]
