"""Losses: N scores over C classes, L labels."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import minus
from wua_onnx.cost.rules.softmax import log_softmax_of
from wua_onnx.cost.value import Cost
from wua_onnx.model.node import NodeView


def _picked(node: NodeView) -> Cost:
    """Return the cost of negating, weighing and reducing the picked logarithms."""
    labels, weighted = node.size(1), node.has(2)
    reduction = node.attr("reduction", b"mean")
    how = reduction.decode() if isinstance(reduction, bytes) else reduction
    cost = Cost(add=labels, mul=labels if weighted else 0)
    if how == "none":
        return cost
    folds = minus(labels, 1)
    if how == "sum":
        return cost + Cost(add=folds)
    return cost + Cost(add=folds * (2 if weighted else 1), div=1)


@rule("NegativeLogLikelihoodLoss")
def negative_log_likelihood_loss(node: NodeView) -> Cost:
    """add = L, mul = L with weights; sum: add = L − 1 more; mean: div = 1 too, and add = L − 1 for the weights.

    https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html
    """
    return _picked(node)


@rule("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(node: NodeView) -> Cost:
    """As LogSoftmax over N / C groups, then as NegativeLogLikelihoodLoss.

    https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html
    """
    return log_softmax_of(node.size(0), node.size(1)) + _picked(node)
