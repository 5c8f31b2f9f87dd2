"""MatMul, Gemm, Conv and ConvTranspose: the contractions."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, divides, product
from wua_onnx.model.node import NodeView, ShapeUnknown


def matmul_macs(node: NodeView, a: int, b: int) -> Dim:
    """Return the multiply-accumulates of inputs `a` @ `b`, batch dimensions broadcast, 1-D operands as vectors."""
    left, right = node.shape(a), node.shape(b)
    if not left or not right:
        raise ShapeError(f"{node.where}: operands: expected at least 1 dimension, got shapes {left} and {right}")
    node.expect("inner dimensions", left[-1], right[-2] if len(right) > 1 else right[0])
    return node.out_size() * left[-1]


def conv_macs(node: NodeView, x: int, w: int) -> Dim:
    """Return the multiply-accumulates of convolving input `x` with the filters `w`."""
    weight, data = node.shape(w), node.shape(x)
    if len(weight) != len(data) or len(data) < 3:
        raise ShapeError(f"{node.where}: filters: expected as many dimensions as {data}, got {weight}")
    kernel = node.attr("kernel_shape")
    if kernel:
        node.expect("kernel_shape", tuple(kernel), weight[2:])
    per_group = divides(node.attr("group", 1), data[1])
    if per_group is None and (isinstance(data[1], int) or not isinstance(weight[1], int)):
        raise ShapeUnknown("the number of input channels per group is unknown")
    if per_group is not None:
        node.expect("input channels per group", weight[1], per_group)
    return node.out_size() * product((weight[1], *(kernel or weight[2:])))


@rule("MatMul")
def matmul(node: NodeView) -> Cost:
    """macs = elements of the output × K, batch dimensions broadcast, 1-D operands as vectors.

    https://onnx.ai/onnx/operators/onnx__MatMul.html
    """
    return Cost(macs=matmul_macs(node, 0, 1))


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
    return Cost(macs=conv_macs(node, 0, 1), add=node.out_size() if node.has(2) else 0)


@rule("ConvTranspose")
def conv_transpose(node: NodeView) -> Cost:
    """macs = elements of the input × (output channels / group) × kernel positions; add = one per output for a bias.

    Every product counts, those that padding crops too (convention 8).
    https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
    """
    data, weight = node.shape(0), node.shape(1)
    if len(weight) != len(data) or len(data) < 3:
        raise ShapeError(f"{node.where}: filters: expected as many dimensions as {data}, got {weight}")
    node.expect("input channels", weight[0], data[1])
    return Cost(macs=node.size(0) * product(weight[1:]), add=node.out_size() if node.has(2) else 0)
