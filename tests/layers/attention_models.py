"""Small models with attention, in each form that exporters and optimizers write; sizes that cannot be mixed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from .graphs import MICROSOFT, Array, model, rand

BATCH, TOKENS, OTHERS, INPUT, OUTPUT = 2, 7, 5, 11, 13
HEADS, KV_HEADS, HEAD = 6, 2, 4
HIDDEN, KV_HIDDEN = HEADS * HEAD, KV_HEADS * HEAD


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with one block of attention, and what is known of it beforehand."""

    proto: onnx.ModelProto
    feeds: Mapping[str, Array]
    heads: int = HEADS
    kv_heads: int = HEADS


def weight(rows: int, columns: int, seed: int) -> Array:
    return rand(rows, columns, seed=seed) / np.float32(np.sqrt(rows) / 1.5)


X = rand(BATCH, TOKENS, INPUT, seed=1)
OTHER = rand(BATCH, OTHERS, INPUT, seed=2)
APART: dict[str, Array] = {
    **{name: weight(INPUT, HIDDEN, seed) for seed, name in enumerate(("wq", "wk", "wv"), 3)},
    **{f"b{name}": rand(HIDDEN, seed=seed) for seed, name in enumerate("qkv", 6)},
    "wo": weight(HIDDEN, OUTPUT, 9),
    "bo": rand(OUTPUT, seed=10),
    "split_heads": np.array([0, 0, HEADS, HEAD]),
    "merge_heads": np.array([0, 0, HIDDEN]),
    "scale": np.array(0.5, np.float32),
}
PROJECT = """
    mq = MatMul(x, wq) q = Add(mq, bq)
    mk = MatMul({source}, wk) k = Add(bk, mk)
    mv = MatMul({source}, wv) v = Add(mv, bv)
"""
SPLIT = """
    q4 = Reshape(q, split_heads) qh = Transpose<perm = [0, 2, 1, 3]>(q4)
    k4 = Reshape(k, split_heads) kt = Transpose<perm = [0, 2, 3, 1]>(k4)
    v4 = Reshape(v, split_heads) vh = Transpose<perm = [0, 2, 1, 3]>(v4)
"""
ATTEND = """
    dots = MatMul(qh, kt) scores = Mul(dots, scale) p = Softmax<axis = -1>(scores) c = MatMul(p, vh)
"""
MERGE = """
    ct = Transpose<perm = [0, 2, 1, 3]>(c) cm = Reshape(ct, merge_heads)
"""
PROJECT_OUT = "mo = MatMul(cm, wo) y = Add(mo, bo)"


def case(
    nodes: str,
    weights: Mapping[str, Any],
    *,
    opset: int = 21,
    tokens: str = "tokens",
    other: bool = False,
    heads: int = HEADS,
    kv_heads: int = HEADS,
    also: str = "",
) -> Case:
    """Return the model of `nodes` between x (batch, tokens, 11) and y; `other` (batch, others, 11) where asked for."""
    given = f"float[batch, {tokens}, {INPUT}] x" + (f", float[batch, others, {INPUT}] other" if other else "")
    used = {name: value for name, value in weights.items() if name in nodes.replace("(", " ").replace(",", " ")}
    proto = model(f"({given}) => (float[] y) {{ {nodes} }}", used, opset=opset, also=also)
    return Case(proto=proto, feeds={"x": X, **({"other": OTHER} if other else {})}, heads=heads, kv_heads=kv_heads)


def apart(opset: int = 21) -> Case:
    return case(PROJECT.format(source="x") + SPLIT + ATTEND + MERGE + PROJECT_OUT, APART, opset=opset)


def crossed() -> Case:
    return case(PROJECT.format(source="other") + SPLIT + ATTEND + MERGE + PROJECT_OUT, APART, other=True)


def _packed_weights() -> dict[str, Any]:
    packed = np.concatenate([APART["wq"], APART["wk"], APART["wv"]], axis=1)
    return {**APART, "w": packed, "b": np.concatenate([APART["bq"], APART["bk"], APART["bv"]])}


def packed_split(opset: int = 21) -> Case:
    """As GPT-2: one projection, split into three."""
    split = f"q, k, v = Split<axis = 2, split = [{HIDDEN}, {HIDDEN}, {HIDDEN}]>(m)" if opset < 13 else ""
    split = split or "q, k, v = Split<axis = 2>(m, sizes)"
    weights = {**_packed_weights(), "sizes": np.array([HIDDEN] * 3)}
    nodes = f"mm = MatMul(x, w) m = Add(mm, b) {split}" + SPLIT + ATTEND + MERGE + PROJECT_OUT
    return case(nodes, weights, opset=opset)


def packed_gathered() -> Case:
    """As vision transformers: (batch, tokens, 3, heads, head), transposed, each part gathered."""
    weights = {**_packed_weights(), "five": np.array([0, 0, 3, HEADS, HEAD])}
    weights |= {"zero": np.array(0), "one": np.array(1), "two": np.array(2)}
    nodes = """
        mm = MatMul(x, w) m = Add(mm, b) m5 = Reshape(m, five) t = Transpose<perm = [2, 0, 3, 1, 4]>(m5)
        qh = Gather(t, zero) kh = Gather(t, one) vh = Gather(t, two) kt = Transpose<perm = [0, 1, 3, 2]>(kh)
    """
    return case(nodes + ATTEND + MERGE + PROJECT_OUT, weights)


def interleaved() -> Case:
    """As GPT-NeoX: the columns of each head hold its queries, keys and values behind each other; old slices."""
    parts = [APART[name].reshape(INPUT, HEADS, HEAD) for name in ("wq", "wk", "wv")]
    weights = {
        **APART,
        "w": np.concatenate(parts, axis=2).reshape(INPUT, -1),
        "four": np.array([0, 0, HEADS, 3 * HEAD]),
    }
    slices = [
        f"{part}4 = Slice<axes = [3], starts = [{index * HEAD}], ends = [{(index + 1) * HEAD}]>(m4)"
        for index, part in enumerate("qkv")
    ]
    nodes = f"""
        m = MatMul(x, w) m4 = Reshape(m, four) {" ".join(slices)}
        qh = Transpose<perm = [0, 2, 1, 3]>(q4) kt = Transpose<perm = [0, 2, 3, 1]>(k4)
        vh = Transpose<perm = [0, 2, 1, 3]>(v4)
    """
    return case(nodes + ATTEND + MERGE + PROJECT_OUT, weights, opset=9)


def einsum() -> Case:
    """As Keras: keys come first, and heads are never moved."""
    nodes = """
        q4 = Reshape(q, split_heads) k4 = Reshape(k, split_heads) v4 = Reshape(v, split_heads)
        dots = Einsum<equation = "aecd,abcd->acbe">(k4, q4) scores = Mul(dots, scale) p = Softmax<axis = -1>(scores)
        c = Einsum<equation = "acbe,aecd->abcd">(p, v4) cm = Reshape(c, merge_heads)
    """
    return case(PROJECT.format(source="x") + nodes + PROJECT_OUT, APART)


def transposed_scores() -> Case:
    """Keys times queries, transposed before the softmax, which is written out; values on the left."""
    nodes = """
        q4 = Reshape(q, split_heads) qt = Transpose<perm = [0, 2, 3, 1]>(q4)
        k4 = Reshape(k, split_heads) kh = Transpose<perm = [0, 2, 1, 3]>(k4)
        v4 = Reshape(v, split_heads) vt = Transpose<perm = [0, 2, 3, 1]>(v4)
        dots = MatMul(kh, qt) turned = Transpose<perm = [0, 1, 3, 2]>(dots) e = Exp(turned)
        sum = ReduceSum<keepdims = 1>(e, last) p = Div(e, sum) pt = Transpose<perm = [0, 1, 3, 2]>(p)
        c = MatMul(vt, pt) ct = Transpose<perm = [0, 3, 1, 2]>(c) cm = Reshape(ct, merge_heads)
    """
    return case(PROJECT.format(source="x") + nodes + PROJECT_OUT, {**APART, "last": np.array([-1])})


def merged_batch() -> Case:
    """As nn.MultiheadAttention: (tokens, batch · heads, head), a batch that is fixed."""
    weights = {**APART, "flat": np.array([TOKENS, BATCH * HEADS, HEAD]), "back": np.array([TOKENS, BATCH, HIDDEN])}
    nodes = """
        xt = Transpose<perm = [1, 0, 2]>(x) mq = MatMul(xt, wq) q = Add(mq, bq) mk = MatMul(xt, wk) k = Add(mk, bk)
        mv = MatMul(xt, wv) v = Add(mv, bv) qr = Reshape(q, flat) kr = Reshape(k, flat) vr = Reshape(v, flat)
        qh = Transpose<perm = [1, 0, 2]>(qr) kt = Transpose<perm = [1, 2, 0]>(kr) vh = Transpose<perm = [1, 0, 2]>(vr)
        dots = MatMul(qh, kt) scores = Mul(dots, scale) p = Softmax<axis = 2>(scores) c = MatMul(p, vh)
        ct = Transpose<perm = [1, 0, 2]>(c) cr = Reshape(ct, back) cm = Transpose<perm = [1, 0, 2]>(cr)
    """
    made = case(nodes + PROJECT_OUT, weights, tokens=str(TOKENS))
    made.proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = BATCH
    return made


def grouped_weights() -> dict[str, Any]:
    angles = np.outer(np.arange(TOKENS), 1 / 3.0 ** np.arange(HEAD // 2)).astype(np.float32)
    return {
        **APART,
        "wk": weight(INPUT, KV_HIDDEN, 4),
        "wv": weight(INPUT, KV_HIDDEN, 5),
        "bk": rand(KV_HIDDEN, seed=7),
        "bv": rand(KV_HIDDEN, seed=8),
        "split_kv": np.array([0, 0, KV_HEADS, HEAD]),
        "two": np.array([2]),
        "repeated": np.array([1, 1, HEADS // KV_HEADS, 1, 1]),
        "unrolled": np.array([0, HEADS, -1, HEAD]),
        "cos": np.cos(np.hstack([angles, angles])),
        "sin": np.sin(np.hstack([angles, angles])),
        "cos_half": np.cos(angles),
        "sin_half": np.sin(angles),
        "from_0": np.array([0]),
        "to_half": np.array([HEAD // 2]),
        "to_end": np.array([2**62]),
        "last": np.array([3]),
        "eps": np.float32(1e-6),
        "gain": np.abs(rand(HEAD, seed=11)) + np.float32(0.5),
        "m1": np.array([-1]),
    }


def _rotary(name: str) -> str:
    """x · cos + (−second half, first half) · sin, and the norm of queries and keys before it."""
    nodes = """
        Qsq = Mul(Qn, Qn) Qmean = ReduceMean<axes = [-1]>(Qsq) Qep = Add(Qmean, eps) Qroot = Sqrt(Qep)
        Qunit = Div(Qn, Qroot) Qg = Mul(Qunit, gain) Qfirst = Slice(Qg, from_0, to_half, last)
        Qsecond = Slice(Qg, to_half, to_end, last) Qneg = Neg(Qsecond) Qturned = Concat<axis = -1>(Qneg, Qfirst)
        Qstraight = Mul(Qg, cos) Qacross = Mul(Qturned, sin) Qr = Add(Qstraight, Qacross)
    """
    return nodes.replace("Q", name)


def grouped() -> Case:
    """As Llama and Qwen3: grouped queries, norms of queries and keys by head, rotary embedding, repeated keys."""
    nodes = f"""
        q4 = Reshape(q, split_heads) qn = Transpose<perm = [0, 2, 1, 3]>(q4) {_rotary("q")}
        k4 = Reshape(k, split_kv) kn = Transpose<perm = [0, 2, 1, 3]>(k4) {_rotary("k")}
        v4 = Reshape(v, split_kv) vn = Transpose<perm = [0, 2, 1, 3]>(v4)
        k5 = Unsqueeze(kr, two) ke = Expand(k5, repeated) kh = Reshape(ke, unrolled)
        v5 = Unsqueeze(vn, two) ve = Expand(v5, repeated) vh = Reshape(ve, unrolled)
        kt = Transpose<perm = [0, 1, 3, 2]>(kh) dots = MatMul(qr, kt) scores = Mul(dots, scale)
        p = Softmax<axis = -1>(scores) c = MatMul(p, vh)
    """
    all_nodes = PROJECT.format(source="x") + nodes + MERGE + PROJECT_OUT
    return case(all_nodes, grouped_weights(), opset=17, kv_heads=KV_HEADS)


def multi_query() -> Case:
    """As Falcon: a single head of keys and values, broadcast over the heads of queries."""
    weights = grouped_weights() | {
        "wk": weight(INPUT, HEAD, 4),
        "wv": weight(INPUT, HEAD, 5),
        "bk": rand(HEAD, seed=7),
        "bv": rand(HEAD, seed=8),
        "one": np.array([1]),
    }
    nodes = """
        q4 = Reshape(q, split_heads) qh = Transpose<perm = [0, 2, 1, 3]>(q4)
        kn = Transpose<perm = [0, 2, 1]>(k) kt = Unsqueeze(kn, one) vh = Unsqueeze(v, one)
    """
    return case(PROJECT.format(source="x") + nodes + ATTEND + MERGE + PROJECT_OUT, weights, kv_heads=1)


def masked() -> Case:
    """A mask added, a head's weights cleared of NaN, dropout: between scores and values; a cache before the keys."""
    weights = {**APART, "past": rand(1, HEADS, HEAD, 3, seed=12), "no": np.float32(0), "mask": rand(1, 1, TOKENS, 10)}
    weights |= {"past_v": np.zeros((1, HEADS, 3, HEAD), np.float32), "cache": np.array([BATCH, 1, 1, 1])}
    nodes = """
        pk = Expand(past, cache) ka = Concat<axis = 3>(pk, kt) pv = Expand(past_v, cache) va = Concat<axis = 2>(pv, vh)
        dots = MatMul(qh, ka) scaled = Div(dots, scale) scores = Add(scaled, mask) sm = Softmax<axis = -1>(scores)
        bad = IsNaN(sm) clear = Where(bad, no, sm) p = Dropout(clear) c = MatMul(p, va)
    """
    made = case(PROJECT.format(source="x") + SPLIT + nodes + MERGE + PROJECT_OUT, weights)
    made.proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = BATCH
    return made


def operator(opset: int, rank: int) -> Case:
    """Attention of ai.onnx, with operands of rank 3 or 4, grouped queries."""
    weights = grouped_weights()
    if rank == 3:
        body = f"cm = Attention<q_num_heads = {HEADS}, kv_num_heads = {KV_HEADS}>(q, k, v)"
        return case(PROJECT.format(source="x") + body + PROJECT_OUT, weights, opset=opset, kv_heads=KV_HEADS)
    nodes = """
        q4 = Reshape(q, split_heads) qh = Transpose<perm = [0, 2, 1, 3]>(q4)
        k4 = Reshape(k, split_kv) kh = Transpose<perm = [0, 2, 1, 3]>(k4)
        v4 = Reshape(v, split_kv) vh = Transpose<perm = [0, 2, 1, 3]>(v4)
        qr = RotaryEmbedding(qh, cos_half3, sin_half3) kr = RotaryEmbedding(kh, cos_half3, sin_half3)
        c = Attention<is_causal = 1>(qr, kr, vh)
    """
    weights |= {f"{name}_half3": np.stack([weights[f"{name}_half"]] * BATCH) for name in ("cos", "sin")}
    all_nodes = PROJECT.format(source="x") + nodes + MERGE + PROJECT_OUT
    return case(all_nodes, weights, opset=opset, kv_heads=KV_HEADS)


def microsoft_packed() -> Case:
    """Attention of com.microsoft, which holds the weights; heads of values are of another size."""
    wide = 5
    weights = {
        "w": np.concatenate([APART["wq"], APART["wk"], weight(INPUT, HEADS * wide, 5)], axis=1),
        "b": rand(2 * HIDDEN + HEADS * wide, seed=6),
        "wo": weight(HEADS * wide, OUTPUT, 9),
        "bo": APART["bo"],
    }
    sizes = f"qkv_hidden_sizes = [{HIDDEN}, {HIDDEN}, {HEADS * wide}]"
    nodes = f"cm = com.microsoft.Attention<num_heads = {HEADS}, {sizes}>(x, w, b)"
    return case(nodes + PROJECT_OUT, weights, also=MICROSOFT)


def microsoft_integers() -> Case:
    """QAttention of com.microsoft: the same of integers."""
    packed = np.concatenate([APART["wq"], APART["wk"], APART["wv"]], axis=1)
    weights = {
        "w": np.rint(packed / np.abs(packed).max() * 127).astype(np.int8),
        "b": rand(3 * HIDDEN, seed=6),
        **{"s": np.float32(0.03), "z": np.uint8(128), "ws": np.float32(np.abs(packed).max() / 127), "wz": np.int8(0)},
        **{name: APART[name] for name in ("wo", "bo")},
    }
    nodes = f"""q = QuantizeLinear(x, s, z)
        cm = com.microsoft.QAttention<num_heads = {HEADS}>(q, w, b, s, ws, , z, wz) """
    return case(nodes + PROJECT_OUT, weights, also=MICROSOFT)


def microsoft_multi_head(*, biased: bool) -> Case:
    """MultiHeadAttention of com.microsoft; it may add the bias itself."""
    if not biased:
        nodes = PROJECT.format(source="other") + f"cm = com.microsoft.MultiHeadAttention<num_heads = {HEADS}>(q, k, v)"
        return case(nodes + PROJECT_OUT, APART, also=MICROSOFT, other=True)
    weights = {**APART, "b": np.concatenate([APART["bq"], APART["bk"], APART["bv"]])}
    nodes = f"""
        q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv)
        cm = com.microsoft.MultiHeadAttention<num_heads = {HEADS}>(q, k, v, b)
    """
    return case(nodes + PROJECT_OUT, weights, also=MICROSOFT)


def microsoft_grouped(*, packed: bool) -> Case:
    """GroupQueryAttention of com.microsoft, with its rotary embedding; heads of 16, as it asks for."""
    head, weights = 16, grouped_weights()
    widths = {"q": HEADS * head, "k": KV_HEADS * head, "v": KV_HEADS * head}
    for seed, (name, width) in enumerate(widths.items(), 3):
        weights |= {f"w{name}": weight(INPUT, width, seed), f"b{name}": rand(width, seed=seed + 3)}
    angles = np.outer(np.arange(16), 1 / 3.0 ** np.arange(head // 2)).astype(np.float32)
    weights |= {"wo": weight(HEADS * head, OUTPUT, 9), "cos": np.cos(angles), "sin": np.sin(angles)}
    weights |= {"last_token": np.full(BATCH, TOKENS - 1, np.int32), "total": np.array(TOKENS, np.int32)}
    weights["past"] = np.zeros((BATCH, KV_HEADS, 0, head), np.float32)
    weights["w"] = np.concatenate([weights[f"w{name}"] for name in "qkv"], axis=1)
    weights["b"] = np.concatenate([weights[f"b{name}"] for name in "qkv"])
    project = "mm = MatMul(x, w) m = Add(mm, b)" if packed else PROJECT.format(source="x")
    attributes = f"num_heads = {HEADS}, kv_num_heads = {KV_HEADS}, do_rotary = 1"
    given = "m, , " if packed else "q, k, v"
    nodes = f"""{project}
        cm, pk, pv = com.microsoft.GroupQueryAttention<{attributes}>({given}, past, past, last_token, total, cos, sin)
    """
    return case(nodes + PROJECT_OUT, weights, also=MICROSOFT, kv_heads=KV_HEADS)


WRITTEN: dict[str, Callable[[], Case]] = {
    "separate projections": apart,
    "separate projections, opset 9": lambda: apart(9),
    "cross-attention": crossed,
    "packed, split": packed_split,
    "packed, split, opset 11": lambda: packed_split(11),
    "packed, gathered": packed_gathered,
    "packed by head": interleaved,
    "Einsum": einsum,
    "scores transposed, softmax written out": transposed_scores,
    "batch and heads in one axis": merged_batch,
    "grouped queries, norms, rotary": grouped,
    "one head of keys and values": multi_query,
    "mask, cache, dropout": masked,
    "Attention-23, rank 3": lambda: operator(23, 3),
    "Attention-23, rank 4, rotary": lambda: operator(23, 4),
    "Attention-24, rank 4, rotary": lambda: operator(24, 4),
    "com.microsoft Attention": microsoft_packed,
    "QAttention": microsoft_integers,
    "MultiHeadAttention": lambda: microsoft_multi_head(biased=False),
    "MultiHeadAttention with bias": lambda: microsoft_multi_head(biased=True),
    "GroupQueryAttention": lambda: microsoft_grouped(packed=False),
    "GroupQueryAttention, packed": lambda: microsoft_grouped(packed=True),
}
