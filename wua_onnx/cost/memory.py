"""Bytes: of values, of what each node moves (convention 5); and which values are parameters."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import onnx_ir as ir

from wua_onnx.model.dims import Dim, ceildiv, product, total
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

# Their output is the same storage as their first input: nothing moves.
VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"})
# Their output tells only the shape of the input, which is not read.
SHAPES = frozenset({"Shape", "Size"})
# Index dtypes and flags hold no learned values.
_NOT_LEARNED = frozenset({ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.STRING, ir.DataType.UNDEFINED})
# What gathers the sizes of a shape.
_GATHERING = frozenset({"Concat", "Identity", "Squeeze", "Unsqueeze"})
_MOST_SIZES = 64  # in a shape
# Which of their inputs say where elements lie: no number that is learned.
_PLACES = {
    "Gather": (1,),
    "GatherElements": (1,),
    "GatherND": (1,),
    "ScatterElements": (1,),
    "ScatterND": (1,),
    "Slice": (1, 2, 3, 4),
}
# They read as many elements of their first input as they write.
_ROWS = frozenset({"Gather", "GatherElements", "GatherND", "Slice"})


def value_bytes(model: Model, value: ir.Value | None) -> Dim | None:
    """Return the bytes of `value`; None where its shape or element type is unknown."""
    shape = model.shape(value) if value is not None and value.name else None  # an output left out has no name
    if value is None or shape is None or value.dtype in (None, ir.DataType.STRING, ir.DataType.UNDEFINED):
        return None
    assert value.dtype is not None
    return tensor_bytes(product(shape), value.dtype)


def tensor_bytes(elements: Dim, dtype: ir.DataType) -> Dim:
    """Return the bytes of `elements` values of `dtype`, sub-byte types packed."""
    bits = int(dtype.bitwidth)
    return elements * (bits // 8) if bits % 8 == 0 else ceildiv(elements * bits, 8)


def moved(node: NodeView) -> tuple[Dim, Dim]:
    """Return the bytes that `node` reads and writes, weights included; unknown sizes count as 0.

    Views move nothing. A value that a node reads twice is read once.
    """
    if node.op_type in VIEWS and not node.domain:
        return 0, 0
    written = _sum(node, node.node.outputs)
    if node.op_type in SHAPES and not node.domain:
        return 0, written
    inputs = dict.fromkeys(node.node.inputs)
    if node.op_type in _ROWS and not node.domain and inputs:
        return written + _sum(node, list(inputs)[1:]), written
    return _sum(node, inputs), written


def _sum(node: NodeView, values: Iterable[ir.Value | None]) -> Dim:
    sizes = (value_bytes(node.model, value) for value in values)
    return total(size for size in sizes if size is not None)


def parameter_values(model: Model) -> list[ir.Value]:
    """Return the values that hold parameters, in file order, those of graphs inside nodes last.

    Parameters are the initializers and Constant tensors of at least one dimension that some node reads and whose
    element type can hold learned values (not int64, bool or string, which hold shapes, indices and masks; nor int32
    where it becomes int64, or says where elements lie).
    """
    graphs: list[ir.Graph] = [model.ir_model.graph]
    found: dict[ir.Value, None] = {}
    while graphs:
        graph = graphs.pop(0)
        for value in (*graph.initializers.values(), *_constant_outputs(graph)):
            if is_parameter(value):
                found[value] = None
        for node in graph:
            graphs.extend(NodeView(node, model).graphs().values())
    return list(found)


def _constant_outputs(graph: ir.Graph) -> list[ir.Value]:
    outputs = [node.outputs[0] for node in graph if node.op_type == "Constant" and node.outputs]
    for value in outputs:
        if value.const_value is None:
            with suppress(ValueError):  # a malformed attribute holds no parameters
                value.const_value = ir.convenience.get_const_tensor(value)
    return outputs


def is_parameter(value: ir.Value) -> bool:
    """Return whether `value` holds parameters (see `parameter_values`)."""
    tensor = value.const_value
    if tensor is None or tensor.dtype in _NOT_LEARNED or len(tensor.shape) == 0:
        return False
    return bool(value.uses()) and not (tensor.dtype == ir.DataType.INT32 and _is_of_a_shape(value, tensor.size))


def _is_of_a_shape(value: ir.Value, elements: int) -> bool:
    """Return whether whole numbers only become int64, put beside others, or say where elements lie.

    TensorFlow writes sizes of shapes and indices so.
    """
    pending, seen = [value], {value}
    while pending:
        latest = pending.pop()
        if latest.is_graph_output():
            return False
        for node, place in latest.uses():
            if not node.domain and place in _PLACES.get(node.op_type, ()):
                continue
            kind = node.attributes.get("to")
            if node.op_type == "Cast" and kind is not None and kind.value == ir.DataType.INT64:
                continue
            if node.op_type not in _GATHERING or node.domain or elements > _MOST_SIZES or len(seen) > _MOST_SIZES:
                return False
            pending.extend(output for output in node.outputs if output not in seen)
            seen.update(node.outputs)
    return True


__all__ = ["is_parameter", "moved", "parameter_values", "tensor_bytes", "value_bytes"]
