"""Normalisations: N elements, statistics over each of G groups, by the formulas of their specifications."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import axis_of, minus, without
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView, ShapeUnknown


def mean_of(elements: Dim, groups: Dim) -> Cost:
    """Return the cost of one mean for each of `groups` groups of all `elements` elements."""
    return Cost(add=minus(elements, groups), div=groups)


def moments_of(elements: Dim, groups: Dim) -> Cost:
    """Return the cost of mean, deviations and variance: mean(x), d = x − mean, mean(d·d)."""
    return mean_of(elements, groups) * 2 + Cost(add=elements, mul=elements)


def layer_norm_of(elements: Dim, groups: Dim, *, bias: bool) -> Cost:
    """Return the cost of a layer normalisation: moments, then d · (1/sqrt(var + eps)) · scale + bias."""
    scaled = Cost(add=groups, special=groups, div=groups, mul=elements * 2)
    return moments_of(elements, groups) + scaled + Cost(add=elements if bias else 0)


def rms_norm_of(elements: Dim, groups: Dim) -> Cost:
    """Return the cost of a root-mean-square normalisation: x / sqrt(mean(x·x) + eps) · scale."""
    statistics = mean_of(elements, groups) + Cost(mul=elements, add=groups, special=groups)
    return statistics + Cost(div=elements, mul=elements)


def _channels(node: NodeView) -> Dim:
    shape = node.shape(0)
    return shape[1] if len(shape) > 1 else 1


@rule("BatchNormalization")
def batch_normalization(node: NodeView) -> Cost:
    """add = 2·N + C; special = C; div = N; mul = N; in training mode the moments and running means too.

    (x − mean) / sqrt(var + eps) · scale + bias, over C channels. https://onnx.ai/onnx/operators/onnx__BatchNormalization.html
    """
    elements, channels = node.size(0), _channels(node)
    cost = Cost(add=elements * 2 + channels, special=channels, div=elements, mul=elements)
    training = node.attr("training_mode", 0) if node.opset >= 14 else sum(bool(v.name) for v in node.node.outputs) > 1
    if training:  # moments of the batch, then old · momentum + new · (1 − momentum) for both
        cost += moments_of(elements, channels) + Cost(mul=channels * 4, add=channels * 2)
    return cost


@rule("InstanceNormalization")
def instance_normalization(node: NodeView) -> Cost:
    """add = 4·N − G; mul = 2·N; div = N + 2·G; special = G; G = instances × channels.

    (x − mean) / sqrt(var + eps) · scale + bias. https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html
    """
    elements, groups = node.size(0), product(node.shape(0)[:2])
    return moments_of(elements, groups) + Cost(add=groups + elements, special=groups, div=elements, mul=elements)


@rule("GroupNormalization")
def group_normalization(node: NodeView) -> Cost:
    """add = 4·N − G; mul = 2·N; div = N + 2·G; special = G; G = instances × num_groups.

    (x − mean) / sqrt(var + eps) · scale + bias. https://onnx.ai/onnx/operators/onnx__GroupNormalization.html
    """
    elements, groups = node.size(0), node.shape(0)[0] * int(node.attr("num_groups"))
    return moments_of(elements, groups) + Cost(add=groups + elements, special=groups, div=elements, mul=elements)


@rule("LayerNormalization")
def layer_normalization(node: NodeView) -> Cost:
    """add = 3·N − G, N more with a bias; mul = 3·N; div = 3·G; special = G; groups over the axes from `axis` on.

    d = x − mean(x), then d · (1 / sqrt(mean(d·d) + eps)) · scale + bias.
    https://onnx.ai/onnx/operators/onnx__LayerNormalization.html
    """
    shape = node.shape(0)
    groups = product(shape[: axis_of(node, node.attr("axis", -1), len(shape))])
    return layer_norm_of(node.size(0), groups, bias=node.has(2))


@rule("RMSNormalization")
def rms_normalization(node: NodeView) -> Cost:
    """mul = 2·N; add = N; div = N + G; special = G; groups over the axes from `axis` on.

    x / sqrt(mean(x·x) + eps) · scale. https://onnx.ai/onnx/operators/onnx__RMSNormalization.html
    """
    shape = node.shape(0)
    groups = product(shape[: axis_of(node, node.attr("axis", -1), len(shape))])
    return rms_norm_of(node.size(0), groups)


@rule("LpNormalization")
def lp_normalization(node: NodeView) -> Cost:
    """p = 1: add = 2·N − G, div = N; p = 2: mul = N, add = N − G, special = G, div = N.

    x / norm of its line along `axis`. https://onnx.ai/onnx/operators/onnx__LpNormalization.html
    """
    elements, groups = node.size(0), without(node, 0, node.attr("axis", -1))
    if node.attr("p", 2) == 1:
        return Cost(add=elements + minus(elements, groups), div=elements)
    return Cost(mul=elements, add=minus(elements, groups), special=groups, div=elements)


@rule("MeanVarianceNormalization")
def mean_variance_normalization(node: NodeView) -> Cost:
    """add = 3·N − 2·G; mul = N; div = N + 2·G; special = G; groups over the axes not in `axes`.

    (x − mean) / sqrt(mean((x − mean)²)). https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html
    """
    shape = node.shape(0)
    over = {axis_of(node, axis, len(shape)) for axis in node.attr("axes", (0, 2, 3))}
    elements, groups = node.size(0), product(dim for axis, dim in enumerate(shape) if axis not in over)
    return moments_of(elements, groups) + Cost(special=groups, div=elements)


@rule("LRN")
def lrn(node: NodeView) -> Cost:
    """mul = 2·N; add = N + sum of (window − 1); special = N; div = N; windows cut at the first and last channel.

    x / (bias + alpha/size · sum of squares over `size` channels)^beta. https://onnx.ai/onnx/operators/onnx__LRN.html
    """
    elements, channels, size = node.size(0), node.shape(0)[1], int(node.attr("size"))
    if not isinstance(channels, int):
        raise ShapeUnknown("the number of channels is unknown")
    if size < 1:
        raise ShapeError(f"{node.where}: size: expected at least 1, got {size}")
    before, after = (size - 1) // 2, size // 2
    folds = sum(min(channels - 1, c + after) - max(0, c - before) for c in range(channels))
    per_channel = product(dim for axis, dim in enumerate(node.shape(0)) if axis != 1)
    return Cost(mul=elements * 2, add=elements + per_channel * folds, special=elements, div=elements)
