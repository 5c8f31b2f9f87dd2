"""Dense layers: Gemm, and MatMul with one constant matrix. Canonical weight: (in, out)."""

from __future__ import annotations

from wua_onnx.layers.layer import Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import resolve
from wua_onnx.model.graph import NodeView


@layer_kind("Gemm")
def gemm(node: NodeView) -> Use | str | None:
    """`alpha · A' · B' + beta · C` with a constant B, or a constant A."""
    which = _constant_operand(node)
    if isinstance(which, str) or which is None:
        return which
    source = resolve(node.input(which), node.model)
    if isinstance(source, str):
        return source
    transposed = bool(node.attr("transB" if which == 1 else "transA"))
    in_first = not transposed if which == 1 else transposed
    return Use(
        node=node,
        kind="dense",
        source=source,
        permutation=(0, 1) if in_first else (1, 0),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axis=1 if which == 1 else 0,
        factor=float(node.attr("alpha", 1.0)),
    )


@layer_kind("MatMul")
def matmul(node: NodeView) -> Use | str | None:
    """`A · B` with a constant matrix on either side."""
    which = _constant_operand(node)
    if isinstance(which, str) or which is None:
        return which
    source = resolve(node.input(which), node.model)
    if isinstance(source, str):
        return source
    if len(source.shape) != 2:
        return f"a constant operand of rank {len(source.shape)}"
    other = node.input(1 - which)
    if other is None or other.shape is None:
        return "the rank of its other operand is unknown"
    rank = len(other.shape)
    return Use(
        node=node,
        kind="dense",
        source=source,
        permutation=(0, 1) if which == 1 else (1, 0),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axis=0 if rank == 1 else rank - (1 if which == 1 else 2),
    )


def _constant_operand(node: NodeView) -> int | str | None:
    constants = [index for index in (0, 1) if node.input(index) in node.model.constants]
    if len(constants) == 2:
        return "computed from constants only"
    return constants[0] if constants else None
