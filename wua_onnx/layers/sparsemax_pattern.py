"""Sparsemax and 1.5-entmax over the neurons of a layer, which are written out with a sort: TopK of all of them.

Both take a threshold off the neurons that is computed from their order, and cut at 0; entmax halves them before and
squares what is left. https://arxiv.org/abs/1602.02068, https://arxiv.org/abs/1905.05702
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import Function
from wua_onnx.layers.axes import readers
from wua_onnx.layers.function_values import TF2ONNX
from wua_onnx.layers.walk import Walk
from wua_onnx.model.node import NodeView

SPARSEMAX = Function("Sparsemax", non_negative=True, smooth=False)
ENTMAX = Function("1.5-entmax", non_negative=True, smooth=False)
WRITTEN_BY: dict[str, tuple[str, ...]] = {SPARSEMAX.name: (TF2ONNX,)}  # as `Form.written_by`
_MOST = 48  # operators between the order and the threshold


def written_sparsemax(walk: Walk) -> tuple[ir.Value, Function] | None:
    """Return (where it ends, which it is) for the sparsemax or entmax of the neurons; None where neither follows."""
    if len(walk.axes) != 1 or walk.value.is_graph_output():
        return None
    start = _scaled(walk, _without_largest(walk) or walk.value)
    found = {node.op_type: node for node in _readers_within(walk, start)}
    if found.keys() != {"Sub", "TopK"} or len(readers(start)) != 2 or start.is_graph_output():
        return None
    order, shifted = found["TopK"], found["Sub"]
    rank, threshold = len(start.shape or ()), shifted.input(1)
    if not rank or order.attr("axis", -1) % rank != walk.axes[0] or threshold is None or shifted.input(0) is not start:
        return None
    end = _above_zero(walk, shifted.node.outputs[0]) if _comes_from(threshold, order) else None
    if end is None:
        return None
    square = _squared(walk, end)
    return (end, SPARSEMAX) if square is None else (square, ENTMAX)


def _scaled(walk: Walk, value: ir.Value) -> ir.Value:
    """Return `value` times a constant where that is all that is made of it, itself otherwise."""
    for op in ("Div", "Mul"):
        result = _only_result(walk, value, op)
        node = None if result is None else result.producer()
        if (
            node is not None
            and result is not None
            and node.inputs[0] is value
            and node.inputs[1] in walk.model.constants
        ):
            return result
    return value


def _comes_from(threshold: ir.Value, order: NodeView) -> bool:
    """Return whether `threshold` is computed from the order of the neurons and its sums, and from nothing else."""
    pending, seen, sums = [threshold], {threshold}, False
    while pending and len(seen) < _MOST:
        value = pending.pop()
        node = value.producer()
        if value in order.model.constants or node is order.node:
            continue
        if node is None or node.graph is not order.node.graph:
            return False
        sums = sums or node.op_type == "CumSum"
        if node.op_type not in ("Shape", "Size"):
            new = [each for each in node.inputs if each is not None and each not in seen]
            seen.update(new)
            pending.extend(new)
    return sums and not pending


def _above_zero(walk: Walk, value: ir.Value) -> ir.Value | None:
    """Return `value` cut at 0 where that alone is made of it."""
    relu = _only_result(walk, value, "Relu")
    if relu is not None:
        return relu
    for op in ("Clip", "Max"):
        result = _only_result(walk, value, op)
        producer = None if result is None else result.producer()
        if producer is None:
            continue
        node = NodeView(producer, walk.model)
        others = [i for i in range(len(node.node.inputs)) if node.has(i) and node.input(i) is not value]
        bounds = [node.const(i) for i in others]
        if others in ([0], [1]) and bounds[0] is not None and np.all(bounds[0] == 0):
            return result
    return None


def _squared(walk: Walk, value: ir.Value) -> ir.Value | None:
    """Return the square of `value` where that alone is made of it."""
    power = _only_result(walk, value, "Pow")
    producer = None if power is None else power.producer()
    if producer is not None:
        exponent = NodeView(producer, walk.model).const(1)
        return power if exponent is not None and np.all(exponent == 2) else None
    users = _readers_within(walk, value)
    twice = len(users) == 2 and users[0].node is users[1].node and users[0].op_type == "Mul"
    return users[0].node.outputs[0] if twice and not value.is_graph_output() else None


def _without_largest(walk: Walk) -> ir.Value | None:
    """Return the neurons less the largest of them, which keeps Exp from overflowing; None where nothing is taken."""
    largest, beside = _reduced(walk, walk.value, "ReduceMax"), "ReduceMax"
    casts = [node for node in _readers_within(walk, walk.value) if node.op_type == "Cast"]
    if largest is None and len(casts) == 1:  # half precision, of which the largest is sought in single precision
        wide = _reduced(walk, casts[0].node.outputs[0], "ReduceMax")
        largest, beside = None if wide is None else _only_result(walk, wide, "Cast"), "Cast"
    return None if largest is None else _combined(walk, "Sub", walk.value, largest, beside=(beside,))


def _readers_within(walk: Walk, value: ir.Value) -> list[NodeView]:
    """Return what reads `value`; nothing where some of that is outside of the walk's graph, or of ai.onnx."""
    nodes = [NodeView(use.node, walk.model) for use in readers(value)]
    return nodes if all(node.node.graph is walk.graph and not node.domain for node in nodes) else []


def _only_result(walk: Walk, value: ir.Value, op: str) -> ir.Value | None:
    """Return the result of the operator `op` that alone reads `value`; None where that is not so."""
    nodes = _readers_within(walk, value)
    fit = len(nodes) == 1 and nodes[0].op_type == op and not value.is_graph_output()
    return nodes[0].node.outputs[0] if fit else None


def _combined(walk: Walk, op: str, first: ir.Value, second: ir.Value, beside: tuple[str, ...]) -> ir.Value | None:
    """Return `op(first, second)`, where operators `beside` are all that reads `first`, too, and nothing `second`."""
    result = _only_result(walk, second, op)
    producer = None if result is None else result.producer()
    kinds = sorted(node.op_type for node in _readers_within(walk, first))
    fit = producer is not None and tuple(producer.inputs) == (first, second) and kinds == sorted((op, *beside))
    return result if fit else None


def _reduced(walk: Walk, value: ir.Value, op: str) -> ir.Value | None:
    """Return `value` reduced over the neurons, its axis kept; None where that is not done."""
    found = [node for node in _readers_within(walk, value) if node.op_type == op]
    rank = len(value.shape or ())
    if len(found) != 1 or not rank or not found[0].attr("keepdims", 1):
        return None
    given = found[0].attr("axes") or found[0].const(1)
    axes = tuple(int(axis) % rank for axis in np.ravel(given)) if given is not None else ()
    return found[0].node.outputs[0] if axes == walk.axes else None
