"""A few samples out of X, in the forms that X may take."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import ConversionError
from wua_onnx.running import arrays
from wua_onnx.running.arrays import as_array as as_array

Array: TypeAlias = np.ndarray[Any, Any]
Block: TypeAlias = "dict[str, Any] | tuple[Any, ...]"


def first_block(X: Any) -> Block:
    """Return the first block of data in X: values by input name, or in the order of the inputs.

    Args:
        X: an array, a tensor, a tuple (one array an input), a mapping by input name, a list or another iterable of
            such batches, or a path to .npy or .npz.

    Raises:
        ConversionError: X is an iterator, which could not be read again, or is empty.
        DataError: the file holds no arrays.
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
    if isinstance(block, Mapping):
        return {str(name): value for name, value in block.items()}
    return tuple(block) if isinstance(block, tuple | list) else (block,)


def by_name(block: dict[str, Any], inputs: Collection[str]) -> Block:
    """Return the block without its labels, by input name; in order where one array stands under another name."""
    kept = {name: value for name, value in block.items() if name in inputs or name not in arrays.LABELS}
    return kept if len(kept) > 1 or set(kept) <= set(inputs) else tuple(kept.values())


def values_of(block: Block) -> tuple[Any, ...]:
    """Return the values of a block, in order."""
    return tuple(block.values()) if isinstance(block, dict) else block


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of an array or tensor; () of anything else."""
    return tuple(getattr(value, "shape", ()))


def samples_in(block: Block) -> int | None:
    """Return how many samples the block holds: the first axis of its first array; None where it has no arrays."""
    return next((shape[0] for shape in map(shape_of, values_of(block)) if shape), None)


def take(block: Block, count: int) -> Block:
    """Return a block of exactly `count` samples, repeated from the start where X has fewer.

    Values whose first axis is not that of the samples, and those that are no arrays, stay whole.
    """
    samples = samples_in(block)
    if not samples:
        return block
    index = np.arange(count) % samples

    def cut(value: Any) -> Any:
        if shape_of(value)[:1] != (samples,):
            return value
        return value[: index[-1] + 1] if count <= samples else value[index]

    return {n: cut(v) for n, v in block.items()} if isinstance(block, dict) else tuple(cut(v) for v in block)
