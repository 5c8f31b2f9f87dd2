"""Contractions between DequantizeLinear and QuantizeLinear: integer work, written in floating point (convention 7)."""

from __future__ import annotations

import onnx_ir as ir

from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

# Whether the result, too, has to be quantised for a runtime to compute in integers. MatMul and Gemm may hand out
# floating point: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
_GROUPS = {"Conv": True, "MatMul": False, "Gemm": False}


def is_fused(node: NodeView) -> bool:
    """Return whether a runtime that fuses Q/DQ groups computes `node` in integers.

    Both operands come straight from a DequantizeLinear of integers, constants or not; for a Conv all that reads the
    result is QuantizeLinear, with at most a Relu or Clip between that cuts off nothing which QuantizeLinear keeps.
    """
    needs_quantized_result = _GROUPS.get(node.op_type) if not node.domain else None
    if needs_quantized_result is None or not all(_is_dequantized(node.input(index)) for index in (0, 1)):
        return False
    return not needs_quantized_result or _only_quantized(node.node.outputs[0], node.model)


def _is_dequantized(value: ir.Value | None) -> bool:
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type != "DequantizeLinear" or not producer.inputs:
        return False
    source = producer.inputs[0]
    return source is not None and source.dtype is not None and source.dtype.is_integer()


def _only_quantized(value: ir.Value, model: Model) -> bool:
    readers = _readers(value, model)
    cuts = [reader for reader in readers if reader.op_type in ("Relu", "Clip")]
    if len(readers) == 1 and cuts:
        after = _readers(cuts[0].node.outputs[0], model)
        return bool(after) and all(_quantizes(reader) and _keeps_range(cuts[0], reader) for reader in after)
    return bool(readers) and all(map(_quantizes, readers))


def _readers(value: ir.Value, model: Model) -> list[NodeView]:
    """Return the nodes that read `value`; none where it is an output of the graph."""
    return [] if value.is_graph_output() else [NodeView(use.node, model) for use in value.uses()]


def _quantizes(node: NodeView) -> bool:
    return node.op_type == "QuantizeLinear"


def _keeps_range(cut: NodeView, quantize: NodeView) -> bool:
    """Return whether `cut` leaves every value that `quantize` can write as it is; False where no constant tells."""
    scale, zero, dtype = quantize.const(1), quantize.const(2), quantize.out_dtype()
    if scale is None or zero is None or dtype is None or not dtype.is_integer():
        return False
    least, most = ((float(bound) - zero.astype(float)) * scale.astype(float) for bound in (dtype.min, dtype.max))
    if cut.op_type == "Relu":
        return bool((least >= 0).all())
    low, high = cut.const(1), cut.const(2)
    below = not cut.has(1) or (low is not None and bool((low <= least).all()))
    return below and (not cut.has(2) or (high is not None and bool((most <= high).all())))


__all__ = ["is_fused"]
