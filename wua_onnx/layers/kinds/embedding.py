"""Embeddings: tables of which an operator looks up rows. Canonical weight: (rows, features); a neuron is a row.

A row is the layer's answer to one token, and it is active when that token is looked up: its mean activation is its
share of all lookups, and a dead row is one that the data never looks up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.axes import readers
from wua_onnx.layers.dequantize import affine, in_blocks, parameter, shape_of, unfit, unpacked, unreadable
from wua_onnx.layers.layer import Arrangement, Array, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.side import Side, Writer, graph_of, placeholder
from wua_onnx.layers.weights import WeightSource, read, resolve
from wua_onnx.model.node import NodeView

_MICROSOFT = "com.microsoft"
_MAX_MOVES = 8
_UNCOUNTED = "the operator counts positions itself, of what is unknown"


@layer_kind("Gather")
@layer_kind("TorchEmbedding", domain=_MICROSOFT)
def gather(node: NodeView) -> Use | str | None:
    """Gather of rows of a constant table, at indices that are no constants; of integers, where they are dequantized."""
    table, indices = node.input(0), node.input(1)
    if table not in node.model.constants or indices is None or indices in node.model.constants:
        return None
    source = resolve(table, node.model)
    if isinstance(source, str) or not source.shape:
        return source if isinstance(source, str) else None
    use = _rows(node, source, indices, node.attr("axis", 0) % len(source.shape))
    decode = _dequantized_behind(node, len(source.shape))
    return decode if isinstance(decode, str) else replace(use, decode=decode)


@layer_kind("GatherND")
def gather_nd(node: NodeView) -> Use | str | None:
    """Rows by indices of one number each: how PyTorch's exporter writes `table[indices]`."""
    table, indices = node.input(0), node.input(1)
    if table not in node.model.constants or indices is None or indices in node.model.constants:
        return None
    source = resolve(table, node.model)
    if isinstance(source, str):
        return source
    if node.attr("batch_dims", 0) or indices.shape is None or not indices.shape or indices.shape[-1] != 1:
        return "rows that are looked up by several numbers each"
    return _rows(node, source, indices, 0)


@layer_kind("EmbedLayerNormalization", domain=_MICROSOFT)
@layer_kind("QEmbedLayerNormalization", domain=_MICROSOFT)
def embed_layer_normalization(node: NodeView) -> Iterator[Use | str]:
    """Three tables whose rows are added: of words, of positions (often counted by the operator), of segments."""
    quantized = node.op_type.startswith("Q")
    tables = (
        (2, 0, "word_embedding"),
        (3, None if quantized else 8, "position_embedding"),
        (4, 1, "segment_embedding"),
    )
    for table, indices, name in tables:
        if node.input(table) not in node.model.constants:
            continue
        source = resolve(node.input(table), node.model)
        if isinstance(source, str):
            yield source
            continue
        problem = unfit(node, table + 6, table + 11, source.shape, 0) if quantized else None
        if len(source.shape) != 2 or problem is not None:
            yield problem or f"expected a table of rows, got a constant of shape {list(source.shape)}"
            continue
        rows = node.input(indices) if indices is not None else None
        use = replace(_rows(node, source, rows, 0), parameter=name)
        if name == "position_embedding" and rows is None:
            use = _counted(use)
        yield replace(use, decode=partial(affine, scale=table + 6, zero=table + 11, axis=0)) if quantized else use


@layer_kind("GatherBlockQuantized", domain=_MICROSOFT)
def gather_block_quantized(node: NodeView) -> Use | str | None:
    """Rows of a table with a scale for each block of a row; several elements in a byte where it is of bytes."""
    table, indices = node.input(0), node.input(1)
    if table not in node.model.constants or indices is None:
        return None
    source = resolve(table, node.model)
    problem = unreadable(node, 2, 3)
    if isinstance(source, str) or problem is not None:
        return source if isinstance(source, str) else problem
    packed, bits = table is not None and table.dtype == ir.DataType.UINT8, int(node.attr("bits", 4))
    if len(source.shape) < 2 or (packed and bits not in (2, 4, 8)):
        return f"expected a table of rows, got a constant of shape {list(source.shape)}, {bits} bits each"
    shape = (*source.shape[:-1], source.shape[-1] * (8 // bits if packed else 1))
    if not _blocks_fit(node, shape, bits if packed else 8):
        return "scales or zero points of another size than its blocks"
    use = _rows(node, source, indices, int(node.attr("gather_axis", 0)) % len(shape), shape)
    return replace(use, decode=_blocks, elements=shape)


def _rows(
    node: NodeView, source: WeightSource, indices: ir.Value | None, axis: int, shape: tuple[int, ...] | None = None
) -> Use:
    """Return the use of a table with its rows along `axis`; nothing is read where it is not known which are used."""
    shape = source.shape if shape is None else shape
    others = [other for other in range(len(shape)) if other != axis]
    return Use(
        node=node,
        kind="embedding",
        source=source,
        arrangement=Arrangement(
            shape, (axis, *others), (shape[axis], *([shape[other] for other in others] if others else [1]))
        ),
        neuron_axis=0,
        output=node.node.outputs[0] if indices is None else indices,
        output_axes=(),
        reads="nothing" if indices is None else "lookups",
        unread=_UNCOUNTED if indices is None else "",
    )


def _counted(use: Use) -> Use:
    """Return the use of a table of positions which the operator counts itself; they are counted beside it, too."""
    tokens = use.node.input(0)
    value = None if tokens is None else placeholder(tokens, ir.DataType.INT64)
    if tokens is None or value is None or len(value.shape or ()) != 2:
        return use
    side = Side(value=value, axes=(), inputs=(tokens,), compute=_counting)
    return replace(use, reads="lookups", side=side)


def _counting(writer: Writer, inputs: Sequence[ir.Value | None]) -> ir.Value:
    """0, 1, 2 … along axis 1, as often as there are samples."""
    shape = writer.op("Shape", [inputs[0]])
    graph = graph_of(shape)
    ones = writer.op("ConstantOfShape", [shape], graph, value=ir.tensor(np.ones(1, np.int64)))
    counted: ir.Value = writer.op("CumSum", [ones, writer.integers([1], graph)], graph, exclusive=1)
    ones.dtype = counted.dtype = ir.DataType.INT64
    return counted


def _dequantized_behind(node: NodeView, rank: int) -> Callable[[Array, NodeView], Array] | str | None:
    """Return how the rows looked up become real numbers, by a DequantizeLinear behind; None where none is."""
    found = _scaling(node)
    if found is None:
        return None
    behind, first = found
    source = resolve(node.input(0), node.model)
    problem = unfit(behind, first, first + 1, () if isinstance(source, str) else source.shape, -1)
    if problem is not None:
        return problem
    scale = parameter(behind, first)
    output = node.node.outputs[0].shape
    last = output is not None and int(behind.attr("axis", 1)) in (-1, len(output) - 1)
    if scale.size > 1 and (scale.ndim != 1 or not last or node.attr("axis", 0) % rank == rank - 1):
        return "its rows are dequantized in blocks behind the lookup"
    return lambda stored, _: affine(stored, behind, scale=first, zero=first + 1, axis=-1)


def _scaling(node: NodeView) -> tuple[NodeView, int] | None:
    """Return an operator that reads the rows as integers, and which of its inputs is their scale; None if none does."""
    value = node.node.outputs[0]
    for _ in range(_MAX_MOVES):
        moved = None
        for use in readers(value):
            if use.node.op_type == "DequantizeLinear" and use.idx == 0:
                return NodeView(use.node, node.model), 1
            if use.node.op_type.startswith("QLinear") and use.idx in (0, 3) and use.node.op_type != "QLinearConcat":
                return NodeView(use.node, node.model), use.idx + 1
            if use.node.op_type in ("Reshape", "Squeeze", "Unsqueeze", "Identity") and use.idx == 0:
                moved = use.node.outputs[0]
        if moved is None:
            return None
        value = moved
    return None


def _blocks_fit(node: NodeView, shape: tuple[int, ...], bits: int) -> bool:
    axis, block = int(node.attr("quantize_axis", 1)) % len(shape), int(node.attr("block_size", 128))
    scales, zeros = shape_of(node, 2), shape_of(node, 3)
    if block < 0 or not isinstance(scales, tuple) or len(scales) != len(shape):
        return False
    expected = [-(-size // (block or max(size, 1))) if other == axis else size for other, size in enumerate(shape)]
    if (
        any(given not in (1, size) for given, size in zip(scales, expected, strict=True))
        or scales[axis] != expected[axis]
    ):
        return False
    return zeros is None or zeros == (*scales[:-1], -(-scales[-1] * bits // 8))


def _blocks(stored: Array, node: NodeView) -> Array:
    """`(q - zero) * scale`, a scale for each block along `quantize_axis`."""
    bits, scale = int(node.attr("bits", 4)), parameter(node, 2)
    packed = stored.dtype == np.uint8
    steps = unpacked(stored, bits) if packed else stored
    axis = int(node.attr("quantize_axis", 1)) % steps.ndim
    block = int(node.attr("block_size", 128)) or steps.shape[axis]
    zeros = np.full(scale.shape, 2.0 ** (bits - 1) if packed else 0.0, np.float32)
    if node.has(3):
        source = resolve(node.input(3), node.model)
        assert not isinstance(source, str)  # declined before
        given = read(source, node.model)
        zeros = (unpacked(given, bits)[..., : scale.shape[-1]] if packed else given).astype(np.float32)
    repeated = np.repeat(zeros, block, axis=axis).take(range(steps.shape[axis]), axis=axis)
    return in_blocks(steps.astype(np.float32) - repeated, scale, axis, block)
