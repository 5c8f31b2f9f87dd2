"""What stored integers stand for."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx.model.node import NodeView


@dataclass(frozen=True, slots=True, eq=False)
class Quantization:
    """How stored integers q stand for real numbers: (q - zero) * scale, one of each for a whole tensor.

    Attributes:
        scale: of one step.
        zero: the integer that stands for 0; None for 0 itself.
    """

    scale: ir.Value
    zero: ir.Value | None

    @classmethod
    def of(cls, node: NodeView, scale: int, zero: int) -> Quantization | None:
        """Return that of which `node` holds the scale and the zero point as inputs; None where it has no scale."""
        value = node.input(scale)
        return None if value is None else cls(value, node.input(zero))
