"""A bfloat16 model in float32: every value keeps its size and order, only the element type changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

_TYPE_ATTRIBUTES = ("to", "dtype")


def upcast(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model in which float32 stands for bfloat16."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for graph in _graphs(made.graph):
        for tensor in graph.initializer:
            _tensor(tensor)
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type == TensorProto.BFLOAT16:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in _TYPE_ATTRIBUTES and attribute.i == TensorProto.BFLOAT16:
                    attribute.i = TensorProto.FLOAT
                elif attribute.type == onnx.AttributeProto.TENSOR:
                    _tensor(attribute.t)
    return made


def _tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.BFLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        for node in current.node:
            pending.extend(a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)
