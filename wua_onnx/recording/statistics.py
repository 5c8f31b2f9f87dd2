"""Statistics of the neurons of one layer, added up across batches in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DataError
from wua_onnx.recording.reading import Reading

Array: TypeAlias = np.ndarray[Any, Any]

_SILENT = 1e-6  # of the layer's largest mean: a range below it makes a smooth neuron dead
_AVERAGES = ("mean", "square", "firing")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NeuronStatistics:
    """What was recorded of the neurons of one layer.

    Attributes:
        mean: mean |a| of each neuron over every sample and position, shape (neurons,), float64; for the rows of a
            table their shares of all lookups.
        standard_error: of `mean` over the units averaged (samples, or runs where samples cannot be told apart);
            NaN where there are fewer than two.
        positions: values averaged for each neuron; lookups for the rows of a table.
        non_finite: neurons with a NaN or infinite activation; their mean is NaN.
        range: max a - min a of each neuron; None where it was not recorded.
        largest, smallest: max a and min a of each neuron; None where not recorded.
        rms: sqrt(mean a²) of each neuron; None where not recorded.
        firing_rate: share of a > 0 of each neuron; None where not recorded.
        map: mean |a| over the samples at every position (of an image, say), shape (neurons, ...); None where it was not
            recorded, or where positions are not the same for every sample.
        histogram: values of all neurons by sign and power of 2, see `wua_onnx.recording.reading.histogram_of`.
        input_norms: ‖x‖₂ over every sample and position of each feature that comes in; None where not recorded.
    """

    mean: Array
    standard_error: Array
    positions: int
    non_finite: int
    range: Array | None = None
    largest: Array | None = None
    smallest: Array | None = None
    rms: Array | None = None
    firing_rate: Array | None = None
    histogram: Array | None = None
    map: Array | None = None
    input_norms: Array | None = None

    @classmethod
    def none(cls, neurons: int) -> NeuronStatistics:
        """Return the statistics of a use of a weight that was not recorded: of no positions at all."""
        zeros, unknown = np.zeros(neurons), np.full(neurons, np.nan)
        return cls(mean=zeros, standard_error=unknown, positions=0, non_finite=0)

    def dead(self, smooth: bool) -> Array:
        """Return which neurons are dead: max|a| = 0, or no range to speak of for smooth functions."""
        finite = self.mean[np.isfinite(self.mean)]
        largest = float(finite.max()) if finite.size else 0.0
        silent = self.mean == 0.0
        if smooth and self.range is not None:
            silent = silent | (self.range < _SILENT * largest)
        return np.asarray(silent)


class Accumulator:
    """Adds up the statistics of one tap in double precision; a unit weighs as many values as it averaged.

    Squares are taken of differences to the first unit, so that a small spread around a large mean is not lost.

    Args:
        neurons: how many there are; rows for a table.
    """

    def __init__(self, neurons: int) -> None:
        self.neurons = neurons
        self.positions = 0
        self.units = 0  # samples, or runs
        self.totals: dict[str, Array] = {}  # Σ w·m for each average m of a unit and its values w
        self.shift: Array | None = None
        # Σ w², Σ w²·(m − shift), Σ w²·(m − shift)², with m the mean |a| of a unit
        self.moments: list[Array] = [np.zeros(()), np.zeros(neurons), np.zeros(neurons)]
        self.largest: Array | None = None
        self.smallest: Array | None = None
        self.rows: Array | None = None
        self.histogram: Array | None = None
        self.map: Array | None = None  # Σ |a| over the samples

    def add(self, reading: Reading) -> None:
        """Add what a run returned; `reading` has as many neurons as there are."""
        if reading.rows is not None:
            self._look_up(reading.rows)
            return
        weights = reading.positions.astype(np.float64)
        valid = weights > 0
        whole = bool(valid.all())
        weights = weights if whole else weights[valid]
        self.positions += int(weights.sum())
        self.units += weights.size
        with np.errstate(invalid="ignore", over="ignore"):
            for name in _AVERAGES:
                average = getattr(reading, name)
                if average is not None:
                    self._check(average.shape[1])
                    average = average if whole else average[valid]
                    self.totals[name] = self.totals.get(name, 0.0) + weights @ average
                    if name == "mean" and weights.size:
                        self._spread(average, weights)
        self.largest = _joined(np.maximum, self.largest, reading.largest)
        self.smallest = _joined(np.minimum, self.smallest, reading.smallest)
        self.histogram = _joined(np.add, self.histogram, reading.histogram)
        if reading.map is not None:
            self.map = _joined(np.add, self.map, reading.map * reading.samples)

    def merge(self, other: Accumulator) -> None:
        """Add what another accumulator of the same tap holds."""
        self._check(other.neurons)
        self.positions += other.positions
        self.units += other.units
        for name, total in other.totals.items():
            self.totals[name] = self.totals.get(name, 0.0) + total
        if other.shift is not None:
            off = np.zeros(self.neurons) if self.shift is None else other.shift - self.shift
            self.shift = other.shift if self.shift is None else self.shift
            weights, first, second = other.moments
            with np.errstate(invalid="ignore", over="ignore"):
                moved = (weights, first + off * weights, second + 2 * off * first + np.square(off) * weights)
                self.moments = [mine + theirs for mine, theirs in zip(self.moments, moved, strict=True)]
        self.largest = _joined(np.maximum, self.largest, other.largest)
        self.smallest = _joined(np.minimum, self.smallest, other.smallest)
        self.rows = _joined(np.add, self.rows, other.rows)
        self.histogram = _joined(np.add, self.histogram, other.histogram)
        self.map = _joined(np.add, self.map, other.map)

    def to_arrays(self) -> dict[str, Array]:
        """Return everything held, as named arrays."""
        arrays = {"counts": np.array([self.neurons, self.positions, self.units], dtype=np.int64)}
        arrays |= {f"total_{name}": total for name, total in self.totals.items()}
        arrays |= {f"moment_{i}": moment for i, moment in enumerate(self.moments)}
        optional = {name: getattr(self, name) for name in _OPTIONAL}
        return arrays | {name: array for name, array in optional.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array]) -> Accumulator:
        """Return the accumulator that `to_arrays` described."""
        neurons, positions, units = (int(number) for number in arrays["counts"])
        made = cls(neurons)
        made.positions, made.units = positions, units
        made.totals = {name: arrays[f"total_{name}"] for name in _AVERAGES if f"total_{name}" in arrays}
        made.moments = [arrays[f"moment_{i}"] for i in range(3)]
        for name in _OPTIONAL:
            setattr(made, name, arrays.get(name))
        return made

    def result(self, input_norms: Array | None = None) -> NeuronStatistics:
        """Return the statistics so far, with the norms of what comes in beside them."""
        if self.rows is not None:
            total = int(self.rows.sum())
            shares = self.rows / max(total, 1)
            unknown = np.full(self.neurons, np.nan)
            return NeuronStatistics(
                mean=shares, standard_error=unknown, positions=total, non_finite=0, input_norms=input_norms
            )
        with np.errstate(invalid="ignore", over="ignore"):
            averages = {name: total / max(self.positions, 1) for name, total in self.totals.items()}
            mean = averages.get("mean", np.full(self.neurons, np.nan))
            error = self._standard_error(mean)
            largest, smallest = (
                None if extreme is None else extreme.astype(np.float64) for extreme in (self.largest, self.smallest)
            )
            spread = None if largest is None or smallest is None else largest - smallest
            rms = np.sqrt(averages["square"]) if "square" in averages else None
        bad = ~np.isfinite(mean)
        mean[bad] = np.nan
        return NeuronStatistics(
            mean=mean,
            standard_error=error,
            positions=self.positions,
            non_finite=int(bad.sum()),
            range=spread,
            largest=largest,
            smallest=smallest,
            rms=rms,
            firing_rate=averages.get("firing"),
            histogram=self.histogram,
            map=None if self.map is None else self.map / max(self.units, 1),
            input_norms=input_norms,
        )

    def _look_up(self, rows: Array) -> None:
        valid = rows[(rows >= -self.neurons) & (rows < self.neurons)]  # the others stand for padded positions
        counts = np.bincount(valid % self.neurons, minlength=self.neurons)
        self.rows = _joined(np.add, self.rows, counts)
        self.positions += int(valid.size)

    def _check(self, neurons: int) -> None:
        if neurons != self.neurons:
            raise DataError(f"recording: expected statistics of {self.neurons} neurons, got {neurons}")

    def _spread(self, means: Array, weights: Array) -> None:
        if self.shift is None:
            self.shift = np.where(np.isfinite(means[0]), means[0], 0.0)
        apart, squared = means - self.shift, np.square(weights)
        self.moments[0] += squared.sum()
        self.moments[1] += squared @ apart
        self.moments[2] += squared @ np.square(apart, out=apart)

    def _standard_error(self, mean: Array) -> Array:
        """Return sqrt(n / (n − 1) · Σ w²(m − mean)²) / Σ w; for equal weights the standard deviation over √n."""
        if self.units < 2 or self.shift is None:
            return np.full_like(mean, np.nan)
        off, (weights, first, second) = mean - self.shift, self.moments
        squares = second - 2 * off * first + np.square(off) * weights
        return np.asarray(np.sqrt(np.maximum(squares, 0.0) * self.units / (self.units - 1)) / self.positions)


_OPTIONAL = ("shift", "largest", "smallest", "rows", "histogram", "map")


def _joined(join: Any, mine: Array | None, theirs: Array | None) -> Array | None:
    return mine if theirs is None else theirs if mine is None else np.asarray(join(mine, theirs))
