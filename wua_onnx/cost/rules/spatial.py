"""Sampling at computed positions: grids, regions of interest, deformable convolution."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.contractions import conv_macs
from wua_onnx.cost.rules.normalization import mean_of
from wua_onnx.cost.rules.resize import interpolated, mode_of
from wua_onnx.cost.value import Cost, Estimate
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, ceildiv, product
from wua_onnx.model.node import NodeView


@rule("AffineGrid")
def affine_grid(node: NodeView) -> Cost:
    """macs = elements of the output × (axes + 1): every position times its affine matrix.

    https://onnx.ai/onnx/operators/onnx__AffineGrid.html
    """
    return Cost(macs=node.out_size() * (node.out_shape()[-1] + 1))


@rule("GridSample")
@rule("GridSample", domain="com.microsoft")
def grid_sample(node: NodeView) -> Cost:
    """As Resize over all axes for each output; add = 2, mul = div = compare = 1 for each coordinate of the grid.

    A coordinate becomes a position by ((x + 1) · size − 1) / 2, rounded down. https://onnx.ai/onnx/operators/onnx__GridSample.html
    """
    axes = len(node.shape(0)) - 2
    if not 1 <= axes <= 8:
        raise ShapeError(f"{node.where}: X: expected an image of 1 to 8 axes, got shape {node.shape(0)}")
    node.expect("coordinates of the grid", axes, node.shape(1)[-1])
    positions = Cost(add=2, mul=1, div=1, compare=1) * (product(node.shape(1)[:-1]) * axes)
    return positions + interpolated(mode_of(node, "linear"), axes, node.out_size())


@rule("RoiAlign")
def roi_align(node: NodeView) -> Cost | Estimate:
    """For each output sampling_ratio² linear interpolations over 2 axes, and their mean or largest.

    sampling_ratio 0 fits the number of samples to each region, which is taken to be the whole image: an estimate.
    https://onnx.ai/onnx/operators/onnx__RoiAlign.html
    """
    ratio, image, outputs = int(node.attr("sampling_ratio", 0)), node.shape(0), node.out_size()
    if ratio > 0:
        return _pooled_samples(node, outputs, outputs * ratio**2)
    each = product(ceildiv(image[axis], max(int(node.attr(f"output_{side}", 1)), 1)) for axis, side in _SIDES)
    samples = outputs * each
    return Estimate(
        _pooled_samples(node, outputs, samples), "sampling_ratio 0: every region as large as the whole image"
    )


_SIDES = ((2, "height"), (3, "width"))


def _pooled_samples(node: NodeView, outputs: Dim, samples: Dim) -> Cost:
    pooled = Cost(compare=samples - outputs) if mode_of(node, "avg") == "max" else mean_of(samples, outputs)
    return interpolated("linear", 2, samples) + pooled


@rule("MaxRoiPool", estimate="every region as large as the whole image")
def max_roi_pool(node: NodeView) -> Cost:
    """compare = regions × channels × height × width.

    https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html
    """
    return Cost(compare=node.shape(1)[0] * product(node.shape(0)[1:]))


@rule("DeformConv")
def deform_conv(node: NodeView) -> Cost:
    """macs and bias as Conv; for each input value of each kernel position a linear interpolation; add = offsets.

    mul = as many with a mask. https://onnx.ai/onnx/operators/onnx__DeformConv.html
    """
    macs, output, weight = conv_macs(node, 0, 1), node.out_shape(), node.shape(1)
    sampled = output[0] * node.shape(0)[1] * product(output[2:]) * product(weight[2:])
    cost = Cost(macs=macs, add=node.size(2) + (node.out_size() if node.has(3) else 0))
    return cost + interpolated("linear", len(output) - 2, sampled) + Cost(mul=sampled if node.has(4) else 0)


@rule("Col2Im")
def col2im(node: NodeView) -> Cost:
    """add = elements of the input: each goes onto its pixel.

    https://onnx.ai/onnx/operators/onnx__Col2Im.html
    """
    return Cost(add=node.size(0))
