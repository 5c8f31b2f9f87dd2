"""When the condition of a Loop ends it, as far as constants, shapes and counters tell.

Exporters of while loops write both a limit and a condition that compares a counter with it. A value that is followed
here is `trip + offset`, in the number of the trip (from 0), or the same on every trip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir

from wua_onnx.cost.known import SAME_VALUE, STEPS, keeps_integers, known_value, producer
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, Expr, maximum, symbols
from wua_onnx.model.node import NodeView

_SMALLER = {"Less": (0, 1, 1), "LessOrEqual": (0, 1, 0), "Greater": (1, 0, 1), "GreaterOrEqual": (1, 0, 0)}
_INEXACT = 2**24  # from here on not every integer is a float32, which conditions may be compared in


@dataclass(frozen=True, kw_only=True)
class _Counter:
    """An integer in a body: `trip * per_trip + offset`."""

    per_trip: int
    offset: Dim


_Comparison: TypeAlias = tuple[_Counter, _Counter, int]


def may_stop(node: NodeView, body: ir.Graph, most: Dim) -> bool:
    """Return whether the Loop `node` may end before its trip number `most`.

    Raises:
        ShapeError: its body has no condition.
    """
    if not body.outputs or len(body.inputs) < 2:
        raise ShapeError(f"{node.where}: body: expected a condition among its inputs and outputs, got none")
    known = most if isinstance(most, int) else 2  # the first trip asks the node, each further one the body
    starts = known < 1 or _holds(node, None, node.input(1), most)
    return not (starts and (known < 2 or _holds(node, body, body.outputs[0], most)))


def trips_until(node: NodeView, body: ir.Graph) -> Dim | None:
    """Return the trips of the Loop `node` where its condition alone ends it; None where that cannot be told.

    Before trip k it compares a counter with a bound: goes on where `gap + k <= 0`, which makes 1 - gap trips.
    """
    if not body.outputs or len(body.inputs) < 2:
        return None
    after = _comparison(node, body, body.outputs[0])
    if after is None or after[0].per_trip - after[1].per_trip != 1:
        return None
    gap = _gap(*after) - 1  # what is asked at the end of a trip decides on the next one
    before = _comparison(node, None, node.input(1))
    if before is not None and _gap(*before) == gap:
        trips = _at_least_0(1 - gap)
    elif node.has(1) and _is_true(node.input(1)):
        trips = 1 + _at_least_0(-gap)
    else:
        return None
    sizes = {name for value in node.model.inputs for dim in node.model.shape(value) or () for name in symbols(dim)}
    if isinstance(trips, int):
        return trips if trips < _INEXACT else None
    return trips if symbols(trips) <= sizes else None  # other sizes may change from trip to trip


def _gap(small: _Counter, large: _Counter, strictly: int) -> Dim:
    return small.offset - large.offset + strictly


def _at_least_0(dim: Dim) -> Dim:
    if isinstance(dim, Expr) and all(factor >= 0 for factor in dim.terms.values()):
        return dim  # sizes are never negative
    return maximum(dim, 0)


def _is_true(condition: ir.Value | None) -> bool:
    constant = ir.convenience.get_const_tensor(condition) if condition is not None else None
    if constant is None or isinstance(constant, ir.ExternalTensor):
        return condition is None
    return constant.size == 1 and bool(constant.numpy().all())


def _parts(body: ir.Graph | None, condition: ir.Value | None) -> list[ir.Value]:
    """Return what must all be true for `condition` to be, without what always is."""
    pending, found = [condition], list[ir.Value]()
    for _ in range(STEPS):
        if not pending:
            return found
        part = pending.pop()
        if part is None or _is_true(part) or (body is not None and part is body.inputs[1]):
            continue  # left out, or handed on: whoever reads it here is inside the loop because it was true
        made = producer(part)
        if made is not None and (made.op_type == "And" or made.op_type in SAME_VALUE):
            pending += made.inputs if made.op_type == "And" else made.inputs[:1]
        else:
            found.append(part)
    return [*found, *(part for part in pending if part is not None)]


def _comparison(node: NodeView, body: ir.Graph | None, condition: ir.Value | None) -> _Comparison | None:
    """Return (smaller, larger, 1 if they may not be equal) where `condition` is that comparison and nothing else."""
    parts = _parts(body, condition)
    made = producer(parts[0]) if len(parts) == 1 else None
    if made is None or made.op_type not in _SMALLER or len(made.inputs) != 2:
        return None
    left, right, strictly = _SMALLER[made.op_type]
    small, large = (_counter(node, body, made.inputs[index]) for index in (left, right))
    return (small, large, strictly) if small is not None and large is not None else None


def _holds(node: NodeView, body: ir.Graph | None, condition: ir.Value | None, most: Dim) -> bool:
    """Return whether `condition` is true on every trip but the last, after which nobody asks.

    Outside the body (None) it is asked once, and only matters where `most` is at least 1.
    """
    compared = [_comparison(node, body, part) for part in _parts(body, condition)]
    return all(found is not None and _is_smaller(*found, most) for found in compared)


def _is_smaller(small: _Counter, large: _Counter, strictly: int, most: Dim) -> bool:
    """Return whether `small + strictly <= large` on the trips 0 to most - 2, or once before the first trip."""
    largest = small.offset + most * small.per_trip
    slope, gap = small.per_trip - large.per_trip, _gap(small, large, strictly)  # wanted: gap <= 0
    if slope > 1 or (isinstance(largest, int) and largest >= _INEXACT):
        return False
    # The gap where it is widest: on the last trip that asks, number most - 2, or on the first where it does not grow.
    # A comparison whose sides stay as they are is only asked where most >= 1, so that most - 1 may be added.
    worst = [gap + most - (2 if slope == 1 else 1), *([gap] if slope <= 0 else [])]
    return any(isinstance(value, int) and value <= 0 for value in worst)


def _counter(node: NodeView, body: ir.Graph | None, value: ir.Value | None, steps: int = STEPS) -> _Counter | None:
    """Return what `value` is on every trip; None where that cannot be told."""
    if value is None or steps == 0:
        return None
    known = known_value(node, value)
    if known is not None:
        return _Counter(per_trip=0, offset=known)
    if body is not None and value in body.inputs:
        return _counter_of_input(node, body, body.inputs.index(value), steps)
    made = producer(value)
    if made is None:
        return None
    if made.op_type in SAME_VALUE:
        return _counter(node, body, made.inputs[0], steps - 1) if keeps_integers(made) else None
    if made.op_type == "Add" and len(made.inputs) == 2:
        a, b = (_counter(node, body, part, steps // 2) for part in made.inputs)
        if a is not None and b is not None:
            return _Counter(per_trip=a.per_trip + b.per_trip, offset=a.offset + b.offset)
    return None


def _counter_of_input(node: NodeView, body: ir.Graph, index: int, steps: int) -> _Counter | None:
    """Return what an input of the body is: the number of the trip, or what is carried where it goes up by 1 or not."""
    if index == 0:
        return _Counter(per_trip=1, offset=0)
    first = known_value(node, node.input(index))
    if index == 1 or first is None or index > len(body.outputs):
        return None
    value, result = body.inputs[index], body.outputs[index - 1]
    for _ in range(steps):
        made = producer(result)
        if result is value:
            return _Counter(per_trip=0, offset=first)
        if made is None:
            return None
        if made.op_type == "Add" and len(made.inputs) == 2 and value in made.inputs:
            other = made.inputs[1] if made.inputs[0] is value else made.inputs[0]
            return _Counter(per_trip=1, offset=first) if known_value(node, other) == 1 else None
        if made.op_type != "Identity" or made.inputs[0] is None:
            return None
        result = made.inputs[0]
    return None
