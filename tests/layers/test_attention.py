"""Heads of attention: removed by their rows of the output projection, by their values, by their queries and keys."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest

from wua_onnx.layers import find_layers
from wua_onnx.layers.attention import find_attention
from wua_onnx.layers.head_maps import PARTS
from wua_onnx.model import load

from .attention_models import WRITTEN, Case
from .attention_torch import CASES, exported
from .graphs import Array, model, rand
from .removing import Surgery

NOISE = 2e-6  # of the largest output; one operator rounds by 6e-8


@cache
def opened(name: str) -> tuple[Case, Surgery]:
    made: Case = WRITTEN[name]()
    return made, Surgery(made.proto, made.feeds)


def differs(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max() / np.abs(a).max())


def check_values(surgery: Surgery) -> None:
    """Without its rows of the output projection, or without its values: the same, and not the original."""
    for block in surgery.blocks:
        assert block.kv_heads is not None
        for kv_head in range(block.kv_heads):
            group = [head for head, own in enumerate(block.kv_head_of) if own == kv_head]
            by_rows = surgery.without(surgery.rows(block, group))
            by_values = surgery.without(surgery.columns(block, "value", kv_head))
            assert differs(by_rows, by_values) < NOISE
            assert differs(surgery.original, by_rows) > 1000 * NOISE


def check_scores(surgery: Surgery) -> None:
    """What queries and keys of a head change, they change in that head alone."""
    for block in surgery.blocks:
        for head, kv_head in enumerate(block.kv_head_of):
            for part, own, heads in (
                ("query", head, [head]),
                ("key", kv_head, [h for h, group in enumerate(block.kv_head_of) if group == kv_head]),
            ):
                columns, rows = surgery.columns(block, part, own), surgery.rows(block, heads)
                assert differs(surgery.original, surgery.without(columns)) > 100 * NOISE
                assert differs(surgery.without(rows), surgery.without(rows, columns)) < NOISE


def check_whole(surgery: Surgery, heads: int, kv_heads: int) -> None:
    """Every head has as many columns and rows as every other, and no column has two parts."""
    for block in surgery.blocks:
        assert (block.heads, block.kv_heads, block.complete) == (heads, kv_heads, True), block
        assert block.kv_head_of == tuple(head * kv_heads // heads for head in range(heads))
        for part in PARTS:
            for found in block.parts[part]:
                assert found.reason is None
                sizes = np.bincount(found.heads[found.heads >= 0])
                assert set(sizes) == {sizes[0]}
                assert len(sizes) == (kv_heads if part in ("key", "value") else heads)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_head_has_its_columns_and_rows(name: str) -> None:
    made, surgery = opened(name)
    assert len(surgery.blocks) == 1
    check_whole(surgery, made.heads, made.kv_heads)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_head_is_removed_by_its_rows_as_by_its_values(name: str) -> None:
    check_values(opened(name)[1])


@pytest.mark.parametrize("name", WRITTEN)
def test_queries_and_keys_of_a_head_matter_to_it_alone(name: str) -> None:
    check_scores(opened(name)[1])


@pytest.mark.parametrize(("module", "exporter"), CASES)
def test_heads_of_pytorch_modules(module: str, exporter: str) -> None:
    made, count = exported(module, exporter)
    surgery = Surgery(made.proto, made.feeds)
    assert len(surgery.blocks) == count
    check_whole(surgery, made.heads, made.kv_heads)
    check_values(surgery)
    check_scores(surgery)


def test_attention_whose_projections_are_no_layers_is_listed_with_why() -> None:
    made, _ = exported("nn.MultiheadAttention, two sequences", "dynamo")
    whole = [  # used whole, too, so that its parts are no layers of their own
        onnx.helper.make_node("Transpose", ["attention.in_proj_weight"], ["turned"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["x", "turned"], ["all"]),
    ]
    made.proto.graph.node.extend(whole)
    made.proto.graph.output.append(onnx.helper.make_tensor_value_info("all", onnx.TensorProto.FLOAT, None))
    loaded = load(made.proto)
    found = find_layers(loaded)
    (block,) = find_attention(loaded, found.by_name)
    reasons = {item.name: item.reason for item in found.declined}
    assert reasons["attention.in_proj_weight"] == "it is used both whole and in parts"
    assert not block.complete
    assert "is no layer that is analysed" in str(block.query[0].reason)
    assert all(found.layer or found.reason for maps in block.parts.values() for found in maps)


def test_heads_that_do_not_fit_are_told() -> None:
    made = WRITTEN["MultiHeadAttention"]()
    node = next(node for node in made.proto.graph.node if node.op_type == "MultiHeadAttention")
    node.attribute[0].i = 5  # of 24 columns
    loaded = load(made.proto)
    (block,) = find_attention(loaded, find_layers(loaded).by_name)
    assert not block.complete
    assert "expected 5 heads of equal size, got an operand of shape" in str(block.query[0].reason)


def test_a_softmax_that_weighs_nothing_is_no_attention() -> None:
    proto = model("(float[batch, 5] x) => (float[] y) { z = MatMul(x, w) y = Softmax(z) }", {"w": rand(5, 3)})
    loaded = load(proto)
    assert find_attention(loaded, find_layers(loaded).by_name) == ()


def test_weights_of_places_without_queries_are_listed_with_why() -> None:
    """Pooling by learned scores: values and an output, neither queries nor keys."""
    nodes = """
        s = MatMul(x, ws) st = Transpose<perm = [0, 2, 1]>(s) p = Softmax<axis = -1>(st) v = MatMul(x, wv)
        c = MatMul(p, v) y = MatMul(c, wo)
    """
    weights = {"ws": rand(5, 1), "wv": rand(5, 7), "wo": rand(7, 3)}
    loaded = load(model(f"(float[batch, tokens, 5] x) => (float[] y) {{ {nodes} }}", weights))
    (block,) = find_attention(loaded, find_layers(loaded).by_name)
    reasons = {found.reason for found in (*block.query, *block.key)}
    assert reasons == {"the scores are no product of queries with keys"}
    assert (block.value[0].mapped, block.output[0].mapped, block.heads) == (7, 7, 1)
