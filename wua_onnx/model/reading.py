"""From what a caller gives to onnx_ir: a path, a proto, a model of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from wua_onnx._files import none_there
from wua_onnx._text import clean, visible
from wua_onnx.errors import ModelError, NotOnnxError
from wua_onnx.model import sparse, wire, wiring
from wua_onnx.model.quiet import silent

# What a file is instead, by its first bytes.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` to fetch the model itself"),
    (b"<!doctype html", "an HTML page: the download returned a web page, not the model"),
    (b"<html", "an HTML page: the download returned a web page, not the model"),
    (b"\x89hdf\r\n", "an HDF5 file: name it .h5 or .keras if it is a Keras model"),
    (
        b"pk\x03\x04",
        "a zip archive: a PyTorch checkpoint, .pt2, .keras or .npz file, or an archive to unpack first",
    ),
    (b"\x1f\x8b", "gzip data: unpack it first"),
    (b"\x93numpy", "a NumPy array"),
    (b"{", "JSON text"),
)
_PICKLE_PROTOCOLS = range(2, 6)
_OBJECTS = "an onnx.ModelProto, an onnx_ir.Model or a model of PyTorch, Keras or TensorFlow"
_MOST_NAMES = 1_000  # of a folder, that are looked at


def read(model: Any) -> tuple[ir.Model, Path | None]:
    """Return `model` as onnx_ir has it, a copy where it is that already, and the path of its file.

    Raises:
        NotOnnxError, ModelError: it cannot be read; see `wua_onnx.model.load`.
    """
    if isinstance(model, ir.Model):
        wiring.check_order(model)
        return model.clone(), None
    if isinstance(model, onnx.ModelProto):
        return _from_proto(model, "model"), None
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"model: expected a path, {_OBJECTS}, got {_what(model)}")
    path = Path(model)
    if not path.exists():
        raise ModelError(f"{path}: expected a file, got {none_there(path)}")
    if path.is_dir():
        raise ModelError(f"{path}: expected an .onnx file or a SavedModel folder, got a folder {_held(path)}")
    if not path.is_file():
        raise ModelError(f"{path}: expected an .onnx file, got a device")
    return _from_proto(_read_file(path), str(path)), path


def _what(model: object) -> str:
    """Return what was given in place of a model, and what to give instead where that can be told."""
    kind = type(model).__name__
    if isinstance(model, type):
        return f"the class {model.__name__}: give an object of it"
    if isinstance(model, Mapping):
        return f"{kind}: give the model itself, with these weights loaded"
    if isinstance(model, bytes | bytearray):
        return f"{kind}: give onnx.load_model_from_string of them, or the path of the file"
    return f"{kind}: give the path of its file" if kind == "InferenceSession" else kind


def _held(folder: Path) -> str:
    """Return which models a folder holds that is none itself."""
    names = [path.name for path in itertools.islice(folder.iterdir(), _MOST_NAMES) if path.suffix == ".onnx"]
    found = ", ".join(map(visible, sorted(names)[:3])) + (", …" if len(names) > 3 else "")
    return f"that holds {found}" if names else "with neither saved_model.pb nor an .onnx file in it"


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
