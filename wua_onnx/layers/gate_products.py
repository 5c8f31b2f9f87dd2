"""Products with a constant that may be a weight of a recurrent cell, and which of the constant's columns they use.

A convolution is one, too: its columns are its filters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.draws import compact
from wua_onnx.layers.layer import Arrangement, Features, Use
from wua_onnx.layers.moves import MOVES, Unmoved, moved
from wua_onnx.layers.registry import recognise
from wua_onnx.layers.sizes import Sizes
from wua_onnx.layers.weights import WeightSource, indices, resolve
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_PARTS = frozenset({"Gather", "Slice", "Split"})
COPIES = frozenset({"Cast", "Dropout", "Identity"})


@dataclass(frozen=True, slots=True, eq=False)
class GateProduct:
    """A product of features with columns of a constant.

    Attributes:
        use: how a dense layer, or a convolution, would use the whole constant.
        columns: the numbers of the columns that come out, in their order.
        operand: what is multiplied with them.
        arrangement: what makes the whole constant (columns, *inside).
    """

    use: Use
    columns: Array
    operand: ir.Value
    arrangement: Arrangement

    @property
    def node(self) -> ir.Node:
        """The operator."""
        return self.use.node.node

    @property
    def root(self) -> ir.Value:
        """The initializer that holds the elements."""
        return self.use.source.root

    @property
    def weight(self) -> tuple[ir.Value, bytes]:
        """What tells the columns from those of other products."""
        return self.root, self.columns.tobytes()

    @property
    def inside(self) -> tuple[int, ...]:
        """The shape of a column: (in,), of a convolution (in, *kernel)."""
        return self.arrangement.shape[1:]

    @property
    def axis(self) -> int:
        """The axis of the result along which the columns lie."""
        return self.use.output_axes[0]


def gate_product(node: NodeView, sizes: Sizes) -> GateProduct | None:
    """Return `node` as a product with columns of a constant; None for any other operator."""
    if len(node.node.inputs) < 2 or len(node.node.outputs) != 1:
        return None
    for use in recognise(node):
        if isinstance(use, Use) and use.kind == "convolution":
            return _of_filters(use)
        if isinstance(use, Use) and _is_plain(use):
            return _dense(use, np.arange(use.arrangement.shape[1]))
    return _of_a_part(node, sizes) if (node.domain, node.op_type) in (("", "MatMul"), ("", "Gemm")) else None


def _is_plain(use: Use) -> bool:
    plain = use.kind == "dense" and use.reads == "after" and len(use.arrangement.shape) == 2 and not use.source.part
    whole = use.source.part is None
    return plain and whole and len(use.output_axes) == 1 and use.decode is None and use.quantization is None


def _of_a_part(node: NodeView, sizes: Sizes) -> GateProduct | None:
    """Return a product with some columns of a constant, which are cut out of it beforehand."""
    operand, part = node.input(0), node.input(1)
    producer = part.producer() if part is not None else None
    if operand is None or part is None or part not in node.model.constants or producer is None:
        return None
    source = resolve(producer.inputs[0], node.model) if producer.op_type in _PARTS and producer.inputs else ""
    rank = len(operand.shape) if operand.shape is not None else 0
    if (
        isinstance(source, str)
        or source.part is not None
        or len(source.shape) != 2
        or rank < 2
        or node.attr("transA", 0)
    ):
        return None
    across = 0 if node.attr("transB", 0) else 1
    numbers = np.broadcast_to(
        np.arange(source.shape[across]).reshape([-1, 1] if across == 0 else [1, -1]), source.shape
    )
    cutting = NodeView(producer, node.model)
    try:
        kept = moved(cutting, producer.outputs.index(part), [numbers], sizes.numbers_of(cutting))
    except Unmoved:
        return None
    if kept.ndim != 2 or kept.shape[1 - across] != source.shape[1 - across]:
        return None
    whole = Use(
        node=node,
        kind="dense",
        source=source,
        arrangement=Arrangement.transposing(source.shape, (1, 0) if across == 0 else (0, 1)),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axes=(rank - 1,),
        factor=float(node.attr("alpha", 1.0)),
        features=Features(value=operand, axes=(rank - 1,), spread=lambda features: features.reshape(-1, 1)),
    )
    return _dense(whole, kept.take(0, 1 - across))


def _dense(use: Use, columns: Array) -> GateProduct | None:
    """Return a product with `columns` of a weight that `use` makes (in, out)."""
    if use.features is None:
        return None
    own, (inside, outside) = use.arrangement, use.arrangement.shape
    inputs = next(
        count
        for count in range(len(own.permutation) + 1)
        if np.prod([own.split[axis] for axis in own.permutation[:count]]) == inside
    )
    order = (*own.permutation[inputs:], *own.permutation[:inputs])
    return GateProduct(use, columns, use.features.value, Arrangement(own.split, order, (outside, inside)))


def _of_filters(use: Use) -> GateProduct | None:
    """Return a convolution with filters of a constant, whole or cut out of it; None for one in groups."""
    source, features = use.source, use.features
    plain = use.reads == "after" and use.decode is None and use.factor == 1.0
    if not plain or features is None or int(use.node.attr("group", 1)) != 1:
        return None
    axes = _axes_behind(use)
    if axes is None:
        return None
    outside, *inside = (axis for axis, _ in axes)
    columns, shape = axes[0][1], _shape(source)
    whole = (shape[outside], *use.arrangement.shape[1:])
    order = Arrangement(shape, (outside, *inside), whole)
    stored = WeightSource(source.root, (), (), shape)
    return GateProduct(replace(use, source=stored), columns, features.value, order)


def _shape(source: WeightSource) -> tuple[int, ...]:
    """Return the shape of the initializer that holds the elements."""
    return tuple(dim for dim in source.root.shape or () if isinstance(dim, int))


def _axes_behind(use: Use) -> list[tuple[int, Array]] | None:
    """Return the axes of the initializer in the order in which filters have them, and what is used along each.

    Returns:
        The numbers of axes, that of the filters first, each with the numbers along it that are in the operand; None
        where they are not just reordered, or anything but filters is cut out.
    """
    shape, filters = _shape(use.source), use.arrangement.shape
    found: list[tuple[int, int, Array]] = []
    for axis, size in enumerate(shape):
        numbers = use.arrangement(indices(use.source, axis, use.node.model))
        line = compact(numbers)
        along = [place for place, length in enumerate(line.shape) if length > 1]
        kept, whole = line.ravel(), np.array_equal(line.ravel(), np.arange(size))
        place = along[0] if along else len(filters) if whole else 0  # one filter, cut out, varies along nothing
        if len(along) > 1 or (place and not whole):
            return None
        found.append((place, axis, kept))
    found.sort(key=lambda each: each[:2])
    return [(axis, kept) for _, axis, kept in found] if found and found[0][0] == 0 else None


def moved_from(value: ir.Value) -> ir.Value:
    """Return what `value` is a rearrangement or a part of, through operators that only move one tensor."""
    node = value.producer()
    while node is not None and node.domain in ("", "ai.onnx") and node.inputs and node.inputs[0] is not None:
        if node.op_type not in (MOVES.keys() | COPIES) - {"Concat", "Expand", "Tile", "ScatterND"}:
            break
        value = node.inputs[0]
        node = value.producer()
    return value
