"""Batches run in slices whose activations stay in the caches of a processor.

A tap reads what a layer has just written. In a large batch that has left the caches by then; a few samples at a time
are still there, and take less memory. Nobody sees the slices: what they return is joined before it is read. A batch is
run whole where the model may tell its samples from each other by what else is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.model import dims as d
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import Model
from wua_onnx.recording.apart import keeps_apart, symbols_of
from wua_onnx.recording.instrument import Instrumented
from wua_onnx.recording.taps import Tap
from wua_onnx.running import Batch, InputSpec
from wua_onnx.running.batches import slice_of

Array: TypeAlias = np.ndarray[Any, Any]
Feeds: TypeAlias = Mapping[str, Array]

ROOM = 16 * 2**20  # bytes of the largest activation of a slice; the same everywhere, so that results are, too
_ITEM = 4  # bytes of a number


class Slices:
    """How the batches of a model are cut.

    Args:
        model: the model.
        specs: its inputs.
        plan: what is recorded.
        whole: batches are not to be cut.
    """

    def __init__(self, model: Model, specs: tuple[InputSpec, ...], plan: Instrumented, *, whole: bool) -> None:
        self._model, self._specs, self._whole = model, specs, whole
        self._taps: list[Tap] = [tap for tap, _ in plan.taps.values()]
        self._apart: bool | None = None  # not known yet
        self._sizes: dict[tuple[tuple[int, ...], ...], int | None] = {}

    def of(self, batch: Batch) -> Iterator[tuple[Feeds, int]]:
        """Yield the slices of a batch, as even as can be, each with its number of samples."""
        feeds, samples = batch.feeds, batch.samples
        size = None if self._whole else self._size(feeds)
        runs = 1 if size is None else -(-samples // size)
        if runs == 1 or not self._keeps_samples_apart():
            yield feeds, samples
            return
        for run in range(runs):
            start, stop = run * samples // runs, (run + 1) * samples // runs
            yield {spec.name: slice_of(feeds[spec.name], spec, start, stop) for spec in self._specs}, stop - start

    def _size(self, feeds: Feeds) -> int | None:
        """Return how many samples may be run at once; None for any number."""
        key = tuple(spec.others(feeds[spec.name].shape) for spec in self._specs)
        if key not in self._sizes:
            sizes = {
                name: 1 if axis == spec.sample_axis else size
                for spec in self._specs
                for axis, (dim, size) in enumerate(zip(spec.dims or (), feeds[spec.name].shape, strict=False))
                for name in symbols_of(dim)
                if d.symbol(name) == dim
            }
            self._sizes[key] = self._fitting(sizes)
        return self._sizes[key]

    def _fitting(self, sizes: Mapping[str, int]) -> int | None:
        """Return how many samples fit into the room, but no fewer than make it worth to read the weights again."""
        written = [_bytes(tap.dims, sizes) for tap in self._taps]
        if not any(written):
            return None
        weights = sum(
            value.const_value.nbytes
            for value in self._model.ir_model.graph.initializers.values()
            if value.const_value is not None
        )
        return max(ROOM // max(written), weights // (2 * sum(written)), 1)

    def _keeps_samples_apart(self) -> bool:
        if self._apart is None:
            batch = frozenset(
                name
                for spec in self._specs
                if spec.dims is not None and spec.sample_axis is not None
                for name in symbols_of(spec.dims[spec.sample_axis])
            )
            self._apart = all(spec.sample_axis is not None for spec in self._specs) and keeps_apart(self._model, batch)
        return self._apart


def _bytes(dims: tuple[Dim | None, ...], sizes: Mapping[str, int]) -> int:
    """Return the bytes of an activation where the symbols of its dimensions have `sizes`; 0 where they do not tell."""
    if any(dim is None or not symbols_of(dim) <= sizes.keys() for dim in dims):
        return 0
    return d.evaluate(d.product(dim for dim in dims if dim is not None), sizes) * _ITEM
