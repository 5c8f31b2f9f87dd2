"""JSON of an audit -> the drawing of its graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from wua_onnx.diagrams import dot
from wua_onnx.diagrams.diagram import Diagram
from wua_onnx.diagrams.figure import DETAIL_LIMIT, graph_json
from wua_onnx.diagrams.metrics import METRICS
from wua_onnx.diagrams.overview import LIMIT
from wua_onnx.errors import WuaError

Json: TypeAlias = Mapping[str, Any]

_SIMPLER = 3  # a drawing that takes too long is replaced by one of a third of the boxes


def graph_of(
    audit: Json,
    color: str | None,
    *,
    detail: str | None = None,
    depth: int | None = None,
    limit: int | None = None,
    with_legend: bool = True,
) -> Diagram:
    """Return the diagram of an audit's JSON, with a simpler one for where it takes too long; see `Audit.graph`."""
    if color is not None and color not in METRICS:
        raise WuaError(f"color: expected one of {', '.join(METRICS)}, got {color!r}")
    most = LIMIT if detail is None else DETAIL_LIMIT
    if limit is not None and not 1 <= limit <= most:
        raise WuaError(f"limit: expected 1 to {most} boxes, got {limit}")
    whole = (detail, depth, limit) == (None, None, None) and audit["diagrams"].get("graph")
    drawn = whole or graph_json(audit, detail=detail, depth=depth, limit=limit)
    if color is not None and all((box.get("values") or {}).get(color) is None for box in drawn["boxes"]):
        raise WuaError(f"color {color!r}: expected a figure of some box, got none: {METRICS[color].missing}")
    diagram = dot.graph(drawn, color=color, with_legend=with_legend)

    def simpler() -> Diagram:
        fewer = graph_json(audit, detail=detail, depth=depth, limit=max((limit or most) // _SIMPLER, 1))
        return dot.graph(fewer, color=color, with_legend=with_legend)

    diagram.simpler = simpler if "links" in audit["diagrams"] else None
    return diagram
