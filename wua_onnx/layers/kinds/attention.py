"""Packed projections that an operator for attention holds itself. Canonical weight: (in, out), out = Q, K, V.

The operator does not show what the projections compute: the product and its bias are computed a second time beside it
while a recording is made, which costs `in * out` multiplications for each position.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import onnx_ir as ir

from wua_onnx.layers.dequantize import affine, unfit
from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.side import Side, Writer, graph_of, placeholder
from wua_onnx.layers.weights import resolve
from wua_onnx.model.node import NodeView


@layer_kind("Attention", domain="com.microsoft")
@layer_kind("DecoderMaskedSelfAttention", domain="com.microsoft")
@layer_kind("PackedAttention", domain="com.microsoft")
def packed(node: NodeView) -> Use | str | None:
    """`input · weights + bias`, the columns those of the queries, the keys and the values."""
    return _use(node, 1, None) if node.input(1) in node.model.constants else None


@layer_kind("LongformerAttention", domain="com.microsoft")
def longformer(node: NodeView) -> Iterator[Use | str]:
    """Two packed projections: for attention in the window, and for global attention."""
    for index, parameter in ((1, "weight"), (4, "global_weight")):
        if node.input(index) in node.model.constants:
            yield _use(node, index, parameter)


@layer_kind("QAttention", domain="com.microsoft")
def quantized(node: NodeView) -> Use | str | None:
    """The same of integers; inputs 3 and 6 are the scale and the zero point of the input, 4 and 7 of the weights."""
    found = _use(node, 1, None) if node.input(1) in node.model.constants else None
    if not isinstance(found, Use):
        return found
    problem = unfit(node, 4, 7, found.source.shape, 1)
    if problem is not None:
        return problem
    side = found.side
    if side is not None:
        inputs = tuple(map(node.input, (0, 1, 2, 3, 6, 4, 7)))
        side = replace(side, inputs=inputs, compute=_quantized_projection)
    return replace(
        found,
        decode=partial(affine, scale=4, zero=7, axis=1),
        side=side,
        features=None if found.features is None else replace(found.features, quantization=Quantization.of(node, 3, 6)),
    )


def _use(node: NodeView, index: int, parameter: str | None) -> Use | str:
    source, features = resolve(node.input(index), node.model), node.input(0)
    if isinstance(source, str):
        return source
    if len(source.shape) != 2:
        return f"expected packed weights of rank 2, got {list(source.shape)}"
    rank = len(features.shape) if features is not None and features.shape is not None else 3
    return Use(
        node=node,
        kind="dense",
        source=source,
        arrangement=Arrangement.transposing(source.shape),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axes=(rank - 1,),
        reads="nothing",
        unread="the rank of what it projects is unknown",
        side=_side(node, index, source.shape[1]),
        features=Features(value=features, axes=(rank - 1,), spread=_per_row) if features is not None else None,
        parameter=parameter,
    )


def _side(node: NodeView, index: int, columns: int) -> Side | None:
    """Return the product with the weight that is input `index`, its bias the next input."""
    features = node.input(0)
    dtype = None if features is None else node.dtype(2) if node.op_type == "QAttention" else features.dtype
    value = None if features is None else placeholder(features, dtype, columns)
    if features is None or value is None or value.shape is None:
        return None
    return Side(
        value=value,
        axes=(len(value.shape) - 1,),
        inputs=(features, node.input(index), node.input(index + 1)),
        compute=_projection,
    )


def _projection(writer: Writer, inputs: Sequence[ir.Value | None]) -> ir.Value:
    features, weight, bias = inputs
    product: ir.Value = writer.op("MatMul", [features, weight])
    if bias is None:
        return product
    result: ir.Value = writer.op("Add", [product, bias])
    return result


def _quantized_projection(writer: Writer, inputs: Sequence[ir.Value | None]) -> ir.Value:
    features, weight, bias, scale, zero, weight_scale, weight_zero = inputs
    real = _real(writer, features, scale, zero, None)
    return _projection(writer, (real, _real(writer, weight, weight_scale, weight_zero, graph_of(real)), bias))


def _real(
    writer: Writer, stored: ir.Value | None, scale: ir.Value | None, zero: ir.Value | None, graph: ir.Graph | None
) -> ir.Value:
    """`(q - zero) * scale`, one of each, or one for each column, which DequantizeLinear took from opset 13 on only."""
    dtype = ir.DataType.FLOAT if scale is None or scale.dtype is None else scale.dtype

    def floating(value: ir.Value | None, graph: ir.Graph | None) -> ir.Value:
        result: ir.Value = writer.op("Cast", [value], graph, to=int(dtype))
        result.dtype = dtype
        return result

    steps = floating(stored, graph)
    graph = graph_of(steps)
    if zero is not None:
        steps = writer.op("Sub", [steps, floating(zero, graph)], graph)
    result: ir.Value = writer.op("Mul", [steps, scale], graph)
    return result


def _per_row(features: Array) -> Array:
    return features[:, None]
