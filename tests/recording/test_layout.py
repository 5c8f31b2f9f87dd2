"""Recurrent operators that take samples first, which onnxruntime itself refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import wua_onnx as wua
from wua_onnx.recording import Recorder

from .models import Array, model, rand, session

N, T, D, H = 13, 7, 5, 3
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
BOTH = {"forward": 1, "bidirectional": 2}


def network(op: str, layout: int, direction: str = "forward", states: bool = False) -> onnx.ModelProto:
    directions = BOTH[direction]
    weights = {"w": rand(directions, GATES[op] * H, D), "r": rand(directions, GATES[op] * H, H, seed=1)}
    if states:
        start = rand(directions, N, H, seed=2)
        weights["h"] = np.ascontiguousarray(start.transpose(1, 0, 2)) if layout else start
    x = f"float[{N}, {T}, {D}] x" if layout else f"float[{T}, {N}, {D}] x"
    kind = f'hidden_size = {H}, layout = {layout}, direction = "{direction}"'
    given = f", , n{', h' if states else ''}"
    return model(
        f"({x}, int32[{N}] n) => (float[] ys, float[] last) {{ ys, last = {op}<{kind}>(x, w, r{given}) }}", weights
    )


def samples_first() -> dict[str, Array]:
    lengths = np.random.default_rng(3).integers(1, T + 1, N).astype(np.int32)
    return {"x": rand(N, T, D, seed=4), "n": lengths}


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("op", GATES)
def test_everything_is_as_with_time_first(op: str, direction: str, states: bool) -> None:
    feeds = samples_first()
    time_first = {"x": np.ascontiguousarray(feeds["x"].transpose(1, 0, 2)), "n": feeds["n"]}
    audits = [
        wua.analyze(network(op, 1, direction, states), feeds, criterion=["activation", "wanda"]),
        wua.analyze(network(op, 0, direction, states), time_first, criterion=["activation", "wanda"], batch_axis=1),
    ]
    for name in ("w", "r"):
        mine, wanted = (audit.layers[name] for audit in audits)
        assert list(mine.metrics_by) == ["activation", "wanda"]
        for criterion in mine.metrics_by:
            np.testing.assert_allclose(mine.scores[criterion], wanted.scores[criterion], rtol=1e-5)


@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("op", GATES)
def test_the_outputs_are_those_of_the_specification(op: str, direction: str) -> None:
    recorder = Recorder(network(op, 1, direction), keep_outputs=True)
    feeds = samples_first()
    recorder.update(feeds)
    time_first = {"x": np.ascontiguousarray(feeds["x"].transpose(1, 0, 2)), "n": feeds["n"]}
    sequence, last = session(network(op, 0, direction)).run(None, time_first)
    found = recorder.result().outputs
    np.testing.assert_allclose(found["ys"], sequence.transpose(2, 0, 1, 3), atol=1e-6)
    np.testing.assert_allclose(found["last"], last.transpose(1, 0, 2), atol=1e-6)


@pytest.mark.parametrize("op", GATES)
def test_wanda_is_that_of_numpy(op: str) -> None:
    w, r = rand(1, GATES[op] * H, D), rand(1, GATES[op] * H, H, seed=1)
    text = f"(float[N, {T}, {D}] x) => (float[] ys) {{ ys = {op}<hidden_size = {H}, layout = 1>(x, w, r) }}"
    proto, x = model(text, {"w": w, "r": r}), rand(N, T, D, seed=4)
    audit = wua.analyze(proto, x, criterion="wanda")
    results: Any = ReferenceEvaluator(proto).run(None, {"x": x})
    sequence = np.asarray(results[0]).reshape(N, T, H)
    before = np.concatenate([np.zeros((N, 1, H), np.float32), sequence[:, :-1]], axis=1)
    for name, weight, features in (("w", w, x), ("r", r, before)):
        norms = np.linalg.norm(features.reshape(N * T, -1), axis=0)
        expected = np.abs(weight.reshape(GATES[op], H, -1)) * norms
        np.testing.assert_allclose(audit.layers[name].scores["wanda"], expected, rtol=1e-4)


def test_inside_of_a_branch() -> None:
    text = f"""(float[N, {T}, {D}] x, bool go) => (float[] y) {{
        y = If(go) <then_branch = t () => (float[] p) {{ , p = RNN<hidden_size = {H}, layout = 1>(x, w, r) }},
                    else_branch = e () => (float[] q) {{ , q = GRU<hidden_size = {H}, layout = 1>(x, v, s) }}>
    }}"""
    weights = {"w": rand(1, H, D), "r": rand(1, H, H, seed=1), "v": rand(1, 3 * H, D), "s": rand(1, 3 * H, H, seed=1)}
    x = rand(N, T, D, seed=4)
    recorder = Recorder(model(text, weights))
    recorder.update({"x": x, "go": np.array(True)})
    state, states = np.zeros((N, H)), []
    for step in range(T):
        state = np.tanh(x[:, step] @ weights["w"][0].T + state @ weights["r"][0].T)
        states.append(state)
    np.testing.assert_allclose(recorder.result().layers["w"][0].mean, np.abs(states).mean((0, 1)), rtol=1e-5)
