"""Whether a model keeps the samples of a batch apart, so that the batch can be cut."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from wua_onnx.model import dims as d
from wua_onnx.model.dims import Dim, Expr
from wua_onnx.model.graph import Model, subgraphs
from wua_onnx.model.node import NodeView
from wua_onnx.recording.result import mixing

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_SHAPES = frozenset({"Shape", "Size"})  # what these return depends on sizes, not on numbers
# What keeps the shape of what it reads, and yet mixes along some axes: one, all from one on, all but the first.
_ALONG_ONE = frozenset({"Softmax", "LogSoftmax", "Hardmax", "LpNormalization"})
_ALONG_REST = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})
_ALONG_STEPS = frozenset({"LSTM", "GRU", "RNN"})
_ALONG_INNER = frozenset({
    "Attention", "MultiHeadAttention", "GroupQueryAttention", "Conv", "ConvTranspose", "DeformConv", "AveragePool",
    "MaxPool", "LpPool", "InstanceNormalization", "GroupNormalization", "LRN", "Resize", "LinearAttention",
})  # fmt: skip
_ALONG = _ALONG_ONE | _ALONG_REST | _ALONG_STEPS | _ALONG_INNER | {"CumSum"}


def keeps_apart(model: Model, batch: frozenset[str]) -> bool:
    """Return whether all that is computed from the data grows with the samples; `batch` are symbols of their number.

    A mean over samples does not grow with them, and similarities of all pairs grow with their square.
    """
    if mixing(model):
        return False
    known: set[ir.Value] = set(model.inputs)
    for node in model.ir_model.graph:
        if any(graph for attribute in node.attributes.values() for graph in subgraphs(attribute)):
            return False
        if node.op_type in _SHAPES or not any(value in known for value in node.inputs):
            continue
        known.update(node.outputs)
        if _mixes_along(NodeView(node, model), batch) or not all(
            _grows(model, value, batch) for value in node.outputs if value.dtype is None or value.dtype in _FLOATS
        ):
            return False
    return True


def _mixes_along(node: NodeView, batch: frozenset[str]) -> bool:
    """Return whether `node` mixes along an axis of its first input that the samples take part in."""
    if node.op_type not in _ALONG:
        return False
    value = node.input(0)
    shape = node.model.shape(value) if value is not None else None
    return shape is None or any(symbols_of(shape[axis]) & batch for axis in _axes(node, len(shape)))


def _axes(node: NodeView, rank: int) -> Iterable[int]:
    """Return the axes along which `node`, one of `_ALONG`, mixes."""
    axes = range(rank)
    if node.op_type in _ALONG_STEPS:
        return axes[int(node.attr("layout", 0)) :][:1]
    if node.op_type in _ALONG_INNER:
        return axes[1:]
    if node.op_type == "CumSum":
        axis = node.const(1)
        return axes if axis is None else axes[int(axis.flat[0]) :][:1]
    old = node.op_type in _ALONG_ONE and node.op_type != "LpNormalization" and node.opset < 13
    rest = axes[int(node.attr("axis", 1 if old else -1)) :]
    return rest if old or node.op_type in _ALONG_REST else rest[:1]  # old ones take all axes from theirs on


def _grows(model: Model, value: ir.Value, batch: frozenset[str]) -> bool:
    shape = model.shape(value)
    if shape is None:
        return not value.uses() and not value.is_graph_output()  # an output that nobody wants
    if any(dim is None for dim in shape):
        return False
    size = d.product(dim for dim in shape if dim is not None)
    one, two = (d.substitute(size, dict.fromkeys(batch, samples)) for samples in (1, 2))
    return bool(two == 2 * one)


def symbols_of(dim: Dim | None) -> frozenset[str]:
    """Return the symbols in `dim`."""
    return d.symbols(dim) if isinstance(dim, Expr) else frozenset()
