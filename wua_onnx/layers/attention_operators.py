"""The operators for attention, of ai.onnx and com.microsoft."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.columns import NONE, Columns
from wua_onnx.layers.head_maps import (
    AttentionBlock,
    HeadMap,
    Projections,
    columns_by_head,
    labels_of,
    output_map,
    unmapped,
)
from wua_onnx.layers.moves import LIMIT, Unmoved
from wua_onnx.layers.weights import resolve
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
_NAMES = ("query", "key", "value")


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator takes queries, keys and values.

    Attributes:
        inputs: the numbers of the inputs that hold them; where keys are left out, the first holds all three.
        weights: the numbers of the inputs that hold packed weights for all three, where the operator projects.
        heads, kv_heads: the attributes that say how many heads there are.
        reason: why it cannot be mapped.
    """

    inputs: tuple[int, int, int] = (0, 1, 2)
    weights: tuple[int, ...] = ()
    heads: str = "num_heads"
    kv_heads: str = "num_heads"
    reason: str = ""


_OPERATORS: dict[tuple[str, str], Operator] = {
    ("", "Attention"): Operator(heads="q_num_heads", kv_heads="kv_num_heads"),
    ("com.microsoft", "Attention"): Operator(weights=(1,)),
    ("com.microsoft", "DecoderAttention"): Operator(reason="its projections of keys and values are packed: not mapped"),
    ("com.microsoft", "DecoderMaskedMultiHeadAttention"): Operator(),
    ("com.microsoft", "DecoderMaskedSelfAttention"): Operator(weights=(1,)),
    ("com.microsoft", "GroupQueryAttention"): Operator(kv_heads="kv_num_heads"),
    ("com.microsoft", "LongformerAttention"): Operator(weights=(1, 4)),
    ("com.microsoft", "MultiHeadAttention"): Operator(),
    ("com.microsoft", "PackedAttention"): Operator(weights=(1,)),
    ("com.microsoft", "PackedMultiHeadAttention"): Operator(),
    ("com.microsoft", "PagedAttention"): Operator(kv_heads="kv_num_heads"),
    ("com.microsoft", "QAttention"): Operator(weights=(1,)),
    ("com.microsoft", "QOrderedAttention"): Operator(reason="its weights are integers in a layout of their own"),
    ("com.microsoft", "QOrderedLongformerAttention"): Operator(
        reason="its weights are integers in a layout of their own"
    ),
    ("com.microsoft", "SparseAttention"): Operator(kv_heads="kv_num_heads"),
}


def is_attention(node: NodeView) -> bool:
    """Return whether `node` is an operator for attention."""
    return (node.domain, node.op_type) in _OPERATORS


def block(node: NodeView, columns: Columns, known: Projections) -> AttentionBlock:
    """Return what can be said of the heads of `node`, at one size of the free dimensions."""
    operator = _OPERATORS[node.domain, node.op_type]
    heads = _count(node, operator.heads, columns, 0)
    kv_heads = _count(node, operator.kv_heads, columns, 1) or heads
    reason = operator.reason or (
        "" if heads and kv_heads and heads % kv_heads == 0 else "how many heads it has is unknown"
    )
    of: Array = np.zeros(0, np.int32)
    if reason or not heads or not kv_heads:
        nothing = unmapped(reason)
        maps, output = dict.fromkeys(_NAMES, nothing), nothing
    elif operator.weights:
        found = [_packed(node, operator, part, heads, known) for part in range(3)]
        maps, of = {name: part for name, (part, _) in zip(_NAMES, found, strict=True)}, np.arange(heads)
        output = _output(node, heads, found[2][1], columns, known)
    else:
        maps, of, width = _operands(node, operator, heads, kv_heads, columns)
        output = _output(node, heads, width, columns, known)
    return AttentionBlock(
        name=node.module_name if node.module else node.name,
        node=node.name,
        op=node.op_type,
        heads=heads,
        kv_heads=int(of.max()) + 1 if of.size else kv_heads,
        kv_head_of=tuple(int(head) for head in of),
        output=output,
        **maps,
    )


def _operands(
    node: NodeView, operator: Operator, heads: int, kv_heads: int, columns: Columns
) -> tuple[dict[str, tuple[HeadMap, ...]], Array, int]:
    """Return the maps of the three parts, the head of keys and values of each head, the size of a head of values.

    Keys and values that were repeated before the operator count as the heads they are copies of.
    """
    rows: dict[str, Array] = {}
    maps: dict[str, tuple[HeadMap, ...]] = {}
    for part, name in enumerate(_NAMES):
        try:
            rows[name] = _rows(node, operator, part, heads, kv_heads, columns)
        except Unmoved as why:
            maps[name] = unmapped(why)
    flat = {name: array.reshape(len(array), -1) for name, array in rows.items()}
    distinct = [labels_of(flat[name]) for name in ("value", "key") if name in flat]
    known = next((labels for labels in distinct if (labels != NONE).all()), np.arange(kv_heads, dtype=np.int32))
    for name, array in flat.items():
        maps[name] = columns_by_head(columns, array, np.arange(heads) if name == "query" else known)
    width = next((rows[name].shape[1] for name in ("value", "query") if name in rows), 0)
    return maps, np.repeat(known, heads // kv_heads), width


def _count(node: NodeView, attribute: str, columns: Columns, index: int) -> int | None:
    """Return a number of heads: the attribute, or axis 1 of an operand of rank 4."""
    count = node.attr(attribute, 0)
    if count:
        return int(count) if 0 < int(count) <= 65536 else None
    value = node.input(index)
    shape = columns.sizes.shape(value) if value is not None and not node.domain else None
    if value is not None and shape is None and not node.domain:
        try:
            shape = columns.of(value).shape[1:]
        except Unmoved:
            return None
    return shape[1] if shape is not None and len(shape) == 4 else None


def _rows(node: NodeView, operator: Operator, part: int, heads: int, kv_heads: int, columns: Columns) -> Array:
    """Return the columns in each head, shape (heads, size of a head, other elements)."""
    given = [index for index in operator.inputs[: part + 1] if node.has(index)]
    if not given:
        raise Unmoved("it has no input for the queries")
    held = given[-1]  # packed parts are held by the last input that is given
    own = sum(not node.has(index) for index in operator.inputs[operator.inputs.index(held) + 1 :])
    value = node.input(held)
    assert value is not None
    array = np.moveaxis(columns.of(value), 0, -1)
    count = heads if part == 0 else kv_heads
    rank, packed = array.ndim - 1, own > 0
    if packed and (rank == 5 or node.op_type == "PackedMultiHeadAttention"):
        array = np.take(array, part - operator.inputs.index(held), -3)  # (…, heads, parts, size, planes)
        array = np.moveaxis(array, -3, 0)
    elif packed:
        array = _split_last(array, part, heads, kv_heads)
    elif rank == 4:
        array = np.moveaxis(array, 1, 0)
    elif rank < 2 or array.shape[-2] % count:
        raise Unmoved(f"{node.where}: expected {count} heads of equal size, got an operand of shape {array.shape[:-1]}")
    else:
        array = np.moveaxis(array.reshape(*array.shape[:-2], count, -1, array.shape[-1]), -3, 0)
    if len(array) != count:
        raise Unmoved(f"{node.where}: expected {count} heads, got an operand with {len(array)}")
    array = np.moveaxis(array, -2, 1)
    return np.asarray(array.reshape(count, array.shape[1], -1))


def _split_last(array: Array, part: int, heads: int, kv_heads: int) -> Array:
    """Return one part of queries, keys and values that lie behind each other, heads first."""
    counts = (heads, kv_heads, kv_heads)
    if array.shape[-2] % sum(counts):
        raise Unmoved(f"its {array.shape[-2]} columns are no multiple of {sum(counts)} heads")
    by_head = np.moveaxis(array.reshape(*array.shape[:-2], sum(counts), -1, array.shape[-1]), -3, 0)
    start = sum(counts[:part])
    return by_head[start : start + counts[part]]


def _packed(
    node: NodeView, operator: Operator, part: int, heads: int, known: Projections
) -> tuple[tuple[HeadMap, ...], int]:
    """Return the heads of the columns of weights that the operator holds itself, and the size of a head."""
    roots = [_root(node, index) for index in operator.weights]
    found = [
        (name, layer)
        for name, layer in known.layers.items()
        if any(use.node.node is node.node and use.source.root in roots for use in layer.uses)
    ]
    if not found:
        return unmapped("the weights that the operator holds are no layer that is analysed"), 0
    maps, size = [], 0
    for name, layer in found:
        sizes = list(node.attr("qkv_hidden_sizes") or [layer.neurons // 3] * 3)
        if len(sizes) != 3 or sum(sizes) > layer.neurons or sizes[part] % heads:
            return unmapped(f"its {layer.neurons} columns are not {heads} heads of three parts"), 0
        size = sizes[part] // heads
        numbers = np.full(layer.neurons, NONE, np.int32)
        start = sum(sizes[:part])
        numbers[start : start + sizes[part]] = np.repeat(np.arange(heads), size)
        maps.append(HeadMap(name, numbers))
    return tuple(maps), size


def _root(node: NodeView, index: int) -> ir.Value | None:
    source = resolve(node.input(index), node.model)
    return None if isinstance(source, str) else source.root


def _output(node: NodeView, heads: int, width: int, columns: Columns, known: Projections) -> tuple[HeadMap, ...]:
    context = node.node.outputs[0]
    shape = columns.sizes.shape(context)
    if shape is None or shape[-1] % heads:
        query = node.input(0)
        like = columns.sizes.shape(query) if query is not None else None
        if like is None or not width:
            return unmapped("the shape of its result is unknown")
        shape = (
            (*like[:1], heads, like[-2], width) if len(like) == 4 and not node.domain else (*like[:2], heads * width)
        )
    if np.prod(shape, dtype=np.float64) > LIMIT:
        return unmapped("its result is too large to follow")
    labels = _labels(shape, heads, by_axis=len(shape) == 4)
    return output_map(context, labels, columns, known)


def _labels(shape: tuple[int, ...], heads: int, by_axis: bool) -> Array:
    """Return the head of each element of the result: along axis 1 of rank 4, else in equal parts of the last axis."""
    numbers = np.arange(heads, dtype=np.int32)
    if by_axis:
        return np.broadcast_to(numbers.reshape(1, -1, 1, 1), shape)
    return np.broadcast_to(np.repeat(numbers, shape[-1] // heads), shape)
