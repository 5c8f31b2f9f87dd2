"""Quantising, dequantising, and contractions in integers, whose work goes to int_ops (convention 7)."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.contractions import conv_macs, matmul_macs
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim
from wua_onnx.model.node import NodeView

# Dynamic quantisation: of one element (its part in the range with 0, and the quantising), and of one tensor as a whole.
QUANTISED = Cost(compare=5, div=1, add=1)
RANGE = Cost(compare=3, div=2, add=2)


def centred(node: NodeView, index: int, zero_point: int) -> Cost:
    """Return the cost of taking the zero point from input `index`: nothing for a constant (convention 6)."""
    if not node.has(zero_point) or node.input(index) in node.model.constants:
        return Cost()
    return Cost(int_ops=node.size(index))


def int_macs(macs: Dim) -> Cost:
    """Return the cost of `macs` integer multiply-accumulates."""
    return Cost(macs=macs, int_macs=macs, int_ops=macs * 2)


def dequantised(elements: Dim) -> Cost:
    """Return the cost of (x − zero point) · scale for `elements` integers."""
    return Cost(int_ops=elements, mul=elements)


def requantised(elements: Dim) -> Cost:
    """Return the cost of saturate(round(x · scale) + zero point): the scales of a contraction make one factor."""
    return Cost(mul=1, compare=3, add=1) * elements


@rule("QuantizeLinear")
def quantize_linear(node: NodeView) -> Cost:
    """div = N; compare = 3·N; add = N with a zero point.

    saturate(round(x / scale) + zero point). https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
    """
    return Cost(div=1, compare=3, add=1 if node.has(2) else 0) * node.size(0)


@rule("DequantizeLinear", by_dtype=False)
def dequantize_linear(node: NodeView) -> Cost:
    """mul = N; int_ops = N with a zero point.

    (x − zero point) · scale. https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
    """
    elements = node.size(0)
    return Cost(mul=elements, int_ops=elements if node.has(2) else 0)


@rule("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: NodeView) -> Cost:
    """compare = 5·N + 3; div = N + 2; add = N + 2.

    The range of x with 0 (2·N compare), the scale (add, div), the zero point (add, div, 3 compare), then
    saturate(round(x / scale) + zero point). https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
    """
    return QUANTISED * node.size(0) + RANGE


@rule("MatMulInteger", by_dtype=False)
def matmul_integer(node: NodeView) -> Cost:
    """int_macs as MatMul; int_ops = 2·int_macs, and one for each element that a zero point is taken from.

    https://onnx.ai/onnx/operators/onnx__MatMulInteger.html
    """
    return int_macs(matmul_macs(node, 0, 1)) + centred(node, 0, 2) + centred(node, 1, 3)


@rule("ConvInteger", by_dtype=False)
def conv_integer(node: NodeView) -> Cost:
    """int_macs as Conv; int_ops = 2·int_macs, and one for each element that a zero point is taken from.

    https://onnx.ai/onnx/operators/onnx__ConvInteger.html
    """
    return int_macs(conv_macs(node, 0, 1)) + centred(node, 0, 2) + centred(node, 1, 3)


@rule("QLinearMatMul", by_dtype=False)
def qlinear_matmul(node: NodeView) -> Cost:
    """int_macs as MatMul, zero points as MatMulInteger; then mul = N, compare = 3·N, add = N for the output.

    https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html
    """
    products = int_macs(matmul_macs(node, 0, 3)) + centred(node, 0, 2) + centred(node, 3, 5)
    return products + requantised(node.out_size())


@rule("QLinearConv", by_dtype=False)
def qlinear_conv(node: NodeView) -> Cost:
    """int_macs as Conv, zero points as ConvInteger, an integer add for the bias; then as QLinearMatMul.

    https://onnx.ai/onnx/operators/onnx__QLinearConv.html
    """
    products = int_macs(conv_macs(node, 0, 3)) + centred(node, 0, 2) + centred(node, 3, 5)
    bias = Cost(int_ops=node.out_size() if node.has(8) else 0)
    return products + bias + requantised(node.out_size())
