"""Small models for tests of memory: their weights have no elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import onnx
from onnx import TensorProto, helper

from wua_onnx.cost import CostReport, count
from wua_onnx.model import load

FLOAT = TensorProto.FLOAT
node = helper.make_node
Shape: TypeAlias = Sequence[int | str]


def value(name: str, shape: Shape | None = None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def weight(name: str, *shape: int, dtype: int = FLOAT) -> TensorProto:
    """Return an initializer without elements: a count never reads them."""
    tensor = TensorProto(name=name, data_type=dtype, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="absent.bin")
    return tensor


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "memory", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=11)


def counted(*arguments: Any) -> CostReport:
    return count(load(model(*arguments)))


X = value("x", [3, 5])
