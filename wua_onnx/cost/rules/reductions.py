"""Reductions of N elements to G results: K elements fold into one in K − 1 operations."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import minus, without
from wua_onnx.cost.rules.normalization import mean_of
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim
from wua_onnx.model.node import NodeView, ShapeUnknown


def _folds(node: NodeView) -> Dim:
    return minus(node.size(0), node.out_size())


@rule("ReduceSum")
def reduce_sum(node: NodeView) -> Cost:
    """add = N − G.

    https://onnx.ai/onnx/operators/onnx__ReduceSum.html
    """
    return Cost(add=_folds(node))


@rule("ReduceMean")
def reduce_mean(node: NodeView) -> Cost:
    """add = N − G; div = G.

    https://onnx.ai/onnx/operators/onnx__ReduceMean.html
    """
    return mean_of(node.size(0), node.out_size())


@rule("ReduceMax")
@rule("ReduceMin")
@rule("ArgMax")
@rule("ArgMin")
def reduce_extreme(node: NodeView) -> Cost:
    """compare = N − G.

    https://onnx.ai/onnx/operators/onnx__ReduceMax.html
    """
    return Cost(compare=_folds(node))


@rule("ReduceProd")
def reduce_prod(node: NodeView) -> Cost:
    """mul = N − G.

    https://onnx.ai/onnx/operators/onnx__ReduceProd.html
    """
    return Cost(mul=_folds(node))


@rule("ReduceL1")
def reduce_l1(node: NodeView) -> Cost:
    """add = 2·N − G: the absolute values and their sum.

    https://onnx.ai/onnx/operators/onnx__ReduceL1.html
    """
    return Cost(add=node.size(0) + _folds(node))


@rule("ReduceSumSquare")
def reduce_sum_square(node: NodeView) -> Cost:
    """mul = N; add = N − G.

    https://onnx.ai/onnx/operators/onnx__ReduceSumSquare.html
    """
    return Cost(mul=node.size(0), add=_folds(node))


@rule("ReduceL2")
def reduce_l2(node: NodeView) -> Cost:
    """mul = N; add = N − G; special = G.

    https://onnx.ai/onnx/operators/onnx__ReduceL2.html
    """
    return reduce_sum_square(node) + Cost(special=node.out_size())


@rule("ReduceLogSum")
def reduce_log_sum(node: NodeView) -> Cost:
    """add = N − G; special = G.

    https://onnx.ai/onnx/operators/onnx__ReduceLogSum.html
    """
    return Cost(add=_folds(node), special=node.out_size())


@rule("ReduceLogSumExp")
def reduce_log_sum_exp(node: NodeView) -> Cost:
    """special = N + G; add = N − G.

    log(sum(exp(x))) as defined, without subtracting the largest.
    https://onnx.ai/onnx/operators/onnx__ReduceLogSumExp.html
    """
    return reduce_log_sum(node) + Cost(special=node.size(0))


def _running(node: NodeView) -> Dim:
    """Return the operations of running along an axis: one a step, the first element as it is."""
    axis = node.const(1)
    if axis is None and len(node.shape(0)) != 1:
        raise ShapeUnknown("the axis is no constant")
    lines = without(node, 0, int(axis.item()) if axis is not None else 0)
    first = lines * (2 if node.attr("exclusive", 0) else 1)
    return minus(node.size(0), first)


@rule("CumSum")
def cum_sum(node: NodeView) -> Cost:
    """add = N − lines along the axis (twice the lines where it is exclusive).

    https://onnx.ai/onnx/operators/onnx__CumSum.html
    """
    return Cost(add=_running(node))


@rule("CumProd")
def cum_prod(node: NodeView) -> Cost:
    """mul = N − lines along the axis (twice the lines where it is exclusive).

    https://onnx.ai/onnx/operators/onnx__CumProd.html
    """
    return Cost(mul=_running(node))


@rule("TopK", estimate="a heap of K entries: ceil(log2(K + 1)) comparisons for each element")
def top_k(node: NodeView) -> Cost:
    """compare = N × ceil(log2(K + 1)).

    https://onnx.ai/onnx/operators/onnx__TopK.html
    """
    shape, axis = node.out_shape(), node.attr("axis", -1)
    kept = shape[axis] if -len(shape) <= axis < len(shape) else None
    if not isinstance(kept, int):
        raise ShapeUnknown("K is unknown")
    return Cost(compare=node.size(0) * kept.bit_length())
