"""The recorder: streams, devices, what it refuses, what it says is missing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from wua_onnx.errors import DataError, DeviceError, ExternalDataError, RunError
from wua_onnx.layers import find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder, instrument

from .models import Array, N, images, mlp, model, rand, resnet
from .naive import assert_recorded


def test_updates_add_up() -> None:
    X = images()
    recorder = Recorder(resnet())
    for part in (X[:5], [X[5:7], X[7:20]], (block for block in (X[20:21], X[21:]))):
        recorder.update(part)
    recording = recorder.result()
    assert recording.samples == N
    assert_recorded(recording, resnet(), [{"x": X}])


def test_progress_counts_samples() -> None:
    seen: list[tuple[int, int | None]] = []
    recorder = Recorder(resnet(), batch_size=16)
    recorder.update(images(), progress=lambda done, total: seen.append((done, total)))
    recorder.update(iter([images(3)]), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(16, N), (32, N), (N, N), (N + 3, None)]


def test_memory_does_not_grow_with_the_stream() -> None:
    """64 MB go through in blocks of 1 MB."""

    def stream(blocks: int) -> Iterator[Array]:
        for i in range(blocks):
            yield np.full((64, 4096), i, np.float32)

    proto = model("(float[N, 4096] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": rand(4096, 3)})
    recorder = Recorder(proto, batch_size=64)
    recorder.update(stream(2))
    tracemalloc.start()
    recorder.update(stream(64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert recorder.samples == 66 * 64
    assert peak < 6 * 2**20


def test_a_big_file_is_read_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "X.npy"
    np.save(path, np.ones((2048, 4096), np.float64))  # 64 MB, of another float type
    proto = model("(float[N, 4096] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": rand(4096, 3)})
    recorder = Recorder(proto, batch_size=64)
    tracemalloc.start()
    recorder.update(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert recorder.samples == 2048
    assert peak < 12 * 2**20


def test_a_stream_that_fails_keeps_what_was_recorded() -> None:
    def stream() -> Iterator[Array]:
        yield images(32)
        yield images(5)
        raise OSError("disk gone")

    recorder = Recorder(resnet(), batch_size=8)
    with pytest.raises(DataError, match="expected an iterator that goes on, got OSError: disk gone"):
        recorder.update(stream())
    recording = recorder.result()
    assert recording.samples == 37
    assert_recorded(recording, resnet(), [{"x": images(32)}, {"x": images(5)}])


@pytest.mark.parametrize("one_hot", [False, True])
def test_accuracy(one_hot: bool) -> None:
    X = rand(N, 5, seed=9)
    identity = model("(float[N, 5] x) => (float[] y) { y = MatMul(x, w) }", {"w": np.eye(5, dtype=np.float32)})
    y = X.argmax(axis=1)
    y[:7] += 1
    y %= 5
    recorder = Recorder(identity, batch_size=8)
    recorder.update(X, np.eye(5)[y] if one_hot else y)
    recording = recorder.result()
    assert (recording.correct, recording.labelled) == (N - 7, N)


def test_without_labels_or_classes_there_is_no_accuracy() -> None:
    recorder = Recorder(mlp())
    recorder.update(rand(N, 5))
    assert recorder.result().correct is None
    recorder = Recorder(model("(float[N, 5] x) => (float[] y) { y = MatMul(x, w) }", {"w": rand(5, 1)}))
    recorder.update(rand(N, 5), np.zeros(N))
    assert (recorder.result().correct, recorder.result().labelled) == (None, 0)


def test_an_operator_that_onnxruntime_lacks() -> None:
    proto = model(
        "(float[N, 5] x) => (float[] y) { a = MatMul(x, w) y = acme.Foo(a) }", {"w": rand(5, 3)}, also='"acme": 1'
    )
    with pytest.raises(RunError, match=r"onnxruntime cannot load the model: .*acme.*Foo"):
        Recorder(proto)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="expected one of cpu, cuda, got 'tpu'"):
        Recorder(mlp(), device="tpu")


def test_a_layer_whose_activation_has_no_rank_is_named() -> None:
    proto = model(
        "(float[N, 5] x, float[] z) => (float[] y) { a = MatMul(x, w) b = Relu(a) y = Gemm(b, v) m = MatMul(z, u) }",
        {"w": rand(5, 3), "v": rand(3, 2), "u": rand(2, 2)},
    )
    proto.graph.output.append(onnx.ValueInfoProto(name="m"))
    loaded = load(proto)
    found = find_layers(loaded)
    assert [d.reason for d in found.declined if d.name == "u"] == ["MatMul: the rank of its other operand is unknown"]
    assert instrument(loaded, found.by_name).missing == {}


def test_a_layer_of_integers_is_named() -> None:
    proto = model("(int32[N, 5] x) => (int32[] y) { y = MatMul(x, w) }", {"w": np.ones((5, 3), np.int32)})
    loaded = load(proto)
    plan = instrument(loaded, find_layers(loaded).by_name)
    assert plan.missing == {("w", 0): "its activation is of type INT32, which no reduction takes"}
    recorder = Recorder(proto)
    recorder.update(np.ones((N, 5), np.int32))
    assert recorder.result().missing == {"w": plan.missing["w", 0]}
    assert recorder.result().layers == {}


def test_external_weights_stay_on_disk_and_must_be_there(tmp_path: Path) -> None:
    proto = model("(float[N, 500] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": rand(500, 300)})
    path = tmp_path / "m.onnx"
    split = onnx.ModelProto.FromString(proto.SerializeToString())  # saving moves the weights out of what it is given
    onnx.save(split, path, save_as_external_data=True, location="m.data", size_threshold=0)
    loaded = load(path)
    plan = instrument(loaded, find_layers(loaded).by_name)
    assert len(plan.model) < 2000
    X = rand(11, 500)
    recorder = Recorder(path)
    recorder.update(X)
    assert_recorded(recorder.result(), proto, [{"x": X}])
    (tmp_path / "m.data").unlink()
    with pytest.raises(ExternalDataError, match=r"initializer 'w': external data 'm.data': expected .*, got none"):
        Recorder(path)


def test_embedded_weights_of_a_file_need_no_copy(tmp_path: Path) -> None:
    proto = model("(float[N, 500] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": rand(500, 300)})
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    loaded = load(path)
    assert len(instrument(loaded, find_layers(loaded).by_name).model) < 2000
    recorder = Recorder(path)
    recorder.update(rand(11, 500))
    assert_recorded(recorder.result(), proto, [{"x": rand(11, 500)}])


def test_in_a_child_process_the_same_is_recorded() -> None:
    X = images()
    here, there = Recorder(resnet()), Recorder(resnet(), isolate=True)
    for recorder in (here, there):
        recorder.update(X)
    for name, uses in here.result().layers.items():
        np.testing.assert_array_equal(uses[0].mean, there.result().layers[name][0].mean)


def test_only_what_is_asked_for_is_recorded() -> None:
    loaded = load(resnet())
    layers = find_layers(loaded).by_name
    chosen = {name: layers[name] for name in list(layers)[1:3]}
    recorder = Recorder(loaded, layers=chosen)
    recorder.update(images())
    assert recorder.result().layers.keys() == chosen.keys()


def test_layers_of_another_load_are_refused() -> None:
    loaded, again = load(resnet()), load(resnet())
    message = "layers: 'a': expected a layer found in the model that is recorded, got one of another"
    with pytest.raises(DataError, match=message):
        Recorder(loaded, layers=find_layers(again).by_name)
    Recorder(again, layers=find_layers(again).by_name).update(images(3))


def test_outputs_of_other_kinds_do_no_harm() -> None:
    proto = model(
        """(float[N, 5] x) => (seq(float[]) y) { a = MatMul(x, w) b = Relu(a) y = SequenceConstruct(a, b) }""",
        {"w": rand(5, 3)},
    )
    recorder = Recorder(proto)
    recorder.update(rand(N, 5), np.zeros(N))
    assert (recorder.result().samples, recorder.result().correct) == (N, None)
    assert recorder.result().layers.keys() == {"w"}
