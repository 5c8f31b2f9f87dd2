"""com.microsoft: attention, by scores = batch × heads × queries × keys (conventions 4 and 10).

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.attention import attend, part, rotated
from wua_onnx.cost.rules.microsoft_fused import MS
from wua_onnx.cost.rules.normalization import rms_norm_of
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product, total
from wua_onnx.model.node import NodeView, ShapeUnknown


def _scores(rows: Dim, keys: Dim, head: Dim, value_head: Dim, masks: int, softcap: bool = False) -> Cost:
    """Return the cost of attention with its scale, one mul for each score."""
    capped = Cost(mul=1, div=1, special=1) if softcap else Cost()
    return attend(rows * keys, rows, head, value_head, masks=masks) + (capped + Cost(mul=1)) * (rows * keys)


def _keys(node: NodeView, past: int, axis: int, present: Dim) -> Dim:
    """Return past and present keys: a buffer that both share is taken to be full."""
    if not node.has(past):
        return present
    held = node.shape(past)[axis]
    return held if node.attr("past_present_share_buffer", 0) else held + present


@rule("Attention", domain=MS)
@rule("DecoderMaskedSelfAttention", domain=MS)
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
    keys = _keys(node, 4, 3, tokens)
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
    keys = _keys(node, past, 2, keys)
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
    tokens = node.shape(0)[1]
    keys = node.out_shape(1)[2] if len(node.node.outputs) > 1 else tokens
    return _grouped(node, keys, masks=1 + int(node.has(10)))


def _grouped(node: NodeView, keys: Dim, masks: int) -> Cost:
    """Return the cost of grouped-query attention on queries (…, hidden), or packed with their keys and values."""
    rows, hidden = product(node.shape(0)[:-1]), node.shape(0)[-1]
    heads, kv_heads = node.attr("num_heads"), node.attr("kv_num_heads")
    if not heads or not kv_heads:
        raise ShapeError(f"{node.where}: num_heads and kv_num_heads: expected at least 1, got {heads} and {kv_heads}")
    head = part(node, hidden, heads if node.has(1) else heads + 2 * kv_heads, "num_heads")
    value_head = node.attr("v_head_size", 0) or head
    turned = rotated(rows * head * (heads + kv_heads)) if node.attr("do_rotary", 0) else Cost()
    capped = bool(node.attr("softcap", 0.0))
    return turned + _scores(rows * heads, keys, head, value_head, masks, softcap=capped)


@rule("SparseAttention", domain=MS, estimate="every block of keys attended, the cache full")
def sparse_attention(node: NodeView) -> Cost:
    """As GroupQueryAttention; the keys are total_sequence_length where that is constant, else those the cache holds."""
    given = node.const(7)
    keys: Dim = int(given.item()) if given is not None else node.shape(3)[2]
    return _grouped(node, keys, masks=1)


@rule("PagedAttention", domain=MS, estimate="every sequence fills the blocks of keys it is given")
def paged_attention(node: NodeView) -> Cost:
    """As GroupQueryAttention; the keys of a token are the blocks of a sequence × the size of a block.

    Root-mean-square normalisation of each head of Q and K where q_norm_weight is given.
    """
    keys = node.shape(7)[1] * node.shape(3)[1]
    cost = _grouped(node, keys, masks=1)
    if not node.has(12):
        return cost
    heads, head = node.attr("num_heads") + node.attr("kv_num_heads"), node.shape(12)[0]
    tokens = node.shape(0)[0]
    return cost + rms_norm_of(tokens * heads * head, tokens * heads)


@rule("LongformerAttention", domain=MS, estimate="tokens with global attention attend as the others do")
def longformer_attention(node: NodeView) -> Cost:
    """macs = tokens × inputs × columns of both projections + scores × 2 × head size.

    scores = tokens × heads × (2·w + 1), w = window, on either side; then bias add, mul = add = scores for scale and
    mask, the softmax.
    """
    return longformer(node, weights=(1, 4), biases=(2, 5))


def longformer(node: NodeView, weights: tuple[int, int], biases: tuple[int, int], *, integers: bool = False) -> Cost:
    """Return the cost of attention in a window; in integers the projections only."""
    batch, tokens, hidden = node.shape(0)
    heads, near = node.attr("num_heads"), 2 * int(node.attr("window", 0)) + 1
    rows, columns = batch * tokens, total(node.shape(index)[-1] for index in weights)
    macs = rows * hidden * columns
    head = part(node, hidden, heads, "num_heads")
    added = total(rows * node.size(index) for index in biases if node.has(index))
    projected = Cost(macs=macs, int_macs=macs, int_ops=macs * 2) if integers else Cost(macs=macs)
    return projected + Cost(add=added) + _scores(rows * heads, near, head, head, masks=1)


@rule("DecoderAttention", domain=MS, estimate="no cache: keys and values of all tokens of `key` are computed")
def decoder_attention(node: NodeView) -> Cost:
    """macs = projections of queries and of keys with values + scores × 2 × head size; bias; mask; mul = scores."""
    queries, batch, hidden = node.shape(0)
    keys, heads = node.shape(1)[0], node.attr("num_heads")
    outputs = batch * queries * node.shape(2)[1] + batch * keys * node.shape(3)[1]
    head = part(node, hidden, heads, "num_heads")
    scores = _scores(batch * heads * queries, keys, head, head, masks=int(node.has(5)))
    return Cost(macs=outputs * hidden, add=outputs) + scores


@rule("GatedRelativePositionBias", domain=MS)
def gated_relative_position_bias(node: NodeView) -> Cost:
    """macs = T·h·D for T = tokens × heads; for each: D + 2·(D/2 − 1) add, 2 sigmoids, mul = add = 2; mul = outputs.

    u, r = sigmoid(sums of halves of (q + bias)·W + b), (u·(r·eco_a − 1) + 2) · rel_pos; add for the first bias.
    """
    heads, gates = int(node.attr("num_heads")), node.shape(3)[1]
    rows = product(node.shape(0)[:-1]) * heads
    per_row = Cost(macs=node.shape(3)[0] * gates, add=gates * 2, mul=2) + SIGMOID * 2
    return Cost(add=node.size(0), mul=node.out_size()) + per_row * rows


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


@rule("GemmaRotaryEmbedding", domain=MS)
def gemma_rotary_embedding(node: NodeView) -> Cost:
    """special = 2 × size of emb; mul = 2·N; add = N; N = elements of q and k."""
    return Cost(special=2) * node.size(0) + rotated(node.size(1) + node.size(3))


@rule("RotaryEmbedding", domain=MS)
@rule("MRotaryEmbedding", domain=MS)
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
