"""Convolutions in 1, 2 and 3 dimensions, grouped ones included. Canonical weight: (out, in / groups, ...)."""

from __future__ import annotations

from wua_onnx.layers.layer import Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.graph import NodeView


@layer_kind("Conv")
def conv(node: NodeView) -> Use | str | None:
    """Conv with a constant W; a neuron is a filter, that is an output channel."""
    source = resolve(node.input(1), node.model)
    if isinstance(source, str):
        return source if node.input(1) in node.model.constants else None
    return Use(
        node=node,
        kind="convolution",
        source=source,
        permutation=tuple(range(len(source.shape))),
        neuron_axis=0,
        output=node.node.outputs[0],
        output_axis=1,
    )
