"""Elementwise operators of onnxruntime on integers that stand for real numbers: what they compute of those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.walk import constant_of
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Integers:
    """Which operator it is on real numbers, its operands, and the inputs that are scale and zero point of the result.

    The scale and the zero point of an operand are the inputs that follow it.
    """

    op: str
    operands: tuple[int, ...]
    result: tuple[int, int]


INTEGERS = {
    "QLinearAdd": _Integers("Add", (0, 3), (6, 7)),
    "QLinearLeakyRelu": _Integers("LeakyRelu", (0,), (3, 4)),
    "QLinearMul": _Integers("Mul", (0, 3), (6, 7)),
    "QLinearSigmoid": _Integers("Sigmoid", (0,), (3, 4)),
}


def computed_by(node: NodeView) -> str:
    """Return the operator that computes the same of real numbers."""
    known = INTEGERS.get(node.op_type)
    return node.op_type if known is None else known.op


def operands_of(node: NodeView) -> tuple[int, ...]:
    """Return the numbers of the inputs that `node` computes on."""
    known = INTEGERS.get(node.op_type)
    return tuple(range(len(node.node.inputs))) if known is None else known.operands


def real(node: NodeView, index: int, stored: Array) -> Array | None:
    """Return the real numbers of a constant operand; None where its scale or zero point is no single constant."""
    scale = constant_of(node, index + 1)
    zero = constant_of(node, index + 2) if node.has(index + 2) else np.zeros(())
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None
    return np.asarray((stored - zero.reshape(())) * scale.reshape(()))


def quantization_of(value: ir.Value, model: Model) -> Quantization | None:
    """Return what the integers of `value` stand for, which an elementwise operator makes; None for real numbers."""
    producer = value.producer()
    known = None if producer is None else INTEGERS.get(producer.op_type)
    return None if producer is None or known is None else Quantization.of(NodeView(producer, model), *known.result)
