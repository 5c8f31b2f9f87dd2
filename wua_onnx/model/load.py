"""Opening a model: the one way from a path or an object to a `Model`.

Nothing here reads weights, runs the model, or hands the file to native code.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from wua_onnx.errors import ModelError, NotOnnxError, ShapeError
from wua_onnx.model import computed_shapes, external, inlining, loops, more_shapes, sparse, symbols, wire, wiring
from wua_onnx.model.graph import Model
from wua_onnx.model.limits import check_size, clean

# What a file is instead, by its first bytes.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` to fetch the model itself"),
    (b"<!doctype html", "an HTML page: the download returned a web page, not the model"),
    (b"<html", "an HTML page: the download returned a web page, not the model"),
    (b"\x89hdf\r\n", "an HDF5 file: name it .h5 or .keras if it is a Keras model"),
    (b"pk\x03\x04", "a zip archive: a PyTorch checkpoint, .pt2 or .keras file, or an archive to unpack first"),
    (b"\x1f\x8b", "gzip data: unpack it first"),
    (b"\x93numpy", "a NumPy array"),
    (b"{", "JSON text"),
)
_PICKLE_PROTOCOLS = range(2, 6)

Dims = Mapping[str, int | tuple[int, ...]]


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
    ir_model, path = _read(model)
    folder = path.parent if path else Path.cwd()
    _check_types(ir_model)
    _decode_names(ir_model)
    external.locate(ir_model, folder, path)
    check_size(ir_model)
    if ir_model.functions:
        ir_model = _inlined(ir_model)
    table = symbols.normalise(ir_model)
    bound = _bindings(ir_model, table, dims or {})
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


def _read(model: Any) -> tuple[ir.Model, Path | None]:
    if isinstance(model, ir.Model):
        wiring.check_order(model)
        return model.clone(), None
    if isinstance(model, onnx.ModelProto):
        return _from_proto(model, "model"), None
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"model: expected a path, an onnx.ModelProto or an onnx_ir.Model, got {type(model).__name__}")
    path = Path(model)
    if not path.exists():
        raise ModelError(f"{path}: expected a file, got none")
    if not path.is_file():
        raise ModelError(f"{path}: expected an .onnx file, got a folder or device")
    return _from_proto(_read_file(path), str(path)), path


def _read_file(path: Path) -> onnx.ModelProto:
    try:
        return _read_skeleton(path)
    except OSError as error:
        raise ModelError(f"{path}: expected a readable file, got {error.strerror or error}") from error


def _read_skeleton(path: Path) -> onnx.ModelProto:
    if path.stat().st_size == 0:
        raise NotOnnxError(f"{path}: expected an ONNX model, got an empty file")
    with path.open("rb", buffering=0) as file:
        content = wire.FileBytes(file)
        head = content[:64]
        try:
            proto: onnx.ModelProto = onnx.ModelProto.FromString(wire.skeleton(content, path.name))
        except (ValueError, IndexError, DecodeError) as error:
            raise NotOnnxError(f"{path}: expected an ONNX model (protobuf), got {_recognise(head, error)}") from None
    if not proto.HasField("graph"):
        raise NotOnnxError(f"{path}: expected an ONNX model (protobuf), got {_recognise(head, 'no graph')}")
    return proto


def skeleton_of(model: Any) -> bytes:
    """Return the serialized form of what `load` accepts, big weights of a file left out of it."""
    if isinstance(model, ir.Model):
        return bytes(ir.to_proto(model).SerializeToString())
    proto = model if isinstance(model, onnx.ModelProto) else _read_file(Path(model))
    return bytes(proto.SerializeToString())


def _recognise(head: bytes, problem: object) -> str:
    lowered = head.lstrip().lower()
    for signature, what in _SIGNATURES:
        if lowered.startswith(signature):
            return what
    if len(head) > 1 and head[0] == 0x80 and head[1] in _PICKLE_PROTOCOLS:
        return "a Python pickle, which is never opened here because opening one runs its code"
    return f"damaged or other data ({problem})"


def _from_proto(proto: onnx.ModelProto, where: str) -> ir.Model:
    proto = sparse.written_out(proto)
    wiring.check_producers(proto)
    try:
        with silent("onnx_ir"):  # it writes text of the file to stderr
            model = ir.from_proto(proto)
    except Exception as error:  # onnx_ir raises many kinds on malformed files
        raise ModelError(
            f"{where}: expected a well-formed ONNX graph, got {type(error).__name__}: {clean(str(error))}"
        ) from error
    wiring.check_order(model)
    return model


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


def _bindings(model: ir.Model, table: symbols.SymbolTable, dims: Dims) -> dict[str, int]:
    """Return integers by generated symbol, from names or from whole shapes of inputs."""
    bound: dict[str, int] = {}
    inputs = {value.name: value for value in model.graph.inputs}
    for key, value in dims.items():
        if isinstance(value, int):
            generated = table.by_name(key)
            if generated is None:
                names = sorted(table.shown.values()) or ["none"]
                raise ShapeError(f"dims: expected one of the model's dimensions ({', '.join(names)}), got {key!r}")
            _bind(bound, generated, value, f"dims[{key!r}]")
        elif key in inputs:
            _bind_shape(bound, inputs[key], tuple(value))
        else:
            raise ShapeError(f"dims: expected a shape for one of the inputs {sorted(map(str, inputs))}, got {key!r}")
    return bound


def _bind(bound: dict[str, int], generated: str, value: int, where: str) -> None:
    if value < 0:
        raise ShapeError(f"{where}: expected a size of at least 0, got {value}")
    if bound.setdefault(generated, value) != value:
        raise ShapeError(f"{where}: expected {bound[generated]} as given elsewhere, got {value}")


def _bind_shape(bound: dict[str, int], value: ir.Value, shape: tuple[int, ...]) -> None:
    if value.shape is None:
        value.shape = ir.Shape(shape)
        return
    if len(shape) != len(value.shape):
        raise ShapeError(f"input {clean(value.name)!r}: expected {len(value.shape)} dimensions, got shape {shape}")
    for axis, (dim, size) in enumerate(zip(value.shape, shape, strict=True)):
        if isinstance(dim, int):
            if dim != size:
                raise ShapeError(
                    f"input {clean(value.name)!r}: expected {dim} at axis {axis}, got {size} (shape {shape})"
                )
        else:
            _bind(bound, str(dim), size, f"input {clean(value.name)!r} axis {axis}")


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


@contextmanager
def silent(name: str) -> Iterator[None]:
    """Let the logger `name` and those below it say nothing."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


__all__ = ["Dims", "infer_shapes", "load", "silent"]
