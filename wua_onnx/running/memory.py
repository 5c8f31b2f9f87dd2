"""How much memory a worker process may take: a model from a stranger must not bring the machine down."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from wua_onnx.errors import DataError

VARIABLE = "WUA_ONNX_MEMORY_LIMIT"  # bytes that a worker may take, over the default
_SHARE = 0.9  # of the memory of the machine, or of its control group where that is less
_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_FAILURE = re.compile(r"bad.?alloc|(allocate|out of|not enough) memory|unable to allocate|MemoryError", re.IGNORECASE)


def memory_limit() -> int | None:
    """Return the bytes that a worker may take: what the environment says, else nine tenths of the memory there is.

    None where neither tells.

    Raises:
        DataError: the environment says something other than a number of bytes above 0.
    """
    given = os.environ.get(VARIABLE)
    if given is not None:
        if not given.isdecimal() or int(given) < 1:
            raise DataError(f"{VARIABLE}: expected a number of bytes above 0, got {given!r}")
        return int(given)
    there = [size for size in (_of_the_machine(), *map(_of_the_group, _GROUPS)) if size is not None]
    return int(min(there) * _SHARE) if there else None


def _of_the_machine() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on every system
        return None


def _of_the_group(file: str) -> int | None:
    try:
        text = Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def apply(limit: int) -> None:
    """Let this process allocate at most `limit` bytes from here on; mapped files do not count.

    Does nothing on systems that know no such limit (Windows), or that refuse it.
    """
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = limit if most == resource.RLIM_INFINITY else min(limit, most)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, most))
    except (OSError, ValueError):
        return


def is_failure(message: str) -> bool:
    """Return whether `message` is that of an allocation that failed."""
    return _FAILURE.search(message) is not None


def text(limit: int) -> str:
    """Return `limit` for people: `1.5 GiB`."""
    return f"{limit / 2**30:,.1f} GiB" if limit >= 2**30 else f"{limit / 2**20:,.0f} MiB"
