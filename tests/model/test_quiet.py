"""Text of a file never reaches stderr by way of a library's logger."""

from __future__ import annotations

import logging

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from wua_onnx.model import load


def test_loading_logs_nothing_of_a_malformed_file(caplog: pytest.LogCaptureFixture) -> None:
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])

    node = helper.make_node("Relu", ["\x1b[31mnowhere"], ["y"], name="\x1b[2J")
    graph = helper.make_graph([node], "quiet", [value("x")], [value("y"), value("\x1b]0;title")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    with caplog.at_level(logging.WARNING):
        ir.from_proto(model)
        assert "nowhere" in caplog.text  # onnx_ir by itself repeats the names
        caplog.clear()
        load(model)
    assert caplog.records == []
    assert logging.getLogger("onnx_ir").level == logging.NOTSET
