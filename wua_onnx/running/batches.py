"""X in all its forms, as named arrays, batch by batch."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DataError
from wua_onnx.model import dims as d
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import Model
from wua_onnx.model.limits import clean

Array: TypeAlias = np.ndarray[Any, Any]
LABELS = ("y", "label", "labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What one input of the model expects.

    Attributes:
        name: the input's name.
        dtype: its element type.
        shape: its dimensions, displayed names for free ones; None where the rank is unknown.
        dims: the same as dimensions.
        sample_axis: the axis along which samples lie; None where the input has none (it is given whole).
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[str, ...] | None
    dims: tuple[Dim | None, ...] | None
    sample_axis: int | None

    def __str__(self) -> str:
        shape = "of any shape" if self.shape is None else f"[{', '.join(self.shape)}]"
        return f"input {clean(self.name)!r} {self.dtype} {shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Arrays for one run.

    Attributes:
        feeds: by input name.
        samples: how many samples of the data are in it; a fixed batch may hold copies beyond them.
        labels: their labels, where there are any.
    """

    feeds: Mapping[str, Array]
    samples: int
    labels: Array | None = None


def batch_symbol(model: Model, batch_axis: int) -> Dim | None:
    """Return the size of a batch, an integer or a symbol: the first input's dimension at `batch_axis`."""
    for value in model.inputs:
        if value.shape is not None and len(value.shape) > batch_axis:
            return model.dim(value.shape[batch_axis])
    return None


def input_specs(model: Model, batch_axis: int = 0) -> tuple[InputSpec, ...]:
    """Return what each input of `model` expects.

    Samples lie along the axis that carries the first input's batch dimension, else along `batch_axis` where that
    is free; an input that has neither (a state, a sampling rate) is given whole, the same for every batch.
    """
    batch = batch_symbol(model, batch_axis)
    return tuple(_spec(model, value, batch, batch_axis) for value in model.inputs)


def _spec(model: Model, value: Any, batch: Dim | None, batch_axis: int) -> InputSpec:
    if value.dtype is None:
        raise DataError(f"input {clean(value.name)!r}: expected a declared element type, got none")
    dims = None if value.shape is None else tuple(model.dim(dim) for dim in value.shape)
    axis = None
    if dims is not None:
        if isinstance(batch, d.Expr) and batch in dims:
            axis = dims.index(batch)
        elif len(dims) > batch_axis and (not isinstance(dims[batch_axis], int) or dims[batch_axis] == batch):
            axis = batch_axis
    shown = None if dims is None else tuple("?" if dim is None else model.text(dim) for dim in dims)
    return InputSpec(name=value.name, dtype=value.dtype.numpy(), shape=shown, dims=dims, sample_axis=axis)


Block: TypeAlias = "tuple[dict[str, Array], Array | None]"


@dataclass(slots=True)
class Data:
    """Data checked against a model's inputs; iterate it once, through `batches`.

    Args:
        X: an array, a tensor, a tuple (one array per input), a mapping by input name, a list or iterator of such
            batches, a DataLoader, a tf.data.Dataset, or a path to .npy or .npz.
        specs: the model's inputs.
        y: labels, one a sample; or they come with X (one array more than inputs, or an .npz key y, label, labels).

    Raises:
        DataError: X is empty or does not fit; the message says where, expected and got.
    """

    X: Any
    specs: tuple[InputSpec, ...]
    y: Any = None
    samples: int | None = field(init=False, default=None)
    first: Mapping[str, Array] = field(init=False)
    _blocks: Iterator[Block] = field(init=False)

    def __post_init__(self) -> None:
        whole = _whole(self.X)
        raw: Iterable[Any] = [whole] if whole is not None else iter(self.X)
        labels = None if self.y is None else as_array(self.y)
        blocks = (self._block(item, labels) for item in raw)
        head = next(blocks, None)
        if head is None:
            raise DataError("X: expected at least one batch, got an empty iterator")
        self.first = head[0]
        self.samples = self._count(head[0]) if whole is not None else None
        self._blocks = itertools.chain([head], blocks)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each input in the first block of data."""
        return {name: array.shape for name, array in self.first.items()}

    def batches(self, size: int, *, fixed: bool = False) -> Iterator[Batch]:
        """Yield batches of at most `size` samples.

        Args:
            size: samples in a batch.
            fixed: the model accepts no other size: the last batch is filled up with copies of its last sample.
        """
        pending: list[tuple[dict[str, Array], Array | None]] = []
        for block in self._blocks:
            if pending and not self._joins(pending[0][0], block[0]):
                yield from self._cut(pending, size, fixed, last=True)
                pending = []
            pending.append(block)
            pending = yield from self._cut(pending, size, fixed, last=False)
        yield from self._cut(pending, size, fixed, last=True)

    def _cut(self, blocks: list[Block], size: int, fixed: bool, *, last: bool) -> Any:
        """Yield full batches of the joined `blocks` (and what is left where `last`); return the blocks left over."""
        if not blocks:
            return []
        feeds = {s.name: self._joined([b[0][s.name] for b in blocks], s) for s in self.specs if s.name in blocks[0][0]}
        known = [b[1] for b in blocks if b[1] is not None]
        labels = np.concatenate(known) if len(known) == len(blocks) else None
        count, at = self._count(feeds), 0
        while count - at >= size or (last and at < count):
            taken = min(size, count - at)
            part = {s.name: self._slice(feeds[s.name], s, at, at + taken, size if fixed else taken) for s in self.specs}
            yield Batch(feeds=part, samples=taken, labels=None if labels is None else labels[at : at + taken])
            at += taken
        if at == count:
            return []
        rest = {s.name: self._slice(feeds[s.name], s, at, count, count - at) for s in self.specs}
        return [(rest, None if labels is None else labels[at:])]

    def _joins(self, a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
        def others(array: Array, axis: int | None) -> tuple[int, ...]:
            return tuple(n for i, n in enumerate(array.shape) if i != axis)

        return all(others(a[s.name], s.sample_axis) == others(b[s.name], s.sample_axis) for s in self.specs)

    def _joined(self, arrays: list[Array], spec: InputSpec) -> Array:
        if len(arrays) == 1 or spec.sample_axis is None:
            return arrays[-1]
        return np.concatenate(arrays, axis=spec.sample_axis)

    def _slice(self, array: Array, spec: InputSpec, start: int, stop: int, size: int) -> Array:
        if spec.sample_axis is None:
            return array
        part = np.take(array, range(start, stop), axis=spec.sample_axis) if spec.sample_axis else array[start:stop]
        if stop - start < size:
            copies = np.repeat(part.take([-1], axis=spec.sample_axis), size - (stop - start), axis=spec.sample_axis)
            part = np.concatenate([part, copies], axis=spec.sample_axis)
        return np.ascontiguousarray(part)

    def _count(self, feeds: Mapping[str, Array]) -> int:
        sizes = {s.name: feeds[s.name].shape[s.sample_axis] for s in self.specs if s.sample_axis is not None}
        return next(iter(sizes.values())) if sizes else 1

    def _block(self, item: Any, labels: Array | None) -> Block:
        named, own = self._named(item)
        feeds = {spec.name: check(named[spec.name], spec) for spec in self.specs}
        sizes = {s.name: feeds[s.name].shape[s.sample_axis] for s in self.specs if s.sample_axis is not None}
        if len(set(sizes.values())) > 1:
            raise DataError(f"X: expected the same number of samples in every input, got {sizes}")
        count = next(iter(sizes.values()), 1)
        given = labels if labels is not None else own
        if given is not None and len(given) != count:
            raise DataError(f"y: expected one label for each of {count} samples, got {len(given)}")
        return feeds, given

    def _named(self, item: Any) -> tuple[dict[str, Any], Array | None]:
        names = [spec.name for spec in self.specs]
        if isinstance(item, Mapping):
            return self._from_mapping(item, names)
        parts = list(item) if isinstance(item, tuple | list) else [item]
        if len(parts) == len(names) + 1:
            return dict(zip(names, parts[:-1], strict=True)), as_array(parts[-1])
        if len(parts) != len(names):
            raise DataError(f"X: expected {len(names)} arrays ({', '.join(map(str, self.specs))}), got {len(parts)}")
        return dict(zip(names, parts, strict=True)), None

    def _from_mapping(self, item: Mapping[str, Any], names: list[str]) -> tuple[dict[str, Any], Array | None]:
        given = {str(key): value for key, value in item.items()}
        labels = next((given.pop(key) for key in LABELS if key in given and key not in names), None)
        if set(given) != set(names):
            # One array under any name is the data of a model with one input.
            if len(given) == len(names) == 1:
                given = {names[0]: next(iter(given.values()))}
            else:
                raise DataError(f"X: expected inputs {', '.join(map(str, self.specs))}, got {sorted(given)}")
        return given, None if labels is None else as_array(labels)


def as_array(value: Any) -> Array:
    """Return a NumPy array of an array, a PyTorch tensor (on any device) or a TensorFlow tensor."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return np.asarray(value.float().numpy() if str(value.dtype) == "torch.bfloat16" else value.numpy())
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    if array.dtype == object:
        raise DataError("X: expected arrays of numbers, got nested data of uneven lengths or other objects")
    return array


def _whole(X: Any) -> Any:
    """Return X where it is one block of data; None where it is a stream of them."""
    if isinstance(X, str | os.PathLike):
        return _from_file(Path(X))
    if isinstance(X, Mapping | tuple | np.ndarray) or hasattr(X, "__array__") or hasattr(X, "detach"):
        return X
    if isinstance(X, list):
        head = X[0] if X else None
        if isinstance(head, int | float | bool) or (isinstance(head, list) and not hasattr(head[:1], "shape")):
            return as_array(X)
        return None
    if hasattr(X, "__iter__"):
        return None
    raise DataError(f"X: expected arrays, an iterable of batches or a path, got {type(X).__name__}")


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: expected a .npy or .npz file, got none")
    if path.suffix not in (".npy", ".npz"):
        raise DataError(f"{path}: expected a .npy or .npz file, got {path.suffix or 'no suffix'}")
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        if path.suffix == ".npy":
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: expected plain NumPy arrays, got {clean(str(error))}") from error


def check(value: Any, spec: InputSpec) -> Array:
    """Return `value` as the array that `spec` expects.

    Wider floats and integers are converted where nothing is lost but precision; integers are not taken for floats.

    Raises:
        DataError: shape or element type do not fit, there is no sample, or there is a NaN.
    """
    array = as_array(value)
    got = f"{array.dtype} {list(array.shape)}"
    if array.dtype != spec.dtype:
        if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
            hint = f": convert it with .astype({spec.dtype.name!r})" if array.dtype.kind in "iufb" else ""
            raise DataError(f"{spec}: expected element type {spec.dtype}, got {got}{hint}")
        array = array.astype(spec.dtype)
    if spec.dims is not None:
        fits = len(array.shape) == len(spec.dims) and all(
            axis == spec.sample_axis or not isinstance(dim, int) or dim == size
            for axis, (dim, size) in enumerate(zip(spec.dims, array.shape, strict=True))
        )
        if not fits:
            raise DataError(f"{spec}: expected that shape, got {got}")
    if array.size == 0 and spec.sample_axis is not None and array.shape[spec.sample_axis] == 0:
        raise DataError(f"{spec}: expected at least one sample, got {got}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        where = np.argwhere(np.isnan(array))
        raise DataError(f"{spec}: expected numbers, got {len(where):,} NaN, the first at {where[0].tolist()}")
    return array
