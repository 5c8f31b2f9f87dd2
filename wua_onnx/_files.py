"""Writing results: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wua_onnx.errors import OutputError


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`; see `replacing`."""
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file beside `path` that takes its name at the end: a reader never sees half of it.

    Raises:
        OutputError: `path` is a folder, or its folder is missing or cannot be written to.
    """
    check_writable(path)
    temporary: str | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            yield file
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise OutputError(f"{path}: expected a writable path, got {error.strerror or error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def check_writable(path: Path, times: int = 1) -> None:
    """Raise OutputError where it can be told beforehand that `path` cannot be written, or where it is named `times`."""
    if times > 1:
        raise OutputError(f"{path}: expected one output a file, got {times}")
    if path.is_dir():
        raise OutputError(f"{path}: expected a path to write a file to, got a folder")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: expected a writable path, got one in a folder that is not there")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, half of a surrogate pair as its escape (which JSON reads back); see `write_bytes`."""
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))
