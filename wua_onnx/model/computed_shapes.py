"""Shapes that a model computes while it runs, as TorchScript and Keras write them, followed further than upstream does.

`expand(-1, ...)` becomes `Where(Equal(sizes, -1), ones, sizes)`; the last step of a sequence becomes `Slice [-1:]`.
What can be followed gives real dimensions, the rest at least a rank.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import zip_longest
from typing import Any, TypeAlias

import onnx_ir as ir

_Dim: TypeAlias = int | ir.SymbolicDim
_Infer: TypeAlias = Callable[[Any, ir.Node], None]

_MOST = 64  # elements of a shape that is filled with one number
_FAR = 10**9  # Slice reaches to the end of an axis: what tf2onnx writes; others write 2**31 - 1 or more
_INDICES = frozenset({ir.DataType.INT64, ir.DataType.INT32})
_NAME = re.compile(r"[A-Za-z_]\w*")


@cache
def register() -> None:
    """Put the rules of this module behind those of onnx_shape_inference, once."""
    from onnx_shape_inference import registry

    rules = {"ConstantOfShape": (9, _filled), "Equal": (7, _equal), "Mod": (10, _remainder), "Where": (9, _where)}
    for op, (since, rule) in {**rules, "Expand": (8, _expanded), "Slice": (10, _sliced)}.items():
        infer = registry.get("", op, version=since)
        if infer is not None:
            registry.register("", op, since_version=since)(_followed_by(rule, infer))


def _followed_by(rule: _Infer, infer_shape: _Infer) -> _Infer:
    def infer(ctx: Any, node: ir.Node) -> None:
        if len(node.outputs) == 1:
            node.outputs[0].const_value = None  # that of an earlier round, where shapes in loops are followed
        infer_shape(ctx, node)
        if len(node.outputs) == 1:
            rule(ctx, node)

    return infer


def _known(ctx: Any, node: ir.Node, index: int) -> list[_Dim] | None:
    """Return the elements of an input of rank 0 or 1, None where they cannot be told."""
    value = node.inputs[index] if index < len(node.inputs) else None
    found: list[_Dim] | None = ctx.get_symbolic_value(value) if value is not None else None
    return found


def _filled(ctx: Any, node: ir.Node) -> None:
    """ConstantOfShape of one axis: a list of equal numbers."""
    lengths, fill = _known(ctx, node, 0), node.attributes.get("value")
    if not lengths or len(lengths) != 1 or fill is None or fill.as_tensor().dtype not in _INDICES:
        return
    length = lengths[0]
    if isinstance(length, int) and 0 < length <= _MOST:
        ctx.set_symbolic_value(node.outputs[0], [int(fill.as_tensor().numpy().item())] * length)


def _equal(ctx: Any, node: ir.Node) -> None:
    """Equal of two shapes: 1 where they are the same, 0 where they cannot be, a new symbol where nothing tells."""
    sides = [_known(ctx, node, index) for index in (0, 1)]
    told = [_are_equal(ctx, a, b) for a, b in _broadcast(*sides)]
    if any(truth is not None for truth in told):
        known = [ctx.new_symbolic_dim() if truth is None else int(truth) for truth in told]
        ctx.set_symbolic_value(node.outputs[0], known)


def _remainder(ctx: Any, node: ir.Node) -> None:
    """Mod of integers: how TorchScript counts an axis from the end."""
    pairs = _broadcast(_known(ctx, node, 0), _known(ctx, node, 1))
    numbers = [(a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int) and b != 0]
    if numbers and len(numbers) == len(pairs) and all(b > 0 and a >= 0 for a, b in numbers):
        ctx.set_symbolic_value(node.outputs[0], [a % b for a, b in numbers])


def _are_equal(ctx: Any, a: _Dim, b: _Dim) -> bool | None:
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if isinstance(a, ir.SymbolicDim) and isinstance(b, ir.SymbolicDim):
        return True if a.value is not None and a.value == b.value else None
    number, size = (a, b) if isinstance(a, int) else (b, a)
    return False if isinstance(number, int) and number < 0 and _is_size(ctx, size) else None


def _is_size(ctx: Any, dim: _Dim) -> bool:
    """Return whether `dim` is 0 or more: made from sizes of the model's own, nothing subtracted."""
    if isinstance(dim, int):
        return dim >= 0
    names = _NAME.findall(dim.value or "")
    return bool(names) and "-" not in str(dim.value) and not any(map(ctx.is_generated_symbol, names))


def _where(ctx: Any, node: ir.Node) -> None:
    """Where over shapes: the side that the condition tells, element by element."""
    elements = _broadcast(*(_known(ctx, node, index) for index in range(3)))
    undecided = ctx.get_symbolic_value(node.outputs[0]) or []
    if len(undecided) != len(elements):
        undecided = [ctx.new_symbolic_dim() for _ in elements]
    told = [
        (chosen if truth else other) if isinstance(truth, int) else either
        for (truth, chosen, other), either in zip(elements, undecided, strict=True)
    ]
    if told:
        ctx.set_symbolic_value(node.outputs[0], told)


def _broadcast(*sides: list[_Dim] | None) -> list[tuple[_Dim, ...]]:
    """Return the elements that meet; nothing where a side is not known or the lengths do not fit."""
    known = [side for side in sides if side]
    length = max(map(len, known), default=0)
    if len(known) < len(sides) or not {len(side) for side in known} <= {1, length}:
        return []
    return list(zip(*(side * (length // len(side)) for side in known), strict=True))


def _expanded(ctx: Any, node: ir.Node) -> None:
    """Expand to sizes that cannot be told: an axis longer than 1 stays as it is, the others get new symbols."""
    data, sizes = node.inputs[0], node.inputs[1]
    length = sizes.shape[0] if sizes is not None and sizes.shape is not None and len(sizes.shape) == 1 else None
    if node.outputs[0].shape is not None or data is None or data.shape is None or not isinstance(length, int):
        return
    kept = [dim if isinstance(dim, int) and dim > 1 else None for dim in list(data.shape)[::-1]]
    dims = [ctx.new_symbolic_dim() if dim is None else dim for dim, _ in zip_longest(kept, range(length))]
    ctx.set_shape_and_dtype(node.outputs[0], ir.Shape(dims[::-1]), data.dtype)


def _sliced(ctx: Any, node: ir.Node) -> None:
    """Slice: axes that upstream gave up, because they are cut from their end or at sizes of other axes."""
    data, output = node.inputs[0], node.outputs[0]
    if data is None or data.shape is None or output.shape is None or len(output.shape) != len(data.shape):
        return
    cuts = _cuts(ctx, node, len(data.shape))
    if cuts is None:
        return
    dims = list(output.shape)
    for axis, (whole, found) in enumerate(zip(data.shape, output.shape, strict=True)):
        cut = cuts.get(axis, (0, _FAR, 1))
        if cut is None:
            continue
        beyond = isinstance(found, int) and not isinstance(whole, int) and isinstance(cut[1], int) and cut[1] >= _FAR
        if beyond or (isinstance(found, ir.SymbolicDim) and ctx.is_generated_symbol(found.value)):
            length = _between(ctx, whole, *cut)
        else:
            length = _up_to(ctx, whole, *cut)
        dims[axis] = found if length is None else length
    output.shape = ir.Shape(dims)


def _cuts(ctx: Any, node: ir.Node, rank: int) -> dict[int, tuple[_Dim, _Dim, _Dim] | None] | None:
    """Return (start, end, step) of each axis that is cut, None in place of what cannot be told."""
    starts, ends, axes, steps = (_known(ctx, node, index) for index in range(1, 5))
    given = [value is not None for value in node.inputs[3:]] + [False, False]
    count = _length(node.inputs[1])
    if count is None or count > rank or (axes is None and given[0]):
        return None
    told = starts is not None and ends is not None and (steps is not None or not given[1])
    cuts = list(zip(starts or [], ends or [], steps or [1] * count, strict=False)) if told else [None] * count
    numbers = [axis % rank for axis in axes or range(count) if isinstance(axis, int)]
    return dict(zip(numbers, cuts, strict=True)) if len(numbers) == len(cuts) else None


def _length(value: ir.Value | None) -> int | None:
    length = value.shape[0] if value is not None and value.shape is not None and len(value.shape) == 1 else None
    return length if isinstance(length, int) else None


def _between(ctx: Any, dim: _Dim, start: _Dim, end: _Dim, step: _Dim) -> _Dim | None:
    """Return how long the slice of an axis of `dim` is; bounds that are sizes are taken to lie on the axis."""
    if not isinstance(step, int) or step == 0:
        return None
    to_end = end == dim or (isinstance(end, int) and end >= _FAR)
    if step < 0:
        is_whole = isinstance(start, int) and (start == -1 or start >= _FAR) and isinstance(end, int) and end < -_FAR
        return -(-dim // -step) if is_whole else None
    if isinstance(start, int) and start < 0 and (to_end or (isinstance(end, int) and start < end < 0)):
        length = _last(dim, start) - (0 if to_end else _last(dim, end))
        return -(-length // step)
    if start == 0 and to_end:
        return -(-dim // step)
    if isinstance(start, int) and start > 0 and isinstance(end, int) and to_end and not isinstance(dim, int):
        return -(-ir.SymbolicDim(f"Max(0, {dim} - {start})") // step)
    if step == 1 and isinstance(end, ir.SymbolicDim) and _is_size(ctx, start) and _is_size(ctx, end - start):
        return end - start
    return None


def _up_to(ctx: Any, dim: _Dim, start: _Dim, end: _Dim, step: _Dim) -> _Dim | None:
    """Return how long the slice of a free axis between two numbers is, where upstream takes both to lie on the axis.

    So does this for a single element, which the model cannot do without, and for axes of which nothing is known.
    """
    if isinstance(dim, int) or not (isinstance(start, int) and isinstance(end, int) and isinstance(step, int)):
        return None
    if any(map(ctx.is_generated_symbol, _NAME.findall(dim.value or ""))):
        return None
    if not 0 <= start < end - 1 or end >= _FAR or step < 1:
        return None
    length = -(-(ir.SymbolicDim(f"Min({end}, {dim})") - start) // step)
    return length if start == 0 else ir.SymbolicDim(f"Max(0, {length})")


def _last(dim: _Dim, start: _Dim) -> _Dim:
    """Return how many elements lie at `start`, counted from the end of an axis that is not empty, or behind it."""
    assert isinstance(start, int)
    if start < -_FAR:
        return dim
    if start == -1 or isinstance(dim, int):
        return min(-start, dim) if isinstance(dim, int) else 1
    return ir.SymbolicDim(f"Min({-start}, {dim})")


__all__ = ["register"]
