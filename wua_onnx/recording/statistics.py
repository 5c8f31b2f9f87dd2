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
    """Adds up the statistics of one tap."""

    def __init__(self, neurons: int) -> None:
        self.total = np.zeros(neurons)  # sum of |a| over positions
        self.positions = 0
        self.units = 0  # samples, or batches
        self.unit_sum = np.zeros(neurons)
        self.unit_squares = np.zeros(neurons)
        self.largest: Array | None = None
        self.smallest: Array | None = None

    def add(self, means: Array, positions: int) -> None:
        """Add units.

        Args:
            means: mean |a| of each unit over its positions, shape (units, neurons).
            positions: positions in one unit.
        """
        means = means.astype(np.float64)
        self.total += means.sum(axis=0) * positions
        self.positions += positions * len(means)
        self.units += len(means)
        self.unit_sum += means.sum(axis=0)
        self.unit_squares += np.square(means).sum(axis=0)

    def extend_range(self, largest: Array, smallest: Array) -> None:
        """Widen the range by the extremes of a batch, shape (neurons,) each."""
        self.largest = largest if self.largest is None else np.maximum(self.largest, largest)
        self.smallest = smallest if self.smallest is None else np.minimum(self.smallest, smallest)

    def result(self) -> NeuronStatistics:
        """Return the statistics so far."""
        mean = self.total / max(self.positions, 1)
        with np.errstate(invalid="ignore"):
            center = self.unit_sum / max(self.units, 1)
            variance = np.maximum(self.unit_squares / max(self.units, 1) - np.square(center), 0.0)
            error = np.sqrt(variance / (self.units - 1)) if self.units > 1 else np.full_like(mean, np.nan)
            spread = None
            if self.largest is not None and self.smallest is not None:
                spread = self.largest.astype(np.float64) - self.smallest.astype(np.float64)
        bad = ~np.isfinite(mean)
        mean[bad] = np.nan
        return NeuronStatistics(mean, error, spread, self.positions, int(bad.sum()))
