"""com.microsoft: attention, by scores = batch × heads × queries × keys (conventions 4 and 10).

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.attention import attend, part, rotated
from wua_onnx.cost.rules.microsoft_fused import MS
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.graph import NodeView, ShapeUnknown


def _scores(rows: Dim, keys: Dim, head: Dim, value_head: Dim, masks: int, softcap: bool = False) -> Cost:
    """Return the cost of attention with its scale, one mul for each score."""
    capped = Cost(mul=1, div=1, special=1) if softcap else Cost()
    return attend(rows * keys, rows, head, value_head, masks=masks) + (capped + Cost(mul=1)) * (rows * keys)


@rule("Attention", domain=MS)
def attention(node: NodeView) -> Cost:
    """macs = tokens × columns of the weights × inputs + scores × (head size of Q + of V); bias add; mul = scores.

    Then the softmax over keys, past ones included; add = scores for each of mask_index, attention_bias and
    unidirectional. Rotary embedding of Q and K where do_rotary is set.
    """
    batch, tokens, hidden = node.shape(0)
    columns = node.shape(1)[-1]
    heads = node.attr("num_heads")
    sizes = node.attr("qkv_hidden_sizes")
    query, _, value = sizes if sizes else (part(node, columns, 3, "columns of the weights"),) * 3
    keys = tokens + (node.shape(4)[3] if node.has(4) else 0)
    projection = Cost(macs=batch * tokens * columns * hidden, add=batch * tokens * columns if node.has(2) else 0)
    masks = int(node.has(3)) + int(node.has(5)) + int(bool(node.attr("unidirectional", 0)))
    turned = rotated(batch * tokens * query * 2) if node.attr("do_rotary", 0) else Cost()
    per_head = part(node, query, heads, "num_heads"), part(node, value, heads, "num_heads")
    return projection + turned + _scores(batch * heads * tokens, keys, *per_head, masks)


def _packed_or_apart(node: NodeView, heads: int) -> tuple[Dim, Dim, Dim, Dim, Dim]:
    """Return (batch, queries, keys, head size, value head size) of MultiHeadAttention's inputs."""
    query = node.shape(0)
    if len(query) == 5:  # batch, sequence, heads, 3, head size
        return query[0], query[1], query[1], query[4], query[4]
    head = part(node, query[2], heads, "num_heads")
    key = node.shape(1)
    if len(key) == 5:  # batch, keys, heads, 2, head size
        return query[0], query[1], key[1], head, key[4]
    value = node.shape(2)
    if len(key) == 4:  # batch, heads, keys, head size
        return query[0], query[1], key[2], head, value[3]
    return query[0], query[1], key[1], head, part(node, value[2], heads, "num_heads")


@rule("MultiHeadAttention", domain=MS)
@rule("DecoderMaskedMultiHeadAttention", domain=MS)
def multi_head_attention(node: NodeView) -> Cost:
    """macs = scores × (head size of Q + of V); mul = scores; the softmax over keys; add for each mask and the bias."""
    heads = node.attr("num_heads")
    batch, queries, keys, head, value_head = _packed_or_apart(node, heads)
    decoder = node.op_type != "MultiHeadAttention"
    past, mask, relative, bias = (5, 3, 4, 10) if decoder else (6, 4, 5, 3)
    if node.has(past):
        keys = keys + node.shape(past)[2]
    masks = int(node.has(mask)) + int(node.has(relative)) + int(bool(node.attr("unidirectional", 0)))
    cost = _scores(batch * heads * queries, keys, head, value_head, masks)
    biased = batch * queries * heads * (head * 2 + value_head) if node.has(bias) else 0
    return cost + Cost(add=biased)


@rule("GroupQueryAttention", domain=MS)
def group_query_attention(node: NodeView) -> Cost:
    """macs = scores × 2 × head size, keys as many as the present keys hold; mul = scores; the softmax; the causal mask.

    The causal mask is one add for each score, softcap one mul, div and special. Rotary embedding of Q and K where
    do_rotary is set. https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
    """
    batch, tokens, hidden = node.shape(0)
    heads, kv_heads = node.attr("num_heads"), node.attr("kv_num_heads")
    if not heads or not kv_heads:
        raise ShapeError(f"{node.where}: num_heads and kv_num_heads: expected at least 1, got {heads} and {kv_heads}")
    head = part(node, hidden, heads if node.has(1) else heads + 2 * kv_heads, "num_heads")
    keys = node.out_shape(1)[2] if len(node.node.outputs) > 1 else tokens
    turned = rotated(batch * tokens * head * (heads + kv_heads)) if node.attr("do_rotary", 0) else Cost()
    masks = 1 + int(node.has(10))
    capped = bool(node.attr("softcap", 0.0))
    return turned + _scores(batch * heads * tokens, keys, head, head, masks, softcap=capped)


@rule("PackedAttention", domain=MS, estimate="every sequence as long as the longest")
def packed_attention(node: NodeView) -> Cost:
    """As Attention, with the projection of the packed tokens only and the scores of the padded square."""
    tokens, hidden = node.shape(0)
    columns, heads = node.shape(1)[-1], node.attr("num_heads")
    sizes = node.attr("qkv_hidden_sizes")
    query, _, value = sizes if sizes else (part(node, columns, 3, "columns of the weights"),) * 3
    batch, longest = node.shape(3)
    per_head = part(node, query, heads, "num_heads"), part(node, value, heads, "num_heads")
    projection = Cost(macs=tokens * columns * hidden, add=tokens * columns if node.has(2) else 0)
    return projection + _scores(batch * heads * longest, longest, *per_head, masks=1 + int(node.has(5)))


@rule("PackedMultiHeadAttention", domain=MS, estimate="every sequence as long as the longest")
def packed_multi_head_attention(node: NodeView) -> Cost:
    """macs = padded scores × (head size of Q + of V); mul = scores; the softmax; the mask; the bias."""
    heads, shape = node.attr("num_heads"), node.shape(0)
    batch, longest = node.shape(4)
    packed = len(shape) == 4  # tokens, heads, 3, head size
    head = shape[3] if packed else part(node, shape[1], heads, "num_heads")
    value_head = head if packed else part(node, node.shape(2)[1], heads, "num_heads")
    biased = shape[0] * heads * (head * 2 + value_head) if node.has(3) else 0
    masks = 1 + int(node.has(6))
    return _scores(batch * heads * longest, longest, head, value_head, masks) + Cost(add=biased)


@rule("RotaryEmbedding", domain=MS)
def rotary_embedding(node: NodeView) -> Cost:
    """mul = 2·N; add = N; N = the rotated elements: twice the columns of the cosines, of each head."""
    shape, per_head = node.shape(0), node.shape(2)[-1] * 2
    if len(shape) == 4:
        return rotated(shape[0] * shape[1] * shape[2] * per_head)
    if not node.attr("num_heads", 0) and not node.attr("rotary_embedding_dim", 0):
        return rotated(node.size(0))
    heads = node.attr("num_heads", 0)
    if not heads:
        raise ShapeUnknown("num_heads is not given")
    return rotated(product(shape[:-1]) * heads * per_head)
