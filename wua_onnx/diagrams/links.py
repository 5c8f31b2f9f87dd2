"""A model -> what flows between its nodes, as JSON: enough to draw any part of it without the model."""

from __future__ import annotations

import re
from typing import Any

import onnx_ir as ir

from wua_onnx.model.graph import Model, reads


def links_json(model: Model) -> dict[str, Any]:
    """Return `diagrams.links` and `diagrams.shapes`.

    A link is [source, target, shape]: positions in `cost.by_node`, and in `shapes`, the shape of the value written
    out. A source below 0 is an input, a target below 0 an output of the model: -1 is the first.
    """
    producer: dict[ir.Value, int] = {value: -1 - i for i, value in enumerate(model.inputs)}
    shapes: dict[str, int] = {}
    links: list[list[int]] = []

    def connect(value: ir.Value | None, target: int) -> None:
        source = producer.get(value) if value is not None else None
        if source is not None and value is not None:
            shape = shapes.setdefault(_shape_text(model, value), len(shapes))
            links.append([source, target, shape])

    for position, node in enumerate(model.nodes):
        for value in dict.fromkeys(reads(node.node)):
            connect(value, position)
        producer.update(dict.fromkeys(node.node.outputs, position))
    for position, value in enumerate(model.ir_model.graph.outputs):
        connect(value, -1 - position)
    return {"links": links, "shapes": list(shapes)}


def _shape_text(model: Model, value: ir.Value) -> str:
    if value.shape is None:
        return "?"
    dims = [model.dim(dim) for dim in value.shape]
    return " × ".join("?" if dim is None else _size_text(model.text(dim)) for dim in dims) or "scalar"


def _size_text(text: str) -> str:
    """Return a size; an expression in brackets, so that it is told from the sizes beside it."""
    return f"({text.replace('**', '^').replace('*', '·')})" if re.search(r"[*+/(]|(?<=\s)-", text) else text
