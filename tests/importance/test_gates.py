"""Gates: shares, and metrics of one gate alone."""

from __future__ import annotations

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.importance import layer_metrics
from wua_onnx.importance.gates import gates

from ..recording.models import N, rand  # noqa: TID252 - tests are not installed
from ..recording.test_kinds_of_reading import T, recurrent  # noqa: TID252 - tests are not installed


def test_a_gate_has_its_share_and_the_metrics_of_its_weights() -> None:
    scores = np.array([[[1.0, 1.0], [1.0, 1.0]], [[12.0, 0.0], [0.0, 0.0]]])
    even, peaked = gates(scores, ("update", "reset"))
    assert (even.name, even.share, peaked.name, peaked.share) == ("update", 0.25, "reset", 0.75)
    assert even.utilization == pytest.approx(1)
    assert even.gini == pytest.approx(0)
    assert peaked.redundancy == 1.0


def test_a_dead_layer_has_gates_without_share() -> None:
    assert [gate.share for gate in gates(np.zeros((4, 3, 2)), ("i", "o", "f", "c"))] == [0, 0, 0, 0]


@pytest.mark.parametrize(("op", "names"), [("LSTM", "input output forget cell"), ("GRU", "update reset hidden")])
def test_gates_of_an_audit(op: str, names: str) -> None:
    audit = wua.analyze(recurrent(op, both=True), rand(T, N, 5), batch_axis=1)
    for layer in audit.layers.values():
        assert [gate.name for gate in layer.gates] == names.split()
        assert sum(gate.share for gate in layer.gates) == pytest.approx(1)
        whole = layer.importance
        for index, gate in enumerate(layer.gates):
            assert gate.gini == pytest.approx(layer_metrics(whole[index], 0).gini)
            assert gate.share == pytest.approx(whole[index].sum() / whole.sum())
