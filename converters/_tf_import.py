"""Importing TensorFlow, Keras and tf2onnx: only when needed, without the lines they print."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

from wua_onnx.errors import MissingDependency

from ._quiet import environment


def import_package(name: str) -> Any:
    """Return the package `name`, imported quietly.

    Raises:
        MissingDependency: it is not installed.
    """
    if sys.modules.get(name) is not None:
        return sys.modules[name]
    try:
        # TensorFlow's native code logs to the process's stderr while it loads; 3 leaves its fatal errors.
        level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")
        with environment(TF_CPP_MIN_LOG_LEVEL=level), native_stderr_discarded(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        absent = (error.name or name).partition(".")[0]  # keras itself fails where tensorflow is missing
        raise MissingDependency(absent, "tensorflow", "converting a Keras or TensorFlow model") from error


@contextlib.contextmanager
def native_stderr_discarded() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere; Python's own sys.stderr object stays the same."""
    try:
        kept = os.dup(2)
    except OSError:  # the process has no stderr
        yield
        return
    with tempfile.TemporaryFile() as nowhere:
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
