"""Shapes of Resize and Upsample: scales as the fractions they were written as, sizes that keep the aspect ratio."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

_Infer: TypeAlias = Callable[[Any, ir.Node], None]
_LARGEST_DENOMINATOR = 10_000  # of a scale; others are taken as they are stored


def register() -> None:
    """Put the rules of this module behind those of onnx_shape_inference."""
    from onnx_shape_inference import registry

    for op, since in (("Resize", 10), ("Upsample", 1)):
        infer = registry.get("", op, version=since)
        if infer is not None:
            registry.register("", op, since_version=since)(_resized(infer))


def _resized(infer_shape: _Infer) -> _Infer:
    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        data = node.inputs[0]
        if data is None or data.shape is None:
            return
        dims: list[Any] = list(data.shape)
        axes = [axis % len(dims) for axis in node.attributes.get_ints("axes", range(len(dims)))]
        scales, policy = _scales(node), node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
        if scales is not None and len(scales) == len(axes):
            for axis, scale in zip(axes, scales, strict=True):
                dims[axis] = dims[axis] * scale.numerator // scale.denominator
        elif policy != "stretch" and node.outputs[0].shape is not None:
            sizes = _sizes(node)
            kept = _kept(policy, [dims[axis] for axis in axes], sizes) if sizes else None
            for index, axis in enumerate(axes):
                dims[axis] = ctx.new_symbolic_dim() if kept is None else kept[index]
        else:
            return
        node.outputs[0].shape = ir.Shape(dims)

    return infer


def _scales(node: ir.Node) -> list[Fraction] | None:
    """Return the scales where they are constant: the third input, the second one in old versions, or an attribute."""
    if "scales" in node.attributes:
        return [_fraction(scale) for scale in node.attributes["scales"].as_floats()]
    value = node.inputs[min(2, len(node.inputs) - 1)]
    tensor = ir.convenience.get_const_tensor(value) if value is not None and len(node.inputs) > 1 else None
    return [_fraction(scale) for scale in tensor.numpy().ravel()] if tensor is not None and tensor.size else None


def _fraction(scale: float) -> Fraction:
    """Return the fraction that was rounded to the 32 bits of `scale`: 1.3 is 13/10, and 10 × 1.3 is 13, not below."""
    short = Fraction(float(scale)).limit_denominator(_LARGEST_DENOMINATOR)
    return short if np.float32(float(short)) == np.float32(scale) else Fraction(float(scale))


def _sizes(node: ir.Node) -> list[int] | None:
    tensor = ir.convenience.get_const_tensor(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] else None
    return [int(size) for size in tensor.numpy().ravel()] if tensor is not None else None


def _kept(policy: str, dims: Sequence[Any], sizes: Sequence[int]) -> list[int] | None:
    """Return the sizes of one scale for all axes, the smallest or the largest asked for; halves are rounded up."""
    if len(dims) != len(sizes) or not all(isinstance(dim, int) and dim > 0 for dim in dims):
        return None
    choose = min if policy == "not_larger" else max
    scale = choose(Fraction(size, dim) for size, dim in zip(sizes, dims, strict=True))
    return [math.floor(dim * scale + Fraction(1, 2)) for dim in dims]


__all__ = ["register"]
