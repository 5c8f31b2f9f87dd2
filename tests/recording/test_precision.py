"""Long axes: single precision drifts when many values are added in a row, and the recording must not."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wua_onnx.model.dims import symbol
from wua_onnx.recording import Recorder
from wua_onnx.recording.taps import LONGEST, Tap, pooling

from .models import Array, model, rand
from .naive import assert_recorded

CONSTANT = 0.1  # no sum of single-precision tenths is exact


def chain(shape: str, kernel: int, function: str = "Relu") -> onnx.ModelProto:
    weights = {"w": rand(2, 1, *[1] * kernel), "b": np.full(2, CONSTANT, np.float32)}
    return model(f"(float[{shape}] x) => (float[] y) {{ c = Conv(x, w, b) y = {function}(c) }}", weights)


@pytest.mark.parametrize("function", ["Relu", "Identity", "Sigmoid"])
@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ("N, 1, 640, 640", (1, 1, 640, 640)),
        ("N, 1, H, W", (1, 1, 640, 640)),
        ("N, 1, 641, 643", (1, 1, 641, 643)),
        ("N, 1, 100000", (1, 1, 100_000)),
        ("N, 1, 100003", (1, 1, 100_003)),
        ("N, 1, L", (1, 1, 100_003)),
        ("1, 1, 100003", (1, 1, 100_003)),
        ("N, 1, 41, 43, 47", (1, 1, 41, 43, 47)),
    ],
)
def test_constant_images_and_signals(shape: str, sizes: tuple[int, ...], function: str) -> None:
    proto = chain(shape, len(sizes) - 2, function)
    X = np.zeros(sizes, np.float32)
    recorder = Recorder(proto)
    recorder.update(X)
    assert_recorded(recorder.result(), proto, [{"x": X}])


@pytest.mark.parametrize("side", [27, 28, 32, 56, 112])
@pytest.mark.parametrize("neurons", [128, 131])  # in onnxruntime's blocked layout, and outside of it
def test_constant_images_of_many_values(side: int, neurons: int) -> None:
    bias = np.linspace(0.01, 3, neurons, dtype=np.float32)
    proto = model(
        f"(float[N, 1, {side}, {side}] x) => (float[] y) {{ c = Conv(x, w, b) y = Relu(c) }}",
        {"w": np.zeros((neurons, 1, 1, 1), np.float32), "b": bias},
    )
    recorder = Recorder(proto)
    recorder.update(np.zeros((2, 1, side, side), np.float32))
    (statistics,) = recorder.result().layers["w"]
    np.testing.assert_allclose(statistics.mean, bias, rtol=0, atol=1e-5 * bias.max())


@pytest.mark.parametrize("side", [13, 14, 56, 131])
@pytest.mark.parametrize("channels", [8, 24, 48])  # too few for blocks, not filling them, filling them
@pytest.mark.parametrize("function", ["HardSwish", "Relu", "Identity"])
def test_images_however_their_channels_fill_blocks(side: int, channels: int, function: str) -> None:
    weights = {"w": rand(channels, 3, 1, 1), "b": rand(channels), "v": rand(5, channels, 1, 1)}
    proto = model(
        f"(float[N, 3, {side}, {side}] x) => (float[] y) {{ c = Conv(x, w, b) a = {function}(c) y = Conv(a, v) }}",
        weights,
    )
    X = rand(2, 3, side, side, seed=side)
    recorder = Recorder(proto)
    recorder.update(X)
    assert_recorded(recorder.result(), proto, [{"x": X}], within=2e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("length", [3, 50_021])
def test_sums_of_half_precision_do_not_overflow(length: int, batch_size: int) -> None:
    """Two values near the largest of float16 already have no sum in it; nor has any of them a square."""
    value = np.array([65_504, -65_504, 60_000], np.float16)
    proto = model(
        "(float16[N, 1, L] x) => (float16[N, 3, L] y) { y = Conv(x, w, b) }",
        {"w": np.zeros((3, 1, 1), np.float16), "b": value},
    )
    recorder = Recorder(proto, batch_size=batch_size, statistics=("square", "range", "features"))
    recorder.update(np.full((11, 1, length), 65_504, np.float16))
    (statistics,) = recorder.result().layers["w"]
    exact = np.abs(value.astype(np.float64))
    assert statistics.positions == 11 * length
    np.testing.assert_allclose(statistics.mean, exact, rtol=1e-5)
    assert statistics.rms is not None
    np.testing.assert_allclose(statistics.rms, exact, rtol=1e-5)
    np.testing.assert_array_equal(statistics.largest, value.astype(np.float64))
    assert statistics.input_norms is not None
    np.testing.assert_allclose(statistics.input_norms, 65_504 * np.sqrt(11 * length), rtol=1e-5)


def test_batches_of_half_precision_add_up_in_double_precision() -> None:
    """2,048 + 1 is 2,048 in float16, and so on up to 2^24 + 1 in float32: 3·2^24 values of 1, one of 4,096."""
    proto = model(
        "(float16[N, 1, L] x) => (float16[N, 1, L] y) { y = Conv(x, w) }", {"w": np.ones((1, 1, 1), np.float16)}
    )
    recorder = Recorder(proto, batch_size=1)
    ones = np.ones((1, 1, 2**19), np.float16)
    ones[0, 0, 0] = 4_096
    recorder.update(ones)
    ones[0, 0, 0] = 1
    recorder.update([ones] * 7)
    for _ in range(12):  # 2^22 values each
        recorder.merge(_copy(recorder, proto, ones))
    (statistics,) = recorder.result().layers["w"]
    count = statistics.positions
    assert count > 2**24
    np.testing.assert_allclose(statistics.mean, (count - 1 + 4_096) / count, rtol=1e-9)


def _copy(recorder: Recorder, proto: onnx.ModelProto, ones: Array) -> Recorder:
    other = Recorder(proto, batch_size=1)
    other.update([ones] * 4)
    return other


@pytest.mark.parametrize("shape", ["N, 20000, 1", "N, 20011, 1", "N, L, 1", "20011, 1", "N, 1"])
def test_constant_rows_of_dense_layers(shape: str) -> None:
    """Along time, and along merged axes: samples cannot be told apart once they lie in one axis with time."""
    sizes = (1, 20_011, 1) if shape == "N, L, 1" else tuple(int(s) for s in shape.replace("N", "1").split(", "))
    proto = model(
        f"(float[{shape}] x) => (float[] y) {{ m = Reshape(x, s) a = Gemm(m, w, b) y = Relu(a) }}",
        {"s": np.array([-1, 1]), "w": rand(1, 3), "b": np.full(3, CONSTANT, np.float32)},
    )
    X = np.zeros(sizes, np.float32)
    recorder = Recorder(proto)
    recorder.update(X)
    assert_recorded(recorder.result(), proto, [{"x": X}])


def test_a_stream_that_turns_long_is_measured_again_in_double() -> None:
    proto = chain("N, 1, L", 1)
    recorder = Recorder(proto, batch_size=1)
    short, long = np.zeros((3, 1, 11), np.float32), np.full((1, 1, 50_021), CONSTANT, np.float32)
    recorder.update([short, long, short])
    recording = recorder.result()
    assert recording.samples == 7
    assert_recorded(recording, proto, [{"x": short}, {"x": long}, {"x": short}])


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=3))
def test_pooling_blocks_divide_evenly_and_stay_short(sizes: list[int]) -> None:
    tap = Tap(value=ir.Value(), dims=(symbol("n"), 3, *sizes), axes=(1,), sample_axis=0)
    sides = pooling(tap)
    if sides is not None:
        assert all(size % side == 0 for size, side in zip(sizes, sides, strict=True))
        assert np.prod(sides) <= LONGEST
        assert np.prod([size // side for size, side in zip(sizes, sides, strict=True)]) <= LONGEST


@given(st.integers(1, 200_000), st.booleans())
def test_blocks_of_a_long_axis_divide_it(length: int, merged: bool) -> None:
    dims = (symbol("n") * length, 3) if merged else (symbol("n"), length, 3)
    tap = Tap(value=ir.Value(), dims=dims, axes=(len(dims) - 1,), sample_axis=None if merged else 0)
    (block,) = tap.blocks
    assert length % block == 0
    assert block <= LONGEST
    if merged or length > LONGEST:
        assert block == max(b for b in range(1, LONGEST + 1) if length % b == 0)
