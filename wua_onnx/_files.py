"""Files: results are written whole or not at all; what is said of a file that is not there."""

from __future__ import annotations

import difflib
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from wua_onnx._text import visible
from wua_onnx.errors import OutputError

_MOST_NAMES = 10_000  # of a folder, that are compared with a name which is not in it


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


def none_there(path: Path) -> str:
    """Return what a message says it got where nothing is at `path`: "none", and what may have been meant.

    That is a file of a name alike in the same folder, or that the folder is not there.
    """
    try:
        names = [found.name for found in itertools.islice(path.parent.iterdir(), _MOST_NAMES)]
    except OSError:
        return f"none: {visible(path.parent)} is no folder that can be read"
    alike = [name for name in names if Path(name).stem == path.name]
    alike = alike or difflib.get_close_matches(path.name, names, n=2, cutoff=0.75)
    return f"none; did you mean {' or '.join(map(visible, sorted(alike)[:2]))}?" if alike else "none"
