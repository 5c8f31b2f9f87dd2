"""Standard errors, dead neurons, what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wua_onnx.layers import find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder, Recording
from wua_onnx.recording.reading import Reading
from wua_onnx.recording.statistics import Accumulator, NeuronStatistics

from .models import Array, N, images, model, rand, resnet
from .naive import activations


def of(recording: Recording, layer: str = "w") -> NeuronStatistics:
    (statistics,) = recording.layers[layer]
    return statistics


@pytest.mark.parametrize("size", [1, 7, 64])
def test_standard_errors_over_samples(size: int) -> None:
    X = images()
    proto = resnet()
    recorder = Recorder(proto, batch_size=size)
    recorder.update(X)
    recording = recorder.result()
    samples = activations(proto, [{"x": X[i : i + 1]} for i in range(N)])
    for name, uses in samples.items():
        per_sample = np.array([np.abs(part).mean(axis=0) for part in uses[0]])
        wanted = per_sample.std(axis=0, ddof=1) / np.sqrt(N)
        np.testing.assert_allclose(of(recording, name).standard_error, wanted, rtol=1e-3, atol=1e-7)


def test_one_sample_has_no_standard_error() -> None:
    recorder = Recorder(resnet())
    recorder.update(images(1))
    assert all(np.isnan(uses[0].standard_error).all() for uses in recorder.result().layers.values())


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), min_size=2, max_size=6),
    st.floats(-6, 6),
    st.integers(0, 2**32 - 1),
)
def test_units_of_any_weight(parts: list[tuple[int, int]], magnitude: float, seed: int) -> None:
    """Against the definitions, in exact order; large means with a small spread keep their error."""
    random = np.random.default_rng(seed)
    sums = Accumulator(3)
    values, weights = [], []
    for units, positions in parts:
        means = 10.0**magnitude * 1e3 + random.random((units, 3))
        sums.add(Reading(positions=np.full(units, positions), mean=means))
        values += list(means)
        weights += [positions] * units
    m, w = np.array(values), np.array(weights, dtype=np.float64)
    result = sums.result()
    mean = (w[:, None] * m).sum(axis=0) / w.sum()
    np.testing.assert_allclose(result.mean, mean, rtol=1e-12)
    n = len(m)
    if n > 1:
        error = np.sqrt(n / (n - 1) * (w[:, None] ** 2 * (m - mean) ** 2).sum(axis=0)) / w.sum()
        np.testing.assert_allclose(result.standard_error, error, rtol=1e-5, atol=1e-9 * 10.0**magnitude)
    assert result.positions == int(w.sum())


def test_equal_weights_give_the_textbook_error() -> None:
    values = rand(11, 3, dtype=np.float64)
    sums = Accumulator(3)
    for row in values:
        sums.add(Reading(positions=np.array([4]), mean=row.reshape(1, 3)))
    np.testing.assert_allclose(sums.result().standard_error, values.std(axis=0, ddof=1) / np.sqrt(11))


def dead_with(function: str, weights: Array, bias: Array) -> list[bool]:
    proto = model(
        f"(float[N, 5] x) => (float[] y) {{ a = Gemm(x, w, b) {function} }}",
        {"w": weights, "b": bias, "zero": np.float32(0)},
    )
    recorder = Recorder(proto)
    recorder.update(rand(N, 5))
    layer = find_layers(load(proto)).by_name["w"]
    function_found = layer.activations[0].function
    dead = of(recorder.result()).dead(smooth=function_found is not None and function_found.smooth)
    return [bool(flag) for flag in dead]


W, B = rand(5, 3), np.zeros(3, np.float32)
NONE_IN_1 = W * np.array([1, 0, 1], np.float32)
FAR_DOWN_1 = np.array([0, -1000, 0], np.float32)


@pytest.mark.parametrize(
    ("function", "weights", "bias", "expected"),
    [
        ("y = Relu(a)", W, B, [False, False, False]),
        ("y = Relu(a)", W, FAR_DOWN_1, [False, True, False]),
        ("y = HardSwish(a)", W, FAR_DOWN_1, [False, True, False]),
        ("y = Identity(a)", NONE_IN_1, B, [False, True, False]),
        ("y = Identity(a)", NONE_IN_1, FAR_DOWN_1, [False, False, False]),  # a constant is not 0
        ("y = Sigmoid(a)", W, B, [False, False, False]),
        ("y = Sigmoid(a)", NONE_IN_1, B, [False, True, False]),  # always one half
        ("y = Sigmoid(a)", W, -FAR_DOWN_1, [False, True, False]),  # always one
        ("y = Tanh(a)", W, FAR_DOWN_1, [False, True, False]),  # always minus one
        ("s = Sigmoid(a) y = Mul(a, s)", W, FAR_DOWN_1, [False, True, False]),
        ("y = Gelu(a)", NONE_IN_1, B, [False, True, False]),
        ("y = Softplus(a)", NONE_IN_1, B + 1, [False, True, False]),
        ("y = Elu(a)", W, FAR_DOWN_1, [False, True, False]),
    ],
)
def test_dead_neurons(function: str, weights: Array, bias: Array, expected: list[bool]) -> None:
    assert dead_with(function, weights, bias) == expected


def test_a_smooth_neuron_that_wakes_up_in_a_later_batch_is_alive() -> None:
    proto = model(
        "(float[N, 1] x) => (float[] y) { a = MatMul(x, w) y = Sigmoid(a) }", {"w": np.ones((1, 2), np.float32)}
    )
    recorder = Recorder(proto, batch_size=1)
    recorder.update(np.zeros((3, 1), np.float32))
    assert of(recorder.result()).dead(smooth=True).all()
    recorder.update(np.ones((1, 1), np.float32))
    assert not of(recorder.result()).dead(smooth=True).any()


@pytest.mark.parametrize("function", ["Identity", "Sigmoid", "Tanh", "Softplus"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("rank", [2, 4])
def test_what_is_not_finite_is_counted_and_stays_where_it_is(function: str, value: float, rank: int) -> None:
    bias = np.array([1, value, 2], np.float32)
    if rank == 2:
        text = "(float[N, 5] x) => (float[] y) { a = Gemm(x, w, b) "
        weights, X = rand(5, 3), rand(N, 5)
    else:
        text = "(float[N, 5, 7, 7] x) => (float[] y) { a = Conv(x, w, b) "
        weights, X = rand(3, 5, 1, 1), rand(11, 5, 7, 7)
    proto = model(text + f"y = {function}(a) }}", {"w": weights, "b": bias})
    recorder = Recorder(proto)
    recorder.update(X)
    statistics = of(recorder.result())
    bounded = function in ("Sigmoid", "Tanh") and value == np.inf
    assert statistics.non_finite == (0 if bounded else 1)
    assert np.isnan(statistics.mean).tolist() == [False, not bounded, False]
    assert np.isfinite(statistics.standard_error[[0, 2]]).all()
    assert not statistics.dead(smooth=True)[[0, 2]].any()
