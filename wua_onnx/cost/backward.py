"""What the backward pass of an operator costs (convention 13).

Contractions exactly: for C = A·B, dA = dC·Bᵀ and dB = Aᵀ·dC cost what C does, each where it is needed; so do both of a
convolution's. A bias gradient is as many adds as the bias itself. Every other operation is taken to cost as much
backward as forward, nothing where no gradient passes. Sums of the gradients of a value that is used several times
are not counted, and neither is the backward of an Add, which copies: forward it is as many adds as those sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx_ir as ir

from wua_onnx.cost.gradients import MS
from wua_onnx.cost.rules.attention import heads_of
from wua_onnx.cost.rules.einsum import pairs_of
from wua_onnx.cost.rules.recurrent import steps_of
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim
from wua_onnx.model.node import NodeView

Gradient: TypeAlias = frozenset[ir.Value]
Rule: TypeAlias = Callable[[NodeView, Cost, Gradient], Cost]

# Contractions whose only adds are those of a bias, and the input that holds it.
_BIASES = {"Gemm": 2, "Conv": 2, "ConvTranspose": 2, "NhwcConv": 2, "MatMulNBits": 5}


def backward(node: NodeView, cost: Cost, gradient: Gradient) -> Cost:
    """Return the cost of the backward pass of `node`.

    Args:
        node: any operator but those with graphs inside.
        cost: its forward cost.
        gradient: the values that have a gradient.
    """
    if not any(value in gradient for value in node.node.outputs):
        return Cost()
    rule = _RULES.get((node.domain, node.op_type), _default)
    return rule(node, _floating(cost), gradient)


def _floating(cost: Cost) -> Cost:
    return Cost(
        macs=cost.macs - cost.int_macs,
        mul=cost.mul,
        add=cost.add,
        div=cost.div,
        compare=cost.compare,
        special=cost.special,
    )


def _with_macs(cost: Cost, macs: Dim) -> Cost:
    return Cost(macs=macs, mul=cost.mul, add=cost.add, div=cost.div, compare=cost.compare, special=cost.special)


def _needs(node: NodeView, gradient: Gradient, *inputs: int) -> int:
    """Return how many of `inputs` need a gradient."""
    return sum(node.input(index) in gradient for index in inputs if node.has(index))


def _default(node: NodeView, cost: Cost, gradient: Gradient) -> Cost:
    """macs once for each of the first two operands that needs a gradient; everything else as forward."""
    result = _with_macs(cost, cost.macs * _needs(node, gradient, 0, 1))
    bias = _BIASES.get(node.op_type)
    if bias is not None and not _needs(node, gradient, bias):
        return Cost(macs=result.macs, mul=result.mul)
    return result


def _both(node: NodeView, cost: Cost, gradient: Gradient) -> Cost:
    """macs twice: every operand of every product is computed from what is trained."""
    return _with_macs(cost, cost.macs * 2)


def _projected(node: NodeView, cost: Cost, gradient: Gradient) -> Cost:
    """macs of the projection once for X and once for the weights, those of the scores twice."""
    projection = node.size(0) * node.shape(1)[-1]
    needed = _needs(node, gradient, 0, 1)
    return _with_macs(cost, projection * needed + (cost.macs - projection) * 2)


def _attention(node: NodeView, cost: Cost, gradient: Gradient) -> Cost:
    """Q·Kᵀ once for Q and once for K; P·V once for V, and once for P where Q, K or a mask needs a gradient.

    The gradients of past keys and values are computed with those of the present ones.
    """
    head, value_head = heads_of(node, 0, "q_num_heads")[3], heads_of(node, 2, "kv_num_heads")[3]
    batch, heads, queries, _ = heads_of(node, 0, "q_num_heads")
    keys = heads_of(node, 1, "kv_num_heads")[2] + (node.shape(4)[2] if node.has(4) else 0)
    scores = batch * heads * queries * keys
    into_scores = min(_needs(node, gradient, 0, 1, 3), 1)
    products = head * _needs(node, gradient, 0, 1) + value_head * (into_scores + _needs(node, gradient, 2))
    return _with_macs(cost, scores * products)


def _einsum(node: NodeView, cost: Cost, gradient: Gradient) -> Cost:
    """Each pairwise product once for each of its two operands that needs a gradient.

    A product that summed nothing sums backward over the labels that only the other operand has; else it is mul.
    """
    result, flows = Cost(), node.input(0) in gradient
    for index, pair in enumerate(pairs_of(node), start=1):
        sides = ((pair.left, flows), (pair.right, node.input(index) in gradient))
        for labels in (labels for labels, needed in sides if needed):
            summed = pair.summed or not pair.left | pair.right <= labels
            result += Cost(macs=pair.work) if summed else Cost(mul=pair.work)
        flows = flows or node.input(index) in gradient
    return result


def _recurrent(node: NodeView, cost: Cost, gradient: Gradient) -> Cost:
    """Products with W once for X and once for W; with R once for R, and once for the state of every step.

    The first step's state needs no gradient unless initial_h does, but for a GRU's candidate where r scales the state
    before the product.
    """
    units, inputs = node.shape(1)[1], node.shape(1)[2]
    hidden = node.shape(2)[-1]
    directions = node.shape(1)[0]
    steps, first = steps_of(node) * directions, _first_steps(node) * directions
    by_inputs = steps * units * inputs * _needs(node, gradient, 0, 1)
    by_state = steps * units * hidden * (1 + _needs(node, gradient, 2))
    scaled = hidden if node.op_type == "GRU" and not node.attr("linear_before_reset", 0) else 0
    unneeded = 0 if _needs(node, gradient, 5) else first * (units - scaled) * hidden
    return _with_macs(cost, by_inputs + by_state - unneeded)


def _first_steps(node: NodeView) -> Dim:
    """Return how many sequences have a first step."""
    longest, batch = node.shape(0)[:2]
    if node.attr("layout", 0):
        longest, batch = batch, longest
    lengths = node.const(4)
    if lengths is not None and isinstance(longest, int):
        return int((lengths.clip(0, longest) > 0).sum())
    return 0 if longest == 0 else batch


_MICROSOFT = (
    "GroupQueryAttention",
    "MultiHeadAttention",
    "DecoderMaskedMultiHeadAttention",
    "PackedMultiHeadAttention",
    "MoE",
)
_RULES: dict[tuple[str, str], Rule] = {
    ("", "Attention"): _attention,
    ("", "Einsum"): _einsum,
    ("", "LinearAttention"): _both,
    **{("", name): _recurrent for name in ("RNN", "GRU", "LSTM")},
    **{(MS, name): _projected for name in ("Attention", "PackedAttention")},
    **{(MS, name): _both for name in _MICROSOFT},
}
