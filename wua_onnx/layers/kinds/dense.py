"""Dense layers: Gemm, and MatMul with one constant matrix. Canonical weight: (in, out)."""

from __future__ import annotations

from wua_onnx.layers.layer import Arrangement, Array, Features, Use
from wua_onnx.layers.registry import layer_kind
from wua_onnx.layers.weights import WeightSource, resolve
from wua_onnx.model.graph import NodeView


@layer_kind("Gemm")
def gemm(node: NodeView) -> Use | str | None:
    """`alpha · A' · B' + beta · C` with a constant B, or a constant A."""
    found = _constant_operand(node)
    if isinstance(found, str) or found is None:
        return found
    which, source = found
    transposed = [bool(node.attr("transA")), bool(node.attr("transB"))]
    in_first = transposed[which] != (which == 1)
    features_axis = int((1 - which == 0) != transposed[1 - which])
    return _dense(node, which, source, in_first, 1 if which == 1 else 0, features_axis, float(node.attr("alpha", 1.0)))


@layer_kind("MatMul")
def matmul(node: NodeView) -> Use | str | None:
    """`A · B` with a constant matrix on either side."""
    found = _constant_operand(node)
    if isinstance(found, str) or found is None:
        return found
    which, source = found
    if len(source.shape) != 2:
        return f"a constant operand of rank {len(source.shape)}"
    other = node.input(1 - which)
    if other is None or other.shape is None:
        return "the rank of its other operand is unknown"
    rank = len(other.shape)
    output_axis = 0 if rank == 1 else rank - (1 if which == 1 else 2)
    features_axis = 0 if rank == 1 else rank - (2 if which == 0 else 1)
    return _dense(node, which, source, which == 1, output_axis, features_axis)


def _dense(
    node: NodeView,
    which: int,
    source: WeightSource,
    in_first: bool,
    output_axis: int,
    features_axis: int,
    factor: float = 1.0,
) -> Use:
    other = node.input(1 - which)
    return Use(
        node=node,
        kind="dense",
        source=source,
        arrangement=Arrangement.transposing(source.shape, (0, 1) if in_first else (1, 0)),
        neuron_axis=1,
        output=node.node.outputs[0],
        output_axes=(output_axis,),
        factor=factor,
        features=Features(value=other, axes=(features_axis,), spread=_per_row) if other is not None else None,
    )


def _per_row(features: Array) -> Array:
    return features[:, None]


def _constant_operand(node: NodeView) -> tuple[int, WeightSource] | str | None:
    """Return which operand is the constant one, and where it comes from."""
    constants = [index for index in (0, 1) if node.input(index) in node.model.constants]
    if len(constants) == 2:
        return "computed from constants only"
    if not constants:
        return None
    source = resolve(node.input(constants[0]), node.model)
    return source if isinstance(source, str) else (constants[0], source)
