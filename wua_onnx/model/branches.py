"""Shapes of an If and of what decides it, where onnx_shape_inference guesses or does not look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir

_MOST_VALUES = 64  # elements of a Range that are worked out: axes and shapes, no data


def register() -> None:
    """Put the rules of this file around those of onnx_shape_inference."""
    from onnx_shape_inference import registry

    for op, since, around in (
        ("If", 1, _of_the_branch_taken),
        ("Equal", 7, _with_flag),
        ("Range", 11, _with_values),
        ("Range", 27, _with_values),
    ):
        infer = registry.get("", op, version=since)
        if infer is not None:
            registry.register("", op, since_version=since)(around(infer))


def _of_the_branch_taken(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    """A known condition gives the shapes of its branch; where one branch's shape is unknown, so is the output's."""

    def infer(ctx: Any, node: ir.Node) -> None:
        graphs = [
            node.attributes[name].as_graph() for name in ("then_branch", "else_branch") if name in node.attributes
        ]
        if len(graphs) < 2:
            infer_shape(ctx, node)
            return
        taken = _flag(node.inputs[0])
        pairs = list(zip(graphs[0].outputs, graphs[1].outputs, strict=False))
        with _shapes_kept(value for pair in pairs for value in pair):
            for then, other in pairs:
                if taken is not None:
                    then.shape = other.shape = (then if taken else other).shape
                elif then.shape is None or other.shape is None:
                    then.shape = other.shape = None
            infer_shape(ctx, node)

    return infer


@contextmanager
def _shapes_kept(values: Iterator[ir.Value]) -> Iterator[None]:
    shapes = {value: value.shape for value in values}
    try:
        yield
    finally:
        for value, shape in shapes.items():
            value.shape = shape


def _flag(condition: ir.Value | None) -> bool | None:
    tensor = ir.convenience.get_const_tensor(condition) if condition is not None else None
    if tensor is None or tensor.size != 1 or isinstance(tensor, ir.ExternalTensor):
        return None
    return bool(tensor.numpy().item())


def _with_flag(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    """Equal of two integers that shapes tell: its value, for the If that asks."""

    def infer(ctx: Any, node: ir.Node) -> None:
        node.outputs[0].const_value = None  # that of an earlier round, where shapes in loops are followed
        infer_shape(ctx, node)
        known = [_integer(ctx, value) for value in node.inputs[:2]]
        output = node.outputs[0]
        if None not in known and output.shape is not None and len(output.shape) <= 1 and output.const_value is None:
            equal = known[0] == known[1]
            output.const_value = ir.tensor([equal] if len(output.shape) else equal, dtype=ir.DataType.BOOL)

    return infer


def _with_values(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    """Range over integers that shapes tell: its values, for the reduction whose axes they are."""

    def infer(ctx: Any, node: ir.Node) -> None:
        node.outputs[0].const_value = None  # as above
        infer_shape(ctx, node)
        start, limit, delta = (_integer(ctx, value) for value in node.inputs[:3])
        if start is None or limit is None or not delta:
            return
        values = range(start, limit, delta)
        if len(values) <= _MOST_VALUES:
            ctx.set_symbolic_value(node.outputs[0], list(values))

    return infer


def _integer(ctx: Any, value: ir.Value | None) -> int | None:
    """Return the one integer that `value` holds, None where it holds something else or nothing tells."""
    if value is None or value.shape is None or value.dtype is None or not value.dtype.is_integer():
        return None
    known = ctx.get_symbolic_value(value)
    return known[0] if known is not None and len(known) == 1 and isinstance(known[0], int) else None


__all__ = ["register"]
