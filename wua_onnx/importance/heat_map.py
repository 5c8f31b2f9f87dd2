"""A picture of a layer's importances in a few characters: means of blocks, and the kernels of the strongest filters.

Levels are hexadecimal digits: 0 is none, f is `SPAN` times the mean of the layer and more, so that layers compare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from wua_onnx.importance.ranking import Array

CELLS = 32  # blocks along an axis, at most
FILTERS = 16  # kernels that are shown, at most
SPAN = 3.0  # times the mean: the highest level
_KERNEL = 256  # elements of a kernel that is shown, at most
_LEVELS = 15
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Levels of importance.

    Attributes:
        levels: a string for each row of blocks, a digit for each block in it.
        shape: the rows and columns of weights that the blocks cover; a kernel is one of them.
        kernel: rows and columns of a kernel; None where there is none of more than one element.
        filters: the strongest filters, the strongest first.
        kernels: a string for each, a digit for each element: means over what comes in (and over depth).
    """

    levels: tuple[str, ...]
    shape: tuple[int, int]
    kernel: tuple[int, int] | None = None
    filters: tuple[int, ...] = ()
    kernels: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        found: dict[str, Any] = {"span": SPAN, "shape": list(self.shape), "levels": list(self.levels)}
        if self.kernel is None:
            return found
        kernels = {"shape": list(self.kernel), "filters": list(self.filters), "levels": list(self.kernels)}
        return found | {"kernels": kernels}


class Heat:
    """Adds up the importances of a layer block by block, in as many pieces as they come.

    Rows are the first axis of a matrix and of a convolution (out, in / groups, ...), whose kernels are summed; those
    of an array of three axes (gates, hidden, in) are its first two, and no block is of two gates.
    """

    def __init__(self, shape: Sequence[int], *, convolution: bool) -> None:
        self._size, self._total = math.prod(shape), 0.0
        self._kernel = tuple(shape[2:]) if convolution else ()
        self._grouped = not convolution and len(shape) == 3
        self.has_kernels = False
        self.drawable = self._size > 0 and (len(shape) == 2 or self._grouped or (convolution and len(shape) > 2))
        if not self.drawable:
            return
        groups = shape[0] if self._grouped else 1
        self._inner = shape[1]
        self.shape = (groups * shape[1], shape[2]) if self._grouped else (shape[0], shape[1])
        most = CELLS - CELLS % groups if groups <= CELLS else CELLS
        self._rows, self._columns = _edges(self.shape[0], most), _edges(self.shape[1], CELLS)
        self._sums = np.zeros((self._rows.size - 1, self._columns.size - 1))
        self.has_kernels = 1 < math.prod(self._kernel) <= _KERNEL
        self._kernels = np.zeros((shape[0], *self._kernel) if self.has_kernels else 0)

    def add(self, scores: Array, axis: int = 0, start: int = 0) -> None:
        """Add a piece of the importances: what begins at `start` along `axis`."""
        if not self.drawable:
            return
        at = [start if axis == each else 0 for each in range(scores.ndim)]
        with np.errstate(over="ignore", invalid="ignore"):
            if self._grouped:
                for group, part in enumerate(scores, at[0]):
                    self._add(part, group * self._inner + at[1], at[2])
            else:
                self._add(scores, at[0], at[1])

    def add_kernels(self, scores: Array, axis: int, start: int) -> None:
        """Add a piece to the kernels of all filters, where the strongest are not yet known."""
        if not self.has_kernels:
            return
        place: list[slice] = [slice(None)] * scores.ndim
        place[axis] = slice(start, start + scores.shape[axis])
        del place[1]
        with np.errstate(over="ignore", invalid="ignore"):
            self._kernels[tuple(place)] += scores.sum(axis=1)

    def _add(self, part: Array, row: int, column: int) -> None:
        top, rows = _inside(self._rows, row, part.shape[0])
        left, columns = _inside(self._columns, column, part.shape[1])
        single = rows.size == part.shape[0] + 1  # every row is a block
        sums = part if single else np.array([part[begin:end].sum(axis=0) for begin, end in pairwise(rows.tolist())])
        sums = sums.reshape(*sums.shape[:2], -1).sum(axis=2, dtype=np.float64)
        blocks = np.add.reduceat(sums, columns[:-1], axis=1)
        self._sums[top : top + blocks.shape[0], left : left + blocks.shape[1]] += blocks

    def drawn(self, neurons: Array, scores: Array | None = None) -> HeatMap | None:
        """Return what was added; None where it is not finite, all 0, or no picture.

        Args:
            neurons: sum of the importances of each neuron, which decides what filters are strongest.
            scores: all importances; None where `add_kernels` has been given them.
        """
        if not self.drawable or not 0 < self._sums.sum() < math.inf:
            return None
        mean, depth = self._sums.sum() / self._size, math.prod(self._kernel)
        counts = np.outer(np.diff(self._rows), np.diff(self._columns)) * depth
        levels = _digits(self._sums / counts / mean)
        if not self.has_kernels:
            return HeatMap(levels=levels, shape=self.shape)
        strongest = np.argsort(-neurons, kind="stable")[:FILTERS]
        sums = self._kernels[strongest] if scores is None else scores[strongest].sum(axis=1, dtype=np.float64)
        kernels = _flat(sums / self.shape[1] / mean)
        return HeatMap(
            levels=levels,
            shape=self.shape,
            kernel=(kernels.shape[1], kernels.shape[2]),
            filters=tuple(map(int, strongest)),
            kernels=_digits(kernels.reshape(len(kernels), -1)),
        )


def _flat(kernels: Array) -> Array:
    """Return kernels of one or three dimensions as some of two: one row, or the mean over depth."""
    while kernels.ndim > 3:
        kernels = kernels.mean(axis=1)
    return kernels if kernels.ndim == 3 else kernels[:, np.newaxis, :]


def _edges(size: int, cells: int) -> Array:
    """Return the bounds of at most `cells` blocks of nearly the same size."""
    count = min(size, cells)
    return np.arange(count + 1) * size // count


def _inside(edges: Array, start: int, length: int) -> tuple[int, Array]:
    """Return the first block that a piece of `length` from `start` is in, and the bounds of the blocks within it."""
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, start + length, side="left"))
    return first, np.clip(edges[first : last + 1] - start, 0, length)


def _digits(values: Array) -> tuple[str, ...]:
    """Return shares of the mean as digits, a text for each row."""
    steps = np.clip(np.rint(values * (_LEVELS / SPAN)), 0, _LEVELS).astype(np.intp)
    return tuple(line.tobytes().decode("ascii") for line in _HEX[steps])
