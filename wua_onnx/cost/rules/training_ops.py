"""ai.onnx.preview.training: optimizers as operators. N elements of all optimised tensors together."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim, total
from wua_onnx.model.node import NodeView

TRAINING = "ai.onnx.preview.training"


def _optimised(node: NodeView, kinds: int) -> Dim:
    """Return the elements of the tensors: after the rate and the counter, `kinds` tensors come for each of them."""
    tensors = (len(node.node.inputs) - 2) // kinds
    return total(node.size(2 + index) for index in range(tensors))


@rule("Adagrad", domain=TRAINING, by_dtype=False)
def adagrad(node: NodeView) -> Cost:
    """mul = 3·N; add = 4·N; div = N; special = N.

    g += c·x; h += g·g; x −= r·g / (sqrt(h) + eps). https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adagrad.html
    """
    return Cost(mul=3, add=4, div=1, special=1) * _optimised(node, 3)


@rule("Adam", domain=TRAINING, by_dtype=False)
def adam(node: NodeView) -> Cost:
    """mul = 8·N; add = 5·N; div = N; special = N.

    g += c·x; v = a·v + (1 − a)·g; h = b·h + (1 − b)·g·g; x = d·(x − r·v / (sqrt(h) + eps)).
    https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adam.html
    """
    return Cost(mul=8, add=5, div=1, special=1) * _optimised(node, 4)


@rule("Momentum", domain=TRAINING, by_dtype=False)
def momentum(node: NodeView) -> Cost:
    """mul = 4·N; add = 3·N; Nesterov: one more of each.

    g += c·x; v = a·v + b·g; x −= r·v, or r·(g + a·v). https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Momentum.html
    """
    mode = node.attr("mode", b"standard")
    nesterov = (mode.decode() if isinstance(mode, bytes) else mode) == "nesterov"
    return Cost(mul=4 + nesterov, add=3 + nesterov) * _optimised(node, 3)
