"""Names that mean harm, in every field of a model, through every output: they arrive as text, and do nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

import wua_onnx as wua
from wua_onnx._result import Audit
from wua_onnx.report.comparison import print_comparison
from wua_onnx.report.cost_tables import cost_csv, cost_markdown
from wua_onnx.report.cost_terminal import print_cost
from wua_onnx.report.layer_csv import layer_csv
from wua_onnx.report.terminal import print_audit

NAMES = {
    "script": "</script><script>alert(1)</script>",
    "attribute": '"&onload=alert(1) x="',
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "at": "@SUM(A1)",
    "minus": "-2+3",
    "tab": "\t=1+1",
    "dot": 'dot\\N\\G\\l\\"];evil[label=<b>x</b>',
    "html label": "<b>bold</b><br/>",
    "bidi": "\u202egnp.exe\u202c\u2066\u200b\ufeff",
    "control": "nul\x00esc\x1b[31mred\x7f\x9b2J",
    "lines": "one\r\n::error file=a::b%0A\n| a | b |\u2028\u2029",
    "markup": "[red]m[/red] | `t` *s* _u_ [l](javascript:x) ![i](http://x.invalid) #1 @me ~~d~~",
    "template": "{{ 7*7 }}{% raw %}{#",
    "comment": "]]><!-- --><![CDATA[&amp;&#60;",
    "path": "../../etc/passwd",
    "entity": "%25%0A:,;'",
    "long": "x" * 10_240,
}
PLAIN = "plain"
INPUTS, HIDDEN, OUTPUTS = 5, 7, 3


def named(name: str, hidden: int = HIDDEN) -> Any:
    """A small network in which every field that holds text holds `name`, made unique where names have to be."""
    names = (f"{name}{index}" for index in range(100))
    w, b, v, c, x, h, r, y, odd = (next(names) for _ in range(9))
    rng = np.random.default_rng(3)
    shapes = {w: (INPUTS, hidden), b: (hidden,), v: (hidden, OUTPUTS), c: (OUTPUTS,)}
    nodes = [
        helper.make_node("Gemm", [x, w, b], [h], name=next(names)),
        helper.make_node("Relu", [h], [r], name=next(names)),
        helper.make_node("Gemm", [r, v, c], [y], name=next(names)),
        helper.make_node(name, [y], [odd], name=next(names), domain=name),
    ]
    for node in nodes:
        node.doc_string = name
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=str([name, f"{name}.{name}"]))
        node.metadata_props.add(key=name, value=name)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [value(x, TensorProto.FLOAT, [name, INPUTS], name)],
        [value(y, TensorProto.FLOAT, [name, OUTPUTS]), value(odd, TensorProto.FLOAT, [name])],
        [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), key) for key, shape in shapes.items()],
        doc_string=name,
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(name, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name=name, producer_version=name)
    model.domain = model.doc_string = name
    model.metadata_props.add(key=name, value=name)
    return model


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return NAMES[request.param]


@pytest.fixture(scope="module")
def file(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in a file that is called so, as far as a file can be."""
    base = name.replace("/", "").replace("\x00", "")[:100].strip(". ")
    path = tmp_path_factory.mktemp("hostile") / f"{base}.onnx"
    onnx.save(named(name), path)
    return path


@pytest.fixture(scope="module")
def audit(file: Path) -> Audit:
    return wua.analyze(file)


@pytest.fixture(scope="module")
def plain(name: str, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """The same with harmless letters in the same scopes, which end at dots."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    onnx.save(named(re.sub(r"[^.]", "p", name)), path)
    return wua.analyze(path)


def printed(show: Callable[[Console], None]) -> str:
    out = io.StringIO()
    show(Console(file=out, width=160, force_terminal=False))
    return out.getvalue()


def texts(audit: Audit) -> Iterator[tuple[str, str]]:
    """Every output that is lines of text for people, by its name."""
    data = audit.to_dict()
    comparison = wua.compare(audit, wua.analyze(named(PLAIN, 4)))
    checked = wua.check(audit, max_params=1, max_unsupported=0)
    yield "audit in the terminal", printed(lambda console: print_audit(data, console))
    yield "comparison in the terminal", printed(lambda console: print_comparison(comparison.to_dict(), console))
    yield "check in the terminal", str(checked)
    yield "audit in Markdown", audit.to_markdown()
    yield "comparison in Markdown", comparison.to_markdown()
    yield "check in Markdown", checked.to_markdown()
    yield "annotations", checked.to_github()
    for by in ("operator", "module", "node"):
        yield f"cost by {by} in the terminal", printed(partial(_print_cost, data["cost"], by))
        yield f"cost by {by} in Markdown", cost_markdown(data["cost"], by)


def _print_cost(cost: Any, by: Any, console: Console) -> None:
    print_cost(cost, console, by=by)


def test_lines_stay_lines(audit: Audit, plain: Audit) -> None:
    """No character is left that ends a line, moves the cursor, colours, hides or turns text round."""
    harmless = dict(texts(plain))
    for output, text in texts(audit):
        lines = text.split("\n")
        assert all(line.isprintable() for line in lines), output
        if "terminal" not in output:  # where long names fold
            assert len(lines) == len(harmless[output].split("\n")), output
        assert max(map(len, re.findall("x+", text)), default=0) < 400, output


def test_markdown_has_the_cells_it_should_have(audit: Audit, plain: Audit) -> None:
    harmless = dict(texts(plain))
    for output, text in texts(audit):
        if "Markdown" not in output:
            continue
        bare = re.sub(r"\\[\\`*_{}\[\]|~<>&$:]", "", text)
        for mark in ("|", "`", "<", "](", "http:"):
            assert bare.count(mark) == harmless[output].count(mark), (output, mark)


def test_annotations_are_one_for_each_limit(audit: Audit) -> None:
    checked = wua.check(audit, max_params=1, max_unsupported=0)
    lines = checked.to_github().split("\n")
    assert len(lines) == 2
    assert all(re.fullmatch(r"::error title=[^:,\r\n]*::[^\r\n]*", line) for line in lines)


class Page(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.links |= {value or "" for key, value in attrs if key in ("href", "src", "xlink:href")}


def pages(audit: Audit) -> dict[str, str]:
    comparison = wua.compare(audit, wua.analyze(named(PLAIN, 4)))
    return {
        "page": audit.to_html(),
        "notebook": audit._repr_html_(),
        "comparison": comparison.to_html(),
        "comparison in a notebook": comparison._repr_html_(),
    }


@pytest.fixture(scope="module")
def harmless_pages() -> dict[str, str]:
    return pages(wua.analyze(named(PLAIN)))


def test_pages_have_the_tags_of_a_harmless_one(audit: Audit, harmless_pages: dict[str, str]) -> None:
    for output, html in pages(audit).items():
        page, other = Page(html), Page(harmless_pages[output])
        known = {(tag, key) for tag, keys in other.tags for key in ("", *keys)}
        found = {(tag, key) for tag, keys in page.tags for key in ("", *keys)}
        assert {pair for pair in found - known if pair[0] in ("script", "iframe", "img", "object", "b", "br")} == set()
        assert {key for _, key in found if key.startswith("on") or key == "srcdoc"} == set(), output
        assert [tag for tag, _ in page.tags].count("script") == [tag for tag, _ in other.tags].count("script")
        own = re.compile(r"#.*|data:,|data:image/png;base64,[A-Za-z0-9+/=]*")
        assert [link for link in page.links if not own.fullmatch(link)] == [], output
        assert not set(html) & set("\x00\x1b\x7f\x9b\u202e\u2066\u200b\ufeff\u2028"), output


def test_json_gives_every_name_back(audit: Audit, tmp_path: Path) -> None:
    audit.to_json(tmp_path / "audit.json")
    again = Audit.from_json(tmp_path / "audit.json")
    assert again.to_dict() == audit.to_dict()


def test_cells_of_csv_are_no_formulas(audit: Audit, plain: Audit) -> None:
    outputs: list[Callable[[Any], str]] = [
        layer_csv, *((lambda data, by=by: cost_csv(data["cost"], by)) for by in ("operator", "module", "node")),
    ]  # fmt: skip
    for output in outputs:
        rows, other = (list(csv.reader(io.StringIO(output(side.to_dict())))) for side in (audit, plain))
        assert [len(row) for row in rows] == [len(row) for row in other]
        for cell in (cell for row in rows for cell in row):
            assert re.fullmatch(r"-?[0-9.e+-]+|[^=+\-@\t\r].*|", cell, re.DOTALL), cell
            assert cell.isprintable()


def test_xml_and_sarif_are_well_formed(name: str, audit: Audit) -> None:
    checked = wua.check(audit, max_params=1, max_unsupported=0)
    tags = [element.tag for element in ElementTree.fromstring(checked.to_junit()).iter()]
    assert tags.count("testcase") == tags.count("failure") == 2
    assert set(tags) <= {"testsuites", "testsuite", "testcase", "failure", "system-out"}
    [run] = json.loads(checked.to_sarif())["runs"]
    assert len(run["results"]) == 2
    assert all(result["message"]["text"].isprintable() for result in run["results"])


@pytest.mark.parametrize("kind", ["graph", "network"])
def test_diagrams_have_the_parts_of_a_harmless_one(kind: str, audit: Audit, plain: Audit) -> None:
    pygraphviz = pytest.importorskip("pygraphviz")
    if kind == "network" and audit.to_dict()["diagrams"]["network"] is None:
        assert plain.to_dict()["diagrams"]["network"] is None
        return
    drawn, other = (getattr(side, kind)() for side in (audit, plain))
    found, expected = (pygraphviz.AGraph(string=diagram.source) for diagram in (drawn, other))
    assert (len(found.nodes()), len(found.edges())) == (len(expected.nodes()), len(expected.edges()))
    assert sorted(found.nodes()) == sorted(expected.nodes()), "ids are generated, never names of the model"
    svg = ElementTree.fromstring(drawn.to_svg())
    tags = {element.tag for element in svg.iter()}
    assert tags <= {element.tag for element in ElementTree.fromstring(other.to_svg()).iter()}
    attributes = {key for element in svg.iter() for key in element.attrib}
    assert {key for key in attributes if key.startswith("on")} == set()
    assert all((text or "").isprintable() or not (text or "").strip() for text in svg.itertext())


def test_data_frames_hold_the_names_as_they_are(audit: Audit) -> None:
    pytest.importorskip("pandas")
    assert list(audit.to_pandas()["name"]) == [layer["name"] for layer in audit.to_dict()["layers"]]
    html = audit.to_pandas().to_html()
    assert "<script" not in html


def test_annotations_and_sarif_tell_the_file(file: Path) -> None:
    checked = wua.check(file, max_params=1)
    ElementTree.fromstring(checked.to_junit())
    assert re.fullmatch(r"::error file=[^:,\r\n]*,title=[^:,\r\n]*::[^\r\n]*", checked.to_github())
    [result] = json.loads(checked.to_sarif())["runs"][0]["results"]
    assert re.fullmatch(r"[\x21-\x7e]+", result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
