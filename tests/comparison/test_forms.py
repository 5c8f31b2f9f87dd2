"""A comparison in the terminal, as Markdown, JSON, page, notebook and data frame; names that mean harm included."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from tests.comparison.made import harmful, made
from tests.parsed_page import Page
from tests.report.sample import HOSTILE
from wua_onnx.comparison import Comparison
from wua_onnx.errors import OutputError, WuaError
from wua_onnx.report.comparison import comparison_markdown, print_comparison
from wua_onnx.report.comparison_page import render_comparison, render_comparison_inline
from wua_onnx.report.html import script

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "comparison.schema.json").read_text(encoding="utf-8"))
Golden = Callable[[str, str], None]


def printed(comparison: Comparison, width: int) -> str:
    out = io.StringIO()
    print_comparison(comparison.to_dict(), Console(file=out, width=width))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_terminal(width: int, golden: Golden) -> None:
    text = printed(made(), width)
    assert max(map(len, text.splitlines())) <= width
    golden(f"made.{width}.txt", text)


def test_markdown(golden: Golden) -> None:
    golden("made.md", made().to_markdown())


@pytest.mark.parametrize("make", [made, harmful])
def test_the_json_is_what_its_schema_says(make: Callable[[], Comparison], tmp_path: Path) -> None:
    comparison = make()
    comparison.to_json(tmp_path / "diff.json")
    written = json.loads((tmp_path / "diff.json").read_text(encoding="utf-8"))
    assert written == comparison.to_dict()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert [error.message[:200] for error in validator.iter_errors(written)] == []


def test_the_schema_refuses_what_it_does_not_describe() -> None:
    data = made().to_dict()
    data["layers"][0]["colour"] = "red"
    validator = jsonschema.Draft202012Validator(SCHEMA)
    [error] = validator.iter_errors(data)
    assert "colour" in error.message


def test_layers_by_name_are_changed_renamed_added_and_removed() -> None:
    comparison = made()
    assert (comparison.added, comparison.removed) == (("stem",), ("conv1",))
    assert [layer.name for layer in comparison.changed] == ["fc1", "fc2"]
    second, first, _ = comparison.layers
    assert (second.after_name, second.matched, second.changes) == ("features.second", "shape", ("name",))
    assert (first.shapes, first.changes) == (((512, 32), (256, 32)), ("shape",))
    weights = first.figures["weights"]
    assert (weights.before, weights.after, weights.ratio) == (16_384, 8_192, 0.5)
    metrics = {"effective", "utilization", "redundancy", "gini", "entropy", "sparsity_0.01", "coverage_0.9"}
    assert metrics <= set(first.figures)


def test_the_page_needs_nothing_and_runs_only_its_own_script() -> None:
    page = Page(made().to_html())
    assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "img", "object"})
    [policy] = [a["content"] or "" for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; script-src '{script('comparison.js')['script_hash']}'; style-src")
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "text/plain", "id": "layer-data"},
        {},
    ]
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {(a["href"] or "") for _, a in page.tags if "href" in a} - {"data:,"}
    assert links == {"#verdict", "#figures", "#outputs", "#layers", "#method"}
    assert {link[1:] for link in links} <= ids


def test_the_page_shows_what_the_terminal_shows() -> None:
    text = " ".join(Page(made().to_html()).text.replace("\u00a0", " ").split())
    for cell in re.split(r"\s{2,}|\n", printed(made(), 300)):
        shown = cell.split(" (matched")[0].strip()
        if shown and "Δ" not in shown and "layer" not in shown.lower():
            assert shown.lower() in text.lower(), shown


@pytest.mark.parametrize("form", [Comparison.to_html, Comparison._repr_html_])
def test_names_that_mean_harm_are_text(form: Callable[[Comparison], str]) -> None:
    page = Page(form(harmful()))
    assert page.words() <= Page(form(made())).words() | {("code", ""), ("p", "")}
    assert "<script>alert(1)</script>" in page.text
    assert all(character.isprintable() or character in "\n\u00a0" for character in page.text.replace("\t", ""))
    assert max(map(len, re.findall("x+", page.text))) < 400


def test_names_that_mean_harm_are_lines_of_markdown_and_terminal() -> None:
    for text in (printed(harmful(), 140), harmful().to_markdown()):
        assert all(line.isprintable() for line in text.splitlines())
    assert not re.search(r"(?<!\\)<script", harmful().to_markdown())


def test_the_notebook_gets_no_script() -> None:
    page = Page(made()._repr_html_())
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "html", "link", "a", "img"})


def test_the_data_frame_has_a_row_a_layer() -> None:
    pandas = pytest.importorskip("pandas")
    frame = made().to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["status"]) == ["same", "changed", "changed", "added", "removed"]
    assert frame.loc[1, "weights_before"] == 16_384
    assert frame.loc[1, "weights_after"] == 8_192
    assert frame.loc[3, "after_name"] == "stem"


@pytest.mark.parametrize("output", [render_comparison, render_comparison_inline, comparison_markdown, print_comparison])
def test_another_schema_version_is_refused(output: Callable[[Any], Any]) -> None:
    with pytest.raises(WuaError, match="comparison: schema_version: expected 1, got 2"):
        output({**made().to_dict(), "schema_version": 2})


@pytest.mark.parametrize("write", [Comparison.to_json, Comparison.to_html, Comparison.to_markdown])
def test_a_folder_is_no_file_to_write_to(write: Callable[[Comparison, Path], str], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="got a folder"):
        write(made(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_hostile_name_is_met() -> None:
    """The sample cycles through its names; one that is left out would be tested by nothing here."""
    text = json.dumps(harmful().to_dict())
    met = [name for name in HOSTILE if json.dumps(name)[1:-1] in text]
    assert len(met) >= len(HOSTILE) - 1


def test_numbers_stay_with_their_units() -> None:
    page = made().to_html()
    for cell in ("86.1\u00a0KiB", "-7.6\u00a0%", "+40.6\u00a0pp"):
        assert cell in page


def test_a_long_expression_is_left_to_the_json() -> None:
    data = made().to_dict()
    text = " + ".join(f"{index}*batch**{index}*seq" for index in range(2, 40))
    figure = next(figure for figure in data["figures"] if figure["name"] == "macs")
    figure.update(before={"text": text}, after={"text": f"{text} + 1"}, ratio=None)
    for form in (comparison_markdown(data), render_comparison(data)):
        assert "depends on free dimensions" in form
        assert "batch" not in form
