"""Weights in a .safetensors file: a table in JSON, then plain bytes. Nothing in it is code.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wua_onnx.errors import ConversionError

if TYPE_CHECKING:
    import torch

_LENGTH = 8  # bytes of the number, little-endian, that says how long the table is
_LONGEST = 100_000_000  # bytes of a table, by the format's own limit
_TYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "BF16": "bfloat16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
}


def load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of the file by name; they are read when they are looked at.

    Raises:
        ConversionError: the file is not of this format, or its table does not fit its bytes.
    """
    table, start = _table(path)
    content = np.memmap(path, np.uint8, mode="c", offset=start) if path.stat().st_size > start else np.empty(0, "u1")
    return {name: _tensor(path, name, entry, content) for name, entry in table.items() if name != "__metadata__"}


def _table(path: Path) -> tuple[dict[str, Any], int]:
    """Return what the file says of its tensors, and where their bytes begin."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if not 2 <= length <= min(_LONGEST, path.stat().st_size - _LENGTH):
            raise ConversionError(f"{path}: expected a safetensors file, got something else")
        try:
            table = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ConversionError(f"{path}: expected a safetensors file, got a table that is no JSON") from error
    if not isinstance(table, dict):
        raise ConversionError(f"{path}: expected a table of tensors, got {type(table).__name__}")
    return table, _LENGTH + length


def _tensor(path: Path, name: str, entry: Any, content: Any) -> torch.Tensor:
    import torch

    try:
        dtype = getattr(torch, _TYPES[entry["dtype"]])
        shape = [int(size) for size in entry["shape"]]
        begin, end = map(int, entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConversionError(f"{path}, {name!r}: expected type, shape and place of a tensor, got {entry}") from error
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not 0 <= begin <= end <= len(content) or end - begin != size:
        raise ConversionError(
            f"{path}, {name!r}: expected {size} bytes for {entry['dtype']} {shape}, got {begin} to {end} "
            f"of {len(content)}"
        )
    return torch.frombuffer(content[begin:end], dtype=dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
