"""Shapes of com.microsoft operators against those that onnxruntime infers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from wua_onnx.model import load

X = (2, 3, 5)


def model_of(op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any]) -> onnx.ModelProto:
    names = [f"x{index}" for index in range(len(shapes))]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(names, shapes, strict=True)
    ]
    node = helper.make_node(op, names, ["y"], domain="com.microsoft", **attributes)
    graph = helper.make_graph([node], "one", values, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def inferred(model: onnx.ModelProto) -> Any:
    found = load(model)
    return found.shape(found.ir_model.graph.outputs[0])


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        ("BranchwiseRMSNorm", [(2, 3, 4, 5), (5,)]),
        ("GatedAdd", [X, X, (2, 3, 1)]),
        ("GatedRMSNorm", [(2, 3, 15), (5,), (2, 3, 15)]),
        ("Inverse", [(2, 5, 5)]),
        ("ScaledSiLU", [X]),
    ],
)
def test_shapes_are_those_of_onnxruntime(op: str, shapes: list[tuple[int, ...]]) -> None:
    model = model_of(op, shapes, {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert inferred(model) == tuple(session.get_outputs()[0].shape)


def test_operators_that_run_on_a_gpu_only() -> None:
    """Their specification says that the output has the shape of the input; of MatMulNBitsMlp, N columns."""
    assert inferred(model_of("LongformerAttention", [(2, 8, 12)], {"num_heads": 3, "window": 2})) == (2, 8, 12)
    assert inferred(model_of("DecoderAttention", [(7, 2, 12)], {"num_heads": 3})) == (7, 2, 12)
    assert inferred(model_of("BitmaskDropout", [X], {})) == X
    assert inferred(model_of("MatMulNBitsMlp", [(2, 3, 32)], {"K": 32, "N": 7})) == (2, 3, 7)


@pytest.mark.parametrize(
    ("kind", "bits", "axis"), [("UINT4", 4, 0), ("UINT8", 4, 0), ("UINT8", 8, 0), ("UINT4", 4, -1)]
)
def test_rows_of_a_quantized_table_are_those_that_onnxruntime_gathers(kind: str, bits: int, axis: int) -> None:
    rows, columns = 32, 64
    stored = (rows, columns * bits // 8 if kind == "UINT8" else columns)
    blocks = {0: (rows, columns // 16), -1: (rows // 16, columns)}[axis]
    numbers = [helper.make_tensor("table", TensorProto.DataType.Value(kind), stored, [1] * (stored[0] * stored[1]))]
    numbers += [helper.make_tensor("scales", TensorProto.FLOAT, blocks, [1.0] * (blocks[0] * blocks[1]))]
    settings: dict[str, Any] = {"gather_axis": axis, "quantize_axis": -1 - axis, "block_size": 16, "bits": bits}
    node = helper.make_node(
        "GatherBlockQuantized", ["table", "rows", "scales"], ["y"], domain="com.microsoft", **settings
    )
    values = [helper.make_tensor_value_info("rows", TensorProto.INT64, (2, 3))]
    shown = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "one", values, shown, numbers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"rows": np.zeros((2, 3), np.int64)})
    assert inferred(model) == result.shape
