"""A bfloat16 model in float32: every value keeps its size and order, only the element type changes."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

_TYPE_ATTRIBUTES = ("to", "dtype")


def upcast(model: onnx.ModelProto, types: Container[int] = (TensorProto.BFLOAT16,)) -> onnx.ModelProto:
    """Return a copy of the model in which float32 stands for `types`."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for graph in _graphs(made.graph):
        for tensor in graph.initializer:
            _tensor(tensor, types)
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in types:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in _TYPE_ATTRIBUTES and attribute.i in types:
                    attribute.i = TensorProto.FLOAT
                elif attribute.type == onnx.AttributeProto.TENSOR:
                    _tensor(attribute.t, types)
    return made


def _tensor(tensor: TensorProto, types: Container[int]) -> None:
    if tensor.data_type in types:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        for node in current.node:
            pending.extend(a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)
