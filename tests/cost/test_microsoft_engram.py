"""Engram's gate and hashes against loops on counting numbers; a sparse product as a dense one."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest

from wua_onnx.cost.value import Verdict

from .counting import Scalar, counted, scalars
from .nodes import FLOAT, INT64, cost_of, figures, typed
from .primitives import dot, flattened, larger, mean, sigmoid
from .test_microsoft import MS

BATCH, TOKENS, PATHS, HIDDEN = 2, 3, 5, 7


def normalised(row: list[Scalar]) -> list[Any]:
    root = (mean([x * x for x in row]) + 1e-5).sqrt()
    return [x / root * 2.0 for x in row]


def gate(key: list[Scalar], query: list[Scalar], value: list[Scalar], *, also: bool) -> None:
    product = dot(normalised(key), normalised(query)) / math.sqrt(HIDDEN)
    sign = 1.0 if product > 0 else -1.0
    opened = sigmoid(larger(abs(product), 1e-6).sqrt() * sign)
    gated = [opened * x for x in value]
    if also:
        normalised(gated)


@pytest.mark.parametrize("also", [False, True])
def test_the_gate_of_engram(also: bool) -> None:
    shape = (BATCH, TOKENS, PATHS, HIDDEN)
    scale = (PATHS, HIDDEN)
    inputs = (shape, shape, (BATCH, TOKENS, HIDDEN), scale, scale, *([scale] if also else []))
    found = flattened(cost_of("EngramGate", *inputs, out=[shape] * (1 + also), outputs=1 + also, **MS))

    def run() -> None:
        for _ in range(BATCH * TOKENS * PATHS):
            gate(*(list(scalars([1.5] * HIDDEN)) for _ in range(3)), also=also)

    assert found == counted(run)


def test_hashes_of_n_grams() -> None:
    """Every token and its predecessors times a number each, joined by xor, then a remainder for every head."""
    most, heads = 3, 5
    ops: Counter[str] = Counter()
    for _ in itertools.product(range(BATCH), range(TOKENS)):
        ops["int_ops"] += most  # products, shared by all lengths
        for _length in range(2, most + 1):
            ops["int_ops"] += 1  # one more xor than the shorter one
            ops["int_ops"] += heads  # remainders
    ids = typed(INT64, BATCH, TOKENS)
    others = (typed(INT64, most), typed(INT64, (most - 1) * heads))
    node = cost_of("NGramHashMapping", ids, *others, max_ngram_size=most, n_head_per_ngram=heads, outputs=2, **MS)
    assert figures(node) == ops
    assert node.verdict is Verdict.ESTIMATE


@pytest.mark.parametrize(("flags", "a"), [({}, (3, 5)), ({"transA": 1}, (5, 3))])
def test_a_sparse_product_counts_as_a_dense_one(flags: dict[str, int], a: tuple[int, int]) -> None:
    node = cost_of("SparseToDenseMatMul", typed(FLOAT, *a), (5, 7), out=[(3, 7)], **flags, **MS)
    assert figures(node) == {"macs": 3 * 5 * 7}
    assert (node.verdict, node.reason) == (Verdict.ESTIMATE, "every element of A counts, zeros too")
