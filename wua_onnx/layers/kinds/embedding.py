"""Embeddings: tables of which Gather looks up rows. Canonical weight: (rows, features); a neuron is a row.

A row is the layer's answer to one token, and it is active when that token is looked up: its mean activation is its
share of all lookups, and a dead row is one that the data never looks up.
"""

from __future__ import annotations

from wua_onnx.layers.layer import Arrangement, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.graph import NodeView


@layer_kind("Gather")
def gather(node: NodeView) -> Use | str | None:
    """Gather of rows of a constant table, at indices that are no constants."""
    table, indices = node.input(0), node.input(1)
    if table not in node.model.constants or indices is None or indices in node.model.constants:
        return None
    source = resolve(table, node.model)
    if isinstance(source, str):
        return source
    if node.attr("axis", 0) % len(source.shape) != 0 or len(source.shape) < 2:
        return f"Gather along axis {node.attr('axis', 0)} of a constant of shape {list(source.shape)}"
    return Use(
        node=node,
        kind="embedding",
        source=source,
        arrangement=Arrangement.transposing(source.shape),
        neuron_axis=0,
        output=indices,
        output_axes=(),
        reads="lookups",
    )
