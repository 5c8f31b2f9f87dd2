"""Graph diagrams of audits: overviews, details, and what their boxes tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from onnx import helper

import wua_onnx as wua
from tests.small_models import model
from tests.steps import steps
from wua_onnx.diagrams import dot, draw
from wua_onnx.diagrams.figure import DETAIL_LIMIT, graph_json
from wua_onnx.errors import WuaError

from .audits import audit, layer, transformer, unet

PATIENCE = 300  # seconds that a drawing may take where much else runs; it takes one or two

Golden = Callable[[str, str], None]


def labels(diagram: dict[str, Any]) -> list[str]:
    return [box["label"] for box in diagram["boxes"]]


def small() -> dict[str, Any]:
    rows = [("a", "MatMul", (-1,)), ("a", "Relu", (0,)), ("b", "MatMul", (1,)), ("b", "Softmax", (2,))]
    layers = [layer("a.fc", ["n0"], 7, 2, 0.25), layer("b.fc", ["n2"], 11, 1, 0.5)]
    return audit(rows, layers)


def test_inputs_come_first_and_outputs_last_with_shapes_on_the_edges() -> None:
    diagram = graph_json(small())
    assert labels(diagram) == ["x", "a.fc", "Relu", "b.fc", "Softmax", "y"]
    assert [box["kind"] for box in diagram["boxes"]] == [
        "input",
        "dense",
        "activation",
        "dense",
        "activation",
        "output",
    ]
    assert [box["layer"] for box in diagram["boxes"]] == [None, 0, None, 1, None, None]
    assert [edge["label"] for edge in diagram["edges"]] == ["batch × 11"] * 4 + ["batch × 13"]


def test_boxes_tell_their_share_of_the_whole_and_what_their_layers_are_like() -> None:
    data = small()
    data["profile"] = {"timed": [{"name": "n0", "seconds": 0.003}, {"name": "n3", "seconds": 0.001}]}
    first, second = graph_json(data, depth=1)["boxes"][1:3]
    assert (first["label"], first["detail"], first["module"]) == ("a", "2 nodes", "a")
    assert first["values"] == {
        "flops": 0.5, "macs": 0.5, "bytes": 0.5, "params": None, "time": 0.75, "redundancy": 0.25, "utilization": 0.5,
        "importance": 1.5, "dead": pytest.approx(2 / 7, abs=1e-6),
    }  # fmt: skip
    assert second["values"]["redundancy"] == 0.5
    assert first["macs"] == 6


def test_a_folded_box_joins_its_layers() -> None:
    values = graph_json(small(), limit=3)["boxes"][1]["values"]
    assert (values["flops"], values["redundancy"], values["dead"]) == (1.0, 0.375, pytest.approx(3 / 18, abs=1e-6))


def test_free_dimensions_count_as_one() -> None:
    data = small()
    data["cost"]["by_node"][0]["flops"] = {
        "text": "20*seq + seq**2",
        "terms": [["20", [["seq", 1]]], ["1", [["seq", 2]]]],
    }
    assert graph_json(data)["boxes"][1]["values"]["flops"] == pytest.approx(21 / 42)


def test_constants_and_shape_arithmetic_are_not_shown() -> None:
    data = small()
    data["cost"]["by_node"][1]["reason"] = "shape arithmetic"
    diagram = graph_json(data)
    assert labels(diagram) == ["x", "a.fc", "b.fc", "Softmax", "y"]
    assert len(diagram["edges"]) == 3


def test_a_module_in_detail() -> None:
    diagram = graph_json(transformer(13), detail="h/7")
    assert labels(diagram) == [
        "from h.6", "from embed", "LayerNormalization", "MatMul", "Relu", "MatMul", "Where", "Add", "to h.8",
    ]  # fmt: skip
    assert diagram["of"] == "h.7"
    ends = [(edge["from"], edge["to"]) for edge in diagram["edges"]]
    assert {("b0", "b2"), ("b0", "b7"), ("b1", "b6"), ("b7", "b8")} <= set(ends)


def test_a_layer_in_detail() -> None:
    assert labels(graph_json(small(), detail="b.fc")) == ["from a", "b.fc", "to b Softmax"]


@pytest.mark.parametrize(
    ("path", "readers", "expected"),
    [
        ("m.{}", 3, ["to m.1", "to m.2", "to m.3"]),
        ("m.{}", 5, ["to m (others)"]),
        ("o{}", 12, [f"to o{i}" for i in range(1, 13)]),
        ("o{}", 17, [*(f"to o{i}" for i in range(1, 13)), "to other places"]),
    ],
)
def test_many_places_outside_are_joined(path: str, readers: int, expected: list[str]) -> None:
    data = audit([("m.0", "Exp", (-1,)), *((path.format(i), "Relu", (0,)) for i in range(1, readers + 1))])
    assert labels(graph_json(data, detail="m.0")) == ["from x", "Exp", *expected]


@pytest.mark.parametrize("wanted", ["h.77", "", "..", "h.7.nothing", "\x00\u202e", "x" * 10_240])
def test_no_such_module(wanted: str) -> None:
    with pytest.raises(WuaError, match=r"detail: expected the path of a module, got .*such as") as caught:
        graph_json(transformer(13), detail=wanted)
    assert len(str(caught.value)) < 700
    assert "\u202e" not in str(caught.value)


def test_depth_folds_what_would_fit() -> None:
    data = transformer(5)
    assert labels(graph_json(data, depth=1)) == ["x", "embed", "h", "y"]
    assert labels(graph_json(data, depth=2)) == ["x", "embed", "h.[0 … 4]", "y"]
    with pytest.raises(WuaError, match="depth: expected 1 or more, got 0"):
        graph_json(data, depth=0)


def test_an_audit_of_before_links_is_told() -> None:
    data = small()
    del data["diagrams"]["links"]
    with pytest.raises(WuaError, match="older version"):
        graph_json(data)


@pytest.mark.parametrize("build", [lambda: transformer(17), lambda: unet(7, 5)], ids=["transformer", "unet"])
def test_folded_overview(build: Callable[[], dict[str, Any]], golden: Golden, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.id
    drawn = dot.graph(graph_json(build()), color="flops", with_legend=True)
    golden(f"{name}.overview.dot", drawn.source)


@pytest.mark.parametrize(
    ("build", "detail"),
    [(lambda: transformer(1667), "h"), (lambda: transformer(1667, scoped=False), None), (lambda: unet(10, 50), "up")],
    ids=["10,000 nodes", "10,000 without modules", "2,000-node U-Net"],
)
def test_large_graphs_are_drawn_in_a_few_boxes_and_steps(
    build: Callable[[], dict[str, Any]], detail: str | None
) -> None:
    data = build()
    diagram = graph_json(data)
    assert steps(lambda: graph_json(data)) < 500 * len(data["cost"]["by_node"]), "linear in the nodes"
    drawing = draw.to_svg(dot.graph(diagram, color="flops", with_legend=True), PATIENCE)
    assert drawing.reason is None
    assert 3 < len(diagram["boxes"]) <= dot.MAX_BOXES
    if detail is not None:
        whole = graph_json(data, detail=detail)
        assert 3 < len(whole["boxes"]) <= DETAIL_LIMIT
        assert draw.to_svg(dot.graph(whole), PATIENCE).reason is None


def test_a_size_that_is_an_expression_is_told_from_the_sizes_beside_it() -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["f"], axis=2), helper.make_node("Relu", ["f"], ["y"])]
    diagram = wua.analyze(model(nodes, {}, ["batch", "seq", 7])).to_dict()["diagrams"]["graph"]
    assert [edge["label"] for edge in diagram["edges"]][:2] == ["batch × seq × 7", "(batch·seq) × 7"]
