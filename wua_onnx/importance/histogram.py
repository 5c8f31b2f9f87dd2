"""How the importances of a layer are distributed, for drawing."""

from __future__ import annotations

import math

import numpy as np

from wua_onnx.errors import WuaError
from wua_onnx.importance.cells import Cells
from wua_onnx.importance.ranking import Array, Distribution, rank

# At most this many powers of ten below the largest importance are told apart.
_DECADES = 8
# The first edge leaves at most this percentage of the non-zero importances below it.
_TAIL_PERCENT = 0.1


def histogram(importance: Array, bins: int = 40, *, ranking: Distribution | None = None) -> tuple[Array, Array]:
    """Histogram of log10(p·N): 0 is a weight with the mean importance, 1 one with ten times as much.

    Importances span powers of ten, so the scale is logarithmic; dividing by the mean makes layers comparable.
    The edges begin and end at whole powers of ten. Zeros have no logarithm and are in no bin: their number is that
    of the finite importances less the sum of the counts. The few below the first edge are in the first bin.

    Returns:
        Edges, `(bins + 1,)` float64, and counts, `(bins,)` int64. For a dead layer the counts are all 0.

    Raises:
        WuaError: `bins` is below 1, or as in `rank`.
    """
    if bins < 1:
        raise WuaError(f"histogram: expected at least 1 bin, got {bins}")
    ranking = rank(importance) if ranking is None else ranking
    zeros = ranking.count_zeros()
    if zeros == ranking.size:
        return np.linspace(-1.0, 1.0, bins + 1), np.zeros(bins, dtype=np.int64)
    log_mean = _log10_mean(ranking)
    low, high = _range(ranking, ranking.value_at(_tail(ranking, zeros)), log_mean)
    edges = np.linspace(low, high, bins + 1)
    below = ranking.counts_below(np.array(_thresholds(edges, log_mean))).tolist()
    return edges, np.diff([zeros, *below, ranking.size]).astype(np.int64)


def histogram_ranges(cells: Cells, bins: int = 40) -> list[tuple[float, float]]:
    """The ranges of importances that have to be told apart for the histogram."""
    zeros = cells.count_zeros()
    tails = cells.value_bounds(_tail(cells, zeros))
    log_mean = _log10_mean(cells)
    ranges = [tails]
    for low, high in {_range(cells, tail, log_mean) for tail in tails if tail > 0.0}:
        ranges += [(at, at) for at in _thresholds(np.linspace(low, high, bins + 1), log_mean)]
    return ranges


def _thresholds(edges: Array, log_mean: float) -> list[float]:
    return [_power_of_ten(edge + log_mean) for edge in edges[1:-1]]


def _log10_mean(ranking: Distribution) -> float:
    """log10 of the mean over all finite importances, zeros included, without overflow."""
    return math.log10(ranking.peak) + math.log10(ranking.total / ranking.size)


def _tail(ranking: Distribution, zeros: int) -> int:
    """Index of the importance that leaves `_TAIL_PERCENT` of those above 0 below it."""
    return zeros + int((ranking.size - zeros) * _TAIL_PERCENT / 100)


def _range(ranking: Distribution, tail: float, log_mean: float) -> tuple[int, int]:
    """First and last edge, whole numbers at least 1 apart."""
    high = max(math.ceil(math.log10(ranking.peak) - log_mean), 1)
    return max(min(math.floor(math.log10(tail) - log_mean), high - 1), high - _DECADES), high


def _power_of_ten(exponent: float) -> float:
    return 10.0**exponent if exponent < 308 else math.inf
