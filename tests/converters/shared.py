"""What several of these tests need: data, files of Keras models, and what a written file gives."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime

Array: TypeAlias = np.ndarray[Any, Any]


def samples(*shape: int) -> Array:
    """Return the same random numbers in every test."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def saved(model: Any, path: Path) -> Path:
    """Write a Keras file, or a SavedModel where `path` has no suffix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own use of NumPy and of HDF5
        if path.suffix:
            model.save(path)
        else:
            model.export(path, verbose=False)
    return path


def first_dims(path: Path) -> list[int | str]:
    """Return the size of the first axis of each input, or its name."""
    inputs = onnx.load(path).graph.input
    return [i.type.tensor_type.shape.dim[0].dim_param or i.type.tensor_type.shape.dim[0].dim_value for i in inputs]


def run(path: Path, *arrays: Array) -> list[Array]:
    """Run the file on inputs in their order."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {i.name: array for i, array in zip(session.get_inputs(), arrays, strict=True)}
    result: list[Array] = session.run(None, feeds)
    return result
