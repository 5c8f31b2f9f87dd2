"""The walk: every node of the graph, its rule, its verdict, its bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost import (
    bodies,
    cache,
    contradictions,
    control,
    gradients,
    lifetimes,
    memory,
    peaks,
    quantized,
    registry,
    searches,
)
from wua_onnx.cost.backward import backward
from wua_onnx.cost.equal_sizes import EqualSizes, taken_for_equal
from wua_onnx.cost.nodes import CONSTANT, SHAPE_ARITHMETIC, UNUSED, Observed
from wua_onnx.cost.report import CostReport, NodeCost
from wua_onnx.cost.seen import Seen, all_executions
from wua_onnx.cost.trips import Trips
from wua_onnx.cost.value import Cost, Estimate, Verdict
from wua_onnx.cost.weights import weights as weights_of
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, symbol
from wua_onnx.model.graph import Model
from wua_onnx.model.limits import MAX_GRAPH_DEPTH
from wua_onnx.model.node import NodeView, ShapeUnknown

if TYPE_CHECKING:
    from wua_onnx.observe.observations import Observations

# What a rule runs into where ranks, attributes or their types are not those of the specification.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# What a small integer value made from shapes goes through on its way to a Reshape, Expand or Slice.
# fmt: off
_SHAPE_OPS = frozenset({
    "Shape", "Size", "Gather", "Slice", "Concat", "Add", "Sub", "Mul", "Div", "Mod", "Cast", "Squeeze", "Unsqueeze",
    "Reshape", "Identity", "Min", "Max", "Neg", "Abs", "Floor", "Ceil", "ReduceProd", "ReduceSum", "ReduceMax",
    "ReduceMin", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Where", "Not", "And", "Or", "Split",
    "ConstantOfShape", "Sqrt",
})
# fmt: on


def count(model: Model, *, batch_axis: int = 0, observations: Observations | None = None) -> CostReport:
    """Count every node of `model` (conventions 1 to 14 of `wua_onnx.cost`).

    Args:
        model: the model; its weights are not read.
        batch_axis: the axis of the inputs that holds samples, for `samples_per_run`.
        observations: a run of it, whose trips, branches and shapes are counted instead of what the graph tells.

    Raises:
        ShapeError: shapes contradict each other at a node, or a size is below 0 or too large.
        ModelError: a node lacks an attribute that it must have.
        DataError: the observations are of another model.
    """
    seen = Seen(model, observations) if observations is not None else None
    model = seen.model if seen is not None else model
    contradictions.check_sizes(model)
    walk = _Walk(model, seen)
    by_node = tuple(walk.node(node) for node in model.nodes)
    live = [node for node, cost in zip(model.nodes, by_node, strict=True) if cost.reason not in (CONSTANT, UNUSED)]
    activations, weights = lifetimes.activations(model, live), weights_of(model)
    report = CostReport(
        by_node=tuple(
            replace(cost, params=weights.by_node[node.node]) if node.node in weights.by_node else cost
            for node, cost in zip(model.nodes, by_node, strict=True)
        ),
        params=weights.elements,
        weight_bytes_by_dtype=weights.by_dtype,
        shared_parameters=weights.shared,
        activations=activations.bytes,
        peak=peaks.peak(activations.lifetimes),
        lifetimes=activations.lifetimes,
        unsized=activations.unsized,
        kv_cache=cache.bytes_per_token(model),
        batch=_batch(model, batch_axis),
        trainable=walk.gradients.elements,
        dims=dict(model.bound),
        equal_sizes=tuple(walk.equal_sizes.values()),
        observed=Observed(samples=observations.samples) if observations is not None else None,
    )
    shown = {**model.shown, **walk.trips.shown}
    return report.renamed({generated: symbol(name) for generated, name in shown.items()})


def _batch(model: Model, batch_axis: int) -> Dim | None:
    for value in model.inputs:
        shape = model.shape(value)
        if shape is not None and len(shape) > batch_axis:
            return shape[batch_axis]
    return None


def _shape_values(model: Model) -> frozenset[ir.Value]:
    """Return the small integer values that are made from shapes alone, those of inner graphs included."""
    known: set[ir.Value] = set()
    for node in model.all_nodes():
        if node.op_type not in _SHAPE_OPS or node.domain not in ("", "ai.onnx"):
            continue
        sources = [value for value in node.inputs if value is not None and value not in model.constants]
        from_shapes = node.op_type in memory.SHAPES or (sources and all(value in known for value in sources))
        if from_shapes and all(_is_small_index(value) for value in node.outputs):
            known.update(node.outputs)
    return frozenset(known)


def _is_small_index(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) <= 1 and value.dtype is not None


class _Walk:
    """Counts the nodes of a model, and of the graphs inside them."""

    def __init__(self, model: Model, seen: Seen | None = None) -> None:
        self.model, self.seen, self.trips = model, seen, Trips()
        self.gradients = gradients.find(model)
        self.equal_sizes: dict[frozenset[Dim], EqualSizes] = {}
        self._shapes = _shape_values(model)
        self._depth = 0

    def node(self, node: NodeView) -> NodeCost:
        """Return what `node` costs."""
        free = self._needless(node)
        calls = self.seen is not None and bool(node.graphs())
        if free is None and (calls or (node.op_type in control.CONTROL_FLOW and not node.domain)):
            empty = _node_cost(node, Cost(), Verdict.COUNTED, None, (0, 0))
            return control.count(node, empty, self._graph, self.trips, self._depth, self.seen)
        if free is None and self.seen is None and searches.is_search(node):
            empty = _node_cost(node, Cost(), Verdict.ESTIMATE, None, (0, 0))
            return searches.count(node, empty, self._graph, self.trips)
        if self.seen is None:
            return self._once(node, free)
        return all_executions([(self._once(view, free), times) for view, times in self.seen.views(node)])

    def _once(self, node: NodeView, free: str | None) -> NodeCost:
        """Return what one execution of `node` costs; `free` says why it does no work on data, where it does none."""
        if free is not None:
            moved = memory.moved(node) if free is SHAPE_ARITHMETIC else (0, 0)
            return _node_cost(node, Cost(), Verdict.FREE, free, moved)
        contradictions.check_node(node)
        if not node.domain and node.op_type in contradictions.BROADCAST:
            for pair in taken_for_equal(node):
                self.equal_sizes.setdefault(frozenset((pair.one, pair.other)), pair)
        rule = registry.find(node.domain, node.op_type, node.opset)
        counted = _by_rule(node, rule) if rule is not None else self._by_body(node)
        if counted.verdict in (Verdict.FREE, Verdict.UNKNOWN):
            return counted
        if quantized.is_fused(node):
            counted = replace(counted, cost=replace(counted.cost, quantized_macs=counted.cost.macs))
        return replace(counted, backward=backward(node, counted.cost, self.gradients.values))

    def _by_body(self, node: NodeView) -> NodeCost:
        """Count `node` through the function that its specification defines it by, where there is one."""
        unknown = _node_cost(node, Cost(), Verdict.UNKNOWN, "no rule for this operator", memory.moved(node))
        if self._depth >= MAX_GRAPH_DEPTH:
            return unknown
        try:
            body = bodies.body_of(node)
        except ShapeUnknown as problem:
            return replace(unknown, reason=str(problem))
        if body is None:
            return unknown
        inner = _Walk(body)
        inner.trips, inner.equal_sizes, inner._depth = self.trips, self.equal_sizes, self._depth + 1
        return control.through(unknown, [inner.node(part) for part in body.nodes])

    def _needless(self, node: NodeView) -> str | None:
        """Return why `node` does no work on data, or None where it does."""
        outputs = node.node.outputs
        if outputs and all(value in self.model.constants for value in outputs):
            return CONSTANT
        if not self._depth and node.node not in self.model.reachable:
            return UNUSED
        return SHAPE_ARITHMETIC if outputs and all(value in self._shapes for value in outputs) else None

    def _graph(self, graph: ir.Graph) -> list[NodeCost]:
        self._depth += 1
        try:
            return [self.node(NodeView(node, self.model)) for node in graph]
        finally:
            self._depth -= 1


def _by_rule(node: NodeView, rule: registry.Rule) -> NodeCost:
    if rule.count is None:
        return _node_cost(node, Cost(), Verdict.FREE, rule.reason, memory.moved(node))
    try:
        result = rule.count(node)
    except _MALFORMED as problem:
        raise ShapeError(
            f"{node.where}: expected inputs and attributes as its specification says, "
            f"got {type(problem).__name__}: {clean(str(problem))}"
        ) from problem
    except ShapeUnknown as problem:
        return _node_cost(node, Cost(), Verdict.UNKNOWN, str(problem), memory.moved(node))
    cost, assumption = (result.cost, result.assumption) if isinstance(result, Estimate) else (result, None)
    if rule.by_dtype and _in_integers(node):
        cost = cost.as_integer()
    verdict = Verdict.ESTIMATE if assumption else rule.verdict
    return _node_cost(node, cost, verdict, assumption or rule.reason, memory.moved(node))


def _in_integers(node: NodeView) -> bool:
    dtype = node.dtype(0) if node.node.inputs else node.out_dtype()
    return dtype is not None and (dtype.is_integer() or dtype == ir.DataType.BOOL)


def _node_cost(node: NodeView, cost: Cost, verdict: Verdict, reason: str | None, moved: tuple[Dim, Dim]) -> NodeCost:
    return NodeCost(
        name=node.name,
        op=f"{clean(node.domain)}::{clean(node.op_type)}" if node.domain else clean(node.op_type),
        module=node.module,
        module_name=node.module_name,
        cost=cost,
        verdict=verdict,
        reason=reason,
        bytes_read=moved[0],
        bytes_written=moved[1],
        outputs=tuple(node.model.shape(value) for value in node.node.outputs),
    )
