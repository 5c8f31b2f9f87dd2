"""Inputs for a PyTorch module that come with their shapes alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from wua_onnx.errors import ConversionError

from ._torch_run import Subject, run

_SAMPLES = 3
_FREE = 64  # size of other free dimensions: images shrink on the way, positions of sequences are limited


def generated(subject: Subject, shapes: Mapping[str, tuple[int | str, ...]]) -> dict[str, Any]:
    """Return random arrays by input name that the module takes: real numbers, else indices.

    Args:
        subject: the module, in evaluation mode.
        shapes: by name of an input, with sizes or names of free dimensions.

    Raises:
        ConversionError: the shape of an input is not stated, or the module takes neither.
    """
    parameters = inspect.signature(subject.module.forward).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in kinds]
    missing = [name for name in needed if name not in shapes]
    if missing or not shapes:
        raise ConversionError(
            f"{subject.where}: expected X, a few samples of its input, or the shapes of its inputs in dims "
            f"(`wua-onnx convert --shape`), got none of {', '.join(missing) or 'any'}: "
            "a PyTorch module does not say what it takes"
        )
    sizes = {name: _sizes(shape, subject.batch_axis) for name, shape in shapes.items()}
    random = np.random.default_rng(0)
    reals: dict[str, Any] = {name: random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    indices: dict[str, Any] = {name: random.integers(0, 2, size) for name, size in sizes.items()}
    try:
        run(subject, reals)
    except ConversionError as error:
        try:
            run(subject, indices)
        except ConversionError:
            raise ConversionError(
                f"{subject.where}: expected X, a few samples of its input: "
                f"random numbers of the stated shapes are not what it takes: {error}"
            ) from error
        return indices
    return reals


def _sizes(shape: tuple[int | str, ...], batch_axis: int) -> tuple[int, ...]:
    return tuple(
        dim if isinstance(dim, int) else _SAMPLES if axis == batch_axis else _FREE for axis, dim in enumerate(shape)
    )
