"""Mixtures of experts in one operator. Canonical weight: (in, experts * out), the neurons of one expert together.

The operator holds the experts and does not show what they compute. Real numbers are computed a second time beside it
(`mixture`); of experts in a few bits the activation is not read.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir

from wua_onnx.layers import mixture
from wua_onnx.layers.dequantize import in_blocks, parameter, shape_of, unpacked, unreadable
from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import WeightSource, read, resolve
from wua_onnx.model.node import NodeView

UNREAD = "the operator for a mixture of experts keeps what its experts compute to itself"
_MICROSOFT = "com.microsoft"


@layer_kind("MoE", domain=_MICROSOFT)
def experts(node: NodeView) -> Iterator[Use | str]:
    """Two or three matrices (experts, out, in): fc1 and fc3 read the tokens, fc2 what the experts made of them."""
    for index, name in ((2, "fc1"), (4, "fc2"), (6, "fc3")):
        if node.input(index) in node.model.constants:
            source = resolve(node.input(index), node.model)
            yield source if isinstance(source, str) else _use(node, source, source.shape, name)


@layer_kind("QMoE", domain=_MICROSOFT)
def quantized_experts(node: NodeView) -> Iterator[Use | str]:
    """The same in a few bits, several in a byte along the inputs, with a scale for each row or block of it."""
    kind = node.attr("quant_type", b"int")
    text = kind.decode("utf-8", "replace") if isinstance(kind, bytes) else str(kind)
    for place, (index, name) in enumerate(((2, "fc1"), (5, "fc2"), (8, "fc3"))):
        if node.input(index) not in node.model.constants:
            continue
        source, zeros = resolve(node.input(index), node.model), 11 + place
        bits = int(node.attr(f"{name}_expert_weight_bits", 0)) or int(node.attr("expert_weight_bits", 4))
        problem = unreadable(node, index + 1, zeros)
        if isinstance(source, str) or problem is not None:
            yield source if isinstance(source, str) else str(problem)
        elif text != "int" or node.attr("weights_prepacked", 0) == 1 or not node.has(index + 1):
            yield f"experts quantized as {text}"
        elif len(source.shape) != 3 or bits not in (2, 4, 8) or node.dtype(index) != ir.DataType.UINT8:
            yield f"expected experts of rank 3, got {list(source.shape)} of {bits} bits"
        elif not _fits(node, index + 1, zeros, source.shape, bits):
            yield "scales or zero points of another size than its experts"
        else:
            shape = (*source.shape[:2], source.shape[2] * 8 // bits)
            decode = partial(_decoded, scale=index + 1, zero=zeros, bits=bits)
            yield replace(_whole(node, source, shape, name), decode=decode, elements=shape)


def _fits(node: NodeView, scale: int, zero: int, packed: tuple[int, ...], bits: int) -> bool:
    """Return whether there is a scale for each row, or for each of its blocks, and as many zero points if any."""
    experts, out, inner = packed[0], packed[1], packed[2] * 8 // bits
    scales, zeros = shape_of(node, scale), shape_of(node, zero)
    if not isinstance(scales, tuple) or scales[:2] != (experts, out) or len(scales) > 3:
        return False
    blocks = scales[2] if len(scales) == 3 else 1
    if blocks < 1 or blocks > inner:
        return False
    rows, each = (experts, -(-out * bits // 8)), (experts, out, -(-blocks * bits // 8))
    return zeros is None or zeros == (rows if len(scales) == 2 else each)


def _use(node: NodeView, source: WeightSource, shape: tuple[int, ...], name: str) -> Use | str:
    return _whole(node, source, shape, name) if len(shape) == 3 else f"expected experts of rank 3, got {list(shape)}"


def _whole(node: NodeView, source: WeightSource, shape: tuple[int, ...], name: str) -> Use:
    experts, out, inner = shape
    value = node.input(0) if name != "fc2" else None
    rank = len(value.shape) if value is not None and value.shape is not None else 2
    problem = mixture.unread(node, experts * out)
    named = name == "fc1" and problem is None
    return Use(
        node=node,
        kind="experts",
        source=source,
        arrangement=Arrangement((experts, out, inner), (2, 0, 1), (inner, experts * out)),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axes=(),
        reads="nothing",
        unread=f"{UNREAD}: {problem or 'the rank of its tokens is unknown'}",
        side=mixture.side(node, name, experts * out) if problem is None else None,
        function=mixture.FUNCTIONS[mixture.function_of(node)] if named else None,
        features=Features(value=value, axes=(rank - 1,), spread=_per_row) if value is not None else None,
        parameter=name,
    )


def _per_row(features: Array) -> Array:
    return features[:, None]


def _decoded(stored: Array, node: NodeView, *, scale: int, zero: int, bits: int) -> Array:
    """`(q - zero) * scale`; the middle of the range is the zero by default."""
    steps = unpacked(stored, bits).astype(np.float32)
    experts, out, inner = steps.shape
    scales = parameter(node, scale).reshape(experts, out, -1)
    blocks = scales.shape[2]
    zeros = np.full(scales.shape, 2.0 ** (bits - 1), np.float32)
    source = resolve(node.input(zero), node.model)
    if not isinstance(source, str):
        given = read(source, node.model)
        if given.ndim == 2:  # one for each row, packed along the rows
            zeros = unpacked(given, bits)[:, :out].reshape(experts, out, 1).astype(np.float32)
        else:
            zeros = unpacked(given, bits)[..., :blocks].astype(np.float32)
    block = -(-inner // blocks)
    centred = steps - np.repeat(zeros, -(-inner // zeros.shape[2]), axis=2)[..., :inner]
    return in_blocks(centred, scales, 2, block)
