"""Shapes computed from shapes, as exporters write them to flatten and restore, keep their symbols."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import count
from wua_onnx.model import load

node = helper.make_node


def model(nodes: list[onnx.NodeProto], shape: list[int | str], opset: int, **constants: list[int]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "flattened",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def tensordot(opset: int) -> onnx.ModelProto:
    """Return what tf2onnx writes for a dense layer on three axes: all but the last are multiplied to one."""
    product = node("ReduceProd", ["kept", *(["zero"] if opset >= 18 else [])], ["rows"], keepdims=1)
    if opset < 18:
        product.attribute.append(helper.make_attribute("axes", [0]))
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Cast", ["s"], ["s32"], to=TensorProto.INT32),
        node("Gather", ["s32", "outer"], ["kept"]),
        product,
        node("Gather", ["s32", "last"], ["columns"]),
        node("Concat", ["rows", "columns"], ["flat32"], axis=0),
        node("Cast", ["flat32"], ["flat"], to=TensorProto.INT64),
        node("Reshape", ["x", "flat"], ["y"]),
    ]
    return model(nodes, ["batch", "seq", 7], opset, outer=[0, 1], last=[2], zero=[0])


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
def test_the_product_of_a_shape_is_followed(opset: int) -> None:
    report = count(load(tensordot(opset)))
    assert report.symbols == ("batch", "seq")
    assert report.at(batch=3, seq=5).by_node[-1].outputs == ((15, 7),)


def test_a_quotient_that_cancels_is_a_number_for_what_follows() -> None:
    nodes = [
        node("Reshape", ["x", "flat"], ["f"]),
        node("Split", ["f"], ["y", "z"], axis=1, num_outputs=2),
    ]
    loaded = load(model(nodes, ["batch", 3, 10], 21, flat=[0, -1]))
    assert [loaded.text(dim) for dim in loaded.shape(loaded.ir_model.graph.outputs[0]) or ()] == ["batch", "15"]
