"""Colours of boxes: which of the ramp, what the legend says, and that text on them can be read."""

from __future__ import annotations

import re
from itertools import pairwise

import pygraphviz
import pytest

from wua_onnx.diagrams import dot, draw, palette
from wua_onnx.diagrams.figure import graph_json
from wua_onnx.diagrams.metrics import METRICS

from .audits import audit, layer


def luminance(colour: str) -> float:
    """Relative luminance; https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def variables(dark: bool) -> dict[str, str]:
    """The colours that the style sheet sets, by name."""
    light_part, dark_part = palette.STYLE.split("@media", 1)
    return dict(re.findall(r"--wua-(\w+):(#\w{6})", dark_part if dark else light_part))


@pytest.mark.parametrize("dark", [False, True])
def test_text_on_every_colour_can_be_read(dark: bool) -> None:
    colours = variables(dark)
    fills = [name for name in colours if name in palette.KINDS or re.fullmatch(r"s\d", name)]
    assert len(fills) == len(palette.KINDS) + len(palette.RAMP) == len(palette.KINDS) + len(palette.DARK_RAMP)
    assert {
        name: contrast(colours["ink"], colours[name]) for name in fills if contrast(colours["ink"], colours[name]) < 4.5
    } == {}
    page = "#14171c" if dark else "#ffffff"
    lines = ("ink", "muted", "strong", "path")
    assert {name: contrast(colours[name], page) for name in lines if contrast(colours[name], page) < 4.5} == {}


@pytest.mark.parametrize("ramp", [palette.RAMP, palette.DARK_RAMP])
def test_the_ramp_goes_one_way(ramp: tuple[str, ...]) -> None:
    found = [luminance(colour) for colour in ramp]
    assert found in (sorted(found), sorted(found, reverse=True))
    assert all(contrast(a, b) > 1.1 for a, b in pairwise(ramp))


@pytest.mark.parametrize(
    ("value", "low", "high", "step"),
    [
        (0, 0, 1, 0),
        (1, 0, 1, 6),
        (0.5, 0, 1, 3),
        (0.14, 0, 1, 0),
        (0.15, 0, 1, 1),
        (3, 3, 3, 6),
        (5, 0, 1, 6),
        (-1, 0, 1, 0),
    ],
)
def test_steps_of_the_ramp(value: float, low: float, high: float, step: int) -> None:
    assert palette.step_of(value, low, high) == step


def coloured(color: str) -> pygraphviz.AGraph:
    rows = [("a", "MatMul", (-1,)), ("a", "Relu", (0,)), ("b", "MatMul", (1,))]
    data = audit(rows, [layer("a.fc", ["n0"], 7, 2, 0.25), layer("b.fc", ["n2"], 11, 11, 0.5)])
    data["cost"]["by_node"][2].update(flops=70, macs=35)
    return pygraphviz.AGraph(string=dot.graph(graph_json(data), color=color, with_legend=True).source)


@pytest.mark.parametrize(
    ("color", "classes", "ends"),
    [
        ("flops", ["other", "s0", "s0", "s6", "other"], ("0.0 %", "83.3 %")),
        ("redundancy", ["other", "s0", "other", "s6", "other"], ("25.0 %", "50.0 %")),
        ("dead", ["other", "s0", "other", "s6", "other"], ("28.6 %", "100.0 %")),
        ("importance", ["other", "s6", "other", "s6", "other"], ("0", "1.5")),
    ],
)
def test_boxes_are_coloured_by_a_metric(color: str, classes: list[str], ends: tuple[str, str]) -> None:
    graph = coloured(color)
    assert [graph.get_node(f"b{i}").attr["class"] for i in range(5)] == classes
    assert graph.get_node("b3").attr["fillcolor"] == palette.RAMP[6]
    legend = re.findall(r"<TD[^>]*>([^<]+)</TD>", graph.graph_attr["label"])
    what = METRICS[color].label + (", share of the model" if METRICS[color].form == "share" else "")
    assert [text for text in legend if text.strip()] == [what, *ends, "no figure"]


def test_legend_of_kinds_and_its_colours_in_the_dark() -> None:
    rows = [("a", "MatMul", (-1,)), ("a", "Relu", (0,))]
    diagram = dot.graph(graph_json(audit(rows, [layer("fc", ["n0"], 7, 0, 0.1)])), with_legend=True)
    assert re.findall(r">([a-z][^<]*)</TD>", diagram.source) == ["dense", "activation", "input, output"]
    svg = draw.to_svg(diagram).svg or ""
    for kind in ("dense", "activation", "input"):
        assert svg.count(f'fill="{palette.KINDS[kind]}"') >= 2  # a box and its legend
        assert f'[fill="{palette.KINDS[kind]}"]' in svg
