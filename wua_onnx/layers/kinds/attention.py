"""Packed projections that an operator for attention holds itself. Canonical weight: (in, out), out = Q, K, V.

The operator does not show what the projections compute, so the activation of their neurons is not read.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from wua_onnx.layers.dequantize import affine, unfit
from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.graph import NodeView

UNREAD = "the operator for attention keeps what its projections compute to itself"


@layer_kind("Attention", domain="com.microsoft")
@layer_kind("DecoderMaskedSelfAttention", domain="com.microsoft")
@layer_kind("PackedAttention", domain="com.microsoft")
@layer_kind("QAttention", domain="com.microsoft")
def packed(node: NodeView) -> Use | str | None:
    """`input · weights + bias`, the columns those of the queries, the keys and the values."""
    return _use(node, 1, None) if node.input(1) in node.model.constants else None


@layer_kind("LongformerAttention", domain="com.microsoft")
def longformer(node: NodeView) -> Iterator[Use | str]:
    """Two packed projections: for attention in the window, and for global attention."""
    for index, parameter in ((1, "weight"), (4, "global_weight")):
        if node.input(index) in node.model.constants:
            yield _use(node, index, parameter)


def _use(node: NodeView, index: int, parameter: str | None) -> Use | str:
    source, features = resolve(node.input(index), node.model), node.input(0)
    if isinstance(source, str):
        return source
    if len(source.shape) != 2:
        return f"expected packed weights of rank 2, got {list(source.shape)}"
    quantized = node.op_type == "QAttention"
    problem = unfit(node, 4, 7, source.shape, 1) if quantized else None
    if problem is not None:
        return problem
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
        unread=UNREAD,
        decode=partial(affine, scale=4, zero=7, axis=1) if quantized else None,
        features=Features(value=features, axes=(rank - 1,), spread=_per_row) if features is not None else None,
        parameter=parameter,
    )


def _per_row(features: Array) -> Array:
    return features[:, None]
