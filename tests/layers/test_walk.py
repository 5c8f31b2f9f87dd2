"""How far the walk from a layer's output goes, and where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wua_onnx.layers import find_layers
from wua_onnx.layers.activations import Activation
from wua_onnx.layers.axes import kept_axes
from wua_onnx.model import load
from wua_onnx.model.dims import symbol

from .graphs import MICROSOFT, model, rand


def follow(graph: str, weights: dict[str, Any], *, opset: int = 21) -> Activation:
    found = find_layers(load(model(graph, weights, opset=opset, also=MICROSOFT + ', "my": 1')))
    return next(iter(found.by_name.values())).activations[0]


def at(activation: Activation) -> tuple[str | None, int, str | None]:
    return activation.value.name, activation.axes[0], activation.function.name if activation.function else None


W, B = {"w": rand(5, 3)}, {"w": rand(5, 3), "b": rand(3, seed=1)}
INDEX = np.array([0])

# nodes after a = MatMul(x, w) with x (N, 7, 5), further constants, further outputs, where the neurons are read
STOPS: dict[str, tuple[str, dict[str, Any], str, tuple[str, int, str | None]]] = {
    "nothing follows": ("y = Identity(a)", {}, "", ("a", 2, None)),
    "a bias is part of it": ("c = Add(a, b) y = Exp(z)", {}, ", float[] c", ("c", 2, None)),
    "a residual Add": ("b1 = Add(a, b) y = Add(b1, z)", {}, "", ("b1", 2, None)),
    "used elsewhere": ("b1 = Add(a, b) y = Relu(b1) v = Neg(b1)", {}, ", float[] v", ("b1", 2, None)),
    "a graph output": ("b1 = Add(a, b) y = Relu(b1)", {}, ", float[] b1", ("b1", 2, None)),
    "itself a graph output": ("y = Relu(a)", {}, ", float[] a", ("a", 2, None)),
    "a constant by position": ("b1 = Add(a, b) y = Add(b1, p)", {"p": rand(7, 3)}, "", ("b1", 2, None)),
    "a constant of one neuron and every position": ("y = Add(a, p)", {"p": rand(7, 1)}, "", ("a", 2, None)),
    "a constant of higher rank": ("y = Add(a, p)", {"p": rand(1, 1, 1, 3)}, "", ("a", 2, None)),
    "the neuron axis split": (
        "r = Reshape(a, s) y = Relu(r)",
        {"s": np.array([0, 0, 3, 1])},
        "",
        ("y", 2, "ReLU"),
    ),
    "a crop": (
        "c = Slice(a, first, last, axis) y = Relu(c)",
        {"first": np.array([0]), "last": np.array([6]), "axis": np.array([1])},
        "",
        ("y", 2, "ReLU"),
    ),
    "some of the samples": (
        "c = Slice(a, first, last, axis) y = Relu(c)",
        {"first": np.array([0]), "last": np.array([1]), "axis": np.array([0])},
        "",
        ("a", 2, None),
    ),
    "the neurons in reverse": (
        "c = Slice(a, first, last, axis, step) y = Relu(c)",
        {"first": np.array([-1]), "last": np.array([-9]), "axis": np.array([2]), "step": np.array([-1])},
        "",
        ("a", 2, None),
    ),
    "padding by nothing": ("c = Pad(a, p) y = Relu(c)", {"p": np.zeros(6, np.int64)}, "", ("y", 2, "ReLU")),
    "padding": ("c = Pad(a, p) y = Relu(c)", {"p": np.array([0, 1, 0, 0, 0, 0])}, "", ("a", 2, None)),
    "padding that shifts": ("c = Pad(a, p) y = Relu(c)", {"p": np.array([0, 1, 0, 0, -1, 0])}, "", ("a", 2, None)),
    "the neuron axis merged": ("r = Reshape(a, s) y = Relu(r)", {"s": np.array([0, -1])}, "", ("a", 2, None)),
    "Softmax along another axis": ("y = Softmax<axis = 1>(a)", {}, "", ("a", 2, None)),
    "Softmax along the neurons": ("y = Softmax<axis = 2>(a)", {}, "", ("y", 2, "Softmax")),
    "Softmax along the neurons, from the end": ("y = Softmax<axis = -1>(a)", {}, "", ("y", 2, "Softmax")),
    "layer normalisation": ("y = LayerNormalization(a, b)", {}, "", ("a", 2, None)),
    "cast to integers": ("i = Cast<to = 6>(a) y = Cast<to = 1>(i)", {}, "", ("a", 2, None)),
    "cast to half and back": ("i = Cast<to = 10>(a) j = Cast<to = 1>(i) y = Relu(j)", {}, "", ("y", 2, "ReLU")),
    "another domain's Relu": ("y = my.Relu(a)", {}, "", ("a", 2, None)),
    "divided by": ("y = Div(b, a)", {}, "", ("a", 2, None)),
    "a product with itself": ("y = Mul(a, a)", {}, "", ("y", 2, "Square")),
    "a scale of what is multiplied with the values of another": (
        "b1 = Add(a, b) c = Mul(b1, k) t = Transpose<perm = [0, 2, 1]>(c) y = MatMul(z, t)",
        {"k": np.float32(0.3)},
        "",
        ("b1", 2, None),
    ),
    "a scale of what goes into the next layer": (
        "b1 = Add(a, b) c = Mul(b1, k) y = MatMul(c, v)",
        {"k": np.float32(0.3), "v": rand(3, 11, seed=2)},
        "",
        ("c", 2, None),
    ),
    "a scale for each neuron before such a product": (
        "b1 = Add(a, b) c = Mul(b1, k) t = Transpose<perm = [0, 2, 1]>(c) y = MatMul(z, t)",
        {"k": rand(3, seed=2)},
        "",
        ("c", 2, None),
    ),
    "one function only": ("r = Relu(a) y = Tanh(r)", {}, "", ("r", 2, "ReLU")),
    "dropout": ("d = Dropout(a) y = Relu(d)", {}, "", ("y", 2, "ReLU")),
    "quantized on the way": (
        "q = QuantizeLinear(a, k) d = DequantizeLinear(q, k) y = Relu(d)",
        {"k": np.float32(0.1)},
        "",
        ("y", 2, "ReLU"),
    ),
    "stored in 8 bits": (
        "r = Relu(a) q = QuantizeLinear(r, k) d = DequantizeLinear(q, k) e = DequantizeLinear(q, k) y = MatMul(d, e)",
        {"k": np.float32(0.1)},
        "",
        ("d", 2, "ReLU"),
    ),
    "stored in 8 bits without a function": (
        "b1 = Add(a, b) q = QuantizeLinear(b1, k) d = DequantizeLinear(q, k) y = Add(d, z)",
        {"k": np.float32(0.1)},
        "",
        ("d", 2, None),
    ),
    "stored in 8 bits, and used before that": (
        "r = Relu(a) q = QuantizeLinear(r, k) d = DequantizeLinear(q, k) y = Add(d, r)",
        {"k": np.float32(0.1)},
        "",
        ("r", 2, "ReLU"),
    ),
    "a pattern whose middle is an output": ("s = Sigmoid(a) y = Mul(a, s)", {}, ", float[] s", ("a", 2, None)),
    "a pattern with a foreign operand": ("s = Sigmoid(a) m = Mul(a, s) y = Mul(m, z)", {}, "", ("m", 2, "SiLU")),
    "gated by another branch": ("s = Sigmoid(z) y = Mul(a, s)", {}, "", ("a", 2, None)),
    "transposed": ("t = Transpose<perm = [2, 0, 1]>(a) y = Relu(t)", {}, "", ("y", 0, "ReLU")),
    "rows merged and parted": (
        "m = Reshape(a, s) c = Add(m, b) u = Reshape(c, t) y = Relu(u)",
        {"s": np.array([-1, 3]), "t": np.array([-1, 7, 3])},
        "",
        ("y", 2, "ReLU"),
    ),
    "unsqueezed and squeezed": (
        "m = Unsqueeze(a, i) u = Squeeze(m, i) y = Relu(u)",
        {"i": INDEX},
        "",
        ("y", 2, "ReLU"),
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_where_the_neurons_are_read(case: str) -> None:
    nodes, constants, outputs, expected = STOPS[case]
    graph = f"(float[N, 7, 5] x, float[N, 7, 3] z) => (float[] y{outputs}) {{ a = MatMul(x, w) {nodes} }}"
    assert at(follow(graph, {**B, **constants})) == expected


def test_a_branch_that_captures_the_value_uses_it() -> None:
    graph = """(float[N, 5] x, bool c) => (float[] y, float[] v) {
        a = MatMul(x, w) y = Relu(a)
        v = If (c) <then_branch = t () => (float[] u) { u = Neg(a) }, else_branch = e () => (float[] q) { q = Abs(a) }>
    }"""
    assert at(follow(graph, W)) == ("a", 1, None)


IMAGE = "(float[N, 4, 5, 5] x) => (float[] y)"
FILTERS = {"w": rand(6, 4, 1, 1)}
GAMMA, BETA = rand(6, seed=3), rand(6, seed=4)


def test_group_normalisation_is_the_same_as_an_operator_and_written_out() -> None:
    scales = {"g": GAMMA, "b": BETA}
    whole = follow(
        f"{IMAGE} {{ a = Conv(x, w) n = GroupNormalization<num_groups = 2>(a, g, b) y = Relu(n) }}",
        {**FILTERS, **scales},
    )
    apart = follow(
        f"""{IMAGE} {{ a = Conv(x, w) r = Reshape(a, three) i = InstanceNormalization(r, o, z) s = Shape(a)
        u = Reshape(i, four) m = Mul(u, gs) n = Add(m, bs) y = Relu(n) }}""",
        {**FILTERS, "three": np.array([0, 2, -1]), "four": np.array([-1, 6, 5, 5]), "o": np.ones(2, np.float32),
         "z": np.zeros(2, np.float32), "gs": GAMMA.reshape(6, 1, 1), "bs": BETA.reshape(6, 1, 1)},
    )  # fmt: skip
    # `a` is read by Shape in the second form: only what computes counts as a use
    assert at(whole) == ("y", 1, "ReLU")
    np.testing.assert_allclose(whole.factor, GAMMA)
    assert at(apart) == ("y", 1, "ReLU")
    np.testing.assert_allclose(apart.factor, GAMMA)


def test_group_normalisation_of_opset_18_scales_by_group() -> None:
    found = follow(
        f"{IMAGE} {{ a = Conv(x, w) n = GroupNormalization<num_groups = 2>(a, g, b) y = Relu(n) }}",
        {**FILTERS, "g": np.array([2, 5], np.float32), "b": np.zeros(2, np.float32)},
        opset=18,
    )
    np.testing.assert_array_equal(found.factor, [2, 2, 2, 5, 5, 5])


def test_instance_normalisation_and_batch_normalisation_in_old_opsets() -> None:
    found = follow(
        f"{IMAGE} {{ a = Conv(x, w) n = InstanceNormalization(a, g, b) y = Relu(n) }}",
        {**FILTERS, "g": GAMMA, "b": BETA},
        opset=7,
    )
    assert at(found) == ("y", 1, "ReLU")
    np.testing.assert_allclose(found.factor, GAMMA)
    constants = {"g": GAMMA, "b": BETA, "m": BETA, "v": GAMMA**2}
    found = follow(
        f"{IMAGE} {{ a = Conv(x, w) n = BatchNormalization<epsilon = 0.5>(a, g, b, m, v) "
        "y = Clip<min = 0.0, max = 6.0>(n) }",
        {**FILTERS, **constants},
        opset=7,
    )
    assert at(found) == ("y", 1, "ReLU6")
    np.testing.assert_allclose(found.factor, GAMMA / np.sqrt(GAMMA**2 + 0.5), rtol=1e-6)


def test_batch_normalisation_in_training_mode_is_no_constant_scale() -> None:
    found = follow(
        f"{IMAGE} {{ a = Conv(x, w) n, q, r = BatchNormalization<training_mode = 1>(a, g, b, m, v) y = Relu(n) }}",
        {**FILTERS, "g": GAMMA, "b": BETA, "m": BETA, "v": GAMMA**2},
    )
    assert at(found) == ("a", 1, None)


def test_channels_last_networks() -> None:
    graph = """(float[N, 5, 5, 4] x) => (float[] y) {
        t = Transpose<perm = [0, 3, 1, 2]>(x) a = Conv(t, w) u = Transpose<perm = [0, 2, 3, 1]>(a) c = Add(u, b)
        y = Relu(c)
    }"""
    assert at(follow(graph, {**FILTERS, "b": BETA})) == ("y", 3, "ReLU")


N, S = symbol("n"), symbol("s")


@pytest.mark.parametrize(
    ("before", "after", "axis", "expected"),
    [
        ((N, 7, 3), (N * 7, 3), 2, 1),
        ((N * 7, 3), (N, 7, 3), 1, 2),
        ((N, S, 3), (N * S, 3), 2, 1),
        ((N, 3, 5, 5), (N, 3, 25), 1, 1),
        ((N, 3, 5, 5), (N, 75), 1, None),
        ((N, 6), (N, 3, 2), 0, 0),
        ((N, 6), (N, 6, 1), 1, 1),
        ((N, 6), (N, 1, 6), 1, 2),
        ((2, 6), (6, 2), 1, None),
        ((N, 3, 3), (N, 3, 3), 1, 1),
        ((N, 3, 3), (N * 3, 3), 1, None),
    ],
)  # fmt: skip
def test_an_axis_is_kept_or_lost(before: Any, after: Any, axis: int, expected: int | None) -> None:
    assert kept_axes(before, after, (axis,)) == (None if expected is None else (expected,))


@pytest.mark.parametrize(
    ("before", "after", "axes", "expected"),
    [
        ((N, 5, 2, 3), (N, 5, 6), (2, 3), (2,)),
        ((N, 5, 6), (N, 5, 2, 3), (2,), (2, 3)),
        ((7, N, 5, 3), (7, 5 * N, 3), (0, 3), (0, 2)),
        ((7, N, 5, 3), (7 * N, 5, 3), (0, 3), None),
        ((N, 2, 3, 5), (N, 6, 5), (1, 3), None),
    ],
)
def test_several_axes_are_merged_split_or_lost(before: Any, after: Any, axes: Any, expected: Any) -> None:
    assert kept_axes(before, after, axes) == expected
