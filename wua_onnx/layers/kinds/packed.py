"""Weights of a few bits, several in a byte, with a scale for each block of them. Canonical weight: (in, out).

https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.dequantize import cuttable, in_blocks, parameter, shape_of, unpacked, unreadable
from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import Cut, WeightSource, read, resolve
from wua_onnx.model.node import NodeView

Decode: TypeAlias = Callable[[Array, NodeView], Array]
_MICROSOFT = "com.microsoft"
# Values of 4 bits in bitsandbytes: quant_type 0 and 1.
_FP4 = (0.0, 5.208333333e-03, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25)
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_CODES = (np.array([*_FP4, *(-value for value in _FP4)], np.float32), np.array(_NF4, np.float32))


@layer_kind("MatMulNBits", domain=_MICROSOFT)
def matmul_n_bits(node: NodeView) -> Use | str | None:
    """`A · B'`, B of (N, blocks of K, bytes), a scale and a zero point for each block."""
    source = _packed(node, 2, 3)
    if isinstance(source, str) or source is None:
        return source
    sizes = _sizes(node)
    bits, block = int(node.attr("bits", 4)), int(node.attr("block_size", 0))
    if sizes is None or block < 1 or not 2 <= bits <= 8:
        return "attributes K, N, bits or block_size are missing or make no sense"
    if node.has(4) or node.attr("weight_prepacked", 0):
        return "weights that are reordered (g_idx, or packed for one device)"
    (inner, columns), blocks = sizes, -(-sizes[0] // block)
    if source.shape != (columns, blocks, -(-block * bits // 8)):
        return f"expected packed weights for {columns} x {inner}, got {list(source.shape)}"
    if not _fits(node, 2, columns * blocks) or not _fits(node, 3, columns * blocks, columns * -(-blocks * bits // 8)):
        return "scales or zero points of another size than its blocks"
    return _use(node, source, inner, columns, _n_bits)


@layer_kind("MatMulBnb4", domain=_MICROSOFT)
def matmul_bnb4(node: NodeView) -> Use | str | None:
    """`A · B'`, B flattened from (N, K), 4 bits each, with the largest magnitude of each block."""
    source = _packed(node, 2)
    if isinstance(source, str) or source is None:
        return source
    sizes, block = _sizes(node), int(node.attr("block_size", 0))
    if sizes is None or block < 1 or node.attr("quant_type") not in (0, 1):
        return "attributes K, N, quant_type or block_size are missing or make no sense"
    if not node.attr("transB", 1):
        return "a product with the transposed weight"
    if int(np.prod(source.shape)) != -(-sizes[0] * sizes[1] // 2):
        return f"expected packed weights for {sizes[1]} x {sizes[0]}, got {list(source.shape)}"
    if not _fits(node, 2, -(-sizes[0] * sizes[1] // block)):
        return "scales of another size than its blocks"
    return _use(node, source, *sizes, _bnb4)


def _packed(node: NodeView, *scales: int) -> WeightSource | str | None:
    if node.input(1) not in node.model.constants:
        return None
    if node.dtype(1) != ir.DataType.UINT8 or not node.has(scales[0]):
        return "expected bytes, and their scales"
    return unreadable(node, *scales) or resolve(node.input(1), node.model)


def _fits(node: NodeView, index: int, *sizes: int) -> bool:
    shape = shape_of(node, index)
    return shape is None or (isinstance(shape, tuple) and int(np.prod(shape, dtype=np.int64)) in sizes)


def _sizes(node: NodeView) -> tuple[int, int] | None:
    """Return how many features come in, and how many neurons there are."""
    inner, columns = int(node.attr("K", 0)), int(node.attr("N", 0))
    return (inner, columns) if inner > 0 and columns > 0 else None


def _use(node: NodeView, source: WeightSource, inner: int, columns: int, decode: Decode) -> Use:
    value = node.input(0)
    rank = len(value.shape) if value is not None and value.shape is not None else 2
    return Use(
        node=node,
        kind="dense",
        source=source,
        arrangement=Arrangement.transposing((columns, inner), (1, 0)),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axes=(rank - 1,),
        decode=decode,
        elements=(columns, inner),
        features=Features(value=value, axes=(rank - 1,), spread=_per_row) if value is not None else None,
    )


def _per_row(features: Array) -> Array:
    return features[:, None]


@cuttable
def _n_bits(stored: Array, node: NodeView, cut: Cut | None = None) -> Array:
    """`(q - zero) * scale` with K elements of each of N rows; the middle of the range is the zero by default."""
    rows, blocks, _ = stored.shape
    columns, inner = int(node.attr("N")), int(node.attr("K"))
    bits, block = int(node.attr("bits", 4)), int(node.attr("block_size"))
    part = slice(None) if cut is None else cut.part
    steps = unpacked(stored, bits)[..., :block].astype(np.float32)
    scale = parameter(node, 2).reshape(columns, blocks, 1)[part]
    zeros = _zeros(node, columns, blocks, bits)
    steps -= zeros[part] if zeros.ndim else zeros
    steps *= scale
    return np.asarray(steps.reshape(rows, -1)[:, :inner])


def _zeros(node: NodeView, columns: int, blocks: int, bits: int) -> Array:
    source = resolve(node.input(3), node.model)
    if isinstance(source, str):  # left out: one that cannot be read is declined before
        return np.asarray(2.0 ** (bits - 1), np.float32)
    stored = read(source, node.model)
    zeros = unpacked(stored.reshape(columns, -1), bits)[:, :blocks] if stored.dtype == np.uint8 else stored
    return zeros.reshape(columns, blocks, 1).astype(np.float32)


def _bnb4(stored: Array, node: NodeView) -> Array:
    """The value that each half of a byte stands for (the higher first), times the block's largest magnitude."""
    inner, columns = int(node.attr("K")), int(node.attr("N"))
    data = stored.reshape(-1)
    halves = np.stack([data >> 4, data & 15], axis=-1).reshape(-1)[: inner * columns]
    codes = _CODES[int(node.attr("quant_type"))][halves]
    return in_blocks(codes, parameter(node, 2).reshape(-1), 0, int(node.attr("block_size"))).reshape(columns, inner)
