"""Choices between two values by a mask: Where, or a·m + b·(1 - m), as tf2onnx writes it.

A step of a recurrence that a mask skips ends with the state before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.gate_products import moved_from
from wua_onnx.layers.side import Side, Writer, graph_of
from wua_onnx.model.graph import Model

_MATRIX = 2  # axes: samples, neurons


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """What a choice takes where a mask says so.

    Attributes:
        value: what it takes.
        mask: booleans, for each sample.
    """

    value: ir.Value
    mask: ir.Value


def _branches(value: ir.Value) -> list[ir.Value]:
    """Return what is chosen from where `value` is a choice; nothing for any other."""
    node = value.producer()
    if node is None or node.domain or node.op_type not in ("Add", "Where"):
        return []
    found = node.inputs[1:] if node.op_type == "Where" else [beside_a_mask(operand) for operand in node.inputs]
    return [branch for branch in found if branch is not None]


def chosen_from(value: ir.Value) -> list[ir.Value]:
    """Return what `value` is a rearrangement of, and what that is chosen from by a mask, before it was rearranged."""
    last = moved_from(value)
    return [*map(moved_from, _branches(last)), last]


def masked_branches(value: ir.Value) -> Iterator[Branch]:
    """Yield what is chosen from, with the mask that is true where it is; what has no mask of its own is left out."""
    node = value.producer()
    if node is None or not _branches(value):
        return
    if node.op_type == "Where":
        condition, first, second = node.inputs
        pairs = [(first, condition), (second, _denied(condition))]
    else:
        pairs = [(beside_a_mask(operand), _mask_in(operand)) for operand in node.inputs]
    yield from (Branch(branch, mask) for branch, mask in pairs if branch is not None and mask is not None)


def beside_a_mask(value: ir.Value | None) -> ir.Value | None:
    """Return what a product multiplies with a mask, 0 or 1; None where `value` is no such product."""
    node = value.producer() if value is not None else None
    if node is None or node.domain or node.op_type != "Mul":
        return None
    masks = [_booleans(operand) is not None for operand in node.inputs]
    return node.inputs[masks.index(False)] if sorted(masks) == [False, True] else None


def _mask_in(product: ir.Value | None) -> ir.Value | None:
    node = product.producer() if product is not None else None
    found = [_booleans(operand) for operand in node.inputs] if node is not None else []
    return next((mask for mask in found if mask is not None), None)


def _booleans(value: ir.Value | None) -> ir.Value | None:
    """Return the booleans that `value` is made of."""
    node = value.producer() if value is not None else None
    given = node.inputs[0] if node is not None and node.op_type == "Cast" else None
    return given if given is not None and given.dtype == ir.DataType.BOOL else None


def _denied(mask: ir.Value | None) -> ir.Value | None:
    """Return what `mask` is the opposite of."""
    node = mask.producer() if mask is not None else None
    return node.inputs[0] if node is not None and node.op_type == "Not" else None


def kept(branch: Branch, like: ir.Value, axis: int, model: Model) -> tuple[Side, ir.Value] | None:
    """Return the branch with zeros where the choice does not take it, of the shape of `like`, and its mask.

    None where the mask is not one boolean for each sample, or there is more to a sample than its neurons, along `axis`.
    """
    mask, shape = _for_each_sample(branch.mask, axis, model), model.shape(like)
    given = model.shape(mask) if mask is not None else None
    if mask is None or given is None or shape is None or like.dtype is None or len(given) != len(shape) or axis != 1:
        return None
    if len(shape) != _MATRIX or (given[0] == 1 != shape[0]):  # one boolean for all samples does not count them
        return None

    def compute(writer: Writer, inputs: Sequence[ir.Value | None]) -> ir.Value:
        value, condition = inputs
        assert value is not None
        assert like.dtype is not None
        zero = writer.constant(np.zeros((), like.dtype.numpy()), graph_of(value))
        result: ir.Value = writer.op("Where", [condition, value, zero], graph_of(value))
        result.dtype = like.dtype
        return result

    value = ir.Value(name=None, shape=like.shape, type=like.type)
    return Side(value=value, axes=(axis,), inputs=(branch.value, mask), compute=compute), mask


def _for_each_sample(mask: ir.Value, axis: int, model: Model) -> ir.Value | None:
    """Return `mask` before it was repeated for every neuron; None where it differs between them."""
    latest: ir.Value | None = mask
    while latest is not None:
        shape, node = model.shape(latest), latest.producer()
        if shape is None or axis >= len(shape):
            return None
        if shape[axis] == 1:
            return latest
        latest = node.inputs[0] if node is not None and node.op_type in ("Expand", "Tile") else None
    return None
