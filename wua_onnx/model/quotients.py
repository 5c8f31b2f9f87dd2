"""Shapes that are computed from products and quotients of sizes: numbers where symbols cancel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard

import onnx_ir as ir

# A quotient of symbols that cancel stays text in their results (`2`), and is taken for a free dimension further on.
_SHAPES_GIVEN = {"Reshape": 5, "Expand": 8, "ConstantOfShape": 9}
_MOST_AXES = 64


def register() -> None:
    """Put the rules of this module behind those of onnx_shape_inference."""
    from onnx_shape_inference import registry

    for op, since in _SHAPES_GIVEN.items():
        infer = registry.get("", op, version=since)
        if infer is not None:
            infer = _of_symbols(infer) if op == "ConstantOfShape" else infer
            registry.register("", op, since_version=since)(_with_numbers(infer))
    product = registry.get("", "ReduceProd", version=1)
    if product is not None:
        registry.register("", "ReduceProd", since_version=1)(_with_product(product))


def _with_product(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    """ReduceProd over a whole shape, as tf2onnx writes it to flatten: its value is their product."""

    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        data = node.inputs[0]
        dims = ctx.get_symbolic_value(data) if data is not None and data.shape is not None else None
        if dims and data is not None and len(data.shape or ()) == 1 and _reduces_first(node):
            ctx.set_symbolic_value(node.outputs[0], [math.prod(dims[1:], start=dims[0])])

    return infer


def _reduces_first(node: ir.Node) -> bool:
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return (
            list(node.attributes.get_ints("axes", ())) in ([], [0], [-1])
            and "noop_with_empty_axes" not in node.attributes
        )
    given = ir.convenience.get_const_tensor(node.inputs[1])
    return given is not None and given.numpy().tolist() in ([0], [-1])


def _of_symbols(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    """ConstantOfShape of a computed shape, as TorchScript writes initial states."""

    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        shape = node.inputs[0]
        if node.outputs[0].shape is not None or shape is None or shape.shape is None or len(shape.shape) != 1:
            return
        dims, rank = ctx.get_symbolic_value(shape), shape.shape[0]
        if dims is None and isinstance(rank, int) and rank <= _MOST_AXES:
            dims = [None] * rank
        node.outputs[0].shape = None if dims is None else ir.Shape(dims)

    return infer


def _with_numbers(infer_shape: Callable[[Any, ir.Node], None]) -> Callable[[Any, ir.Node], None]:
    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        shape = node.outputs[0].shape
        if shape is not None and any(_is_number(dim) for dim in shape):
            node.outputs[0].shape = ir.Shape([int(str(dim.value)) if _is_number(dim) else dim for dim in shape])

    return infer


def _is_number(dim: int | ir.SymbolicDim) -> TypeGuard[ir.SymbolicDim]:
    return isinstance(dim, ir.SymbolicDim) and dim.value is not None and dim.value.isdecimal()
