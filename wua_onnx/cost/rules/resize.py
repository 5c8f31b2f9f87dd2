"""Resize and its like: interpolation along each resized axis; positions and coefficients are not counted."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import NodeView, ShapeUnknown


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


@rule("Resize")
@rule("Upsample")
def resize(node: NodeView) -> Cost:
    """0 for nearest; else for each output: linear 2 mul + 1 add, cubic 4 mul + 3 add, times 1 + n + … over the axes.

    n = 2 or 4 neighbours; the axes whose size changes. Unknown with antialias. https://onnx.ai/onnx/operators/onnx__Resize.html
    """
    before, after = node.shape(0), node.out_shape()
    axes = sum(a != b for a, b in zip(before, after, strict=True))
    mode = mode_of(node)
    if mode != "nearest" and node.attr("antialias", 0):
        raise ShapeUnknown("antialias stretches the kernel by the scale")
    return interpolated(mode, axes, node.out_size())
