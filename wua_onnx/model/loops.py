"""Shapes inside loops: what a Loop carries may change its shape from trip to trip.

onnx_shape_inference gives an undeclared input of a body the shape that the value has before the first trip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import onnx_ir as ir

from wua_onnx.model.symbols import all_values

_INVENTED = "_d"  # how shape inference begins the name of a dimension that cannot be told
_ROUNDS = 4  # an axis that changes may change another one


def infer(model: ir.Model, run: Callable[[], None]) -> None:
    """Infer shapes by `run`, again where a value that a Loop carries turns out to change its shape.

    An axis that changes becomes a dimension that cannot be told; where a rank changes, neither what the loop carries
    nor anything computed from it has a shape.
    """
    carried = [pair for pair in _carried(model) if pair[0].shape is None]
    before = {value: _copy(value.shape) for value in all_values(model)} if carried else {}
    run()
    for _ in range(_ROUNDS):
        changing = {value: _without_changes(value.shape, result.shape) for value, result in carried}
        wider = {value: shape for value, shape in changing.items() if shape is not None}
        if not wider:
            break
        for value, shape in before.items():
            value.shape = _copy(wider.get(value, shape))
        before |= wider
        run()
    for node in model.graph.all_nodes():
        if any(_ranks_differ(value, result) for value, result in _carried_by(node)):
            _forget([*(value for value, _ in _carried_by(node)), *node.outputs])


def _copy(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else ir.Shape(list(shape))


def _carried(model: ir.Model) -> Iterator[tuple[ir.Value, ir.Value]]:
    for node in model.graph.all_nodes():
        yield from _carried_by(node)


def _carried_by(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Yield what a Loop carries: the input of its body, and the output that becomes this input."""
    body = node.attributes.get("body") if node.op_type == "Loop" else None
    if body is not None and body.type == ir.AttributeType.GRAPH:
        graph = body.as_graph()
        yield from zip(graph.inputs[2:], graph.outputs[1:], strict=False)


def _ranks_differ(value: ir.Value, result: ir.Value) -> bool:
    return value.shape is not None and result.shape is not None and len(value.shape) != len(result.shape)


def _without_changes(start: ir.Shape | None, end: ir.Shape | None) -> ir.Shape | None:
    """Return `start` with the axes unknown that differ in `end`; None where none does or the rank does."""
    if start is None or end is None or len(start) != len(end):
        return None
    changed = [str(a) != str(b) and not str(a).startswith(_INVENTED) for a, b in zip(start, end, strict=True)]
    if not any(changed):
        return None
    return ir.Shape([None if gone else dim for dim, gone in zip(start, changed, strict=True)])


def _forget(values: Iterable[ir.Value]) -> None:
    """Make the shapes of `values` unknown, and of everything that is computed from them."""
    pending, seen = list(values), set[ir.Value]()
    while pending:
        value = pending.pop()
        if value not in seen:
            seen.add(value)
            value.shape = None
            pending.extend(output for use in value.uses() for output in use.node.outputs)


__all__ = ["infer"]
