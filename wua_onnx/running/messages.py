"""Messages between the main process and the worker: JSON and raw arrays, nothing that could hold code.

A message is the length of a JSON header (8 bytes, big-endian), the header, then the bytes of the arrays and of one
binary part in the header's order.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

_LENGTH = struct.Struct(">Q")
_MAX_HEADER = 1 << 26


class Reader(Protocol):
    """What is read from."""

    def read(self, size: int, /) -> bytes:
        """Return exactly `size` bytes, fewer at the end."""


class Writer(Protocol):
    """What is written to."""

    def write(self, data: Any, /) -> Any:
        """Write all of `data`."""

    def flush(self) -> None:
        """Send what was written."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: small fields, arrays by name, and one binary part."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    binary: bytes = b""


def send(stream: Writer, message: Message) -> None:
    """Write `message` to `stream`.

    Raises:
        TypeError: an array holds objects.
    """
    described = []
    for name, array in message.arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.hasobject or array.dtype.names:
            raise TypeError(f"array {name!r}: expected numbers, got {getattr(array, 'dtype', type(array).__name__)}")
        described.append({"name": name, "dtype": _type_name(array.dtype), "shape": list(array.shape)})
    header = {"fields": dict(message.fields), "arrays": described, "binary": len(message.binary)}
    encoded = json.dumps(header).encode()
    stream.write(_LENGTH.pack(len(encoded)) + encoded)
    for array in message.arrays.values():
        if array.size:
            stream.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    stream.write(message.binary)
    stream.flush()


def receive(stream: Reader) -> Message:
    """Return the next message of `stream`.

    Raises:
        EOFError: the stream ended.
        ValueError: what it holds is no message.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    if length > _MAX_HEADER:
        raise ValueError(f"header: expected at most {_MAX_HEADER:,} bytes, got {length:,}")
    header = json.loads(_exactly(stream, length))
    arrays = {}
    for item in header["arrays"]:
        dtype = np.dtype(item["dtype"])
        size = int(np.prod(item["shape"], dtype=np.int64)) * dtype.itemsize
        arrays[item["name"]] = np.frombuffer(_exactly(stream, size), dtype=dtype).reshape(item["shape"])
    return Message(header["fields"], arrays, _exactly(stream, header["binary"]))


def _type_name(dtype: np.dtype[Any]) -> str:
    """Return what `np.dtype` makes `dtype` of again, byte order included; bfloat16 and its like go by name."""
    return dtype.name if dtype.kind == "V" else dtype.str


def _exactly(stream: Reader, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = stream.read(min(size, 1 << 24))
        if not part:
            raise EOFError("the stream ended inside a message")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
