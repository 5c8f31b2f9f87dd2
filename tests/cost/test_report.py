"""Reports: what is set apart, modules, JSON."""

from __future__ import annotations

import json

import pytest
from onnx import helper

from wua_onnx.cost import CostReport, count
from wua_onnx.errors import ShapeError
from wua_onnx.model import load

from .symbolic import FLOAT, attention, model, node

# What is set apart -----------------------------------------------------------------------------------------------


def test_constant_and_unused_nodes_cost_nothing_and_are_listed() -> None:
    nodes = [
        node("Transpose", ["w"], ["t"], name="flip", perm=[1, 0]),
        node("MatMul", ["t", "t"], ["tt"], name="square"),
        node("MatMul", ["x", "tt"], ["y"], name="work"),
        node("MatMul", ["x", "t"], ["lost"], name="lost_product"),
        node("Softmax", ["lost"], ["more"], name="lost_further"),
        node("MatMul", ["u", "u"], ["never"], name="constant_and_lost"),
    ]
    report = count(load(model(nodes, {"x": [2, 3]}, ["y"], {"w": (3, 3), "u": (5, 5)})))
    data = report.to_dict()
    assert data["constant"] == ["flip", "square", "constant_and_lost"]
    assert data["unused"] == ["lost_product", "lost_further"]
    assert report.macs == 2 * 3 * 3
    assert {n.name for n in report.by_node if n.macs or n.flops or n.bytes} == {"work"}
    assert report.bound == "exact"


def test_unknown_operators_on_constants_or_to_no_output_leave_the_count_exact() -> None:
    nodes = [
        node("Acme", ["w"], ["c"], domain="com.acme"),
        node("Add", ["x", "c"], ["y"]),
        node("Acme", ["x"], ["z"], domain="com.acme"),
    ]
    graph = model(nodes, {"x": [3]}, ["y"], {"w": (3,)})
    graph.opset_import.append(helper.make_opsetid("com.acme", 1))
    graph.graph.value_info.append(helper.make_tensor_value_info("c", FLOAT, [3]))
    report = count(load(graph))
    assert (report.bound, dict(report.unsupported)) == ("exact", {})


# Modules ---------------------------------------------------------------------------------------------------------


def test_subtotals_at_every_depth_add_up() -> None:
    names = ["/enc/layer0/fc/MatMul", "/dec/MatMul", "/enc/layer1/fc/MatMul", "/enc/layer0/act/Relu", "Softmax_9"]
    ops = ["MatMul", "MatMul", "MatMul", "Relu", "Softmax"]
    nodes, value = [], "x"
    for index, (name, op) in enumerate(zip(names, ops, strict=True)):
        nodes.append(node(op, [value, "w"] if op == "MatMul" else [value], [f"v{index}"], name=name))
        value = f"v{index}"
    report = count(load(model(nodes, {"x": ["n", 3]}, [value], {"w": (3, 3)})))
    groups = report.by_module
    inside = ["enc", "enc.layer0", "enc.layer0.fc", "enc.layer0.act", "enc.layer1", "enc.layer1.fc"]
    assert list(groups) == [*inside, "dec", "(outside modules)"]
    at = report.at(n=5).by_module
    assert at["enc"].macs == at["enc.layer0"].macs + at["enc.layer1"].macs == 2 * 5 * 9
    assert at["enc.layer0"].flops == 2 * 5 * 9 + 15
    assert sum(group.nodes for group in groups.values() if group.depth <= 1) == len(nodes)
    tops = [group for group in at.values() if group.depth <= 1]
    assert sum(group.params for group in tops) == report.params == 9
    assert [sum(c) for c in zip(*((g.macs, g.flops, g.bytes) for g in tops), strict=True)] == [
        report.at(n=5).macs, report.at(n=5).flops, report.at(n=5).bytes_moved
    ]  # fmt: skip


def test_modules_that_read_the_same_stay_two() -> None:
    nodes = [node("Relu", ["x"], ["a"], name="/a.b/Relu"), node("Relu", ["a"], ["y"], name="/a/b/Relu")]
    groups = count(load(model(nodes, {"x": [3]}, ["y"]))).by_module
    assert {name: group.nodes for name, group in groups.items()} == {"a.b": 1, "a": 1, "a.b#2": 1}


def test_without_modules_there_are_no_groups() -> None:
    assert count(load(model([node("Relu", ["x"], ["y"])], {"x": [3]}, ["y"]))).by_module == {}


# JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [{}, {"seq": 3}, {"seq": 3, "batch": 2}], ids=["free", "half", "bound"])
def test_json_gives_the_same_report_back(bound: dict[str, int]) -> None:
    report = attention().at(bound)
    again = CostReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert again == report
    assert again.to_dict() == report.to_dict()


def test_what_was_alive_survives_json_only_once_it_is_known() -> None:
    report = attention().at(seq=3, batch=2)
    again = CostReport.from_dict(report.to_dict())
    assert again.alive_at_peak == report.alive_at_peak
    free = CostReport.from_dict(attention().to_dict()).at(seq=3, batch=2)
    assert free.peak == report.peak
    with pytest.raises(ShapeError, match="alive_at_peak"):
        _ = free.alive_at_peak


def test_integers_above_two_to_the_53_are_text() -> None:
    data = attention().at(seq=10**9, batch=1).to_dict()
    assert data["macs"] == str(14 * 10**18 + 77 * 10**9)
