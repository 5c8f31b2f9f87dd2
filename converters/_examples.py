"""A few samples out of X, in the forms that X may take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import ConversionError
from wua_onnx.running import arrays
from wua_onnx.running.arrays import as_array as as_array

Array: TypeAlias = np.ndarray[Any, Any]
_SHORTEST = 3  # steps
Block: TypeAlias = "dict[str, Any] | tuple[Any, ...]"


def first_block(X: Any) -> Block:
    """Return the first block of data in X: values by input name, or in the order of the inputs.

    Args:
        X: an array, a tensor, a tuple (one array an input), a mapping by input name, a list or another iterable of
            such batches, or a path to .npy or .npz.

    Raises:
        ConversionError: X is an iterator, which could not be read again, or is empty.
        DataError: the file holds no arrays, or X sparse tensors.
    """
    if isinstance(X, Iterator):
        raise ConversionError(
            "X: expected data that can be read again, got an iterator: its first batch would be lost to the example"
        )
    block = arrays.whole(X)
    if block is None:
        block = next(iter(X), None)
        if block is None:
            raise ConversionError("X: expected at least one batch, got none")
    block = arrays.flat(block)
    if isinstance(block, Mapping):
        return {str(name): _sliceable(value) for name, value in block.items()}
    return tuple(map(_sliceable, block if isinstance(block, tuple | list) else [block]))


def _sliceable(value: Any) -> Any:
    """Return what samples can be cut out of: a table of pandas as an array."""
    return as_array(value) if hasattr(value, "iloc") else arrays.dense(value)


def by_name(block: dict[str, Any], inputs: Collection[str]) -> Block:
    """Return the block without its labels, by input name; in order where one array stands under another name."""
    kept = {name: value for name, value in block.items() if name in inputs or name not in arrays.LABELS}
    return kept if len(kept) > 1 or set(kept) <= set(inputs) else tuple(kept.values())


def without_labels(block: dict[str, Any]) -> dict[str, Any]:
    """Return the block without its labels."""
    return {name: value for name, value in block.items() if name not in arrays.LABELS}


def values_of(block: Block) -> tuple[Any, ...]:
    """Return the values of a block, in order."""
    return tuple(block.values()) if isinstance(block, dict) else block


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of an array or tensor; () of anything else."""
    return tuple(getattr(value, "shape", ()))


def samples_in(block: Block, axis: int = 0) -> int | None:
    """Return how many samples lie along `axis` of the first array that has it; None where none has."""
    return next((shape[axis] for shape in map(shape_of, values_of(block)) if len(shape) > axis), None)


def sample_axis(value: Any, samples: int | None, axis: int = 0) -> int | None:
    """Return along which axis of the value the samples lie, `axis` or the first; None where it has none of that size.

    What goes beside a sequence (steps, samples, features) has often its samples first: lengths, masks.
    """
    return next((number for number in (axis, 0) if shape_of(value)[number : number + 1] == (samples,)), None)


def take(block: Block, count: int, axis: int = 0) -> Block:
    """Return a block of exactly `count` samples, repeated from the start where X has fewer.

    Values without an axis of the samples, and those that are no arrays, stay whole.
    """
    samples = samples_in(block, axis)
    if not samples:
        return block
    index = np.arange(count) % samples

    def cut(value: Any) -> Any:
        own = sample_axis(value, samples, axis)
        if own is None:
            return value
        return value[(slice(None),) * own + (slice(index[-1] + 1) if count <= samples else index,)]

    return {n: cut(v) for n, v in block.items()} if isinstance(block, dict) else tuple(cut(v) for v in block)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many samples a block holds, along which axis, and how long its sequences are, where they have one length."""

    samples: int | None
    axis: int
    length: int | None = None

    def axis_of(self, value: Any) -> int | None:
        """Return the axis of the samples in the value; None where it has none."""
        return sample_axis(value, self.samples, self.axis)

    def length_of(self, value: Any) -> int | None:
        """Return the size of the axis beside that of the samples, among the first two."""
        own = self.axis_of(value)
        shape = shape_of(value)
        return int(shape[1 - own]) if own in (0, 1) and len(shape) > 1 else None


def sizes_of(block: Block, axis: int = 0) -> Sizes:
    """Return the sizes of the block.

    Sequences are those of token ids, masks, rows of features; shorter ones than can be traced with one step fewer are
    none.
    """
    sizes = Sizes(samples_in(block, axis), axis)
    lengths = {sizes.length_of(value) for value in values_of(block) if _is_sequence(value)} - {None}
    length = lengths.pop() if len(lengths) == 1 else None
    return replace(sizes, length=length if length is not None and length >= _SHORTEST else None)


def _is_sequence(value: Any) -> bool:
    floating = "float" in str(getattr(value, "dtype", ""))
    return len(shape_of(value)) == (3 if floating else 2)
