"""Pooling: every position of the kernel counts, padding included (convention 8)."""

from __future__ import annotations

import math

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import minus
from wua_onnx.cost.rules.normalization import mean_of
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim
from wua_onnx.model.node import NodeView


def _positions(node: NodeView) -> int:
    kernel = node.attr("kernel_shape")
    if not kernel or any(size < 1 for size in kernel):
        raise ShapeError(f"{node.where}: kernel_shape: expected sizes of at least 1, got {kernel}")
    return math.prod(int(size) for size in kernel)


def _norm_of(p: int, elements: Dim, groups: Dim) -> Cost:
    """Return the cost of the p-norm of each of `groups` groups of all `elements` elements."""
    folds = Cost(add=minus(elements, groups))
    if p == 1:
        return folds + Cost(add=elements)
    if p == 2:
        return folds + Cost(mul=elements, special=groups)
    return folds + Cost(add=elements, special=elements + groups)


@rule("MaxPool")
def max_pool(node: NodeView) -> Cost:
    """compare = elements of the output × (kernel positions − 1).

    https://onnx.ai/onnx/operators/onnx__MaxPool.html
    """
    return Cost(compare=node.out_size() * (_positions(node) - 1))


@rule("AveragePool")
def average_pool(node: NodeView) -> Cost:
    """add = elements of the output × (kernel positions − 1); div = elements of the output.

    https://onnx.ai/onnx/operators/onnx__AveragePool.html
    """
    return mean_of(node.out_size() * _positions(node), node.out_size())


@rule("LpPool")
def lp_pool(node: NodeView) -> Cost:
    """N = elements of the output × kernel positions, G outputs: as GlobalLpPool.

    https://onnx.ai/onnx/operators/onnx__LpPool.html
    """
    return _norm_of(int(node.attr("p", 2)), node.out_size() * _positions(node), node.out_size())


@rule("GlobalMaxPool")
def global_max_pool(node: NodeView) -> Cost:
    """compare = N − G.

    https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html
    """
    return Cost(compare=minus(node.size(0), node.out_size()))


@rule("GlobalAveragePool")
def global_average_pool(node: NodeView) -> Cost:
    """add = N − G; div = G.

    https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html
    """
    return mean_of(node.size(0), node.out_size())


@rule("GlobalLpPool")
def global_lp_pool(node: NodeView) -> Cost:
    """p = 1: add = 2·N − G; p = 2: mul = N, add = N − G, special = G; else add = 2·N − G, special = N + G.

    The p-norm of each of G groups: |x| and its power, the sum, the root.
    https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html
    """
    return _norm_of(int(node.attr("p", 2)), node.size(0), node.out_size())
