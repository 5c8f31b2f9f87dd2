"""Dense layers: Gemm, MatMul and Einsum with one constant operand. Canonical weight: (in, out).

A constant with axes that the other operand has, too (one matrix for each expert, say), is a layer of kind "experts":
its neurons are the experts times the outputs of one, in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wua_onnx.cost.memory import is_parameter
from wua_onnx.layers.activation_functions import OPERATORS
from wua_onnx.layers.axes import readers
from wua_onnx.layers.contraction import constant_use, einsum_terms, matmul_terms, sum_terms
from wua_onnx.layers.inside import function_inside
from wua_onnx.layers.layer import Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import WeightSource, resolve
from wua_onnx.model.node import NodeView

_MICROSOFT = "com.microsoft"


@layer_kind("Gemm")
@layer_kind("FusedGemm", domain=_MICROSOFT)
@layer_kind("GemmFastGelu", domain=_MICROSOFT)
def gemm(node: NodeView) -> Use | str | None:
    """`alpha · A' · B' + beta · C` with a constant B, or a constant A."""
    return product_use(node, transposed=(bool(node.attr("transA", 0)), bool(node.attr("transB", 0))))


@layer_kind("MatMul")
@layer_kind("FusedMatMul", domain=_MICROSOFT)
@layer_kind("FusedMatMulActivation", domain=_MICROSOFT)
@layer_kind("TransposeMatMul", domain=_MICROSOFT)
def matmul(node: NodeView) -> Use | str | None:
    """`alpha · A' · B'` with a constant on either side."""
    batches = [bool(node.attr(name, 0)) for name in ("transBatchA", "transBatchB")]
    found = product_use(node, transposed=(bool(node.attr("transA", 0)), bool(node.attr("transB", 0))))
    return "leading axes that are transposed" if isinstance(found, Use) and any(batches) else found


@layer_kind("Einsum")
def einsum(node: NodeView) -> Use | str | None:
    """https://onnx.ai/onnx/operators/onnx__Einsum.html, with one constant operand."""
    found = constant_operand(node, range(len(node.node.inputs)))
    if isinstance(found, str) or found is None:
        return found
    terms = einsum_terms(node)
    return terms if isinstance(terms, str) else constant_use(node, *found, terms)


@layer_kind("Mul")
def summed_product(node: NodeView) -> Use | None:
    """`Σ x · w`, a Mul and a ReduceSum, as Keras writes the scores of AdditiveAttention; no other Mul holds weights."""
    uses = readers(node.node.outputs[0])
    total = (
        NodeView(uses[0].node, node.model) if len(uses) == 1 and not node.node.outputs[0].is_graph_output() else None
    )
    if total is None or total.domain or total.op_type != "ReduceSum" or uses[0].idx != 0:
        return None
    found, given = constant_operand(node, (0, 1)), total.attr("axes") or total.const(1)
    if isinstance(found, str) or found is None or given is None:
        return None
    which, source = found
    other = node.input(1 - which)
    if other is None or other.shape is None or not is_parameter(source.root):
        return None
    shapes = {which: source.shape, 1 - which: tuple(other.shape)}
    rank = max(map(len, shapes.values()))
    axes = {int(axis) % rank for axis in np.ravel(given)} if rank else set()
    use = constant_use(node, which, source, sum_terms(shapes, which, axes, keepdims=bool(total.attr("keepdims", 1))))
    return replace(use, output=total.node.outputs[0]) if isinstance(use, Use) else None


def product_use(
    node: NodeView, operands: tuple[int, int] = (0, 1), transposed: tuple[bool, bool] = (False, False)
) -> Use | str | None:
    """Return the use of the constant among the two `operands` of a matrix product; None where none is."""
    found = constant_operand(node, operands)
    if isinstance(found, str) or found is None:
        return found
    which, source = found
    other = node.input(operands[0] if which == operands[1] else operands[1])
    if other is None or other.shape is None:
        return "the rank of its other operand is unknown"
    ranks = [len(source.shape) if index == which else len(other.shape) for index in operands]
    terms = matmul_terms(ranks, operands=operands, transposed=transposed)
    use = terms if isinstance(terms, str) else constant_use(node, which, source, terms, float(node.attr("alpha", 1.0)))
    if isinstance(use, str):
        return use
    function = OPERATORS["FastGelu"] if node.op_type == "GemmFastGelu" else function_inside(node)
    return use if function is None else replace(use, reads="output", function=function)


def constant_operand(node: NodeView, operands: Sequence[int]) -> tuple[int, WeightSource] | str | None:
    """Return which operand is the constant one, and where it comes from."""
    constants = [index for index in operands if node.input(index) in node.model.constants]
    if len(constants) == len(operands):
        return "computed from constants only"
    if not constants:
        return None
    if len(constants) > 1:
        return "more than one constant operand"
    source = resolve(node.input(constants[0]), node.model)
    return source if isinstance(source, str) else (constants[0], source)
