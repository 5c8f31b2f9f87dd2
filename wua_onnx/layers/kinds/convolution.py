"""Convolutions in 1, 2 and 3 dimensions, grouped ones included. Canonical weight: (out, in / groups, ...)."""

from __future__ import annotations

from functools import partial

import numpy as np

from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.graph import NodeView


@layer_kind("Conv")
def conv(node: NodeView) -> Use | str | None:
    """Conv with a constant W; a neuron is a filter, that is an output channel."""
    source, image = resolve(node.input(1), node.model), node.input(0)
    if isinstance(source, str):
        return source if node.input(1) in node.model.constants else None
    arrangement = Arrangement.transposing(source.shape)
    spread = partial(per_filter, shape=arrangement.shape)
    return Use(
        node=node,
        kind="convolution",
        source=source,
        arrangement=arrangement,
        neuron_axis=0,
        output=node.node.outputs[0],
        output_axes=(1,),
        features=Features(value=image, axes=(1,), spread=spread) if image is not None else None,
    )


def per_filter(channels: Array, shape: tuple[int, ...]) -> Array:
    """Return one number per input channel as an array that broadcasts against filters of `shape`."""
    filters, inside = shape[:2]
    groups = channels.reshape(-1, inside)
    return np.repeat(groups, filters // len(groups), axis=0).reshape(filters, inside, *[1] * (len(shape) - 2))
