"""com.microsoft: quantised operators. Constant weights are centred and dequantised at load (convention 6).

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

import math

from wua_onnx.cost.registry import free, rule
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.attention import attend, part
from wua_onnx.cost.rules.contractions import conv_macs, matmul_macs
from wua_onnx.cost.rules.microsoft_fused import FAST_GELU, MS, function_of
from wua_onnx.cost.rules.normalization import layer_norm_of, mean_of
from wua_onnx.cost.rules.quantization import QUANTISED, RANGE, centred, dequantised, int_macs, requantised
from wua_onnx.cost.rules.softmax import softmax_of
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim, divides, product
from wua_onnx.model.node import NodeView, ShapeUnknown

free("selects elements by a mask", "QLinearWhere", domain=MS)


def _weight(node: NodeView, index: int, elements: Dim) -> Cost:
    return Cost() if node.input(index) in node.model.constants else Cost(add=elements, mul=elements)


@rule("MatMulNBits", domain=MS)
@rule("MatMulBnb4", domain=MS)
@rule("MatMulFpQ4", domain=MS)
def matmul_n_bits(node: NodeView) -> Cost:
    """macs = rows × N × K; add for a bias; a weight that is no constant: mul = add = N·K to dequantise it."""
    inner, columns = node.attr("K"), node.attr("N")
    if node.op_type == "MatMulFpQ4":
        return Cost(macs=node.out_size() * node.shape(0)[-1])
    node.expect("inner dimensions", inner, node.shape(0)[-1])
    outputs = product(node.shape(0)[:-1]) * columns
    bias = node.op_type == "MatMulNBits" and node.has(5)
    return Cost(macs=outputs * inner, add=outputs if bias else 0) + _weight(node, 1, columns * inner)


@rule("GatherBlockQuantized", domain=MS, by_dtype=False)
def gather_block_quantized(node: NodeView) -> Cost:
    """mul = N and int_ops = N: the rows read are dequantised."""
    return dequantised(node.out_size())


@rule("DynamicQuantizeMatMul", domain=MS)
def dynamic_quantize_matmul(node: NodeView) -> Cost:
    """A as DynamicQuantizeLinear; int_macs as MatMul; int_ops = size of A; mul = N for the scales; add for a bias."""
    quantised = QUANTISED * node.size(0) + RANGE
    products = int_macs(matmul_macs(node, 0, 1)) + Cost(int_ops=node.size(0)) + centred(node, 1, 3)
    return quantised + products + Cost(mul=node.out_size(), add=node.out_size() if node.has(4) else 0)


@rule("MatMulIntegerToFloat", domain=MS, by_dtype=False)
def matmul_integer_to_float(node: NodeView) -> Cost:
    """int_macs as MatMul; int_ops for the zero points; mul = N for the scales; add = N for a bias."""
    products = int_macs(matmul_macs(node, 0, 1)) + centred(node, 0, 4) + centred(node, 1, 5)
    return products + Cost(mul=node.out_size(), add=node.out_size() if node.has(6) else 0)


@rule("QGemm", domain=MS, by_dtype=False)
def qgemm(node: NodeView) -> Cost:
    """int_macs = M·N·K; int_ops for the zero points and the bias; then requantised, or mul = N for a float output."""
    a, outputs = node.shape(0), node.out_size()
    inner = a[0] if node.attr("transA", 0) else a[1]
    products = int_macs(outputs * inner) + centred(node, 0, 2) + centred(node, 3, 5)
    return (
        products
        + Cost(int_ops=outputs if node.has(6) else 0)
        + (requantised(outputs) if node.has(7) else Cost(mul=outputs))
    )


@rule("QLinearConv", domain=MS, by_dtype=False)
def qlinear_conv(node: NodeView) -> Cost:
    """As QLinearConv of ai.onnx, whichever axis holds the channels."""
    outputs = node.out_size()
    last = node.attr("channels_last", 0)
    macs = outputs * product(node.shape(3)[1:]) if last else conv_macs(node, 0, 3)
    products = int_macs(macs) + centred(node, 0, 2) + centred(node, 3, 5)
    return products + Cost(int_ops=outputs if node.has(8) else 0) + requantised(outputs)


@rule("QLinearAdd", domain=MS, by_dtype=False)
@rule("QLinearMul", domain=MS, by_dtype=False)
def qlinear_binary(node: NodeView) -> Cost:
    """Both inputs dequantised (int_ops, mul), one add or mul for each output, which is requantised."""
    kind = "add" if node.op_type == "QLinearAdd" else "mul"
    outputs = node.out_size()
    inputs = [index for index in (0, 3) if node.input(index) not in node.model.constants]
    cost = sum((dequantised(node.size(index)) for index in inputs), start=requantised(outputs))
    return cost + Cost(**{kind: outputs})


@rule("QLinearSigmoid", domain=MS, by_dtype=False)
@rule("QLinearLeakyRelu", domain=MS, by_dtype=False)
def qlinear_activation(node: NodeView) -> Cost:
    """Dequantised, the function, requantised."""
    function = SIGMOID if node.op_type == "QLinearSigmoid" else Cost(compare=1, mul=1)
    return dequantised(node.size(0)) + function * node.size(0) + requantised(node.size(0))


@rule("QLinearSoftmax", domain=MS, by_dtype=False)
def qlinear_softmax(node: NodeView) -> Cost:
    """Dequantised, a softmax along `axis`, requantised."""
    shape, axis = node.shape(0), node.attr("axis", -1)
    newer = node.attr("opset", 13) >= 13
    groups = product(d for at, d in enumerate(shape) if at != axis % len(shape)) if newer else product(shape[:axis])
    return dequantised(node.size(0)) + softmax_of(node.size(0), groups) + requantised(node.size(0))


@rule("QLinearGlobalAveragePool", domain=MS, by_dtype=False)
@rule("QLinearReduceMean", domain=MS, by_dtype=False)
def qlinear_mean(node: NodeView) -> Cost:
    """Dequantised, means, requantised."""
    return dequantised(node.size(0)) + mean_of(node.size(0), node.out_size()) + requantised(node.out_size())


@rule("QLinearAveragePool", domain=MS, by_dtype=False)
def qlinear_average_pool(node: NodeView) -> Cost:
    """Dequantised, means of the kernel's positions, requantised."""
    positions = math.prod(int(size) for size in node.attr("kernel_shape"))
    outputs = node.out_size()
    return dequantised(node.size(0)) + mean_of(outputs * positions, outputs) + requantised(outputs)


@rule("QLinearConcat", domain=MS, by_dtype=False)
def qlinear_concat(node: NodeView) -> Cost:
    """Every input dequantised and requantised to the scale of the output."""
    return dequantised(node.out_size()) + requantised(node.out_size())


@rule("QuantizeLinear", domain=MS)
def quantize_linear(node: NodeView) -> Cost:
    """As QuantizeLinear of ai.onnx."""
    return Cost(div=1, compare=3, add=1 if node.has(2) else 0) * node.size(0)


@rule("DequantizeLinear", domain=MS, by_dtype=False)
def dequantize_linear(node: NodeView) -> Cost:
    """As DequantizeLinear of ai.onnx."""
    return Cost(mul=node.size(0), int_ops=node.size(0) if node.has(2) else 0)


@rule("QAttention", domain=MS, by_dtype=False)
def qattention(node: NodeView) -> Cost:
    """As Attention of com.microsoft with the projection in int_macs, and mul = its outputs for the scales."""
    batch, tokens, hidden = node.shape(0)
    columns, heads = node.shape(1)[-1], node.attr("num_heads")
    keys = tokens + (node.shape(8)[3] if node.has(8) else 0)
    projected = batch * tokens * columns
    products = int_macs(projected * hidden) + centred(node, 0, 6) + centred(node, 1, 7)
    head = part(node, part(node, columns, 3, "columns of the weights"), heads, "num_heads")
    rows = batch * heads * tokens
    masks = int(node.has(5)) + int(bool(node.attr("unidirectional", 0)))
    scores = attend(rows * keys, rows, head, head, masks=masks) + Cost(mul=rows * keys)
    return products + Cost(mul=projected, add=projected) + scores


@rule("MoE", domain=MS)
@rule("QMoE", domain=MS)
def mixture_of_experts(node: NodeView) -> Cost:
    """macs = rows × k × elements of one expert's matrices; its biases and activation; a softmax over the experts.

    mul and add = rows × k × outputs to weigh and sum the experts. Packed weights hold 8 / bits values a byte.
    """
    rows = product(node.shape(0)[:-1])
    experts, chosen = node.shape(1)[-1], int(node.attr("k", 1))
    quantised = node.op_type == "QMoE"
    first = (2, 5, 8) if quantised else (2, 4, 6)
    packed = 8 // int(node.attr("expert_weight_bits", 4)) if quantised else 1
    matrices = [index for index in first if node.has(index)]
    per_expert = [divides(experts, node.size(index) * packed) for index in matrices]
    if None in per_expert:
        raise ShapeUnknown("the size of one expert is unknown")
    biases = [index + (2 if quantised else 1) for index in matrices if node.has(index + (2 if quantised else 1))]
    hidden, inner = node.shape(0)[-1], divides(node.shape(0)[-1], per_expert[1] or 0)
    if inner is None:
        raise ShapeUnknown("the inner size of one expert is unknown")
    function = _expert_function(node) * inner
    added = [divides(experts, node.size(index)) or 0 for index in biases]
    macs = sum((size for size in per_expert if size is not None), start=Cost().macs)
    expert = Cost(macs=macs, add=sum(added, start=hidden), mul=hidden) + function
    return expert * (rows * chosen) + softmax_of(rows * experts, rows)


def _expert_function(node: NodeView) -> Cost:
    name = node.attr("activation_type", b"relu")
    text = (name.decode() if isinstance(name, bytes) else str(name)).lower()
    if text == "gelu":
        return FAST_GELU
    return SIGMOID + Cost(mul=3) if text == "swiglu" else function_of(node, "activation_type")


@rule("QEmbedLayerNormalization", domain=MS, by_dtype=False)
def qembed_layer_normalization(node: NodeView) -> Cost:
    """As EmbedLayerNormalization, every row read dequantised (int_ops, mul) before it is added."""
    tokens, hidden = product(node.shape(0)), node.shape(2)[-1]
    elements, tables = tokens * hidden, 3 if node.has(4) else 2
    rows = dequantised(elements * tables) + Cost(add=elements * (tables - 1))
    return rows + Cost(int_ops=node.size(7) if node.has(7) else 0) + layer_norm_of(elements, tokens, bias=True)
