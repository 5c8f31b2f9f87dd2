"""Resize and its like: interpolation along each resized axis; positions and coefficients are not counted."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost, Estimate
from wua_onnx.model.dims import Dim, Shape, ceildiv, maximum, product, symbols
from wua_onnx.model.node import NodeView


def interpolated(mode: str, axes: int, elements: Dim) -> Cost:
    """Return the cost of interpolating `elements` values over `axes` axes, one axis after the other.

    Linear takes 2 neighbours (2 mul, 1 add) and cubic 4 (4 mul, 3 add); each value needs 1 + n + … + n^(axes − 1)
    of these, where n is the number of neighbours.
    """
    if mode not in ("linear", "bilinear", "cubic", "bicubic"):
        return Cost()
    neighbours = 4 if "cubic" in mode else 2
    times: int = sum(neighbours**axis for axis in range(axes))
    return Cost(mul=neighbours, add=neighbours - 1) * (elements * times)


def mode_of(node: NodeView, default: str = "nearest") -> str:
    """Return the attribute `mode` as text."""
    mode = node.attr("mode", default)
    return mode.decode() if isinstance(mode, bytes) else str(mode)


def _stretched(mode: str, before: Shape, after: Shape) -> Cost:
    """Return the cost of one output value where the kernel covers as much more of an axis as that axis shrinks."""
    neighbours = 4 if "cubic" in mode else 2
    cost, values = Cost(), product(after)
    for old, new in zip(before, after, strict=True):
        if old != new:
            taps = maximum(neighbours, ceildiv(old * neighbours, new))
            cost += Cost(mul=taps, add=taps - 1) * values
            values = values * taps
    return cost


@rule("Resize")
@rule("Upsample")
def resize(node: NodeView) -> Cost | Estimate:
    """0 for nearest; else for each output: linear 2 mul + 1 add, cubic 4 mul + 3 add, times 1 + n + … over the axes.

    n = 2 or 4 neighbours; the axes whose size changes. With antialias n is larger by the factor that an axis shrinks
    by, and the figure an estimate. So it is where free sizes do not tell which axes change: height and width are
    taken to, batch and channels are not. https://onnx.ai/onnx/operators/onnx__Resize.html
    """
    before, after = node.shape(0), node.out_shape()
    mode = mode_of(node)
    if mode != "nearest" and node.attr("antialias", 0):
        return Estimate(_stretched(mode, before, after), "antialias: the kernel covers n times the factor of each axis")
    sizes = list(zip(before, after, strict=True))
    open_axes = [axis for axis, (a, b) in enumerate(sizes) if a != b and symbols(a) != symbols(b)]
    axes = sum(a != b for axis, (a, b) in enumerate(sizes) if axis not in open_axes or axis > 1)
    cost = interpolated(mode, axes, node.out_size())
    if open_axes and cost != Cost():
        return Estimate(cost, "free sizes: height and width are resized, batch and channels are not")
    return cost
