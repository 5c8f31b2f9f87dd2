"""The layers, importance and activations of the page, beside what the golden files show."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import pytest

from wua_onnx.report import layers_view
from wua_onnx.report.html import render
from wua_onnx.report.importance_view import activations_view, importance_view, spearman
from wua_onnx.report.layer_charts import spark_heights
from wua_onnx.report.layer_columns import cumulated, cumulative, embedded, layer_columns
from wua_onnx.report.layer_detail import layer_detail
from wua_onnx.report.view import page

from .sample import digits, hostile, rich, transformer


class Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags |= {tag, *(f"{tag} {name}" for name, _ in attrs)}

    def handle_data(self, data: str) -> None:
        self.text += data


def columns(audit: dict[str, Any]) -> dict[str, Any]:
    return unpacked(embedded(layer_columns(audit, page(audit).layers)))


def unpacked(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    return found


def test_columns_hold_every_layer() -> None:
    found, layers = columns(digits()), digits()["layers"]
    assert found["texts"]["name"]["words"] == [layer["name"] for layer in layers]
    kind = found["texts"]["kind"]
    assert [kind["words"][place] for place in kind["at"]] == [layer["kind"] for layer in layers]
    assert found["numbers"]["weights"] == [layer["weights"] for layer in layers]
    assert found["numbers"]["gini"] == [layer["criteria"]["activation"]["metrics"]["gini"] for layer in layers]
    assert {len(column) for column in found["numbers"].values()} == {4}


def test_embedded_json_cannot_end_its_element() -> None:
    text = embedded({"name": "</script><!-- <b> & \u2028", "x": None})
    assert not set("<>&\u2028") & set(text)
    assert unpacked(text) == {"name": "</script><!-- <b> & \u2028", "x": None}


@pytest.mark.parametrize("counts", [[0, 0], []])
def test_a_spark_line_of_nothing_is_none(counts: list[float]) -> None:
    assert spark_heights(counts) == ()


def test_a_bin_that_is_not_empty_shows() -> None:
    assert spark_heights([0, 1, 5_000, 10_000]) == (0, 1, 10, 20)


def test_shares_cumulate_in_the_order_of_the_file() -> None:
    layers = digits()["layers"]
    weights = [layer["weights"] for layer in layers]
    assert cumulative(layers, "weights") == tuple(sum(weights[: i + 1]) / sum(weights) for i in range(4))
    assert cumulated(layers) == ("macs", "weights", "effective")


@pytest.mark.parametrize(
    ("macs", "shown"),
    [
        ([{"text": "3*batch"}, {"text": "5*batch"}, 0, {"text": "7*batch"}], True),
        ([{"text": "3*batch"}, {"text": "5*seq"}, 0, 0], False),  # nothing says how they compare
        ([{"text": "3*batch"}, 5, 0, 0], False),
        ([None, 5, 7, 11], False),
        ([0, 0, 0, 0], False),
    ],
)
def test_macs_cumulate_only_where_they_compare(macs: list[Any], shown: bool) -> None:
    layers = [{**layer, "macs": value} for layer, value in zip(digits()["layers"], macs, strict=True)]
    assert ("macs" in cumulated(layers)) is shown


def test_details_tell_dead_runs_gates_and_heads() -> None:
    audit = rich()
    lstm, attention = (layer_detail(audit["layers"][i], i, audit["attention"]) for i in (2, 3))
    assert lstm.dead == f"Dead neurons ({audit['layers'][2]['dead_neurons']}): 0, 3–5."
    [gates] = [table for table in lstm.tables if table.title == "Gates (2)"]
    assert gates.rows[0] == ("forget", "62.5 %", "50.0 %", "0.125")
    [heads] = [table for table in attention.tables if table.title.startswith("Heads")]
    assert heads.title == "Heads (2), as value of block.attention"
    assert heads.rows == (
        ("0", "75.0 %", "75.0 %", "0.500 (head 1)", "alive"),
        ("1", "25.0 %", "25.0 %", "0.500 (head 0)", "dead"),
    )
    assert heads.note == "Effective heads: 1.8 of 2."


def test_the_lorenz_curve_is_drawn_from_the_smallest_up() -> None:
    audit = rich()
    svg = str(layer_detail(audit["layers"][0], 0, ()).charts[1].svg)
    found = re.search(r'points="([^"]*)"', svg)
    assert found is not None
    points = [tuple(map(float, point.split(","))) for point in found[1].split()]
    assert points[0] == (34, 156)
    assert points[-1] == (292, 10)
    assert points == sorted(points)
    diagonal = [156 - 146 * (x - 34) / 258 for x, _ in points]
    assert all(y >= even - 0.1 for (_, y), even in zip(points, diagonal, strict=True)), "below the diagonal"


def test_the_table_behind_a_histogram_has_every_weight() -> None:
    layer = digits()["layers"][2]
    [chart] = layer_detail(layer, 2, ()).charts
    assert len(chart.table.rows) <= 10
    told = sum(int(row[1].replace(",", "")) for row in chart.table.rows)
    assert told == sum(layer["criteria"]["activation"]["histogram"]["counts"])


def test_strongest_neurons_have_their_share() -> None:
    layer = rich()["layers"][2]
    table = layer_detail(layer, 2, ()).tables[0]
    sums, total = (
        layer["criteria"]["activation"]["neuron_importance"],
        layer["criteria"]["activation"]["metrics"]["sum"],
    )
    assert table.rows[0][0] == "0"
    assert float(table.rows[0][2].rstrip(" %")) == pytest.approx(100 * sums[0] / total, abs=0.051)


def test_criteria_stand_side_by_side() -> None:
    view = importance_view(rich())
    assert view.criteria is not None
    assert [row[0] for row in view.criteria.rows] == ["activation", "magnitude"]
    assert view.layers is not None
    assert len(view.layers.rows) == 4
    assert importance_view(digits()).layers is None
    assert importance_view(digits()).criteria is None
    assert view.unrecorded is not None
    assert view.unrecorded.rows == (("fc9", "1,234", "inside a loop"),)
    assert "Not recorded and so judged by no criterion that needs data: 1 layer (1,234 elements)." in view.lines


@pytest.mark.parametrize(
    ("first", "other", "rho"),
    [
        ([1, 2, 3, 5, 7], [10, 20, 30, 50, 70], 1.0),
        ([1, 2, 3, 5, 7], [5, 4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4, 5], [5, 6, 7, 8, 7], 0.8207826816681233),  # Wikipedia's example of ties, by SciPy
        ([1, 1, 1], [1, 2, 3], None),
        ([1, 2], [1, 2], None),
    ],
)
def test_rank_correlation(first: list[float], other: list[float], rho: float | None) -> None:
    found = spearman(first, other)
    assert found is None if rho is None else found is not None and math.isclose(found, rho, rel_tol=1e-12)


def test_every_note_of_a_recording_is_shown() -> None:
    view = activations_view(rich())
    assert view is not None
    text = " ".join(view.lines)
    for part in ("Accuracy on them: 90.0 %", "attention_mask", "conv1", "bn1", "fc9 (inside a loop)"):
        assert part in text
    assert activations_view(transformer()) is None


def test_layers_beyond_those_in_full_keep_their_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers_view, "DETAILS", 1)
    monkeypatch.setattr(layers_view, "ROWS", 3)
    html = render(rich())
    assert [html.count(f'id="layer-{index}"') for index in range(4)] == [1, 1, 1, 1]
    assert html.count('<details class="layer">') == 1
    assert "The first 3 of 4 layers." in html


def test_hostile_names_pass_through_every_part_as_text() -> None:
    plain, bad = Text(render(rich())), Text(render(hostile(rich)))
    assert bad.tags <= plain.tags | Text(render(transformer())).tags
    for name in ("<script>alert(1)</script>", '"&onload=alert(1) x="', "{{ 7*7 }}{% raw %}"):
        assert name in bad.text
    assert all(character.isprintable() or character in "\n\u00a0" for character in bad.text)


@pytest.mark.parametrize(
    "source", ["/home/ada/work/net/blocks.py:23", r"C:\Users\ada\net\blocks.py:23", "blocks.py:23"]
)
def test_a_page_tells_the_line_but_not_where_its_author_keeps_it(source: str) -> None:
    layer = {**digits()["layers"][0], "source": source}
    text = " ".join(fact.value for fact in layer_detail(layer, 0, ()).facts)
    assert "blocks.py:23" in text
    assert "ada" not in text
