"""The distribution of importances that are too many to be sorted, from two passes over them in chunks.

Non-negative floating-point numbers are ordered as their bits are. The first pass counts and adds up the importances by
their leading bits; the second counts those bins again, by twelve bits more, that hold an answer: a percentile, the
last weight of a coverage, a threshold, or much of the uncertainty of the Gini coefficient.

Exact, whatever the number: sums, entropy, the largest importance, zeros. Exact where importances are float32:
percentiles, coverage, sparsity. Within bounds that `LayerMetrics.error_bound` states: the Gini coefficient, and for
float64 everything that looks into a bin. Of a bin whose number, mean and range are known, the Gini coefficient lies
between that of equal values and that of values at both ends (Gastwirth, "The Estimation of the Lorenz Curve and Gini
Index", 1972).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from wua_onnx.errors import WuaError
from wua_onnx.importance.cells import Cells
from wua_onnx.importance.ranking import Array

Chunks = Callable[[], Iterator[Array]]

_BLOCK = 1 << 18
_FINE = 12  # bits of the second pass
_BINS = 1 << 19  # bins of the first pass: 19 bits after the sign, which is 0
_TIGHTENED = 64  # bins that are counted again for the Gini coefficient alone
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class _Format:
    """How the bits of a floating-point type are read."""

    dtype: type[np.floating]
    bits: type[np.unsignedinteger]
    shift: int

    def keys(self, values: Array) -> Array:
        """The leading bits of `values`, as numbers of bins."""
        return np.asarray(values.view(self.bits) >> self.bits(self.shift), dtype=np.intp)

    def edges(self, keys: Array, shift: int) -> Array:
        """The smallest value whose bits, `shift` of them taken off, are `keys`, as float64."""
        with np.errstate(invalid="ignore"):
            return np.asarray((keys.astype(self.bits) << self.bits(shift)).view(self.dtype), dtype=np.float64)

    def cells(self, keys: Array, shift: int) -> tuple[Array, Array]:
        """Smallest and largest value of the bins `keys`."""
        low, following = self.edges(keys, shift), self.edges(keys + 1, shift)
        if not shift:
            return low, low
        largest = float(np.finfo(self.dtype).max)
        return low, np.where(np.isfinite(following), following, largest)


_FORMATS = {4: _Format(np.float32, np.uint32, 12), 8: _Format(np.float64, np.uint64, 44)}


@dataclass(slots=True)
class _FirstPass:
    """Sums, and counts by leading bits, of all chunks. Sums are relative to the largest importance so far."""

    form: _Format
    size: int = 0
    non_finite: int = 0
    zeros: int = 0
    peak: float = 0.0
    total: float = 0.0
    x_log_x: float = 0.0
    counts: Array = field(default_factory=lambda: np.zeros(_BINS, dtype=np.int64))
    sums: Array = field(default_factory=lambda: np.zeros(_BINS))

    def add(self, values: Array) -> None:
        """Add finite importances, one-dimensional, of the type of `form`."""
        if not values.size:
            return
        self._rescale(float(values.max()))
        self.size += values.size
        self.zeros += values.size - int(np.count_nonzero(values))
        x = values.astype(np.float64)
        if self.peak > 0.0:
            x /= self.peak
        keys = self.form.keys(values)
        first = int(keys.min())
        keys -= first
        counts, sums = np.bincount(keys), np.bincount(keys, weights=x)
        self.counts[first : first + counts.size] += counts
        self.sums[first : first + sums.size] += sums
        self.total += float(np.add.reduce(x))
        self.x_log_x += math.fsum(_x_log_x(x[i : i + 8192]) for i in range(0, x.size, 8192))

    def _rescale(self, peak: float) -> None:
        if peak <= self.peak:
            return
        ratio = self.peak / peak
        if ratio > 0.0:
            self.x_log_x = ratio * (self.x_log_x + math.log(ratio) * self.total)
        self.total *= ratio
        self.sums *= ratio
        self.peak = peak

    def cells(self) -> Cells:
        """What is known after this pass."""
        return self._cells(*self._coarse(np.flatnonzero(self.counts)))

    def refined(self, second: _SecondPass) -> Cells:
        """What is known after both passes."""
        left = np.flatnonzero(self.counts)
        left = left[second.slots[left] < 0]
        coarse, fine = self._coarse(left), second.cells(self.form, self.peak)
        merged = [np.concatenate(pair) for pair in zip(coarse, fine, strict=True)]
        order = np.argsort(merged[0], kind="stable")
        return self._cells(*(part[order] for part in merged))

    def _coarse(self, keys: Array) -> tuple[Array, Array, Array, Array]:
        return *self.form.cells(keys, self.form.shift), self.counts[keys], self.sums[keys]

    def _cells(self, low: Array, high: Array, counts: Array, sums: Array) -> Cells:
        """Zeros become a cell of their own; no value lies above the largest importance."""
        if self.zeros:
            counts = counts.copy()
            counts[0] -= self.zeros
            keep = counts > 0
            low, high, counts, sums = (part[keep] for part in (low, high, counts, sums))
            low, high, sums = (np.insert(part, 0, 0.0) for part in (low, high, sums))
            counts = np.insert(counts, 0, self.zeros)
        return Cells(
            low=low,
            high=np.minimum(high, self.peak),
            counts=counts,
            sums=sums,
            non_finite=self.non_finite,
            size=self.size,
            peak=self.peak,
            total=self.total,
            x_log_x=self.x_log_x,
        )


class _SecondPass:
    """Counts, by twelve bits more, the importances in the bins that the first pass left open."""

    def __init__(self, bins: Array) -> None:
        self.bins = bins
        self.slots = np.full(_BINS, -1, dtype=np.int32)
        self.slots[bins] = np.arange(bins.size)
        self.counts = np.zeros(bins.size << _FINE, dtype=np.int64)
        self.sums = np.zeros(bins.size << _FINE)

    def add(self, values: Array, form: _Format, peak: float) -> None:
        slots = self.slots[form.keys(values)]
        inside = slots >= 0
        values = values[inside]
        if not values.size:
            return
        below = (values.view(form.bits) >> form.bits(form.shift - _FINE)).astype(np.intp) & ((1 << _FINE) - 1)
        keys = (slots[inside].astype(np.intp) << _FINE) | below
        self.counts += np.bincount(keys, minlength=self.counts.size)
        self.sums += np.bincount(keys, weights=values / np.float64(peak), minlength=self.counts.size)

    def cells(self, form: _Format, peak: float) -> tuple[Array, Array, Array, Array]:
        """Smallest and largest value, count and sum of each cell that is not empty."""
        at = np.flatnonzero(self.counts)
        keys = (self.bins[at >> _FINE] << _FINE) | (at & ((1 << _FINE) - 1))
        return *form.cells(keys, form.shift - _FINE), self.counts[at], self.sums[at]


def distribution(chunks: Chunks, wanted: Callable[[Cells], Iterable[tuple[float, float]]]) -> Cells:
    """Return the distribution of the importances in `chunks`, which is called twice.

    Args:
        chunks: gives the importances, in arrays of any shape, float32 or float64; the same at each call.
        wanted: from what the first pass found, the ranges of importances that have to be told apart.

    Raises:
        WuaError: an importance is negative.
    """
    first = _first_pass(chunks)
    cells = first.cells()
    if first.peak == 0.0:
        return cells
    bins = _bins(cells, first.form, wanted(cells))
    second = _SecondPass(bins)
    for values in _blocks(chunks(), first.form):
        second.add(np.abs(values[np.isfinite(values)]), first.form, first.peak)
    return first.refined(second)


def _first_pass(chunks: Chunks) -> _FirstPass:
    """The first pass, begun anew with float64 where a chunk turns out to need it."""
    found = _FirstPass(_FORMATS[4])
    for chunk in chunks():
        if chunk.dtype.itemsize > found.form.dtype().itemsize:
            found = _FirstPass(_FORMATS[8])
            for values in _blocks(chunks(), found.form):
                _add(found, values)
            return found
        for values in _blocks([chunk], found.form):
            _add(found, values)
    return found


def _add(found: _FirstPass, values: Array) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        found.non_finite += values.size - int(np.count_nonzero(finite))
        values = values[finite]
    if values.size and values.min() < 0:
        raise WuaError(f"importance: expected values >= 0, got {values.min():g}")
    found.add(np.abs(values))  # -0.0 has a sign


def _blocks(chunks: Iterable[Array], form: _Format) -> Iterator[Array]:
    """Yield one-dimensional blocks that fit the cache."""
    for chunk in chunks:
        flat = chunk.ravel(order="K")
        for start in range(0, flat.size, _BLOCK):
            yield flat[start : start + _BLOCK].astype(form.dtype, copy=False)


def _bins(cells: Cells, form: _Format, wanted: Iterable[tuple[float, float]]) -> Array:
    """Which bins to count again: those in the ranges wanted, and the widest in their effect on Gini."""
    marked = np.zeros(cells.low.size, dtype=bool)
    for lowest, highest in wanted:
        start = int(np.searchsorted(cells.high, lowest, side="left"))
        stop = int(np.searchsorted(cells.low, highest, side="right"))
        marked[start:stop] = True
    marked[np.argsort(-cells.inner_spread, kind="stable")[:_TIGHTENED]] = True
    return np.unique(form.keys(cells.low[marked].astype(form.dtype)))


def _x_log_x(x: Array) -> float:
    return float(np.dot(x, np.log(np.maximum(x, _TINY))))
