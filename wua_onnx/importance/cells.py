"""A distribution of importances known by cells: how many lie in each, and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wua_onnx.importance.ranking import SLACK, Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """What `Ranking` answers, without the values: exact where a cell is a single value, else with a known error.

    Attributes:
        low, high: smallest and largest value a cell may hold, ascending; equal where it is one value.
        counts: how many importances lie in each cell, all above 0.
        sums: Σ x of each cell, x = I / peak.
        non_finite: how many importances are NaN or infinite; they are in no cell.
        size: how many are finite.
        peak: the largest importance.
        total: Σ x.
        x_log_x: Σ x ln x.
    """

    low: Array
    high: Array
    counts: Array
    sums: Array
    non_finite: int
    size: int
    peak: float
    total: float
    x_log_x: float

    @cached_property
    def inner_spread(self) -> Array:
        """The most that Σ (2i - n - 1) x over the n values of each cell can be; 0 where they are equal."""
        low, high = self.low / self.peak, self.high / self.peak
        width = high - low
        mean = np.clip(self.sums / self.counts, low, high)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = self.counts.astype(np.float64) ** 2 * (mean - low) * (high - mean) / width
        # A mean within rounding of an end of the cell: all of its values are that end.
        at_an_end = np.minimum(mean - low, high - mean) <= 1e-13 * high
        return np.where((width > 0) & ~at_an_end, spread, 0.0)

    @cached_property
    def _before(self) -> Array:
        """How many importances lie in the cells before each."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def ranked(self) -> float:
        """Σ (2i - N - 1) x_(i): between cells as it is, within them half of the most it can be."""
        between = float(np.sum(self.sums * (2 * self._before + self.counts - self.size)))
        return between + float(self.inner_spread.sum()) / 2

    def count_below(self, threshold: float) -> int:
        """How many are strictly below `threshold`."""
        least, most = self.count_below_bounds(threshold, threshold)
        return (least + most) // 2

    def counts_below(self, thresholds: Array) -> Array:
        """How many are strictly below each of several thresholds."""
        return np.array([self.count_below(float(threshold)) for threshold in thresholds])

    def count_below_bounds(self, lowest: float, highest: float) -> tuple[int, int]:
        """The fewest and the most that can be below a threshold from `lowest` to `highest`."""
        sure = int(np.searchsorted(self.high, lowest, side="left"))
        open_ = int(np.searchsorted(self.low, highest, side="left"))
        return self._count_to(sure), self._count_to(max(open_, sure))

    def _count_to(self, cell: int) -> int:
        return self.size if cell == self.low.size else int(self._before[cell])

    def count_zeros(self) -> int:
        """How many are exactly 0."""
        return int(self.counts[0]) if self.counts.size and self.high[0] == 0.0 else 0

    def value_bounds(self, index: int) -> tuple[float, float]:
        """Between which values the importance lies that is the `index`-th in ascending order, from 0."""
        cell = int(np.searchsorted(self._before, index, side="right")) - 1
        return float(self.low[cell]), float(self.high[cell])

    def value_at(self, index: int) -> float:
        """The importance that is the `index`-th in ascending order, from 0."""
        low, high = self.value_bounds(index)
        return low + (high - low) / 2

    def covering_bounds(self, share: float) -> tuple[int, int]:
        """The fewest and the most of the largest importances that may be needed to reach `share` of the sum."""
        need = share * self.total * (1 - SLACK)
        from_top = np.cumsum(self.sums[::-1])
        above = min(int(np.searchsorted(from_top, need)), from_top.size - 1)
        cell = from_top.size - 1 - above
        before = self.size - int(self._before[cell]) - int(self.counts[cell])
        rest = need - (float(from_top[above - 1]) if above else 0.0)
        fewest, most = (self._needed(rest, edge, cell) for edge in (self.high[cell], self.low[cell]))
        return before + fewest, before + most

    def _needed(self, rest: float, value: float, cell: int) -> int:
        """How many of `value` make up `rest`, at least one and at most what the cell holds."""
        count = int(self.counts[cell])
        if value <= 0.0:
            return count
        return min(max(int(np.ceil(min(rest / (float(value) / self.peak), count))), 1), count)

    def count_covering(self, share: float) -> int:
        """The smallest number of importances, largest first, that add up to `share` of their sum."""
        fewest, most = self.covering_bounds(share)
        return (fewest + most) // 2

    @property
    def gini_bound(self) -> float:
        """How far the Gini coefficient can be off."""
        return float(self.inner_spread.sum()) / 2 / (self.size * self.total)
