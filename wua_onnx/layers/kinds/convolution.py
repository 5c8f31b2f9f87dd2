"""Convolutions in 1, 2 and 3 dimensions, grouped ones included. Canonical weight: (out, in / groups, ...)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from wua_onnx.layers.inside import function_inside
from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import WeightSource, resolve
from wua_onnx.model.node import NodeView

_MICROSOFT = "com.microsoft"


@layer_kind("Conv")
@layer_kind("DeformConv")
@layer_kind("CausalConvWithState")
@layer_kind("FusedConv", domain=_MICROSOFT)
@layer_kind("NhwcConv", domain=_MICROSOFT)
@layer_kind("NhwcFusedConv", domain=_MICROSOFT)
def conv(node: NodeView) -> Use | str | None:
    """A constant W of shape (out, in / groups, ...); a neuron is a filter, that is an output channel.

    Onnxruntime's own operators apply an activation function themselves, or have the channels last.
    What comes into a deformable convolution is taken to be its channels, wherever it samples them.
    """
    return convolution_use(node, 1, channels_last=node.op_type.startswith("Nhwc"))


@layer_kind("CausalConvWithState", domain=_MICROSOFT)
@layer_kind("VarlenCausalConvWithState", domain=_MICROSOFT)
def causal_convolution(node: NodeView) -> Use | str | None:
    """A constant weight of shape (channels, 1, k); the channels may come last."""
    last = bool(node.attr("channels_last", 0)) or node.op_type.startswith("Varlen")
    return convolution_use(node, 1, channels_last=last)


@layer_kind("ConvTranspose")
@layer_kind("ConvTransposeWithDynamicPads", domain=_MICROSOFT)
def conv_transpose(node: NodeView) -> Use | str | None:
    """A constant W of shape (in, out / groups, ...); a neuron is an output channel."""
    return convolution_use(node, 1, arrange=partial(_transposed, groups=int(node.attr("group", 1))))


def convolution_use(
    node: NodeView,
    which: int,
    *,
    channels_last: bool = False,
    arrange: Callable[[tuple[int, ...]], Arrangement | None] = Arrangement.transposing,
) -> Use | str | None:
    """Return the use of the filters that are input `which` of `node`; None where they are no constant.

    Args:
        node: a convolution whose first input is the image.
        which: the number of the input.
        channels_last: the channels of image and result lie along the last axis rather than along axis 1.
        arrange: tells how filters of a shape become canonical; None where they cannot.
    """
    source = resolve(node.input(which), node.model)
    if isinstance(source, str):
        return source if node.input(which) in node.model.constants else None
    arrangement = arrange(source.shape) if len(source.shape) > 2 else None
    if arrangement is None:
        return f"expected filters in groups, got a weight of shape {list(source.shape)}"
    axis = _channel_axis(node, channels_last, source)
    function = function_inside(node)
    return Use(
        node=node,
        kind="convolution",
        source=source,
        arrangement=arrangement,
        neuron_axis=0,
        output=node.node.outputs[0],
        output_axes=(axis,),
        reads="after" if function is None else "output",
        function=function,
        features=_features(node, arrangement, axis),
    )


def _channel_axis(node: NodeView, channels_last: bool, source: WeightSource) -> int:
    image = node.input(0)
    rank = len(image.shape) if image is not None and image.shape is not None else len(source.shape)
    return rank - 1 if channels_last else 1


def _features(node: NodeView, arrangement: Arrangement, axis: int) -> Features | None:
    image, spread = node.input(0), partial(per_filter, shape=arrangement.shape)
    return None if image is None else Features(value=image, axes=(axis,), spread=spread)


def _transposed(shape: tuple[int, ...], groups: int) -> Arrangement | None:
    """Return how (in, out / groups, ...) becomes (out, in / groups, ...)."""
    channels, each, *kernel = shape
    if groups < 1 or channels % groups:
        return None
    inside = channels // groups
    return Arrangement(
        (groups, inside, each, *kernel),
        (0, 2, 1, *range(3, 3 + len(kernel))),
        (groups * each, inside, *kernel),
    )


def per_filter(channels: Array, shape: tuple[int, ...]) -> Array:
    """Return one number per input channel as an array that broadcasts against filters of `shape`."""
    filters, inside = shape[:2]
    groups = channels.reshape(-1, inside)
    return np.repeat(groups, filters // len(groups), axis=0).reshape(filters, inside, *[1] * (len(shape) - 2))
