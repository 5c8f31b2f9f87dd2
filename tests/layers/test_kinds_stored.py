"""Weights as files store them: element types, packed experts, quantized LSTM, normalisations, tied tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.importance.score import score
from wua_onnx.layers import Layer, find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder

from .graphs import MICROSOFT, Array, model, rand, run, session

TYPES = (
    *("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16"),
    *("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT4E2M1"),
    *("INT2", "UINT2", "INT4", "UINT4", "INT8", "UINT8", "INT16", "UINT16"),
)
NUMBERS = np.array([[0.5, 1, -2], [1.5, 3, 0], [4, -1, 2], [1, 1, 0.5], [-1, 0, 1]], np.float32)
WHOLE = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 1]], np.float32)


def only_layer(proto: Any, **options: Any) -> Layer:
    (layer,) = find_layers(load(proto), **options).by_name.values()
    return layer


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("through", ["Cast", "DequantizeLinear"])
@pytest.mark.parametrize("dtype", TYPES)
def test_element_types(dtype: str, through: str, raw: bool) -> None:
    numbers = WHOLE if "INT" in dtype else NUMBERS
    weight = helper.make_tensor("w", getattr(TensorProto, dtype), (5, 3), numbers.reshape(-1))
    if raw:
        weight = numpy_helper.from_array(numpy_helper.to_array(weight), "w")
    read = helper.make_node("Cast", ["w"], ["r"], to=TensorProto.FLOAT)
    if through == "DequantizeLinear":
        read = helper.make_node("DequantizeLinear", ["w", "s"], ["r"])
    graph = helper.make_graph(
        [read, helper.make_node("MatMul", ["x", "r"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight, numpy_helper.from_array(np.array(0.5, np.float32), "s")],
    )
    layer = only_layer(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13))
    expected = numbers * (0.5 if through == "DequantizeLinear" else 1)
    np.testing.assert_array_equal(layer.weight(), expected)
    assert layer.stored == 15


def integers(*shape: int, low: int = -99, high: int = 99, dtype: Any = np.int8, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("each", [False, True])
def test_quantized_lstm_is_the_lstm_of_its_real_weights(each: bool) -> None:
    """2 directions, 5 features, 3 hidden units; a scale for each direction, or for each of its columns."""
    shape = (2, 12) if each else (2,)
    weights: dict[str, Any] = {
        "w": integers(2, 5, 12), "r": integers(2, 3, 12, seed=1),
        "ws": np.abs(rand(*shape)) / 99, "rs": np.abs(rand(*shape, seed=1)) / 99,
        "wz": np.zeros(shape, np.int8), "rz": np.zeros(shape, np.int8),
    }  # fmt: skip
    text = (
        "(float[7, N, 5] x) => (float[] y) { "
        'y = com.microsoft.DynamicQuantizeLSTM<hidden_size = 3, direction = "bidirectional">'
        "(x, w, r, , , , , , ws, wz, rs, rz) }"
    )
    proto, x = model(text, weights, also=MICROSOFT), rand(7, 11, 5)
    found = find_layers(load(proto)).by_name
    assert {(layer.kind, layer.shape) for layer in found.values()} == {
        ("recurrent", (4, 6, 5)),
        ("recurrent", (4, 6, 3)),
    }
    real = {
        layer.uses[0].parameter or "": layer.weight().reshape(4, 2, 3, -1).transpose(1, 0, 2, 3).reshape(2, 12, -1)
        for layer in found.values()
    }
    plain = model(
        '(float[7, N, 5] x) => (float[] y) { y = LSTM<hidden_size = 3, direction = "bidirectional">(x, w, r) }',
        {"w": real["W"], "r": real["R"]},
    )
    expected, got = run(plain, {"x": x})[0], run(proto, {"x": x})[0]
    np.testing.assert_allclose(got, expected, atol=0.02)  # the input is quantized, too
    recorder = Recorder(proto, batch_axis=1, batch_size=11)
    recorder.update({"x": x})
    recording = recorder.result()
    assert not recording.missing
    for (statistics,) in recording.layers.values():
        np.testing.assert_allclose(statistics.mean, np.abs(got).mean(axis=(0, 2)).reshape(-1), rtol=1e-5)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [False, True])
def test_quantized_experts_are_the_experts_of_their_real_weights(bits: int, zeros: bool) -> None:
    """With one expert for each sample its gate is 1."""
    sizes = {"fc1": (2, 32, 16), "fc2": (2, 16, 32)}
    weights: dict[str, Any] = {}
    for seed, (name, (experts, out, inner)) in enumerate(sizes.items()):
        weights[name] = integers(experts, out, inner * bits // 8, low=0, high=256, dtype=np.uint8, seed=seed)
        weights[f"{name}s"] = np.abs(rand(experts, out, seed=seed)) / 50
        if zeros:
            weights[f"{name}z"] = integers(experts, out * bits // 8, low=0, high=256, dtype=np.uint8, seed=seed + 7)
    text = (
        "(float[N, 16] x, float[N, 2] r) => (float[] y) { "
        f'y = com.microsoft.QMoE<k = 1, activation_type = "relu", expert_weight_bits = {bits}>'
        f"(x, r, fc1, fc1s, , fc2, fc2s{', , , , , fc1z, fc2z' if zeros else ''}) }}"
    )
    proto = model(text, weights, also=MICROSOFT)
    found = find_layers(load(proto)).by_name
    assert [layer.shape for layer in found.values()] == [(16, 64), (32, 32)]
    assert all(layer.kind == "experts" and layer.activations[0].unread for layer in found.values())
    first, second = (layer.weight() for layer in found.values())
    x, router = rand(7, 16), rand(7, 2, seed=3)
    chosen = router.argmax(1)
    hidden = [np.maximum(x[i] @ first.reshape(16, 2, 32)[:, chosen[i]], 0) for i in range(7)]
    expected = np.array([hidden[i] @ second.reshape(32, 2, 16)[:, chosen[i]] for i in range(7)])
    got = session(proto).run(None, {"x": x, "r": router})[0]
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


NORMS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "BatchNormalization": (
        "a = BatchNormalization(x, g, b, m, v) y = Relu(a)",
        {"g": rand(7), "b": rand(7), "m": rand(7), "v": np.abs(rand(7))}, (7,), (1,),
    ),
    "InstanceNormalization": (
        "a = InstanceNormalization(x, g, b) y = Relu(a)", {"g": rand(7), "b": rand(7)}, (7,), (1,),
    ),
    "LayerNormalization": ("a = LayerNormalization(x, g, b) y = Relu(a)", {"g": rand(5), "b": rand(5)}, (5,), (2,)),
    "LayerNormalization of two axes": (
        "a = LayerNormalization<axis = 1>(x, g) y = Relu(a)", {"g": rand(7, 5)}, (35,), (1, 2),
    ),
    "SkipLayerNormalization": (
        "a = com.microsoft.SkipLayerNormalization(x, x, g, b) y = Relu(a)", {"g": rand(5), "b": rand(5)}, (5,), (2,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NORMS)
def test_scales_of_normalisations_are_layers_on_request(case: str) -> None:
    nodes, weights, shape, axes = NORMS[case]
    proto = model(f"(float[N, 7, 5] x) => (float[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    assert not find_layers(load(proto)).by_name
    loaded = load(proto)
    found = find_layers(loaded, normalization=True)
    (layer,) = found.by_name.values()
    assert (layer.kind, layer.shape, layer.neuron_axis) == ("normalization", shape, 0)
    np.testing.assert_array_equal(layer.weight(), weights["g"].reshape(-1))
    recorder, x = Recorder(loaded, layers=found.by_name), rand(11, 7, 5)
    recorder.update(x)
    ((statistics,),) = recorder.result().layers.values()
    others = tuple(axis for axis in range(3) if axis not in axes)
    expected = np.abs(session(proto).run(None, {"x": x})[0].astype(np.float64)).mean(axis=others).reshape(-1)
    np.testing.assert_allclose(statistics.mean, expected, rtol=1e-5)


def test_a_table_that_serves_as_the_last_layer_too_is_scored_per_use() -> None:
    """11 tokens of 3 features: importance by lookups and by logits, each weighing as many values as it had."""
    table = rand(11, 3)
    proto = model(
        "(int64[N, 5] i) => (float[] y) { e = Gather(w, i) h = Tanh(e) t = Transpose(w) y = MatMul(h, t) }",
        {"w": table},
    )
    layer = only_layer(proto)
    assert [use.kind for use in layer.uses] == ["embedding", "dense"]
    ids = np.random.default_rng(0).integers(0, 9, (7, 5))
    recorder = Recorder(proto)
    recorder.update({"i": ids})
    statistics = recorder.result().layers[layer.name]
    shares = np.bincount(ids.ravel(), minlength=11) / ids.size
    logits = np.abs(session(proto).run(None, {"i": ids})[0].astype(np.float64)).mean(axis=(0, 1))
    np.testing.assert_allclose(statistics[0].mean, shares)
    np.testing.assert_allclose(statistics[1].mean, logits, rtol=1e-5)
    weights = [statistics[0].positions, statistics[1].positions]
    each = [np.abs(table) * mean[:, None] for mean in (shares, logits)]
    expected = (each[0] * weights[0] + each[1] * weights[1]) / sum(weights)
    np.testing.assert_allclose(score(layer, "activation", statistics), expected, rtol=1e-5)


def test_a_packed_table_that_serves_as_the_last_layer_too() -> None:
    """Several elements in a byte: both uses see the same elements, one by rows and one by columns."""
    packed, scale = integers(11, 16, low=0, high=256, dtype=np.uint8), np.abs(rand(11, 2))
    proto = model(
        "(int64[N, 5] i) => (float[] y) { "
        "e = com.microsoft.GatherBlockQuantized<bits = 4, block_size = 16, quantize_axis = 1>(w, i, k) h = Tanh(e) "
        "b = Reshape(w, shape) y = com.microsoft.MatMulNBits<K = 32, N = 11, bits = 4, block_size = 16>(h, b, k) }",
        {"w": packed, "k": scale, "shape": np.array([11, 2, 8])},
        also=MICROSOFT,
    )
    layer = only_layer(proto)
    assert [use.kind for use in layer.uses] == ["embedding", "dense"]
    assert (layer.shape, layer.size, layer.stored) == ((11, 32), 352, 176)
    np.testing.assert_allclose(layer.weight(1), layer.weight(0).T)
    np.testing.assert_allclose(layer.aligned(layer.weight(1), 1), layer.weight(0))


def test_equal_initializers_that_were_merged_are_one_layer_with_two_uses() -> None:
    proto = model(
        "(float[N, 5] x) => (float[] y) { a = MatMul(x, w) r = Relu(a) b = MatMul(r, w) y = Tanh(b) }",
        {"w": rand(5, 5)},
    )
    layer, x = only_layer(proto), rand(11, 5)
    recorder = Recorder(proto)
    recorder.update(x)
    statistics = recorder.result().layers[layer.name]
    w = rand(5, 5)
    first = np.maximum(x @ w, 0)
    expected = np.abs(w) * (first.mean(0) + np.abs(np.tanh(first @ w)).mean(0)) / 2
    np.testing.assert_allclose(score(layer, "activation", statistics), expected, rtol=1e-4)


@pytest.mark.parametrize("op", ["NhwcConv", "NhwcFusedConv"])
def test_channels_last(op: str) -> None:
    """Onnxruntime runs these for integers and half precision only, so nothing is recorded here."""
    proto = model(
        f"(float[N, 7, 5, 3] x) => (float[] y) {{ y = com.microsoft.{op}(x, w, b) }}",
        {"w": rand(11, 3, 1, 1), "b": rand(11)},
        also=MICROSOFT,
    )
    layer = only_layer(proto)
    assert (layer.shape, layer.activations[0].axes) == ((11, 3, 1, 1), (3,))
    features = layer.uses[0].features
    assert features is not None
    assert features.axes == (3,)


def test_tables_inside_of_an_operator() -> None:
    weights = {"words": rand(11, 4), "places": rand(7, 4), "kinds": rand(2, 4), "g": rand(4), "b": rand(4)}
    proto = model(
        "(int32[N, 5] i, int32[N, 5] s) => (float[] y, int32[] m) { "
        "y, m = com.microsoft.EmbedLayerNormalization(i, s, words, places, kinds, g, b) }",
        weights,
        also=MICROSOFT,
    )
    found = find_layers(load(proto))
    assert {layer.weight_name: layer.shape for layer in found.by_name.values()} == {
        "words": (11, 4), "places": (7, 4), "kinds": (2, 4),
    }  # fmt: skip
    assert {item.name: item.reason for item in found.declined} == dict.fromkeys(
        "gb", "scale or shift of a normalisation"
    )
    ids, kinds = np.random.default_rng(0).integers(0, 9, (7, 5)).astype(np.int32), np.ones((7, 5), np.int32)
    recorder = Recorder(proto)
    recorder.update({"i": ids, "s": kinds})
    recording = recorder.result()
    by_weight = {found.by_name[name].weight_name: uses[0].mean for name, uses in recording.layers.items()}
    np.testing.assert_allclose(by_weight["words"], np.bincount(ids.ravel(), minlength=11) / ids.size)
    np.testing.assert_allclose(by_weight["kinds"], [0, 1])
    np.testing.assert_allclose(by_weight["places"], [1 / 5] * 5 + [0, 0])
    assert not recording.missing


def test_weights_in_nodes() -> None:
    constant = numpy_helper.from_array(rand(5, 3), "w")
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["w"], value=constant), helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    proto: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    layer, x = only_layer(proto), rand(7, 5)
    np.testing.assert_array_equal(layer.weight(), rand(5, 3))
    recorder = Recorder(proto)
    recorder.update(x)
    ((statistics,),) = recorder.result().layers.values()
    np.testing.assert_allclose(statistics.mean, np.abs(x @ rand(5, 3)).mean(0), rtol=1e-5)


def test_a_weight_inside_of_a_function_is_one_however_often_it_is_called() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21, "my": 1]>
        g (float[N, 2] x) => (float[] y) { h = my.Lin(x) y = my.Lin(h) }
        <domain: "my", opset_import: ["": 21]> Lin (x) => (y) {
            w = Constant<value = float[2, 2] {1.0, 2.0, 3.0, 4.0}>() a = MatMul(x, w) y = Relu(a) }"""
    )
    found = find_layers(load(proto))
    assert {name: (layer.shape, len(layer.uses)) for name, layer in found.by_name.items()} == {"w": ((2, 2), 2)}
    assert found.parameters == 4
