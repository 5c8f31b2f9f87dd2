"""PyTorch's fused attention over any number of leading axes; its exporter writes it over two alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir

_PLAIN = 4  # axes: samples, heads, positions, features


def translations() -> dict[Any, Callable[..., Any]]:
    """Return the function that writes attention in ONNX, as `torch.onnx.export` takes it."""
    import torch

    return {torch.ops.aten.scaled_dot_product_attention.default: _attention}


def _opset() -> Any:
    """Return the operators that PyTorch's exporter writes, to be called as functions of ONNX values."""
    from onnxscript import opset18

    return opset18


def _attention(query, key, value, attn_mask=None, *rest, **options):  # type: ignore[no-untyped-def] # annotations are read as types of ONNX
    """Write attention; with other than four axes, some are added before the positions or made one."""
    from onnxscript.function_libs.torch_lib.ops.nn import aten_scaled_dot_product_attention as plain

    rank = len(query.shape)
    if rank == _PLAIN:
        return plain(query, key, value, attn_mask, *rest, **options)
    op = _opset()
    if rank < _PLAIN:
        added = [1] if rank == _PLAIN - 1 else [0, 1]
        if attn_mask is not None and len(attn_mask.shape) == rank:
            attn_mask = _typed(op.Unsqueeze(attn_mask, added), attn_mask)
        parts = [_typed(op.Unsqueeze(part, added), part) for part in (query, key, value)]
        return op.Squeeze(plain(*parts, attn_mask, *rest, **options), added)
    if attn_mask is not None and len(attn_mask.shape) >= _PLAIN:
        products = op.Concat(op.Shape(query, end=-1), op.Shape(key, start=-2, end=-1), axis=0)
        attn_mask = _with_one_leading(op.Expand(attn_mask, products), attn_mask)
    parts = [_with_one_leading(part, part) for part in (query, key, value)]
    made = plain(*parts, attn_mask, *rest, **options)
    return op.Reshape(made, op.Concat(op.Shape(query, end=-1), op.Shape(value, start=-1), axis=0))


def _with_one_leading(value: ir.Value, like: ir.Value) -> ir.Value:
    """Return the value with the axes before the last three made one."""
    op = _opset()
    shape = op.Concat(op.Constant(value_ints=[-1]), op.Shape(value, start=-3), axis=0)
    return _typed(op.Reshape(value, shape), like)


def _typed(value: ir.Value, like: ir.Value) -> ir.Value:
    """Say of a value that was just made what the exporter's functions ask: four axes, the last two and the type."""
    import onnx_ir as ir

    last = [None, None] if like.shape is None else list(like.shape)[-2:]
    value.shape, value.type = ir.Shape([None, None, *last]), like.type
    return value
