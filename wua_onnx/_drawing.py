"""The diagram of a graph: from an audit, or from a model of which no weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from wua_onnx._describe import describe_model, describe_unread
from wua_onnx._profiled import profiled
from wua_onnx._sources import opened, with_sample
from wua_onnx.diagrams import dot
from wua_onnx.diagrams.diagram import Diagram
from wua_onnx.diagrams.figure import DETAIL_LIMIT, graph_json
from wua_onnx.diagrams.links import links_json
from wua_onnx.diagrams.metrics import METRICS
from wua_onnx.diagrams.overview import LIMIT
from wua_onnx.errors import WuaError
from wua_onnx.layers import find_layers
from wua_onnx.model.load import Dims

Json: TypeAlias = Mapping[str, Any]

_SIMPLER = 3  # a drawing that takes too long is replaced by one of a third of the boxes


def graph_of(
    audit: Json, color: str | None, *, detail: str | None = None, depth: int | None = None, limit: int | None = None
) -> Diagram:
    """Return the diagram of an audit's JSON; see `Audit.graph`."""
    if color is not None and color not in METRICS:
        raise WuaError(f"color: expected one of {', '.join(METRICS)}, got {color!r}")
    most = LIMIT if detail is None else DETAIL_LIMIT
    if limit is not None and not 1 <= limit <= most:
        raise WuaError(f"limit: expected 1 to {most} boxes, got {limit}")
    whole = (detail, depth, limit) == (None, None, None) and audit["diagrams"].get("graph")
    drawn = whole or graph_json(audit, detail=detail, depth=depth, limit=limit)
    if color is not None and all((box.get("values") or {}).get(color) is None for box in drawn["boxes"]):
        raise WuaError(f"color {color!r}: expected a figure of some box, got none: {METRICS[color].missing}")
    diagram = dot.graph(drawn, color=color, with_legend=True)

    def simpler() -> Diagram:
        fewer = graph_json(audit, detail=detail, depth=depth, limit=max((limit or most) // _SIMPLER, 1))
        return dot.graph(fewer, color=color, with_legend=True)

    diagram.simpler = simpler if "links" in audit["diagrams"] else None
    return diagram


def structure(
    model: Any,
    X: Any = None,
    *,
    dims: Dims | None = None,
    batch_axis: int = 0,
    profile: bool | str = False,
    isolate: bool = False,
) -> dict[str, Any]:
    """Return as much of an audit's JSON as a diagram of costs needs; no weight is read, and nothing runs unasked.

    Args:
        model: as for `analyze`.
        X: data whose shapes bind free dimensions.
        dims: values of symbolic dimensions, or shapes by input name.
        batch_axis: the axis of the inputs along which samples lie.
        profile: measure how long every node takes.
        isolate: run onnxruntime in a child process.

    Raises:
        WuaError: as `analyze` does.
    """
    X, sample = with_sample(X)
    with opened(model, sample, dims) as source:
        data = source.data(X, None, batch_axis) if X is not None else None
        report = source.cost(dims, data, batch_axis)
        timed = profiled(source, data, profile, dims, batch_axis, 1, isolate=isolate)
        return {
            "model": describe_model(source.model, None),
            "settings": {"criterion": ["magnitude"]},
            "cost": report.to_dict(),
            "profile": timed,
            "layers": [describe_unread(layer) for layer in find_layers(source.model).by_name.values()],
            "diagrams": links_json(source.model),
        }
