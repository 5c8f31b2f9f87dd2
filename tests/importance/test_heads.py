"""Importance, spread and similarity of heads, against loops and explicit matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from wua_onnx.importance.circuits import circuit_similarity
from wua_onnx.importance.heads import block_json, dead_heads, head_sums, spread, sums_of
from wua_onnx.layers.head_maps import AttentionBlock, HeadMap, unmapped

Array = np.ndarray[Any, Any]
HEADS, KV_HEADS, HEAD, INPUT, OUTPUT = 6, 2, 5, 11, 13


def rand(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).standard_normal(shape)


def repeated(heads: int) -> Array:
    return np.repeat(np.arange(heads, dtype=np.int32), HEAD)


def block(**changes: Any) -> AttentionBlock:
    """Grouped queries; queries, keys and values in one packed layer."""
    columns = (HEADS + 2 * KV_HEADS) * HEAD
    maps = {}
    start = 0
    for part, heads in (("query", HEADS), ("key", KV_HEADS), ("value", KV_HEADS)):
        own = np.full(columns, -1, np.int32)
        own[start : start + heads * HEAD] = repeated(heads)
        start += heads * HEAD
        maps[part] = (HeadMap("qkv", own),)
    known: dict[str, Any] = {
        "name": "layer.0",
        "node": "softmax",
        "op": "Softmax",
        "heads": HEADS,
        "kv_heads": KV_HEADS,
    }
    known |= {
        "heads": HEADS,
        "kv_heads": KV_HEADS,
        "kv_head_of": (0, 0, 0, 1, 1, 1),
        "output": (HeadMap("out", repeated(HEADS)),),
        **maps,
        **changes,
    }
    return AttentionBlock(**known)


WEIGHTS = {"qkv": rand(INPUT, (HEADS + 2 * KV_HEADS) * HEAD, seed=1), "out": rand(HEADS * HEAD, OUTPUT, seed=2)}


def described(made: AttentionBlock, dead: Array | None = None) -> dict[str, Any]:
    sums = {name: sums_of(np.abs(weight), 1) for name, weight in WEIGHTS.items()}
    return block_json(made, sums.get, lambda name: WEIGHTS[name].take, lambda name: dead if name == "qkv" else None)


def similarity(value: Array, value_heads: Array, output: Array, output_heads: Array, **options: int) -> Array | None:
    columns, rows = ([np.flatnonzero(heads == head) for head in range(HEADS)] for heads in (value_heads, output_heads))
    return circuit_similarity(value.take, columns, output.take, rows, **options)


def test_sums_are_those_of_the_columns_and_rows_of_each_head() -> None:
    scores, heads = np.abs(rand(7, 5)), np.array([1, -1, 0, 1, 1])
    sums = sums_of(scores, 1)
    assert head_sums(sums.neurons, heads, 3) == pytest.approx([scores[:, 2].sum(), scores[:, [0, 3, 4]].sum(), 0])
    rows = np.array([0, 2, -1, 2, 0, 0, 0])
    expected = [scores[[0, 4, 5, 6]].sum(), 0, scores[[1, 3]].sum()]
    assert head_sums(sums.inputs, rows, 3) == pytest.approx(expected)


def test_sums_of_a_convolution_are_those_of_filters_and_of_channels() -> None:
    scores = np.abs(rand(5, 3, 2, 2))
    sums = sums_of(scores, 0)
    assert sums.neurons == pytest.approx([part.sum() for part in scores])
    assert sums.inputs == pytest.approx([scores[:, channel].sum() for channel in range(3)])


def test_sums_leave_nan_out() -> None:
    sums = sums_of(np.array([[1.0, np.nan], [2.0, 4.0]]), 1)
    assert (sums.neurons.tolist(), sums.inputs.tolist()) == ([3, 4], [1, 6])


def test_spread_of_equal_and_of_single_heads() -> None:
    assert spread(np.full(7, 3.0)) == pytest.approx((math.log(7), 1, 7))
    assert spread(np.array([0, 5.0, 0])) == pytest.approx((0, 0, 1))
    assert spread(np.zeros(3)) == (0, 0, 0)


def test_spread_is_the_entropy_of_the_shares() -> None:
    importance = np.array([1.0, 2.0, 5.0])
    entropy = -sum(x / 8 * math.log(x / 8) for x in (1, 2, 5))
    assert spread(importance) == pytest.approx((entropy, entropy / math.log(3), math.exp(entropy)))


@pytest.mark.parametrize("most", [1, 4 * HEAD**2, 9 * HEAD**2, 10**6])
def test_similarity_is_the_cosine_of_the_matrices_of_the_heads(most: int) -> None:
    value, output, heads = rand(INPUT, HEADS * HEAD), rand(HEADS * HEAD, OUTPUT), repeated(HEADS)
    found = similarity(value, heads, output, heads, most=most)
    assert found is not None
    circuits = [(value[:, heads == h] @ output[heads == h]).ravel() for h in range(HEADS)]
    expected = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in circuits] for a in circuits]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_similarity_does_not_change_when_a_head_is_turned_and_turned_back() -> None:
    value, output, heads = rand(INPUT, HEADS * HEAD), rand(HEADS * HEAD, OUTPUT), repeated(HEADS)
    before = similarity(value, heads, output, heads)
    turn = rand(HEAD, HEAD, seed=9)
    value[:, heads == 2] = value[:, heads == 2] @ turn
    output[heads == 2] = np.linalg.solve(turn, output[heads == 2])
    after = similarity(value, heads, output, heads)
    assert before is not None
    assert after is not None
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_a_copied_head_is_found() -> None:
    value, output, heads = rand(INPUT, HEADS * HEAD), rand(HEADS * HEAD, OUTPUT), repeated(HEADS)
    value[:, heads == 4] = 3 * value[:, heads == 1]
    output[heads == 4] = output[heads == 1]
    found = similarity(value, heads, output, heads)
    assert found is not None
    assert found[1, 4] == pytest.approx(1)
    assert np.sort(np.abs(found[np.triu_indices(HEADS, 1)]))[-2] < 0.9


def test_heads_without_the_same_columns_and_rows_have_no_similarity() -> None:
    assert similarity(rand(3, 4), np.array([0, 0, 1, 1]), rand(3, 5), np.array([0, 0, 1])) is None


def test_dead_heads_have_no_living_column() -> None:
    heads = np.array([0, 0, 1, 1, -1, 2])
    assert dead_heads(np.array([True, False, True, True, True, False]), heads, 4) == [1]


def test_importance_of_shared_keys_and_values_is_divided() -> None:
    found = described(block())
    qkv, out = np.abs(WEIGHTS["qkv"]), np.abs(WEIGHTS["out"])
    for head in range(HEADS):
        own = qkv[:, head * HEAD : (head + 1) * HEAD].sum() + out[head * HEAD : (head + 1) * HEAD].sum()
        group = head // 3
        for start in (HEADS * HEAD, (HEADS + KV_HEADS) * HEAD):
            own += qkv[:, start + group * HEAD : start + (group + 1) * HEAD].sum() / 3
        assert found["head_importance"][head] == pytest.approx(own)
    assert found["sum"] == pytest.approx(qkv.sum() + out.sum())
    assert found["effective"] == pytest.approx(math.exp(found["entropy"]))


def test_most_similar_head_of_grouped_queries() -> None:
    found = described(block())
    value = WEIGHTS["qkv"][:, (HEADS + KV_HEADS) * HEAD :]
    circuits = [
        (value[:, h // 3 * HEAD : (h // 3 + 1) * HEAD] @ WEIGHTS["out"][h * HEAD : (h + 1) * HEAD]).ravel()
        for h in range(HEADS)
    ]
    cosines = np.corrcoef(circuits) * 0 + [
        [a @ b / np.linalg.norm(a) / np.linalg.norm(b) if a is not b else -2 for b in circuits] for a in circuits
    ]
    assert found["most_similar"] == cosines.argmax(axis=1).tolist()
    assert found["similarity"] == pytest.approx(cosines.max(axis=1))


def test_a_head_dies_with_the_values_it_reads() -> None:
    dead = np.zeros(WEIGHTS["qkv"].shape[1], bool)
    dead[-HEAD:] = True
    assert described(block(), dead)["dead_heads"] == [3, 4, 5]
    assert described(block())["dead_heads"] is None


def test_what_is_not_mapped_says_why_and_has_no_figures() -> None:
    found = described(block(query=unmapped("because"), value=unmapped("why")))
    assert found["complete"] is False
    assert found["parts"]["query"] == [{"layer": None, "mapped": 0, "of": 0, "reason": "because", "importance": None}]
    assert found["parts"]["key"][0]["importance"] is not None
    assert (found["head_importance"], found["entropy"], found["similarity"], found["dead_heads"]) == (None,) * 4
