"""JSON of a graph diagram -> DOT text. Ids are generated, labels escaped: nothing of a model is markup here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import graphviz

from wua_onnx._text import visible
from wua_onnx.diagrams import legend, marks
from wua_onnx.diagrams import palette as p
from wua_onnx.diagrams.circles import network
from wua_onnx.diagrams.diagram import Diagram
from wua_onnx.diagrams.figure import DETAIL_LIMIT
from wua_onnx.diagrams.metrics import METRICS, Metric
from wua_onnx.diagrams.overview import LIMIT
from wua_onnx.diagrams.palette import kind_of
from wua_onnx.diagrams.stubs import Stub, long_edges

__all__ = ["MAX_BOXES", "graph", "network"]

Json = Mapping[str, Any]

MAX_BOXES = LIMIT
_GRAPH = {
    "rankdir": "TB", "bgcolor": "transparent", "nodesep": "0.3", "ranksep": "0.32", "pad": "0.1",
    "fontname": p.FONT, "fontsize": "11", "fontcolor": p.INK, "labelloc": "t", "charset": "UTF-8",
    "tooltip": "graph of the model",
}  # fmt: skip
_BOX = {
    "shape": "box", "style": "rounded,filled", "fontname": p.FONT, "fontsize": "11", "fontcolor": p.INK,
    "color": p.LINE, "penwidth": "1", "margin": "0.16,0.07", "height": "0.3",
}  # fmt: skip
_ARROW = {
    "color": p.LINE, "fontname": p.FONT, "fontsize": "9", "fontcolor": p.MUTED, "arrowsize": "0.6", "penwidth": "1",
}  # fmt: skip
_STUB = {
    "shape": "plaintext", "style": "", "fontsize": "9", "fontcolor": p.MUTED, "class": "caption", "height": "0.2",
    "margin": "0.04,0.02",
}  # fmt: skip


def graph(
    diagram: Json, links: Mapping[str, str] | None = None, *, color: str | None = None, with_legend: bool = False
) -> Diagram:
    """Return the drawing of a graph diagram, `diagrams.graph` of an audit for instance.

    Args:
        diagram: boxes and edges; at most 60 boxes are drawn, 150 of a module, and a last box counts the rest.
        links: label of a box -> fragment to link to; by default a box of a layer leads to `#layer-3`, for instance.
        color: the metric that decides the colours (a name in `METRICS`); by default the kind of each box does.
        with_legend: whether the drawing says what its colours mean.
    """
    drawing = Diagram("graph", graph_attr=_GRAPH, node_attr=_BOX, edge_attr=_ARROW)
    most = DETAIL_LIMIT if diagram.get("of") is not None else MAX_BOXES
    boxes, rest = diagram["boxes"][:most], len(diagram["boxes"]) - most
    colours = _colours(boxes, color)
    for index, box in enumerate(boxes):
        _box(drawing, f"b{index}", box, colours, _link(box, links))
    if rest > 0:
        drawing.node("more", f"+ {rest:,} more", shape="plaintext", style="", **{"class": "caption"})
    _edges(drawing, boxes, diagram["edges"])
    if with_legend and boxes:
        drawing.attr(label=colours.legend(boxes))
    return drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Colours:
    """How boxes are coloured: by their kind, or by a metric that goes from `low` to `high`."""

    metric: Metric | None = None
    low: float = 0.0
    high: float = 0.0

    def value(self, box: Json) -> float | None:
        """Return the figure that decides the colour of a box; None where it has none."""
        found = (box.get("values") or {}).get(self.metric.name) if self.metric else None
        return float(found) if isinstance(found, int | float) else None

    def look(self, box: Json) -> tuple[str, str]:
        """Return the class of a box and its colour."""
        value = self.value(box)
        if self.metric is None:
            kind = kind_of(box.get("kind"))
            return kind, p.KINDS[kind]
        if value is None:
            return "other", p.KINDS["other"]
        step = p.step_of(value, self.low, self.high)
        return f"s{step}", p.RAMP[step]

    def legend(self, boxes: Sequence[Json]) -> str:
        """Return what the colours mean."""
        if self.metric is None:
            return legend.kinds(kind_of(box.get("kind")) for box in boxes)
        return legend.ramp(self.metric, self.low, self.high, any(self.value(box) is None for box in boxes))


def _colours(boxes: Sequence[Json], color: str | None) -> _Colours:
    """Return the colours of `boxes`: shares and amounts begin at 0, ratios at the smallest that there is."""
    if color is None:
        return _Colours()
    metric = METRICS[color]
    values = [value for box in boxes if (value := _Colours(metric=metric).value(box)) is not None]
    low = min(values, default=0.0) if metric.form == "ratio" else 0.0
    return _Colours(metric=metric, low=low, high=max(values, default=0.0))


def _link(box: Json, links: Mapping[str, str] | None) -> str | None:
    if links is not None:
        return marks.fragment(links.get(box["label"]))
    return f"#layer-{box['layer']}" if isinstance(box.get("layer"), int) else None


def _box(drawing: Diagram, name: str, box: Json, colours: _Colours, link: str | None) -> None:
    css, colour = colours.look(box)
    label, detail = marks.label(box["label"]), marks.label(box.get("detail") or "")
    title = marks.lines(_title(box, label))
    drawing.node(
        name,
        title if detail in ("", label) else marks.lines(title, detail),
        id=name,
        fillcolor=colour,
        tooltip=marks.tooltip(" · ".join(_hover(box))),
        **{"class": css},
        **({"href": link} if link else {}),
    )


def _title(box: Json, label: Any) -> str:
    count = box.get("count", 1)
    return f"{label} × {count:,}" if isinstance(count, int) and count != 1 else str(label)


def _hover(box: Json) -> list[str]:
    """Return the name in full and every figure of a box."""
    parts = [visible(box["label"], 80), visible(box.get("detail") or "", 60)]
    for name, value in (box.get("values") or {}).items():
        if name in METRICS and isinstance(value, int | float):
            metric = METRICS[name]
            of = f"of {metric.label}" if metric.form == "share" else metric.label
            parts.append(f"{metric.text(value)} {of}")
    return [part for part in dict.fromkeys(parts) if part]


def _edges(drawing: Diagram, boxes: Sequence[Json], edges: Sequence[Json]) -> None:
    """Draw the edges between boxes, those over many ranks as stubs."""
    index = {str(box["id"]): i for i, box in enumerate(boxes)}
    shown = [edge for edge in edges if str(edge["from"]) in index and str(edge["to"]) in index]
    ends = [(index[str(edge["from"])], index[str(edge["to"])]) for edge in shown]
    stubs = long_edges(len(boxes), ends)
    cut = {at for stub in stubs for at in stub.edges}
    for at, (edge, (tail, head)) in enumerate(zip(shown, ends, strict=True)):
        if at not in cut:
            _edge(drawing, f"b{tail}", f"b{head}", edge)
    for stub in stubs:
        _stub_pairs(drawing, stub, boxes, [(shown[at], ends[at][1]) for at in stub.edges])


def _edge(drawing: Diagram, tail: str, head: str, edge: Json, **look: str) -> None:
    text = edge.get("label") or ""
    label = graphviz.nohtml(f" {marks.label(text)} ") if text else ""
    drawing.edge(tail, head, label=label, tooltip=marks.tooltip(text or " "), **look)


def _stub_pairs(drawing: Diagram, stub: Stub, boxes: Sequence[Json], readers: Sequence[tuple[Json, int]]) -> None:
    """Draw the end of long edges at the box they leave, and their other ends where they arrive."""
    to = f"{len(readers):,} boxes" if len(readers) > 1 else _name(boxes[readers[0][1]])
    drawing.node(f"o{stub.mark}", marks.label(f"[{stub.mark}] to {to}"), **_STUB)
    _edge(drawing, f"b{stub.source}", f"o{stub.mark}", {"label": ""}, style="dashed")
    for edge, target in readers:
        name = f"i{stub.mark}_{target}"
        drawing.node(name, marks.label(f"[{stub.mark}] from {_name(boxes[stub.source])}"), **_STUB)
        _edge(drawing, name, f"b{target}", edge, style="dashed")


def _name(box: Json) -> str:
    """Return the label of a box without the word that says on which side of a module it lies."""
    label = str(box["label"])
    return label.removeprefix("from ").removeprefix("to ") if box.get("kind") == "outside" else label
