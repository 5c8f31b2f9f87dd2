"""What is inside of the modules that repeat: the first of each kind, drawn in detail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wua_onnx._text import visible
from wua_onnx.diagrams import dot
from wua_onnx.diagrams.draw import to_svg
from wua_onnx.diagrams.figure import graph_json
from wua_onnx.errors import WuaError
from wua_onnx.report import numbers as n
from wua_onnx.report.charts_structure import Repeated, repeated
from wua_onnx.report.figures import Figure, boxes_figure

Json = Mapping[str, Any]

MOST = 4  # figures; those of the modules that stand for the most nodes
BOXES = 36  # in each
BUDGET = 150_000  # characters of drawings


def detail_figures(audit: Json) -> tuple[Figure, ...]:
    """Return a figure for each kind of module that repeats; none where nothing can draw, or nothing is known of it."""
    if "links" not in (audit.get("diagrams") or {}):
        return ()
    found = repeated(audit["cost"])
    chosen = sorted(found, key=lambda module: -module.nodes * module.count)[:MOST]
    figures, left = [], BUDGET
    for index, module in enumerate(module for module in found if module in chosen):
        figure = _inside(audit, module, index)
        if figure is None or figure.svg is None:
            break
        left -= len(figure.svg)
        if left >= 0:
            figures.append(figure)
    return tuple(figures)


def _inside(audit: Json, module: Repeated, index: int) -> Figure | None:
    try:
        diagram = graph_json(audit, detail=module.path, limit=BOXES)
    except WuaError:  # the graph knows the module by another path
        return None
    drawing = to_svg(dot.graph(diagram), prefix=f"inside{index}")
    alike = f"{visible(module.path)} … {visible(module.last)} (× {n.count(module.count)})"
    return boxes_figure(f"Inside {alike}: the first of them in detail", diagram, drawing)
