"""Reading some rows of a weight that is stored otherwise than it is: in integers with scales, several in a byte.

Rows are those of the first axis of what is stored. They are cut out first and made real numbers then, with the scales
that are theirs, where nothing on the way merges or splits that axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.dequantize import CUTTABLE
from wua_onnx.layers.layer import Array, Use
from wua_onnx.layers.weights import Cut, dequantized
from wua_onnx.model import external
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

_NIBBLE = 4
_MOVING = frozenset({"Cast", "DequantizeLinear", "Identity", "Transpose"})


@dataclass(frozen=True, slots=True)
class Rows:
    """Reads some rows of a weight.

    Attributes:
        use: the operator that uses the weight.
        model: its model.
        axis: the axis of the canonical weight along which they lie.
        unit: how many rows share scales: what is read begins with a multiple of it.
    """

    use: Use
    model: Model
    axis: int
    unit: int = 1

    def read(self, start: int, stop: int) -> Array:
        """Return rows `start` to `stop` of the canonical weight, in real numbers, factors of the layer left out."""
        part, axis = slice(start, stop), 0
        array = _stored(self.use.source.root, self.model, part)
        for node in self.use.source.chain:
            view = NodeView(node, self.model)
            if node.op_type == "Transpose":
                order = _permutation(view, array.ndim)
                array, axis = np.transpose(array, order), order.index(axis)
            elif node.op_type == "Cast":
                array = array.astype(ir.DataType(view.attr("to")).numpy())
            elif node.op_type == "DequantizeLinear":
                array = dequantized(array, view, Cut(axis, part))
        if self.use.decode is not None:
            array = self.use.decode(array, self.use.node, cut=Cut(axis, part))  # type: ignore[call-arg] # in CUTTABLE
        return np.transpose(array, self.use.arrangement.permutation)


def rows_of(use: Use, model: Model) -> Rows | None:
    """Return what reads rows of a weight; None where they cannot be told apart in what is stored."""
    source, arrangement = use.source, use.arrangement
    shape = _shape(source.root)
    if not shape or source.part is not None or any(node.op_type not in _MOVING for node in source.chain):
        return None
    if source.root.dtype is None or (source.root.dtype.bitwidth < 8 and _nibbles(source.root) is None):
        return None
    axis, sizes, unit = 0, list(shape), 1
    for node in source.chain:
        view = NodeView(node, model)
        if node.op_type == "DequantizeLinear":
            sharing = _sharing(view, tuple(sizes), axis)
            if sharing is None:
                return None
            unit = math.lcm(unit, sharing)
        if node.op_type == "Transpose":
            order = _permutation(view, len(sizes))
            axis, sizes = order.index(axis), [sizes[i] for i in order]
    if tuple(sizes) != source.shape or (use.decode is not None and _plain(use.decode) not in CUTTABLE):
        return None
    whole = use.elements or source.shape
    moved = tuple(arrangement.split[i] for i in arrangement.permutation)
    if arrangement.rows or arrangement.split != whole or moved != arrangement.shape or whole[axis] != shape[0]:
        return None
    return Rows(use, model, arrangement.permutation.index(axis), unit)


def _plain(decode: object) -> object:
    return decode.func if isinstance(decode, partial) else decode


def _shape(root: ir.Value) -> tuple[int, ...]:
    return () if root.const_value is None else tuple(root.const_value.shape.numpy())


def _permutation(view: NodeView, rank: int) -> list[int]:
    return list(view.attr("perm") or reversed(range(rank)))


def _sharing(view: NodeView, sizes: tuple[int, ...], axis: int) -> int | None:
    """Return how many rows share scales: 1 where each has its own, or all have the same; None where it is unknown."""
    scale = view.model.shape(view.node.inputs[1]) if view.node.inputs[1] is not None else None
    if scale is None or len(scale) <= 1:
        return None if scale is None else 1
    if len(scale) != len(sizes) or scale[axis] in (1, sizes[axis]):
        return 1 if len(scale) == len(sizes) else None
    block = int(view.attr("block_size", 0))
    fits = block > 0 and view.attr("axis", 1) % len(sizes) == axis and scale[axis] == -(-sizes[axis] // block)
    return block if fits else None


def _nibbles(root: ir.Value) -> ir.ExternalTensor | None:
    """Return a tensor of 4 bits in a file, whose bytes can be read in part; None where it is none."""
    tensor = root.const_value
    if isinstance(tensor, ir.ExternalTensor) and tensor.dtype.bitwidth == _NIBBLE:
        return external.readable(tensor)
    return None


def _stored(root: ir.Value, model: Model, rows: slice) -> Array:
    """Return rows of what is stored; two elements of 4 bits come out of each byte, the lower half first."""
    tensor = _nibbles(root)
    if tensor is None:
        return model.weight(root)[rows]
    shape = _shape(root)
    each = int(np.prod(shape[1:], dtype=np.int64))
    first, last = rows.start * each, rows.stop * each
    data = np.memmap(tensor.path, np.uint8, "r", tensor.offset or 0, ((each * shape[0] + 1) // 2,))
    packed = np.asarray(data[first // 2 : (last + 1) // 2])
    halves = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)[first % 2 :][: last - first]
    if tensor.dtype == ir.DataType.INT4:
        halves = (halves ^ 8).astype(np.int8) - np.int8(8)
    elif tensor.dtype != ir.DataType.UINT4:
        halves = halves.view(tensor.dtype.numpy())
    return halves.reshape(rows.stop - rows.start, *shape[1:])
