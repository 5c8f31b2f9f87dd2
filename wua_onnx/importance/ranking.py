"""One sort of a layer's importances, and the sums that every metric is made of.

The sort stays in float32 where the importances are (half the memory, twice the speed); sums are float64, over chunks
that fit the cache, each divided by the layer's largest importance so that nothing overflows or underflows.
Within a chunk NumPy sums pairwise, across chunks `math.fsum` is exact: the relative error of a sum stays below 1e-13.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wua_onnx.errors import WuaError

Array = NDArray[Any]

# Below the length from which BLAS starts threads of its own: layers are the unit of parallel work.
_CHUNK = 8192
# Shares below this of the largest importance are zero to every sum; their logarithm need not be taken.
_NEGLIGIBLE = 1e-300
# Covering c of a sum means reaching c·(1 - this), so that rounding does not decide about ties.
SLACK = 1e-12


class Distribution(Protocol):
    """What metrics and histograms ask of the finite importances of a layer; x = I / peak.

    `Ranking` has them sorted; `wua_onnx.importance.cells.Cells` knows how many lie where.
    """

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def non_finite(self) -> int:
        """How many others there were."""

    @property
    def peak(self) -> float:
        """The largest; 0 when there is none."""

    @property
    def total(self) -> float:
        """Σ x."""

    @property
    def x_log_x(self) -> float:
        """Σ x ln x."""

    @property
    def ranked(self) -> float:
        """Σ (2i - N - 1) x_(i), ascending, i from 1: N·Σ x times the Gini coefficient."""

    def count_below(self, threshold: float) -> int:
        """How many are strictly below `threshold`."""

    def counts_below(self, thresholds: Array) -> Array:
        """How many are strictly below each of several thresholds, an array of float64."""

    def count_zeros(self) -> int:
        """How many are exactly 0."""

    def value_at(self, index: int) -> float:
        """The `index`-th in ascending order, from 0."""

    def count_covering(self, share: float) -> int:
        """The smallest number, largest first, that add up to `share` of their sum."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The finite importances of a layer in ascending order.

    Attributes:
        values: one-dimensional, float32 or float64, ascending, all >= 0 and finite.
        non_finite: how many others there were, NaN or infinite.
    """

    values: Array
    non_finite: int

    @property
    def peak(self) -> float:
        """The largest importance; 0 when there is none."""
        return float(self.values[-1]) if self.values.size else 0.0

    def count_below(self, threshold: float) -> int:
        """How many are strictly below `threshold`, compared in float64 without converting them."""
        if threshold > self.peak:
            return self.values.size
        key = self.values.dtype.type(threshold)
        if float(key) < threshold:  # no value lies between the threshold and the next number of this type
            key = np.nextafter(key, np.inf, dtype=self.values.dtype)
        return int(np.searchsorted(self.values, key, side="left"))

    def counts_below(self, thresholds: Array) -> Array:
        """How many are strictly below each of several thresholds; see `count_below`."""
        with np.errstate(over="ignore"):
            keys = thresholds.astype(self.values.dtype)
        keys = np.where(keys < thresholds, np.nextafter(keys, np.inf, dtype=keys.dtype), keys)
        return np.where(thresholds > self.peak, self.values.size, self.values.searchsorted(keys))

    def count_zeros(self) -> int:
        """How many are exactly 0."""
        return int(np.searchsorted(self.values, self.values.dtype.type(0), side="right"))

    @property
    def size(self) -> int:
        """How many there are."""
        return self.values.size

    def value_at(self, index: int) -> float:
        """The `index`-th in ascending order, from 0."""
        return float(self.values[index])

    @cached_property
    def sums(self) -> Sums:
        """The sums of a ranking whose peak is above 0, computed once."""
        return sums(self)

    @property
    def total(self) -> float:
        """Σ x."""
        return self.sums.total

    @property
    def x_log_x(self) -> float:
        """Σ x ln x."""
        return self.sums.x_log_x

    @property
    def ranked(self) -> float:
        """Σ (2i - N - 1) x_(i)."""
        return self.sums.ranked

    def count_covering(self, share: float) -> int:
        """The smallest number, largest first, that add up to `share` of their sum."""
        return count_covering(self, self.sums, share)

    def cumulated(self, start: int) -> Array:
        """The sums of 1, 2, … of the largest x among the chunk of values that begins at `start`."""
        if start not in self._cumulated:
            chunk = self.values[start : start + _CHUNK]
            self._cumulated[start] = np.cumsum(chunk[::-1] / np.float64(self.peak), dtype=np.float64)
        return self._cumulated[start]

    @cached_property
    def _cumulated(self) -> dict[int, Array]:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums over the ranked importances, with x = I / peak.

    Attributes:
        total: Σ x.
        x_log_x: Σ x ln x.
        ranked: Σ (2i - N - 1) x_(i), ascending, i from 1: N·Σ x times the Gini coefficient.
        from_top: Σ x of the last chunk of `_CHUNK` values, of the last two, and so on.
        first: index of the first value that is not negligible.
    """

    total: float
    x_log_x: float
    ranked: float
    from_top: Array
    first: int


def percentile(distribution: Distribution, percent: float) -> float:
    """The `percent`-th percentile, interpolated linearly between neighbours as NumPy does; 0 when empty."""
    if not distribution.size:
        return 0.0
    lower, upper, share = neighbours(distribution.size, percent)
    low, high = distribution.value_at(lower), distribution.value_at(upper)
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def neighbours(size: int, percent: float) -> tuple[int, int, float]:
    """The indices between which a percentile of `size` values lies, and how far between them it is."""
    position = percent / 100 * (size - 1)
    lower = min(int(position), size - 1)
    return lower, min(lower + 1, size - 1), position - lower


def rank(importance: Array) -> Ranking:
    """Sort the importances of a layer, of any shape and real type; the input is left as it is.

    Raises:
        WuaError: an importance is negative, or the type is not that of real numbers.
    """
    array = np.asarray(importance)
    if array.dtype.kind in "cOSUMm":
        raise WuaError(f"importance of shape {array.shape}: expected real numbers, got {array.dtype}")
    wide = array.dtype.kind in "iu" or array.dtype.itemsize > 4
    with np.errstate(over="ignore"):  # long double beyond float64: counted as not finite
        values = array.astype(np.float64 if wide else np.float32, order="K").ravel(order="K")
    values.sort()  # -inf first, then finite, inf, NaN
    start = int(np.searchsorted(values, values.dtype.type(-np.inf), side="right"))
    stop = int(np.searchsorted(values, values.dtype.type(np.inf), side="left"))
    finite = values[start:stop]
    if finite.size and finite[0] < 0:
        raise WuaError(f"importance of shape {array.shape}: expected values >= 0, got {finite[0]:g}")
    return Ranking(values=finite, non_finite=array.size - finite.size)


def sums(ranking: Ranking) -> Sums:
    """The sums of a ranking whose peak is above 0, in one pass."""
    values, peak, size = ranking.values, ranking.peak, ranking.values.size
    first = int(np.searchsorted(values, values.dtype.type(peak * _NEGLIGIBLE), side="right"))
    buffer, logs, steps = np.empty(_CHUNK), np.empty(_CHUNK), np.arange(_CHUNK, dtype=np.float64)
    totals, products, ranked = [], [], []
    for start in range(first, size, _CHUNK):
        length = min(_CHUNK, size - start)
        x = np.divide(values[start : start + length], peak, out=buffer[:length], dtype=np.float64)
        log_x = np.log(x, out=logs[:length])
        total = float(np.add.reduce(x))
        totals.append(total)
        products.append(float(np.dot(x, log_x)))
        # i = start + step + 1 turns Σ (2i - N - 1) x into (2 start + 1 - N) Σ x + 2 Σ step·x.
        ranked += [(2 * start + 1 - size) * total, 2 * float(np.dot(steps[:length], x))]
    return Sums(
        total=math.fsum(totals),
        x_log_x=math.fsum(products),
        ranked=math.fsum(ranked),
        from_top=np.cumsum(totals[::-1]),
        first=first,
    )


def count_covering(ranking: Ranking, sums: Sums, share: float) -> int:
    """The smallest number of importances, largest first, that add up to `share` of their sum."""
    need = share * sums.total * (1 - SLACK)
    from_top = sums.from_top
    skipped = min(int(from_top.searchsorted(need)), from_top.size - 1)
    reached = float(from_top[skipped - 1]) if skipped else 0.0
    start = sums.first + (from_top.size - 1 - skipped) * _CHUNK
    inside = ranking.cumulated(start)
    above = ranking.values.size - start - inside.size
    return above + min(int(inside.searchsorted(need - reached)) + 1, inside.size)
