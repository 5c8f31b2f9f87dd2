"""The canonical weight against what the operators do to one input element after the other."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wua_onnx.errors import ModelError
from wua_onnx.layers import find_layers
from wua_onnx.layers.layer import Layer
from wua_onnx.model import load

from .graphs import MICROSOFT, jacobian, model, rand


def only_layer(proto: Any) -> Layer:
    (layer,) = find_layers(load(proto)).by_name.values()
    return layer


W, T = rand(5, 3), rand(3, 5)
HALF = rand(5, 3, dtype=np.float16)
BYTES = np.arange(-7, 8, dtype=np.int8).reshape(5, 3)
NIBBLES = (np.arange(15).reshape(5, 3) - 7).astype(ml_dtypes.int4)
SCALES, ZEROS = np.array([0.5, 0.25, 2], np.float32), np.array([1, -2, 3], np.int8)
SHAPE = np.array([5, 3], np.int64)

# nodes, the shape of an input of one sample, initializers; 5 inputs and 3 neurons
DENSE: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "Gemm": ("y = Gemm(x, w)", (1, 5), {"w": W}),
    "Gemm with bias": ("y = Gemm(x, w, b)", (1, 5), {"w": W, "b": rand(3)}),
    "Gemm transB": ("y = Gemm<transB = 1>(x, w)", (1, 5), {"w": T}),
    "Gemm transA of x": ("y = Gemm<transA = 1>(x, w)", (5, 1), {"w": W}),
    "Gemm alpha": ("y = Gemm<alpha = 0.5, transB = 1>(x, w)", (1, 5), {"w": T}),
    "Gemm constant A": ("y = Gemm(w, x)", (5, 1), {"w": T}),
    "Gemm constant A transposed": ("y = Gemm<transA = 1, alpha = -3.0>(w, x)", (5, 1), {"w": W}),
    "Gemm constant A, transB of x": ("y = Gemm<transB = 1>(w, x)", (1, 5), {"w": T}),
    "MatMul": ("y = MatMul(x, w)", (1, 5), {"w": W}),
    "MatMul of rank 3": ("y = MatMul(x, w)", (1, 1, 5), {"w": W}),
    "MatMul of a vector": ("y = MatMul(x, w)", (5,), {"w": W}),
    "MatMul from the left": ("y = MatMul(w, x)", (5, 1), {"w": T}),
    "MatMul from the left, rank 3": ("y = MatMul(w, x)", (1, 5, 1), {"w": T}),
    "MatMul of a vector from the left": ("y = MatMul(w, x)", (5,), {"w": T}),
    "Transpose": ("t = Transpose(w) y = MatMul(x, t)", (1, 5), {"w": T}),
    "Transpose and transB": ("t = Transpose<perm = [1, 0]>(w) y = Gemm<transB = 1>(x, t)", (1, 5), {"w": W}),
    "Reshape": ("t = Reshape(w, s) y = MatMul(x, t)", (1, 5), {"w": rand(15), "s": SHAPE}),
    "Reshape mixes": ("t = Reshape(w, s) y = MatMul(x, t)", (1, 5), {"w": T, "s": SHAPE}),
    "Flatten": ("t = Flatten<axis = 1>(w) y = MatMul(x, t)", (1, 5), {"w": rand(5, 3, 1)}),
    "Squeeze": ("t = Squeeze(w, a) y = MatMul(x, t)", (1, 5), {"w": rand(1, 5, 3), "a": np.array([0])}),
    "Unsqueeze, Squeeze": (
        "u = Unsqueeze(w, a) t = Squeeze(u, a) y = MatMul(x, t)",
        (1, 5),
        {"w": W, "a": np.array([1])},
    ),
    "Identity": ("t = Identity(w) y = MatMul(x, t)", (1, 5), {"w": W}),
    "Cast": ("t = Cast<to = 1>(w) y = MatMul(x, t)", (1, 5), {"w": HALF}),
    "Cast, Transpose, Reshape": (
        "c = Cast<to = 1>(w) t = Transpose(c) r = Reshape(t, s) y = MatMul(x, r)",
        (1, 5),
        {"w": rand(3, 5, dtype=np.float16), "s": SHAPE},
    ),
    "Constant": (
        "t = Constant<value = float[5, 3] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}>() y = MatMul(x, t)",
        (1, 5),
        {},
    ),
    "Dequantize per tensor": (
        "t = DequantizeLinear(w, s, z) y = MatMul(x, t)",
        (1, 5),
        {"w": BYTES, "s": np.float32(0.125), "z": np.int8(3)},
    ),
    "Dequantize without zero point": (
        "t = DequantizeLinear(w, s) y = MatMul(x, t)",
        (1, 5),
        {"w": BYTES, "s": np.float32(0.125)},
    ),
    "Dequantize per column": (
        "t = DequantizeLinear<axis = 1>(w, s, z) y = MatMul(x, t)",
        (1, 5),
        {"w": BYTES, "s": SCALES, "z": ZEROS},
    ),
    "Dequantize per row, from the end": (
        "t = DequantizeLinear<axis = -2>(w, s, z) r = Transpose(t) y = MatMul(x, r)",
        (1, 5),
        {"w": BYTES.reshape(3, 5), "s": SCALES, "z": ZEROS},
    ),
    "Dequantize in blocks": (
        "t = DequantizeLinear<axis = 0, block_size = 4>(w, s, z) y = MatMul(x, t)",
        (1, 5),
        {"w": BYTES, "s": np.abs(rand(2, 3)), "z": np.array([[1, 2, 3], [-1, -2, -3]], np.int8)},
    ),
    "Dequantize, scales through a chain": (
        "i = Identity(s) t = DequantizeLinear<axis = 1>(w, i, z) y = MatMul(x, t)",
        (1, 5),
        {"w": BYTES, "s": SCALES, "z": ZEROS},
    ),
    "Dequantize 4 bits": (
        "t = DequantizeLinear<axis = 0, block_size = 5>(w, s) y = MatMul(x, t)",
        (1, 5),
        {"w": NIBBLES, "s": np.abs(rand(1, 3))},
    ),
    "Quantize, Dequantize": (
        "q = QuantizeLinear(w, s, z) t = DequantizeLinear(q, s, z) y = MatMul(x, t)",
        (1, 5),
        {"w": W, "s": np.float32(0.02), "z": np.int8(3)},
    ),
    "Quantize, Dequantize per column, beyond the range": (
        "q = QuantizeLinear<axis = 1>(w, s, z) t = DequantizeLinear<axis = 1>(q, s, z) y = MatMul(x, t)",
        (1, 5),
        {"w": W, "s": np.array([0.5, 0.005, 0.01], np.float32), "z": np.array([1, 250, 3], np.uint8)},
    ),
    "Quantize without zero point": (
        "q = QuantizeLinear(w, s) t = DequantizeLinear(q, s) y = MatMul(x, t)",
        (1, 5),
        {"w": W, "s": np.float32(0.02)},
    ),
    "Dequantize, Transpose": (
        "d = DequantizeLinear(w, s) t = Transpose(d) y = MatMul(x, t)",
        (1, 5),
        {"w": BYTES.reshape(3, 5), "s": np.float32(2)},
    ),
}


@pytest.mark.parametrize("case", DENSE)
def test_dense_weight_is_what_the_operator_does(case: str) -> None:
    nodes, shape, weights = DENSE[case]
    sizes = ", ".join(map(str, shape))
    proto = model(f"(float[{sizes}] x) => (float[] y) {{ {nodes} }}", weights)
    layer = only_layer(proto)
    assert (layer.kind, layer.shape, layer.neurons, layer.neuron_axis) == ("dense", (5, 3), 3, 1)
    np.testing.assert_allclose(layer.weight(), jacobian(proto, shape), atol=2e-6, rtol=1e-5)


CONV = {
    "1-d": ("", (3, 5, 7), 1),
    "2-d": ("", (3, 5, 2, 7), 1),
    "3-d": ("", (3, 2, 5, 2, 3), 1),
    "grouped": ("group = 3", (6, 2, 5, 3), 3),
    "depthwise": ("group = 5", (5, 1, 3, 3), 5),
    "depthwise with a multiplier": ("group = 5", (10, 1, 3), 5),
}


@pytest.mark.parametrize("case", CONV)
def test_convolution_weight_is_what_the_operator_does(case: str) -> None:
    attributes, shape, groups = CONV[case]
    out, per_group, *kernel = shape
    given = (1, per_group * groups, *kernel)  # one position
    sizes = ", ".join(map(str, given))
    proto = model(
        f"(float[{sizes}] x) => (float[] y) {{ y = Conv<{attributes}>(x, w, b) }}".replace("<>", ""),
        {"w": rand(*shape), "b": rand(out)},
    )
    layer = only_layer(proto)
    seen = jacobian(proto, given).T.reshape(out, per_group * groups, *kernel)
    assert (layer.kind, layer.shape, layer.neurons, layer.neuron_axis) == ("convolution", shape, out, 0)
    weight, each = layer.weight(), out // groups
    for neuron in range(out):
        first = neuron // each * per_group
        np.testing.assert_allclose(weight[neuron], seen[neuron, first : first + per_group], atol=1e-5)
        seen[neuron, first : first + per_group] = 0
    np.testing.assert_allclose(seen, 0, atol=1e-5)


C = rand(3, seed=2)
SCALED: dict[str, tuple[str, dict[str, Any]]] = {
    "Mul": ("h = Mul(a, c)", {"c": C}),
    "Mul from the left": ("h = Mul(c, a)", {"c": C}),
    "Mul by a scalar": ("h = Mul(a, c)", {"c": np.float32(-2)}),
    "Div": ("h = Div(a, c)", {"c": C}),
    "Add then Mul": ("s = Add(a, d) h = Mul(s, c)", {"c": C, "d": rand(3, seed=3)}),
    "Mul of shape (1, 3)": ("h = Mul(a, c)", {"c": C.reshape(1, 3)}),
    "Mul by a constant chain": ("k = Reshape(c, s) h = Mul(a, k)", {"c": C.reshape(3, 1), "s": np.array([3])}),
    "Sub, Div, Mul": ("s = Sub(a, d) t = Div(s, c) h = Mul(t, d)", {"c": C, "d": rand(3, seed=3)}),
    "BatchNormalization": (
        "h = BatchNormalization<epsilon = 0.01>(a, c, d, m, v)",
        {"c": C, "d": rand(3, seed=3), "m": rand(3, seed=4), "v": np.abs(rand(3, seed=5))},
    ),
    "a shape in between": (
        "u = Unsqueeze(a, i) t = Mul(u, c) h = Squeeze(t, i)",
        {"c": C.reshape(3, 1), "i": np.array([2])},
    ),
}


@pytest.mark.parametrize("case", SCALED)
def test_constant_scales_on_the_way_belong_to_the_weight(case: str) -> None:
    nodes, constants = SCALED[case]
    affine = model(
        f"(float[1, 5] x) => (float[] y) {{ a = MatMul(x, w) {nodes} y = Identity(h) }}", {"w": W, **constants}
    )
    whole = model(f"(float[1, 5] x) => (float[] y) {{ a = MatMul(x, w) {nodes} y = Relu(h) }}", {"w": W, **constants})
    layer = only_layer(whole)
    np.testing.assert_allclose(layer.weight(), jacobian(affine, (1, 5)), atol=1e-5)
    activation = layer.activations[0]
    assert (activation.value.name, activation.function and activation.function.name) == ("y", "ReLU")


def test_before_the_activation_nothing_is_scaled() -> None:
    proto = model("(float[1, 5] x) => (float[] y) { a = MatMul(x, w) h = Mul(a, c) y = Relu(h) }", {"w": W, "c": C})
    (layer,) = find_layers(load(proto), activation="pre").by_name.values()
    assert layer.activations[0].value.name == "a"
    np.testing.assert_array_equal(layer.weight(), W)


def test_uses_of_one_initializer_are_one_layer() -> None:
    proto = model(
        "(float[N, 5] x) => (float[] y) { h = MatMul(x, w) r = Relu(h) t = Transpose(w) "
        "d = MatMul(r, t) y = Gemm(d, w) }",
        {"w": W},
    )
    layer = only_layer(proto)
    assert [use.node.op_type for use in layer.uses] == ["MatMul", "MatMul", "Gemm"]
    assert (layer.shape, layer.size) == ((5, 3), 15)
    np.testing.assert_array_equal(layer.weight(1), W.T)
    for index in range(3):
        np.testing.assert_array_equal(layer.aligned(layer.weight(index), index), W)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_uses_through_any_chain_align_with_the_first(data: st.DataObject) -> None:
    sizes = [2, 3, 5]
    nodes, current, shape = [], "w", list(sizes)
    weights = {"w": np.arange(30, dtype=np.float32).reshape(sizes)}
    for step in range(data.draw(st.integers(0, 4))):
        if data.draw(st.booleans()):
            perm = data.draw(st.permutations(range(len(shape))))
            nodes.append(f"t{step} = Transpose<perm = {list(perm)}>({current})")
            shape = [shape[axis] for axis in perm]
        else:
            shape = list(data.draw(st.sampled_from([(2, 3, 5), (5, 6), (3, 10), (30,), (5, 3, 2), (1, 15, 2)])))
            weights[f"s{step}"] = np.array(shape)
            nodes.append(f"t{step} = Reshape({current}, s{step})")
        current = f"t{step}"
    weights |= {"a": np.array([6, 5]), "b": np.array([10, 3])}
    proto = model(
        f"(float[N, 6] x, float[N, 10] z) => (float[] y, float[] v) {{ {' '.join(nodes)} "
        f"p = Reshape(w, a) y = MatMul(x, p) q = Reshape({current}, b) v = MatMul(z, q) }}",
        weights,
    )
    layer = only_layer(proto)
    np.testing.assert_array_equal(layer.aligned(layer.weight(1), 1), layer.weight(0))


DECLINED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a diagonal": (
        'y = Einsum<equation = "abc, ccd -> abd">(x, w)',
        {"w": rand(5, 5, 3)},
        "Einsum: its equation takes",
    ),
    "a scale": ('y = Einsum<equation = "abc, c -> abc">(x, w)', {"w": rand(5)}, "Einsum: a constant scale"),
    "multiples": ('y = Einsum<equation = "abc, d -> abcd">(x, w)', {"w": rand(5)}, "Einsum: a constant scale"),
    "computed": ("t = Softmax(w) y = MatMul(x, t)", {"w": W}, "MatMul: computed from constants by Softmax"),
    "another domain's operator": (
        "t = my.Transpose(w) y = MatMul(x, t)",
        {"w": T},
        "MatMul: computed from constants by Transpose",
    ),
    "scales that are computed": (
        "e = Softmax(s) t = DequantizeLinear(w, e) y = MatMul(x, t)",
        {"w": BYTES, "s": np.float32(1)},
        "MatMul: DequantizeLinear with computed scales",
    ),
}


@pytest.mark.parametrize("case", DECLINED)
def test_what_cannot_be_read_is_declined_with_its_reason(case: str) -> None:
    nodes, weights, reason = DECLINED[case]
    found = find_layers(load(model(f"(float[2, 1, 5] x) => (float[] y) {{ {nodes} }}", weights, also='"my": 1')))
    assert not found.by_name
    assert [d.name for d in found.declined] == ["w"]
    assert found.declined[0].reason.startswith(reason)


def test_a_chain_that_contradicts_itself_is_an_error() -> None:
    proto = model(
        "(float[1, 5] x) => (float[] y) { t = DequantizeLinear<axis = 1>(w, s) y = MatMul(x, t) }",
        {"w": BYTES, "s": np.ones(2, np.float32)},
    )
    layer = only_layer(proto)
    with pytest.raises(ModelError, match=r"DequantizeLinear .*expected constants that fit"):
        layer.weight()


def test_the_dequantizer_of_microsoft_is_the_same() -> None:
    proto = model(
        "(float[1, 5] x) => (float[] y) { t = com.microsoft.DequantizeLinear(w, s, z) y = MatMul(x, t) }",
        {"w": BYTES, "s": np.float32(0.5), "z": np.int8(-1)},
        also=MICROSOFT,
    )
    np.testing.assert_allclose(only_layer(proto).weight(), jacobian(proto, (1, 5)), atol=1e-6)
