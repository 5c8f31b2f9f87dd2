"""Recorded means against whole activations, and the model's own outputs against a plain session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx.recording import Recorder, Recording

from .models import CASES, Array, N, images, mlp, model, rand, resnet, session
from .naive import assert_outputs_unchanged, assert_recorded

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits.onnx"


def record(proto: onnx.ModelProto, X: Any, **options: Any) -> Recording:
    recorder = Recorder(proto, **options)
    recorder.update(X)
    return recorder.result()


@pytest.mark.parametrize("case", CASES)
def test_means_and_outputs(case: str) -> None:
    proto, feeds = CASES[case]
    recording = record(proto, feeds)
    assert recording.samples == N
    assert_recorded(recording, proto, [feeds])
    assert_outputs_unchanged(proto, feeds)


def test_the_shipped_model_on_its_data() -> None:
    with np.load(DIGITS.with_suffix(".npz")) as data:
        X, y = data["X"], data["y"]
    proto = onnx.load(DIGITS)
    recorder = Recorder(DIGITS)
    recorder.update(DIGITS.with_suffix(".npz"))
    recording = recorder.result()
    name = proto.graph.input[0].name
    assert_recorded(recording, proto, [{name: X}])
    assert_outputs_unchanged(proto, {name: X})
    predicted = session(proto).run(None, {name: X})[0].argmax(axis=1)
    assert (recording.correct, recording.labelled) == (int((predicted == y).sum()), len(y))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_how_the_data_is_cut_does_not_matter(case: str, size: int) -> None:
    proto, feeds = CASES[case]
    whole, cut = record(proto, feeds, batch_size=N), record(proto, feeds, batch_size=size)
    assert cut.batches == -(-N // size)
    for name, uses in whole.layers.items():
        for one, other in zip(uses, cut.layers[name], strict=True):
            np.testing.assert_allclose(other.mean, one.mean, atol=1e-6 * one.mean.max())


@pytest.mark.parametrize("opset", [7, 11, 13, 18, 21])
@pytest.mark.parametrize(("build", "X"), [(mlp, rand(N, 5, seed=9)), (resnet, images())])
def test_opsets(opset: int, build: Any, X: Array) -> None:
    proto = build(opset)
    assert_recorded(record(proto, X), proto, [{"x": X}])
    assert_outputs_unchanged(proto, {"x": X})


@pytest.mark.parametrize(("batch", "samples"), [(1, 3), (4, 11), (4, 8), (4, 1), (64, 65), (64, 1)])
def test_fixed_batches_with_a_rest(batch: int, samples: int) -> None:
    free, fixed = resnet(), resnet(shape=f"{batch}, 3, 17, 13")
    X = images(samples)
    recording = record(fixed, X)
    assert (recording.samples, recording.batch_size) == (samples, batch)
    assert_recorded(recording, free, [{"x": X}])
    assert {uses[0].positions for uses in recording.layers.values()} == {samples * 9 * 7, samples}


def test_free_sizes_of_images() -> None:
    proto = resnet(shape="N, 3, H, W")
    runs = [{"x": rand(5, 3, 17, 13, seed=1)}, {"x": rand(3, 3, 8, 30, seed=2)}, {"x": rand(2, 3, 8, 30, seed=3)}]
    recording = record(proto, [run["x"] for run in runs])
    assert (recording.samples, recording.batches) == (10, 2)  # blocks of one size are joined
    assert_recorded(recording, proto, runs)
    assert_outputs_unchanged(proto, runs[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats(dtype: Any) -> None:
    name = {np.float16: "float16", np.float64: "double"}[dtype]
    proto = model(  # onnxruntime has no convolution of doubles
        f"({name}[N, 9, 3] x) => ({name}[] y) {{ c = MatMul(x, k) r = Relu(c) d = MatMul(r, w) s = Sigmoid(d) "
        "p = Mul(d, s) t = Transpose<perm = [0, 2, 1]>(p) y = Tanh(t) }",
        {"k": rand(3, 5, dtype=dtype), "w": rand(5, 7, dtype=dtype)},
    )
    feeds = {"x": rand(N, 9, 3, seed=9, dtype=dtype)}
    assert_recorded(record(proto, feeds), proto, [feeds], within=1e-5 if dtype is np.float64 else 1e-3)
    assert_outputs_unchanged(proto, feeds)


def test_half_precision_sums_in_double() -> None:
    """70,000 ones: half precision alone stops at 2,048."""
    proto = model(
        "(float16[N, 1] x) => (float16[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": np.ones((1, 1), np.float16)}
    )
    (statistics,) = record(proto, np.ones((70_000, 1), np.float16), batch_size=35_000).layers["w"]
    assert statistics.mean == [1.0]


def test_weights_that_are_inputs_too() -> None:
    proto = resnet(7)
    for initializer in proto.graph.initializer:
        info = onnx.helper.make_tensor_value_info(initializer.name, initializer.data_type, initializer.dims)
        proto.graph.input.append(info)
    feeds = {"x": images()}
    assert_recorded(record(proto, feeds), proto, [feeds])
    assert_outputs_unchanged(proto, feeds)


def test_activations_that_are_outputs_and_names_that_are_taken() -> None:
    proto = model(
        """(float[N, 5] x) => (float[] wua_tap_1, float[] y) {
            wua_tap_0 = MatMul(x, w) wua_tap_1 = Sigmoid(wua_tap_0)
            [wua_tap_node_0] wua_tap__0 = MatMul(wua_tap_1, v) y = Relu(wua_tap__0)
        }""",
        {"w": rand(5, 7), "v": rand(7, 3)},
    )
    feeds = {"x": rand(N, 5, seed=9)}
    assert_recorded(record(proto, feeds), proto, [feeds])
    assert_outputs_unchanged(proto, feeds)


def test_the_standard_domain_by_its_long_name() -> None:
    proto = mlp(13)
    proto.opset_import[0].domain = "ai.onnx"
    feeds = {"x": rand(N, 5, seed=9)}
    assert_recorded(record(proto, feeds), proto, [feeds])


def test_before_the_activation() -> None:
    proto = mlp()
    X = rand(N, 5, seed=9)
    recorder = Recorder(proto, activation="pre")
    recorder.update(X)
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in proto.graph.initializer}
    (statistics,) = recorder.result().layers["w"]
    np.testing.assert_allclose(statistics.mean, np.abs(X @ weights["w"] + weights["b"]).mean(axis=0), rtol=1e-5)


def test_samples_along_another_axis() -> None:
    proto = model("(float[7, N, 5] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": rand(5, 3)})
    X = rand(7, N, 5, seed=9)
    recording = record(proto, X, batch_axis=1, batch_size=4)
    assert (recording.samples, recording.batches) == (N, 10)
    assert_recorded(recording, proto, [{"x": X}])
    per_sample = np.maximum(X @ rand(5, 3), 0).mean(axis=0, dtype=np.float64)
    (statistics,) = recording.layers["w"]
    np.testing.assert_allclose(statistics.standard_error, per_sample.std(axis=0, ddof=1) / np.sqrt(N), rtol=1e-4)


def test_one_weight_used_twice_is_recorded_twice() -> None:
    proto = model(
        "(float[N, 5] x) => (float[] y) { a = MatMul(x, w) r = Relu(a) b = MatMul(r, w) y = Sigmoid(b) }",
        {"w": rand(5, 5)},
    )
    feeds = {"x": rand(N, 5, seed=9)}
    recording = record(proto, feeds)
    assert len(recording.layers["w"]) == 2
    assert_recorded(recording, proto, [feeds])
