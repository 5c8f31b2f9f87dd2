"""Shapes of pooling at free sizes: where onnx_shape_inference leaves them open, or says what most sizes have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import onnx_ir as ir

_Infer: TypeAlias = Callable[[Any, ir.Node], None]


def register() -> None:
    """Put the rules of this module behind those of onnx_shape_inference."""
    from onnx_shape_inference import registry

    for op in ("AveragePool", "LpPool", "MaxPool"):
        infer = registry.get("", op, version=1)
        if infer is not None:
            registry.register("", op, since_version=1)(_pooled(infer))


def _pooled(infer_shape: _Infer) -> _Infer:
    """Pooling: along free axes as many windows as SAME padding says, or as start before the padding at the end."""

    def infer(ctx: Any, node: ir.Node) -> None:
        infer_shape(ctx, node)
        data, shape = node.inputs[0], node.outputs[0].shape
        if data is None or data.shape is None or shape is None or len(shape) != len(data.shape):
            return
        if not all(isinstance(dim, int) for dim in data.shape[2:]):
            dims = [*shape[:2], *_windows(node, list(data.shape)[2:], list(shape)[2:])]
            for output in node.outputs:
                output.shape = ir.Shape(dims)

    return infer


def _windows(node: ir.Node, sizes: list[Any], found: list[Any]) -> Iterator[Any]:
    axes = len(sizes)
    same = node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
    ceil = node.attributes.get_int("ceil_mode", 0)
    kernel, strides, dilations = (_ints(node, name, axes) for name in ("kernel_shape", "strides", "dilations"))
    pads = _ints(node, "pads", 2 * axes, 0)
    lengths = [len(kernel), len(strides), len(dilations), len(pads) / 2]
    if lengths != [axes] * 4 or min(strides) < 1:  # malformed: upstream has told nothing
        yield from found
        return
    for axis, (size, windows) in enumerate(zip(sizes, found, strict=True)):
        stride, window = strides[axis], dilations[axis] * (kernel[axis] - 1) + 1
        if isinstance(size, int):
            yield windows
        elif same:
            yield -(-size // stride)
        elif ceil and pads[axis + axes] + stride > window:  # the last window may start behind all elements
            yield ir.SymbolicDim(f"Min({windows}, {-(-(size + pads[axis]) // stride)})")
        else:
            yield windows


def _ints(node: ir.Node, name: str, length: int, default: int = 1) -> list[int]:
    attribute = node.attributes.get(name)
    return [int(value) for value in attribute.as_ints()] if attribute is not None else [default] * length


__all__ = ["register"]
