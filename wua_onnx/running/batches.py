"""X in all its forms, as named arrays, batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._text import clean
from wua_onnx.errors import DataError, WuaError
from wua_onnx.running.arrays import LABELS, as_array, converted, flat, is_numbers
from wua_onnx.running.arrays import whole as _whole
from wua_onnx.running.inputs import InputSpec, fitting

Array: TypeAlias = np.ndarray[Any, Any]


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
        labels = None if self.y is None else np.atleast_1d(as_array(self.y))
        blocks = self._read([whole] if whole is not None else iter(self.X), labels, streamed=whole is None)
        head = next(blocks, None)
        if head is None:
            raise DataError("X: expected at least one batch, got an empty iterator")
        self.first = head[0]
        if whole is not None:
            self.samples = self._count(head[0])
            _check_labels(labels, self.samples)
        self._blocks = itertools.chain([head], blocks)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each input in the first block of data."""
        return {name: array.shape for name, array in self.first.items()}

    def head(self, size: int) -> dict[str, Array]:
        """Return the first `size` samples as the model takes them, fewer where the first block holds fewer.

        A batch that the model fixes is its own size, filled up with copies of the last sample. Nothing is used up.
        """
        held = self._count(self.first)
        taken = {spec.name: _fixed_batch(spec) or min(size, held) for spec in self.specs}
        return {s.name: _part(self.first[s.name], s, 0, min(held, taken[s.name]), taken[s.name]) for s in self.specs}

    def batches(self, size: int, *, fixed: bool = False) -> Iterator[Batch]:
        """Yield batches of at most `size` samples.

        Args:
            size: samples in a batch.
            fixed: the model accepts no other size: the last batch is filled up with copies of its last sample.

        Raises:
            DataError: the data ends in an error, or goes on with what does not fit; all before it has been yielded.
        """
        pending: list[Block] = []
        held, failure = 0, None
        while True:
            try:
                block = next(self._blocks, None)
            except DataError as error:  # what came before it is still good
                failure, block = error, None
            if block is None:
                break
            if pending and not self._joins(pending[0][0], block[0]):
                yield from self._cut(pending, size, fixed, last=True)
                pending, held = [], 0
            pending.append(block)
            held += self._count(block[0])
            if held >= size:
                pending = yield from self._cut(pending, size, fixed, last=False)
                held = sum(self._count(feeds) for feeds, _ in pending)
        yield from self._cut(pending, size, fixed, last=True)
        if failure is not None:
            raise failure

    def _cut(self, blocks: list[Block], size: int, fixed: bool, *, last: bool) -> Generator[Batch, None, list[Block]]:
        """Yield full batches of the joined `blocks` (and what is left where `last`); return the blocks left over."""
        if not blocks:
            return []
        feeds = {spec.name: self._joined([block[0][spec.name] for block in blocks], spec) for spec in self.specs}
        known = [labels for _, labels in blocks if labels is not None]
        labels = np.concatenate(known) if len(known) == len(blocks) else None
        count, at = self._count(feeds), 0
        while count - at >= size or (last and at < count):
            taken = min(size, count - at)
            part = {
                spec.name: _part(feeds[spec.name], spec, at, at + taken, size if fixed else taken)
                for spec in self.specs
            }
            yield Batch(feeds=part, samples=taken, labels=None if labels is None else labels[at : at + taken])
            at += taken
        if at == count:
            return []
        rest = {spec.name: slice_of(feeds[spec.name], spec, at, count) for spec in self.specs}
        return [(rest, None if labels is None else labels[at:])]

    def _joins(self, a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
        return all(
            a[s.name].shape == b[s.name].shape or s.others(a[s.name].shape) == s.others(b[s.name].shape)
            for s in self.specs
        )

    def _joined(self, arrays: list[Array], spec: InputSpec) -> Array:
        if len(arrays) == 1 or spec.sample_axis is None:
            return arrays[-1]
        return np.concatenate(arrays, axis=spec.sample_axis)

    def _count(self, feeds: Mapping[str, Array]) -> int:
        sizes = {s.name: feeds[s.name].shape[s.sample_axis] for s in self.specs if s.sample_axis is not None}
        return next(iter(sizes.values())) if sizes else 1

    def _read(self, items: Iterable[Any], labels: Array | None, *, streamed: bool) -> Iterator[Block]:
        """Yield the blocks, each with its labels: its own, or its part of `labels`.

        Blocks of a stream are converted one by one, so that what is wrong with one costs none before it; data that is
        given whole is converted batch by batch, since it may be larger than the memory.
        """
        at = 0
        for item in _guarded(items):
            named, own = self._named(item)
            feeds = {spec.name: fitting(named[spec.name], spec) for spec in self.specs}
            sizes = {s.name: feeds[s.name].shape[s.sample_axis] for s in self.specs if s.sample_axis is not None}
            if len(set(sizes.values())) > 1:
                raise DataError(f"X: expected the same number of samples in every input, got {sizes}")
            count = next(iter(sizes.values()), 1)
            given = labels[at : at + count] if labels is not None else own
            _check_labels(given, count)
            if streamed:
                feeds = {s.name: _converted(feeds[s.name], s, at, at + count) for s in self.specs}
            at += count
            yield feeds, given
        _check_labels(labels, at)

    def _named(self, item: Any) -> tuple[dict[str, Any], Array | None]:
        names = [spec.name for spec in self.specs]
        if isinstance(item := flat(item), Mapping):
            return self._from_mapping(item, names)
        several = isinstance(item, tuple | list) and not (len(names) == 1 and is_numbers(item))
        parts = list(item) if several else [item]
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
                raise DataError(f"X: expected {', '.join(map(str, self.specs))}, got {sorted(given)}")
        return given, None if labels is None else as_array(labels)


def _guarded(items: Iterable[Any]) -> Iterator[Any]:
    """Yield what a caller's own iterator yields; what it raises becomes a DataError."""
    try:
        yield from items
    except WuaError:
        raise
    except Exception as error:  # whatever the caller's code raises
        raise DataError(
            f"X: expected an iterator that goes on, got {type(error).__name__}: {clean(str(error))}"
        ) from error


def _check_labels(labels: Array | None, samples: int) -> None:
    if labels is not None and (labels.ndim == 0 or len(labels) != samples):
        raise DataError(f"y: expected one label for each of {samples} samples, got shape {list(labels.shape)}")


def _fixed_batch(spec: InputSpec) -> int | None:
    dim = spec.dims[spec.sample_axis] if spec.dims is not None and spec.sample_axis is not None else None
    return dim if isinstance(dim, int) else None


def slice_of(array: Array, spec: InputSpec, start: int, stop: int) -> Array:
    """Return samples `start` to `stop` of an input."""
    if spec.sample_axis is None:
        return array
    return np.ascontiguousarray(array[(slice(None),) * spec.sample_axis + (slice(start, stop),)])


def _converted(array: Array, spec: InputSpec, start: int, stop: int) -> Array:
    return converted(array, spec.dtype, lambda: f"{spec}, samples {start:,} to {stop:,}")


def _part(array: Array, spec: InputSpec, start: int, stop: int, size: int) -> Array:
    """Return samples `start` to `stop` as the model takes them, with copies of the last one up to `size` samples."""
    array = _converted(slice_of(array, spec, start, stop), spec, start, stop)
    if spec.sample_axis is None or array.shape[spec.sample_axis] == size:
        return array
    missing = size - array.shape[spec.sample_axis]
    copies = np.repeat(array.take([-1], axis=spec.sample_axis), missing, axis=spec.sample_axis)
    return np.concatenate([array, copies], axis=spec.sample_axis)


def copies_of_last(batch: Batch, specs: tuple[InputSpec, ...], size: int) -> dict[str, Array]:
    """Return `size` copies of the last sample of `batch`, as the inputs `specs` take them."""
    feeds = dict(batch.feeds)
    for spec in specs:
        if spec.sample_axis is not None:
            last = feeds[spec.name].take([-1], axis=spec.sample_axis)
            feeds[spec.name] = np.repeat(last, size, axis=spec.sample_axis)
    return feeds
