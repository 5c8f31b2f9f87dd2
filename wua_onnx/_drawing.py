"""What the diagram of a graph needs to know of a model of which no weight is read."""

from __future__ import annotations

from typing import Any

from wua_onnx._describe import describe_model
from wua_onnx._describe_layers import describe_unread
from wua_onnx._profiled import profiled
from wua_onnx._sources import opened, with_sample
from wua_onnx.diagrams.links import links_json
from wua_onnx.layers import find_layers
from wua_onnx.model.load import Dims


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
    with opened(model, sample, dims, batch_axis) as source:
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
