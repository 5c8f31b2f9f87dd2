"""Fourier transforms, windows and random numbers."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules._sizes import axis_of
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView, ShapeUnknown

FFT = "a radix-2 FFT: n/2·ceil(log2 n) butterflies of 4 mul and 6 add"
_DRAW = "the draw of a uniform number itself is not counted"


def fft_of(length: Dim, lines: Dim) -> Cost:
    """Return the cost of `lines` transforms of `length` points."""
    if not isinstance(length, int):
        raise ShapeUnknown("the length of the transform is unknown")
    levels = max(length - 1, 0).bit_length()
    return Cost(mul=2 * length * levels, add=3 * length * levels) * lines


@rule("DFT", estimate=FFT)
def dft(node: NodeView) -> Cost:
    """mul = 2·n·ceil(log2 n), add = 3·n·ceil(log2 n) for each line of n points; inverse: div = 2·n.

    https://onnx.ai/onnx/operators/onnx__DFT.html
    """
    shape = node.shape(0)
    given = node.const(2) if node.opset >= 20 and node.has(2) else None
    if node.opset >= 20 and node.has(2) and given is None:
        raise ShapeUnknown("the axis is no constant")
    axis = int(given.item()) if given is not None else node.attr("axis", -2 if node.opset >= 20 else 1)
    axis = axis_of(node, axis, len(shape))
    length = node.const(1)
    if node.has(1) and length is None:
        raise ShapeUnknown("the length of the transform is unknown")
    points: Dim = int(length.item()) if length is not None else shape[axis]
    lines = product(dim for at, dim in enumerate(shape[:-1]) if at != axis)
    inverse = Cost(div=points * 2) * lines if node.attr("inverse", 0) else Cost()
    return fft_of(points, lines) + inverse


@rule("STFT", estimate=FFT)
def stft(node: NodeView) -> Cost:
    """As DFT for each frame, and mul = frame length for the window.

    https://onnx.ai/onnx/operators/onnx__STFT.html
    """
    length = node.const(3)
    frame: Dim
    if length is not None:
        frame = int(length.item())
    elif node.has(2):
        frame = node.shape(2)[0]
    else:
        raise ShapeUnknown("the frame length is unknown")
    frames = product(node.out_shape()[:2])
    return fft_of(frame, frames) + Cost(mul=frame * frames if node.has(2) else 0)


@rule("HannWindow", by_dtype=False)
@rule("HammingWindow", by_dtype=False)
def cosine_window(node: NodeView) -> Cost:
    """mul = 2·N; add = N; special = N.

    a − b·cos(c·n). https://onnx.ai/onnx/operators/onnx__HannWindow.html
    """
    return Cost(mul=2, add=1, special=1) * node.out_size()


@rule("BlackmanWindow", by_dtype=False)
def blackman_window(node: NodeView) -> Cost:
    """mul = 4·N; add = 2·N; special = 2·N.

    a − b·cos(c·n) + d·cos(2·c·n). https://onnx.ai/onnx/operators/onnx__BlackmanWindow.html
    """
    return Cost(mul=4, add=2, special=2) * node.out_size()


@rule("RandomUniform", estimate=_DRAW, by_dtype=False)
@rule("RandomUniformLike", estimate=_DRAW, by_dtype=False)
def random_uniform(node: NodeView) -> Cost:
    """mul = N; add = N.

    low + (high − low)·u. https://onnx.ai/onnx/operators/onnx__RandomUniform.html
    """
    return Cost(mul=1, add=1) * node.out_size()


@rule("RandomNormal", estimate=_DRAW + "; Box and Muller's transform", by_dtype=False)
@rule("RandomNormalLike", estimate=_DRAW + "; Box and Muller's transform", by_dtype=False)
def random_normal(node: NodeView) -> Cost:
    """mul = 4·N; add = N; special = 3·N.

    mean + scale·sqrt(−2·log(u))·cos(2π·v). https://onnx.ai/onnx/operators/onnx__RandomNormal.html
    """
    return Cost(mul=4, add=1, special=3) * node.out_size()


@rule("Bernoulli", estimate=_DRAW, by_dtype=False)
def bernoulli(node: NodeView) -> Cost:
    """compare = N.

    https://onnx.ai/onnx/operators/onnx__Bernoulli.html
    """
    return Cost(compare=node.out_size())


@rule("Multinomial", estimate=_DRAW + "; each draw walks through half of the classes", by_dtype=False)
def multinomial(node: NodeView) -> Cost:
    """special = add = div = N for the probabilities; compare = draws × C / 2.

    https://onnx.ai/onnx/operators/onnx__Multinomial.html
    """
    return Cost(special=1, add=1, div=1) * node.size(0) + Cost(compare=node.out_size() * node.shape(0)[1] // 2)
