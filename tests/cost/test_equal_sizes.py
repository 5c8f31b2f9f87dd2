"""Free sizes that meet in a broadcast are taken for equal: said, and checked when they are bound."""

from __future__ import annotations

import json

import onnx_ir as ir
import pytest

import wua_onnx as wua
from wua_onnx.cost.report import CostReport
from wua_onnx.errors import ShapeError
from wua_onnx.report.cost_terminal import print_cost


def model(*shapes: list[int | str]) -> ir.Model:
    """All inputs, added up."""
    inputs = [
        ir.Value(name=f"x{index}", shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
        for index, shape in enumerate(shapes)
    ]
    node = ir.Node("", "Sum", inputs, name="join")
    node.outputs[0].name = "y"
    graph = ir.Graph(inputs, node.outputs, nodes=[node], opset_imports={"": 20}, name="g")
    return ir.Model(graph, ir_version=10)


def pairs(report: CostReport) -> list[tuple[str, str]]:
    return [(str(pair.one), str(pair.other)) for pair in report.equal_sizes]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([["a", 3], ["b", 3]], [("a", "b")]),
        ([["a", "b"], ["b"]], []),
        ([["a", "b"], ["c"], ["a", "d"]], [("b", "c"), ("b", "d")]),
        ([["a"], [7]], []),
        ([["a"], [1]], []),
        ([["a"], ["b"], [7]], []),
        ([["a", "b"], ["b", "a"]], [("a", "b")]),
    ],
)
def test_pairs_that_meet(shapes: list[list[int | str]], expected: list[tuple[str, str]]) -> None:
    assert [tuple(sorted(pair)) for pair in pairs(wua.cost(model(*shapes)))] == expected


def test_equal_sizes_bind_and_others_do_not() -> None:
    report = wua.cost(model(["a", 3], ["b", 3]))
    assert report.at(a=5, b=5).flops == 15
    assert report.at(a=5, b=5).equal_sizes == ()
    assert pairs(report.at(a=5)) == [("5", "b")]
    for sizes in ({"a": 1, "b": 5}, {"a": 5, "b": 1}, {"a": 2, "b": 5}):
        with pytest.raises(ShapeError, match=r"at: .*join.*sizes that are equal.* cost\(…, dims=…\)"):
            report.at(sizes)
        with pytest.raises(ShapeError, match="sizes that are equal"):
            report.at(a=sizes["a"]).at(b=sizes["b"])
    assert wua.cost(model(["a", 3], ["b", 3]), dims={"a": 1, "b": 5}).flops == 15


def test_a_curve_refuses_sizes_that_differ() -> None:
    report = wua.cost(model(["a", 3], ["b", 3]))
    assert report.curve("b", [5], a=5).column("flops") == [15]
    with pytest.raises(ShapeError, match=r"curve: .*sizes that are equal"):
        report.curve("b", [5, 6], a=5)


def test_they_go_through_json_and_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = wua.cost(model(["a", 3], ["b", 3]))
    again = CostReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert again.equal_sizes == report.equal_sizes
    with pytest.raises(ShapeError):
        again.at(a=1, b=5)
    print_cost(report.to_dict())
    assert "a and b are taken for equal, at " in capsys.readouterr().out
