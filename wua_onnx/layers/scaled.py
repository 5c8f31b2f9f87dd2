"""From a product of integers to real numbers: the Cast and the Mul that tools for quantization put behind it.

`MatMulInteger(quantized x, w)` is of whole steps; `Mul(Cast(·), scale of x · scale of w)` of real numbers. The scale of
x often depends on the data (DynamicQuantizeLinear), that of the weight is constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.axes import readers
from wua_onnx.layers.layer import Array
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.weights import read, resolve
from wua_onnx.model.node import NodeView

_MAX_FACTORS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaled:
    """Where a product of integers is brought to real units.

    Attributes:
        value: the product in real units.
        weight_scale: the scale of the weight, of all neurons or of each.
        features: what comes in, and what its integers stand for (None where it holds real numbers).
        quantization: likewise.
    """

    value: ir.Value
    weight_scale: Array
    features: ir.Value
    quantization: Quantization | None


def scaled_result(node: NodeView, other: int, axes: tuple[int, ...]) -> Scaled | str:
    """Return where the result of `node` is in real units, or why that cannot be told.

    Args:
        node: a product of integers.
        other: the number of the operand that is not the weight.
        axes: of the result, along which the neurons lie.
    """
    operand = node.input(other)
    found = _scale_of(operand)
    if operand is None or found is None:
        return "the scale of what it multiplies is unknown, so its integers are in no real units"
    scale, features, quantization = found
    value, product = _multiplied(node)
    factors = None if product is None else _factors(product)
    if value is None or factors is None or scale not in factors:
        return "its integer result is not brought to real units"
    factors.remove(scale)
    constants = [_constant(factor, node) for factor in factors]
    if any(constant is None for constant in constants):
        return "its integer result is scaled by something that depends on the data"
    whole = np.ones((), np.float32)
    for constant in constants:
        assert constant is not None
        whole = whole * (constant.reshape(()) if constant.size == 1 else constant.reshape(-1))
    return Scaled(value=value, weight_scale=whole, features=features, quantization=quantization)


def _scale_of(operand: ir.Value | None) -> tuple[ir.Value, ir.Value, Quantization | None] | None:
    """Return the scale of quantized data, and the data as it comes in, in real numbers where there is such a thing."""
    producer = operand.producer() if operand is not None else None
    if producer is None or not producer.inputs or producer.inputs[0] is None:
        return None
    if producer.op_type == "DynamicQuantizeLinear" and len(producer.outputs) > 1:
        return producer.outputs[1], producer.inputs[0], None
    if producer.op_type == "QuantizeLinear" and len(producer.inputs) > 1 and producer.inputs[1] is not None:
        return producer.inputs[1], producer.inputs[0], None
    return None


def _multiplied(node: NodeView) -> tuple[ir.Value | None, ir.Value | None]:
    """Return the result of the Mul behind the Cast of `node`'s result, and what it multiplies with."""
    value = node.node.outputs[0]
    for _ in range(2):
        uses = readers(value)
        if len(uses) != 1 or value.is_graph_output():
            return None, None
        user = uses[0].node
        if user.op_type == "Mul":
            return user.outputs[0], user.inputs[1 - uses[0].idx]
        if user.op_type != "Cast":
            return None, None
        value = user.outputs[0]
    return None, None


def _factors(value: ir.Value) -> list[ir.Value]:
    """Return what is multiplied to `value`, itself where it is no product."""
    pending, found = [value], list[ir.Value]()
    while pending and len(found) < _MAX_FACTORS:
        current = pending.pop()
        producer = current.producer()
        if producer is not None and producer.op_type == "Mul":
            pending.extend(operand for operand in producer.inputs if operand is not None)
        else:
            found.append(current)
    return found


def _constant(value: ir.Value, node: NodeView) -> Array | None:
    source = resolve(value, node.model)
    return None if isinstance(source, str) else np.asarray(read(source, node.model)).astype(np.float32)
