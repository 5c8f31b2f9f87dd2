"""The backward of every contraction against reverse-mode differentiation, product by product."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from wua_onnx.cost import Cost, count
from wua_onnx.cost.backward import backward
from wua_onnx.model import load

from .nodes import Given, one_node
from .primitives import dot, softmax
from .test_recurrent import gru_step, lstm_step
from .tracing import multiplied_backward, traced

Shape = tuple[int, ...]


def subsets(size: int) -> list[tuple[bool, ...]]:
    """Return every choice of operands that need a gradient, but that of none."""
    return [chosen for chosen in itertools.product([False, True], repeat=size) if any(chosen)]


def backward_of(op: str, *inputs: Given, needs: Sequence[bool], **settings: Any) -> Cost:
    """Return the backward of one node of which the inputs in `needs` have a gradient."""
    model = load(one_node(op, *inputs, **settings))
    (node,), (counted,) = model.nodes, count(model).by_node
    gradient = {v for v, needed in zip(node.node.inputs, needs, strict=False) if needed and v is not None}
    return backward(node, counted.cost, frozenset(gradient | set(node.node.outputs)))


@pytest.mark.parametrize("needs", subsets(2))
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((5, 7), (7, 3)),
        ((2, 5, 7), (7, 3)),
        ((2, 1, 5, 7), (3, 7, 2)),
        ((5, 7), (2, 7, 3)),
        ((7,), (7, 3)),
        ((5, 7), (7,)),
        ((7,), (7,)),
    ],
)
def test_matmul(a: Shape, b: Shape, needs: tuple[bool, bool]) -> None:
    products = multiplied_backward(lambda: np.matmul(traced(a, needs[0]), traced(b, needs[1])))
    assert backward_of("MatMul", a, b, needs=needs) == Cost(macs=products)


@pytest.mark.parametrize("needs", subsets(3))
def test_gemm(needs: tuple[bool, bool, bool]) -> None:
    """A bias gradient is as many adds as the bias; alpha scales the gradient too."""
    products = multiplied_backward(lambda: traced((5, 7), needs[0]) @ traced((7, 3), needs[1]))
    cost = backward_of("Gemm", (7, 5), (3, 7), (3,), transA=1, transB=1, alpha=0.5, needs=needs)
    assert cost == Cost(macs=products, mul=15, add=15 if needs[2] else 0)


@pytest.mark.parametrize("needs", subsets(2))
@pytest.mark.parametrize(
    ("equation", "a", "b", "kind"),
    [
        ("ij,jk->ik", (5, 7), (7, 3), "macs"),
        ("bij,bj->bi", (2, 5, 7), (2, 7), "macs"),
        ("...ij,...jk", (2, 1, 5, 7), (3, 7, 2), "macs"),
        ("i,j->ij", (5,), (7,), "macs"),  # forward it sums nothing, each of its gradients does
        ("ij,ij->ij", (5, 7), (5, 7), "mul"),
    ],
)
def test_einsum(equation: str, a: Shape, b: Shape, kind: str, needs: tuple[bool, bool]) -> None:
    products = multiplied_backward(lambda: np.einsum(equation, traced(a, needs[0]), traced(b, needs[1])))
    assert backward_of("Einsum", a, b, equation=equation, needs=needs) == Cost(**{kind: products})


@pytest.mark.parametrize("needs", subsets(3))
def test_einsum_of_three_operands_goes_pair_by_pair(needs: tuple[bool, bool, bool]) -> None:
    def run() -> None:
        a, b, c = (traced(shape, need) for shape, need in zip(((2, 3), (3, 5), (5, 7)), needs, strict=True))
        np.einsum("ik,kl->il", np.einsum("ij,jk->ik", a, b), c)

    cost = backward_of("Einsum", (2, 3), (3, 5), (5, 7), equation="ij,jk,kl->il", needs=needs)
    assert cost == Cost(macs=multiplied_backward(run))


def convolve(x: Any, w: Any, stride: int, dilation: int, groups: int) -> None:
    """Multiply every window of `x`, padding in it, with every filter of its group; one axis of space."""
    size = (x.shape[2] - (w.shape[2] - 1) * dilation - 1) // stride + 1
    for image, (at, filters), position in itertools.product(x, enumerate(w), range(size)):
        group = at * groups // len(w)
        window = image[group * w.shape[1] : (group + 1) * w.shape[1], position * stride :: dilation][:, : w.shape[2]]
        dot(window.flat, filters.flat)


@pytest.mark.parametrize("needs", subsets(3))
def test_convolution(needs: tuple[bool, bool, bool]) -> None:
    products = multiplied_backward(
        lambda: convolve(traced((2, 6, 11 + 2 + 1), needs[0]), traced((9, 2, 3), needs[1]), 2, 2, 3)
    )
    settings: dict[str, Any] = {"pads": [2, 1], "strides": [2], "dilations": [2], "group": 3}
    cost = backward_of("Conv", (2, 6, 11), (9, 2, 3), (9,), needs=needs, **settings)
    assert cost == Cost(macs=products, add=2 * 9 * 5 if needs[2] else 0)


@pytest.mark.parametrize("needs", subsets(2))
def test_transposed_convolution(needs: tuple[bool, bool]) -> None:
    def run() -> None:  # a channel meets the filters of its group only, which is what w[channel] holds
        for image, (channel, filters) in itertools.product(
            traced((2, 6, 5), needs[0]), enumerate(traced((6, 7, 3), needs[1]))
        ):
            [value * factor for value in image[channel] for factor in filters.flat]

    cost = backward_of("ConvTranspose", (2, 6, 5), (6, 7, 3), group=2, strides=[2], pads=[1, 1], needs=needs)
    assert cost == Cost(macs=multiplied_backward(run))


@pytest.mark.parametrize("needs", subsets(3))
@pytest.mark.parametrize("past", [0, 4])
def test_attention_with_grouped_heads(past: int, needs: tuple[bool, bool, bool]) -> None:
    """Past keys and values come without a gradient of their own, but in one tensor with the present ones."""
    batch, heads, kv_heads, queries, keys, head, value = 2, 6, 3, 5, 7, 2, 3

    def run() -> None:
        for _ in range(batch):
            q = traced((heads, queries, head), needs[0])
            k = traced((kv_heads, past + keys, head), needs[1])
            v = traced((kv_heads, value, past + keys), needs[2])
            for h, row in itertools.product(range(heads), range(queries)):
                weights = softmax([dot(q[h, row], key) for key in k[h * kv_heads // heads]])
                for column in v[h * kv_heads // heads]:
                    dot(weights, column)

    given: list[Given] = [(batch, heads, queries, head), (batch, kv_heads, keys, head), (batch, kv_heads, keys, value)]
    if past:
        given += [None, (batch, kv_heads, past, head), (batch, kv_heads, past, value)]
    cost = backward_of("Attention", *given, needs=needs, outputs=3 if past else 1)
    assert cost.macs == multiplied_backward(run)


def sequences(steps: int, batch: int, inputs: int, needs: bool) -> Iterator[list[Any]]:
    yield from ([traced((inputs,), needs, factor=False) for _ in range(steps)] for _ in range(batch))


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("needs", subsets(3))
@pytest.mark.parametrize("op", ["RNN", "GRU after", "GRU before", "LSTM"])
def test_recurrent(op: str, needs: tuple[bool, bool, bool], state: bool) -> None:
    """Products with W and R; the state of the first step has a gradient only where it is asked for."""
    steps, batch, inputs, hidden = 3, 2, 5, 4
    op, _, reset = op.partition(" ")
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]

    def run() -> None:
        w, r = traced((gates * hidden, inputs), needs[1]), traced((gates * hidden, hidden), needs[2])
        for xs in sequences(steps, batch, inputs, needs[0]):
            h = list(traced((hidden,), state, factor=False))
            c = list(traced((hidden,), state, factor=False))
            for x in xs:
                if op == "LSTM":
                    h, c = lstm_step(x, h, c, w, r, bias=False, peepholes=False)
                elif op == "GRU":
                    h = gru_step(x, h, w, r, bias=False, after=reset == "after")
                else:
                    h = [(dot(w[unit], x) + dot(r[unit], h)).tanh() for unit in range(hidden)]

    cost = backward_of(
        op,
        *((steps, batch, inputs), (1, gates * hidden, inputs), (1, gates * hidden, hidden)),
        *(None, None, (1, batch, hidden), *([(1, batch, hidden)] if op == "LSTM" else [])),
        needs=(*needs, False, False, state, state),
        hidden_size=hidden,
        **({"linear_before_reset": int(reset == "after")} if op == "GRU" else {}),
    )
    assert cost.macs == multiplied_backward(run)


def test_sequence_lengths_and_directions_of_a_recurrent_layer() -> None:
    """A sequence of no steps has no first one; a layer in both directions costs one of each."""
    given = (7, 3, 5), (1, 16, 5), (1, 16, 4), None, np.array([7, 2, 0], np.int32)
    cost = backward_of("LSTM", *given, needs=(True, True, True), hidden_size=4)
    assert cost.macs == 9 * 16 * 5 * 2 + (9 + 9 - 2) * 16 * 4
    both = backward_of(
        "LSTM", (7, 3, 5), (2, 16, 5), (2, 16, 4), needs=(True,) * 3, hidden_size=4, direction="bidirectional"
    )
    one = backward_of("LSTM", (7, 3, 5), (1, 16, 5), (1, 16, 4), needs=(True,) * 3, hidden_size=4)
    assert both.macs == 2 * int(str(one.macs))


@pytest.mark.parametrize(("needs", "projected"), [((True, True), 2), ((True, False), 1), ((False, True), 1)])
def test_microsoft_attention_is_a_projection_and_two_products(needs: tuple[bool, bool], projected: int) -> None:
    cost = backward_of(
        "Attention", (2, 7, 6), (6, 18), (18,), domain="com.microsoft", opset=1, num_heads=3, needs=needs
    )
    assert cost.macs == projected * 2 * 7 * 6 * 18 + 2 * (2 * 3 * 7 * 7) * (2 + 2)


def test_other_operators_cost_as_much_as_forward_and_integers_nothing() -> None:
    assert backward_of("Softmax", (5, 7), needs=[True]) == Cost(add=5 * 13, compare=5 * 6, div=35, special=35)
    assert backward_of("Relu", (5, 7), needs=[True]) == Cost(compare=35)
    (node,) = load(one_node("Relu", (5, 7))).nodes
    assert backward(node, Cost(compare=35), frozenset()) == Cost()
