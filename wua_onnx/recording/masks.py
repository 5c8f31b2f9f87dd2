"""Padded positions: the input that tells them, and how they are left out of every statistic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import DataError
from wua_onnx.model import dims as d
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import Model

if TYPE_CHECKING:
    from wua_onnx.recording.builder import Builder
    from wua_onnx.recording.taps import Tap

# Inputs that say by their name where the data is padding; the second kind is true where it is.
_VALID = re.compile(r"(.*[_.])?(attention|input|valid)_mask(_\d+)?(:0)?", re.I)
_PADDED = re.compile(r"(.*[_.])?(key_)?padding_mask(_\d+)?(:0)?", re.I)
_MAX_BACK = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Mask:
    """The input of a model that tells valid positions from padded ones.

    Attributes:
        value: shape (samples, positions); not 0 where valid.
        samples, positions: its dimensions.
        inverted: not 0 where padded.
    """

    value: ir.Value
    samples: Dim | None
    positions: Dim | None
    inverted: bool

    def axis_in(self, dims: tuple[Dim | None, ...], axes: tuple[int, ...], sample_axis: int | None) -> int | None:
        """Return the axis of an activation along which the mask's positions lie; None where none does for certain."""
        if self.positions is None or sample_axis is None:
            return None
        fitting = [i for i, dim in enumerate(dims) if dim == self.positions and i not in axes and i != sample_axis]
        return fitting[0] if len(fitting) == 1 else None

    def joined_axis_in(
        self, value: ir.Value, dims: tuple[Dim | None, ...], axes: tuple[int, ...], model: Model
    ) -> int | None:
        """Return the axis along which samples and positions lie one after the other, samples outermost."""
        if self.positions is None or self.samples is None:
            return None
        both = d.product((self.samples, self.positions))
        fitting = [i for i, dim in enumerate(dims) if dim == both and i not in axes]
        return 0 if fitting == [0] and self._is_sample_major(value, model) else None

    def _is_sample_major(self, value: ir.Value, model: Model) -> bool:
        """Return whether the first axis of `value` comes from (samples, positions, ...) in that order."""
        current: ir.Value | None = value
        for _ in range(_MAX_BACK):
            shape = model.shape(current) if current is not None else None
            if current is None or shape is None:
                return False
            if shape[:2] == (self.samples, self.positions):
                return True
            producer = current.producer()
            if producer is None or producer.op_type == "Transpose":
                return False
            current = next((v for v in producer.inputs if v is not None and v not in model.constants), None)
        return False


def find_mask(model: Model, name: str | None, batch: Dim | None) -> Mask | None:
    """Return the mask among the inputs: the one called `name`, or the one whose name says so.

    Raises:
        DataError: no input has that name, or it is not of shape (samples, positions).
    """
    if name is None:
        named = [v for v in model.inputs if _VALID.fullmatch(v.name or "") or _PADDED.fullmatch(v.name or "")]
        fitting = [value for value in named if value.shape is not None and len(value.shape) == 2]
        return _mask(fitting[0], model) if len(fitting) == 1 else None
    value = next((value for value in model.inputs if value.name == name), None)
    if value is None:
        names = ", ".join(clean(v.name) for v in model.inputs)
        raise DataError(f"mask: expected the name of an input ({names}), got {name!r}")
    if value.shape is None or len(value.shape) != 2:
        shape = None if value.shape is None else [str(dim) for dim in value.shape]
        raise DataError(f"mask: expected an input of shape (samples, positions), got {clean(name)!r} of shape {shape}")
    return _mask(value, model)


def _mask(value: ir.Value, model: Model) -> Mask:
    assert value.shape is not None
    samples, positions = (model.dim(dim) for dim in value.shape)
    inverted = bool(_PADDED.fullmatch(value.name or ""))
    return Mask(value=value, samples=samples, positions=positions, inverted=inverted)


class Masks:
    """The mask in every shape that the taps need, each made once."""

    def __init__(self, builder: Builder, mask: Mask, value: ir.Value) -> None:
        boolean = builder.cast(value, ir.DataType.BOOL) if value.dtype != ir.DataType.BOOL else value
        if mask.inverted:
            boolean = builder.op("Not", [boolean], builder.graph)
        self._boolean = boolean
        self._shaped: dict[tuple[object, ...], ir.Value] = {}
        self._counts: dict[bool, ir.Value] = {}

    def kept(self, builder: Builder, tap: Tap, value: ir.Value, other: float) -> ir.Value:
        """Return `value`, `other` in its place where a position is padded."""
        dtype = (value.dtype or ir.DataType.FLOAT).numpy()
        constant = builder.constant(np.array(other, dtype=dtype), builder.graph)
        result: ir.Value = builder.op("Where", [self._for(builder, tap), value, constant], builder.graph)
        result.dtype = value.dtype or ir.DataType.FLOAT
        return result

    def counts(self, builder: Builder, tap: Tap) -> ir.Value:
        """Return how many positions are valid: of each sample, or of all where samples and positions are joined."""
        if tap.joined not in self._counts:
            numbers = builder.cast(self._boolean, ir.DataType.INT64)
            axes = [0, 1] if tap.joined else [1]
            self._counts[tap.joined] = builder.reduction("ReduceSum", numbers, axes)
        return self._counts[tap.joined]

    def _for(self, builder: Builder, tap: Tap) -> ir.Value:
        """Return the mask as it broadcasts against the activation of `tap`."""
        key = (tap.joined, tap.sample_axis, tap.masked_axis, len(tap.dims))
        if key not in self._shaped:
            self._shaped[key] = self._shape(builder, tap)
        return self._shaped[key]

    def _shape(self, builder: Builder, tap: Tap) -> ir.Value:
        mask, rank = self._boolean, len(tap.dims)
        if tap.joined:
            shape = [-1 if axis == tap.masked_axis else 1 for axis in range(rank)]
            return builder.op("Reshape", [mask, builder.integers(shape)], builder.graph)
        assert tap.sample_axis is not None
        assert tap.masked_axis is not None
        if tap.sample_axis > tap.masked_axis:
            mask = builder.op("Transpose", [mask], builder.graph, perm=[1, 0])
        others = [axis for axis in range(rank) if axis not in (tap.sample_axis, tap.masked_axis)]
        if not others:
            return mask
        if builder.opset < 13:
            return builder.op("Unsqueeze", [mask], builder.graph, axes=others)
        return builder.op("Unsqueeze", [mask, builder.integers(others)], builder.graph)
