"""Recurrent layers and attention against loops on counting numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .counting import Scalar, counted, scalars
from .nodes import cost_of
from .primitives import dot, flattened, sigmoid, softmax


def lstm_step(x: Any, h: Any, c: Any, w: Any, r: Any, *, bias: bool, peepholes: bool) -> tuple[Any, Any]:
    hidden = len(h)
    gates = []
    for unit in range(4 * hidden):
        total = dot(w[unit], x) + dot(r[unit], h)
        gates.append(total + 0.1 if bias else total)
    i, o, f, g = (gates[at * hidden : (at + 1) * hidden] for at in range(4))
    if peepholes:
        i, f = [a + 0.3 * b for a, b in zip(i, c, strict=True)], [a + 0.3 * b for a, b in zip(f, c, strict=True)]
    new_c = [sigmoid(b) * old + sigmoid(a) * d.tanh() for a, b, old, d in zip(i, f, c, g, strict=True)]
    if peepholes:
        o = [a + 0.3 * b for a, b in zip(o, new_c, strict=True)]
    return [sigmoid(a) * b.tanh() for a, b in zip(o, new_c, strict=True)], new_c


def gru_step(x: Any, h: Any, w: Any, r: Any, *, bias: bool, after: bool) -> Any:
    hidden = len(h)

    def gate(unit: int, state: Any) -> Any:
        total = dot(w[unit], x) + dot(r[unit], state)
        return total + 0.1 if bias else total

    z = [sigmoid(gate(unit, h)) for unit in range(hidden)]
    reset = [sigmoid(gate(hidden + unit, h)) for unit in range(hidden)]
    if after:
        inner = [dot(r[2 * hidden + unit], h) for unit in range(hidden)]
        inner = [value + 0.1 for value in inner] if bias else inner
        outer = [dot(w[2 * hidden + unit], x) + s * i for unit, (s, i) in enumerate(zip(reset, inner, strict=True))]
        new = [(value + 0.1 if bias else value).tanh() for value in outer]
    else:
        state = [s * old for s, old in zip(reset, h, strict=True)]
        new = [gate(2 * hidden + unit, state).tanh() for unit in range(hidden)]
    return [(1 - u) * a + u * old for u, a, old in zip(z, new, h, strict=True)]


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize(("bias", "peepholes"), [(False, False), (True, False), (True, True)])
def test_lstm(bias: bool, peepholes: bool, direction: str) -> None:
    steps, batch, inputs, hidden = 2, 3, 5, 4
    d = 2 if direction == "bidirectional" else 1

    def run() -> None:
        w, r = scalars(np.ones((4 * hidden, inputs))), scalars(np.ones((4 * hidden, hidden)))
        for _ in range(d * steps * batch):
            state = [Scalar(0.1)] * hidden
            lstm_step(scalars(np.ones(inputs)), state, state, w, r, bias=bias, peepholes=peepholes)

    node = cost_of(
        "LSTM",
        *((steps, batch, inputs), (d, 4 * hidden, inputs), (d, 4 * hidden, hidden)),
        np.ones((d, 8 * hidden), np.float32) if bias else None,
        *(None, None, None, np.ones((d, 3 * hidden), np.float32) if peepholes else None),
        hidden_size=hidden,
        direction=direction,
    )
    assert flattened(node) == counted(run)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_gru(bias: bool, after: bool) -> None:
    steps, batch, inputs, hidden = 2, 3, 5, 4

    def run() -> None:
        w, r = scalars(np.ones((3 * hidden, inputs))), scalars(np.ones((3 * hidden, hidden)))
        for _ in range(steps * batch):
            gru_step(scalars(np.ones(inputs)), [Scalar(0.1)] * hidden, w, r, bias=bias, after=after)

    node = cost_of(
        "GRU",
        *((batch, steps, inputs), (1, 3 * hidden, inputs), (1, 3 * hidden, hidden)),
        np.ones((1, 6 * hidden), np.float32) if bias else None,
        hidden_size=hidden,
        linear_before_reset=int(after),
        layout=1,
    )
    assert flattened(node) == counted(run)


def test_recurrent_sequence_lengths_that_are_constant_bound_the_steps() -> None:
    inputs = ((7, 3, 5), (1, 4, 5), (1, 4, 4), None)
    full = cost_of("RNN", *inputs, hidden_size=4)
    lengths = cost_of("RNN", *inputs, np.array([7, 2, 1], np.int32), hidden_size=4)
    assert (full.cost.macs, lengths.cost.macs) == (7 * 3 * 4 * 9, 10 * 4 * 9)


def attend(batch: int, heads: int, kv_heads: int, queries: int, keys: int, head: int, value: int, masks: int) -> None:
    for _ in range(batch):
        scaled_keys = [[[Scalar(1) * 0.7 for _ in range(head)] for _ in range(keys)] for _ in range(kv_heads)]
        for h in range(heads):
            for _ in range(queries):
                query = [Scalar(1) * 0.7 for _ in range(head)]
                row = [dot(query, key) for key in scaled_keys[h * kv_heads // heads]]
                for _ in range(masks):
                    row = [score + 0.1 for score in row]
                weights = softmax(row)
                for _ in range(value):
                    dot(weights, [Scalar(1)] * keys)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("flat", [False, True])
def test_attention_with_grouped_heads_and_past_keys(flat: bool, causal: int) -> None:
    batch, heads, kv_heads, queries, present, past, head, value = 2, 6, 3, 5, 7, 4, 2, 3
    given: list[Any] = [
        (batch, heads, queries, head),
        (batch, kv_heads, present, head),
        (batch, kv_heads, present, value),
    ]
    settings: dict[str, Any] = {}
    if flat:
        given = [(s[0], s[2], s[1] * s[3]) for s in given]
        settings = {"q_num_heads": heads, "kv_num_heads": kv_heads}
    given += [(queries, past + present), (batch, kv_heads, past, head), (batch, kv_heads, past, value)]
    node = cost_of("Attention", *given, is_causal=causal, outputs=3, **settings)
    ticks = counted(lambda: attend(batch, heads, kv_heads, queries, past + present, head, value, masks=1 + causal))
    assert flattened(node) == ticks
