"""What a recording, and an audit that is given one, say of input that does not fit; what came before it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.errors import DataError, RunError, WuaError
from wua_onnx.recording import Recorder

from .models import Array, mlp, model, rand, resnet, vit
from .naive import assert_recorded

GOOD = rand(20, 5)


def with_nan() -> Array:
    block = rand(5, 5)
    block[2, 1] = np.nan
    return block


BLOCKS: dict[str, tuple[Any, str]] = {
    "NaN": (with_nan(), r"samples 20 to 25: expected numbers, got 1 NaN, the first at \[2, 1\]"),
    "integers": (np.ones((5, 5), int), "expected element type float32, got int64"),
    "shape": (rand(5, 3), r"expected that shape, got float32 \[5, 3\]"),
    "nothing": (None, "expected arrays of numbers, got NoneType"),
    "empty": (rand(0, 5), r"expected at least one sample, got float32 \[0, 5\]"),
    "too large": (np.full((5, 5), 1e300), "samples 20 to 25: expected values that float32 can hold, got 1e"),
    "more inputs": ((GOOD, GOOD, GOOD), r"expected 1 arrays \(input 'x' float32 \[N, 5\]\), got 3"),
}


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_a_bad_block_of_a_stream_costs_none_before_it(kind: str, batch_size: int) -> None:
    block, message = BLOCKS[kind]
    recorder = Recorder(mlp(), batch_size=batch_size)
    with pytest.raises(DataError, match=message):
        recorder.update(iter([GOOD, block, GOOD]))
    assert recorder.samples == 20
    assert_recorded(recorder.result(), mlp(), [{"x": GOOD}])
    audit = wua.analyze(mlp(), iter([GOOD, block]), batch_size=batch_size).to_dict()
    assert audit["recording"]["samples"] == 20
    assert "(after 20 samples)" in audit["recording"]["error"]


def test_an_interrupted_recording_is_kept() -> None:
    def stream() -> Iterator[Array]:
        yield GOOD
        raise KeyboardInterrupt

    recorder = Recorder(mlp(), batch_size=7)
    with pytest.raises(KeyboardInterrupt):
        recorder.update(stream())
    assert recorder.samples == 14  # whole batches; the rest waited for more
    recorder.update(GOOD[14:])
    assert_recorded(recorder.result(), mlp(), [{"x": GOOD}])


@pytest.mark.parametrize("size", [0, -3, 2.5, "8"])
def test_batch_sizes(size: Any) -> None:
    with pytest.raises(DataError, match="batch_size: expected a whole number, at least 1, got"):
        wua.analyze(mlp(), GOOD, batch_size=size)
    assert Recorder(mlp(), batch_size=np.int64(8)).batch_size == 8  # type: ignore[arg-type] # NumPy's integers are taken, too


@pytest.mark.parametrize("axis", [-1, 2, 7])
def test_an_axis_that_no_input_has(axis: int) -> None:
    with pytest.raises(DataError, match=f"batch_axis: expected an axis of an input, 0 to 1, got {axis}"):
        Recorder(mlp(), batch_axis=axis)


def test_settings() -> None:
    with pytest.raises(DataError, match="activation: expected 'post' or 'pre', got 'after'"):
        Recorder(mlp(), activation="after")
    with pytest.raises(DataError, match=r"statistics: expected some of mean, .*, got 'fire'"):
        Recorder(mlp(), statistics="fire")
    with pytest.raises(WuaError, match="criterion: expected at least one, got none"):
        wua.analyze(mlp(), criterion=[])
    with pytest.raises(WuaError, match="memory: expected a number of bytes above 0, got 0"):
        wua.analyze(mlp(), memory=0)
    assert Recorder(mlp(), statistics="firing").statistics == {"mean", "firing"}
    assert wua.analyze(mlp(), GOOD, statistics="firing").layers["w"].neurons.firing_rate is not None


def recorded(proto: Any, X: Array, **options: Any) -> Recorder:
    recorder = Recorder(proto, **options)
    recorder.update(X)
    return recorder


def test_recordings_of_something_else_are_refused(tmp_path: Path) -> None:
    other = recorded(resnet(), rand(3, 3, 17, 13))
    path = other.save(tmp_path / "r.npz")
    for given in (other, path):
        with pytest.raises(DataError, match="recording: expected the same model and plan, got another model"):
            wua.analyze(mlp(), recording=given)
    with pytest.raises(DataError, match="expected one of this model, got one with another layer"):
        wua.analyze(vit(), recording=other.result())
    with pytest.raises(DataError, match="expected a Recorder, its result or a file, got int"):
        wua.analyze(mlp(), recording=3)  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(DataError, match="merge: expected a Recorder, got NoneType"):
        other.merge(None)  # type: ignore[arg-type] # wrong on purpose
    assert other.samples == 3
    with pytest.raises(DataError, match="merge: expected another Recorder, got the same one"):
        other.merge(other)


def test_a_network_pruned_after_its_recording_is_another_model() -> None:
    weights = {"w": rand(5, 3), "v": rand(3, 2)}
    text = "(float[N, 5] x) => (float[] y) { a = MatMul(x, w) r = Relu(a) y = MatMul(r, v) }"
    recorder = recorded(model(text, weights), GOOD)
    assert wua.analyze(model(text, weights), recording=recorder).layers["w"].mean_activation is not None
    pruned = model(text, {**weights, "w": np.where(np.abs(weights["w"]) < 0.5, 0, weights["w"])})
    with pytest.raises(DataError, match="got another model"):
        wua.analyze(pruned, recording=recorder)


@pytest.mark.parametrize("saved", [False, True])
def test_neurons_read_elsewhere_are_another_plan(saved: bool, tmp_path: Path) -> None:
    recorder = recorded(mlp(), GOOD, activation="pre")
    given = recorder.save(tmp_path / "r.npz") if saved else recorder
    with pytest.raises(DataError, match=r"expected the same model and plan, got another plan: (activation|taps)"):
        wua.analyze(mlp(), recording=given)
    assert wua.analyze(mlp(), recording=given, activation="pre").layers["w"].mean_activation is not None


def test_what_onnxruntime_refuses_is_told_without_its_sources() -> None:
    proto = model(
        "(float[N, C, H, W] x, float[N, C, H2, W] z) => (float[] y) { s = Add(x, z) y = Conv(s, w) }",
        {"w": rand(5, 3, 3, 3)},
    )
    recorder = Recorder(proto)
    with pytest.raises(RunError) as caught:
        recorder.update({"x": rand(2, 3, 8, 8), "z": rand(2, 3, 7, 8)})
    message = str(caught.value)
    assert message.startswith("onnxruntime cannot run the model on x [2, 3, 8, 8] float32, z [2, 3, 7, 8] float32: ")
    assert "7 by 8" in message
    assert "onnxruntime_src" not in message
