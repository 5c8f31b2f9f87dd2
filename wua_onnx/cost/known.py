"""Integers that a node reads, followed back to constants and to dimensions of shapes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import onnx_ir as ir

from wua_onnx.model.dims import Dim, Shape, product
from wua_onnx.model.node import NodeView

SAME_VALUE = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
STEPS = 64  # nodes that are followed for one value
_COMPUTED: Mapping[str, Callable[[Dim, Dim], Dim]] = {
    "Add": operator.add,
    "Mul": operator.mul,
    "Sub": operator.sub,
}


def known_value(node: NodeView, value: ir.Value | None, steps: int = STEPS) -> Dim | None:
    """Return the integer that `value` holds, followed back to constants and to dimensions of shapes."""
    if value is None or steps < 1:
        return None
    constant = ir.convenience.get_const_tensor(value)
    if constant is not None:
        return _integer(constant)
    made = producer(value)
    if made is None:
        return None
    if made.op_type in ("Gather", "Slice"):
        return _picked_dim(NodeView(made, node.model))
    if made.op_type in ("Shape", "Size"):
        dims = _dims(NodeView(made, node.model))
        told = dims is not None and (made.op_type == "Size" or len(dims) == 1)
        return product(dims) if told and dims is not None else None
    if made.op_type in _COMPUTED and len(made.inputs) == 2:
        # Half of the steps each, so that both together are bounded.
        left, right = (known_value(node, operand, steps // 2) for operand in made.inputs)
        return None if left is None or right is None else _COMPUTED[made.op_type](left, right)
    same = made.op_type in SAME_VALUE and keeps_integers(made)
    return known_value(node, made.inputs[0], steps - 1) if same else None


def producer(value: ir.Value | None) -> ir.Node | None:
    """Return the node of ai.onnx that computes `value` from others."""
    made = value.producer() if value is not None else None
    return made if made is not None and made.inputs and made.domain in ("", "ai.onnx") else None


def keeps_integers(made: ir.Node) -> bool:
    """Return whether a node that passes its input on leaves integers below 2**24 as they are."""
    if made.op_type != "Cast":
        return True
    to = made.attributes.get("to")
    wide = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.INT64)
    return to is not None and to.value in [int(dtype) for dtype in wide]


def _integer(constant: ir.TensorProtocol) -> int | None:
    if isinstance(constant, ir.ExternalTensor) or constant.size != 1:
        return None
    if not (constant.dtype.is_integer() or constant.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE)):
        return None
    number = constant.numpy().item()
    return int(number) if number == number // 1 else None


def _picked_dim(node: NodeView) -> Dim | None:
    """Return the dimension that a Gather or Slice takes out of a shape."""
    made = producer(node.input(0))
    while made is not None and made.op_type in ("Cast", "Identity"):
        made = producer(made.inputs[0]) if keeps_integers(made) else None
    position = node.const(1)
    if made is None or made.op_type != "Shape" or position is None or position.size != 1:
        return None
    if node.op_type == "Slice" and (node.model.shape(node.node.outputs[0]) != (1,) or node.has(4)):
        return None
    taken, index = _dims(NodeView(made, node.model)), int(position.item())
    return taken[index] if taken is not None and -len(taken) <= index < len(taken) else None


def _dims(node: NodeView) -> Shape | None:
    """Return the dimensions that a Shape takes, of all those of its input."""
    value = node.input(0)
    shape = node.model.shape(value) if value is not None else None
    return None if shape is None else shape[node.attr("start", 0) : node.attr("end", len(shape))]
