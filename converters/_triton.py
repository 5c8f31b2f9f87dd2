"""Triton, which the usual build of PyTorch brings, beside TensorFlow."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

# With this module TensorFlow (2.20, 2.21) lets every library that is loaded later bind to its copy of LLVM.
# Triton (from 3.7 on) has another, and takes the process down: https://github.com/tensorflow/tensorflow/issues/124205
_SHARES_ITS_LLVM = "tensorflow.python.pywrap_dlopen_global_flags"


@contextlib.contextmanager
def triton_unless_fatal() -> Iterator[None]:
    """Where importing Triton would end the process, have PyTorch do without it in the body: an export needs none.

    Loaded before TensorFlow it does no harm, and is left alone.
    """
    if _SHARES_ITS_LLVM not in sys.modules or "triton" in sys.modules:
        yield
        return
    sys.modules["triton"] = None  # type: ignore[assignment]  # how Python marks what is not to be imported
    try:
        yield
    finally:
        sys.modules.pop("triton", None)
