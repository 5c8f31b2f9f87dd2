"""Attention and rotary embedding."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.softmax import softmax_of
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, divides
from wua_onnx.model.node import NodeView, ShapeUnknown


def part(node: NodeView, whole: Dim, parts: int | None, what: str) -> Dim:
    """Return `whole / parts`; raises ShapeError where it is no whole number and `whole` is known."""
    if not parts or parts < 1:
        raise ShapeError(f"{node.where}: {what}: expected at least 1, got {parts}")
    result = divides(parts, whole)
    if result is None and isinstance(whole, int):
        raise ShapeError(f"{node.where}: {what}: expected a divisor of {whole}, got {parts}")
    if result is None:
        raise ShapeUnknown(f"the size per unit of {what} is unknown")
    return result


def heads_of(node: NodeView, index: int, attribute: str) -> tuple[Dim, Dim, Dim, Dim]:
    """Return (batch, heads, sequence, head size) of input `index`, in its 4-D or 3-D form."""
    shape = node.shape(index)
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    if len(shape) != 3:
        raise ShapeError(f"{node.where}: input {index}: expected 3 or 4 dimensions, got shape {shape}")
    heads = node.attr(attribute)
    return shape[0], heads, shape[1], part(node, shape[2], heads, attribute)


def attend(scores: Dim, rows: Dim, head: Dim, value_head: Dim, *, masks: int) -> Cost:
    """Return the cost of Q·Kᵀ, `masks` additions to the scores, the softmax over each row, and its product with V."""
    return Cost(macs=scores * (head + value_head), add=scores * masks) + softmax_of(scores, rows)


@rule("Attention")
def attention(node: NodeView) -> Cost:
    """macs = scores × (head size of K + of V), scores = batch × query heads × queries × (past + present keys).

    Then mul for √scale on Q and K, the softmax over keys, add = scores for attn_mask and again for is_causal or a
    window, and for softcap·tanh(x / softcap) mul, div and special = scores. The full square counts (convention 10).
    https://onnx.ai/onnx/operators/onnx__Attention.html
    """
    batch, heads, queries, head = heads_of(node, 0, "q_num_heads")
    _, kv_heads, keys, key_head = heads_of(node, 1, "kv_num_heads")
    value_head = heads_of(node, 2, "kv_num_heads")[3]
    node.expect("head size of K", head, key_head)
    if node.has(4):
        keys = keys + node.shape(4)[2]
    rows = batch * heads * queries
    scores = rows * keys
    windows = any(node.attr(f"{side}_window_size", -1) >= 0 for side in ("left", "right"))
    masks = int(node.has(3)) + int(bool(node.attr("is_causal", 0)) or windows or node.has(6))
    cost = attend(scores, rows, head, value_head, masks=masks)
    capped = Cost(mul=1, div=1, special=1) * scores if node.attr("softcap", 0.0) else Cost()
    return cost + capped + Cost(mul=rows * head + batch * kv_heads * keys * head)


def rotated(elements: Dim) -> Cost:
    """Return the cost of rotating `elements` elements in pairs: x·cos ∓ y·sin."""
    return Cost(mul=elements * 2, add=elements)


@rule("RotaryEmbedding")
def rotary_embedding(node: NodeView) -> Cost:
    """mul = 2·N; add = N; N = the rotated elements, `rotary_embedding_dim` of each head (all of them where it is 0).

    https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html
    """
    batch, heads, tokens, head = heads_of(node, 0, "num_heads")
    return rotated(batch * heads * tokens * (node.attr("rotary_embedding_dim", 0) or head))
