"""com.microsoft: 8-bit operators for cuBLASLt, whose scales are per tensor and whose zero points are 0.

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import axis_of
from wua_onnx.cost.rules.attention import part
from wua_onnx.cost.rules.contractions import matmul_macs
from wua_onnx.cost.rules.microsoft_attention import longformer
from wua_onnx.cost.rules.microsoft_fused import GELU, MS
from wua_onnx.cost.rules.normalization import layer_norm_of
from wua_onnx.cost.rules.quantization import int_macs
from wua_onnx.cost.rules.softmax import softmax_of
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView

_SCALED = Cost(mul=1, compare=3)  # saturate(round(x · scale))


@rule("QuantizeWithOrder", domain=MS)
def quantize_with_order(node: NodeView) -> Cost:
    """div = N; compare = 3·N: saturate(round(x / scale))."""
    return Cost(div=1, compare=3) * node.size(0)


@rule("DequantizeWithOrder", domain=MS, by_dtype=False)
def dequantize_with_order(node: NodeView) -> Cost:
    """mul = N: x · scale."""
    return Cost(mul=node.size(0))


@rule("QOrderedGelu", domain=MS, by_dtype=False)
def qordered_gelu(node: NodeView) -> Cost:
    """mul = N to dequantise, Gelu, mul = N and compare = 3·N to quantise."""
    return (Cost(mul=1) + GELU + _SCALED) * node.size(0)


@rule("QOrderedLayerNormalization", domain=MS, by_dtype=False)
def qordered_layer_normalization(node: NodeView) -> Cost:
    """mul = N to dequantise, LayerNormalization, mul = N and compare = 3·N to quantise."""
    shape = node.shape(0)
    groups = product(shape[: axis_of(node, node.attr("axis", -1), len(shape))])
    return layer_norm_of(node.size(0), groups, bias=node.has(3)) + (Cost(mul=1) + _SCALED) * node.size(0)


@rule("QOrderedMatMul", domain=MS, by_dtype=False)
def qordered_matmul(node: NodeView) -> Cost:
    """int_macs as MatMul; mul = N and compare = 3·N for the output; add = N for a bias, mul = add = N for C."""
    outputs = node.out_size()
    added = Cost(add=int(node.has(5))) + (Cost(mul=1, add=1) if node.has(6) else Cost())
    return int_macs(matmul_macs(node, 0, 2)) + (_SCALED + added) * outputs


@rule("QOrderedAttention", domain=MS, by_dtype=False)
def qordered_attention(node: NodeView) -> Cost:
    """int_macs = three projections + scores × 2 × head size; every product's outputs scaled, rounded and cut.

    Then add for the biases, the softmax over keys, add = scores for the mask and for unidirectional.
    """
    batch, tokens, hidden = node.shape(0)
    heads, columns = int(node.attr("num_heads")), node.shape(5)[1]
    projected = batch * tokens * columns * 3
    rows = batch * heads * tokens
    scores = rows * tokens
    head = part(node, columns, heads, "num_heads")
    masks = int(node.has(17)) + int(bool(node.attr("unidirectional", 0)))
    macs: Dim = projected * hidden + scores * head * 2
    outputs = _SCALED * (projected + scores * 2 + batch * tokens * columns)
    return int_macs(macs) + outputs + Cost(add=projected + scores * masks) + softmax_of(scores, rows)


@rule(
    "QOrderedLongformerAttention",
    domain=MS,
    estimate="tokens with global attention attend as the others do",
    by_dtype=False,
)
def qordered_longformer_attention(node: NodeView) -> Cost:
    """As LongformerAttention, the projections in int_macs and their outputs and the result scaled, rounded and cut."""
    columns = node.shape(2)[-1] + node.shape(8)[-1]
    rows = product(node.shape(0)[:-1])
    return longformer(node, (2, 8), (4, 10), integers=True) + _SCALED * (rows * columns + node.size(0))
