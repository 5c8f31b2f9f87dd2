"""Logic and bits: integer operations, one for each element of the output (convention 7)."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.model.node import NodeView


@rule("And", by_dtype=False)
@rule("Or", by_dtype=False)
@rule("Xor", by_dtype=False)
@rule("Not", by_dtype=False)
@rule("BitShift", by_dtype=False)
@rule("BitwiseAnd", by_dtype=False)
@rule("BitwiseNot", by_dtype=False)
@rule("BitwiseOr", by_dtype=False)
@rule("BitwiseXor", by_dtype=False)
def logic(node: NodeView) -> Cost:
    """int_ops = elements of the output.

    https://onnx.ai/onnx/operators/onnx__And.html
    """
    return Cost(int_ops=node.out_size())
