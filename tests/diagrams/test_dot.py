from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pygraphviz
import pytest

from wua_onnx.diagrams import dot, marks

Golden = Callable[[str, str], None]
SAMPLES = Path(__file__).parents[1] / "report" / "samples"
HOSTILE = ('"];evil[label=x', "\\N\\G\\l", "<b>bold</b>", "&#x202e;&amp;", "a\x00b\u202ec", "x" * 10_240, 'end\\"')


def diagram(name: str, which: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["diagrams"][which]


@pytest.mark.parametrize("name", ["digits", "transformer"])
def test_graph(name: str, golden: Golden) -> None:
    golden(f"{name}.graph.dot", dot.graph(diagram(name, "graph"), {"conv2": "#layer-1"}).source)


def test_network(golden: Golden) -> None:
    golden("digits.network.dot", dot.network(diagram("digits", "network")).source)


def parsed(source: str) -> pygraphviz.AGraph:
    return pygraphviz.AGraph(string=source)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_labels_stay_labels(name: str) -> None:
    boxes = [{"id": name, "label": name, "detail": name, "kind": name}, {"id": "b", "label": "b", "count": 12}]
    edges = [{"from": name, "to": "b", "label": name}]
    graph = parsed(dot.graph({"boxes": boxes, "edges": edges}, {name: name}).source)
    assert sorted(graph.nodes()) == ["b0", "b1"]
    assert graph.edges() == [("b0", "b1")]
    assert set(graph.get_node("b0").attr) >= {"label", "class"}
    assert graph.get_node("b0").attr["class"] == "other"
    assert not graph.get_node("b0").attr["href"]
    assert graph.get_node("b1").attr["label"] == "b × 12"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layer_names_in_the_network(name: str) -> None:
    layers = [{"name": name, "neurons": [{"index": 0, "value": None, "dead": False}], "left_out": 123}]
    graph = parsed(dot.network({"layers": layers, "edges": [], "threshold": 0.1}).source)
    assert sorted(graph.nodes()) == ["more0", "n0_0", "name0"]
    assert graph.get_node("more0").attr["label"] == "+ 123 more"


def test_more_boxes_than_the_limit_are_counted() -> None:
    boxes = [{"id": str(i), "label": str(i)} for i in range(dot.MAX_BOXES + 17)]
    edges = [{"from": "0", "to": "1"}, {"from": "0", "to": "70"}]
    graph = parsed(dot.graph({"boxes": boxes, "edges": edges}).source)
    assert graph.get_node("more").attr["label"] == "+ 17 more"
    assert (len(graph.nodes()), graph.edges()) == (dot.MAX_BOXES + 1, [("b0", "b1")])


def test_lines_are_red_above_the_threshold_and_as_thick_as_their_weight() -> None:
    def width(edge: Any) -> float:
        return float(edge.attr["penwidth"])

    neurons = [{"index": i, "value": 0.5, "dead": i == 2} for i in range(3)]
    layers = [{"name": n, "neurons": neurons, "left_out": 0} for n in ("input", "fc")]
    edges = [{"layer": 0, "from": i, "to": 1, "weight": w} for i, w in enumerate((-0.8, 0.4, 0.1))]
    graph = parsed(dot.network({"layers": layers, "edges": edges, "threshold": 0.1}).source)
    heavy, middle, light = (graph.get_edge(f"n0_{i}", "n1_1") for i in range(3))
    assert [edge.attr["class"] for edge in (heavy, middle, light)] == ["strong", "strong", "weak"]
    assert [edge.attr["color"] for edge in (heavy, middle, light)] == ["#c8371f", "#c8371f", "#a3abb8"]
    assert (width(heavy) - width(light)) / (middle_gap := width(middle) - width(light)) == pytest.approx(
        7 / 3, abs=0.05
    )
    assert middle_gap > 0
    assert (graph.get_node("n1_2").attr["class"], graph.get_node("n1_2").attr["label"]) == ("neuron dead", "×")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("encoder.layers.encoder_layer_0.ln_1", "…layers.encoder_layer_0.ln_1"),
        ("block1/conv/very_long_name_of_a_module/Conv2D", "…very_long_name_of_a_module/Conv2D"),
        ("a_module_that_has_a_very_long_name.fc", "a_module_that_has_a_ver…ong_name.fc"),
        ("encoder.layer_0", "encoder.layer_0"),
    ],
)
def test_a_long_path_loses_its_outermost_modules(text: str, shown: str) -> None:
    assert marks.label(text) == shown
    assert len(shown) <= marks.LINE + 1
