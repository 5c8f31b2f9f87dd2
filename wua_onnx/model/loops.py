"""Shapes inside loops: what a Loop or a Scan carries may change its shape from trip to trip.

The body is inferred with the shape from before the first trip. Where it returns that shape again, every trip has it, by
induction; an axis that comes back as another is one that cannot be told. Names of dimensions that only a body uses are
set aside for that: exporters write them where they could not tell (`unk__171`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import onnx_ir as ir

from wua_onnx.model.symbols import all_values, values_of

Shapes: TypeAlias = dict[ir.Value, ir.Shape | None]
Dim: TypeAlias = int | ir.SymbolicDim

_INVENTED = "_d"  # how shape inference begins the name of a dimension that cannot be told
_NAME = re.compile(r"[^\W\d]\w*")
_ROUNDS = 4  # an axis that changes may change another one; those that do so still later are left open all together


@dataclass(eq=False, kw_only=True)
class _State:
    """What a loop carries.

    Attributes:
        value: the input of the body.
        result: the output of the body that becomes this input.
        declared: the shape that the body gives `value`.
        opened: axes that cannot be told, unless `declared` has a name for them.
        settled: whether `declared` is all that is known.
    """

    value: ir.Value
    result: ir.Value
    declared: ir.Shape | None
    opened: set[int] = field(default_factory=set)
    settled: bool = False

    def corrected(self, every_axis: bool) -> ir.Shape | None:
        """Return a better guess at the shape of `value`; None where the last one came back from the body.

        Where no shape is inferred, or one of another rank, what the body declares stands.
        """
        start, end = self.value.shape, self.result.shape
        if self.settled or (self.value is self.result and start is not None):
            return None
        if start is None or end is None or len(start) != len(end):
            self.settled = True
            return self.declared
        pairs = enumerate(zip(start, end, strict=True))
        changed = {axis for axis, (a, b) in pairs if every_axis or str(a) != str(b)}
        if changed <= self.opened:
            return None
        self.opened |= changed
        same_rank = self.declared is not None and len(self.declared) == len(start)
        known = self.declared if self.declared is not None and same_rank else [None] * len(start)
        return ir.Shape([known[axis] if axis in self.opened else dim for axis, dim in enumerate(start)])


def infer(model: ir.Model, run: Callable[[], None]) -> None:
    """Infer shapes by `run`, again where a value that a loop carries turns out to change its shape.

    An axis that changes becomes a dimension that cannot be told; where a rank changes, neither what the loop carries
    nor anything computed from it has a shape.
    """
    nodes = [node for node in model.graph.all_nodes() if body_of(node) is not None]
    if not nodes:
        run()
        return
    declared: Shapes = {value: _copy(value.shape) for value in all_values(model)}
    freed = _freed(model, nodes)
    guess = declared | freed
    pairs = [pair for node in nodes for pair in carried_by(node) if guess[pair[0]] is None]
    states = [_State(value=value, result=result, declared=declared[value]) for value, result in pairs]
    for last in (*[False] * (_ROUNDS - 1), True, True):
        for value, shape in guess.items():
            value.shape = _copy(shape)
        run()
        better = {value: shape for value, shape in _corrections(states, last, freed, declared) if shape is not None}
        if not better:
            break
        guess |= better
    for node in nodes:
        if any(_ranks_differ(value, result) for value, result in carried_by(node)):
            _forget([*(value for value, _ in carried_by(node)), *node.outputs])


def _corrections(
    states: list[_State], last: bool, freed: Shapes, declared: Shapes
) -> Iterator[tuple[ir.Value, ir.Shape | None]]:
    found = {state.value: state.corrected(every_axis=False) for state in states}
    if last and any(shape is not None for shape in found.values()):
        found |= {state.value: state.corrected(every_axis=True) or found[state.value] for state in states}
    yield from found.items()
    for value in freed.keys() - found.keys():
        yield value, _with_lost_names(value.shape, declared[value])


def _copy(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else ir.Shape(list(shape))


def body_of(node: ir.Node) -> ir.Graph | None:
    """Return the graph that a Loop or a Scan runs on every trip; None for any other operator."""
    body = node.attributes.get("body") if node.op_type in ("Loop", "Scan") else None
    return body.as_graph() if body is not None and body.type == ir.AttributeType.GRAPH else None


def carried_by(node: ir.Node) -> list[tuple[ir.Value, ir.Value]]:
    """Return what a loop carries: each input of its body, and the output that becomes this input."""
    graph = body_of(node)
    if graph is None:
        return []
    if node.op_type == "Loop":
        return list(zip(graph.inputs[2:], graph.outputs[1:], strict=False))
    scanned = node.attributes.get("num_scan_inputs")
    states = len(graph.inputs) - (scanned.as_int() if scanned is not None else 0)
    return list(zip(graph.inputs[: max(states, 0)], graph.outputs, strict=False))


def _names(shape: Iterable[Dim] | None) -> set[str]:
    return {name for dim in shape or () if not isinstance(dim, int) for name in _NAME.findall(dim.value or "")}


def _freed(model: ir.Model, nodes: Iterable[ir.Node]) -> Shapes:
    """Return the shapes inside loops without the names that stand nowhere else; none for what is carried."""
    graph = model.graph
    outside = [*graph.inputs, *graph.outputs, *(value for node in graph for value in node.outputs)]
    public = set[str]().union(*(_names(value.shape) for value in outside))
    freed: Shapes = {}
    for body in filter(None, map(body_of, nodes)):
        for value in values_of(body):
            if value.shape is not None and _names(value.shape) - public:
                freed[value] = ir.Shape([None if _names([dim]) - public else dim for dim in value.shape])
    return freed | {value: None for node in nodes for value, _ in carried_by(node) if value in freed}


def _with_lost_names(shape: ir.Shape | None, declared: ir.Shape | None) -> ir.Shape | None:
    """Return `shape` with the declared names of dimensions that it cannot tell; None where there are none."""
    if shape is None or declared is None:
        return None
    lost = [_is_told(name) and not _is_told(dim) for dim, name in zip(shape, declared, strict=True)]
    named = [name if gone else dim for dim, name, gone in zip(shape, declared, lost, strict=True)]
    return ir.Shape(named) if any(lost) else None


def _is_told(dim: Dim) -> bool:
    return isinstance(dim, int) or (dim.value is not None and not dim.value.startswith(_INVENTED))


def _ranks_differ(value: ir.Value, result: ir.Value) -> bool:
    return value.shape is not None and result.shape is not None and len(value.shape) != len(result.shape)


def _forget(values: Iterable[ir.Value]) -> None:
    """Make the shapes of `values` unknown, and of everything that is computed from them."""
    pending, seen = list(values), set[ir.Value]()
    while pending:
        value = pending.pop()
        if value not in seen:
            seen.add(value)
            value.shape = None
            pending.extend(output for use in value.uses() for output in use.node.outputs)


__all__ = ["body_of", "carried_by", "infer"]
