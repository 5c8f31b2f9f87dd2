"""Every kind of layer recorded, against NumPy on the values that the operators themselves return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx.layers import find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder, Recording

from .models import MICROSOFT, Array, N, model, rand, session

X = rand(N, 7, seed=9)
IMAGES = rand(N, 3, 7, 5, seed=9)


def integers(*shape: int, low: int = -99, high: int = 99, dtype: Any = np.int8, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


def recorded(proto: onnx.ModelProto, feeds: dict[str, Array], **options: Any) -> Recording:
    recorder = Recorder(proto, statistics=("features",), **options)
    recorder.update(feeds)
    return recorder.result()


def values(proto: onnx.ModelProto, feeds: dict[str, Array], *names: str) -> list[Array]:
    """Return values from inside of a plain run."""
    whole = onnx.ModelProto.FromString(proto.SerializeToString())
    known = {output.name for output in whole.graph.output}
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return [np.asarray(value) for value in session(whole).run(list(names), feeds)]


def outputs_stay(found: Recording, proto: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    for (name, got), wanted in zip(found.outputs.items(), session(proto).run(None, feeds), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 * (np.abs(wanted).max() or 1), err_msg=name)


FLOATS = {"x": "float[N, 7] x", "i": "float[N, 3, 7, 5] x", "t": "float[N, 2, 7] x"}
STEP = {"s": np.float32(0.03), "z": np.uint8(120), "ws": np.float32(0.01), "wz": np.int8(2),
        "ys": np.float32(0.07), "yz": np.uint8(101)}  # fmt: skip
# input, nodes, weights, the value where the neurons are, its axes, its scale and zero point, the name of the function
KINDS: dict[str, tuple[str, str, dict[str, Any], str, tuple[int, ...], tuple[float, int], str | None]] = {
    "ConvTranspose": (
        "i", "a = ConvTranspose<strides = [2, 2], group = 3>(x, w, b) y = Relu(a)",
        {"w": rand(3, 2, 3, 3), "b": rand(6)}, "y", (1,), (1, 0), "ReLU",
    ),
    "DeformConv": (
        "i", "o = ConstantOfShape<value = float[1] {0.5}>(os) y = DeformConv<pads = [1, 1, 1, 1]>(x, w, o)",
        {"w": rand(5, 3, 3, 3), "os": np.array([N, 18, 7, 5])}, "y", (1,), (1, 0), None,
    ),
    "FusedConv": (
        "i", 'y = com.microsoft.FusedConv<activation = "LeakyRelu", activation_params = [0.1]>(x, w, b)',
        {"w": rand(5, 3, 3, 3), "b": rand(5)}, "y", (1,), (1, 0), "LeakyReLU",
    ),
    "FusedGemm": (
        "x", 'y = com.microsoft.FusedGemm<activation = "Relu", transB = 1>(x, w, b)',
        {"w": rand(3, 7), "b": rand(3)}, "y", (1,), (1, 0), "ReLU",
    ),
    "Einsum": (
        "t", 'a = Einsum<equation = "bsd, dhk -> bhsk">(x, w) y = Tanh(a)',
        {"w": rand(7, 2, 3)}, "y", (1, 3), (1, 0), "Tanh",
    ),
    "experts": (
        "t", 'a = Einsum<equation = "bei, eio -> beo">(x, w) p = Add(a, b) y = Relu(p)',
        {"w": rand(2, 7, 3), "b": rand(2, 3)}, "y", (1, 2), (1, 0), "ReLU",
    ),
    "MatMulInteger": (
        "x", "q, qs, qz = DynamicQuantizeLinear(x) a = MatMulInteger(q, w, qz, wz) c = Cast<to = 1>(a) k = Mul(qs, ws) "
        "f = Mul(c, k) p = Add(f, b) y = Relu(p)",
        {"w": integers(7, 3), "b": rand(3), **STEP}, "y", (1,), (1, 0), "ReLU",
    ),
    "ConvInteger": (
        "i", "q, qs, qz = DynamicQuantizeLinear(x) a = ConvInteger(q, w, qz, wz) c = Cast<to = 1>(a) k = Mul(qs, ws) "
        "f = Mul(c, k) y = Relu(f)",
        {"w": integers(5, 3, 3, 3), **STEP}, "y", (1,), (1, 0), "ReLU",
    ),
    "QLinearConv": (
        "i", "q = QuantizeLinear(x, s, z) y = QLinearConv(q, s, z, w, ws, wz, ys, yz)",
        {"w": integers(5, 3, 3, 3), **STEP}, "y", (1,), (0.07, 101), None,
    ),
    "QLinearConv, then a function of integers": (
        "i", "q = QuantizeLinear(x, s, z) a = QLinearConv(q, s, z, w, ws, wz, ys, yz) "
        "y = com.microsoft.QLinearSigmoid(a, ys, yz, ws, none)",
        {"w": integers(5, 3, 3, 3), "none": np.uint8(0), **STEP}, "y", (1,), (0.01, 0), "Sigmoid",
    ),
    "QLinearMatMul, then real numbers": (
        "t", "q = QuantizeLinear(x, s, z) a = QLinearMatMul(q, s, z, w, ws, wz, ys, yz) "
        "d = DequantizeLinear(a, ys, yz) y = Relu(d)",
        {"w": integers(7, 3), **STEP}, "y", (2,), (1, 0), "ReLU",
    ),
    "MatMulNBits": (
        "x", "a = com.microsoft.MatMulNBits<K = 7, N = 3, bits = 4, block_size = 16>(x, w, k) y = Relu(a)",
        {"w": integers(3, 1, 8, low=0, high=256, dtype=np.uint8), "k": np.abs(rand(3, 1))}, "y", (1,), (1, 0), "ReLU",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize("size", [11, 64])
def test_means_are_those_of_the_real_numbers(case: str, size: int) -> None:
    given, nodes, weights, place, axes, (scale, zero), function = KINDS[case]
    if case == "DeformConv" or ("Dynamic" in nodes and size < N):
        size = N  # offsets of one size; or a scale that the batch decides
    text = f"({FLOATS[given]}) => (uint8[] y) {{ {nodes} }}".replace("uint8[] y", "auto y")
    kind = "uint8" if zero or (scale, zero) == (0.01, 0) else "float"
    proto = model(text.replace("auto y", f"{kind}[] y"), weights, also=MICROSOFT)
    feeds = {"x": {"x": X, "i": IMAGES, "t": rand(N, 2, 7, seed=9)}[given]}
    found = recorded(proto, feeds, batch_size=size, keep_outputs=size >= N)
    assert not found.missing
    (whole,) = values(proto, feeds, place)
    real = (whole.astype(np.float64) - zero) * scale
    others = tuple(axis for axis in range(real.ndim) if axis not in axes)
    ((statistics,),) = found.layers.values()
    expected = np.abs(real).mean(axis=others).reshape(-1)
    np.testing.assert_allclose(statistics.mean, expected, rtol=0, atol=1e-5 * expected.max())
    (layer,) = find_layers(load(proto)).by_name.values()
    known = layer.activations[0].function
    assert (known.name if known else None) == function
    if size >= N:
        outputs_stay(found, proto, feeds)


@pytest.mark.parametrize("case", [case for case in KINDS if case not in ("DeformConv",)])
def test_norms_are_those_of_the_real_numbers_that_come_in(case: str) -> None:
    given, nodes, weights, _, _, (scale, zero), _ = KINDS[case]
    kind = "uint8" if zero or (scale, zero) == (0.01, 0) else "float"
    proto = model(f"({FLOATS[given]}) => ({kind}[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    x = {"x": X, "i": IMAGES, "t": rand(N, 2, 7, seed=9)}[given]
    ((statistics,),) = recorded(proto, {"x": x}, batch_size=64).layers.values()
    real = x.astype(np.float64)
    if "QuantizeLinear(x, s, z)" in nodes:
        real = (np.clip(np.rint(x / STEP["s"]) + 120, 0, 255) - 120) * 0.03
    axes = {"x": (0,), "i": (0, 2, 3), "t": (0,) if case == "experts" else (0, 1)}[given]
    expected = np.sqrt(np.square(real).sum(axis=axes))
    expected = expected.T.reshape(-1) if case == "experts" else expected
    assert statistics.input_norms is not None
    np.testing.assert_allclose(statistics.input_norms, expected, rtol=1e-4)


MISSING: dict[str, tuple[str, dict[str, Any], str]] = {
    "whole steps only": (
        "q, qs, qz = DynamicQuantizeLinear(x) y = MatMulInteger(q, w, qz, wz)",
        {"w": integers(7, 3), **STEP},
        "its integer result is not brought to real units",
    ),
    "integers of which nobody knows what they are": (
        "q = Cast<to = 2>(x) y = MatMulInteger(q, w)",
        {"w": integers(7, 3)},
        "the scale of what it multiplies is unknown",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_cannot_be_read_is_named(case: str) -> None:
    nodes, weights, reason = MISSING[case]
    kind = "int32" if "Integer" in nodes else "float"
    proto = model(f"(float[N, 7] x, float[N, 2] r) => ({kind}[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    feeds = {"x": np.abs(X), "r": rand(N, 2)}
    found = recorded(proto, feeds, batch_size=64, keep_outputs=True)
    assert found.layers == {}
    assert found.missing
    assert all(why.startswith(reason) for why in found.missing.values())
    outputs_stay(found, proto, feeds)


IDS = np.random.default_rng(5).integers(0, 9, (N, 5))
TABLES: dict[str, tuple[str, dict[str, Any], Callable[[], Array]]] = {
    "rows": ("y = Gather(w, i)", {"w": rand(11, 3)}, lambda: rand(11, 3)),
    "columns": ("y = Gather<axis = 1>(w, i)", {"w": rand(3, 11)}, lambda: rand(3, 11).T),
    "single numbers": ("y = Gather(w, i)", {"w": rand(11)}, lambda: rand(11)[:, None]),
    "rows by GatherND": (
        "j = Unsqueeze(i, last) y = GatherND(w, j)",
        {"w": rand(11, 3), "last": np.array([-1])},
        lambda: rand(11, 3),
    ),
    "matrices of experts": (
        "j = Unsqueeze(i, last) y = GatherND(w, j)",
        {"w": rand(11, 3, 2), "last": np.array([-1])},
        lambda: rand(11, 3, 2),
    ),
    "integers": (
        "q = Gather(w, i) y = DequantizeLinear(q, ws, wz)",
        {"w": integers(11, 3), **STEP},
        lambda: (integers(11, 3).astype(np.float32) - 2) * np.float32(0.01),
    ),
    "integers with a scale for each feature": (
        "q = Gather(w, i) y = DequantizeLinear<axis = 2>(q, k)",
        {"w": integers(11, 3), "k": np.array([1, 2, 3], np.float32)},
        lambda: integers(11, 3).astype(np.float32) * np.array([1, 2, 3], np.float32),
    ),
    "bytes in blocks": (
        "y = com.microsoft.GatherBlockQuantized<bits = 8, block_size = 16, quantize_axis = 1>(w, i, k)",
        {"w": integers(11, 32, low=0, high=256, dtype=np.uint8), "k": np.abs(rand(11, 2))},
        lambda: (
            (integers(11, 32, low=0, high=256, dtype=np.uint8).astype(np.float32) - 128)
            * np.repeat(np.abs(rand(11, 2)), 16, axis=1)
        ),
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables(case: str) -> None:
    nodes, weights, table = TABLES[case]
    proto = model(f"(int64[N, 5] i) => (float[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    (layer,) = find_layers(load(proto)).by_name.values()
    assert (layer.kind, layer.neuron_axis) == ("embedding", 0)
    np.testing.assert_allclose(layer.weight(), table(), rtol=1e-6)
    found = recorded(proto, {"i": IDS}, batch_size=11)
    ((statistics,),) = found.layers.values()
    np.testing.assert_allclose(statistics.mean, np.bincount(IDS.ravel(), minlength=11) / IDS.size)
    rows = session(proto).run(None, {"i": IDS})[0]
    looked_up = layer.weight()[IDS].reshape(-1)
    np.testing.assert_allclose(np.sort(np.asarray(rows).reshape(-1)), np.sort(looked_up), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_of_four_bits(packed: bool) -> None:
    """The operator looks up every row once: its result is the canonical weight."""
    weights: dict[str, Any] = {
        "w": integers(11, 16, low=0, high=256, dtype=np.uint8),
        "k": np.abs(rand(11, 2)),
    }
    if packed:
        weights["z"] = integers(11, 1, low=0, high=256, dtype=np.uint8)
    nodes = f"""y = com.microsoft.GatherBlockQuantized<bits = 4, block_size = 16, quantize_axis = 1>(
        w, i, k{", z" if packed else ""})"""
    proto = model(f"(int64[N] i) => (float[] y) {{ {nodes} }}", weights, also=MICROSOFT)
    (layer,) = find_layers(load(proto)).by_name.values()
    assert (layer.shape, layer.stored) == ((11, 32), 11 * 16)
    np.testing.assert_allclose(layer.weight(), session(proto).run(None, {"i": np.arange(11)})[0], rtol=1e-6)
