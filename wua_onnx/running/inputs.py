"""What the inputs of a model expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._text import clean
from wua_onnx.errors import DataError
from wua_onnx.model import dims as d
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import Model
from wua_onnx.running.arrays import as_array, fits_type
from wua_onnx.running.hints import fits, hint

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What one input of the model expects.

    Attributes:
        name: the input's name.
        dtype: its element type.
        shape: its dimensions, displayed names for free ones; None where the rank is unknown.
        dims: the same as dimensions.
        sample_axis: the axis along which samples lie; None where the input has none (it is given whole).
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[str, ...] | None
    dims: tuple[Dim | None, ...] | None
    sample_axis: int | None

    def __str__(self) -> str:
        shape = "of any shape" if self.shape is None else f"[{', '.join(self.shape)}]"
        return f"input {clean(self.name)!r} {self.dtype} {shape}"

    def others(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sizes in the `shape` of data that are not the number of samples."""
        axis = self.sample_axis
        return shape if axis is None else (*shape[:axis], *shape[axis + 1 :])


def batch_symbol(model: Model, batch_axis: int) -> Dim | None:
    """Return the size of a batch, an integer or a symbol: the first input's dimension at `batch_axis`."""
    for value in model.inputs:
        if value.shape is not None and len(value.shape) > batch_axis:
            return model.dim(value.shape[batch_axis])
    return None


def input_specs(model: Model, batch_axis: int = 0) -> tuple[InputSpec, ...]:
    """Return what each input of `model` expects.

    Samples lie along the axis that carries the first input's batch dimension, else along `batch_axis` where that
    is free; an input that has neither (a state, a sampling rate) is given whole, the same for every batch.

    Raises:
        DataError: an input has no element type, or none has an axis `batch_axis`.
    """
    _check_axis(model, batch_axis)
    batch = batch_symbol(model, batch_axis)
    return tuple(_spec(model, value, batch, batch_axis) for value in model.inputs)


def _check_axis(model: Model, batch_axis: int) -> None:
    ranks = [None if value.shape is None else len(value.shape) for value in model.inputs]
    known = [rank for rank in ranks if rank is not None]
    if batch_axis < 0 or (batch_axis > 0 and len(known) == len(ranks) and batch_axis >= max(known, default=0)):
        most = max(known, default=0)
        raise DataError(f"batch_axis: expected an axis of an input, 0 to {max(most - 1, 0)}, got {batch_axis}")


def _spec(model: Model, value: Any, batch: Dim | None, batch_axis: int) -> InputSpec:
    if value.dtype is None:
        raise DataError(f"input {clean(value.name)!r}: expected a declared element type, got none")
    dims = None if value.shape is None else tuple(model.dim(dim) for dim in value.shape)
    axis = None
    if dims is not None:
        if isinstance(batch, d.Expr) and batch in dims:
            axis = dims.index(batch)
        elif len(dims) > batch_axis and (not isinstance(dims[batch_axis], int) or dims[batch_axis] == batch):
            axis = batch_axis
    shown = None if dims is None else tuple("?" if dim is None else model.text(dim) for dim in dims)
    return InputSpec(name=value.name, dtype=value.dtype.numpy(), shape=shown, dims=dims, sample_axis=axis)


def fitting(value: Any, spec: InputSpec) -> Array:
    """Return `value` as an array of the shape that `spec` expects and of a type that can be converted to it.

    Floats become other floats and integers other integers; integers are not taken for floats, which images with
    values up to 255 given to a model of normalised ones would be.

    Raises:
        DataError: shape or element type do not fit, or there is no sample.
    """
    array = as_array(value)

    def got() -> str:
        return f"{array.dtype} {list(array.shape)}"

    if not fits_type(array.dtype, spec.dtype):
        way = f": convert it with .astype({spec.dtype.name!r})" if array.dtype.kind in "iufb" else ""
        way += ", scaled as in training" if way and array.dtype == np.uint8 else ""
        raise DataError(f"{spec}: expected element type {spec.dtype}, got {got()}{way}")
    if spec.dims is not None and not fits(array.shape, spec.dims, spec.sample_axis):
        way = hint(array.shape, spec.dims, spec.sample_axis)
        raise DataError(f"{spec}: expected that shape, got {got()}{way}")
    if spec.sample_axis is not None and array.shape[spec.sample_axis] == 0:
        raise DataError(f"{spec}: expected at least one sample, got {got()}")
    return array
