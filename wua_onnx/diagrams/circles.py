"""JSON of a neuron diagram -> DOT text: circles by layer, lines as thick as |weight|, the strongest pathways in blue.

Positions are fixed, so the drawing takes no layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from wua_onnx.diagrams import legend, marks
from wua_onnx.diagrams import palette as p
from wua_onnx.diagrams.diagram import Diagram

Json = Mapping[str, Any]
Line = tuple[int, int, int]  # layer, and the neurons at its ends
Places = dict[tuple[int, int], str]  # of each neuron: layer, index

_COLUMN, _ROW = 2.6, 0.42  # inches between layers and between neurons
_THIN, _THICK, _PATH = 0.4, 3.2, 2.2  # points; a line of a pathway is at least the last
_MANY, _SLIM = 100, 1.4  # lines from which on the thickest is this thin
_MAX_INDEX = 3  # digits that fit a circle
_GRAPH = {
    "bgcolor": "transparent", "splines": "line", "outputorder": "edgesfirst", "pad": "0.2", "fontname": p.FONT,
    "fontsize": "11", "fontcolor": p.MUTED, "notranslate": "true", "charset": "UTF-8",
    "tooltip": "neurons of the model",
}  # fmt: skip
_CIRCLE = {
    "shape": "circle", "style": "filled", "fixedsize": "true", "width": "0.28", "fontname": p.FONT, "fontsize": "8",
    "fontcolor": p.INK, "color": p.LINE, "fillcolor": p.KINDS["dense"],
}  # fmt: skip
_CAPTION = {"shape": "plaintext", "style": "", "fixedsize": "false", "class": "caption", "fontcolor": p.MUTED}


def network(diagram: Json, *, with_legend: bool = False) -> Diagram:
    """Return the drawing of `diagrams.network` of an audit.

    Lines are red where |weight| exceeds the diagram's threshold, gray elsewhere; those of the strongest pathways are
    blue and lie on top. Dead neurons are dashed and crossed.
    """
    drawing = Diagram("network", engine="neato", graph_attr=_GRAPH, node_attr=_CIRCLE, edge_attr={"arrowhead": "none"})
    drawing.left_out = int(diagram.get("left_out") or 0)
    layers, paths = diagram["layers"], diagram.get("paths") or []
    if with_legend:
        drawing.attr(label=legend.lines(float(diagram["threshold"]), len(paths), drawing.left_out))
    places = _places(layers)
    on_path = {(k, neuron) for path in paths for k, neuron in enumerate(path["neurons"])}
    for k, layer in enumerate(layers):
        for neuron in layer["neurons"]:
            _circle(drawing, k, neuron, places[k, neuron["index"]], (k, neuron["index"]) in on_path)
    _captions(drawing, layers)
    _lines(drawing, diagram, places, _ranked(paths))
    return drawing


def _rows(layer: Json) -> int:
    return len(layer["neurons"]) + bool(layer["left_out"])


def _place(layer: int, row: float) -> str:
    return f"{layer * _COLUMN:.2f},{0 - _ROW * row:.2f}!"


def _top(layer: Json) -> float:
    """Return the row of a layer's first neuron: columns are centred at row 0."""
    return -(_rows(layer) - 1) / 2


def _places(layers: Sequence[Json]) -> Places:
    return {
        (k, neuron["index"]): _place(k, _top(layer) + row)
        for k, layer in enumerate(layers)
        for row, neuron in enumerate(layer["neurons"])
    }


def _captions(drawing: Diagram, layers: Sequence[Json]) -> None:
    """Write under each column how many neurons are left out, and the name of the layer."""
    lowest = max((_rows(layer) for layer in layers), default=0) / 2 + 0.9
    for k, layer in enumerate(layers):
        if layer["left_out"]:
            position = _place(k, _top(layer) + len(layer["neurons"]))
            drawing.node(f"more{k}", f"+ {layer['left_out']:,} more", pos=position, **_CAPTION, fontsize="10")
        drawing.node(f"name{k}", marks.label(layer["name"], 24), pos=_place(k, lowest), **_CAPTION, fontsize="11")


def _ranked(paths: list[Json]) -> dict[Line, str]:
    """Return the lines of the strongest pathways, and what their hover text says of them."""
    found: dict[Line, str] = {}
    for rank, path in enumerate(paths, start=1):
        share = f", {100 * path['share']:.1f} % of all" if path.get("share") is not None else ""
        way = " → ".join(str(int(neuron)) for neuron in path["neurons"])
        for k, (tail, head) in enumerate(pairwise(path["neurons"])):
            found.setdefault((k, tail, head), f"pathway {rank}: {way}{share}")
    return found


def _circle(drawing: Diagram, layer: int, neuron: Json, position: str, on_path: bool) -> None:
    value, dead, index = neuron.get("value"), neuron.get("dead"), str(neuron["index"])
    state = "dead" if dead else "not recorded" if value is None else f"mean activation {value:.4g}"
    label, css, look = index if len(index) <= _MAX_INDEX else "", "neuron dense", {}
    if dead:
        label, css, look = "×", "neuron dead", {"style": "dashed", "color": p.STRONG, "fontcolor": p.STRONG}
    elif on_path:
        css, look = "neuron dense onpath", {"color": p.PATH, "penwidth": "2"}
    name, text = f"n{layer}_{index}", f"neuron {index}: {state}"
    drawing.node(name, label, pos=position, tooltip=text, **look, **{"class": css})


def _lines(drawing: Diagram, diagram: Json, places: Places, on_path: Mapping[Line, str]) -> None:
    """Draw the connections between neurons shown, those of the pathways last."""
    heaviest = max((abs(edge["weight"]) for edge in diagram["edges"]), default=0.0) or 1.0
    thick = _THICK if len(diagram["edges"]) <= _MANY else _SLIM
    lines = [((edge["layer"], edge["from"], edge["to"]), edge["weight"]) for edge in diagram["edges"]]
    for line, weight in sorted(lines, key=lambda each: abs(each[1])):
        (k, tail, head), text = line, f"weight {weight:.4g}"
        width = _THIN + (thick - _THIN) * abs(weight) / heaviest
        if (k, tail) not in places or (k + 1, head) not in places:
            continue
        if line in on_path:
            start = _start(drawing, k, tail, places)
            _line(drawing, start, line, max(width, _PATH), f"{text} · {on_path[line]}", "path", p.PATH)
        elif abs(weight) > diagram["threshold"]:
            _line(drawing, f"n{k}_{tail}", line, width, text, "strong", p.STRONG)
        else:
            _line(drawing, f"n{k}_{tail}", line, width, text, "weak", p.WEAK)


def _start(drawing: Diagram, layer: int, neuron: int, places: Places) -> str:
    """Return where a line of a pathway starts.

    Graphviz draws lines in the order of the nodes that they leave: these leave unseen nodes of their own, which come
    last, so that they lie on top.
    """
    name = f"p{layer}_{neuron}"
    drawing.node(name, "", pos=places[layer, neuron], style="invis")
    return name


def _line(drawing: Diagram, tail: str, line: Line, width: float, text: str, css: str, colour: str) -> None:
    head = f"n{line[0] + 1}_{line[2]}"
    drawing.edge(tail, head, color=colour, penwidth=f"{width:.2f}", tooltip=text, **{"class": css})
