"""Sizes that a caller gives, `dims=`: of dimensions by name, or whole shapes by input."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import ShapeError
from wua_onnx.model import symbols

Dims = Mapping[str, int | tuple[int, ...]]


def check_dims(dims: Any) -> None:
    """Raise ShapeError where `dims` is given and no mapping."""
    if dims is not None and not isinstance(dims, Mapping):
        raise ShapeError(f"dims: expected sizes by name, {{'batch': 1}}, got {type(dims).__name__}")


def bindings(model: ir.Model, table: symbols.SymbolTable, dims: Dims) -> dict[str, int]:
    """Return integers by generated symbol, from names or from whole shapes of inputs.

    Raises:
        ShapeError: `dims` names no dimension of the model, or contradicts a fixed one.
    """
    bound: dict[str, int] = {}
    inputs = {value.name: value for value in model.graph.inputs}
    for key, given in dims.items():
        if isinstance(given, Sequence) and not isinstance(given, str):
            if key not in inputs:
                raise ShapeError(f"dims: expected a shape for one of the inputs {_listed(inputs)}, got {key!r}")
            _bind_shape(bound, inputs[key], tuple(given))
            continue
        generated = table.by_name(key)
        if generated is None and key in inputs:
            raise ShapeError(f"dims[{key!r}]: expected the shape of that input as a tuple, got {given!r}")
        if generated is None:
            names = sorted(table.shown.values()) or ["none"]
            raise ShapeError(f"dims: expected one of the model's dimensions ({', '.join(names)}), got {key!r}")
        _bind(bound, generated, given, f"dims[{key!r}]")
    return bound


def _listed(inputs: Mapping[Any, ir.Value]) -> str:
    return ", ".join(clean(name) for name in sorted(map(str, inputs))) or "(there is none)"


def _bind(bound: dict[str, int], generated: str, given: Any, where: str) -> None:
    size = _size(given, where)
    if bound.setdefault(generated, size) != size:
        raise ShapeError(f"{where}: expected {bound[generated]} as given elsewhere, got {size}")


def _size(given: Any, where: str) -> int:
    """Return `given` as a Python integer; integers of NumPy are some, too."""
    try:
        size = operator.index(given)
    except TypeError:
        raise ShapeError(f"{where}: expected a whole number, got {given!r}") from None
    if size < 0:
        raise ShapeError(f"{where}: expected a size of at least 0, got {size}")
    return size


def _bind_shape(bound: dict[str, int], value: ir.Value, shape: tuple[Any, ...]) -> None:
    """Bind the free dimensions of an input; a name in place of a size, as conversions take it, leaves one free."""
    where = f"input {clean(value.name)!r}"
    if value.shape is None:
        value.shape = ir.Shape([n if isinstance(n, str) else _size(n, where) for n in shape])
        return
    if len(shape) != len(value.shape):
        raise ShapeError(f"{where}: expected {len(value.shape)} dimensions, got shape {shape}")
    for axis, (dim, size) in enumerate(zip(value.shape, shape, strict=True)):
        if not isinstance(dim, int):
            if not isinstance(size, str):
                _bind(bound, str(dim), size, f"{where} axis {axis}")
        elif dim != size:
            raise ShapeError(f"{where}: expected {dim} at axis {axis}, got {size!r} (shape {shape})")
