"""Weights kept beside the model: where they may lie, and reading them.

A location names a file of the model's own folder (or one below it). Links are resolved first; what they lead to
must lie in that folder too, except in the cache layout of Hugging Face, where `snapshots/<revision>/` holds links
into the `blobs/` of the same model.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import ExternalDataError


def locate(model: ir.Model, folder: Path, own_file: Path | None) -> None:
    """Point every external tensor of `model` at its real file, links resolved; no file is opened.

    Files beside the real model file are named relative to its folder, which is where onnxruntime looks.

    Raises:
        ExternalDataError: a file would lie outside `folder`.
    """
    found: dict[str, tuple[str, Path]] = {}
    if own_file is not None:
        found[own_file.name] = own_file.resolve().name, own_file.resolve().parent
    for tensor, put in _external(model):
        location = str(tensor.location)
        if location not in found:
            found[location] = _checked(tensor, folder, (own_file or folder / "_").resolve().parent)
        name, base = found[location]
        if name == location:
            tensor.base_dir = str(base)
        else:
            put(_at(tensor, name, str(base)))


def _external(model: ir.Model) -> Iterator[tuple[ir.ExternalTensor, Callable[[ir.ExternalTensor], None]]]:
    """Yield every external tensor, of initializers and attributes, with what puts another in its place."""
    graphs: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    while graphs:
        graph = graphs.pop()
        for value in graph.initializers.values() if isinstance(graph, ir.Graph) else ():
            if isinstance(value.const_value, ir.ExternalTensor):
                yield value.const_value, partial(setattr, value, "const_value")
        for node in graph:
            for attribute in list(node.attributes.values()):
                if isinstance(attribute.value, ir.ExternalTensor):
                    yield attribute.value, partial(_set_attribute, node, attribute.name)
                elif attribute.type == ir.AttributeType.GRAPH and not attribute.is_ref():
                    graphs.append(attribute.as_graph())
                elif attribute.type == ir.AttributeType.GRAPHS and not attribute.is_ref():
                    graphs.extend(attribute.as_graphs())


def _set_attribute(node: ir.Node, name: str, tensor: ir.ExternalTensor) -> None:
    node.attributes[name] = ir.AttrTensor(name, tensor)


def _checked(tensor: ir.ExternalTensor, folder: Path, root: Path) -> tuple[str, Path]:
    """Return (location, folder) of the tensor's file, relative to `root` where it lies there."""
    where, location = f"initializer {clean(tensor.name)!r}: external data", str(tensor.location)
    path = Path(location)
    if path.is_absolute() or ".." in path.parts or "\\" in location or "\0" in location or not path.parts:
        raise ExternalDataError(f"{where}: expected a file inside the model's folder, got {clean(location)!r}")
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()) and not _in_same_cache(folder, target):
        raise ExternalDataError(
            f"{where}: expected a file inside the model's folder, got a link out of it ({clean(location)!r})"
        )
    if target.is_relative_to(root):
        return str(target.relative_to(root)), root
    return target.name, target.parent


def _at(tensor: ir.ExternalTensor, location: str, base: str) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        location,
        tensor.offset,
        tensor.length,
        tensor.dtype,
        shape=tensor.shape,
        name=tensor.name or "",
        base_dir=base,
    )


def readable(tensor: ir.ExternalTensor) -> ir.ExternalTensor:
    """Return `tensor` in a form that reads its file wherever `locate` found it.

    onnx_ir has checks of its own while a base folder is set, which refuse hard links too.

    Raises:
        ExternalDataError: the file is missing, no regular file, or too short.
    """
    check_readable(tensor)
    return _at(tensor, str(Path(tensor.path).absolute()), "")


def _in_same_cache(folder: Path, target: Path) -> bool:
    folder = folder.absolute()
    repository = next((p.parent for p in (folder, *folder.parents) if p.name == "snapshots"), None)
    return repository is not None and target.parent == (repository / "blobs").resolve()


def check_readable(tensor: ir.ExternalTensor) -> None:
    """Raise ExternalDataError where the tensor's file is missing, no regular file, or too short."""
    where = f"initializer {clean(tensor.name)!r}: external data {clean(str(tensor.location))!r}"
    try:
        status = os.stat(tensor.path)
    except OSError as error:
        raise ExternalDataError(f"{where}: expected the file beside the model, got none") from error
    if not stat.S_ISREG(status.st_mode):
        raise ExternalDataError(f"{where}: expected a regular file, got something else")
    offset, length = tensor.offset or 0, tensor.length if tensor.length is not None else tensor.nbytes
    if length < tensor.nbytes:
        raise ExternalDataError(f"{where}: expected {tensor.nbytes:,} bytes for its shape, got a length of {length:,}")
    if offset < 0 or offset + length > status.st_size:
        raise ExternalDataError(
            f"{where}: expected bytes {offset:,} to {offset + length:,}, got a file of {status.st_size:,} bytes"
        )
