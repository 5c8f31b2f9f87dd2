"""`Diagram`: drawing, keeping, and what happens where that takes too long or nothing can draw."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import graphviz
import pytest

import wua_onnx as wua
from wua_onnx.diagrams import draw
from wua_onnx.diagrams.diagram import Diagram
from wua_onnx.diagrams.of_audit import graph_of
from wua_onnx.errors import OutputError, WuaError

from .audits import transformer

HOSTILE = (
    '"];evil[label=x',
    "\\N\\G\\l\\T",
    "<b>bold</b>",
    "&#x202e;&amp;<&>",
    "a\x00b\u202ec",
    "x" * 10_240,
    'end\\"',
    "<<TABLE>>",
)


def diagram() -> Diagram:
    return graph_of(transformer(23), "flops", detail="h")


def test_it_is_a_digraph_with_its_dot_text() -> None:
    assert isinstance(diagram(), graphviz.Digraph)
    assert diagram().source.startswith("digraph ")
    assert diagram().copy().source == diagram().source


@pytest.mark.parametrize(
    ("name", "start"), [("g.svg", b"<svg "), ("g.PNG", b"\x89PNG"), ("g.dot", b"digraph "), ("g.gv", b"digraph ")]
)
def test_it_is_written_whole(name: str, start: bytes, tmp_path: Path) -> None:
    assert diagram().write(tmp_path / name) == tmp_path / name
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_svg_is_returned_and_written(tmp_path: Path) -> None:
    svg = diagram().to_svg(tmp_path / "g.svg")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8") == svg
    assert diagram()._repr_mimebundle_() == {"image/svg+xml": svg}


@pytest.mark.parametrize("name", ["", "no/g.svg"])
def test_a_path_that_cannot_be_written_is_told_before_drawing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "_commands", lambda form, engine: pytest.fail("drawn"))
    for write in (diagram().to_svg, diagram().to_png):
        with pytest.raises(OutputError, match="expected a"):
            write(tmp_path / name)


SLOW_FOR_LARGE = (
    "import sys, time\ntext = sys.stdin.read()\ntime.sleep(60 * (text.count('fillcolor') > 60))\nprint({out!r})"
)


@pytest.mark.parametrize(("form", "out"), [("svg", '<svg xmlns="http://www.w3.org/2000/svg"/>'), ("png", "PNG")])
def test_what_takes_too_long_is_folded_further_and_the_dot_text_kept(
    form: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = graph_of(transformer(1), None, detail="h", limit=150)
    boxes = [{"id": str(i), "label": str(i)} for i in range(70)]
    from wua_onnx.diagrams import dot

    large = dot.graph({"of": "h", "boxes": boxes, "edges": []})
    large.simpler = lambda: whole
    command = [sys.executable, "-c", SLOW_FOR_LARGE.format(out=out)]
    monkeypatch.setattr(draw, "_commands", lambda form, engine: [command])
    path = tmp_path / f"g.{form}"
    with pytest.warns(UserWarning, match=r"longer than its limit of 2 s: more of it is folded; the DOT text .*g\.dot"):
        large.to_svg(path, timeout=2) if form == "svg" else large.to_png(path, timeout=2)
    assert path.exists()
    assert (tmp_path / "g.dot").read_text(encoding="utf-8") == large.source


def test_the_simpler_one_has_fewer_boxes() -> None:
    full = diagram()
    assert full.simpler is not None
    assert 0 < full.simpler().source.count("fillcolor") <= 150 // 3
    assert full.source.count("fillcolor") > full.simpler().source.count("fillcolor")


def test_where_nothing_can_draw_there_is_the_dot_text_and_the_line_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    for name in ("g.svg", "g.png"):
        with pytest.raises(OutputError, match=r"neither pygraphviz nor .*pip install 'wua-onnx\[diagrams\]'"):
            diagram().write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    diagram().write(tmp_path / "g.dot")
    assert diagram()._repr_mimebundle_() == {"text/plain": diagram().source}


def named(name: str) -> dict[str, Any]:
    """An audit in which everything that a model names has this name."""
    data = transformer(20)
    for part in (*data["model"]["inputs"], *data["model"]["outputs"]):
        part["name"] = name
    for row in data["cost"]["by_node"]:
        row["path"] = [name, *row["path"]]
        row["op"] += name
    data["diagrams"]["shapes"] = [name, name]
    return data


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("in_detail", [False, True])
def test_hostile_names_pass_unharmed(name: str, in_detail: bool) -> None:
    def drawn(name: str) -> ElementTree.Element:
        svg = graph_of(named(name), "flops", detail=name if in_detail else None).to_svg()
        assert len(svg) < 500_000
        return ElementTree.fromstring(svg)

    def outline(svg: ElementTree.Element) -> Counter[str]:
        return Counter(
            f"{element.tag} {element.get('class')}" for element in svg.iter() if not element.tag.endswith("text")
        )

    found = drawn(name)
    assert outline(found) == outline(drawn("plain"))
    texts = "".join(found.itertext())
    assert not {"\x00", "\u202e"} & set(texts)
    start = name.replace("\x00", "\\u0000").replace("\u202e", "\\u202e")[:7]
    assert start in texts or start.replace("\\", "⧵") in texts


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"color": "heat"}, r"color: expected one of flops, macs, .*, got 'heat'"),
        ({"color": "time"}, r"color 'time': expected a figure of some box, got none: measure it"),
        ({"color": "redundancy"}, r"color 'redundancy': expected a figure of some box, got none: the weights"),
        ({"limit": 0}, "limit: expected 1 to 60 boxes, got 0"),
        ({"limit": 151, "detail": "h"}, "limit: expected 1 to 150 boxes, got 151"),
    ],
)
def test_bad_requests(given: dict[str, object], message: str) -> None:
    with pytest.raises(WuaError, match=message):
        graph_of(transformer(3), given.pop("color", None), **given)  # type: ignore[arg-type] # of no known kind


def test_an_audit_gives_its_diagrams_with_and_without_the_model(tmp_path: Path) -> None:
    digits = Path(__file__).parents[2] / "examples" / "digits.onnx"
    audit = wua.analyze(digits)
    audit.to_json(tmp_path / "a.json")
    again = wua.Audit.from_json(tmp_path / "a.json")
    for color in (None, "params", "redundancy", "importance"):
        assert again.graph(color).source == audit.graph(color).source
    assert again.graph(detail="fc1").source == audit.graph(detail="fc1").source
    assert 'href="#layer-1"' in again.graph().source
