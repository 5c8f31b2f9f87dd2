"""Opening a model: the one way from a path or an object to a `Model`.

Nothing here reads weights, runs the model, or hands the file to native code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import ModelError
from wua_onnx.model import computed_shapes, external, inlining, loops, more_shapes, symbols
from wua_onnx.model.given_dims import Dims, bindings
from wua_onnx.model.graph import Model
from wua_onnx.model.limits import check_size
from wua_onnx.model.quiet import silent
from wua_onnx.model.reading import read, skeleton_of


def load(model: Any, *, dims: Dims | None = None) -> Model:
    """Return `model` as a `Model` with every shape inferred that can be.

    Args:
        model: a path to an .onnx file, an `onnx.ModelProto` or an `onnx_ir.Model` (which is not modified).
        dims: values of symbolic dimensions by name (`{"batch": 1}`), or whole shapes by input name.

    Raises:
        NotOnnxError: the file is something else.
        ModelError: the file is damaged or breaks a limit, keeps data outside its folder, or its nodes go in a circle.
        ShapeError: `dims` names no dimension of the model, or contradicts a fixed one.
    """
    ir_model, path = read(model)
    folder = path.parent if path else Path.cwd()
    _check_types(ir_model)
    _decode_names(ir_model)
    external.locate(ir_model, folder, path)
    check_size(ir_model)
    if ir_model.functions:
        ir_model = _inlined(ir_model)
    table = symbols.normalise(ir_model)
    bound = bindings(ir_model, table, dims or {})
    symbols.bind(ir_model, bound, table.shown)
    problems = infer_shapes(ir_model)
    shown = {name: label for name, label in table.shown.items() if name not in bound}
    name = path.stem if path else clean(ir_model.graph.name) or "model"
    return Model(
        ir_model=ir_model,
        name=name,
        path=path,
        shown=shown,
        bound={table.shown[name]: value for name, value in bound.items()},
        problems=tuple(problems),
    )


def _inlined(model: ir.Model) -> ir.Model:
    try:
        with silent("onnx_ir"):
            return inlining.written_out(model)
    except Exception as error:  # many kinds, on malformed functions and calls
        raise ModelError(
            f"functions: expected calls that can be written out, got {type(error).__name__}: {clean(str(error))}"
        ) from error


def _decode_names(model: ir.Model) -> None:
    """Make names text: protobuf hands over those that are no valid UTF-8 as bytes."""
    for node in model.graph.all_nodes():
        if isinstance(node.name, bytes):
            node.name = node.name.decode("utf-8", "backslashreplace")
    values = list(symbols.all_values(model))
    taken = {value.name for value in values}
    for value in values:
        if isinstance(value.name, bytes):
            name = value.name.decode("utf-8", "backslashreplace")
            while name in taken:
                name += "_"
            value.name = name
            taken.add(name)


def _check_types(model: ir.Model) -> None:
    """Raise ModelError where an initializer has an element type that ONNX does not know."""
    for value in symbols.all_values(model):
        if value.const_value is None:
            continue
        try:
            int(value.const_value.dtype)
        except ValueError as error:
            raise ModelError(
                f"initializer {clean(value.name)!r}: expected an element type of ONNX, got {clean(str(error))}"
            ) from error


def infer_shapes(model: ir.Model) -> list[str]:
    """Infer every shape of `model` in place; return what stopped the inference, if anything did."""
    from onnx_shape_inference import infer_symbolic_shapes

    more_shapes.register()
    computed_shapes.register()

    try:
        with silent("onnx_shape_inference"), silent("onnx_ir"):
            loops.infer(model, lambda: infer_symbolic_shapes(model, warn_on_missing=False))
    except Exception as error:  # many kinds, on malformed files
        return [f"shape inference stopped: {clean(str(error))}"]
    return []


__all__ = ["Dims", "infer_shapes", "load", "skeleton_of"]
