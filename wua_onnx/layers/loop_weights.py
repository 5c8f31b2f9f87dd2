"""Weights that a loop carries from trip to trip without changing them, as some exporters write them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from wua_onnx.model.graph import Model
from wua_onnx.model.loops import body_of, carried_by


def with_loop_weights(model: Model) -> Model:
    """Return `model` with what its loops carry and never change taken for what it starts as."""
    carried: dict[ir.Value, ir.Value] = {}
    for node in model.all_nodes():  # a loop before those inside it
        carried |= {state: carried.get(start, start) for state, start in _unchanged(node)}
    return model.with_carried(carried) if carried else model


def starts_of(node: ir.Node) -> dict[ir.Value, ir.Value | None]:
    """Return the inputs of the body of a Loop or a Scan, and what the operator is given for each; None for nothing."""
    body = body_of(node)
    if body is None:
        return {}
    given = node.inputs[-len(body.inputs) :] if node.op_type == "Scan" and body.inputs else node.inputs
    return dict(zip(body.inputs, given, strict=False))


def _unchanged(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    starts = starts_of(node)
    for state, result in carried_by(node):
        start = starts.get(state)
        if start is not None and _same(result) is state:
            yield state, start


def _same(value: ir.Value) -> ir.Value:
    """Return what `value` is a copy of."""
    node = value.producer()
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
