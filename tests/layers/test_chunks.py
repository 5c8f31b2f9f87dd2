"""Weights read in slabs: the same as read whole, in memory that does not grow with the weight."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import wua_onnx as wua
from wua_onnx.importance.measured import Memory, _in_slabs, measured
from wua_onnx.layers import Layer, find_layers
from wua_onnx.layers.chunks import read_slab, slabs
from wua_onnx.model.load import load
from wua_onnx.recording.statistics import NeuronStatistics

from .graphs import MICROSOFT, model

_IN, _OUT = 37, 53
_RNG = np.random.default_rng(11)


def layer_of(nodes: list[onnx.NodeProto], weight: np.ndarray, folder: Path, inputs: dict[str, list[int]]) -> Layer:
    """The only layer of a model with this weight, read from a file."""
    ins = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    outs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in nodes if node.name]
    graph = helper.make_graph(nodes, "one", ins, outs, [numpy_helper.from_array(weight, "w")])
    path = folder / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    (layer,) = find_layers(load(path)).by_name.values()
    return layer


def dense(folder: Path) -> Layer:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="a")
    return layer_of([node], _RNG.standard_normal((_IN, _OUT)).astype(np.float32), folder, {"x": [1, _IN]})


def transposed(folder: Path) -> Layer:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], name="a", transB=1, alpha=0.3)
    return layer_of([node], _RNG.standard_normal((_OUT, _IN)).astype(np.float32), folder, {"x": [1, _IN]})


def cast(folder: Path) -> Layer:
    nodes = [
        helper.make_node("Cast", ["w"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["c"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"], name="a"),
    ]
    return layer_of(nodes, _RNG.standard_normal((_OUT, _IN)).astype(np.float16), folder, {"x": [1, _IN]})


def convolution(folder: Path) -> Layer:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="a")
    return layer_of([node], _RNG.standard_normal((31, 7, 3, 5)).astype(np.float32), folder, {"x": [1, 7, 11, 13]})


def tied(folder: Path) -> Layer:
    """One weight, used as it is and transposed."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], name="a"),
        helper.make_node("Gemm", ["z", "w"], ["v"], name="b", transB=1),
    ]
    weight = _RNG.standard_normal((_IN, _OUT)).astype(np.float32)
    return layer_of(nodes, weight, folder, {"x": [1, _IN], "z": [1, _OUT]})


def in_parts(text: str, weights: dict[str, Any], folder: Path, also: str = "") -> Layer:
    """The only layer of a model whose weight is stored otherwise than it is."""
    path, proto = folder / "one.onnx", model(text, weights, also=also)
    for stored in proto.graph.initializer:  # as bytes, which can lie in a file
        stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored), stored.name))
    onnx.save(proto, path, save_as_external_data=True, location="one.data", size_threshold=0)
    (layer,) = find_layers(load(path)).by_name.values()
    return layer


def eight_bits(folder: Path) -> Layer:
    """A scale and a zero point for each neuron."""
    weights = {
        "w": _RNG.integers(0, 256, (_OUT, _IN)).astype(np.uint8),
        "s": _RNG.random(_OUT).astype(np.float32),
        "z": _RNG.integers(0, 256, _OUT).astype(np.uint8),
    }
    text = "(float[N, 37] x) => (float[] y) { d = DequantizeLinear<axis = 0>(w, s, z) y = Gemm<transB = 1>(x, d) }"
    return in_parts(text, weights, folder)


def half_precision_scales(folder: Path) -> Layer:
    """One for each feature, and a cast and a transposition behind."""
    weights = {"w": _RNG.integers(-128, 128, (_OUT, _IN)).astype(np.int8), "s": _RNG.random(_IN).astype(np.float16)}
    text = """(float[N, 37] x) => (float[] y) { d = DequantizeLinear(w, s) c = Cast<to = 1>(d)
        t = Transpose<perm = [1, 0]>(c) y = MatMul(x, t) }"""
    return in_parts(text, weights, folder)


def four_bits(folder: Path) -> Layer:
    """Two in a byte, rows of an odd length, a scale for each block of 4 of a row."""
    weights = {
        "w": _RNG.integers(-8, 8, (_IN, _OUT)).astype(ml_dtypes.int4),
        "s": _RNG.random((_IN, 14)).astype(np.float32),
    }
    text = """(float[N, 37] x) => (float[] y) { d = DequantizeLinear<axis = 1, block_size = 4>(w, s)
        y = MatMul(x, d) }"""
    return in_parts(text, weights, folder)


def unsigned_four_bits(folder: Path) -> Layer:
    weights = {"w": _RNG.integers(0, 16, (_IN, _OUT)).astype(ml_dtypes.uint4), "s": np.float32(0.3)}
    weights["z"] = np.array(7).astype(ml_dtypes.uint4)
    text = "(float[N, 37] x) => (float[] y) { d = DequantizeLinear(w, s, z) y = MatMul(x, d) }"
    return in_parts(text, weights, folder)


def packed(folder: Path) -> Layer:
    """MatMulNBits: 37 features in 3 blocks of 16, the last one not full, zero points of 4 bits."""
    weights = {
        "w": _RNG.integers(0, 256, (_OUT, 3, 8)).astype(np.uint8),
        "s": _RNG.random(_OUT * 3).astype(np.float32),
        "z": _RNG.integers(0, 256, _OUT * 2).astype(np.uint8),
    }
    attributes = f"K = {_IN}, N = {_OUT}, bits = 4, block_size = 16"
    text = f"(float[N, 37] x) => (float[] y) {{ y = com.microsoft.MatMulNBits<{attributes}>(x, w, s, z) }}"
    return in_parts(text, weights, folder, MICROSOFT)


def blocks_of_rows(folder: Path) -> Layer:
    """A scale and a zero point for 4 rows each, the last block not full: how weights of 4 bits are mostly stored."""
    weights = {
        "w": _RNG.integers(-8, 8, (_IN, _OUT)).astype(ml_dtypes.int4),
        "s": _RNG.random((10, _OUT)).astype(np.float32),
        "z": _RNG.integers(-8, 8, (10, _OUT)).astype(ml_dtypes.int4),
    }
    text = """(float[N, 37] x) => (float[] y) { d = DequantizeLinear<axis = 0, block_size = 4>(w, s, z)
        y = MatMul(x, d) }"""
    return in_parts(text, weights, folder)


def blocks_of_rows_transposed(folder: Path) -> Layer:
    weights = {"w": _RNG.integers(-99, 99, (_OUT, _IN)).astype(np.int8), "s": _RNG.random((11, _IN)).astype(np.float32)}
    text = """(float[N, 37] x) => (float[] y) { d = DequantizeLinear<axis = 0, block_size = 5>(w, s)
        t = Transpose<perm = [1, 0]>(d) y = MatMul(x, t) }"""
    return in_parts(text, weights, folder)


def experts(folder: Path) -> Layer:
    """The first matrix of a mixture of experts: the experts times their neurons are one axis."""
    weights = {"w": _RNG.standard_normal((5, 11, 37)).astype(np.float32)}
    weights["v"] = _RNG.standard_normal((5, 37, 11)).astype(np.float32)
    text = "(float[N, 37] x, float[N, 5] s) => (float[] y) { y = com.microsoft.MoE<k = 2>(x, s, w, , v) }"
    path = folder / "one.onnx"
    onnx.save(model(text, weights, also=MICROSOFT), path)
    return next(iter(find_layers(load(path)).by_name.values()))


def quantized_convolution(folder: Path) -> Layer:
    weights = {
        "w": _RNG.integers(-128, 128, (31, 7, 3, 5)).astype(np.int8),
        "s": _RNG.random(31).astype(np.float32),
        "z": np.zeros(31, np.int8),
        "xs": np.float32(0.1), "xz": np.uint8(3), "ys": np.float32(0.2), "yz": np.uint8(5),
    }  # fmt: skip
    text = "(uint8[N, 7, 11, 13] x) => (uint8[] y) { y = QLinearConv(x, xs, xz, w, s, z, ys, yz) }"
    return in_parts(text, weights, folder)


def recurrent(folder: Path) -> Layer:
    """The recurrent weights of a GRU in both directions: slabs cross from one to the other."""
    weights = {"w": _RNG.standard_normal((2, 33, 1)).astype(np.float32)}
    weights["r"] = _RNG.standard_normal((2, 33, 11)).astype(np.float32)
    text = '(float[T, N, 1] x) => (float[] y) { y = GRU<hidden_size = 11, direction = "bidirectional">(x, w, r) }'
    path = folder / "one.onnx"
    onnx.save(model(text, weights), path)
    return find_layers(load(path)).by_name["r"]


DECODED = [eight_bits, half_precision_scales, four_bits, unsigned_four_bits, packed, quantized_convolution]
DECODED += [blocks_of_rows, blocks_of_rows_transposed]
BUILDERS = [dense, transposed, cast, convolution, tied, recurrent, experts, *DECODED]


def test_rows_that_share_scales_stay_together(tmp_path: Path) -> None:
    pieces = slabs(blocks_of_rows(tmp_path), 100)
    assert pieces is not None
    assert [piece.start for piece in pieces] == list(range(0, _IN, 4))


def test_what_is_computed_of_a_weight_is_not_cut(tmp_path: Path) -> None:
    weights = {"w": _RNG.random((_IN, _OUT)).astype(np.float32)}
    text = "(float[N, 37] x) => (float[] y) { d = Sqrt(w) y = MatMul(x, d) }"
    assert slabs(in_parts(text, weights, tmp_path), 100) is None
    audit = wua.analyze(tmp_path / "one.onnx", memory=2**12)
    (layer,) = audit.to_dict()["layers"]
    assert layer["beyond_memory"] == 20 * _IN * _OUT
    assert "read whole, 38.3 KiB at once: more than" in audit.to_markdown()
    (layer,) = wua.analyze(tmp_path / "one.onnx").to_dict()["layers"]
    assert "beyond_memory" not in layer


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("most", [1, 400, 10**6])
def test_slabs_make_up_the_weight(build: Callable[[Path], Layer], most: int, tmp_path: Path) -> None:
    layer = build(tmp_path)
    pieces = slabs(layer, most)
    assert pieces is not None
    for index, factor in enumerate(layer.factors):
        parts = [read_slab(layer, index, piece) for piece in pieces]
        whole = np.concatenate([weight for weight, _, _ in parts], axis=parts[0][2]) * np.float32(factor)
        np.testing.assert_array_equal(whole, layer.weight(index))
        oriented = np.transpose(whole / np.float32(factor), parts[0][1])
        np.testing.assert_allclose(oriented, layer.weight(0) / np.float32(layer.factors[0]), rtol=1e-6)


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("criterion", ["magnitude", "activation", "activation_normalized"])
def test_slabs_measure_as_the_whole(build: Callable[[Path], Layer], criterion: str, tmp_path: Path) -> None:
    layer = build(tmp_path)
    statistics = [
        NeuronStatistics(mean=_RNG.random(size), standard_error=np.zeros(size), positions=3 + index, non_finite=0)
        for index, use in enumerate(layer.uses)
        for size in [use.arrangement.shape[use.neuron_axis]]
    ]
    whole = measured(layer, criterion, statistics, Memory(1 << 40))
    # 65,536 weights are the smallest slab, so that the slabs of these layers are asked for by themselves.
    pieces = slabs(layer, 200)
    assert pieces is not None
    assert len(pieces) > 3
    got = _in_slabs(layer, criterion, statistics if criterion != "magnitude" else (), pieces)
    bound = got.metrics.error_bound
    for name in ("sum", "entropy", "between_neurons", "within_neurons", "effective", "gini"):
        wanted = getattr(whole.metrics, name)
        assert getattr(got.metrics, name) == pytest.approx(wanted, rel=1e-6, abs=bound.get(name, 0.0)), name
    for name in ("sparsity", "relative_sparsity", "coverage"):
        assert getattr(got.metrics, name) == pytest.approx(
            getattr(whole.metrics, name), abs=bound.get(name, 0.0) + 2 / layer.size
        ), name
    np.testing.assert_allclose(got.neurons, whole.neurons, rtol=1e-5)
    assert repr(got.metrics.baseline) == repr(whole.metrics.baseline)  # which are equal where their NaN is
    assert [gate.name for gate in got.gates] == [gate.name for gate in whole.gates] == list(layer.uses[0].gates)
    for mine, wanted in zip(got.gates, whole.gates, strict=True):
        assert mine.share == pytest.approx(wanted.share, rel=1e-6)
        assert mine.utilization == pytest.approx(wanted.utilization, rel=1e-6)
        assert mine.gini == pytest.approx(wanted.gini, abs=1e-4)


def test_a_large_weight_takes_little_memory(tmp_path: Path) -> None:
    """A weight of 72 MB takes 360 MB to sort; in slabs it takes less than itself."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="a")
    weight = _RNG.standard_normal((6007, 3001), dtype=np.float32)
    layer = layer_of([node], weight, tmp_path, {"x": [1, 6007]})
    expected = np.abs(weight).sum(dtype=np.float64)
    size = weight.nbytes
    del weight
    tracemalloc.start()
    try:
        found = measured(layer, "magnitude", (), Memory(8 << 20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.metrics.sum == pytest.approx(expected, rel=1e-9)
    assert found.metrics.error_bound["gini"] < 1e-6
    assert peak < size
