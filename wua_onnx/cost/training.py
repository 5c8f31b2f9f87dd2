"""What training costs (convention 13): forward, plus the backward of each operator, times samples and epochs."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import Model, NodeView

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """Floating-point operations of a training.

    Attributes:
        forward, backward: of all samples and epochs.
        samples, epochs: how many.
        convention: how the backward part was come by, in words.
    """

    forward: Dim
    backward: Dim
    samples: int
    epochs: int
    convention: str

    @property
    def flops(self) -> Dim:
        """Forward and backward together."""
        return self.forward + self.backward


def with_gradient(model: Model) -> frozenset[ir.Value]:
    """Return the values whose gradient a training needs: trainable parameters, and all that depends on one."""
    found = {
        value
        for value in model.constants
        if value.dtype in _FLOATS and value.shape is not None and len(value.shape) > 0
    }
    for node in model.ir_model.graph:
        if any(value in found for value in node.inputs if value is not None):
            found.update(value for value in node.outputs if value.dtype is None or value.dtype in _FLOATS)
    return frozenset(found)


def backward(node: NodeView, cost: Cost, gradient: frozenset[ir.Value]) -> Cost:
    """Return the cost of the backward pass of `node`.

    A contraction of two operands costs its own multiply-accumulates once for each operand that needs a gradient
    (dA = dC·Bᵀ, dB = Aᵀ·dC; a convolution likewise). Everything else is taken to cost as much as forward, and
    nothing where no input needs a gradient.
    """
    needing = [value for value in node.node.inputs if value is not None and value in gradient]
    if not needing:
        return Cost()
    floating = cost.macs - cost.int_macs
    operands = sum(value in gradient for value in node.node.inputs[:2] if value is not None)
    return Cost(
        macs=floating * operands,
        mul=cost.mul,
        add=cost.add,
        div=cost.div,
        compare=cost.compare,
        special=cost.special,
    )
