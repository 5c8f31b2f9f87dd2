"""The figures of cost, structure and memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.steps import steps
from wua_onnx.model.dim_json import to_json
from wua_onnx.model.dims import Dim, substitute, symbol
from wua_onnx.report.charts_cost import cost_figures, layers_holding_most
from wua_onnx.report.charts_memory import memory_figures
from wua_onnx.report.charts_page import charts_of
from wua_onnx.report.charts_structure import Line, structure_of
from wua_onnx.report.charts_svg import NARROW, WIDE, fitted, text_width
from wua_onnx.report.charts_tree import of_a_sample, tree_of
from wua_onnx.report.charts_treemap import squarified, treemap
from wua_onnx.report.html import render

from .sample import HOSTILE, digits, hostile, transformer

Golden = Callable[[str, str], None]
LIVE = {
    "moments": 7, "at": [0, 1, 2, 3, 4, 5, 6], "bytes": [10, 30, 60, 110, 40, 20, 5], "made": ["widest"],
    "alive": [{"name": "widest", "bytes": 70}, {"name": "wide", "bytes": 30}], "dims": {"batch": 1},
}  # fmt: skip


def module(path: str, depth: int, nodes: int = 1, macs: Any = 0, **others: Any) -> dict[str, Any]:
    return {"path": path, "depth": depth, "nodes": nodes, "macs": macs, "flops": 0, "bytes": 0, "params": 0, **others}


def encoder(layers: int) -> list[dict[str, Any]]:
    """Return the modules of an embedding and of equal layers of two modules each."""
    rows = [module("embed", 1, 2, 30), module("layers", 1, 5 * layers, 100 * layers)]
    for index in range(layers):
        rows.append(module(f"layers.{index}", 2, 5, 100, params=7))
        rows += [module(f"layers.{index}.{name}", 3, nodes, macs) for name, nodes, macs in (("a", 3, 60), ("b", 2, 40))]
    return rows


def shapes(svg: str) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield the class and x, y, width, height of every box of a treemap."""
    for css, path in re.findall(r'<path class="([^"]*)" d="([^"]*)"', svg):
        yield css, tuple(map(float, re.findall(r"-?[\d.]+", path)[:4]))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_rectangles_have_their_areas_and_fill_the_place(sizes: list[int]) -> None:
    sizes.sort(reverse=True)
    found = squarified(sizes, (3.0, 5.0, 700.0, 400.0))
    for (x, y, width, height), size in zip(found, sizes, strict=True):
        assert width * height == pytest.approx(size / sum(sizes) * 280_000, rel=1e-6)
        assert (x, y) >= (3 - 1e-6, 5 - 1e-6)
        assert x + width <= 703 + 1e-6
        assert y + height <= 405 + 1e-6


def test_rectangles_are_near_to_squares() -> None:
    found = squarified([6, 6, 4, 3, 2, 2, 1], (0.0, 0.0, 6.0, 4.0))  # the example of the paper
    assert found[:2] == [(0.0, 0.0, 3.0, 2.0), (0.0, 2.0, 3.0, 2.0)]
    assert max(max(w / h, h / w) for _, _, w, h in found) < 3


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_boxes_lie_inside_the_drawing_and_small_ones_become_one(width: int) -> None:
    rows = [module(f"m{index}", 1, 1, size) for index, size in enumerate([10_000, 5_000, *range(1, 300)])]
    svg = str(treemap(tree_of(rows), [row["macs"] for row in rows], "MACs", str, width))
    boxes = [box for _, box in shapes(svg)]
    assert len(boxes) < 250
    height = float(re.findall(r'height="(\d+)"', svg)[0])
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    assert re.search(r">[+]\d+</text>", svg)


def test_what_a_module_has_itself_is_a_box_in_it() -> None:
    rows = [module("a", 1, 9, 100), module("a.b", 2, 3, 60), module("c", 1, 2, 100)]
    svg = str(treemap(tree_of(rows), [100, 60, 100], "MACs", str, WIDE))
    assert re.findall(r"<title>([^<]*)</title>", svg) == [
        "a: 100, 50.0 %", "a.b: 60, 30.0 %", "outside the modules in it: 40, 20.0 %", "c: 100, 50.0 %",
    ]  # fmt: skip
    assert [css for css, _ in shapes(svg)] == ["around h0", "h0", "h0", "h1"]


@pytest.mark.parametrize(
    ("macs", "whole", "sentence"),
    [
        ([70, 20, 10], 100, "2 of 3 layers hold 80 % of the MACs."),
        ([80, 20], 100, "1 of 2 layers holds 80 % of the MACs."),
        ([30, 40], 100, "All 2 layers together hold 70.0 % of the MACs."),
        ([None, 40], 100, ""),
        ([], 100, ""),
        ([{"text": "3*batch"}, {"text": "9*batch"}], {"text": "12*batch"}, "2 of 2 layers hold 80 % of the MACs."),
        ([{"text": "3*batch"}], {"text": "12*batch + 4*seq"}, ""),
    ],
)
def test_how_few_layers_hold_most(macs: list[Any], whole: Any, sentence: str) -> None:
    assert layers_holding_most([{"macs": value} for value in macs], whole) == sentence


def test_times_of_nodes_add_up_to_their_modules() -> None:
    audit = digits()
    found = {panel.key: panel for panel in cost_figures(audit).panels}
    rows = found["seconds"].module_rows
    assert rows[0][:2] == ("conv1", "0.037 ms")  # both convolutions in one kernel
    whole = sum(part["seconds"] for part in audit["profile"]["timed"])
    assert sum(float(row[1].removesuffix(" ms")) for row in rows) == pytest.approx(1000 * whole)


def test_the_measures_that_cannot_be_drawn_say_why() -> None:
    figures = cost_figures(transformer())
    reasons = {panel.key: panel.reason for panel in figures.panels}
    assert reasons["macs"].endswith("are not known for all of it")
    audit = transformer()
    audit["cost"].update(by_module=[module("a", 1, 1, {"text": "batch + seq", "terms": []})])
    audit["cost"]["by_operator"] = []
    reasons = {panel.key: panel.reason for panel in cost_figures(audit).panels}
    assert "MACs depend on dimensions that are free (batch, seq)" in reasons["macs"]
    assert reasons["params"] == "Nothing to draw: parameters are 0 throughout"


def test_a_free_batch_counts_as_one() -> None:
    audit = digits()
    size = {"text": "5*batch + 2", "terms": [["5", [["batch", 1]]], ["2", []]]}
    audit["cost"].update(
        symbols=["batch"],
        batch={"text": "batch", "terms": [["1", [["batch", 1]]]]},
        by_module=[module("a", 1, 1, size), module("b", 1, 1, 21)],
        by_operator=[{**audit["cost"]["by_operator"][0], "macs": 28}],
    )
    figures = cost_figures(audit)
    assert figures.panels[0].module_rows == (("b", "21 MACs", "75.0 %"), ("a", "7 MACs", "25.0 %"))
    assert "the batch counts as 1" in figures.note


def test_without_modules_the_areas_are_layers_and_other_nodes() -> None:
    audit = digits()
    audit["cost"]["by_module"] = []
    node = {**audit["cost"]["by_node"][0], "name": "n7", "op": "Relu", "macs": 0, "flops": 13}
    audit["cost"]["by_node"].append(node)
    figures = cost_figures(audit)
    assert figures.by == "layer"
    macs, flops = ([row[0] for row in panel.module_rows] for panel in figures.panels[:2])
    assert macs == ["conv2", "fc1", "conv1", "fc2"]
    assert flops == [*macs, "Relu n7"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("base_net.10.3", "…10.3"), ("a/very/long_path/fc", "…fc"), ("intermediate", "inter…"), ("conv1", "conv1")],
)
def test_what_tells_a_name_from_its_neighbours_stays(text: str, shown: str) -> None:
    assert fitted(text, 48) == shown


def lines(tree: tuple[Line, ...], depth: int = 0) -> Iterator[str]:
    for line in tree:
        yield f"{'  ' * depth}{line.name} ×{line.count} {line.nodes} {line.macs} {line.params} {line.share}"
        yield from lines(line.children, depth + 1)


def test_modules_that_repeat_become_one_line() -> None:
    found = structure_of({"by_module": encoder(12), "symbols": []})
    assert found is not None
    assert list(lines(found.lines)) == [
        "embed ×1 2 nodes 30 MACs 0 2.4 %",
        "layers ×1 60 nodes 1.20 kMACs 0 97.6 %",
        "  0 … 11 ×12 60 nodes 1.20 kMACs 84 97.6 %",
        "    a ×1 3 nodes 60 MACs 0 4.9 %",
        "    b ×1 2 nodes 40 MACs 0 3.3 %",
    ]
    assert (found.modules, found.folded) == (38, 33)


def test_a_module_that_differs_inside_is_not_folded() -> None:
    rows = encoder(3)
    rows[-4].update(macs=61)  # layers.1.b
    found = structure_of({"by_module": rows, "symbols": []})
    assert found is not None
    assert [line.name for line in found.lines[1].children] == ["0", "1", "2"]


def test_modules_around_a_single_one_are_joined_with_it() -> None:
    rows = [module("m", 1, 4), module("m.body", 2, 4), module("m.body.a", 3, 1), module("m.body.b", 3, 3)]
    [root] = tree_of(rows)
    assert (root.name, [child.name for child in root.children]) == ("m.body", ["a", "b"])


def test_the_peak_is_marked_and_named() -> None:
    figures = memory_figures({**digits()["cost"], "live_bytes": LIVE, "weight_bytes_by_dtype": {"INT8": 3, "FLOAT": 9}})
    curve, alive, weights = figures.charts
    assert "The peak, 110 B, is at step 3 of 5, which makes widest" in curve.caption
    assert "(batch = 1)" in curve.caption
    [wide, narrow] = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', str(curve.svg))
    assert float(wide[0]) == pytest.approx(62 + (WIDE - 74) / 2, abs=0.1)  # the fourth of seven moments
    assert wide[1] == narrow[1]
    assert alive.rows == (
        ("widest", "70 B", "63.6 %"),
        ("wide", "30 B", "27.3 %"),
        ("everything else", "10 B", "9.1 %"),
    )
    assert [row[0] for row in weights.rows] == ["float", "int8"]


@pytest.mark.parametrize(
    ("cost", "reason"),
    [
        ({}, "of a version that kept the peak only"),
        ({"live_bytes": None, "symbols": ["seq"]}, r"dimensions that are free \(seq\)"),
        ({"live_bytes": None}, "no activation has a known size"),
    ],
)
def test_a_missing_curve_says_why(cost: dict[str, Any], reason: str) -> None:
    [chart] = memory_figures({**digits()["cost"], **cost}).charts
    assert chart.svg is None
    assert re.search(reason, chart.reason)


def test_key_value_caches_have_a_line() -> None:
    text = memory_figures({**digits()["cost"], "kv_cache_bytes_per_token": 1_024}).kv_cache
    assert text == (
        "Key-value caches: 1.00 KiB for each token of a sequence; "
        "1.00 MiB for 1,024, 8.00 MiB for 8,192, 32.0 MiB for 32,768 tokens."
    )


@pytest.mark.parametrize("text", [*HOSTILE, "layer.0.attention.self.query", "", "漢字" * 9])
@pytest.mark.parametrize("width", [20, 60, 200])
def test_text_fits(text: str, width: int) -> None:
    found = fitted(text, width)
    assert text_width(found) <= width
    assert found.isprintable()


def with_memory(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    audit = make()
    audit["cost"].update(live_bytes=json.loads(json.dumps(LIVE)), weight_bytes_by_dtype={"FLOAT": 9})
    return audit


def drawings(audit: dict[str, Any]) -> Iterator[str]:
    charts = charts_of(audit)
    panels = [part for panel in charts.cost.panels for part in (panel.modules, panel.operators)]
    yield from (str(part) for part in (*panels, *(chart.svg for chart in charts.memory.charts)) if part)


def test_hostile_names_stay_text() -> None:
    found = list(drawings(hostile(lambda: with_memory(digits))))
    assert len(found) >= 8
    for drawing in found:
        tree = ElementTree.fromstring(f"<div>{drawing}</div>")
        assert {part.tag for part in tree.iter()} <= {
            "div", "svg", "g", "title", "path", "text", "polyline", "circle"
        }  # fmt: skip
        assert not [name for part in tree.iter() for name in part.attrib if name.startswith("on")]


def test_the_page_has_every_figure_with_its_table_and_one_measure_chosen() -> None:
    html = render(with_memory(digits))
    assert re.findall(r'<input type="radio" name="measure" id="measure-(\w+)"', html) == [
        "macs", "flops", "bytes", "params", "seconds",
    ]  # fmt: skip
    assert re.findall(r'id="measure-(\w+)" checked', html) == ["macs"]
    for name, tables in (("cost", 2 * 4), ("memory", 3)):  # the parameters are not known
        assert f'<a href="#{name}">' in html
        section = html.split(f'<section id="{name}"', 1)[1].split("</section>", 1)[0]
        assert section.count("The same as a table") == tables
    assert "1 of 4 layers holds 80\u00a0% of the MACs." in html


def test_ten_thousand_modules_stay_small_and_take_steps_linear_in_their_number() -> None:
    audit = digits()
    rows: list[dict[str, Any]] = []
    for block in range(500):
        rows.append(module(f"block.{block}", 1, 20, 20_000 + 19 * block, params=block))
        rows += [module(f"block.{block}.{i}", 2, 1, 1_000 + block) for i in range(19)]
    audit["cost"]["by_module"] = rows
    taken = steps(lambda: list(drawings(audit)))
    size = sum(map(len, drawings(audit)))
    found = structure_of(audit["cost"])
    assert found is not None
    assert size < 250_000
    assert (len(found.lines), found.left_out) == (150, 350)
    assert len(list(lines(found.lines))) <= 400
    assert taken < 1_000 * len(rows)


def test_many_modules_of_one_size_are_drawn_each() -> None:
    rows = [module(f"m{index}", 1, 1, 7) for index in range(500)]
    svg = str(treemap(tree_of(rows), [7.0] * 500, "MACs", str, WIDE))
    assert len(list(shapes(svg))) == 500


def test_many_different_modules_inside_one_are_cut_with_a_note() -> None:
    rows = [module("m", 1, 900), *(module(f"m.{index}", 2, 3, index) for index in range(300))]
    found = structure_of({"by_module": rows, "symbols": []})
    assert found is not None
    [line] = found.lines
    assert (len(line.children), line.hidden) == (150, 150)


@pytest.mark.parametrize("name", ["digits", "hostile"])
def test_drawings(name: str, golden: Golden) -> None:
    make = {"digits": digits, "hostile": lambda: hostile(digits)}[name]
    golden(f"charts.{name}.html", "\n".join(drawings(with_memory(make))).replace("><", ">\n<") + "\n")


_B, _S = symbol("batch"), symbol("seq")


@pytest.mark.parametrize(
    "dim", [7 * _B, _B, 11 * _B + 13, 3 * _B * _B + 5 * _B, 2 * _B * _S + 17 * _S, (2**60 + 1) * _B], ids=str
)
def test_counts_of_a_sample_are_the_expression_at_a_batch_of_one(dim: Dim) -> None:
    value = to_json(dim)
    cost = {"batch": {"text": "batch"}, "symbols": ["batch", "seq"]}
    assert of_a_sample(value, cost) == to_json(substitute(dim, {"batch": 1}))
    assert of_a_sample(value, {"batch": 1, "symbols": ["batch", "seq"]}) == value, "a batch that is bound"
    other = of_a_sample(value, {**cost, "batch": {"text": "seq"}})
    assert other == to_json(substitute(dim, {"seq": 1}))
