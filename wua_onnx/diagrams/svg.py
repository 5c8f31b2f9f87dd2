"""Graphviz's SVG -> SVG that may stand in a page: a list of what is allowed, and nothing else passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from wua_onnx._text import visible
from wua_onnx.diagrams.palette import FONT, STYLE

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_ELEMENTS = frozenset(
    {"svg", "g", "a", "title", "text", "tspan", "path", "polygon", "polyline", "ellipse", "circle", "rect"}
)
_ATTRIBUTES = frozenset(
    {
        "id", "class", "transform", "d", "points", "x", "y", "cx", "cy", "rx", "ry", "r", "width", "height", "viewBox",
        "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "stroke-opacity",
        "text-anchor", "font-family", "font-size", "font-weight", "font-style",
    }
)  # fmt: skip
# What elements inherit, said once at the root and left out where it is the same.
_INHERITED = {"font-family": f"{FONT},sans-Serif", "font-size": "11.00", "text-anchor": "middle"}
_NUMBER = re.compile(r"-?\d+\.\d+")
_COORDINATES = frozenset({"d", "points", "x", "y", "cx", "cy", "rx", "ry", "r"})
_FRAGMENT = re.compile(r"#[A-Za-z][\w.-]*", re.ASCII)
_MAX_TEXT = 400


class DrawingError(ValueError):
    """What the drawing program wrote is no SVG."""


def inline(drawn: str, prefix: str) -> str:
    """Return an SVG element for use inside HTML, or as a file of its own.

    Without XML header, document type and comments; elements and attributes that are not needed are dropped, links
    lead to fragments of the page only, ids begin with `prefix`, hover text becomes `<title>`. A style sheet follows
    light and dark.

    Raises:
        DrawingError: `drawn` is no SVG.
    """
    if "<!ENTITY" in drawn:
        raise DrawingError("the drawing is no plain SVG: it defines entities")
    try:
        root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>\[]*>", "", drawn, count=1))
    except ElementTree.ParseError as error:
        raise DrawingError(f"the drawing is no SVG: {error}") from None
    if root.tag != f"{{{_SVG}}}svg":
        raise DrawingError("the drawing is no SVG: its root is another element")
    element = _copy(root, prefix)
    element.attrib.update(_INHERITED, **{"class": "wua"})
    # An image hides what is in it from a screen reader: one with links is a group.
    element.set("role", "img" if element.find(".//a[@href]") is None else "group")
    element.set("aria-label", f"Diagram: {prefix}")
    style = ElementTree.Element("style")
    style.text = STYLE
    element.insert(0, style)
    # In HTML a style element is raw text; STYLE holds neither < nor &, so that both readings agree.
    return ElementTree.tostring(element, encoding="unicode").replace("<svg ", f'<svg xmlns="{_SVG}" ', 1)


def _copy(source: ElementTree.Element, prefix: str) -> ElementTree.Element:
    """Return `source` with what is allowed in it; its depth is that of Graphviz's output, which is small."""
    copy = ElementTree.Element(_local(source.tag), _attributes(source, prefix))
    if copy.tag in ("text", "tspan", "title"):
        copy.text = visible(source.text or "", _MAX_TEXT)
    hover = _hover(source)
    for child in _children(source):
        tag = _local(child.tag)
        if tag in _ELEMENTS and not (hover and tag == "title"):
            copy.append(_copy(child, prefix))
    if hover:
        title = ElementTree.Element("title")
        title.text = visible(hover, _MAX_TEXT)
        copy.insert(0, title)
    return copy


def _children(source: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield what is in `source`; of links without an aim, which Graphviz makes for hover text, what is in them."""
    for child in source:
        around_link = child.get("id", "").startswith("a_") and not child.get("class")
        if around_link or (_local(child.tag) == "a" and "href" not in _attributes(child, "")):
            yield from _children(child)
        else:
            yield child


def _hover(group: ElementTree.Element) -> str | None:
    """Return the hover text that Graphviz puts on a link inside the group of a node or an edge."""
    if group.get("class", "").split(" ")[0] not in ("node", "edge", "graph"):
        return None
    for link in group.iter(f"{{{_SVG}}}a"):
        text = link.get(f"{{{_XLINK}}}title", "").strip()
        if text:
            return text
    return None


def _attributes(source: ElementTree.Element, prefix: str) -> dict[str, str]:
    kept = {name: value for name, value in source.attrib.items() if name in _ATTRIBUTES and "url(" not in value}
    kept = {name: value for name, value in kept.items() if value != _INHERITED.get(name)}
    for name in _COORDINATES & kept.keys():
        kept[name] = _NUMBER.sub(_rounded, kept[name])
    if "id" in kept:
        kept["id"] = f"{prefix}-{kept['id']}"
    if kept.get("class", "").split(" ")[0] == "edge":
        kept.pop("id", None)
    target = source.get(f"{{{_XLINK}}}href") or source.get("href") or ""
    if _local(source.tag) == "a" and _FRAGMENT.fullmatch(target):
        kept["href"] = target
    return kept


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _local(tag: str) -> str:
    namespace, _, name = tag.rpartition("}")
    return name if namespace in ("", "{" + _SVG) else "other"
