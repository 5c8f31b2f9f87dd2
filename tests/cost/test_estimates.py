"""The figures of a sample in training, and its energy, against the functions that a caller would use."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import wua_onnx as wua
from wua_onnx.cost.estimates import estimates

IN, OUT = 7, 13


def dense(batch: int | str) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones((IN, OUT), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, k]) for n, k in (("x", IN), ("y", OUT)))
    graph = helper.make_graph([node], "dense", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("batch", [1, 5, "batch"])
def test_figures_are_of_one_sample(batch: int | str) -> None:
    report = wua.cost(dense(batch))
    found = estimates(report)
    training = report.training(samples=1)
    assert found["per"] == "sample"
    assert found["forward"] == training.forward == 2 * IN * OUT
    assert found["backward"] == training.backward
    assert found["energy"]["inference"]["joules"] == report.energy().joules
    assert found["energy"]["training"]["joules"] == pytest.approx(training.energy().joules, rel=1e-2)


def test_the_report_read_from_json_gives_the_same() -> None:
    report = wua.cost(dense("batch"))
    again = type(report).from_dict(report.to_dict())
    assert estimates(again) == estimates(report)


def test_an_audit_has_them_beside_its_count() -> None:
    audit = wua.analyze(dense(5)).to_dict()
    assert audit["estimates"]["forward"] == 2 * IN * OUT
    assert "estimates" not in audit["cost"]
