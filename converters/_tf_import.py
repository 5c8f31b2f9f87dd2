"""Importing TensorFlow, Keras and tf2onnx: only when needed, without the lines they print."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from wua_onnx.errors import ConversionError, MissingDependency

from ._quiet import converting, environment, is_verbose


def import_package(name: str) -> Any:
    """Return the package `name`, imported quietly.

    Raises:
        ConversionError: it is installed, but cannot be imported, or Keras stands on JAX, which is not there.
        MissingDependency: it, or TensorFlow where it needs that, is not installed.
    """
    if sys.modules.get(name) is not None:
        return sys.modules[name]
    with converting(f"the package {name}", "one that can be imported"), _native_logs():
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            absent = (error.name or name).partition(".")[0]  # keras itself fails where its backend is missing
            if absent == "jax":
                raise ConversionError(
                    "Keras on its JAX backend: expected the package jax, got none: pip install jax, or choose another "
                    "backend with KERAS_BACKEND=tensorflow"
                ) from error
            if absent == "torch":
                raise MissingDependency(absent, "torch", "Keras on its PyTorch backend") from error
            raise MissingDependency(absent, "tensorflow", "converting a Keras or TensorFlow model") from error


@contextlib.contextmanager
def _native_logs() -> Iterator[None]:
    """Have TensorFlow's native code, which reads this while it loads, log fatal errors alone unless asked for more."""
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    with environment(TF_CPP_MIN_LOG_LEVEL=level or ("0" if is_verbose() else "3")):
        yield
