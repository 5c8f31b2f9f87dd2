"""Inputs for a run where no data is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DataError
from wua_onnx.model import dims as d
from wua_onnx.running.inputs import InputSpec

Array: TypeAlias = np.ndarray[Any, Any]

_MOST = 1 << 28  # elements of an input


def random_feeds(specs: Sequence[InputSpec], *, batch: int = 1, seed: int = 0) -> dict[str, Array]:
    """Return an array for every input: normal floats, integers 0 and 1 (indices that fit almost any table), True.

    Args:
        specs: the inputs; free dimensions become 1.
        batch: samples, where the batch is free.
        seed: of the random numbers.

    Raises:
        DataError: an input has no declared rank, holds text, or is larger than 2^28 elements.
    """
    generator = np.random.default_rng(seed)
    return {spec.name: _array(spec, batch, generator) for spec in specs}


def _array(spec: InputSpec, batch: int, generator: np.random.Generator) -> Array:
    if spec.dims is None or spec.dtype.kind in "OSU":
        raise DataError(f"{spec}: expected a number type and a rank to make random inputs for, got neither: give data")
    shape = tuple(
        batch if axis == spec.sample_axis and not isinstance(dim, int) else _size(dim)
        for axis, dim in enumerate(spec.dims)
    )
    elements = d.product(shape)
    if not isinstance(elements, int) or elements > _MOST:
        raise DataError(f"{spec}: expected at most {_MOST:,} elements, got {elements:,}")
    if spec.dtype.kind == "b":
        return np.ones(shape, dtype=np.bool_)
    if spec.dtype.kind in "iu":
        return generator.integers(0, 2, size=shape).astype(spec.dtype)
    return generator.standard_normal(shape, dtype=np.float32).astype(spec.dtype)


def _size(dim: d.Dim | None) -> int:
    """Return the size of a dimension with every symbol 1."""
    if dim is None:
        return 1
    size = d.substitute(dim, dict.fromkeys(d.symbols(dim), 1))
    return size if isinstance(size, int) else 1
