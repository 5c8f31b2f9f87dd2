"""Products and convolutions of integers, in real units: weights (q - zero point) * scale, activations likewise.

Canonical weights are those of the operators for real numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from wua_onnx.layers.dequantize import affine, unfit
from wua_onnx.layers.kinds.convolution import convolution_use
from wua_onnx.layers.kinds.dense import product_use
from wua_onnx.layers.layer import Use
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.scaled import scaled_result
from wua_onnx.model.node import NodeView

_MICROSOFT = "com.microsoft"
_Found = Use | str | None


@layer_kind("QLinearMatMul")
@layer_kind("QLinearMatMul", domain=_MICROSOFT)
def qlinear_matmul(node: NodeView) -> _Found:
    """Integers in and out, https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html."""
    found = product_use(node, (0, 3))
    if not isinstance(found, Use):
        return found
    weight = 0 if node.input(0) in node.model.constants else 3
    other = 3 - weight
    decode = _Scales(weight + 1, weight + 2, axis=-1 if weight == 3 else -2)
    return _real(found, decode, Quantization.of(node, 6, 7), Quantization.of(node, other + 1, other + 2))


@layer_kind("QLinearConv")
@layer_kind("QLinearConv", domain=_MICROSOFT)
def qlinear_conv(node: NodeView) -> _Found:
    """Integers in and out, https://onnx.ai/onnx/operators/onnx__QLinearConv.html."""
    found = convolution_use(node, 3, channels_last=bool(node.attr("channels_last", 0)))
    decode = _Scales(4, 5, axis=0)
    return _real(found, decode, Quantization.of(node, 6, 7), Quantization.of(node, 1, 2))


@layer_kind("QGemm", domain=_MICROSOFT)
def qgemm(node: NodeView) -> _Found:
    """`alpha · A' · B' + C`; the result is of real numbers where it has no scale."""
    transposed = (bool(node.attr("transA", 0)), bool(node.attr("transB", 0)))
    found = product_use(node, (0, 3), transposed)
    if isinstance(found, Use) and node.input(3) not in node.model.constants:
        return "a constant on the left"
    decode = _Scales(4, 5, axis=0 if transposed[1] else 1)
    return _real(found, decode, Quantization.of(node, 7, 8), Quantization.of(node, 1, 2))


@layer_kind("DynamicQuantizeMatMul", domain=_MICROSOFT)
def dynamic_quantize_matmul(node: NodeView) -> _Found:
    """A of real numbers, B of integers."""
    found = product_use(node)
    if isinstance(found, Use) and node.input(1) not in node.model.constants:
        return "a constant on the left"
    return _real(found, _Scales(2, 3, axis=-1), None, None)


@layer_kind("MatMulIntegerToFloat", domain=_MICROSOFT)
def matmul_integer_to_float(node: NodeView) -> _Found:
    """A and B of integers, each with its scale and zero point."""
    found = product_use(node)
    if isinstance(found, Use) and node.input(1) not in node.model.constants:
        return "a constant on the left"
    return _real(found, _Scales(3, 5, axis=-1), None, Quantization.of(node, 2, 4))


@layer_kind("MatMulInteger")
@layer_kind("MatMulInteger16", domain=_MICROSOFT)
def matmul_integer(node: NodeView) -> _Found:
    """Whole steps out, https://onnx.ai/onnx/operators/onnx__MatMulInteger.html."""
    weight = 0 if node.input(0) in node.model.constants else 1
    return _accumulated(product_use(node), weight, axis=-1 if weight == 1 else -2)


@layer_kind("ConvInteger")
def conv_integer(node: NodeView) -> _Found:
    """Whole steps out, https://onnx.ai/onnx/operators/onnx__ConvInteger.html."""
    return _accumulated(convolution_use(node, 1), 1, axis=0)


@dataclass(frozen=True, slots=True)
class _Scales:
    """The numbers of the inputs that are the weight's scale and zero point, and the axis that they may lie along."""

    scale: int
    zero: int
    axis: int


def _real(found: _Found, scales: _Scales, result: Quantization | None, features: Quantization | None) -> _Found:
    """Return the use with what its integers stand for."""
    if not isinstance(found, Use):
        return found
    problem = unfit(found.node, scales.scale, scales.zero, found.source.shape, scales.axis)
    if problem is not None:
        return problem
    decode = partial(affine, scale=scales.scale, zero=scales.zero, axis=scales.axis)
    seen = None if found.features is None else replace(found.features, quantization=features)
    return replace(found, decode=decode, quantization=result, features=seen)


def _accumulated(found: _Found, weight: int, axis: int) -> _Found:
    """Return a use whose result is of whole steps, read where it is brought to real units."""
    if not isinstance(found, Use):
        return found
    node = found.node
    problem = unfit(node, None, weight + 2, found.source.shape, axis)
    if problem is not None:
        return problem
    scaled = scaled_result(node, 1 - weight, found.output_axes)
    if isinstance(scaled, str):
        decode = partial(affine, scale=np.ones((), np.float32), zero=weight + 2, axis=axis)
        return replace(found, decode=decode, reads="nothing", unread=scaled, features=None)
    if scaled.weight_scale.size not in (1, found.source.shape[axis]):
        return f"expected scales for a weight of shape {list(found.source.shape)}, got {scaled.weight_scale.size}"
    decode = partial(affine, zero=weight + 2, scale=scaled.weight_scale, axis=axis)
    seen = found.features
    if seen is not None:
        seen = replace(seen, value=scaled.features, quantization=scaled.quantization)
    return replace(found, output=scaled.value, decode=decode, features=seen)
