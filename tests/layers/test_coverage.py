"""Every parameter is in a layer or declined with a reason: the account is complete."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wua_onnx.layers import Layers, find_layers
from wua_onnx.model import load

from .graphs import MICROSOFT, Array, model, rand


def assert_complete(found: Layers) -> None:
    analysed = sum(layer.stored for layer in found.by_name.values())
    assert analysed + sum(declined.elements for declined in found.declined) == found.parameters
    assert all(declined.reason for declined in found.declined)
    names = [layer.weight_name for layer in found.by_name.values()] + [declined.name for declined in found.declined]
    assert len(set(names)) == len(names)


# (node, weights) for a value of shape (N, 7, 6); `{i}` numbers the step
STEPS: list[tuple[str, dict[str, Array]]] = [
    ("h{o} = MatMul(h{i}, w{i})", {"w": rand(6, 6)}),
    ("t{i} = Transpose(w{i}) h{o} = MatMul(h{i}, t{i})", {"w": rand(6, 6)}),
    ("d{i} = DequantizeLinear(w{i}, s{i}, z{i}) h{o} = MatMul(h{i}, d{i})",
     {"w": np.ones((6, 6), np.int8), "s": np.ones(1, np.float32), "z": np.zeros(1, np.int8)}),
    ("h{o} = MatMul(h{i}, shared)", {}),
    ("h{o} = Add(h{i}, w{i})", {"w": rand(6)}),
    ("h{o} = Mul(h{i}, w{i})", {"w": rand(7, 1)}),
    ("h{o} = Relu(h{i}) u{i} = Exp(w{i})", {"w": rand(11)}),
    ("e{i} = Exp(w{i}) h{o} = MatMul(h{i}, e{i})", {"w": rand(6, 6)}),
    ("c{i} = Cast<to = 1>(w{i}) h{o} = MatMul(h{i}, c{i})", {"w": np.ones((6, 6), np.int64)}),
    ("c{i} = Cast<to = 1>(w{i}) h{o} = MatMul(h{i}, c{i})", {"w": np.ones((6, 6), np.int32)}),
    ("h{o} = MatMul(h{i}, w{i})", {"w": rand(1, 6, 6)}),
    ("h{o} = MatMul(h{i}, w{i}) v{i} = MatMul(w{i}, h{i})", {"w": rand(6, 6)}),
    ("p{i}, q{i} = Split<num_outputs = 2>(w{i}) m{i} = MatMul(h{i}, p{i}) h{o} = MatMul(m{i}, q{i})",
     {"w": rand(12, 6)}),
    ("p{i}, q{i} = Split<num_outputs = 2>(w{i}) h{o} = MatMul(h{i}, p{i})", {"w": rand(12, 6)}),
    ("p{i}, q{i} = Split<num_outputs = 2>(w{i}) h{o} = MatMul(h{i}, p{i}) m{i} = MatMul(q{i}, w{i})",
     {"w": rand(12, 6)}),
    ("p{i}, q{i} = Split<axis = 1, num_outputs = 2>(shared) r{i} = Concat<axis = 1>(q{i}, p{i}) "
     "h{o} = MatMul(h{i}, r{i})", {}),
    ("k{i} = Constant<value = float[6] {{1, 2, 3, 4, 5, 6}}>() h{o} = Add(h{i}, k{i})", {}),
    ("p{i} = MatMul(w{i}, w{i}) h{o} = MatMul(h{i}, p{i})", {"w": rand(6, 6)}),
    ("h{o} = com.microsoft.FusedMatMul(h{i}, w{i})", {"w": rand(6, 6)}),
    ("h{o} = LayerNormalization(h{i}, w{i}, b{i})", {"w": rand(6), "b": rand(6)}),
    ("h{o} = Conv(h{i}, w{i}, b{i})", {"w": rand(7, 7, 1), "b": rand(7)}),
    ("n{i} = GatherElements(w{i}, j{i}) h{o} = Add(h{i}, n{i})", {"w": rand(6), "j": np.zeros(6, np.int64)}),
    ("q{i} = ReduceSum(h{i}) r{i} = Greater(q{i}, zero) h{o} = If (r{i}) <then_branch = g() => (float[] a) "
     "{{ a = MatMul(h{i}, w{i}) }}, else_branch = g() => (float[] b) {{ b = Identity(h{i}) }}>", {"w": rand(6, 6)}),
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, len(STEPS) - 1), min_size=1, max_size=7), st.booleans())
def test_random_graphs_are_accounted_for(steps: list[int], with_unused: bool) -> None:
    weights = {"shared": rand(6, 6), "zero": np.float32(0)}
    if with_unused:
        weights["unused"] = rand(13)
    nodes = []
    for i, step in enumerate(steps):
        text, own = STEPS[step]
        nodes.append(text.format(i=i, o=i + 1))
        weights |= {f"{name}{i}": value for name, value in own.items()}
    text = f"(float[N, 7, 6] h0) => (float[] h{len(steps)}) {{ {' '.join(nodes)} }}"
    assert_complete(find_layers(load(model(text, weights, also=MICROSOFT))))


def test_a_convolution_whose_weight_the_data_scales() -> None:
    """As in StyleGAN 2: the weight of each sample is its style times that of the layer."""
    text = """(float[1, 3, 7, 7] x, float[1, 3, 1, 1] style) => (float[] y) {
        s = Mul(w, style) n = ReduceSumSquare<keepdims = 1>(s, axes) d = Sqrt(n) k = Div(s, d) y = Conv(x, k)
    }"""
    found = find_layers(load(model(text, {"w": rand(5, 3, 3, 3), "axes": np.array([1, 2, 3])})))
    assert not found.by_name
    assert {item.name: item.reason for item in found.declined}["w"] == (
        "weight of Conv that the data scales: this kind of layer is not analysed yet"
    )


@pytest.mark.parametrize(
    ("nodes", "name", "reason"),
    [
        ("a = Gemm(x, w, b) y = Relu(a)", "b", "bias"),
        ("a = MatMul(x, w) y = Add(a, b)", "b", "bias or constant shift"),
        ("y = MatMul(x, w) u = Mul(x, b)", "b", "used only by nodes that reach no output"),
        ("a = MatMul(x, w) y = PRelu(a, b)", "b", "slope of an activation function"),
        ("a = MatMul(x, w) y = com.microsoft.BiasGelu(a, b)", "b", "bias"),
        ("a = MatMul(x, w) t = Identity(b) y = Add(a, t)", "b", "bias or constant shift"),
        ("a = MatMul(x, w) t = Exp(b) y = Max(a, t)", "b", "bound"),
        ("a = MatMul(x, w) c = Greater(a, b) y = Cast<to = 1>(c)", "b", "threshold of a comparison"),
        (
            "y = com.microsoft.SparseToDenseMatMul(x, w)",
            "w",
            "weight of SparseToDenseMatMul: this kind of layer is not analysed yet",
        ),
        ("y = com.acme.Secret(x, w)", "w", "weight of Secret: this kind of layer is not analysed yet"),
        ("p = Softmax(w) y = MatMul(x, p)", "w", "MatMul: computed from constants by Softmax"),
        (
            "p = Exp(w) q = Mul(p, v) y = MatMul(x, q)",
            "w",
            "part of what the weight of MatMul (node 'y') is computed from",
        ),
    ],
)
def test_the_reason_says_what_a_parameter_is_for(nodes: str, name: str, reason: str) -> None:
    text = f"(float[N, 5] x) => (float[] y) {{ {nodes} }}"
    weights = {"w": rand(5, 3), "b": rand(3), "v": rand(5, 3)}
    found = find_layers(load(model(text, weights, also=MICROSOFT + ', "com.acme": 1')))
    assert_complete(found)
    assert {declined.name: declined.reason for declined in found.declined}[name] == reason


def test_weights_inside_a_branch_are_layers() -> None:
    text = """(float[N, 5] x, bool c) => (float[] y) {
        y = If (c) <then_branch = t () => (float[] a) { a = MatMul(x, w) },
                    else_branch = e () => (float[] b) { b = Relu(x) }>
    }"""
    found = find_layers(load(model(text, {"w": rand(5, 3)})))
    assert_complete(found)
    assert [(name, layer.shape) for name, layer in found.by_name.items()] == [("w", (5, 3))]


def test_weights_that_are_some_layers_are_told_from_other_parameters() -> None:
    graph = "(float[N, 6] x) => (float[] y) { a = MatMul(x, b) h = Add(a, c) z = acme.Foo(h, w) y = MatMul(z, v) }"
    weights = {"b": rand(6, 6), "c": rand(6), "v": rand(6, 5), "w": rand(6, 6)}
    found = find_layers(load(model(graph, weights, also='"acme": 1')))
    assert {item.name: item.weight for item in found.declined} == {"c": False, "v": True, "w": True}
