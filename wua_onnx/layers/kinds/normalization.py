"""Scales of normalisations, on request. Canonical weight: (features,), each the only weight of its neuron.

They are constant factors of the layer before, too, where they follow one along its neurons.
"""

from __future__ import annotations

import numpy as np

from wua_onnx.layers.layer import Arrangement, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.node import NodeView

_MICROSOFT = "com.microsoft"
# Operators whose features lie along axis 1; in the others along the last ones.
_CHANNELS = frozenset({"BatchNormalization", "InstanceNormalization", "GroupNormalization"})
_SCALE = {"SkipLayerNormalization": 2, "SkipSimplifiedLayerNormalization": 2}


@layer_kind("BatchNormalization", on_request=True)
@layer_kind("InstanceNormalization", on_request=True)
@layer_kind("GroupNormalization", on_request=True)
@layer_kind("LayerNormalization", on_request=True)
@layer_kind("RMSNormalization", on_request=True)
@layer_kind("SimplifiedLayerNormalization", on_request=True)
@layer_kind("SimplifiedLayerNormalization", domain=_MICROSOFT, on_request=True)
@layer_kind("SkipLayerNormalization", domain=_MICROSOFT, on_request=True)
@layer_kind("SkipSimplifiedLayerNormalization", domain=_MICROSOFT, on_request=True)
def scale(node: NodeView) -> Use | str | None:
    """A constant scale for each feature; the neuron is read where a layer's would be."""
    value, which = node.node.outputs[0], _SCALE.get(node.op_type, 1)
    if node.input(which) not in node.model.constants:
        return None
    source = resolve(node.input(which), node.model)
    if isinstance(source, str):
        return source
    if value.shape is None:
        return "the rank of what it normalises is unknown"
    rank, size = len(value.shape), int(np.prod(source.shape, dtype=np.int64))
    if node.op_type in _CHANNELS:
        axes: tuple[int, ...] = (1,)
        if len(source.shape) != 1 or rank < 2 or (isinstance(value.shape[1], int) and value.shape[1] != size):
            return f"expected a scale for each channel, got {list(source.shape)}"
    else:
        axes = tuple(range(rank - len(source.shape), rank))
        if len(source.shape) > rank:
            return f"expected a scale of at most rank {rank}, got {list(source.shape)}"
    return Use(
        node=node,
        kind="normalization",
        source=source,
        arrangement=Arrangement(source.shape, tuple(range(len(source.shape))), (size,)),
        neuron_axis=0,
        output=value,
        output_axes=axes,
    )
