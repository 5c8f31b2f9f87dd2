from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from tests.parsed_page import Page
from wua_onnx.diagrams.draw import Drawing
from wua_onnx.errors import WuaError
from wua_onnx.report import figures
from wua_onnx.report.cost_terminal import print_cost
from wua_onnx.report.html import render, render_inline
from wua_onnx.report.markdown import escape, to_markdown
from wua_onnx.report.terminal import print_audit

from .sample import HOSTILE, digits, hostile, transformer

Golden = Callable[[str, str], None]
AUDITS = {"digits": digits, "transformer": transformer, "hostile": hostile}


def printed(width: int, show: Callable[[Console], None], terminal: bool = False) -> str:
    out = io.StringIO()
    show(Console(file=out, width=width, force_terminal=terminal, color_system="standard" if terminal else None))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("name", AUDITS)
@pytest.mark.parametrize("width", [80, 140])
def test_terminal(name: str, width: int, golden: Golden) -> None:
    text = printed(width, lambda console: print_audit(AUDITS[name](), console))
    assert max(map(len, text.splitlines())) <= width
    golden(f"{name}.{width}.txt", text)


@pytest.mark.parametrize("by", ["operator", "module", "node"])
def test_terminal_cost(by: Any, golden: Golden) -> None:
    golden(f"cost.{by}.txt", printed(80, lambda console: print_cost(digits()["cost"], console, by=by)))


def test_depth_limits_the_modules() -> None:
    def show(depth: int | None) -> str:
        return printed(80, lambda console: print_cost(transformer()["cost"], console, depth, "module"))

    assert "blocks.0" in show(None)
    assert "blocks.0" not in show(1)


def test_colours_only_on_a_terminal() -> None:
    assert "\x1b[" not in printed(80, lambda console: print_audit(digits(), console))
    assert "\x1b[" in printed(80, lambda console: print_audit(digits(), console), terminal=True)


def test_hostile_names_cannot_colour_or_clear_the_terminal() -> None:
    text = printed(140, lambda console: print_audit(hostile(), console))
    assert all(line.isprintable() for line in text.splitlines())
    assert "[red]markup[/red]" in text


@pytest.mark.parametrize("name", AUDITS)
def test_markdown(name: str, golden: Golden) -> None:
    golden(f"{name}.md", to_markdown(AUDITS[name]()))


def test_markdown_escapes_what_would_format_link_or_mention() -> None:
    assert escape("a|b *c* [d](e) <f> `g` #1 @h x://y") == (r"a\|b \*c\* \[d\](e) \<f\> \`g\` &#35;1 &#64;h x\://y")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render(make()) for name, make in AUDITS.items()}


SECTIONS = ("verdict", "findings", "layers", "importance", "cost", "training", "latency", "structure", "method")


@pytest.mark.parametrize("name", AUDITS)
def test_page_stands_alone(name: str, pages: dict[str, str]) -> None:
    page = Page(pages[name])
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert scripts == [{"type": "text/plain", "id": "layer-data"}, {}], "data, and the project's own"
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]
    assert all(link.startswith("#") or link == "data:," for link in page.values("href"))
    assert not page.values("src")
    assert "default-src 'none'" in page.values("content")[0]
    assert pages[name].count("http://") == pages[name].count("http://www.w3.org/2000/svg")
    assert "https://" not in pages[name]


@pytest.mark.parametrize("name", AUDITS)
def test_anchors_are_unique_and_lead_somewhere(name: str, pages: dict[str, str]) -> None:
    page = Page(pages[name])
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(SECTIONS) < set(ids)
    assert {link[1:] for link in page.values("href") if link != "data:,"} <= set(ids)


def test_boxes_of_layers_lead_to_their_row(pages: dict[str, str]) -> None:
    svg = pages["digits"].split('id="structure"')[1].split("<svg", 1)[1].split("</svg>", 1)[0]
    assert 'href="#layer-2"' in svg


def test_hostile_page_has_the_tags_and_attributes_of_a_harmless_one(pages: dict[str, str]) -> None:
    def vocabulary(name: str) -> set[tuple[str, str]]:
        return {(tag, attribute) for tag, attributes in Page(pages[name]).tags for attribute in ("", *attributes)}

    assert vocabulary("hostile") <= vocabulary("digits") | vocabulary("transformer")


def test_hostile_page_shows_every_name_as_text(pages: dict[str, str]) -> None:
    text = Page(pages["hostile"]).text
    for name in HOSTILE:
        if name.isprintable() and len(name) < 100:
            assert name in text
    assert "safe\\u202egnp.exe" in text
    assert "(10,240 characters)" in text
    assert max(map(len, re.findall("x+", text))) < 400
    assert all(character.isprintable() or character in "\n\u00a0" for character in text)


def test_page_without_anything_to_draw_with_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "no diagram is drawn: neither pygraphviz nor the dot program is installed (pip install x)"
    monkeypatch.setattr(figures, "to_svg", lambda *args, **kwargs: Drawing(svg=None, reason=reason))
    page = render(digits())
    assert reason in page
    assert "<svg" not in page.split('id="structure"')[1].split("</section>", 1)[0]


def test_audit_of_nothing_renders() -> None:
    audit = digits()
    audit.update(layers=[], findings=[], recording=None, diagrams={"graph": None, "network": None})
    audit["cost"].update(by_operator=[], by_module=[], by_node=[])
    audit["totals"] = {**dict.fromkeys(audit["totals"]), "weights": 0}
    assert "has no weights that could be judged" in render(audit)
    assert "has no weights" in to_markdown(audit)
    assert "has no weights" in printed(80, lambda console: print_audit(audit, console))


def test_many_modules_are_folded() -> None:
    audit = digits()
    audit["cost"]["by_module"] = [{**audit["cost"]["by_module"][1], "path": f"m{i}"} for i in range(43)]
    assert "28 more modules" in render(audit)
    assert "3 more modules" in to_markdown(audit)


def test_notebook_fragment_has_no_script_and_escapes() -> None:
    page = Page(render_inline(hostile()))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "html", "link", "a", "img"})
    assert "<script>alert(1)</script>" in page.text


@pytest.mark.parametrize("output", [render, render_inline, to_markdown, print_audit])
def test_another_schema_version_is_refused(output: Callable[[Any], Any]) -> None:
    with pytest.raises(WuaError, match="expected 1, got 2"):
        output({**digits(), "schema_version": 2})
