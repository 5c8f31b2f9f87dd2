"""Control flow: If, Loop, Scan and SequenceMap, counted through their graphs (convention 9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost.nodes import Path
from wua_onnx.cost.report import NodeCost, summed
from wua_onnx.cost.trips import Trips, graph_of, shapes_may_change, trips_of
from wua_onnx.cost.value import KINDS, Cost, Verdict
from wua_onnx.errors import LimitError
from wua_onnx.model.dims import Dim, Expr, maximum, total
from wua_onnx.model.limits import MAX_GRAPH_DEPTH
from wua_onnx.model.node import NodeView

if TYPE_CHECKING:
    from wua_onnx.cost.seen import Seen

CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
Body: TypeAlias = Callable[[ir.Graph], list[NodeCost]]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one graph costs."""

    cost: Cost
    backward: Cost
    read: Dim
    written: Dim
    verdict: Verdict
    upper: bool
    inside: tuple[tuple[str, int], ...]
    inner: tuple[tuple[Path, Cost], ...] = ()

    @classmethod
    def of(cls, nodes: Sequence[NodeCost], graph: str = "") -> _Part:
        unknown = Counter(node.op for node in nodes if node.verdict is Verdict.UNKNOWN and not node.inside)
        for node in nodes:
            unknown.update(dict(node.inside))
        estimated = any(node.verdict is Verdict.ESTIMATE for node in nodes)
        return cls(
            cost=summed(node.cost for node in nodes),
            backward=summed(node.backward for node in nodes),
            read=total(node.bytes_read for node in nodes),
            written=total(node.bytes_written for node in nodes),
            verdict=Verdict.UNKNOWN if unknown else Verdict.ESTIMATE if estimated else Verdict.COUNTED,
            upper=any(node.upper for node in nodes),
            inside=tuple(sorted(unknown.items())),
            inner=tuple(_inner(nodes, graph)) if graph else (),
        )

    def times(self, trips: Dim) -> _Part:
        cost, backward = self.cost * trips, self.backward * trips
        read, written = self.read * trips, self.written * trips
        inner = tuple((path, own * trips) for path, own in self.inner)
        return replace(self, cost=cost, backward=backward, read=read, written=written, inner=inner)


def _inner(nodes: Sequence[NodeCost], graph: str) -> Iterator[tuple[Path, Cost]]:
    """Yield where each of `nodes` of the graph in attribute `graph`, and each inside of them, lies, and its cost."""
    for number, node in enumerate(nodes):
        yield ((graph, number),), node.cost
        yield from ((((graph, number), *path), cost) for path, cost in node.inner)


def count(node: NodeView, empty: NodeCost, body: Body, trips: Trips, depth: int, seen: Seen | None = None) -> NodeCost:
    """Return the cost of `node` with everything its graphs do.

    Args:
        node: an operator of `CONTROL_FLOW`; of an observed run, any that holds graphs.
        empty: the cost of the node with nothing counted, to fill in.
        body: counts the nodes of a graph.
        trips: names unknown trips.
        depth: how many graphs `node` lies inside of.
        seen: an observed run; `body` then counts every execution of its nodes.

    Raises:
        LimitError: graphs lie inside each other too deep.
        ShapeError: a graph that the operator needs is missing.
    """
    if depth >= MAX_GRAPH_DEPTH:
        raise LimitError(f"{node.where}: expected graphs at most {MAX_GRAPH_DEPTH} deep, got more")
    if seen is not None:
        part, reason = _observed(node, body, seen)
    else:
        part, reason = _if(node, body) if node.op_type == "If" else _repeated(node, body, trips)
    return replace(
        empty,
        cost=part.cost,
        backward=part.backward,
        bytes_read=part.read,
        bytes_written=part.written,
        verdict=part.verdict,
        reason=reason,
        upper=part.upper,
        inside=part.inside,
        inner=part.inner,
    )


def through(empty: NodeCost, nodes: Sequence[NodeCost]) -> NodeCost:
    """Return the cost of a node that `nodes` define, with the bytes of `empty`: what is inside is not written out."""
    part = _Part.of(nodes)
    reason = "through the function that its specification defines it by"
    return replace(empty, cost=part.cost, verdict=part.verdict, reason=reason, upper=part.upper, inside=part.inside)


def _observed(node: NodeView, body: Body, seen: Seen) -> tuple[_Part, str]:
    """Return everything that the graphs of `node` did in the observed run."""
    graphs = node.graphs()
    times = {name: seen.times(graph) for name, graph in graphs.items()}
    ran = {name: body(graph) for name, graph in graphs.items() if times[name]}
    part = _Part.of([inner for nodes in ran.values() for inner in nodes])
    part = replace(part, inner=tuple(found for name, nodes in ran.items() for found in _inner(nodes, name)))
    runs = seen.times(node.node.graph)
    during = f" in {runs:,} runs" if runs != 1 else ""
    if node.op_type == "If":
        taken = [f"the {name}" if runs == 1 else f"{n:,} times the {name}" for name, n in times.items() if n]
        return part, f"{', '.join(taken) or 'no branch'}: observed"
    if node.op_type in CONTROL_FLOW:
        trips = "1 trip" if times["body"] == 1 else f"{times['body']:,} trips"
        return part, f"{trips} of the body{during}: observed"
    # An operator that calls graphs and works with what they return.
    if part.verdict is Verdict.COUNTED:
        part = replace(part, verdict=Verdict.ESTIMATE)
    calls = ", ".join(f"{n:,} times the {clean(name)}" for name, n in times.items())
    return part, f"{calls}{during}: observed; its work between them is not counted"


def _if(node: NodeView, body: Body) -> tuple[_Part, str]:
    branches = {name: graph_of(node, name) for name in ("then_branch", "else_branch")}
    condition = node.const(0)
    if condition is not None and condition.size == 1:
        taken = "then_branch" if bool(condition.item()) else "else_branch"
        return _Part.of(body(branches[taken]), taken), f"the {taken}: its condition is constant"
    then, other = (_Part.of(body(graph), name) for name, graph in branches.items())
    return _dearer(then, other), "the dearer of two branches"


def _work(part: _Part) -> Dim:
    return part.cost.flops + part.cost.int_ops


def _dearer(a: _Part, b: _Part) -> _Part:
    """Return the branch that costs more; where that depends on symbols, the larger of each figure."""
    inside = tuple(sorted((Counter(dict(a.inside)) | Counter(dict(b.inside))).items()))
    verdict = next(v for v in (Verdict.UNKNOWN, Verdict.ESTIMATE, Verdict.COUNTED) if v in (a.verdict, b.verdict))
    moved = {"read": maximum(a.read, b.read), "written": maximum(a.written, b.written)}
    upper = a.cost != b.cost or a.upper or b.upper
    difference = _work(a) - _work(b)
    if isinstance(difference, Expr):
        cost, backward = _larger(a.cost, b.cost), _larger(a.backward, b.backward)
    else:
        cost, backward = (a.cost, a.backward) if difference >= 0 else (b.cost, b.backward)
    return _Part(
        cost=cost, backward=backward, verdict=verdict, upper=upper, inside=inside, inner=a.inner + b.inner, **moved
    )


def _larger(a: Cost, b: Cost) -> Cost:
    pairs = {kind: (getattr(a, kind), getattr(b, kind)) for kind in KINDS}
    return Cost(**{kind: x if x == y else maximum(x, y) for kind, (x, y) in pairs.items()})


def _repeated(node: NodeView, body: Body, trips: Trips) -> tuple[_Part, str]:
    part, varies = _Part.of(body(graph_of(node, "body")), "body"), node.op_type == "Loop" and shapes_may_change(node)
    if varies and part.verdict is Verdict.COUNTED and part.cost != Cost():
        part = replace(part, verdict=Verdict.ESTIMATE)
    note = "; every trip counted on the same shapes, which may change" if varies else ""
    times, may_stop = trips_of(node)
    if times is None:
        return part.times(trips.new(node)), f"trips × the body; nothing in the graph tells how many{note}"
    counted = part.times(times)
    if may_stop:
        return replace(counted, upper=True), f"at most {node.model.text(times)} trips of the body{note}"
    return counted, f"{node.model.text(times)} trips of the body{note}"
