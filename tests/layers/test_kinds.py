"""Canonical weights of every kind against what the operator does to one input element after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wua_onnx.layers import Layer, find_layers
from wua_onnx.model import load

from .graphs import MICROSOFT, Array, jacobian, model, rand


def only_layer(proto: Any) -> Layer:
    (layer,) = find_layers(load(proto)).by_name.values()
    return layer


def integers(*shape: int, low: int = -99, high: int = 99, dtype: Any = np.int8, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


# attributes, stored shape (in, out / groups, ...), groups
TRANSPOSED = {
    "1-d": ("", (3, 5, 2), 1),
    "2-d": ("", (3, 5, 2, 3), 1),
    "3-d": ("", (3, 5, 2, 1, 3), 1),
    "grouped": ("group = 3", (6, 5, 2), 3),
    "depthwise": ("group = 5", (5, 1, 2, 3), 5),
}


@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolutions(case: str) -> None:
    attributes, stored, groups = TRANSPOSED[case]
    inside, per_group, *kernel = stored
    given = (1, inside, *[1] * len(kernel))  # one position: the kernel itself comes out
    text = f"(float[{', '.join(map(str, given))}] x) => (float[] y) {{ y = ConvTranspose<{attributes}>(x, w, b) }}"
    proto = model(text.replace("<>", ""), {"w": rand(*stored), "b": rand(per_group * groups)})
    layer = only_layer(proto)
    out, each = per_group * groups, inside // groups
    assert (layer.kind, layer.shape, layer.neuron_axis) == ("convolution", (out, each, *kernel), 0)
    seen = jacobian(proto, given).reshape(inside, out, *kernel)
    for neuron in range(out):
        first = neuron // per_group * each
        np.testing.assert_allclose(layer.weight()[neuron], seen[first : first + each, neuron], atol=1e-5)
        seen[first : first + each, neuron] = 0
    np.testing.assert_allclose(seen, 0, atol=1e-5)


# nodes, shape of x, weights, kind, canonical shape, axes of the result that are neurons
PRODUCTS: dict[str, tuple[str, tuple[int, ...], dict[str, Any], str, tuple[int, ...], tuple[int, ...]]] = {
    "Einsum": ('y = Einsum<equation = "bi, io -> bo">(x, w)', (1, 5), {"w": rand(5, 3)}, "dense", (5, 3), (1,)),
    "Einsum, weight first": (
        'y = Einsum<equation = "oi, bi -> bo">(w, x)', (1, 5), {"w": rand(3, 5)}, "dense", (5, 3), (1,)
    ),
    "products summed": (
        "p = Mul(x, w) y = ReduceSum<keepdims = 0>(p, last)", (1, 5), {"w": rand(5), "last": np.array([-1])},
        "dense", (5, 1), (),
    ),
    "products summed, broadcast": (
        "u = Unsqueeze(x, last) p = Mul(w, u) y = ReduceSum<keepdims = 1>(p, first)", (1, 5),
        {"w": rand(5, 3), "last": np.array([-1]), "first": np.array([1])}, "dense", (5, 3), (2,),
    ),
    "Einsum, implicit": ('y = Einsum<equation = "ba, ac">(x, w)', (1, 5), {"w": rand(5, 3)}, "dense", (5, 3), (1,)),
    "Einsum, ellipsis": (
        'y = Einsum<equation = "...i, oi -> ...o">(x, w)', (1, 1, 5), {"w": rand(3, 5)}, "dense", (5, 3), (2,)
    ),
    "Einsum, heads": (
        'y = Einsum<equation = "bsd, dhk -> bhsk">(x, w)', (1, 1, 7), {"w": rand(7, 2, 3)}, "dense", (7, 6), (1, 3)
    ),
    "Einsum, heads merged": (
        'y = Einsum<equation = "bhk, hkd -> bd">(x, w)', (1, 2, 3), {"w": rand(2, 3, 7)}, "dense", (6, 7), (1,)
    ),
    "com.microsoft.FusedMatMul": (
        "y = com.microsoft.FusedMatMul<transB = 1, alpha = 0.5>(x, w)", (1, 5), {"w": rand(3, 5)}, "dense", (5, 3), (1,)
    ),
    "one expert that all share": ("y = MatMul(x, w)", (1, 1, 5), {"w": rand(1, 5, 3)}, "dense", (5, 3), (2,)),
    "MatMul of a vector": ("y = MatMul(x, w)", (1, 5), {"w": rand(5)}, "dense", (5, 1), ()),
}  # fmt: skip


@pytest.mark.parametrize("case", PRODUCTS)
def test_products_with_one_constant(case: str) -> None:
    nodes, shape, weights, kind, canonical, axes = PRODUCTS[case]
    text = f"(float[{', '.join(map(str, shape))}] x) => (float[] y) {{ {nodes} }}"
    proto = model(text, weights, also=MICROSOFT)
    layer = only_layer(proto)
    assert (layer.kind, layer.shape, layer.activations[0].axes) == (kind, canonical, axes)
    np.testing.assert_allclose(layer.weight(), jacobian(proto, shape), atol=1e-5)


# Each neuron sees the features of its own expert: 2 experts, 5 features, 3 outputs.
EXPERTS: dict[str, tuple[str, tuple[int, ...], dict[str, Any], tuple[int, ...]]] = {
    "MatMul": ("y = MatMul(x, w)", (2, 1, 5), {"w": rand(2, 5, 3)}, (0, 2)),
    "MatMul from the left": ("y = MatMul(w, x)", (2, 5, 1), {"w": rand(2, 3, 5)}, (0, 1)),
    "Einsum": ('y = Einsum<equation = "bei, eio -> beo">(x, w)', (1, 2, 5), {"w": rand(2, 5, 3)}, (1, 2)),
    "FusedMatMul": ("y = com.microsoft.FusedMatMul<transB = 1>(x, w)", (2, 1, 5), {"w": rand(2, 3, 5)}, (0, 2)),
}


@pytest.mark.parametrize("case", EXPERTS)
def test_experts(case: str) -> None:
    nodes, shape, weights, axes = EXPERTS[case]
    proto = model(f"(float[{', '.join(map(str, shape))}] x) => (float[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    layer = only_layer(proto)
    assert (layer.kind, layer.shape, layer.activations[0].axes) == ("experts", (5, 6), axes)
    seen = jacobian(proto, shape).reshape(2, 5, 2, 3)  # expert of the input, feature, expert of the output, output
    np.testing.assert_allclose(layer.weight().reshape(5, 2, 3), np.einsum("eieo->ieo", seen), atol=1e-5)
    assert not np.einsum("eifo->ef", np.abs(seen))[~np.eye(2, dtype=bool)].any()


def test_features_of_experts_are_their_own() -> None:
    layer = only_layer(model("(float[2, N, 5] x) => (float[] y) { y = MatMul(x, w) }", {"w": rand(2, 5, 3)}))
    features = layer.uses[0].features
    assert features is not None
    assert features.axes == (2, 0)
    norms = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(
        features.spread(norms.reshape(-1)).reshape(5, 2, 3), np.repeat(norms[..., None], 3, axis=2)
    )


STEP = {"s": np.float32(0.5), "z": np.uint8(3), "one": np.float32(1), "none": np.uint8(0)}
SCALES = np.array([0.5, 0.25, 2], np.float32)
# nodes, weights; 5 inputs, 3 neurons; whole numbers in, each of them a step of 1
INTEGERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DynamicQuantizeMatMul": (
        "y = com.microsoft.DynamicQuantizeMatMul(x, w, ws, wz)",
        {"w": integers(5, 3), "ws": SCALES, "wz": np.array([1, -2, 3], np.int8)},
    ),
    "MatMulIntegerToFloat": (
        "q = QuantizeLinear(x, one, none) y = com.microsoft.MatMulIntegerToFloat(q, w, one, ws, none, wz)",
        {"w": integers(5, 3), "ws": SCALES, "wz": np.array([1, -2, 3], np.int8), **STEP},
    ),
    "MatMulInteger": (
        "q = QuantizeLinear(x, one, none) a = MatMulInteger(q, w, none, wz) c = Cast<to = 1>(a) "
        "k = Mul(one, ws) y = Mul(c, k)",
        {"w": integers(5, 3), "ws": np.float32(0.25), "wz": np.int8(3), **STEP},
    ),
    "MatMulInteger by columns": (
        "q = QuantizeLinear(x, one, none) a = MatMulInteger(q, w, none, wz) c = Cast<to = 1>(a) "
        "k = Mul(one, ws) y = Mul(k, c)",
        {"w": integers(5, 3), "ws": SCALES, "wz": np.array([1, -2, 3], np.int8), **STEP},
    ),
    "QGemm": (
        "q = QuantizeLinear(x, one, none) y = com.microsoft.QGemm<transB = 1>(q, one, none, w, ws, wz)",
        {"w": integers(3, 5), "ws": SCALES, "wz": np.array([1, -2, 3], np.int8), **STEP},
    ),
    "QLinearMatMul": (
        "q = QuantizeLinear(x, one, none) a = QLinearMatMul(q, one, none, w, ws, wz, ws1, mid) "
        "y = DequantizeLinear(a, ws1, mid)",
        {"w": integers(5, 3, high=9, low=-9), "ws": np.float32(0.25), "wz": np.int8(3), "ws1": np.float32(0.25),
         "mid": np.uint8(128), **STEP},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INTEGERS)
def test_integers_in_real_units(case: str) -> None:
    nodes, weights = INTEGERS[case]
    proto = model(f"(float[1, 5] x) => (float[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    layer = only_layer(proto)
    assert (layer.kind, layer.shape) == ("dense", (5, 3))
    np.testing.assert_allclose(layer.weight(), jacobian(proto, (1, 5)), rtol=1e-2, atol=1e-5)


def n_bits(bits: int, zeros: str, inner: int = 37, columns: int = 3, block: int = 16) -> Any:
    """A product with weights of `bits` bits; zero points left out, packed, or of real numbers."""
    blocks = -(-inner // block)
    weights: dict[str, Any] = {
        "w": integers(columns, blocks, block * bits // 8, low=0, high=256, dtype=np.uint8),
        "s": np.abs(rand(columns, blocks)),
    }
    if zeros == "packed":
        weights["z"] = integers(columns, -(-blocks * bits // 8), low=0, high=256, dtype=np.uint8, seed=1)
    elif zeros == "real":
        weights["z"] = rand(columns, blocks, seed=2)
    third = ", z" if zeros else ""
    text = f"""(float[1, {inner}] x) => (float[1, {columns}] y) {{
        y = com.microsoft.MatMulNBits<K = {inner}, N = {columns}, bits = {bits}, block_size = {block}>(x, w, s{third})
    }}"""
    return model(text, weights, also=MICROSOFT)


@pytest.mark.parametrize(("bits", "zeros"), [(4, ""), (4, "packed"), (4, "real"), (8, ""), (8, "packed"), (2, "")])
def test_weights_of_a_few_bits(bits: int, zeros: str) -> None:
    proto = n_bits(bits, zeros)
    layer = only_layer(proto)
    assert (layer.shape, layer.size) == ((37, 3), 111)
    assert layer.stored == 3 * 3 * 16 * bits // 8
    np.testing.assert_allclose(layer.weight(), jacobian(proto, (1, 37)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [0, 1])
def test_weights_of_bitsandbytes(kind: int) -> None:
    inner, columns, block = 37, 3, 16
    size = inner * columns
    weights = {
        "w": integers(-(-size // 2), low=0, high=256, dtype=np.uint8),
        "s": np.abs(rand(-(-size // block))),
    }
    text = f"""(float[1, {inner}] x) => (float[1, {columns}] y) {{
        y = com.microsoft.MatMulBnb4<K = {inner}, N = {columns}, block_size = {block}, quant_type = {kind}>(x, w, s)
    }}"""
    proto = model(text, weights, also=MICROSOFT)
    np.testing.assert_allclose(only_layer(proto).weight(), jacobian(proto, (1, inner)), rtol=1e-4, atol=1e-5)


UNSUMMED: dict[str, tuple[str, dict[str, Any]]] = {
    "summed over another axis": ("p = Mul(x, w) y = ReduceSum(p, other)", {"other": np.array([1])}),
    "used elsewhere, too": ("p = Mul(x, w) s = ReduceSum(p, last) y = Add(s, p)", {"last": np.array([-1])}),
    "not summed": ("y = Mul(x, w)", {}),
}


@pytest.mark.parametrize("case", UNSUMMED)
def test_a_product_that_is_not_summed_is_a_scale(case: str) -> None:
    nodes, numbers = UNSUMMED[case]
    text = f"(float[N, 3, 5] x) => (float[] y) {{ {nodes} }}"
    found = find_layers(load(model(text, {"w": rand(5), **numbers})))
    assert not found.by_name
    assert [item.reason for item in found.declined if item.name == "w"] == ["constant scale"]


def test_what_a_summed_product_multiplies_is_not_scaled_by_its_weights() -> None:
    """A layer before it has no factor, since the weights are a layer of their own."""
    text = "(float[N, 5] x) => (float[] y) { h = MatMul(x, v) p = Mul(h, w) y = ReduceSum(p, last) }"
    layers = find_layers(load(model(text, {"v": rand(5, 7), "w": rand(7), "last": np.array([-1])}))).by_name
    assert layers["v"].activations[0].value.name == "h"
    assert layers["v"].factors[0] == 1
    assert layers["w"].shape == (7, 1)
