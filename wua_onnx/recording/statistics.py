"""Statistics of the neurons of one layer, added up across batches in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class NeuronStatistics:
    """What was recorded of the neurons of one layer.

    Attributes:
        mean: mean |a| of each neuron over every sample and position, shape (neurons,), float64.
        standard_error: of `mean` over the units averaged (samples, or batches where samples cannot be told apart);
            NaN where there are fewer than two.
        range: max a - min a of each neuron; None where it was not recorded.
        positions: values averaged for each neuron.
        non_finite: neurons with a NaN or infinite activation; their mean is NaN.
    """

    mean: Array
    standard_error: Array
    range: Array | None
    positions: int
    non_finite: int

    def dead(self, smooth: bool) -> Array:
        """Return which neurons are dead: max|a| = 0, or no range to speak of for smooth functions."""
        finite = self.mean[np.isfinite(self.mean)]
        largest = float(finite.max()) if finite.size else 0.0
        silent = self.mean == 0.0
        if smooth and self.range is not None:
            silent = silent | (self.range < 1e-6 * largest)
        return np.asarray(silent)


class Accumulator:
    """Adds up the statistics of one tap in double precision; a unit weighs as many values as it averaged.

    Squares are taken of differences to the first unit, so that a small spread around a large mean is not lost.
    """

    def __init__(self, neurons: int) -> None:
        self.positions = 0
        self.units = 0  # samples, or batches
        self.total = np.zeros(neurons)  # Σ w·m, with m the mean |a| of a unit and w its values
        self.shift: Array | None = None
        # Σ w², Σ w²·(m − shift), Σ w²·(m − shift)²
        self.moments: list[Array] = [np.zeros(()), np.zeros(neurons), np.zeros(neurons)]
        self.largest: Array | None = None
        self.smallest: Array | None = None

    def add(self, means: Array, positions: int) -> None:
        """Add units.

        Args:
            means: mean |a| of each unit over its positions, shape (units, neurons).
            positions: positions in one unit.
        """
        means = means.astype(np.float64)
        if self.shift is None:
            self.shift = np.where(np.isfinite(means[0]), means[0], 0.0)
        self.total += means.sum(axis=0) * positions
        self.positions += positions * len(means)
        self.units += len(means)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = means - self.shift
            sums = (np.asarray(float(len(means))), apart.sum(axis=0), np.square(apart).sum(axis=0))
        for moment, part in zip(self.moments, sums, strict=True):
            moment += part * float(positions) ** 2

    def extend_range(self, largest: Array, smallest: Array) -> None:
        """Widen the range by the extremes of a batch, shape (neurons,) each."""
        self.largest = largest if self.largest is None else np.maximum(self.largest, largest)
        self.smallest = smallest if self.smallest is None else np.minimum(self.smallest, smallest)

    def result(self) -> NeuronStatistics:
        """Return the statistics so far."""
        with np.errstate(invalid="ignore", over="ignore"):
            mean = self.total / max(self.positions, 1)
            spread = None
            if self.largest is not None and self.smallest is not None:
                spread = self.largest.astype(np.float64) - self.smallest.astype(np.float64)
            error = self._standard_error(mean)
        bad = ~np.isfinite(mean)
        mean[bad] = np.nan
        return NeuronStatistics(mean, error, spread, self.positions, int(bad.sum()))

    def _standard_error(self, mean: Array) -> Array:
        """Return sqrt(n / (n − 1) · Σ w²(m − mean)²) / Σ w; for equal weights the standard deviation over √n."""
        if self.units < 2 or self.shift is None:
            return np.full_like(mean, np.nan)
        off, (weights, first, second) = mean - self.shift, self.moments
        squares = second - 2 * off * first + np.square(off) * weights
        return np.asarray(np.sqrt(np.maximum(squares, 0.0) * self.units / (self.units - 1)) / self.positions)
