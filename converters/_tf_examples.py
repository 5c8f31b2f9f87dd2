"""Inputs for a traced TensorFlow function: from X, or random ones of the right shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import ConversionError

from . import _examples

Array: TypeAlias = np.ndarray[Any, Any]
Dims: TypeAlias = "Mapping[str, int | tuple[int, ...]]"

_COMPARED = 5  # samples
_FREE = 8  # the size given to a free dimension of which nothing is known


def arrays_for(specs: tuple[Any, ...], X: Any, dims: Dims, where: str) -> list[Array]:
    """Return one array for each tf.TensorSpec: a few samples of X, or random values where X is None.

    Raises:
        ConversionError: X has other inputs, or its shapes or element types do not fit.
    """
    if X is None:
        generator = np.random.default_rng(0)
        return [_random(spec, dims, generator) for spec in specs]
    block = _examples.first_block(X)
    values = ordered(block, specs, where)
    for value, spec in zip(values, specs, strict=True):
        _check(value, spec, where)
    samples = _examples.samples_in(tuple(values)) or 1
    size = next((spec.shape[0] for spec in specs if spec.shape.rank), None) or min(samples, _COMPARED)
    few = _examples.values_of(_examples.take(tuple(values), size))
    return [value.astype(spec.dtype.as_numpy_dtype) for value, spec in zip(few, specs, strict=True)]


def ordered(block: _examples.Block, specs: tuple[Any, ...], where: str) -> list[Array]:
    """Return the arrays of the block in the order of the inputs; one more than those is the labels."""
    names = [spec.name for spec in specs]
    if isinstance(block, dict):
        block = _examples.by_name(block, names)
    if isinstance(block, dict):
        if set(block) != set(names):
            raise ConversionError(f"{where}: expected inputs {', '.join(names)}, got {', '.join(block)}")
        return [_examples.as_array(block[name]) for name in names]
    values = block[:-1] if len(block) == len(names) + 1 else block
    if len(values) != len(names):
        raise ConversionError(f"{where}: expected {len(names)} inputs ({', '.join(names)}), got {len(values)}")
    return [_examples.as_array(value) for value in values]


def _check(array: Array, spec: Any, where: str) -> None:
    """Compare element type and every axis but the batch with what the input declares."""
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    rank = spec.shape.rank
    fits = rank is None or (rank == array.ndim and spec.shape[1:].is_compatible_with(array.shape[1:]))
    if not fits or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ConversionError(
            f"{where}, input {spec.name!r}: expected {dtype} {spec.shape}, got {array.dtype} {list(array.shape)}"
        )


def _random(spec: Any, dims: Dims, generator: np.random.Generator) -> Array:
    """Return normal values for floats, zeros and ones for anything else (they are valid indices of any table)."""
    whole = dims.get(spec.name)
    shape = whole if isinstance(whole, tuple) else [_FREE if size is None else size for size in spec.shape]
    if spec.shape.rank and spec.shape[0] is None and not isinstance(whole, tuple):
        shape = [_COMPARED, *list(shape)[1:]]
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    if dtype.kind == "f":
        return generator.standard_normal(tuple(shape)).astype(dtype)
    return generator.integers(0, 2, tuple(shape)).astype(dtype)


def plain(value: Any) -> Array:
    """Return a tensor as an array; NumPy has no bfloat16, its values are those of float32."""
    array = _examples.as_array(value)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
