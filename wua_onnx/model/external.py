"""Weights kept beside the model: where they may lie, and reading them.

A location names a file of the model's own folder (or one below it). Links are resolved first; what they lead to
must lie in that folder too, except in the cache layout of Hugging Face, where `snapshots/<revision>/` holds links
into the `blobs/` of the same model.
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from wua_onnx.errors import ExternalDataError
from wua_onnx.model.limits import clean


def check_locations(tensors: list[ir.ExternalTensor], folder: Path, own_file: Path | None) -> None:
    """Raise ExternalDataError where a tensor's file would lie outside `folder`; no file is opened."""
    checked: set[str] = {own_file.name} if own_file else set()
    for tensor in tensors:
        location = str(tensor.location)
        if location in checked:
            continue
        where = f"initializer {clean(tensor.name)!r}: external data"
        path = Path(location)
        if path.is_absolute() or ".." in path.parts or "\\" in location or "\0" in location or not path.parts:
            raise ExternalDataError(f"{where}: expected a file inside the model's folder, got {clean(location)!r}")
        target = (folder / path).resolve()
        if not target.is_relative_to(folder.resolve()) and not _in_same_cache(folder, target):
            raise ExternalDataError(
                f"{where}: expected a file inside the model's folder, got a link out of it ({clean(location)!r})"
            )
        checked.add(location)


def _in_same_cache(folder: Path, target: Path) -> bool:
    folder = folder.absolute()
    repository = next((p.parent for p in (folder, *folder.parents) if p.name == "snapshots"), None)
    return repository is not None and target.parent == (repository / "blobs").resolve()


def check_readable(tensor: ir.ExternalTensor) -> None:
    """Raise ExternalDataError where the tensor's file is missing, no regular file, or too short."""
    where = f"initializer {clean(tensor.name)!r}: external data {clean(str(tensor.location))!r}"
    path = Path(tensor.path)
    if not path.exists():
        raise ExternalDataError(f"{where}: expected the file beside the model, got none")
    if not path.is_file():
        raise ExternalDataError(f"{where}: expected a regular file, got something else")
    offset, length = tensor.offset or 0, tensor.length if tensor.length is not None else tensor.nbytes
    if length < tensor.nbytes:
        raise ExternalDataError(f"{where}: expected {tensor.nbytes:,} bytes for its shape, got a length of {length:,}")
    if offset < 0 or offset + length > path.stat().st_size:
        raise ExternalDataError(
            f"{where}: expected bytes {offset:,} to {offset + length:,}, got a file of {path.stat().st_size:,} bytes"
        )
