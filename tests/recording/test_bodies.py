"""Neurons inside of branches and loops: recorded as if their layers stood in the main graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx.recording import Recorder, Recording

from .models import Array, N, model, rand, session

T = 7
W, V = rand(5, 3), rand(3, 2)

BRANCH = """(float[N, 5] x, bool c) => (float[] y) {
    y = If (c) <then_branch = t () => (float[] a) { b = MatMul(x, left) a = Relu(b) },
                else_branch = e () => (float[] d) { f = MatMul(x, right) d = Tanh(f) }>
}"""
LOOP = """(float[N, 5] x, int64 m) => (float[] y, float[] z) {
    y, z = Loop(m, , x) <body = b (int64 i, bool c, float[N, 5] s) => (bool o, float[] n, float[] r) {
        o = Identity(c) p = MatMul(s, w) r = Relu(p) q = MatMul(r, v) n = Tanh(q)
    }>
}"""
SCAN = """(float[7, N, 5] x, float[N, 3] h) => (float[] last, float[] z) {
    last, z = Scan<num_scan_inputs = 1, body = b (float[N, 3] s, float[N, 5] e) => (float[N, 3] n, float[N, 3] r) {
        p = MatMul(e, w) q = MatMul(s, u) a = Add(p, q) n = Tanh(a) r = Relu(p)
    }>(h, x)
}"""
NESTED = """(float[N, 5] x, int64 m) => (float[] y, float[] stacked) {
    y, stacked = Loop(m, , x) <body = b (int64 i, bool c, float[N, 5] s) => (bool o, float[] n, float[] out) {
        o = Identity(c) two = Constant<value_int = 2>() r = Mod(i, two) zero = Constant<value_int = 0>()
        even = Equal(r, zero)
        n = If (even) <then_branch = t () => (float[] a) { b1 = MatMul(s, w) b2 = Relu(b1) a = MatMul(b2, v) },
                       else_branch = e () => (float[] d) { d = Identity(s) }>
        out = Identity(s)
    }>
}"""


def recorded(proto: onnx.ModelProto, feeds: dict[str, Array], **options: Any) -> Recording:
    recorder = Recorder(proto, **options)
    recorder.update(feeds)
    return recorder.result()


def assert_outputs_stay(proto: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    recorder = Recorder(proto, keep_outputs=True, batch_size=1000)
    recorder.update(feeds)
    for (name, got), wanted in zip(recorder.result().outputs.items(), session(proto).run(None, feeds), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("branch", "ran", "idle"), [(True, "left", "right"), (False, "right", "left")])
@pytest.mark.parametrize("opset", [13, 21])
def test_the_branch_that_runs_is_recorded_and_the_other_is_named(branch: bool, ran: str, idle: str, opset: int) -> None:
    weights = {"left": W, "right": rand(5, 3, seed=3)}
    proto, x = model(BRANCH, weights, opset=opset), rand(N, 5)
    feeds = {"x": x, "c": np.array(branch)}
    found = recorded(proto, feeds)
    function: Callable[[Array], Array] = (lambda a: np.maximum(a, 0)) if branch else np.tanh
    np.testing.assert_allclose(found.layers[ran][0].mean, np.abs(function(x @ weights[ran])).mean(0), rtol=1e-5)
    assert found.missing == {idle: "the part of the model that it is in never ran"}
    assert_outputs_stay(proto, feeds)


@pytest.mark.parametrize("trips", [1, T])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_every_trip_of_a_loop_counts(trips: int, size: int) -> None:
    weights = {"w": W, "v": rand(3, 5)}
    proto, x = model(LOOP, weights), rand(N, 5)
    feeds = {"x": x, "m": np.array(trips)}
    found = recorded(proto, feeds, batch_size=size)
    firing, state, hidden, outer = [], x, [], []
    for _ in range(trips):
        hidden.append(np.maximum(state @ weights["w"], 0))
        state = np.tanh(hidden[-1] @ weights["v"])
        outer.append(state)
        firing.append(hidden[-1] > 0)
    np.testing.assert_allclose(found.layers["w"][0].mean, np.mean(hidden, axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.layers["v"][0].mean, np.abs(outer).mean((0, 1)), rtol=1e-5)
    spread = np.max(outer, axis=(0, 1)) - np.min(outer, axis=(0, 1))
    ranges = found.layers["v"][0].range
    assert ranges is not None
    np.testing.assert_allclose(ranges, spread, rtol=1e-5)
    per_sample = np.mean(hidden, axis=0)
    np.testing.assert_allclose(
        found.layers["w"][0].standard_error, per_sample.std(0, ddof=1) / np.sqrt(N), rtol=1e-3, atol=1e-7
    )
    assert found.layers["w"][0].positions == N * trips
    assert_outputs_stay(proto, feeds)


def test_a_loop_that_makes_no_trip_records_nothing() -> None:
    found = recorded(model(LOOP, {"w": W, "v": rand(3, 5)}), {"x": rand(N, 5), "m": np.array(0)})
    assert set(found.missing) == {"w", "v"}


@pytest.mark.parametrize("opset", [13, 21])
def test_every_step_of_a_scan_counts(opset: int) -> None:
    weights = {"w": W, "u": rand(3, 3, seed=5)}
    proto, x, h = model(SCAN, weights, opset=opset), rand(T, N, 5), np.zeros((N, 3), np.float32)
    feeds = {"x": x, "h": h}
    found = recorded(proto, feeds, batch_axis=1, batch_size=N)
    states = [h]
    for step in x:
        states.append(np.tanh(step @ weights["w"] + states[-1] @ weights["u"]))
    for name in weights:  # a recurrent cell, whose neurons are its hidden units
        np.testing.assert_allclose(found.layers[name][0].mean, np.abs(states[1:]).mean((0, 1)), rtol=1e-5)


def test_a_branch_inside_of_a_loop() -> None:
    weights = {"w": W, "v": rand(3, 5)}
    proto, x = model(NESTED, weights), rand(N, 5)
    feeds = {"x": x, "m": np.array(T)}
    found = recorded(proto, feeds)
    hidden, state = [], x
    for trip in range(T):
        if trip % 2 == 0:
            hidden.append(np.maximum(state @ weights["w"], 0))
            state = hidden[-1] @ weights["v"]
    np.testing.assert_allclose(found.layers["w"][0].mean, np.mean(hidden, axis=(0, 1)), rtol=1e-5)
    assert found.layers["w"][0].positions == N * 4
    assert_outputs_stay(proto, feeds)


SEQUENCE = """(float[N, 5] x, int64 m) => (float[] y) {
    empty = SequenceEmpty()
    parts = Loop(m, , empty) <body = b (int64 i, bool c, seq(float[N, 3]) s) => (bool o, seq(float[N, 3]) n) {
        o = Identity(c) p = MatMul(x, w) r = Relu(p) n = SequenceInsert(s, r)
    }>
    y = ConcatFromSequence<axis = 0>(parts)
}"""


def test_a_loop_that_carries_a_sequence() -> None:
    """Shape inference takes it for a tensor; PyTorch writes EmbeddingBag so."""
    proto, x = model(SEQUENCE, {"w": W}), rand(N, 5)
    body = proto.graph.node[1].attribute[0].g
    for value in (body.input[2], body.output[1]):
        value.ClearField("type")
    feeds = {"x": x, "m": np.array(3)}
    found = recorded(proto, feeds)
    np.testing.assert_allclose(found.layers["w"][0].mean, np.maximum(x @ W, 0).mean(0), rtol=1e-5)
    assert_outputs_stay(proto, feeds)
