"""Arrays out of whatever a caller gives, and their element types."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from numbers import Number
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np

from wua_onnx._files import none_there
from wua_onnx._text import clean
from wua_onnx.errors import DataError

Array: TypeAlias = np.ndarray[Any, Any]
LABELS = ("y", "label", "labels")


def as_array(value: Any) -> Array:
    """Return a NumPy array of an array, a PyTorch tensor (on any device) or a TensorFlow tensor."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):
        value = dense(value).detach().cpu()
        return np.asarray(value.float().numpy() if str(value.dtype) == "torch.bfloat16" else value.numpy())
    try:
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except ValueError as error:  # nested lists of uneven lengths
        raise DataError(f"X: expected arrays of numbers, got {type(value).__name__}: {clean(str(error))}") from None
    if array.dtype == object:
        raise DataError(f"X: expected arrays of numbers, got {type(value).__name__} of other objects")
    return array


def dense(value: Any) -> Any:
    """Return the value.

    Raises:
        DataError: it is a sparse tensor of PyTorch's.
    """
    layout = str(getattr(value, "layout", ""))
    if layout.startswith("torch.sparse"):
        raise DataError(f"X: expected dense tensors, got one with the layout {layout}: give its to_dense()")
    return value


def is_numbers(value: Any) -> bool:
    """Return whether `value` is a list, nested or not, of plain numbers."""
    leaf = value
    while isinstance(leaf, list) and leaf:
        leaf = leaf[0]
    return isinstance(value, list) and isinstance(leaf, Number | np.generic)


def whole(X: Any) -> Any:
    """Return X where it is one block of data, read from its file; None where it is a stream of blocks.

    Raises:
        DataError: X is neither, or its file cannot be read.
    """
    if isinstance(X, str | os.PathLike):
        return _from_file(Path(X))
    if isinstance(X, Mapping | tuple | np.ndarray) or hasattr(X, "__array__") or hasattr(X, "detach"):
        return X
    if is_numbers(X):
        return as_array(X)
    if hasattr(X, "__iter__"):
        return None
    hint = ": give it to a DataLoader" if hasattr(X, "__getitem__") and hasattr(X, "__len__") else ""
    raise DataError(f"X: expected arrays, an iterable of batches or a path, got {type(X).__name__}{hint}")


def flat(block: Any) -> Any:
    """Return a batch whose inputs stand together, `({"a": a, "b": b}, y)` or `((a, b), y)`, as one mapping or tuple.

    Keras wants batches so, and a DataLoader makes them of such samples. Any other block is returned as it is.
    """
    if not isinstance(block, tuple | list) or not 1 <= len(block) <= 2 or is_numbers(block):
        return block
    inputs, labels = block[0], block[1:]
    if isinstance(inputs, Mapping):
        return {**dict(zip(LABELS, labels, strict=False)), **inputs}
    together = isinstance(inputs, tuple | list) and all(hasattr(value, "shape") for value in inputs)
    return (*inputs, *labels) if together and all(hasattr(value, "shape") for value in labels) else block


def _from_file(path: Path) -> Any:
    if not path.is_file():
        got = "a folder" if path.is_dir() else none_there(path)
        raise DataError(f"{path}: expected a .npy or .npz file, got {got}")
    if path.suffix not in (".npy", ".npz"):
        got = path.suffix or "no suffix"
        raise DataError(f"{path}: expected a .npy or .npz file, got {got}: read it, and write it with numpy.savez")
    try:
        if path.suffix == ".npy":
            return np.lib.format.open_memmap(path, mode="r")
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: expected plain NumPy arrays, got {clean(str(error))}") from error


def fits_type(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Return whether elements may be converted: among floats, among integers, nothing across."""
    return given == wanted or _group(given) == _group(wanted)


_GROUPS = {"u": "i", "U": "s", "S": "s", "O": "s"}  # kinds of NumPy's that may be converted into another


def _group(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "V" and "float" in dtype.name:  # bfloat16, float8…
        return "f"
    return _GROUPS.get(dtype.kind, dtype.kind)


def _has_nan(array: Array) -> bool:
    """Return whether a NaN is among floats: a minimum passes it on, at the speed of memory, and takes none itself."""
    with np.errstate(invalid="ignore"):
        return array.size > 0 and bool(np.isnan(array.min()))


def converted(array: Array, wanted: np.dtype[Any], where: Callable[[], str]) -> Array:
    """Return `array` with elements of type `wanted`; precision may be lost, but no value may leave the range.

    Args:
        array: the numbers given.
        wanted: the element type.
        where: says for a message where the array is; it is not asked otherwise.

    Raises:
        DataError: there is a NaN, or a value that the type cannot hold.
    """
    if _group(array.dtype) == "f" and _has_nan(array):
        bad = np.argwhere(np.isnan(array))
        raise DataError(f"{where()}: expected numbers, got {len(bad):,} NaN, the first at {bad[0].tolist()}")
    if array.dtype == wanted:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(wanted)
    lost = result != array if _group(wanted) == "i" else np.isinf(result) & ~np.isinf(array)
    if _group(wanted) in "if" and lost.any():
        first = array[tuple(np.argwhere(lost)[0])]
        raise DataError(f"{where()}: expected values that {wanted} can hold, got {first}")
    return result
