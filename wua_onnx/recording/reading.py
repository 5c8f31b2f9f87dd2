"""What one run returned of one tap, as arrays of units and neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.recording.instrument import Outputs
from wua_onnx.recording.taps import Tap

Array: TypeAlias = np.ndarray[Any, Any]
Results: TypeAlias = Mapping[str, Array]
Run: TypeAlias = "tuple[Results, int]"  # what it returned, and of how many samples

EXPONENTS = (-24, 24)  # powers of 2 that a histogram tells apart; beyond lie its first and its last bin
BINS = 2 * (EXPONENTS[1] - EXPONENTS[0] + 2) + 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """Statistics of one activation in one run.

    Attributes:
        positions: how many values were averaged, by unit (a sample, or a whole batch); shape (units,).
        mean, square, firing: averages by unit and neuron, float64; None where not recorded.
        largest, smallest: extremes by neuron.
        rows: the rows looked up, one after the other.
        map: mean |a| over the samples at every position, shape (neurons, ...); `samples` are how many.
        histogram: how many values fell in each bin, see `histogram_of`.
    """

    positions: Array
    mean: Array | None = None
    square: Array | None = None
    firing: Array | None = None
    largest: Array | None = None
    smallest: Array | None = None
    rows: Array | None = None
    histogram: Array | None = None
    map: Array | None = None
    samples: int = 0

    def without(self, copies: Reading, share: float) -> Reading:
        """Return the averages without `share` of the values, which are those of `copies`."""

        def apart(whole: Array | None, part: Array | None) -> Array | None:
            if whole is None or part is None:
                return whole
            with np.errstate(invalid="ignore"):
                return np.asarray((whole - share * part) / (1 - share))

        return replace(
            self,
            positions=np.rint(self.positions * (1 - share)),
            mean=apart(self.mean, copies.mean),
            square=apart(self.square, copies.square),
            firing=apart(self.firing, copies.firing),
        )


def read(tap: Tap, outputs: Outputs, results: Results, samples: int) -> Reading | None:
    """Return what a run returned of `tap`; None where the part of the model that it is in did not run.

    `samples` are the first of the batch; what follows are copies.
    """
    if "lookups" in tap.statistics:
        rows = _first(results[_name(outputs.values)], tap.sample_axis, samples).reshape(-1)
        return Reading(positions=np.array([rows.size]), rows=rows)
    if outputs.summed and not np.any(results[_name(outputs.counts)]):
        return None
    averages = {
        "mean": _mean(tap, outputs, results),
        "square": _average(tap, outputs.square, results),
        "firing": _average(tap, outputs.firing, results),
    }
    units = next((array.shape[0] for array in averages.values() if array is not None), 1)
    averaged, valid = _positions(tap, outputs, results, units)
    if valid is not averaged:
        # Sums, or averages over all positions with the padded ones as zeros, become averages over the valid ones.
        scale = (averaged / np.maximum(valid, 1))[:, None]
        averages = {name: None if array is None else array * scale for name, array in averages.items()}
    return Reading(
        positions=valid,
        largest=_extreme(tap, outputs.largest, results),
        smallest=_extreme(tap, outputs.smallest, results),
        histogram=None
        if outputs.values is None
        else histogram_of(_first(results[outputs.values], tap.sample_axis, samples)),
        map=None if outputs.map is None else _map(tap, results[outputs.map]),
        samples=samples,
        **averages,
    )


def readings(tap: Tap, outputs: Outputs, runs: Sequence[Run]) -> list[Reading]:
    """Return what runs returned of `tap`, as one reading where that can be."""
    if len(runs) > 1 and _can_join(tap, outputs, [results for results, _ in runs]):
        runs = [(_joined(tap, outputs, [results for results, _ in runs]), sum(samples for _, samples in runs))]
    found = [read(tap, outputs, results, samples) for results, samples in runs]
    return [reading for reading in found if reading is not None]


def _can_join(tap: Tap, outputs: Outputs, several: Sequence[Results]) -> bool:
    if tap.sample_axis is None or outputs.summed or outputs.map is not None:
        return False
    return outputs.shape is None or len({tuple(lengths(tap, outputs, results)) for results in several}) == 1


def _joined(tap: Tap, outputs: Outputs, several: Sequence[Results]) -> Results:
    """Return results as if the samples of several runs had been run at once; what is read of a shape is the same."""
    first = _order(tap.sample_axis, tap.axes)[0]
    averages = dict.fromkeys((*outputs.means, outputs.square, outputs.firing), first)
    along = {**averages, outputs.counts: 0, outputs.values: tap.sample_axis}
    joined = {
        name: np.concatenate([results[name] for results in several], axis)
        for name, axis in along.items()
        if name is not None and axis is not None
    }
    for name, extreme in ((outputs.largest, np.maximum), (outputs.smallest, np.minimum)):
        if name is not None:
            joined[name] = extreme.reduce([results[name] for results in several])
    if outputs.shape is not None:
        joined[outputs.shape] = several[0][outputs.shape]
    return joined


def lengths(tap: Tap, outputs: Outputs, results: Results) -> list[int | None]:
    """Return how long the reduced axes were in a run; None where the tap does not tell (they are known beforehand)."""
    if outputs.shape is None:
        return [None] * len(tap.reduced)
    return [int(results[outputs.shape][axis]) for axis in tap.reduced]


def histogram_of(values: Array) -> Array:
    """Return how many values are negative, 0 or positive by power of 2: bins from the most negative to the largest."""
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = EXPONENTS
    _, exponents = np.frexp(finite)
    places = np.sign(finite).astype(np.int64) * (np.clip(exponents, low - 1, high) - low + 2)
    return np.bincount(places + BINS // 2, minlength=BINS)


def _name(name: str | None) -> str:
    assert name is not None
    return name


def _first(array: Array, sample_axis: int | None, samples: int) -> Array:
    return array if sample_axis is None else array.take(range(min(samples, array.shape[sample_axis])), sample_axis)


def _mean(tap: Tap, outputs: Outputs, results: Results) -> Array | None:
    if not outputs.means:
        return None
    parts = [_by_unit(tap, results[name]) for name in outputs.means]
    if len(parts) == 1:
        return parts[0]
    positive, signed = parts
    with np.errstate(invalid="ignore"):  # infinite on both sides
        return np.subtract(np.multiply(positive, 2, out=positive), signed, out=positive)


def _average(tap: Tap, name: str | None, results: Results) -> Array | None:
    return None if name is None else _by_unit(tap, results[name])


def _by_unit(tap: Tap, array: Array) -> Array:
    """Return averages, one per unit and neuron, as (units, neurons) in float64."""
    order = _order(tap.sample_axis, tap.axes)
    array = array.astype(np.float64).reshape(array.shape[: len(order)])  # what was pooled keeps axes of size 1
    return array.transpose(order).reshape(1 if tap.sample_axis is None else array.shape[order[0]], -1)


@cache
def _order(sample_axis: int | None, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return where the sample axis and those of the neurons, in that order, are among the axes that are kept."""
    wanted = axes if sample_axis is None else (sample_axis, *axes)
    kept = sorted(wanted)
    return tuple(kept.index(axis) for axis in wanted)


def _extreme(tap: Tap, name: str | None, results: Results) -> Array | None:
    if name is None:
        return None
    array, order = results[name], sorted(tap.axes)
    return np.transpose(array, [order.index(axis) for axis in tap.axes]).reshape(-1)


def _map(tap: Tap, array: Array) -> Array:
    """Return an average over samples with the neurons first, and the positions in the order of the tensor."""
    left = [axis for axis in range(len(tap.dims)) if axis != tap.sample_axis]
    moved = np.transpose(array, [left.index(axis) for axis in (*tap.axes, *tap.reduced)]).astype(np.float64)
    return moved.reshape(-1, *moved.shape[len(tap.axes) :])


def _positions(tap: Tap, outputs: Outputs, results: Results, units: int) -> tuple[Array, Array]:
    """Return, by unit, how many values were averaged (1 for sums), and how many of them are valid."""
    if outputs.summed:
        counts = np.rint(results[_name(outputs.counts)]).reshape(-1)
        several = tap.sample_axis is None and tap.lengths is not None  # of samples that are added up
        return np.ones(units), np.broadcast_to(counts.sum(keepdims=True) if several else counts, units)
    sizes = [tap.dims[axis] for axis in tap.reduced] if outputs.shape is None else lengths(tap, outputs, results)
    whole = prod(size for size in sizes if isinstance(size, int))
    averaged = np.full(units, whole)
    if outputs.counts is None:
        return averaged, averaged
    masked = 1 if tap.masked_axis is None else sizes[tap.reduced.index(tap.masked_axis)]
    counts = results[outputs.counts].reshape(-1).astype(np.int64)
    others = whole // (
        masked if isinstance(masked, int) and masked else 1
    )  # positions along the other axes, the same for every sample
    if tap.sample_axis is None:
        others, counts = others // counts.size, counts.sum(keepdims=True)
    return averaged, np.broadcast_to(counts * others, units)
