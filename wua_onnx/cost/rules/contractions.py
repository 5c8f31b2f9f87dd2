"""MatMul, Gemm, Conv: the contractions."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim, divides, product
from wua_onnx.model.graph import NodeView, ShapeUnknown


@rule("MatMul")
def matmul(node: NodeView) -> Cost:
    """macs = elements of the output × K, batch dimensions broadcast, 1-D operands as vectors.

    https://onnx.ai/onnx/operators/onnx__MatMul.html
    """
    a, b = node.shape(0), node.shape(1)
    inner = a[-1]
    node.expect("inner dimensions", inner, b[-2] if len(b) > 1 else b[0])
    return Cost(macs=node.out_size() * inner)


@rule("Gemm")
def gemm(node: NodeView) -> Cost:
    """macs = M·N·K; add = M·N for C; mul for alpha and beta where they are not 1 (convention 3).

    https://onnx.ai/onnx/operators/onnx__Gemm.html
    """
    a, b = node.shape(0), node.shape(1)
    rows, inner = reversed(a) if node.attr("transA") else a
    columns, inner_b = b if node.attr("transB") else reversed(b)
    node.expect("inner dimensions", inner, inner_b)
    bias, scaled = node.has(2), node.attr("beta", 1.0) != 1.0
    outputs = rows * columns
    return Cost(
        macs=outputs * inner,
        add=outputs if bias else 0,
        mul=(outputs if node.attr("alpha", 1.0) != 1.0 else 0) + (node.size(2) if bias and scaled else 0),
    )


@rule("Conv")
def conv(node: NodeView) -> Cost:
    """macs = elements of the output × (input channels / group) × kernel positions; add = one per output for a bias.

    Padded positions count (convention 8). https://onnx.ai/onnx/operators/onnx__Conv.html
    """
    weight = node.shape(1)
    channels: Dim = node.shape(0)[1]
    per_group = divides(node.attr("group", 1), channels)
    if per_group is None:
        raise ShapeUnknown("the number of input channels per group is unknown")
    node.expect("input channels per group", weight[1], per_group)
    outputs = node.out_size()
    return Cost(macs=outputs * product(weight[1:]), add=outputs if node.has(2) else 0)
