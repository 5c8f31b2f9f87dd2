"""What an audit says of neurons, against NumPy on the same data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import wua_onnx as wua
from wua_onnx.errors import WuaError

from .recording.models import N, model, rand


def close(got: Any, wanted: Any, rtol: float = 1e-7, atol: float = 0.0, err_msg: str = "") -> None:
    assert got is not None
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol, err_msg=err_msg)


def network() -> onnx.ModelProto:
    weights = rand(5, 7)
    weights[:, 3] = 2 * weights[:, 1]  # the same direction
    weights[:, 4] = -weights[:, 1]  # the opposite one
    bias = np.zeros(7, np.float32)
    bias[5], bias[6] = 100, -100  # always on, never on
    return model(
        "(float[N, 5] x) => (float[] y) { a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v) }",
        {"w": weights, "b": bias, "v": rand(7, 3)},
    )


def test_neurons_of_a_layer() -> None:
    x, proto = rand(N, 5), network()
    audit = wua.analyze(proto, x, statistics=["firing", "range", "square"])
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    hidden = np.maximum(x @ stored["w"] + stored["b"], 0)
    neurons = audit.layers["w"].neurons
    assert len(neurons) == 7
    close(neurons.mean, hidden.mean(0), rtol=1e-5)
    close(neurons.rms, np.sqrt(np.square(hidden).mean(0)), rtol=1e-5)
    close(neurons.firing_rate, (hidden > 0).mean(0), rtol=1e-6)
    close(neurons.largest, hidden.max(0), rtol=1e-6)
    close(neurons.smallest, hidden.min(0), rtol=1e-6)
    close(neurons.standard_error, hidden.std(0, ddof=1) / np.sqrt(N), rtol=1e-4)
    close(neurons.importance, (np.abs(stored["w"]) * hidden.mean(0)).sum(0), rtol=1e-5)
    assert neurons.dead == (6,)
    assert neurons.always_on == (5,)


def test_neurons_with_the_same_direction() -> None:
    pairs = wua.analyze(network()).layers["w"].neurons.duplicates(0.999)
    assert [(pair.first, pair.second) for pair in sorted(pairs)] == [(1, 3), (1, 4), (3, 4)]
    assert [pair.cosine for pair in sorted(pairs)] == pytest.approx([1, -1, -1])


def test_what_was_not_recorded_is_none_and_json_has_no_arrays(tmp_path: Path) -> None:
    audit = wua.analyze(network(), rand(N, 5))
    neurons = audit.layers["w"].neurons
    assert (neurons.firing_rate, neurons.always_on, neurons.rms, neurons.largest) == (None, None, None, None)
    audit.to_json(tmp_path / "audit.json")
    read = wua.Audit.from_json(tmp_path / "audit.json").layers["w"].neurons
    assert (len(read), read.dead) == (7, (6,))
    with pytest.raises(WuaError, match="big arrays are not in an audit's JSON"):
        assert read.mean is None


def test_rows_never_looked_up_and_layers_not_recorded_are_findings() -> None:
    proto = model(
        """(int64[N, 3] i, bool c) => (float[] y) {
            e = Gather(table, i)
            y = If (c) <then_branch = t () => (float[] a) { a = MatMul(e, left) },
                        else_branch = f () => (float[] b) { b = MatMul(e, right) }>
        }""",
        {"table": rand(11, 5), "left": rand(5, 3), "right": rand(5, 3, seed=1)},
    )
    audit = wua.analyze(proto, {"i": np.arange(9).reshape(3, 3), "c": np.array(True)})
    found = {finding.rule: finding for finding in audit.findings}
    assert found["unused-rows"].evidence == "2 of 11 rows are never looked up by this data"
    assert found["unused-rows"].params == 10
    assert found["unrecorded-layer"].where == "right"
    assert [item["name"] for item in audit.to_dict()["coverage"]["unrecorded"]] == ["right"]
    assert audit.layers["left"].macs == 3 * 5 * 3  # of one sample with three rows, where its branch is taken


def test_no_cosine_is_above_1() -> None:
    weights = np.repeat(rand(37, 1), 64, axis=1) * np.arange(1, 65, dtype=np.float32)
    audit = wua.analyze(model("(float[N, 37] x) => (float[] y) { y = MatMul(x, w) }", {"w": weights}))
    cosines = [pair.cosine for pair in audit.layers["w"].neurons.duplicates()]
    assert len(cosines) == 64 * 63 // 2
    assert max(cosines) <= 1
