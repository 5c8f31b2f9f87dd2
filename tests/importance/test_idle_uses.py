"""A weight with one use in a branch that the data never takes: scored by the uses that ran, the other one named."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx._result import Audit
from wua_onnx.importance import measured as room

from ..layers.graphs import Array, model, rand  # noqa: TID252 - tests are not installed

N = 13
TWICE = """(float[N, 5] x, bool c) => (float[] y, float[] z) {
    y = If (c) <then_branch = t () => (float[] a) { b = MatMul(x, w) a = Relu(b) },
                else_branch = e () => (float[] d) { d = Tanh(x) }>
    f = MatMul(x, w) z = Sigmoid(f)
}"""
TIED = """(int64[N, 3] i, float[N, 7] h, bool c) => (float[] y, float[] z) {
    y = If (c) <then_branch = t () => (float[] a) { j = Add(i, i) a = Gather(w, j) },
                else_branch = e () => (float[] d) { d = Constant<value_float = 1.0>() }>
    o = Transpose(w) f = MatMul(h, o) z = Relu(f)
}"""
CRITERIA = ["activation", "wanda", "magnitude"]


def audited(taken: bool, x: Array, w: Array) -> Audit:
    return wua.analyze(model(TWICE, {"w": w}), {"x": x, "c": np.array(taken)}, criterion=CRITERIA, batch_size=N)


def test_the_use_that_ran_alone_is_scored() -> None:
    x, w = rand(N, 5), rand(5, 7, seed=1)
    audit = audited(False, x, w)
    layer, expected = audit.layers["w"], (1 / (1 + np.exp(-(x @ w)))).mean(0)
    assert layer.mean_activation is not None
    np.testing.assert_allclose(layer.mean_activation, expected, rtol=1e-5)
    np.testing.assert_allclose(layer.scores["activation"], np.abs(w) * expected, rtol=1e-5)
    np.testing.assert_allclose(layer.scores["wanda"], np.abs(w) * np.linalg.norm(x, axis=0)[:, None], rtol=1e-5)
    assert layer.dead_neurons == ()
    error = layer.neurons.standard_error
    assert error is not None
    assert np.isfinite(error).all()


def test_the_other_use_is_named_in_the_recording_and_in_a_finding() -> None:
    audit = audited(False, rand(N, 5), rand(5, 7, seed=1))
    recording = audit.to_dict()["recording"]
    assert recording["missing"] == {}
    assert list(recording["partly"]) == ["w"]
    assert "never ran" in recording["partly"]["w"]
    found = {finding.rule: finding for finding in audit.findings}["unrecorded-layer"]
    assert (found.where, found.evidence) == ("w", recording["partly"]["w"])
    assert "by its other uses: w" in audit.to_html()


def test_where_both_ran_both_count() -> None:
    x, w = rand(N, 5), rand(5, 7, seed=1)
    audit = audited(True, x, w)
    means = np.maximum(x @ w, 0).mean(0), (1 / (1 + np.exp(-(x @ w)))).mean(0)
    np.testing.assert_allclose(audit.layers["w"].scores["activation"], np.abs(w) * np.mean(means, axis=0), rtol=1e-5)
    assert audit.to_dict()["recording"]["partly"] == {}


def test_a_table_never_looked_up_that_is_the_last_layer_too() -> None:
    w, h = rand(11, 7), rand(N, 7, seed=2)
    feeds = {"i": np.zeros((N, 3), np.int64), "h": h, "c": np.array(False)}
    audit = wua.analyze(model(TIED, {"w": w}), feeds, criterion=CRITERIA, batch_size=N)
    (layer,) = audit.layers.values()
    expected = np.abs(w) * np.maximum(h @ w.T, 0).mean(0)[:, None]  # one logit for each row of the table
    scores = layer.scores["activation"]
    np.testing.assert_allclose(scores if scores.shape == w.shape else scores.T, expected, rtol=1e-5)
    assert "Gather" in audit.to_dict()["recording"]["partly"][layer.name]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_in_slabs_as_whole(criterion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = rand(N, 5), rand(5, 7, seed=1)
    whole = audited(False, x, w).layers["w"].metrics_by[criterion]
    monkeypatch.setattr(room, "_SMALLEST_SLAB", 10)
    proto = model(TWICE, {"w": w})
    feeds = {"x": x, "c": np.array(False)}
    parts = wua.analyze(proto, feeds, criterion=criterion, batch_size=N, memory=1).layers["w"].metrics
    for name, value in itertools.islice(whole.to_dict().items(), 4):
        assert parts.to_dict()[name] == pytest.approx(value, rel=1e-3), name
