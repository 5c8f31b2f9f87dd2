"""Recordings split over recorders, saved, and joined again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx import analyze
from wua_onnx.errors import DataError, WuaError
from wua_onnx.recording import Recorder, Recording
from wua_onnx.recording.statistics import NeuronStatistics

from .models import N, images, mlp, model, rand, resnet
from .test_kinds_of_reading import T, masked_model, recurrent

EVERYTHING = ("square", "firing", "range", "histogram", "map", "features")


def same(a: Recording, b: Recording, within: float = 1e-6) -> None:
    assert a.layers.keys() == b.layers.keys()
    assert (a.samples, a.missing, a.correct, a.labelled) == (b.samples, b.missing, b.correct, b.labelled)
    for name in a.layers:
        for first, second in zip(a.layers[name], b.layers[name], strict=True):
            for field in NeuronStatistics.__slots__:
                one, two = getattr(first, field), getattr(second, field)
                if isinstance(one, np.ndarray):
                    atol = within * float(np.nanmax(np.abs(two), initial=0.0))
                    rtol = 1e-3 if field == "standard_error" else 0
                    np.testing.assert_allclose(one, two, rtol=rtol, atol=atol, err_msg=f"{name}.{field}")
                else:
                    assert one == two, f"{name}.{field}"


def ids_and_mask() -> dict[str, Any]:
    random = np.random.default_rng(1)
    mask = np.arange(T) < random.integers(1, T + 1, N)[:, None]
    return {"ids": random.integers(0, 13, (N, T)), "attention_mask": mask.astype(np.int64)}


CASES: dict[str, tuple[Any, dict[str, Any], int]] = {
    "mlp": (mlp, {"x": rand(N, 5)}, 0),
    "resnet": (resnet, {"x": images()}, 0),
    "lstm": (lambda: recurrent("LSTM", both=True), {"x": rand(T, N, 5)}, 1),
    "masked": (masked_model, ids_and_mask(), 0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("permuted", [False, True])
def test_however_the_stream_is_cut(case: str, size: int, permuted: bool, tmp_path: Path) -> None:
    make, feeds, axis = CASES[case]
    proto = make()
    whole = Recorder(proto, batch_size=N, statistics=EVERYTHING, batch_axis=axis)
    whole.update(feeds)
    order = np.random.default_rng(2).permutation(N) if permuted else np.arange(N)
    parts = []
    for cut in (order[:13], order[13:14], order[14:]):
        parts.append(Recorder(proto, batch_size=size, statistics=EVERYTHING, batch_axis=axis))
        parts[-1].update({name: array.take(cut, axis if name == "x" else 0) for name, array in feeds.items()})
    parts[0].merge(parts[1])
    saved = parts[2].save(tmp_path / "part.npz")
    joined = Recorder(proto, statistics=EVERYTHING, batch_axis=axis, run=False)
    joined.merge(parts[0])
    joined.load(saved)
    same(joined.result(), whole.result())
    same(Recorder.restore(proto, joined.save(tmp_path / "all.npz")).result(), whole.result())


def test_labels_are_joined_too() -> None:
    x, y = rand(N, 5), np.arange(N) % 3
    whole, first, second = (Recorder(mlp()) for _ in range(3))
    whole.update(x, y)
    first.update(x[:11], y[:11])
    second.update(x[11:], y[11:])
    first.merge(second)
    same(first.result(), whole.result())


def changed_weight() -> onnx.ModelProto:
    proto = mlp()
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "v")
    weight.CopyFrom(onnx.numpy_helper.from_array(rand(7, 11, seed=99), "v"))
    return proto


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (resnet, {}, "got another model"),
        (changed_weight, {}, "got another model"),
        (mlp, {"statistics": ["range"]}, "got another plan: statistics"),
        (mlp, {"activation": "pre"}, "got another plan: activation"),
    ],
)
def test_other_models_and_plans_are_refused(other: Any, options: Any, message: str, tmp_path: Path) -> None:
    recorder, stranger = Recorder(mlp()), Recorder(other(), **options)
    recorder.update(rand(N, 5))
    before = recorder.result()
    with pytest.raises(DataError, match=message):
        recorder.merge(stranger)
    with pytest.raises(DataError, match=message):
        recorder.load(stranger.save(tmp_path / "other.npz"))
    same(recorder.result(), before)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x80\x04pickle", None])
def test_a_file_that_is_no_recording(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "recording.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"recording\.npz: expected a recording"):
        Recorder(mlp(), run=False).load(path)


def test_arrays_of_something_else_are_no_recording(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=rand(3))
    with pytest.raises(DataError, match=r"written by Recorder\.save"):
        Recorder(mlp(), run=False).load(tmp_path / "x.npz")


def test_an_audit_from_a_saved_recording(tmp_path: Path) -> None:
    x = rand(N, 5)
    proto = mlp()
    recorder = Recorder(proto, statistics=["features"])
    recorder.update(x)
    criteria = ["activation", "wanda"]
    there = analyze(proto, recording=recorder.save(tmp_path / "r.npz"), criterion=criteria)
    here = analyze(proto, x, criterion=criteria)
    for name, layer in here.layers.items():
        for criterion in criteria:
            # As text: a baseline has no sum, and NaN is not NaN.
            assert repr(there.layers[name].metrics_by[criterion]) == repr(layer.metrics_by[criterion])


def test_a_recording_without_what_a_criterion_needs() -> None:
    recorder = Recorder(mlp())
    recorder.update(rand(N, 5))
    with pytest.raises(WuaError, match="'wanda': expected a recording with the statistics features, got one without"):
        analyze(mlp(), recording=recorder, criterion="wanda")


def test_a_generator_that_fails_keeps_what_was_recorded() -> None:
    def stream() -> Any:
        yield rand(32, 5)
        yield rand(5, 5)
        raise OSError("disk gone")

    audit = analyze(
        model("(float[N, 5] x) => (float[] y) { a = MatMul(x, w) y = Relu(a) }", {"w": rand(5, 3)}), stream()
    )
    recording = audit.to_dict()["recording"]
    assert recording["samples"] == 37
    assert "OSError: disk gone (after 37 samples)" in recording["error"]
