"""onnx's checker: its verdict is advice, since it rejects models that run and accepts models that lie."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from wua_onnx._text import clean


def verdict(model: bytes) -> str | None:
    """Return what onnx's checker objects to in a serialized model, None where it objects to nothing.

    Weights kept beside the model are not looked at.
    """
    proto = onnx.ModelProto.FromString(model)
    for tensor in _tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _forget_elements(tensor)
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError) as error:
        return clean(str(error).strip().splitlines()[0])
    return None


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield the tensors of initializers and attributes, graphs inside nodes and functions included."""
    pending: list[onnx.GraphProto | onnx.FunctionProto] = [proto.graph, *proto.functions]
    while pending:
        graph = pending.pop()
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                pending.extend((attribute.g, *attribute.graphs))


def _forget_elements(tensor: onnx.TensorProto) -> None:
    """Make an external tensor an empty one of the same rank, which the checker accepts without its file."""
    del tensor.external_data[:]
    tensor.ClearField("data_location")
    del tensor.dims[:]
    tensor.dims.append(0)
    tensor.raw_data = b""
