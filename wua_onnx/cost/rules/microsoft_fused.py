"""com.microsoft: what onnxruntime's optimizers fuse. Formulas are those of the parts.

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from wua_onnx.cost.registry import free, rule
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.contractions import conv_macs, gemm
from wua_onnx.cost.rules.movement import dropped
from wua_onnx.cost.rules.normalization import layer_norm_of, rms_norm_of
from wua_onnx.cost.rules.softmax import softmax_of
from wua_onnx.cost.value import Cost, Estimate
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView, ShapeUnknown

MS = "com.microsoft"
GELU = Cost(mul=2, div=1, add=1, special=1)  # 0.5·x·(1 + erf(x/√2))
FAST_GELU = Cost(mul=6, add=2, special=1)  # 0.5·x·(1 + tanh(0.797885·x + 0.035677·x·x·x))
_FUNCTIONS = {
    "": Cost(),
    "relu": Cost(compare=1),
    "tanh": Cost(special=1),
    "sigmoid": SIGMOID,
    "leakyrelu": Cost(compare=1, mul=1),
    "clip": Cost(compare=2),
    "hardsigmoid": Cost(mul=1, add=1, compare=2),
    "hardswish": Cost(mul=2, add=1, compare=2),
    "gelu": GELU,
    "silu": SIGMOID + Cost(mul=1),
    "identity": Cost(),
}

free("moves data", "RemovePadding", "RestorePadding", "ExpandDims", "Pad", "UnfoldTensor", "Trilu", domain=MS)
free("selects elements by index", "GatherND", "NGramRepeatBlock", domain=MS)


def function_of(node: NodeView, attribute: str) -> Cost:
    """Return the cost of the fused activation function for one element; raises ShapeUnknown for an unknown one."""
    name = node.attr(attribute, "")
    text = (name.decode() if isinstance(name, bytes) else str(name)).lower()
    if text not in _FUNCTIONS:
        raise ShapeUnknown(f"the activation function {text[:40]!r} is not known")
    return _FUNCTIONS[text]


@rule("Gelu", domain=MS)
def gelu(node: NodeView) -> Cost:
    """mul = 2·N; div = N; add = N; special = N: 0.5·x·(1 + erf(x/√2))."""
    return GELU * node.size(0)


@rule("BiasGelu", domain=MS)
def bias_gelu(node: NodeView) -> Cost:
    """As Gelu, and one add for the bias."""
    return (GELU + Cost(add=1)) * node.size(0)


@rule("FastGelu", domain=MS)
def fast_gelu(node: NodeView) -> Cost:
    """mul = 6·N; add = 2·N, one more with a bias; special = N: 0.5·x·(1 + tanh(0.797885·x + 0.035677·x·x·x))."""
    return (FAST_GELU + Cost(add=1 if node.has(1) else 0)) * node.size(0)


@rule("QuickGelu", domain=MS)
def quick_gelu(node: NodeView) -> Cost:
    """mul = 2·N; add = 2·N; special = N; div = N: x · sigmoid(alpha·x)."""
    return (SIGMOID + Cost(mul=2)) * node.size(0)


@rule("BiasAdd", domain=MS)
def bias_add(node: NodeView) -> Cost:
    """add = 2·N: the bias and the residual."""
    return Cost(add=2) * node.size(0)


@rule("BitmaskDropout", domain=MS)
@rule("BiasDropout", domain=MS)
@rule("BitmaskBiasDropout", domain=MS)
def bias_dropout(node: NodeView) -> Cost | Estimate:
    """add = N for the bias, N more for a residual; in training mode as Dropout too, an estimate."""
    plain = node.op_type == "BitmaskDropout"
    mode = node.const(2 if plain else 4) if node.has(2 if plain else 4) else False
    added = Cost() if plain else Cost(add=2 if node.has(2) else 1) * node.size(0)
    if mode is not None and not bool(mode):
        return added
    training = dropped(node.size(0))
    return Estimate(added + training.cost, training.assumption)


@rule("BiasSplitGelu", domain=MS)
def bias_split_gelu(node: NodeView) -> Cost:
    """add = N for the bias; for each of N/2 outputs the product of one half with the Gelu of the other."""
    return Cost(add=node.size(0)) + (GELU + Cost(mul=1)) * node.out_size()


@rule("BiasSoftmax", domain=MS)
def bias_softmax(node: NodeView) -> Cost:
    """add = N for the bias, then a softmax over the axes from `axis` on."""
    shape = node.shape(0)
    return Cost(add=node.size(0)) + softmax_of(node.size(0), product(shape[: node.attr("axis", 1)]))


def _rows(node: NodeView) -> Dim:
    return product(node.shape(0)[:-1])


@rule("SimplifiedLayerNormalization")
def simplified_layer_normalization(node: NodeView) -> Cost:
    """As RMSNormalization of ai.onnx."""
    shape = node.shape(0)
    return rms_norm_of(node.size(0), product(shape[: node.attr("axis", -1) % len(shape)]))


@rule("SkipLayerNormalization", domain=MS)
def skip_layer_normalization(node: NodeView) -> Cost:
    """add = N for the residual, N more with a bias, then as LayerNormalization over the last axis."""
    adds = Cost(add=node.size(0) * (2 if node.has(4) else 1))
    return adds + layer_norm_of(node.size(0), _rows(node), bias=node.has(3))


@rule("SkipSimplifiedLayerNormalization", domain=MS)
def skip_simplified_layer_normalization(node: NodeView) -> Cost:
    """add = N for the residual, N more with a bias, then as RMSNormalization over the last axis."""
    return Cost(add=node.size(0) * (2 if node.has(3) else 1)) + rms_norm_of(node.size(0), _rows(node))


@rule("EmbedLayerNormalization", domain=MS, by_dtype=False)
def embed_layer_normalization(node: NodeView) -> Cost:
    """add = N for the positions, N more for the segments, then as LayerNormalization; int_ops = size of the mask."""
    tokens, hidden = product(node.shape(0)), node.shape(2)[-1]
    elements = tokens * hidden
    sums = Cost(add=elements * (2 if node.has(4) else 1), int_ops=node.size(7) if node.has(7) else 0)
    return sums + layer_norm_of(elements, tokens, bias=True)


@rule("GroupNorm", domain=MS)
@rule("SkipGroupNorm", domain=MS)
def group_norm(node: NodeView) -> Cost:
    """As GroupNormalization; a SiLU where `activation` is 1; add = N for a residual and again for a bias."""
    elements, groups = node.size(0), node.shape(0)[0] * int(node.attr("groups"))
    cost = Cost(add=elements * 4 - groups, mul=elements * 2, div=elements + groups * 2, special=groups)
    skip = (int(node.has(3)) + int(node.has(4))) if node.op_type == "SkipGroupNorm" else 0
    return cost + (_FUNCTIONS["silu"] if node.attr("activation") else Cost()) * elements + Cost(add=elements * skip)


@rule("FusedMatMul", domain=MS)
@rule("TransposeMatMul", domain=MS)
def fused_matmul(node: NodeView) -> Cost:
    """macs = elements of the output × K; mul = elements of the output where alpha is not 1."""
    a = node.shape(0)
    flipped = node.attr("transA", 0) and len(a) > 1
    inner = (a[0] if node.attr("transBatchA", 0) else a[-2]) if flipped else a[-1]
    scaled = node.attr("alpha", 1.0) != 1.0
    return Cost(macs=node.out_size() * inner, mul=node.out_size() if scaled else 0)


@rule("FusedGemm", domain=MS)
def fused_gemm(node: NodeView) -> Cost:
    """As Gemm, and the activation function."""
    return gemm(node) + function_of(node, "activation") * node.out_size()


@rule("GemmFastGelu", domain=MS)
def gemm_fast_gelu(node: NodeView) -> Cost:
    """macs = elements of the output × K, then as FastGelu."""
    outputs = node.out_size()
    return Cost(macs=outputs * node.shape(0)[-1]) + (FAST_GELU + Cost(add=1 if node.has(2) else 0)) * outputs


@rule("FusedConv", domain=MS)
@rule("NhwcFusedConv", domain=MS)
def fused_conv(node: NodeView) -> Cost:
    """As Conv, one add for each output for Z, and the activation function."""
    outputs = node.out_size()
    macs = outputs * product(node.shape(1)[1:]) if node.op_type == "NhwcFusedConv" else conv_macs(node, 0, 1)
    adds = outputs * (int(node.has(2)) + int(node.has(3)))
    return Cost(macs=macs, add=adds) + function_of(node, "activation") * outputs


@rule("NhwcConv", domain=MS)
def nhwc_conv(node: NodeView) -> Cost:
    """macs = elements of the output × elements of one filter, whose layout does not matter; add for a bias."""
    return Cost(macs=node.out_size() * product(node.shape(1)[1:]), add=node.out_size() if node.has(2) else 0)
