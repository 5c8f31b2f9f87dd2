"""Control flow: If, Loop, Scan and SequenceMap, counted through their graphs (convention 9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import onnx_ir as ir

from wua_onnx.cost.report import NodeCost, summed
from wua_onnx.cost.value import KINDS, Cost, Verdict
from wua_onnx.errors import LimitError, ShapeError
from wua_onnx.model.dims import Dim, Expr, maximum, symbol, total
from wua_onnx.model.graph import NodeView
from wua_onnx.model.limits import MAX_GRAPH_DEPTH

if TYPE_CHECKING:
    from wua_onnx.cost.seen import Seen

CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
Body: TypeAlias = Callable[[ir.Graph], list[NodeCost]]

_GRAPHS = {"If": ("then_branch", "else_branch")}  # the others have a body
_UNBOUNDED = 2**31  # exporters write the largest integer where a loop has no limit of its own
_SAME_VALUE = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


class Trips:
    """Gives loops whose trips are unknown a symbol, and remembers what to call it: `trips(<node>)`."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}

    def new(self, node: NodeView) -> Dim:
        """Return the symbol for the trips of `node`."""
        generated, name = f"t{len(self.shown)}", f"trips({node.name})"
        taken = sum(other == name or other.startswith(f"{name}#") for other in self.shown.values())
        self.shown[generated] = f"{name}#{taken + 1}" if taken else name
        return symbol(generated)


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

    @classmethod
    def of(cls, nodes: Sequence[NodeCost]) -> _Part:
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
        )

    def times(self, trips: Dim) -> _Part:
        cost, backward = self.cost * trips, self.backward * trips
        return replace(self, cost=cost, backward=backward, read=self.read * trips, written=self.written * trips)


def count(node: NodeView, empty: NodeCost, body: Body, trips: Trips, depth: int, seen: Seen | None = None) -> NodeCost:
    """Return the cost of `node` with everything its graphs do.

    Args:
        node: an operator of `CONTROL_FLOW`.
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
    )


def through(empty: NodeCost, nodes: Sequence[NodeCost]) -> NodeCost:
    """Return the cost of a node that `nodes` define, with the bytes of `empty`: what is inside is not written out."""
    part = _Part.of(nodes)
    reason = "through the function that its specification defines it by"
    return replace(empty, cost=part.cost, verdict=part.verdict, reason=reason, upper=part.upper, inside=part.inside)


def _graph(node: NodeView, name: str) -> ir.Graph:
    graph = node.graphs().get(name)
    if graph is None:
        raise ShapeError(f"{node.where}: expected a graph as its attribute {name!r}, got none")
    return graph


def _observed(node: NodeView, body: Body, seen: Seen) -> tuple[_Part, str]:
    """Return everything that the graphs of `node` did in the observed run."""
    graphs = {name: _graph(node, name) for name in _GRAPHS.get(node.op_type, ("body",))}
    times = {name: seen.times(graph) for name, graph in graphs.items()}
    part = _Part.of([inner for name, graph in graphs.items() if times[name] for inner in body(graph)])
    runs = seen.times(node.node.graph)
    during = f" in {runs:,} runs" if runs != 1 else ""
    if node.op_type != "If":
        trips = "1 trip" if times["body"] == 1 else f"{times['body']:,} trips"
        return part, f"{trips} of the body{during}: observed"
    taken = [f"the {name}" if runs == 1 else f"{n:,} times the {name}" for name, n in times.items() if n]
    return part, f"{', '.join(taken) or 'no branch'}: observed"


def _if(node: NodeView, body: Body) -> tuple[_Part, str]:
    branches = {name: _graph(node, name) for name in _GRAPHS["If"]}
    condition = node.const(0)
    if condition is not None and condition.size == 1:
        taken = "then_branch" if bool(condition.item()) else "else_branch"
        return _Part.of(body(branches[taken])), f"the {taken}: its condition is constant"
    then, other = (_Part.of(body(graph)) for graph in branches.values())
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
    return _Part(cost=cost, backward=backward, verdict=verdict, upper=upper, inside=inside, **moved)


def _larger(a: Cost, b: Cost) -> Cost:
    pairs = {kind: (getattr(a, kind), getattr(b, kind)) for kind in KINDS}
    return Cost(**{kind: x if x == y else maximum(x, y) for kind, (x, y) in pairs.items()})


def _repeated(node: NodeView, body: Body, trips: Trips) -> tuple[_Part, str]:
    part, varies = _Part.of(body(_graph(node, "body"))), node.op_type == "Loop" and _shapes_may_change(node)
    if varies and part.verdict is Verdict.COUNTED and part.cost != Cost():
        part = replace(part, verdict=Verdict.ESTIMATE)
    note = "; every trip counted on the same shapes, which may change" if varies else ""
    times, may_stop = {"Loop": _loop_trips, "Scan": _scan_trips}.get(node.op_type, _no_trips)(node)
    if times is None:
        return part.times(trips.new(node)), f"trips × the body; nothing in the graph tells how many{note}"
    counted = part.times(times)
    if may_stop:
        return replace(counted, upper=True), f"at most {node.model.text(times)} trips of the body{note}"
    return counted, f"{node.model.text(times)} trips of the body{note}"


def _shapes_may_change(node: NodeView) -> bool:
    """Return whether what a Loop carries may have another shape on every trip: one that the first does not tell."""
    graph, shape = _graph(node, "body"), node.model.shape
    for first, inside, result in zip(node.node.inputs[2:], graph.inputs[2:], graph.outputs[1:], strict=False):
        shapes = {shape(value) if value is not None else None for value in (first, inside, result)}
        if None in shapes or len(shapes) > 1:
            return True
    return False


def _no_trips(node: NodeView) -> tuple[Dim | None, bool]:
    return None, False


def _loop_trips(node: NodeView) -> tuple[Dim | None, bool]:
    """Return (most trips, whether the body's own condition may end the loop sooner)."""
    most = _known_value(node, node.input(0))
    if most is None or (isinstance(most, int) and most >= _UNBOUNDED):
        return None, False
    return (max(most, 0) if isinstance(most, int) else most), _may_stop(node)


def _may_stop(node: NodeView) -> bool:
    graph = _graph(node, "body")
    if not graph.outputs or len(graph.inputs) < 2:
        raise ShapeError(f"{node.where}: body: expected a condition among its inputs and outputs, got none")
    start = node.const(1)
    goes_on = not node.has(1) or (start is not None and bool(start.all()))
    ends: ir.Value | None = graph.outputs[0]
    while ends is not None and (producer := ends.producer()) is not None and producer.op_type in _SAME_VALUE:
        ends = producer.inputs[0]
    if ends is graph.inputs[1]:
        return not goes_on
    constant = ir.convenience.get_const_tensor(ends) if ends is not None else None
    always = constant is not None and constant.size == 1 and bool(constant.numpy().all())
    return not (always and goes_on)


def _scan_trips(node: NodeView) -> tuple[Dim | None, bool]:
    """Return the length of the scanned axis; below opset 9, times the batch."""
    scanned = int(node.attr("num_scan_inputs", 0))
    first = len(node.node.inputs) - scanned
    if scanned < 1 or first < 0:
        raise ShapeError(f"{node.where}: num_scan_inputs: expected 1 to {len(node.node.inputs)}, got {scanned}")
    value = node.input(first)
    shape = node.model.shape(value) if value is not None else None
    if shape is None:
        return None, False
    if node.opset < 9:
        return shape[0] * shape[1], False
    axes = node.attr("scan_input_axes")
    return shape[axes[0] if axes else 0], False


def _known_value(node: NodeView, value: ir.Value | None) -> Dim | None:
    """Return the integer that `value` holds, followed back to a constant or to a dimension of a shape."""
    for _ in range(64):
        if value is None:
            return None
        constant = ir.convenience.get_const_tensor(value)
        if isinstance(constant, ir.ExternalTensor):
            return None
        if constant is not None:
            return int(constant.numpy().item()) if constant.size == 1 and constant.dtype.is_integer() else None
        producer = value.producer()
        if producer is None:
            return None
        if producer.op_type in ("Gather", "Slice"):
            return _picked_dim(NodeView(producer, node.model))
        if producer.op_type not in _SAME_VALUE:
            return None
        value = producer.inputs[0]
    return None


def _picked_dim(node: NodeView) -> Dim | None:
    source = node.input(0)
    shape_node = source.producer() if source is not None else None
    position = node.const(1)
    if shape_node is None or shape_node.op_type != "Shape" or position is None or position.size != 1:
        return None
    if node.op_type == "Slice" and (node.model.shape(node.node.outputs[0]) != (1,) or node.has(4)):
        return None
    of = NodeView(shape_node, node.model)
    value = of.input(0)
    shape = node.model.shape(value) if value is not None else None
    if shape is None:
        return None
    taken = shape[of.attr("start", 0) : of.attr("end", len(shape))]
    index = int(position.item())
    return taken[index] if -len(taken) <= index < len(taken) else None
