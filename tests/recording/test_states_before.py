"""What recurrent weights are multiplied with, against cells written out in NumPy: one sample, one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.recording import Recorder

from .models import Array, N, model, rand

T, D, H = 11, 5, 3
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm(x: Array, r: Array, h: Array, c: Array) -> tuple[Array, Array]:
    i, o, f, g = np.split(x + r @ h, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x: Array, r: Array, h: Array, c: Array) -> tuple[Array, Array]:
    (xz, xr, xh), (rz, rr, rh) = np.split(x, 3), np.split(r, 3)
    z, reset = sigmoid(xz + rz @ h), sigmoid(xr + rr @ h)
    return (1 - z) * np.tanh(xh + rh @ (reset * h)) + z * h, c


def rnn(x: Array, r: Array, h: Array, c: Array) -> tuple[Array, Array]:
    return np.tanh(x + r @ h), c


CELLS: dict[str, Callable[[Array, Array, Array, Array], tuple[Array, Array]]] = {"LSTM": lstm, "GRU": gru, "RNN": rnn}


def before(op: str, feeds: dict[str, Array], weights: dict[str, Array], direction: int, back: bool) -> Iterator[Array]:
    """Yield the state before each valid step of each sample."""
    w, r = weights["w"][direction].astype(np.float64), weights["r"][direction].astype(np.float64)
    for sample in range(feeds["x"].shape[1]):
        steps = list(range(feeds["n"][sample] if "n" in feeds else T))
        h = feeds["h"][direction, sample].astype(np.float64) if "h" in feeds else np.zeros(H)
        c = np.zeros(H)
        for step in reversed(steps) if back else steps:
            yield h
            h, c = CELLS[op](w @ feeds["x"][step, sample], r, h, c)


def recurrent(op: str, direction: str, given: str) -> tuple[Any, dict[str, Array], dict[str, Array]]:
    """One recurrent layer, with lengths of its samples ("n") and an initial state ("h") where given."""
    directions, gates = len(DIRECTIONS[direction]), GATES[op]
    weights = {"w": rand(directions, gates * H, D), "r": rand(directions, gates * H, H, seed=1)}
    feeds = {"x": rand(T, N, D, seed=2)}
    inputs = f"float[{T}, N, {D}] x"
    if "n" in given:
        inputs += ", int32[N] n"
        feeds["n"] = np.random.default_rng(3).integers(1, T + 1, N).astype(np.int32)
    if "h" in given:
        inputs += f", float[{directions}, N, {H}] h"
        feeds["h"] = rand(directions, N, H, seed=4)
    names = f"x, w, r, , {'n' if 'n' in given else ''}, {'h' if 'h' in given else ''}"
    text = f'({inputs}) => (float[] y) {{ , y = {op}<hidden_size = {H}, direction = "{direction}">({names}) }}'
    return model(text, weights), feeds, weights


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("given", ["", "n", "h", "nh"])
def test_norms(op: str, direction: str, given: str) -> None:
    proto, feeds, weights = recurrent(op, direction, given)
    scores = {}
    for size in (7, 64):
        recorder = Recorder(proto, statistics=["features"], batch_axis=1, batch_size=size)
        recorder.update(feeds)
        audit = wua.analyze(proto, recording=recorder, criterion="wanda")
        scores[size] = {name: audit.layers[name].scores["wanda"] for name in weights}
    for name in weights:
        np.testing.assert_allclose(scores[7][name], scores[64][name], rtol=1e-6)
    valid = feeds.get("n", np.full(N, T))
    inputs = np.concatenate([feeds["x"][:length, sample] for sample, length in enumerate(valid)]).astype(np.float64)
    for index, back in enumerate(DIRECTIONS[direction]):
        states = np.array(list(before(op, feeds, weights, index, back)))
        units = slice(index * H, (index + 1) * H)
        for name, entering in (("w", inputs), ("r", states)):
            norms = np.linalg.norm(entering, axis=0)
            expected = np.abs(weights[name][index]).reshape(GATES[op], H, -1) * norms
            np.testing.assert_allclose(scores[7][name][:, units], expected, rtol=2e-5)


@pytest.mark.parametrize("given", ["", "h"])
def test_one_step_alone(given: str) -> None:
    """Nothing but the initial state enters."""
    initial = ", float[1, N, 3] h" if given else ""
    proto = model(
        f"(float[1, N, 5] x{initial}) => (float[] y) {{ y = RNN<hidden_size = 3>(x, w, r, , , {given}) }}",
        {"w": rand(1, 3, 5), "r": rand(1, 3, 3)},
    )
    feeds = {"x": rand(1, N, 5), **({"h": rand(1, N, 3)} if given else {})}
    recorder = Recorder(proto, statistics=["features"], batch_axis=1)
    recorder.update(feeds)
    norms = recorder.result().layers["r"][0].input_norms
    assert norms is not None
    np.testing.assert_allclose(norms, np.linalg.norm(feeds["h"][0], axis=0) if given else np.zeros(3), rtol=1e-6)


def test_inside_of_a_branch_and_in_bfloat16() -> None:
    text = """(bfloat16[11, N, 5] x, bool go) => (bfloat16[1, N, 3] y) {
        y = If(go) <then_branch = t () => (bfloat16[1, N, 3] p) { , p = RNN<hidden_size = 3>(x, w, r) },
                    else_branch = e () => (bfloat16[1, N, 3] q) { , q = RNN<hidden_size = 3>(x, v, s) }>
    }"""
    shapes = {"w": (1, 3, 5), "r": (1, 3, 3), "v": (1, 3, 5), "s": (1, 3, 3)}
    weights = {name: rand(*shape).astype(ml_dtypes.bfloat16) for name, shape in shapes.items()}
    x = rand(T, N, D, seed=2).astype(ml_dtypes.bfloat16).astype(np.float32)
    recorder = Recorder(model(text, weights), statistics=["features"], batch_axis=1)
    recorder.update({"x": x, "go": np.array(True)})
    states = np.array(list(before("RNN", {"x": x}, weights, 0, back=False)))
    (statistics,) = recorder.result().layers["r"]
    assert statistics.input_norms is not None
    np.testing.assert_allclose(statistics.input_norms, np.linalg.norm(states, axis=0), rtol=1e-5)
    assert "s" in recorder.result().missing


def test_before_opset_13_the_whole_sequence_stands_for_it() -> None:
    proto = model(
        "(float[11, N, 5] x) => (float[] y) { y = RNN<hidden_size = 3>(x, w, r) }",
        {"w": rand(1, 3, 5), "r": rand(1, 3, 3)}, opset=9,
    )  # fmt: skip
    recorder = Recorder(proto, statistics=["features"], batch_axis=1, keep_outputs=True)
    recorder.update(rand(T, 7, D))
    norms, states = recorder.result().layers["r"][0].input_norms, recorder.result().outputs["y"]
    assert norms is not None
    assert states.shape == (T, 1, 7, H)
    np.testing.assert_allclose(norms, np.linalg.norm(states.reshape(-1, H), axis=0), rtol=1e-5)
