"""JSON of a diagram -> DOT text. Ids are generated or checked, labels escaped: nothing of a model is markup here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import graphviz

from wua_onnx._text import shortened, visible
from wua_onnx.diagrams import palette as p
from wua_onnx.diagrams.palette import kind_of

Json = Mapping[str, Any]

MAX_BOXES = 60
_LINE = 34  # characters of a line in a box
_COLUMN, _ROW = 2.6, 0.42  # inches between layers and between neurons
_THIN, _THICK = 0.4, 3.2  # points


def graph(diagram: Json, links: Mapping[str, str] | None = None) -> graphviz.Digraph:
    """Return the drawing of `diagrams.graph` of an audit.

    Args:
        diagram: boxes and edges; at most the first `MAX_BOXES` boxes are drawn, and a last box counts the rest.
        links: label of a box -> fragment to link to, such as `#layer-3`.
    """
    digraph = graphviz.Digraph("graph", graph_attr=_GRAPH, node_attr=_BOX, edge_attr=_ARROW)
    boxes = list(diagram["boxes"])
    names = {str(box["id"]): f"b{index}" for index, box in enumerate(boxes[:MAX_BOXES])}
    for name, box in zip(names.values(), boxes, strict=False):
        _draw_box(digraph, name, box, _fragment((links or {}).get(box["label"])))
    if len(boxes) > MAX_BOXES:
        digraph.node("more", f"+ {len(boxes) - MAX_BOXES:,} more", shape="plaintext", style="", **{"class": "caption"})
    for edge in diagram["edges"]:
        tail, head = names.get(str(edge["from"])), names.get(str(edge["to"]))
        if tail and head:
            text = edge.get("label") or ""
            digraph.edge(tail, head, label=_label(text), tooltip=_tooltip(text or " "))
    return digraph


def network(diagram: Json) -> graphviz.Digraph:
    """Return the drawing of `diagrams.network`: circles by layer, lines as thick as |weight|.

    Lines are red where |weight| exceeds the diagram's threshold, gray elsewhere; dead neurons are dashed and
    crossed. Positions are fixed, so the drawing takes no layout.
    """
    digraph = graphviz.Digraph(
        "network", engine="neato", graph_attr=_NETWORK, node_attr=_CIRCLE, edge_attr={"arrowhead": "none"}
    )
    layers = diagram["layers"]
    tallest = max((_places(layer) for layer in layers), default=0)
    for index, layer in enumerate(layers):
        _draw_column(digraph, index, layer, tallest)
    known = {f"n{k}_{neuron['index']}" for k, layer in enumerate(layers) for neuron in layer["neurons"]}
    heaviest = max((abs(edge["weight"]) for edge in diagram["edges"]), default=0.0) or 1.0
    for edge in sorted(diagram["edges"], key=lambda e: abs(e["weight"])):
        ends = f"n{edge['layer']}_{edge['from']}", f"n{edge['layer'] + 1}_{edge['to']}"
        if known.issuperset(ends):
            _draw_line(digraph, *ends, edge["weight"], heaviest, diagram["threshold"])
    return digraph


_GRAPH = {
    "rankdir": "TB", "bgcolor": "transparent", "nodesep": "0.3", "ranksep": "0.32", "pad": "0.1",
    "fontname": p.FONT, "charset": "UTF-8", "tooltip": "graph of the model",
}  # fmt: skip
_BOX = {
    "shape": "box", "style": "rounded,filled", "fontname": p.FONT, "fontsize": "11", "fontcolor": p.INK,
    "color": p.LINE, "penwidth": "1", "margin": "0.16,0.07", "height": "0.3",
}  # fmt: skip
_ARROW = {
    "color": p.LINE, "fontname": p.FONT, "fontsize": "9", "fontcolor": p.MUTED, "arrowsize": "0.6", "penwidth": "1",
}  # fmt: skip
_NETWORK = {
    "bgcolor": "transparent", "splines": "line", "outputorder": "edgesfirst", "pad": "0.2", "fontname": p.FONT,
    "notranslate": "true", "charset": "UTF-8", "tooltip": "neurons of the model",
}  # fmt: skip
_CIRCLE = {
    "shape": "circle", "style": "filled", "fixedsize": "true", "width": "0.28", "fontname": p.FONT, "fontsize": "8",
    "fontcolor": p.INK, "color": p.LINE, "fillcolor": p.KINDS["dense"],
}  # fmt: skip


def _draw_box(digraph: graphviz.Digraph, name: str, box: Json, link: str | None) -> None:
    kind, count = kind_of(box.get("kind")), box.get("count", 1)
    label, detail = _label(box["label"]), _label(box.get("detail") or "")
    title = label if count == 1 else f"{label} × {count:,}"
    lines = [title] if detail in ("", label) else [title, detail]
    link_attributes = {"href": link} if link else {}
    digraph.node(
        name,
        graphviz.nohtml("\\n".join(lines)),
        fillcolor=p.KINDS[kind],
        tooltip=_tooltip(" · ".join(_hover(box))),
        **{"class": kind},
        **link_attributes,
    )


def _hover(box: Json) -> list[str]:
    parts = [visible(box["label"]), visible(box.get("detail") or "")]
    for key, noun in (("share", "of the MACs"), ("redundancy", "redundancy")):
        if isinstance(box.get(key), int | float):
            parts.append(f"{100 * box[key]:.1f} % {noun}")
    return [part for part in parts if part]


def _draw_column(digraph: graphviz.Digraph, index: int, layer: Json, tallest: int) -> None:
    x, top = index * _COLUMN, _ROW * (_places(layer) - 1) / 2
    for place, neuron in enumerate(layer["neurons"]):
        _draw_neuron(digraph, f"n{index}_{neuron['index']}", neuron, f"{x:.2f},{top - _ROW * place:.2f}!")
    caption = {"shape": "plaintext", "style": "", "fixedsize": "false", "class": "caption", "fontcolor": p.MUTED}
    if layer["left_out"]:
        position = f"{x:.2f},{top - _ROW * len(layer['neurons']):.2f}!"
        digraph.node(f"more{index}", f"+ {layer['left_out']:,} more", pos=position, **caption, fontsize="10")
    below = f"{x:.2f},{-_ROW * (tallest / 2 + 0.9):.2f}!"
    digraph.node(f"name{index}", _label(layer["name"], 24), pos=below, **caption, fontsize="11")


def _draw_neuron(digraph: graphviz.Digraph, name: str, neuron: Json, position: str) -> None:
    value, dead = neuron.get("value"), neuron.get("dead")
    state = "dead" if dead else "not recorded" if value is None else f"mean activation {value:.4g}"
    look = {"style": "dashed", "color": p.STRONG, "fontcolor": p.STRONG} if dead else {}
    label, css = ("×", "neuron dead") if dead else ("", "neuron dense")
    digraph.node(name, label, pos=position, tooltip=f"neuron {neuron['index']}: {state}", **look, **{"class": css})


def _draw_line(
    digraph: graphviz.Digraph, tail: str, head: str, weight: float, heaviest: float, threshold: float
) -> None:
    strong = abs(weight) > threshold
    digraph.edge(
        tail,
        head,
        color=p.STRONG if strong else p.WEAK,
        penwidth=f"{_THIN + (_THICK - _THIN) * abs(weight) / heaviest:.2f}",
        tooltip=f"weight {weight:.4g}",
        **{"class": "strong" if strong else "weak"},
    )


def _places(layer: Json) -> int:
    return len(layer["neurons"]) + bool(layer["left_out"])


def _label(text: object, limit: int = _LINE) -> Any:
    """Return `text` so that DOT shows it as it is: no escape sequence, no entity, no HTML-like label."""
    return graphviz.escape(shortened(text, limit).replace("&", "&amp;"))


def _tooltip(text: object) -> Any:
    """Return `text` for a tooltip. Graphviz reads escapes there once or twice, by version: none may be left."""
    return graphviz.nohtml(visible(text).replace("&", "&amp;").replace("\\", "⧵"))


def _fragment(link: str | None) -> str | None:
    return link if link and re.fullmatch(r"#[A-Za-z][\w.-]*", link, re.ASCII) else None
