"""Softmax and LogSoftmax over the neurons of a layer, written out: Exp, its sum, the quotient.

They are no functions of one neuron, so that a grid of values does not tell them (`patterns`); their operators do.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import OPERATORS, Function
from wua_onnx.layers.axes import readers
from wua_onnx.layers.walk import Walk
from wua_onnx.model.node import NodeView


def written_softmax(walk: Walk) -> tuple[ir.Value, Function] | None:
    """Return (where it ends, which it is) for the softmax of the neurons; None where none follows."""
    if len(walk.axes) != 1 or walk.value.is_graph_output():
        return None
    whole = _reduced(walk, walk.value, "ReduceLogSumExp")
    if whole is not None:
        end = _combined(walk, "Sub", walk.value, whole, beside=("ReduceLogSumExp",))
        return None if end is None else (end, OPERATORS["LogSoftmax"])
    shifted = without_largest(walk) or walk.value
    readers_of = {node.op_type: node for node in readers_within(walk, shifted)}
    exponential = readers_of.pop("Exp", None)
    if exponential is None or shifted.is_graph_output():
        return None
    powers = exponential.node.outputs[0]
    total = _reduced(walk, powers, "ReduceSum")
    if total is None or powers.is_graph_output():
        return None
    if not readers_of:
        end = _combined(walk, "Div", powers, total, beside=("ReduceSum",))
        return None if end is None else (end, OPERATORS["Softmax"])
    logarithm = only_result(walk, total, "Log")
    if logarithm is None or {node.op_type for node in readers_within(walk, powers)} != {"ReduceSum"}:
        return None
    end = _combined(walk, "Sub", shifted, logarithm, beside=("Exp",))
    return None if end is None else (end, OPERATORS["LogSoftmax"])


def without_largest(walk: Walk) -> ir.Value | None:
    """Return the neurons less the largest of them, which keeps Exp from overflowing; None where nothing is taken."""
    largest, beside = _reduced(walk, walk.value, "ReduceMax"), "ReduceMax"
    casts = [node for node in readers_within(walk, walk.value) if node.op_type == "Cast"]
    if largest is None and len(casts) == 1:  # half precision, of which the largest is sought in single precision
        wide = _reduced(walk, casts[0].node.outputs[0], "ReduceMax")
        largest, beside = None if wide is None else only_result(walk, wide, "Cast"), "Cast"
    return None if largest is None else _combined(walk, "Sub", walk.value, largest, beside=(beside,))


def readers_within(walk: Walk, value: ir.Value) -> list[NodeView]:
    """Return what reads `value`; nothing where some of that is outside of the walk's graph, or of ai.onnx."""
    nodes = [NodeView(use.node, walk.model) for use in readers(value)]
    return nodes if all(node.node.graph is walk.graph and not node.domain for node in nodes) else []


def only_result(walk: Walk, value: ir.Value, op: str) -> ir.Value | None:
    """Return the result of the operator `op` that alone reads `value`; None where that is not so."""
    nodes = readers_within(walk, value)
    fit = len(nodes) == 1 and nodes[0].op_type == op and not value.is_graph_output()
    return nodes[0].node.outputs[0] if fit else None


def _combined(walk: Walk, op: str, first: ir.Value, second: ir.Value, beside: tuple[str, ...]) -> ir.Value | None:
    """Return `op(first, second)`, where operators `beside` are all that reads `first`, too, and nothing `second`."""
    result = only_result(walk, second, op)
    producer = None if result is None else result.producer()
    kinds = sorted(node.op_type for node in readers_within(walk, first))
    fit = producer is not None and tuple(producer.inputs) == (first, second) and kinds == sorted((op, *beside))
    return result if fit else None


def _reduced(walk: Walk, value: ir.Value, op: str) -> ir.Value | None:
    """Return `value` reduced over the neurons, its axis kept; None where that is not done."""
    found = [node for node in readers_within(walk, value) if node.op_type == op]
    rank = len(value.shape or ())
    if len(found) != 1 or not rank or not found[0].attr("keepdims", 1):
        return None
    given = found[0].attr("axes") or found[0].const(1)
    axes = tuple(int(axis) % rank for axis in np.ravel(given)) if given is not None else ()
    return found[0].node.outputs[0] if axes == walk.axes else None
