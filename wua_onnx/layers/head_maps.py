"""What is known of an attention block: one number of a head per column of its projections, and per row of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.columns import NONE, Columns
from wua_onnx.layers.layer import Layer
from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.pushing import pushed

Array: TypeAlias = np.ndarray[Any, Any]
PARTS = ("query", "key", "value", "output")


@dataclass(frozen=True, slots=True, eq=False)
class HeadMap:
    """Which neurons (or input rows) of a layer belong to which head.

    Attributes:
        layer: the name of the layer; None where there is none.
        heads: the head of each column of the canonical weight, or of each row for an output; -1 for none.
        reason: why there is no layer, or what is left out of the map; None where nothing is.
    """

    layer: str | None
    heads: Array
    reason: str | None = None

    @property
    def mapped(self) -> int:
        """How many columns or rows belong to a head."""
        return int(np.count_nonzero(self.heads != NONE))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttentionBlock:
    """One attention: its heads, and which weights belong to each.

    Attributes:
        name: the path of its module, or the name of its node; unique.
        node, op: the name of the operator it was found by, and which that is.
        heads, kv_heads: how many heads of queries, and of keys and values; None where it cannot be said.
        kv_head_of: for each head, the head of keys and values it attends with; empty where it cannot be said.
        query, key, value: for each projection, the head of each of its columns; those of keys and values count by
            `kv_heads`. Several where a part is put together from several projections, one without a layer and with
            a reason where there is none.
        output: for each layer that reads the result, the head of each of its input rows.
    """

    name: str
    node: str
    op: str
    heads: int | None
    kv_heads: int | None
    kv_head_of: tuple[int, ...]
    query: tuple[HeadMap, ...]
    key: tuple[HeadMap, ...]
    value: tuple[HeadMap, ...]
    output: tuple[HeadMap, ...]

    @property
    def parts(self) -> Mapping[str, tuple[HeadMap, ...]]:
        """The four parts by name: query, key, value, output."""
        return {part: getattr(self, part) for part in PARTS}

    @property
    def complete(self) -> bool:
        """Whether all four parts are mapped."""
        return all(any(found.mapped for found in maps) for maps in self.parts.values())


def unmapped(reason: object) -> tuple[HeadMap, ...]:
    """Return the map of a part that could not be mapped."""
    return (HeadMap(None, np.zeros(0, np.int32), str(reason)),)


def labels_of(rows: Array) -> Array:
    """Return which rows hold the same columns: a number for each, from 0 in order; -1 for a row without any.

    Args:
        rows: numbers of columns, shape (rows, elements).
    """
    numbers: dict[bytes, int] = {}
    labels = np.full(len(rows), NONE, np.int32)
    for index, row in enumerate(rows):
        present = np.unique(row)
        present = present[present != NONE]
        if present.size:
            labels[index] = numbers.setdefault(present.tobytes(), len(numbers))
    return labels


def columns_by_head(columns: Columns, rows: Array, labels: Array) -> tuple[HeadMap, ...]:
    """Return, for each layer among `rows`, the head of each column.

    Args:
        columns: what numbered them.
        rows: numbers of columns, shape (rows, elements).
        labels: the head of each row.
    """
    parts = columns.layers_in(rows)
    if not parts:
        return unmapped("no layer computes it from the data: only constants or inputs of the model lead there")
    heads = {name: np.full(columns.width(name), NONE, np.int32) for name in parts}
    shared = {name: np.zeros(columns.width(name), bool) for name in parts}
    for head in range(int(labels.max(initial=NONE)) + 1):
        for name, present in columns.layers_in(rows[labels == head]).items():
            shared[name][present[heads[name][present] != NONE]] = True
            heads[name][present] = head
    for name, which in shared.items():
        heads[name][which] = NONE
    return tuple(HeadMap(name, heads[name], _shared(shared[name])) for name in parts)


def _shared(which: Array) -> str | None:
    count = int(which.sum())
    return f"{count:,} columns are used by several heads" if count else None


@dataclass(frozen=True, eq=False)
class Projections:
    """The layers of a model by name, and which of them reads what, told once for all its attention."""

    layers: Mapping[str, Layer]

    @cached_property
    def readers(self) -> Mapping[tuple[ir.Node, ir.Value], tuple[str, tuple[int, ...]]]:
        """The layer that reads a value at a node, and the axes along which its input rows lie there."""
        return {
            (use.node.node, use.features.value): (name, use.features.axes)
            for name, layer in self.layers.items()
            for use in layer.uses
            if use.features is not None
        }


def output_map(context: ir.Value, labels: Array, columns: Columns, known: Projections) -> tuple[HeadMap, ...]:
    """Return the head of each input row of the layer that reads the result of attention.

    Args:
        context: the result of attention.
        labels: the head of each of its elements.
        columns: what was traced, with its sizes.
        known: the layers.
    """
    wanted = known.readers
    try:
        node, index, numbers = pushed(
            context, labels, lambda node, index: (node, node.inputs[index]) in wanted, columns.sizes
        )
    except Unmoved as why:
        return unmapped(f"no output projection: {why}")
    value = node.inputs[index]
    assert value is not None
    name, axes = wanted[node, value]
    return (_rows(name, numbers, axes, known.layers[name]),)


def _rows(name: str, numbers: Array, axes: Sequence[int], layer: Layer) -> HeadMap:
    """Return the head of each input row, where all positions agree on it."""
    table = np.moveaxis(numbers, axes, range(len(axes))).reshape(int(np.prod([numbers.shape[a] for a in axes])), -1)
    if layer.kind != "dense" and layer.shape[1] != len(table):
        return HeadMap(
            None, np.zeros(0, np.int32), f"layer {name!r} has groups of channels: no rows of its own per head"
        )
    same = (table == table[:, :1]).all(axis=1)
    heads = np.where(same, table[:, 0], NONE).astype(np.int32)
    return HeadMap(name, heads, None if same.all() else f"{int((~same).sum()):,} rows are fed by several heads")
