"""Reading a big weight in slabs, so that no more than a slab of it is ever in memory.

The file is mapped anew for each slab: pages that were read leave the memory with the slab. This needs a weight whose
canonical order is a view of the stored one, or whose rows can be made real numbers by themselves (`cutting.py`): those
with scales, also where several rows share them, and of 4 bits. Others are read whole: where axes that do not follow
each other in the file are merged, what a graph computes of a weight, and what a mixture of experts or an LSTM holds in
integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.cutting import rows_of
from wua_onnx.layers.layer import Array, Layer, Use
from wua_onnx.layers.parts import CUTS
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

_Step: TypeAlias = Callable[[Array], Array]
_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_PACKED_BITS = 8


@dataclass(frozen=True, slots=True)
class Slab:
    """A piece of a canonical weight.

    Attributes:
        axis, start, stop: which piece of the weight of the first use.
    """

    axis: int
    start: int
    stop: int

    def of(self, array: Array, axis: int | None = None) -> Array:
        """The piece of an array that broadcasts against the whole, along `axis` if not that of the slab."""
        along = self.axis if axis is None else axis
        if array.shape[along] == 1:
            return array
        return array[(slice(None),) * along + (slice(self.start, self.stop),)]


def slabs(layer: Layer, most: int) -> list[Slab] | None:
    """Return the slabs of the first use's weight, of `most` weights or one row; None where it is only read whole.

    Where several rows share scales, one slab holds them together.
    """
    found = _slab_axis(layer)
    if found is None:
        return None
    axis, unit = found
    length = layer.shape[axis]
    step = max(most * length // max(layer.size, 1) // unit, 1) * unit
    return [Slab(axis, at, min(at + step, length)) for at in range(0, length, step)]


def _slab_axis(layer: Layer) -> tuple[int, int] | None:
    """Return the axis that slabs are cut along, and of how many of its indices a slab holds a multiple."""
    if layer.uses[0].gates:  # each slab has a part of every gate
        units = [_units(use, layer.model) for use in layer.uses]
        return None if any(each is None for each in units) or not _alike(layer) else (1, 1)
    views = [canonical_view(use, layer.model) for use in layer.uses]
    if views[0] is not None and all(view is not None and _order(views[0], view) is not None for view in views):
        return _outermost(views[0]), 1
    rows = rows_of(layer.uses[0], layer.model) if len(layer.uses) == 1 else None
    return None if rows is None else (rows.axis, rows.unit)


def read_slab(layer: Layer, index: int, slab: Slab) -> tuple[Array, tuple[int, ...], int]:
    """Return a slab of the weight of use `index`, in that use's own order.

    Returns:
        The weights, float32 or float64 without the factors of the layer; the order of axes that makes them the slab
        of the first use; and the axis they are cut along.
    """
    if layer.uses[index].gates:
        units = _units(layer.uses[index], layer.model)
        assert units is not None
        return _floats(_some_units(units, slab)), tuple(range(len(layer.shape))), slab.axis
    view = canonical_view(layer.uses[index], layer.model)
    if view is None:
        rows = rows_of(layer.uses[index], layer.model)
        assert rows is not None
        return _floats(rows.read(slab.start, slab.stop)), tuple(range(len(layer.shape))), slab.axis
    first = view if index == 0 else canonical_view(layer.uses[0], layer.model)
    assert first is not None
    order = tuple(range(view.ndim)) if index == 0 else _order(first, view)
    assert order is not None
    axis = order[slab.axis]
    weight = np.array(slab.of(view, axis))
    for step in _value_steps(layer.uses[index]):
        weight = step(weight)
    return _floats(weight), order, axis


def _alike(layer: Layer) -> bool:
    return all(use.order == layer.uses[0].order for use in layer.uses)


def _units(use: Use, model: Model) -> Array | None:
    """Return a recurrent weight as (gates, directions, hidden, in), without reading it; None where it is no view."""
    arrangement = use.arrangement
    if len(arrangement.split) != 4 or any(node.op_type == "Cast" for node in use.source.chain):
        return None
    view = _operand_view(use, model)
    view = None if view is None else _reshaped(view, arrangement.split)
    return None if view is None else np.transpose(view, arrangement.permutation)


def _some_units(units: Array, slab: Slab) -> Array:
    """Return hidden units of all gates, those of one direction after those of the other."""
    hidden = units.shape[2]
    ranges = [(max(slab.start - d * hidden, 0), min(slab.stop - d * hidden, hidden)) for d in range(units.shape[1])]
    return np.concatenate([units[:, d, start:stop] for d, (start, stop) in enumerate(ranges) if start < stop], axis=1)


def _floats(weight: Array) -> Array:
    if not np.issubdtype(weight.dtype, np.floating) or weight.dtype.itemsize < 4:
        return weight.astype(np.float32)
    return weight


def canonical_view(use: Use, model: Model) -> Array | None:
    """Return the stored elements in canonical order, without reading any; None where there is no such view."""
    view = _operand_view(use, model)
    view = None if view is None else _reshaped(view, use.arrangement.split)
    if view is None:
        return None
    return _reshaped(np.transpose(view, use.arrangement.permutation), use.arrangement.shape)


def _operand_view(use: Use, model: Model) -> Array | None:
    """Return the stored elements as the operator takes them, without reading any; None where there is no such view."""
    tensor = use.source.root.const_value
    if tensor is None or tensor.dtype.bitwidth < _PACKED_BITS or use.decode is not None or use.arrangement.rows:
        return None
    stored, part = model.weight(use.source.root), use.source.part
    view: Array | None = stored if part is None else part.of(stored)
    for node in use.source.chain:
        view = None if view is None else _moved(view, NodeView(node, model))
    return None if view is None else _reshaped(view, use.source.shape)


def _moved(view: Array, node: NodeView) -> Array | None:
    if node.op_type in ("Cast", "Identity") or node.op_type in CUTS:  # what is cut is cut out of the root
        return view
    if node.op_type == "Transpose":
        return np.transpose(view, node.attr("perm"))
    shape = node.model.shape(node.node.outputs[0])
    if node.op_type not in _RESHAPING or shape is None:
        return None
    return _reshaped(view, tuple(dim for dim in shape if isinstance(dim, int)))


def _reshaped(view: Array, shape: tuple[int, ...]) -> Array | None:
    """Return `view` in another shape; None where its elements would have to be copied."""
    if view.shape == shape or view.flags.c_contiguous:
        return view.reshape(shape)
    try:
        return np.reshape(view, shape, copy=False)
    except ValueError:
        return None
    except TypeError:  # before NumPy 2.1
        same = view[...]
        try:
            same.shape = shape
        except AttributeError:
            return None
        return same


def _value_steps(use: Use) -> Iterator[_Step]:
    """Yield what changes the values on their way to the operator, one by one."""
    for node in use.source.chain:
        if node.op_type == "Cast":
            dtype = ir.DataType(node.attributes["to"].as_int()).numpy()
            yield partial(np.ndarray.astype, dtype=dtype)


def _outermost(view: Array) -> int:
    """Return the axis along which neighbours lie farthest apart: slabs of it are contiguous in the file."""
    return max(range(view.ndim), key=lambda axis: (view.shape[axis] > 1, abs(view.strides[axis])))


def _order(first: Array, other: Array) -> tuple[int, ...] | None:
    """Return the order of the axes of `other` in which it holds the elements as `first` does; None if there is none."""
    for order in permutations(range(other.ndim)) if first.ndim == other.ndim else ():
        moved = np.transpose(other, order)
        sizes = (a == b for a, b, size in zip(moved.strides, first.strides, first.shape, strict=True) if size > 1)
        if moved.shape == first.shape and all(sizes):
            return order
    return None
